//! Controllers as processes over one database, and who changes something at whichever leads.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use cutover_proto::v1::{
    self, admin_service_client::AdminServiceClient, job_service_client::JobServiceClient,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tonic::transport::{Channel, Endpoint};

/// A controller.
pub struct Replica {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    program: PathBuf,
    store: String,
    log: PathBuf,
    _directory: TempDir,
    child: Child,
}

impl Replica {
    pub async fn start(store: &str) -> Self {
        Self::start_as(Path::new(env!("CARGO_BIN_EXE_cutover")), store).await
    }

    /// Another version's program.
    pub async fn start_as(program: &Path, store: &str) -> Self {
        let free = async || TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let directory = TempDir::new().unwrap();
        let (grpc, http) = (free().await, free().await);
        let log = directory.path().join("log");
        let child = spawn(program, store, grpc, http, &log);
        let (program, store) = (program.to_owned(), store.to_owned());
        Self { grpc, http, program, store, log, _directory: directory, child }
    }

    /// Stops it, and starts another version in its place.
    pub async fn replace(&mut self, program: &Path) {
        self.signal(Signal::SIGTERM);
        timeout(Duration::from_secs(30), self.child.wait()).await.expect("it stops").unwrap();
        program.clone_into(&mut self.program);
        self.again().await;
    }

    /// Starts it again after it was killed, as whoever supervises it does: another test may use one of its ports for a
    /// moment.
    pub async fn again(&mut self) {
        let up = async {
            loop {
                self.child = spawn(&self.program, &self.store, self.grpc, self.http, &self.log);
                while self.child.try_wait().unwrap().is_none() {
                    if self.probe("/healthz").await.is_some() {
                        return;
                    }
                    sleep(Duration::from_millis(20)).await;
                }
                sleep(Duration::from_millis(200)).await;
            }
        };
        if timeout(Duration::from_secs(30), up).await.is_err() {
            panic!("it does not start:\n{}", self.log());
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().unwrap().cast_signed()), signal).unwrap();
    }

    /// Stops it, and waits until each of its threads has stopped: on a busy machine they go on for a while.
    pub async fn frozen(&self) {
        self.signal(Signal::SIGSTOP);
        let is_running = |thread: std::io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap_or_default();
            // After the name, which is in parentheses.
            stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('T'))
        };
        let threads = format!("/proc/{}/task", self.child.id().unwrap());
        while std::fs::read_dir(&threads).unwrap().any(is_running) {
            sleep(Duration::from_millis(1)).await;
        }
    }

    pub async fn killed(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().await.unwrap();
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// The status and the body of a probe. `None`: nobody answers.
    pub async fn probe(&self, path: &str) -> Option<(u16, String)> {
        let answer = async {
            let mut stream = TcpStream::connect(self.http).await.ok()?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.ok()?;
            let (head, body) = answer.split_once("\r\n\r\n")?;
            Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
        };
        timeout(Duration::from_secs(2), answer).await.ok().flatten()
    }

    pub async fn leads(&self) -> bool {
        self.probe("/readyz").await.is_some_and(|(status, _)| status == 200)
    }

    /// Waits until it says that another one leads, and returns its words.
    pub async fn on_standby(&self) -> String {
        let words = async {
            loop {
                match self.probe("/readyz").await {
                    Some((503, words)) if words.contains("leads") => return words,
                    _ => sleep(Duration::from_millis(20)).await,
                }
            }
        };
        timeout(Duration::from_secs(20), words).await.expect("it is on standby")
    }

    pub fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel())
    }

    pub fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel())
    }

    fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.grpc)).unwrap();
        endpoint.connect_timeout(Duration::from_secs(1)).connect_lazy()
    }
}

fn spawn(program: &Path, store: &str, grpc: SocketAddr, http: SocketAddr, log: &Path) -> Child {
    let log = File::options().append(true).create(true).open(log).unwrap();
    Command::new(program)
        .args(["serve", "--grpc", &grpc.to_string(), "--http", &http.to_string()])
        .env("CUTOVER_STORE", store)
        .env_remove("RUST_LOG")
        .stderr(Stdio::from(log))
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Waits until one of them leads.
pub async fn leader(replicas: &[Replica]) -> usize {
    let found = async {
        loop {
            for (at, replica) in replicas.iter().enumerate() {
                if replica.leads().await {
                    return at;
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let logs = || replicas.iter().map(Replica::log).collect::<Vec<_>>().join("\n--\n");
    timeout(Duration::from_secs(30), found).await.unwrap_or_else(|_| panic!("nobody leads:\n{}", logs()))
}

/// Pins one tenant after another until it is stopped, each until it is acknowledged.
pub struct Writer {
    stop: Arc<AtomicBool>,
    /// Acknowledged tenants, and when.
    pub done: Arc<Mutex<Vec<(String, Instant)>>>,
    running: JoinHandle<()>,
}

impl Writer {
    pub async fn start(replicas: &[Replica]) -> Self {
        let admins: Vec<_> = replicas.iter().map(Replica::admin).collect();
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<_>>>::default());
        let (stopped, acknowledged) = (stop.clone(), done.clone());
        let running = tokio::spawn(async move {
            let mut at = 0;
            for number in 0.. {
                let tenant = format!("tenant-{number}");
                let request = v1::SetPinRequest {
                    mutation: Some(v1::Mutation {
                        actor: "operator:test".to_owned(),
                        request_id: tenant.clone(),
                        ..Default::default()
                    }),
                    key: "orders".to_owned(),
                    tenant: tenant.clone(),
                    rung: v1::Rung::Dual.into(),
                    wait: true,
                    ..Default::default()
                };
                while !stopped.load(SeqCst) {
                    let mut admin = admins[at % admins.len()].clone();
                    let answer = timeout(Duration::from_secs(2), admin.set_pin(request.clone())).await;
                    if matches!(answer, Ok(Ok(_))) {
                        acknowledged.lock().unwrap().push((tenant, Instant::now()));
                        break;
                    }
                    at += 1;
                    sleep(Duration::from_millis(20)).await;
                }
                if stopped.load(SeqCst) {
                    return;
                }
            }
        });
        Self { stop, done, running }
    }

    pub fn count(&self) -> usize {
        self.done.lock().unwrap().len()
    }

    /// Waits for so many more acknowledgements, and returns when the last one came.
    pub async fn more(&self, more: usize) -> Instant {
        let until = self.count() + more;
        let waited = async {
            while self.count() < until {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(60), waited).await.expect("changes are committed");
        self.done.lock().unwrap()[until - 1].1
    }

    /// Stops, and returns the acknowledged tenants.
    pub async fn stop(self) -> Vec<String> {
        self.stop.store(true, SeqCst);
        self.running.await.unwrap();
        self.done.lock().unwrap().iter().map(|(tenant, _)| tenant.clone()).collect()
    }
}

/// Creates the migration at the leader.
pub async fn create(leader: &Replica) {
    let create = v1::CreateMigrationRequest {
        key: "orders".to_owned(),
        source: "ddb".to_owned(),
        target: "mysql".to_owned(),
        ..Default::default()
    };
    leader.admin().create_migration(create).await.unwrap();
}
