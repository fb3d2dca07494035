//! From starting the process of a controller to its answer that it can serve.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    child::{Process, Role, STORE_VARIABLE},
    figures::{Figures, Row, percentile, round},
};

/// Interval between questions whether the controller is ready.
const ASK: Duration = Duration::from_millis(1);
/// A controller that is not ready within this time is broken.
const READY: Duration = Duration::from_secs(30);

/// Flags of `cutover bench start`.
#[derive(Clone, Debug, clap::Args)]
pub struct Start {
    /// Number of starts on a new store, and again on the same one
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    starts: u32,
}

/// The results.
#[derive(Debug, Serialize)]
struct Numbers {
    bench: &'static str,
    starts: u32,
    new_store_p50_ms: f64,
    new_store_max_ms: f64,
    same_store_p50_ms: f64,
    same_store_max_ms: f64,
}

impl Start {
    pub(super) async fn run(self) -> anyhow::Result<Figures> {
        let (mut new, mut same) = (Vec::new(), Vec::new());
        for _ in 0..self.starts {
            let dir = tempfile::tempdir().context("can't make a temporary directory; set TMPDIR")?;
            new.push(start(dir.path()).await?);
            same.push(start(dir.path()).await?);
        }
        let ms = |values: &[f64], percent| round(percentile(values, percent), 1);
        let numbers = Numbers {
            bench: "start",
            starts: self.starts,
            new_store_p50_ms: ms(&new, 50),
            new_store_max_ms: ms(&new, 100),
            same_store_p50_ms: ms(&same, 50),
            same_store_max_ms: ms(&same, 100),
        };
        let row = |what, value| Row::cost(what, "ms", value, None);
        let rows = vec![
            row("on a new store, p50", numbers.new_store_p50_ms),
            row("on a new store, longest", numbers.new_store_max_ms),
            row("on the same store again, p50", numbers.same_store_p50_ms),
            row("on the same store again, longest", numbers.same_store_max_ms),
        ];
        let title = format!("start: from the process to /readyz, {} times each", self.starts);
        Ok(Figures::new(title, rows, &numbers)?)
    }
}

/// How long a controller takes until it is ready, in milliseconds.
async fn start(dir: &Path) -> anyhow::Result<f64> {
    let began = Instant::now();
    let controller = Process::start(&Role::Controller { dir: dir.to_owned() }).await?;
    until_ready(&controller).await?;
    let took = began.elapsed();
    controller.stop().await?;
    Ok(took.as_secs_f64() * 1e3)
}

/// Waits until a controller can serve.
async fn until_ready(controller: &Process) -> anyhow::Result<()> {
    let address = controller.http.trim_start_matches("http://").parse()?;
    let ready = async {
        while !is_ready(address).await {
            tokio::time::sleep(ASK).await;
        }
    };
    tokio::time::timeout(READY, ready).await.context("the controller does not become ready")
}

/// What the controller of a bench stores its state in.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct StoreFlag {
    /// The controller's store, an empty one such as `postgres://..?schema=NAME` [default: a file in a temporary
    /// directory]
    #[arg(long = "store", value_name = "URL", env = STORE_VARIABLE, hide_env_values = true)]
    url: Option<String>,
}

impl StoreFlag {
    /// A controller that can serve.
    pub(super) async fn controller(&self, dir: &Path) -> anyhow::Result<Process> {
        let role = Role::Controller { dir: dir.to_owned() };
        let variable = self.url.as_deref().map(|url| (STORE_VARIABLE, url));
        let controller = Process::start_with(&role, variable).await?;
        until_ready(&controller).await?;
        Ok(controller)
    }
}

/// Nobody answering is the same as not being ready.
async fn is_ready(address: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    ask.await.is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200"))
}
