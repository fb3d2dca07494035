//! The processes of the demo.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use cutover_client::{Access, Address, AuthorizedChannel};
use cutover_proto::v1::admin_service_client::AdminServiceClient;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};

/// The controller and the workers, as child processes.
pub(super) struct Cast {
    dir: PathBuf,
    port: u16,
    http_port: u16,
    url: String,
    controller: Option<Child>,
    workers: Vec<(u32, Child)>,
}

impl Cast {
    pub(super) fn new(dir: &Path) -> anyhow::Result<Self> {
        // Free now; the controller takes them in a moment, and again after its restart. Both are held until both
        // are known, so that they differ.
        let free = || std::net::TcpListener::bind("127.0.0.1:0");
        let (grpc, http) = (free()?, free()?);
        let (port, http_port) = (grpc.local_addr()?.port(), http.local_addr()?.port());
        let url = format!("http://127.0.0.1:{port}");
        Ok(Self { dir: dir.to_owned(), port, http_port, url, controller: None, workers: Vec::new() })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The migration in the web console.
    pub(super) fn console(&self) -> String {
        format!("http://127.0.0.1:{}/console/#/m/{}", self.http_port, super::KEY)
    }

    pub(super) async fn admin(&self) -> anyhow::Result<AdminServiceClient<AuthorizedChannel>> {
        admin(&self.url).await
    }

    pub(super) async fn start_controller(&mut self) -> anyhow::Result<()> {
        let log = std::fs::File::options().create(true).append(true).open(self.dir.join("controller.log"))?;
        let store = format!("sqlite:{}", self.dir.join("cutover.db").display());
        let [grpc, http] = [self.port, self.http_port].map(|port| format!("127.0.0.1:{port}"));
        let controller = command()?
            .args(["serve", "--store", &store, "--grpc", &grpc, "--http", &http])
            .stderr(log)
            .spawn()?;
        self.controller = Some(controller);
        for _ in 0..100 {
            if self.admin().await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!(
            "the controller did not start: {}",
            std::fs::read_to_string(self.dir.join("controller.log"))?
        )
    }

    pub(super) async fn kill_controller(&mut self) -> anyhow::Result<()> {
        if let Some(mut controller) = self.controller.take() {
            controller.kill().await?;
        }
        Ok(())
    }

    pub(super) fn start_worker(&mut self, number: u32) -> anyhow::Result<()> {
        let log = std::fs::File::options().create(true).append(true).open(self.dir.join("workers.log"))?;
        let worker = command()?
            .args(["demo-worker", "--server", &self.url, "--number", &number.to_string(), "--dir"])
            .arg(&self.dir)
            .stderr(log)
            .spawn()?;
        self.workers.push((number, worker));
        Ok(())
    }

    pub(super) async fn kill_worker(&mut self, number: u32) -> anyhow::Result<()> {
        if let Some(at) = self.workers.iter().position(|(of, _)| *of == number) {
            self.workers.remove(at).1.kill().await?;
        }
        Ok(())
    }

    /// Ends all processes cleanly: workers say goodbye first.
    pub(super) async fn stop(&mut self) {
        let workers = self.workers.drain(..).map(|(_, child)| child);
        for mut child in workers.chain(self.controller.take()) {
            if let Some(pid) = child.id() {
                // A child that has ended needs no signal.
                let _ = kill(Pid::from_raw(pid as i32), Signal::SIGTERM);
            }
            if tokio::time::timeout(Duration::from_secs(10), child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
        }
    }
}

fn command() -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("can't find this very program")?);
    // Ctrl-C goes to the demo, which then ends them cleanly.
    command.process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).env("RUST_LOG", "warn");
    // It all stays on this machine, and its controller has no tokens.
    for name in
        ["TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA", "CA", "CLIENT_CERT", "CLIENT_KEY", "TOKEN", "TOKEN_FILE"]
    {
        command.env_remove(format!("CUTOVER_{name}"));
    }
    Ok(command)
}

/// A way to the demo's own controller, which has no tokens.
pub(super) async fn admin(url: &str) -> anyhow::Result<AdminServiceClient<AuthorizedChannel>> {
    let channel = Address::new(url, &Access::default(), Duration::from_secs(3))?.connect().await;
    Ok(AdminServiceClient::new(channel.context("the demo's controller does not answer")?))
}
