//! A backfill, a second run and a verify, beside what the stores can do on their own: the source's scan and
//! the target's guarded upserts, with the same concurrency.

mod ledger;
mod progress;
mod records;

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::Context as _;
use cutover_proto::v1::{self, admin_service_client::AdminServiceClient};
use cutover_store::{
    Record, Scope, Segment, Store, StoreError,
    mapping::Versions,
    spec::{Missing, Spec, StoreSpec, StoreUrl},
};
use serde::Serialize;
use tokio::task::JoinSet;

use super::{
    KEY,
    child::{Process, Role, peak_rss_bytes},
    figures::{Figures, Row, ratio, round},
};
use crate::jobs::{Plan, Stores, worker};
use progress::Shown;
use records::VALUE_BYTES;

/// Size of the batches that fill the source, and of the upserts of the baseline.
const BATCH: u64 = 1_000;

/// Flags of `cutover bench backfill`.
#[derive(Clone, Debug, clap::Args)]
pub struct Backfill {
    /// Records to copy, of 200 bytes each
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    records: u64,
    /// The source, as in a spec (docs/spec.md); a new table is created there and stays [default: a temporary
    /// SQLite file]
    #[arg(long, value_name = "URL", env = "CUTOVER_BENCH_SOURCE")]
    source: Option<String>,
    /// The target, in the same way
    #[arg(long, value_name = "URL", env = "CUTOVER_BENCH_TARGET")]
    target: Option<String>,
    /// Parts of the table that are copied at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// Copy records with five attributes into a table with columns; not into DynamoDB
    #[arg(long)]
    columns: bool,
    /// Also copy into a table whose versions are in a ledger, and read from both; not into DynamoDB
    #[arg(long)]
    ledger: bool,
}

/// The results. Rates are in source records per second.
#[derive(Debug, Serialize)]
struct Numbers {
    bench: &'static str,
    source: String,
    target: String,
    records: u64,
    value_bytes: usize,
    columns: bool,
    workers: u32,
    segments: u32,
    scan_per_s: f64,
    upsert_per_s: f64,
    backfill_per_s: f64,
    second_run_per_s: f64,
    verify_per_s: f64,
    /// Ratio of the backfill to the slower of scan and upserts.
    ratio: f64,
    second_run_ratio: f64,
    verify_ratio: f64,
    /// For the process that scans, writes and compares; includes stores in files.
    peak_rss_mib: f64,
    /// The backfill into a table with a ledger, and its ratio to the one without.
    ledger_backfill_per_s: Option<f64>,
    ledger_ratio: Option<f64>,
    /// A read of one record, median.
    get_us: Option<f64>,
    ledger_get_us: Option<f64>,
    /// How far the shown share of the records was from that of the time, at most, from 5 % on. `None`: it ended too soon.
    backfill_progress_off_points: Option<f64>,
    second_run_progress_off_points: Option<f64>,
    verify_progress_off_points: Option<f64>,
}

/// How a pass went.
struct Ran {
    per_s: f64,
    progress_off_points: Option<f64>,
}

