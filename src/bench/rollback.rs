//! From onset to safety: the target begins to fail under many instances; how long until the last of them
//! routes at a stage where that does no harm? Uses real SDKs over loopback, and a controller in its own
//! process.

mod subject;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context as _, bail};
use cutover_client::{Client, Options};
use futures::future;
use serde::Serialize;

use super::{
    KEY,
    child::raise_limits,
    figures::{Figures, Row, percent, percentile, round, seconds},
    start::StoreFlag,
};
use subject::{Subject, Trial};

/// Flags of `cutover bench rollback`.
#[derive(Clone, Debug, clap::Args)]
pub struct Rollback {
    /// Number of SDK instances, each with all migrations
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=4000))]
    instances: u32,
    /// Reads per second of the target, for each migration, all instances together
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    calls_per_s: u32,
    /// Percent of the reads that go to the target; the others go to the source
    #[arg(long, value_name = "PCT", default_value_t = 50.0, value_parser = percent)]
    share: f64,
    /// Percent of the target's calls that fail from the onset
    #[arg(long, value_name = "PCT", default_value_t = 100.0, value_parser = percent)]
    errors: f64,
    /// Percent of both stores' calls that fail before the onset, and of the source's after it
    #[arg(long, value_name = "PCT", default_value_t = 0.0, value_parser = percent)]
    background: f64,
    /// Healthy seconds before the first fault; below 33 the burstiness of errors is not known yet, and a trip
    /// takes up to three times as many
    #[arg(long, value_name = "S", default_value_t = 33.0, value_parser = seconds)]
    warm_up: f64,
    /// Total number of trials
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    trials: u32,
    /// Number of migrations in the controller; trials are divided among them, one after the other in each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    migrations: u32,
    #[command(flatten)]
    store: StoreFlag,
}

/// The results, from the onset of the fault.
#[derive(Debug, Serialize)]
struct Numbers {
    bench: &'static str,
    instances: u32,
    migrations: u32,
    calls_per_s: u32,
    share_percent: f64,
    errors_percent: f64,
    background_percent: f64,
    trials: u32,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    noticing_p50_ms: f64,
    deciding_p50_ms: f64,
    committing_p50_ms: f64,
    spreading_p50_ms: f64,
    /// Trials by the guard that tripped.
    guards: BTreeMap<String, u32>,
}

impl Rollback {
    pub(super) async fn run(self) -> anyhow::Result<Figures> {
        if self.errors <= self.background || self.share <= 0.0 {
            bail!("nothing would be rolled back: give --errors above --background, and --share above 0");
        }
        raise_limits();
        let dir = tempfile::tempdir().context("can't make a temporary directory; set TMPDIR")?;
        let controller = self.store.controller(dir.path()).await?;
        let mut clients = Vec::new();
        for at in 0..self.instances {
            let options = Options { instance_id: Some(format!("bench-{at}")), ..Options::default() };
            clients.push(Client::connect(&controller.url, "bench", options).await?);
        }
        let mut subjects = Vec::new();
        for at in 0..self.migrations {
            subjects.push(Subject::start(&controller.url, format!("{KEY}-{at}"), &clients, &self).await?);
        }
        for subject in &mut subjects {
            subject.ramp_up().await?;
        }
        tokio::time::sleep(Duration::from_secs_f64(self.warm_up)).await;
        let left = AtomicU32::new(self.trials);
        let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        let trials = subjects.iter_mut().map(async |subject| {
            let mut trials = Vec::new();
            while take().is_ok() {
                trials.push(subject.trial().await?);
            }
            anyhow::Ok(trials)
        });
        let trials = future::try_join_all(trials).await?.concat();
        drop(subjects);
        drop(clients);
        controller.stop().await?;
        self.figures(&trials)
    }

    fn figures(&self, trials: &[Trial]) -> anyhow::Result<Figures> {
        let of = |part: fn(&Trial) -> f64, percent| {
            round(percentile(&trials.iter().map(part).collect::<Vec<_>>(), percent), 1)
        };
        let mut guards = BTreeMap::new();
        trials.iter().for_each(|trial| *guards.entry(trial.guard.clone()).or_default() += 1);
        let numbers = Numbers {
            bench: "rollback",
            instances: self.instances,
            migrations: self.migrations,
            calls_per_s: self.calls_per_s,
            share_percent: self.share,
            errors_percent: self.errors,
            background_percent: self.background,
            trials: self.trials,
            p50_ms: of(|t| t.all, 50),
            p95_ms: of(|t| t.all, 95),
            p99_ms: of(|t| t.all, 99),
            max_ms: of(|t| t.all, 100),
            noticing_p50_ms: of(|t| t.noticing, 50),
            deciding_p50_ms: of(|t| t.deciding, 50),
            committing_p50_ms: of(|t| t.committing, 50),
            spreading_p50_ms: of(|t| t.spreading, 50),
            guards,
        };
        let row = |what: &str, ms| Row::cost(what, "ms", ms, None);
        let mut rows = vec![
            row("onset to safety, p50", numbers.p50_ms),
            row("onset to safety, p95", numbers.p95_ms),
            row("onset to safety, p99", numbers.p99_ms),
            row("onset to safety, at most", numbers.max_ms),
            row("noticing: the first call fails, p50", numbers.noticing_p50_ms),
            row("deciding: until the verdict, p50", numbers.deciding_p50_ms),
            row("committing, p50", numbers.committing_p50_ms),
            row("spreading to the last instance, p50", numbers.spreading_p50_ms),
        ];
        rows.extend(
            numbers
                .guards
                .iter()
                .map(|(guard, trials)| Row::cost(format!("by {guard}"), "trials", (*trials).into(), None)),
        );
        let title = format!(
            "rollback: {} instances; {} migrations, each with {} target calls/s, {} % of its reads; {} % fail in both stores, {} % in the target from the onset; {} trials",
            self.instances,
            self.migrations,
            self.calls_per_s,
            self.share,
            self.background,
            self.errors,
            self.trials
        );
        Ok(Figures::new(title, rows, &numbers)?)
    }
}
