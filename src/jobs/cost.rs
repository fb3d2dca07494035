//! Estimates what a pass costs before it runs: bytes, DynamoDB's capacity units, and time.

use std::time::Duration;

use cutover_proto::v1;
use cutover_store::{
    Estimate,
    spec::{Spec, StoreUrl},
};

use super::{Plan, sample::Looked, side::Side};

/// A strongly consistent read unit pays for this many bytes.
const READ_UNIT_BYTES: u64 = 4096;
/// A write unit pays for this many bytes.
const WRITE_UNIT_BYTES: u64 = 1024;

/// The estimated cost of a pass, from the stores' statistics and a sample of the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Records that it scans.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The source's capacity units; `None`: it is not DynamoDB.
    pub source: Option<Units>,
    /// The target's capacity units; `None`: it is not DynamoDB.
    pub target: Option<Units>,
    /// Minimum duration.
    pub least: Duration,
    /// What the minimum duration follows from.
    pub pace: Pace,
}

/// Capacity units of a DynamoDB table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// For scans, and for looking records up. Each read is strongly consistent.
    pub reads: u64,
    /// For writes. Records that are already there are not written.
    pub writes: u64,
}

/// What limits a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// `rows_per_s` of the spec.
    RowsPerS,
    /// `bytes_per_s` of the spec.
    BytesPerS,
    /// How fast one page was read.
    Reading,
}

/// What a pass does at one store.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    scans: bool,
    /// Records looked up by their ids.
    lookups: u64,
    /// Records written.
    puts: u64,
}

/// Records and their bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    records: u64,
    bytes: u64,
}

impl Size {
    /// A store's own figures, or what was seen where it has none. Statistics may be hours old: there are at
    /// least as many records as were seen.
    fn of(estimate: Estimate, seen: Self) -> Self {
        let records = estimate.records.unwrap_or_default().max(seen.records);
        let mean = |it: Self| it.bytes.checked_div(it.records).unwrap_or_default();
        let bytes = match (estimate.records, estimate.bytes) {
            (Some(counted), Some(bytes)) if counted > 0 => mean(Self { records: counted, bytes }) * records,
            _ => mean(seen) * records,
        };
        Self { records, bytes }
    }

    fn mean(self) -> u64 {
        self.bytes.div_ceil(self.records.max(1)).max(1)
    }
}

impl Cost {
    /// `side` is the one that the sample was read from.
    pub fn of(spec: &Spec, plan: &Plan, side: Side, sizes: [Estimate; 2], looked: &Looked) -> Self {
        let sampled = Size { records: looked.checked, bytes: looked.bytes };
        let seen = |of: Side| if of == side { sampled } else { Size::default() };
        let source = Size::of(sizes[0], seen(Side::Source));
        let target = Size::of(sizes[1], seen(Side::Target));
        let (from, to) = (source.records, target.records);
        let (at_source, at_target) = match plan.kind {
            v1::PassKind::Reverse => {
                (Load { lookups: to, puts: to, ..Load::default() }, Load { scans: true, ..Load::default() })
            }
            v1::PassKind::Sweep => {
                (Load { lookups: to, ..Load::default() }, Load { scans: true, puts: to, ..Load::default() })
            }
            v1::PassKind::Verify | v1::PassKind::Sample => (
                Load { scans: true, lookups: to, ..Load::default() },
                Load { scans: true, lookups: from, puts: if plan.repair { from } else { 0 } },
            ),
            _ => (Load { scans: true, ..Load::default() }, Load { scans: true, lookups: from, puts: from }),
        };
        let mean = if from > 0 { source.mean() } else { target.mean() };
        let units = |url: &StoreUrl, load: Load, size: Size| {
            matches!(url, StoreUrl::DynamoDb { .. }).then(|| load.units(size, mean))
        };
        let scanned = [(at_source, source), (at_target, target)].into_iter().filter(|(load, _)| load.scans);
        let scanned = scanned.fold(Size::default(), |sum, (_, size)| Size {
            records: sum.records + size.records,
            bytes: sum.bytes + size.bytes,
        });
        let (least, pace) = least(plan, scanned, looked);
        Self {
            records: scanned.records,
            bytes: scanned.bytes,
            source: units(&spec.source.url, at_source, source),
            target: units(&spec.target.url, at_target, target),
            least,
            pace,
        }
    }
}

impl Load {
    fn units(self, size: Size, mean_bytes: u64) -> Units {
        let scan = if self.scans { size.bytes.div_ceil(READ_UNIT_BYTES) } else { 0 };
        Units {
            reads: scan + self.lookups * mean_bytes.div_ceil(READ_UNIT_BYTES),
            writes: self.puts * mean_bytes.div_ceil(WRITE_UNIT_BYTES),
        }
    }
}