impl Backfill {
    pub(super) async fn run(self) -> anyhow::Result<Figures> {
        let is_item = self.target.as_ref().is_some_and(|url| url.starts_with("dynamodb:"));
        let not_of_items = [(self.columns, "--columns"), (self.ledger, "--ledger")];
        let refused = not_of_items.into_iter().find(|(is_given, _)| is_item && *is_given);
        if let Some((_, flag)) = refused {
            anyhow::bail!(
                "{flag}: DynamoDB has items, not columns; leave it out, or give a --target that is SQL"
            );
        }
        let dir = tempfile::tempdir().context("can't make a temporary directory; set TMPDIR")?;
        let controller = Process::start(&Role::Controller { dir: dir.path().to_owned() }).await?;
        let server = controller.url.clone();
        let mut admin = AdminServiceClient::connect(server.clone()).await?;
        admin
            .create_migration(v1::CreateMigrationRequest { key: KEY.to_owned(), ..Default::default() })
            .await?;

        let table = format!("cutover_bench_{:08x}", rand::random::<u32>());
        let spec = self.spec(dir.path(), &table, Versions::Columns)?;
        let alone = self.spec(dir.path(), &format!("{table}_alone"), Versions::Columns)?;
        let open =
            async |store: &StoreSpec| store.open(Missing::Create, |name| std::env::var(name).ok()).await;
        let source = open(&spec.source).await.context("the source")?;
        let stores =
            Stores { source, target: open(&spec.target).await.context("the target")?, quarantine: None };
        let without = stores.target.clone();
        let bare = open(&alone.target).await.context("the target")?;

        let plan = |kind| Plan::of(&spec, kind, "operator:bench".to_owned());
        let full = plan(v1::PassKind::Full);
        let writers = |store: &StoreSpec| match store.url {
            // A file has one writer at a time.
            StoreUrl::Sqlite { .. } => 1,
            _ => u64::from(self.workers),
        };
        let record = if self.columns { records::in_columns } else { records::whole };
        fill(&stores.source, record, self.records, writers(&spec.source))
            .await
            .context("the source can't be filled")?;
        let rate = |begun: Instant| ratio(self.records as f64, begun.elapsed().as_secs_f64());

        let begun = Instant::now();
        let scanned = scan(&stores.source, &full).await.context("the source")?;
        let scan_per_s = rate(begun);
        anyhow::ensure!(scanned == self.records, "the source has {scanned} records, not {}", self.records);
        let begun = Instant::now();
        fill(&bare, record, self.records, writers(&spec.target)).await.context("the target")?;
        let upsert_per_s = rate(begun);

        let backfill = self.pass(&server, &stores, &full, |counts| counts.copied).await?;
        let second_run = self.pass(&server, &stores, &full, |counts| counts.present).await?;
        let compared = plan(v1::PassKind::Verify);
        let verify = self.pass(&server, &stores, &compared, |counts| counts.scanned / 2).await?;
        let mut ledger = None;
        if self.ledger {
            let spec = self.spec(dir.path(), &format!("{table}_ledger"), Versions::Ledger)?;
            let target = open(&spec.target).await.context("the table with a ledger")?;
            let stores = Stores { target: target.clone(), ..stores.clone() };
            let plan = Plan::of(&spec, v1::PassKind::Full, "operator:bench".to_owned());
            let ran = self.pass(&server, &stores, &plan, |counts| counts.copied).await?;
            ledger = Some((ran.per_s, ledger::gets([&without, &target], self.records).await?));
        }
        let peak_rss_mib = peak_rss_bytes().unwrap_or_default() / f64::from(1 << 20);
        controller.stop().await?;

        let slower = scan_per_s.min(upsert_per_s);
        let name = |given: &Option<String>| {
            let scheme =
                given.as_deref().and_then(|url| url.split_once(':')).map_or("sqlite", |(scheme, _)| scheme);
            scheme.to_owned()
        };
        let numbers = Numbers {
            bench: "backfill",
            source: name(&self.source),
            target: name(&self.target),
            records: self.records,
            value_bytes: VALUE_BYTES,
            columns: self.columns,
            workers: self.workers,
            segments: full.segments,
            scan_per_s: scan_per_s.round(),
            upsert_per_s: upsert_per_s.round(),
            backfill_per_s: backfill.per_s.round(),
            second_run_per_s: second_run.per_s.round(),
            verify_per_s: verify.per_s.round(),
            ratio: round(ratio(backfill.per_s, slower), 3),
            second_run_ratio: round(ratio(second_run.per_s, backfill.per_s), 3),
            verify_ratio: round(ratio(verify.per_s, backfill.per_s), 3),
            peak_rss_mib: round(peak_rss_mib, 1),
            ledger_backfill_per_s: ledger.map(|(per_s, _)| per_s.round()),
            ledger_ratio: ledger.map(|(per_s, _)| round(ratio(per_s, backfill.per_s), 3)),
            get_us: ledger.map(|(_, [get_us, _])| get_us.round()),
            ledger_get_us: ledger.map(|(_, [_, get_us])| get_us.round()),
            backfill_progress_off_points: backfill.progress_off_points,
            second_run_progress_off_points: second_run.progress_off_points,
            verify_progress_off_points: verify.progress_off_points,
        };
        let mut rows = vec![
            Row::rate("the source's scan alone", "records/s", scan_per_s, None),
            Row::rate("the target's guarded upserts alone", "records/s", upsert_per_s, None),
            Row::rate("backfill, beside the slower", "records/s", backfill.per_s, Some(slower)),
            Row::rate("second run, beside the first", "records/s", second_run.per_s, Some(backfill.per_s)),
            Row::rate("verify, beside the backfill", "records/s", verify.per_s, Some(backfill.per_s)),
            Row::cost("peak memory of the worker", "MiB", peak_rss_mib, None),
        ];
        if let Some((per_s, [get_us, ledger_get_us])) = ledger {
            let what = "backfill into a table with a ledger, beside without";
            rows.push(Row::rate(what, "records/s", per_s, Some(backfill.per_s)));
            rows.push(Row::cost("a get with a ledger, beside without", "us", ledger_get_us, Some(get_us)));
        }
        for (pass, ran) in [("backfill", &backfill), ("second run", &second_run), ("verify", &verify)] {
            let what = format!("progress of the {pass}, off by at most");
            rows.extend(ran.progress_off_points.map(|off| Row::cost(&what, "points", off, None)));
        }
        let columns = if self.columns { " in columns" } else { "" };
        let title = format!(
            "backfill: {} records of {VALUE_BYTES} bytes, {} -> {}{columns}, {} parts, {} at once",
            self.records, numbers.source, numbers.target, full.segments, self.workers
        );
        Ok(Figures::new(title, rows, &numbers)?)
    }

