//! A controller in its own process: to be killed, and to be measured.

use std::{
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use cutover_proto::v1::{self, admin_service_client::AdminServiceClient};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

pub struct Process {
    pub url: String,
    /// What it logged before it served.
    pub before: String,
    http: String,
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Process {
    pub async fn start(dir: &Path) -> Self {
        Self::start_with(dir, &[], &[]).await
    }

    /// With further flags and environment variables.
    pub async fn start_with(dir: &Path, flags: &[&str], environment: &[(&str, &Path)]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        let mut child = Command::new(env!("CARGO_BIN_EXE_cutover"))
            .args(["serve", "--store", &format!("sqlite:{}", dir.join("cutover.db").display())])
            .args(if flags.contains(&"--grpc") { &[][..] } else { &["--grpc", "127.0.0.1:0"] })
            .args(["--http", &free])
            .args(flags)
            .envs(environment.iter().copied())
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut before = String::new();
        let serving = async {
            loop {
                let line = told.next_line().await.unwrap().expect("it serves");
                before.push_str(&line);
                if let Some(rest) = line.split("grpc=\"").nth(1) {
                    return format!("http://{}", rest.split('"').next().unwrap());
                }
            }
        };
        let url = tokio::time::timeout(Duration::from_secs(20), serving).await.unwrap();
        let log = Arc::<Mutex<String>>::default();
        let kept = log.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = told.next_line().await {
                kept.lock().unwrap().push_str(&line);
            }
        });
        Self { url, before, http: free, child, log }
    }

    /// Whether this is in its log after its start.
    pub fn said(&self, part: &str) -> bool {
        self.log.lock().unwrap().contains(part)
    }

    pub async fn end(mut self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().unwrap().cast_signed()), signal).unwrap();
        self.child.wait().await.unwrap();
    }

    pub async fn metric(&self, name: &str) -> u64 {
        let mut stream = TcpStream::connect(&self.http).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    pub async fn admin(&self) -> AdminServiceClient<tonic::transport::Channel> {
        AdminServiceClient::connect(self.url.clone()).await.unwrap()
    }

    /// Hits over all time, from the progress of a day.
    pub async fn hits(&self) -> u64 {
        let mut admin = self.admin().await;
        let request = v1::GetProgressRequest { key: "orders".to_owned(), ..Default::default() };
        let points = admin.get_progress(request).await.unwrap().into_inner().points;
        points.iter().map(|point| point.totals.unwrap().hit).sum()
    }

    /// Resident memory now.
    pub fn rss_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}