fn least(plan: &Plan, scanned: Size, looked: &Looked) -> (Duration, Pace) {
    let over = |count: u64, per_s: f64| Duration::from_secs_f64(count as f64 / per_s);
    let limited = |count, per_s: u64| if per_s == 0 { Duration::ZERO } else { over(count, per_s as f64) };
    let read_per_s = looked.timed as f64 / looked.took.as_secs_f64().max(0.001);
    let reading = if looked.timed == 0 { Duration::ZERO } else { over(scanned.records, read_per_s) };
    // Several segments of a store are read at a time; the check read one page.
    let segments = plan.segments.saturating_sub(plan.on_target).max(plan.on_target);
    let reading = reading / plan.parallel.min(segments).max(1);
    let candidates = [
        (limited(scanned.records, plan.tuning.records_per_s), Pace::RowsPerS),
        (limited(scanned.bytes, plan.tuning.bytes_per_s), Pace::BytesPerS),
        (reading, Pace::Reading),
    ];
    candidates.into_iter().max_by_key(|(time, _)| *time).unwrap_or((reading, Pace::Reading))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const DYNAMODB: &str = "dynamodb://Orders?region=eu-west-1";

    fn spec(source: &str, target: &str, limits: &str) -> Spec {
        let table = |url: &str| if url.starts_with("dynamodb") { "" } else { "table = \"orders\"\n" };
        format!(
            "migration = \"orders\"\n[source]\nurl = \"{source}\"\n{}[target]\nurl = \"{target}\"\n{}[limits]\n{limits}",
            table(source),
            table(target)
        )
        .parse()
        .unwrap()
    }

    fn cost(spec: &Spec, kind: v1::PassKind, sizes: [Estimate; 2], looked: &Looked) -> Cost {
        let plan = Plan::of(spec, kind, "operator:ada".to_owned());
        Cost::of(spec, &plan, Side::Source, sizes, looked)
    }

    fn sized(records: u64, bytes: u64) -> Estimate {
        Estimate { records: Some(records), bytes: Some(bytes) }
    }

    fn looked(checked: u64, bytes: u64) -> Looked {
        Looked { checked, bytes, timed: checked, took: Duration::from_secs(1), ..Looked::default() }
    }

    #[test]
    fn a_backfill_from_dynamodb_pays_for_one_scan_of_the_table() {
        let spec = spec(DYNAMODB, "mysql://u@h/shop", "");
        let sizes = [sized(1_000_000, 300_000_000), sized(0, 0)];
        let cost = cost(&spec, v1::PassKind::Full, sizes, &looked(10_000, 2_000_000));
        assert_eq!(cost.source, Some(Units { reads: 73_243, writes: 0 }));
        assert_eq!((cost.target, cost.records, cost.bytes), (None, 1_000_000, 300_000_000));
    }

    #[test]
    fn a_backfill_into_dynamodb_looks_each_record_up_and_writes_it() {
        let spec = spec("mysql://u@h/shop", DYNAMODB, "");
        let sizes = [sized(1_000, 1_500_000), sized(0, 0)];
        let cost = cost(&spec, v1::PassKind::Full, sizes, &looked(1_000, 1_500_000));
        assert_eq!((cost.source, cost.target), (None, Some(Units { reads: 1_000, writes: 2_000 })));
    }

    #[test]
    fn a_verification_scans_both_and_looks_both_up() {
        let spec = spec(DYNAMODB, "mysql://u@h/shop", "");
        let sizes = [sized(1_000, 4_096_000), sized(1_000, 9_000_000)];
        let cost = cost(&spec, v1::PassKind::Verify, sizes, &looked(1_000, 4_096_000));
        assert_eq!(cost.source, Some(Units { reads: 2_000, writes: 0 }));
        assert_eq!(cost.records, 2_000);
    }

    #[test]
    fn old_statistics_are_corrected_by_what_was_seen() {
        let spec = spec(DYNAMODB, "mysql://u@h/shop", "");
        let cost = cost(&spec, v1::PassKind::Full, [sized(0, 0), sized(0, 0)], &looked(500, 512_000));
        assert_eq!((cost.records, cost.bytes, cost.source.unwrap().reads), (500, 512_000, 125));
    }

    #[test]
    fn the_tightest_limit_decides_how_long_it_takes() {
        let sizes = [sized(100_000, 20_000_000), sized(0, 0)];
        let seen = looked(10_000, 2_000_000);
        for (limits, least_s, pace) in [
            ("", 10, Pace::Reading),
            ("rows_per_s = 500", 200, Pace::RowsPerS),
            ("rows_per_s = 500\nbytes_per_s = 50000", 400, Pace::BytesPerS),
            ("rows_per_s = 1000000", 10, Pace::Reading),
        ] {
            let cost = cost(&spec("sqlite:a.db", "sqlite:b.db", limits), v1::PassKind::Full, sizes, &seen);
            assert_eq!((cost.least, cost.pace), (Duration::from_secs(least_s), pace), "{limits}");
        }
    }

    #[test]
    fn an_empty_store_costs_nothing() {
        let spec = spec(DYNAMODB, "mysql://u@h/shop", "");
        let cost = cost(&spec, v1::PassKind::Full, [sized(0, 0); 2], &Looked::default());
        assert_eq!((cost.records, cost.bytes, cost.least), (0, 0, Duration::ZERO));
        assert_eq!(cost.source, Some(Units::default()));
    }
}
