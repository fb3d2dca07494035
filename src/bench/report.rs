//! Reports of many instances, counted and judged by all default guards, on one core and without the network.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use cutover_core::histogram::Histogram;
use cutover_proto::v1;
use prost::Message as _;
use serde::Serialize;

use super::{
    KEY,
    child::cpu_us,
    figures::{Figures, Row, median, ratio, round},
    on_a_thread,
};
use crate::{
    domain::{Ask, Change, Key, Policy, Shares},
    service::{Guards, Instances, Operate, Registry, operate::RequestMeta, windows},
    store,
    telemetry::{Ingest, now_ms},
};

/// Number of rounds; the median counts.
const ROUNDS: u32 = 5;
/// Every operation kind on every store.
const CALLS: [(v1::StoreRole, v1::Operation); 4] = [
    (v1::StoreRole::Source, v1::Operation::Read),
    (v1::StoreRole::Source, v1::Operation::Write),
    (v1::StoreRole::Target, v1::Operation::Read),
    (v1::StoreRole::Target, v1::Operation::Write),
];

/// Flags of `cutover bench report`.
#[derive(Clone, Debug, clap::Args)]
pub struct Report {
    /// Number of instances, which report in turn
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096))]
    instances: u32,
    /// Cells of a report; each is about another migration under guard
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    cells: u32,
    /// How long to measure
    #[arg(long, value_name = "S", default_value_t = 3.0, value_parser = super::figures::seconds)]
    seconds: f64,
}

/// The results.
#[derive(Debug, Serialize)]
struct Numbers {
    bench: &'static str,
    instances: u32,
    cells: u32,
    report_bytes: usize,
    reports_per_s: f64,
    report_us: f64,
    count_us: f64,
    judge_us: f64,
    judge_us_per_cell: f64,
    bare_decode_us: f64,
}

/// What processes a report in a controller, with guards that judge.
struct Controller {
    registry: Arc<Registry>,
    ingest: Arc<Ingest>,
    guards: Arc<Guards>,
    /// The next verdict. There must be none, or the measurement is not what it claims to be.
    concluded: Box<dyn FnMut() -> Option<String> + Send>,
    watching: tokio::task::JoinHandle<()>,
}

impl Controller {
    /// With this many migrations, everybody at dual.
    async fn start(dir: &Path, migrations: u32) -> anyhow::Result<Self> {
        let store = store::open_store(&format!("sqlite:{}", dir.join("cutover.db").display())).await?;
        let registry = Arc::new(Registry::load(store.clone()).await?.0);
        let (instances, _) = Instances::new(store.clone(), &registry, Vec::new());
        let instances = Arc::new(instances);
        let operate = Arc::new(Operate::new(store, registry.clone(), instances.clone()));
        let ingest = Arc::new(Ingest::default());
        let (guards, mut conclusions) =
            Guards::new(registry.clone(), operate.clone(), instances, ingest.clone());
        let guards = Arc::new(guards);
        let by = RequestMeta { actor: "operator:bench".to_owned(), ..RequestMeta::default() };
        let shares = Shares { dual_ppm: Some(1_000_000), ..Shares::default() };
        for at in 0..migrations {
            let key = key(at)?;
            let [source, target] = ["source", "target"].map(str::to_owned);
            let [salt, description, confirm] = [const { String::new() }; 3];
            let policy = Policy::default();
            let create = Change::Create { salt, source, target, description, policy, confirm };
            operate.change(&key, &create, &by).await?;
            let ask = Ask { wait: false, overrides: Vec::new() };
            operate.change(&key, &Change::SetRollout { shares, ask }, &by).await?;
        }
        let watching = tokio::spawn({
            let guards = guards.clone();
            async move { guards.watch().await }
        });
        let last = key(migrations - 1)?;
        while guards.standing(&last).is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let concluded = Box::new(move || conclusions.try_recv().ok().map(|of| format!("{of:?}")));
        Ok(Self { registry, ingest, guards, concluded, watching })
    }

    fn count(&self, report: &v1::ReportRequest) -> bool {
        let known = |key: &str| windows::known(&self.registry, key);
        let newest = self.registry.state().revision;
        self.ingest.accept_known(report, newest, known, now_ms()).is_new
    }
}

impl Report {
    pub(super) async fn run(self) -> anyhow::Result<Figures> {
        let dir = tempfile::tempdir()?;
        let controller = Controller::start(dir.path(), self.cells).await?;
        on_a_thread(move || self.measure(controller)).await
    }

