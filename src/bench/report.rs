//! Reports of many instances into the counts, on one core and without the network.

use std::time::{Duration, Instant};

use cutover_client::report::Histogram;
use cutover_proto::v1;
use prost::Message as _;
use serde::Serialize;

use super::{
    KEY,
    child::cpu_us,
    figures::{Figures, Row, median, ratio, round},
};
use crate::telemetry::{Ingest, now_ms};

/// Rounds; the median counts.
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
    /// Instances that report in turn
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096))]
    instances: u32,
    /// Cells of a report: a migration and revision each
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    cells: u32,
    /// How long to measure
    #[arg(long, value_name = "S", default_value_t = 3.0, value_parser = super::figures::seconds)]
    seconds: f64,
}

/// The numbers.
#[derive(Debug, Serialize)]
struct Numbers {
    bench: &'static str,
    instances: u32,
    cells: u32,
    report_bytes: usize,
    reports_per_s: f64,
    report_us: f64,
    bare_decode_us: f64,
}

impl Report {
    pub(super) fn run(self) -> anyhow::Result<Figures> {
        let mut reports: Vec<_> = (0..self.instances).map(|of| report(of, self.cells)).collect();
        let encoded = reports[0].encode_to_vec();
        let ingest = Ingest::default();
        let half = Duration::from_secs_f64(self.seconds) / (2 * ROUNDS);
        let (mut counted, mut decoded) = (Vec::new(), Vec::new());
        let mut accepted = 0_u64;
        for _ in 0..ROUNDS {
            counted.push(us_each(half, || {
                for report in &mut reports {
                    report.sequence += 1;
                    accepted += u64::from(ingest.accept(report, 2, now_ms()) == report.sequence);
                }
                reports.len()
            }));
            decoded.push(us_each(half, || {
                reports.iter().filter(|_| v1::ReportRequest::decode(&encoded[..]).is_ok()).count()
            }));
        }
        let read: u64 = ingest.keys().iter().map(|key| ingest.totals(key).hit).sum();
        anyhow::ensure!(read == accepted * u64::from(self.cells) * 40, "some reports were not counted");

        let (report_us, decode_us) = (median(&counted), median(&decoded));
        let numbers = Numbers {
            bench: "report",
            instances: self.instances,
            cells: self.cells,
            report_bytes: encoded.len(),
            reports_per_s: ratio(1e6, report_us).round(),
            report_us: round(report_us, 2),
            bare_decode_us: round(decode_us, 2),
        };
        let rows = vec![
            Row::cost("a report", "us", report_us, Some(decode_us)),
            Row::rate("reports", "/s", ratio(1e6, report_us), Some(ratio(1e6, decode_us))),
        ];
        let title = format!(
            "report: CPU on one core, {} instances, {} cells and {} bytes a report; bare is its decoding alone",
            self.instances, self.cells, numbers.report_bytes
        );
        Ok(Figures::new(title, rows, &numbers)?)
    }
}

/// A second of an instance in dual: reads and writes of both stores, some of them failed.
fn report(instance: u32, cells: u32) -> v1::ReportRequest {
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
    let cell = |at: u32| v1::Cell {
        migration: format!("{KEY}-{}", at / 2),
        revision: u64::from(at % 2) + 1,
        stores: calls.to_vec(),
        hit: 40,
        miss: 50,
        not_found: 10,
        migrated: 50,
        both_ok: 98,
        only_target_failed: 1,
        ..Default::default()
    };
    v1::ReportRequest {
        instance_id: format!("orders-api-{instance}"),
        applied_revision: 2,
        received_revision: 2,
        cells: (0..cells).map(cell).collect(),
        ..Default::default()
    }
}

/// Works for so long; microseconds of CPU for one of what `work` counts.
fn us_each(time: Duration, mut work: impl FnMut() -> usize) -> f64 {
    let (begun, begun_us) = (Instant::now(), cpu_us());
    let mut done = 0;
    while done == 0 || begun.elapsed() < time {
        done += work();
    }
    ratio(cpu_us() - begun_us, done as f64)
}