    fn spec(&self, dir: &Path, table: &str, versions: Versions) -> anyhow::Result<Spec> {
        let side = |side: &str, given: &Option<String>| match given {
            // DynamoDB's table is part of its URL.
            Some(url) if url.starts_with("dynamodb:") => {
                let options = url.split_once('?').map_or("", |(_, options)| options);
                format!("[{side}]\nurl = {:?}\n", format!("dynamodb://{table}?{options}"))
            }
            Some(url) => format!("[{side}]\nurl = {url:?}\ntable = {table:?}\n"),
            None => {
                let url = format!("sqlite:{}", dir.join(format!("{side}.db")).display());
                format!("[{side}]\nurl = {url:?}\ntable = {table:?}\n")
            }
        };
        let (source, mut target) = (side("source", &self.source), side("target", &self.target));
        if versions == Versions::Ledger {
            target.push_str("versions = \"ledger\"\n");
        }
        if self.columns {
            target.push_str(records::COLUMNS);
        }
        let limits = format!("[limits]\nworkers = {}\n", self.workers);
        Ok(format!("migration = {KEY:?}\n{source}{target}{limits}").parse()?)
    }

    /// Runs a pass, which must meet all records.
    async fn pass(
        &self,
        server: &str,
        stores: &Stores,
        plan: &Plan,
        met: impl Fn(v1::PassCounts) -> u64,
    ) -> anyhow::Result<Ran> {
        let plan = stores.measured(plan.clone()).await;
        let (begun, shown) = (Instant::now(), Shown::new());
        let evidence = worker::run(server, stores, &plan, shown.callback(), std::future::pending()).await?;
        let elapsed_s = begun.elapsed().as_secs_f64();
        let progress_off_points = shown.off_points().map(|off| round(off, 1));
        let met = met(evidence.counts.unwrap_or_default());
        anyhow::ensure!(
            evidence.clean && met == self.records,
            "a pass met {met} of {} records",
            self.records
        );
        Ok(Ran { per_s: ratio(self.records as f64, elapsed_s), progress_off_points })
    }
}

/// Writes all records, with this many tasks.
async fn fill(
    store: &Arc<dyn Store>,
    record: fn(u64) -> Record,
    records: u64,
    tasks: u64,
) -> anyhow::Result<()> {
    let mut writers = JoinSet::new();
    for writer in 0..tasks {
        let store = store.clone();
        writers.spawn(async move {
            let mut from = writer * BATCH;
            while from < records {
                let batch: Result<Vec<_>, _> = (from..records.min(from + BATCH))
                    .map(|at| records::id(at).map(|id| (id, record(at))))
                    .collect();
                let batch = batch?;
                while let Err(error) = store.put_many_if_newer(&batch).await {
                    let StoreError::Throttled { retry_after, .. } = error else { return Err(error.into()) };
                    tokio::time::sleep(retry_after).await;
                }
                from += tasks * BATCH;
            }
            anyhow::Ok(())
        });
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    Ok(())
}

/// Reads the same parts as a pass, with the same concurrency.
async fn scan(store: &Arc<dyn Store>, plan: &Plan) -> anyhow::Result<u64> {
    let mut readers = JoinSet::new();
    for reader in 0..plan.parallel {
        let (store, of, parallel) = (store.clone(), plan.segments - plan.on_target, plan.parallel);
        let limit_bytes = plan.limits.chunk_bytes.min(1 << 20);
        readers.spawn(async move {
            let mut scanned = 0;
            for index in (reader..of).step_by(parallel as usize) {
                let mut cursor = None;
                loop {
                    let page =
                        store.scan(&Scope::All, Segment { index, of }, cursor.as_ref(), limit_bytes).await?;
                    scanned += page.records.len() as u64;
                    match page.next {
                        Some(next) => cursor = Some(next),
                        None => break,
                    }
                }
            }
            anyhow::Ok(scanned)
        });
    }
    let mut all = 0;
    while let Some(scanned) = readers.join_next().await {
        all += scanned??;
    }
    Ok(all)
}