    fn measure(self, mut controller: Controller) -> anyhow::Result<Figures> {
        let state = controller.registry.state().clone();
        let revision = |at| Some(state.entry(&key(at).ok()?)?.migration.revision);
        let revisions: Vec<u64> = (0..self.cells).filter_map(revision).collect();
        let mut reports: Vec<_> = (0..self.instances).map(|of| report(of, &revisions)).collect();
        let encoded = reports[0].encode_to_vec();
        let third = Duration::from_secs_f64(self.seconds) / (3 * ROUNDS);
        let (mut counted, mut judged, mut decoded) = (Vec::new(), Vec::new(), Vec::new());
        let mut accepted = 0_u64;
        for _ in 0..ROUNDS {
            counted.push(us_each(third, || {
                for report in &mut reports {
                    report.sequence += 1;
                    accepted += u64::from(controller.count(report));
                }
                reports.len()
            }));
            judged.push(us_each(third, || {
                for report in &mut reports {
                    report.sequence += 1;
                    controller.guards.observe(report);
                }
                reports.len()
            }));
            decoded.push(us_each(third, || {
                reports.iter().filter(|_| v1::ReportRequest::decode(&encoded[..]).is_ok()).count()
            }));
        }
        controller.watching.abort();
        let read: u64 = controller.ingest.keys().iter().map(|key| controller.ingest.totals(key).hit).sum();
        anyhow::ensure!(read == accepted * u64::from(self.cells) * 90, "some reports were not counted");
        for at in 0..self.cells {
            let refused = controller.guards.refused(&key(at)?);
            anyhow::ensure!(refused == Some(Default::default()), "some were not judged: {refused:?}");
        }
        let concluded = (controller.concluded)();
        anyhow::ensure!(concluded.is_none(), "guards concluded something: {concluded:?}");

        let (count_us, judge_us, decode_us) = (median(&counted), median(&judged), median(&decoded));
        let report_us = count_us + judge_us;
        let judge_us_per_cell = judge_us / f64::from(self.cells);
        let numbers = Numbers {
            bench: "report",
            instances: self.instances,
            cells: self.cells,
            report_bytes: encoded.len(),
            reports_per_s: ratio(1e6, report_us).round(),
            report_us: round(report_us, 2),
            count_us: round(count_us, 2),
            judge_us: round(judge_us, 2),
            judge_us_per_cell: round(judge_us_per_cell, 2),
            bare_decode_us: round(decode_us, 2),
        };
        let rows = vec![
            Row::cost("a report, counted and judged", "us", report_us, Some(decode_us)),
            Row::cost("  counted", "us", count_us, None),
            Row::cost("  judged", "us", judge_us, None),
            Row::cost("  judged, each of its cells", "us", judge_us_per_cell, None),
            Row::rate("reports", "/s", ratio(1e6, report_us), Some(ratio(1e6, decode_us))),
        ];
        let title = format!(
            "report: CPU on one core, all default guards on, {} instances, {} cells and {} bytes a report; bare is its decoding alone",
            self.instances, self.cells, numbers.report_bytes
        );
        Ok(Figures::new(title, rows, &numbers)?)
    }
}

fn key(at: u32) -> anyhow::Result<Key> {
    Ok(Key::parse(&format!("{KEY}-{at}"))?)
}

/// One second of an instance at dual: reads and writes of both stores, some of them failed, equally in both.
fn report(instance: u32, revisions: &[u64]) -> v1::ReportRequest {
    let mut latency = Histogram::default();
    (0..100).for_each(|at| latency.record_us(300 + at * at));
    let calls = CALLS.map(|(store, operation)| v1::StoreCalls {
        store: store.into(),
        operation: operation.into(),
        calls: 100,
        errors: Some(v1::ErrorCounts { timeout: 1, ..Default::default() }),
        latency_us: Some((&latency).into()),
        ..Default::default()
    });
    let cell = |(at, revision): (usize, &u64)| v1::Cell {
        migration: format!("{KEY}-{at}"),
        revision: *revision,
        stores: calls.to_vec(),
        hit: 90,
        not_found: 10,
        compared: 5,
        both_ok: 99,
        both_failed: 1,
        ..Default::default()
    };
    v1::ReportRequest {
        instance_id: format!("orders-api-{instance}"),
        cells: revisions.iter().enumerate().map(cell).collect(),
        ..Default::default()
    }
}

/// Works for this long; returns microseconds of CPU per unit of what `work` counts.
fn us_each(time: Duration, mut work: impl FnMut() -> usize) -> f64 {
    let (begun, begun_us) = (Instant::now(), cpu_us());
    let mut done = 0;
    while done == 0 || begun.elapsed() < time {
        done += work();
    }
    ratio(cpu_us() - begun_us, done as f64)
}
