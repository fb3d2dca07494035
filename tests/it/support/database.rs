//! A PostgreSQL or MariaDB of one test, which it can stop, kill and start again.

use std::{
    os::unix::{fs::chown, process::CommandExt as _},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sqlx::{Connection as _, MySqlConnection, PgConnection};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    process::Child,
    time::{sleep, timeout},
};

use super::server::given;
use crate::store::schema::Kind;

/// The user `nobody`: a server refuses to run as root.
const NOBODY: u32 = 65_534;

pub struct Database {
    pub kind: Kind,
    pub url: String,
    /// Of PostgreSQL its programs, of MariaDB the data that a new one has.
    given: PathBuf,
    directory: TempDir,
    port: u16,
    running: Option<Child>,
}

impl Database {
    /// `None`: no programs are installed.
    pub async fn start(kind: Kind) -> Option<Self> {
        let given = PathBuf::from(match kind {
            Kind::Postgres => given("CUTOVER_TEST_POSTGRES_PROGRAMS")?,
            Kind::MySql => given("CUTOVER_TEST_MYSQL_DATA")?,
            Kind::DynamoDb => unreachable!("its data is in memory"),
        });
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let url = match kind {
            Kind::Postgres => format!("postgres://cutover@127.0.0.1:{port}/postgres"),
            Kind::MySql => format!("mysql://cutover:cutover@127.0.0.1:{port}/cutover"),
            Kind::DynamoDb => unreachable!("its data is in memory"),
        };
        let directory = TempDir::new().unwrap();
        if nix::unistd::geteuid().is_root() {
            chown(directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let mut database = Self { kind, url, given, directory, port, running: None };
        let data = database.data();
        let made = match kind {
            Kind::Postgres => database
                .command("initdb")
                .args(["--username=cutover", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"])
                .args(["--no-sync", "--pgdata"])
                .arg(data)
                .stdout(Stdio::null())
                .status(),
            Kind::MySql => Command::new("cp").arg("-a").arg(&database.given).arg(data).status(),
            Kind::DynamoDb => unreachable!("its data is in memory"),
        };
        assert!(made.unwrap().success());
        database.again().await;
        Some(database)
    }

    /// Starts it again.
    pub async fn again(&mut self) {
        let answers = async {
            loop {
                self.running = Some(self.spawned());
                // PostgreSQL does not start before the last process of a killed one has ended.
                while self.running.as_mut().unwrap().try_wait().unwrap().is_none() {
                    if self.answers().await {
                        return;
                    }
                    sleep(Duration::from_millis(20)).await;
                }
            }
        };
        timeout(Duration::from_secs(30), answers).await.expect("it starts");
    }

    fn spawned(&self) -> Child {
        let (directory, port) = (self.directory.path(), self.port.to_string());
        let mut server = match self.kind {
            Kind::Postgres => {
                let mut server = self.command("postgres");
                server.arg("-D").arg(self.data()).arg("-k").arg(directory);
                server.args(["-h", "127.0.0.1", "-p", &port, "-c", "fsync=off"]);
                server
            }
            Kind::MySql => {
                let mut server = self.command("/usr/sbin/mariadbd");
                server.arg("--no-defaults").arg(format!("--datadir={}", self.data().display()));
                server.arg(format!("--socket={}", directory.join("socket").display()));
                server.arg(format!("--init-file={}", self.given.with_file_name("init.sql").display()));
                server.args(["--bind-address=127.0.0.1", &format!("--port={port}"), "--skip-name-resolve"]);
                server.args(["--innodb-flush-method=nosync", "--innodb-buffer-pool-size=16M"]);
                server.args(["--innodb-log-file-size=16M", "--max-allowed-packet=64M"]);
                server
            }
            Kind::DynamoDb => unreachable!("its data is in memory"),
        };
        server.stdout(Stdio::null()).stderr(Stdio::null());
        tokio::process::Command::from(server).kill_on_drop(true).spawn().unwrap()
    }

    async fn answers(&self) -> bool {
        match self.kind {
            Kind::Postgres => PgConnection::connect(&self.url).await.is_ok(),
            Kind::MySql => MySqlConnection::connect(&self.url).await.is_ok(),
            Kind::DynamoDb => unreachable!("its data is in memory"),
        }
    }

    /// Stops it, and ends all sessions.
    pub async fn stop(&mut self) {
        let signal = if self.kind == Kind::Postgres { Signal::SIGINT } else { Signal::SIGTERM };
        self.ended(signal).await;
    }

    /// As a crash does.
    pub async fn killed(&mut self) {
        self.ended(Signal::SIGKILL).await;
    }

    async fn ended(&mut self, signal: Signal) {
        let mut running = self.running.take().unwrap();
        kill(Pid::from_raw(running.id().unwrap().cast_signed()), signal).unwrap();
        running.wait().await.unwrap();
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// `program` may be a whole path.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.given.join(program));
        command.current_dir(self.directory.path());
        if nix::unistd::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}
