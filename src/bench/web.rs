//! What the HTTP side costs the server: viewers of the overview, remote decisions by OFREP, and flagd's event streams.

mod events;
mod ofrep;
mod overview;

use anyhow::Context as _;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;

use super::{
    child::{Ask, Process, Role, Usage, raise_limits},
    figures::{Figures, Row, ratio, round},
};
pub(super) use ofrep::bare;

/// Flags of `cutover bench web`.
#[derive(Clone, Debug, clap::Args)]
pub struct Web {
    /// Number of migrations in the overview
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
    migrations: u32,
    /// Number of instances, which report once a second
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=4000))]
    instances: u32,
    /// Number of viewers of the overview
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=60))]
    viewers: u32,
    /// Number of clients with an event stream of flagd's, each with its own connection
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=16_000))]
    streams: u32,
    /// How long each part is measured
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = super::figures::seconds)]
    seconds: f64,
}

/// The results.
#[derive(Debug, Serialize)]
struct Numbers {
    bench: &'static str,
    migrations: u32,
    instances: u32,
    viewers: u32,
    streams: u32,
    overview_bytes: usize,
    nobody_core_percent: f64,
    first_viewer_core_percent: f64,
    viewer_core_percent: f64,
    status_bytes: usize,
    first_status_viewer_core_percent: f64,
    status_viewer_core_percent: f64,
    update_p50_ms: f64,
    update_max_ms: f64,
    ofrep_cpu_us: f64,
    bare_cpu_us: f64,
    ofrep_cost: f64,
    ofrep_calls: u64,
    ofrep_response_bytes: usize,
    events_rss_mib: f64,
}

impl Web {
    pub(super) async fn run(self) -> anyhow::Result<Figures> {
        raise_limits();
        let seen = overview::measure(&self).await?;
        let asked = ofrep::measure(self.seconds).await?;
        let events_rss_mib = events::measure(self.streams).await?;
        let numbers = Numbers {
            bench: "web",
            migrations: self.migrations,
            instances: self.instances,
            viewers: self.viewers,
            streams: self.streams,
            overview_bytes: seen.bytes,
            nobody_core_percent: round(seen.nobody_percent, 2),
            first_viewer_core_percent: round(seen.first_percent, 2),
            viewer_core_percent: round(seen.each_percent, 2),
            status_bytes: seen.status.bytes,
            first_status_viewer_core_percent: round(seen.status.first_percent, 2),
            status_viewer_core_percent: round(seen.status.each_percent, 2),
            update_p50_ms: round(seen.update_p50_ms, 1),
            update_max_ms: round(seen.update_max_ms, 1),
            ofrep_cpu_us: round(asked.cpu_us, 2),
            bare_cpu_us: round(asked.bare_cpu_us, 2),
            ofrep_cost: round(asked.cost, 3),
            ofrep_calls: asked.calls,
            ofrep_response_bytes: asked.response_bytes,
            events_rss_mib: round(events_rss_mib, 1),
        };
        let mut decision =
            Row::cost("a decision by OFREP, the server's CPU", "us", asked.cpu_us, Some(asked.bare_cpu_us));
        decision.ratio = Some(ratio(1.0, asked.cost));
        let rows = vec![
            Row::cost("nobody watches, of one core", "%", seen.nobody_percent, None),
            Row::cost("the only viewer adds, of one core", "%", seen.first_percent, None),
            Row::cost(
                format!("each of {} viewers adds, of one core", self.viewers),
                "%",
                seen.each_percent,
                None,
            ),
            Row::cost(
                "the only viewer of one migration adds, of one core",
                "%",
                seen.status.first_percent,
                None,
            ),
            Row::cost("each of several viewers of it adds, of one core", "%", seen.status.each_percent, None),
            Row::cost("from a change to a viewer, p50", "ms", seen.update_p50_ms, None),
            Row::cost("from a change to a viewer, longest", "ms", seen.update_max_ms, None),
            decision,
            Row::cost(format!("memory with {} event streams", self.streams), "MiB", events_rss_mib, None),
        ];
        let title = format!(
            "web: an overview of {} migrations with {} instances; bare is an axum echo of the same sizes",
            self.migrations, self.instances
        );
        Ok(Figures::new(title, rows, &numbers)?)
    }
}

async fn controller(dir: &tempfile::TempDir) -> anyhow::Result<Process> {
    Process::start(&Role::Controller { dir: dir.path().to_owned() }).await
}

fn directory() -> anyhow::Result<tempfile::TempDir> {
    tempfile::tempdir().context("can't make a temporary directory; set TMPDIR")
}

async fn usage(server: &mut Process) -> anyhow::Result<Usage> {
    server.ask(&Ask::Usage).await
}

/// A connection to an address like `http://127.0.0.1:7071`.
async fn connect(url: &str) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(host(url)).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

fn host(url: &str) -> &str {
    url.trim_start_matches("http://")
}
