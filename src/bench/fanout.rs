//! From a committed change to the last of many streams that has applied it, and what an idle watcher costs
//! the server, beside a bare broadcast of the same messages.

use std::time::Duration;

use anyhow::Context as _;
use cutover_proto::v1::{self, admin_service_client::AdminServiceClient};
use serde::Serialize;

use super::{
    KEY,
    child::{Ask, Process, Role, Usage},
    figures::{Figures, Row, percentile, round},
    start::StoreFlag,
    watcher::{Fanned, Streams},
};

/// Changes without streams: they show what a commit takes by itself, and warm the server up.
const QUIET: u32 = 10;
/// Work left over from connecting is done after this time.
const SETTLE: Duration = Duration::from_millis(500);

/// Flags of `cutover bench fanout`.
#[derive(Clone, Debug, clap::Args)]
pub struct Fanout {
    /// Number of watch streams
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    streams: u32,
    /// HTTP/2 connections that share them; a connection carries at most 200 [default: one each]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4000))]
    connections: Option<u32>,
    /// Number of changes, one after the other
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    changes: u32,
    #[command(flatten)]
    store: StoreFlag,
}

/// The results.
#[derive(Debug, Serialize)]
struct Numbers {
    bench: &'static str,
    streams: u32,
    connections: u32,
    changes: u32,
    p50_ms: f64,
    p99_ms: f64,
    bare_p50_ms: f64,
    bare_p99_ms: f64,
    commit_ms: f64,
    with_commit_p50_ms: f64,
    with_commit_p99_ms: f64,
    rss_per_watcher_bytes: f64,
    bare_rss_per_watcher_bytes: f64,
}

/// The measurements of one server.
struct Side {
    /// The fastest commit while nobody watched.
    commit_ms: f64,
    /// From before each commit to the last stream.
    last_ms: Vec<f64>,
    rss_per_watcher_bytes: f64,
}

impl Side {
    /// The time without the commit.
    fn fanout_ms(&self, percent: usize) -> f64 {
        (percentile(&self.last_ms, percent) - self.commit_ms).max(0.0)
    }
}

impl Fanout {
    pub(super) async fn run(self) -> anyhow::Result<Figures> {
        let connections = self.connections.unwrap_or(self.streams);
        anyhow::ensure!(
            self.streams <= connections.saturating_mul(200),
            "{} streams do not fit {connections} connections: one carries 200, so give --connections {} or more",
            self.streams,
            self.streams.div_ceil(200)
        );
        let dir = tempfile::tempdir().context("can't make a temporary directory; set TMPDIR")?;
        let controller = self.store.controller(dir.path()).await?;
        create(&controller.url).await?;
        let ours = self.side(controller, connections, false).await?;
        let theirs = self.side(Process::start(&Role::Bare).await?, connections, true).await?;

        let numbers = Numbers {
            bench: "fanout",
            streams: self.streams,
            connections,
            changes: self.changes,
            p50_ms: round(ours.fanout_ms(50), 2),
            p99_ms: round(ours.fanout_ms(99), 2),
            bare_p50_ms: round(theirs.fanout_ms(50), 2),
            bare_p99_ms: round(theirs.fanout_ms(99), 2),
            commit_ms: round(ours.commit_ms, 2),
            with_commit_p50_ms: round(percentile(&ours.last_ms, 50), 2),
            with_commit_p99_ms: round(percentile(&ours.last_ms, 99), 2),
            rss_per_watcher_bytes: ours.rss_per_watcher_bytes.round(),
            bare_rss_per_watcher_bytes: theirs.rss_per_watcher_bytes.round(),
        };
        let kib = |side: &Side| side.rss_per_watcher_bytes / 1024.0;
        let cost = |what: &str, unit, ours, bare| Row::cost(what, unit, ours, Some(bare));
        let rows = vec![
            cost("commit to last stream, p50", "ms", ours.fanout_ms(50), theirs.fanout_ms(50)),
            cost("commit to last stream, p99", "ms", ours.fanout_ms(99), theirs.fanout_ms(99)),
            cost("an idle watcher", "KiB", kib(&ours), kib(&theirs)),
            Row::cost("a commit nobody watches", "ms", ours.commit_ms, None),
        ];
        let title = format!(
            "fanout: {} changes to {} streams on {connections} connections; bare is a tonic broadcast of the same messages",
            self.changes, self.streams
        );
        Ok(Figures::new(title, rows, &numbers)?)
    }

    /// Measures one server, and ends it.
    async fn side(&self, mut server: Process, connections: u32, bare: bool) -> anyhow::Result<Side> {
        let url = server.url.clone();
        let mut watcher = Process::start(&Role::Watcher).await?;
        let nobody = Streams { url, streams: 0, connections: 1, bare };
        watcher.ask::<()>(&Ask::Watch(nobody.clone())).await?;
        let mut commit_ms = f64::INFINITY;
        for number in 1..=QUIET {
            let fanned: Fanned = watcher.ask(&Ask::Change(number)).await?;
            commit_ms = commit_ms.min(fanned.commit_ms);
        }
        let before: Usage = server.ask(&Ask::Usage).await?;
        watcher.ask::<()>(&Ask::Watch(Streams { streams: self.streams, connections, ..nobody })).await?;
        tokio::time::sleep(SETTLE).await;
        let after: Usage = server.ask(&Ask::Usage).await?;
        let mut last_ms = Vec::new();
        for number in QUIET + 1..=QUIET + self.changes {
            let fanned: Fanned = watcher.ask(&Ask::Change(number)).await?;
            last_ms.push(fanned.last_ms);
        }
        watcher.stop().await?;
        server.stop().await?;
        let rss_per_watcher_bytes = (after.rss_bytes - before.rss_bytes).max(0.0) / f64::from(self.streams);
        Ok(Side { commit_ms, last_ms, rss_per_watcher_bytes })
    }
}

async fn create(url: &str) -> anyhow::Result<()> {
    let mut admin = AdminServiceClient::connect(url.to_owned()).await?;
    admin.create_migration(v1::CreateMigrationRequest { key: KEY.to_owned(), ..Default::default() }).await?;
    Ok(())
}
