//! `cutover bench`: what this machine can do, beside bare baselines of the same run.
//!
//! Servers and clients are child processes of this same program, so that each one's CPU and memory are its
//! own. They end when the bench does, however it ends.

mod backfill;
mod bare;
pub mod child;
mod decide;
mod fanout;
mod figures;
mod grpc;
mod guards;
mod load;
mod report;
pub mod roles;
mod rollback;
mod sidecar;
mod start;
mod watcher;
mod web;

use anyhow::{Context as _, bail};
use tokio::sync::oneshot;

use crate::server;
pub use figures::{Figures, Row};

/// What to measure.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Bench {
    /// Decisions in process, without overrides and with many
    Decide(decide::Decide),
    /// The server's CPU for a Decide call
    Grpc(grpc::Grpc),
    /// Time from a commit to the last watcher that has applied it, and the cost of a watcher
    Fanout(fanout::Fanout),
    /// Reports counted and judged per second on one core
    Report(report::Report),
    /// False trips by kind of noise, delays of true ones, and the cost of judging
    Guards(guards::Guards),
    /// Time from the target's first failure to the last instance that is safe from it
    Rollback(rollback::Rollback),
    /// A backfill, a second run and a verify, beside the stores' own scan and upserts
    Backfill(backfill::Backfill),
    /// Viewers of the overview, decisions by OFREP, and flagd's event streams
    Web(web::Web),
    /// Gets through a sidecar beside gets in process, and decisions of a sidecar on one core
    Sidecar(sidecar::Sidecar),
    /// From the process of a controller to its answer that it can serve
    Start(start::Start),
}

impl Bench {
    /// Measures. An interrupt ends the children and removes the temporary store.
    pub async fn run(self) -> anyhow::Result<Figures> {
        let measured = async {
            match self {
                Self::Decide(decide) => on_a_thread(|| decide.run()).await,
                Self::Grpc(grpc) => grpc.run().await,
                Self::Fanout(fanout) => fanout.run().await,
                Self::Guards(guards) => on_a_thread(|| guards.run()).await,
                Self::Rollback(rollback) => rollback.run().await,
                Self::Backfill(backfill) => backfill.run().await,
                Self::Report(report) => report.run().await,
                Self::Web(web) => web.run().await,
                Self::Sidecar(sidecar) => sidecar.run().await,
                Self::Start(start) => start.run().await,
            }
        };
        tokio::select! {
            figures = measured => figures,
            () = server::stop_signal() => bail!("interrupted: nothing was measured"),
        }
    }
}

/// Works on a thread that an interrupt need not wait for.
async fn on_a_thread(
    measure: impl FnOnce() -> anyhow::Result<Figures> + Send + 'static,
) -> anyhow::Result<Figures> {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || _ = tell.send(measure()));
    told.await.context("the measuring thread panicked")?
}

/// The key of the benches' migration on every server.
const KEY: &str = "orders";
