//! A PostgreSQL of one test, which it can stop and start again.

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
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    process::Child,
    time::{sleep, timeout},
};

use crate::support::server::given;

/// The user `nobody`: a server refuses to run as root.
const NOBODY: u32 = 65_534;

pub struct Database {
    pub url: String,
    programs: PathBuf,
    directory: TempDir,
    port: u16,
    running: Option<Child>,
}

impl Database {
    /// `None`: no programs are installed.
    pub async fn start() -> Option<Self> {
        let programs = PathBuf::from(given("CUTOVER_TEST_POSTGRES_PROGRAMS")?);
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let url = format!("postgres://cutover@127.0.0.1:{port}/postgres");
        let mut database = Self { url, programs, directory: TempDir::new().unwrap(), port, running: None };
        if nix::unistd::geteuid().is_root() {
            chown(database.directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let data = database.data();
        let mut initdb = database.command("initdb");
        initdb.args([
            "--username=cutover",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]);
        let made = initdb.arg("--pgdata").arg(data).stdout(Stdio::null()).status().unwrap();
        assert!(made.success(), "{made}");
        database.again().await;
        Some(database)
    }

    /// Starts it again.
    pub async fn again(&mut self) {
        let mut server = self.command("postgres");
        server.arg("-D").arg(self.data()).arg("-k").arg(self.directory.path());
        server.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-c", "fsync=off"]);
        server.stdout(Stdio::null()).stderr(Stdio::null());
        self.running = Some(tokio::process::Command::from(server).kill_on_drop(true).spawn().unwrap());
        let answers = async {
            while PgConnection::connect(&self.url).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(30), answers).await.expect("it starts");
    }

    /// Stops it, and ends all sessions.
    pub async fn stop(&mut self) {
        let mut running = self.running.take().unwrap();
        kill(Pid::from_raw(running.id().unwrap().cast_signed()), Signal::SIGINT).unwrap();
        running.wait().await.unwrap();
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.directory.path());
        if nix::unistd::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}
