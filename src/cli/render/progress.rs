//! What was reported, over time: a table, lines, or objects.

use std::{
    fmt::Display,
    time::{Duration, UNIX_EPOCH},
};

use cutover_proto::v1;
use serde_json::{Value, json};

use super::{rollout_json, span};

/// Characters of a bar.
const BAR: u64 = 12;

fn store(window: &v1::StoreWindow) -> &'static str {
    if window.store() == v1::StoreRole::Source { "source" } else { "target" }
}

fn operation(window: &v1::StoreWindow) -> &'static str {
    match window.operation() {
        v1::Operation::Unspecified => "all",
        v1::Operation::Read => "read",
        v1::Operation::Write => "write",
    }
}

/// `2026-11-26T14:30:00Z`
fn time(at_ms: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(at_ms)).to_string()
}

fn ms(us: u64) -> String {
    let ms = us as f64 / 1_000.0;
    if ms < 100.0 { format!("{ms:.1}") } else { format!("{ms:.0}") }
}

/// Six characters at most.
fn short(count: u64) -> String {
    let value = count as f64;
    match count {
        0..=9_999 => count.to_string(),
        10_000..=9_999_999 => format!("{:.1}k", value / 1e3),
        10_000_000..=9_999_999_999 => format!("{:.1}M", value / 1e6),
        10_000_000_000..=999_999_999_999 => format!("{:.1}G", value / 1e9),
        _ => format!("{value:.0e}"),
    }
}

/// `-` of nothing.
fn share(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.2}", part as f64 * 100.0 / whole as f64) }
}

/// One point as scripts see it.
pub(in crate::cli) fn progress_json(key: &str, width_ms: u64, point: &v1::ProgressPoint) -> Value {
    let totals = point.totals.unwrap_or_default();
    let store = |window: &v1::StoreWindow| {
        json!({
            "store": store(window), "operation": operation(window), "calls": window.calls,
            "errors": window.errors, "p50_us": window.p50_us, "p90_us": window.p90_us, "p99_us": window.p99_us,
            "latency_us": window.latency_us.as_ref().map(|of| json!({ "index": of.index, "count": of.count })),
        })
    };
    json!({
        "migration": key, "at_ms": point.at_ms, "width_ms": width_ms, "revision": point.revision,
        "rollout": rollout_json(point.rollout.as_ref()),
        "hit": totals.hit, "miss": totals.miss, "not_found": totals.not_found, "migrated": totals.migrated,
        "backfill": totals.backfill, "repaired": totals.repaired, "mismatch": totals.mismatch,
        "compared": totals.compared, "lacking": totals.lacking, "both_ok": totals.both_ok,
        "only_target_failed": totals.only_target_failed, "only_source_failed": totals.only_source_failed,
        "both_failed": totals.both_failed, "indeterminate": totals.indeterminate,
        "not_applied": totals.not_applied, "unavailable": totals.unavailable,
        "stores": point.stores.iter().map(store).collect::<Vec<_>>(),
    })
}

/// Columns of the table with everything.
const WIDE: usize = 127;

/// All points, a row each, oldest first; a gap is told. A terminal of fewer columns than [`WIDE`] gets what matters
/// most, in 80 columns.
pub(in crate::cli) fn progress_table(key: &str, progress: &v1::Progress, columns: usize) -> Vec<String> {
    let (width, is_wide) = (span(Duration::from_millis(progress.width_ms)), columns >= WIDE);
    let mut table =
        vec![format!("{key}, {width} a row, UTC  █ target-only ▓ target-first ▒ dual · source-only")];
    table.extend(if is_wide { wide_head() } else { narrow_head() });
    let mut due_ms = progress.points.first().map_or(0, |first| first.at_ms);
    for point in &progress.points {
        if point.at_ms > due_ms {
            let gap = span(Duration::from_millis(point.at_ms - due_ms));
            table.push(format!("{:<11} nothing was reported for {gap}", ""));
        }
        due_ms = point.at_ms + progress.width_ms;
        table.push(if is_wide { wide(point, progress.width_ms) } else { narrow(point, progress.width_ms) });
    }
    table.iter().map(|line| line.trim_end().to_owned()).collect()
}

fn wide_head() -> [String; 2] {
    [
        wide_line(["", "", "", "reads", "", "", "", "", "source", "", "", "target", "", ""]),
        wide_line([
            "time",
            "rev",
            "tenants",
            "hit %",
            "miss",
            "migrated",
            "backfill",
            "differ",
            "calls",
            "err %",
            "p50/p99 ms",
            "calls",
            "err %",
            "p50/p99 ms",
        ]),
    ]
}

fn wide_line<T: Display>(cells: [T; 14]) -> String {
    let [at, revision, tenants, hit, miss, migrated, backfill, differ, rest @ ..] = cells;
    let [calls, errors, latency, target_calls, target_errors, target_latency] = rest;
    format!(
        "{at:<11} {revision:>5}  {tenants:<12} {hit:>7} {miss:>6} {migrated:>8} {backfill:>8} {differ:>6}  \
         {calls:>7} {errors:>6} {latency:>11}  {target_calls:>7} {target_errors:>6} {target_latency:>11}"
    )
}

fn narrow_head() -> [String; 2] {
    [
        narrow_line(["", "", "", "reads", "", "source", "", "target", "", ""]),
        narrow_line([
            "time", "rev", "tenants", "hit %", "miss", "calls", "err %", "calls", "err %", "p99 ms",
        ]),
    ]
}

fn narrow_line<T: Display>(cells: [T; 10]) -> String {
    let [at, revision, tenants, hit, miss, calls, errors, target_calls, target_errors, latency] = cells;
    format!(
        "{at:<11} {revision:>5} {tenants:<12} {hit:>6} {miss:>6} {calls:>6} {errors:>5} {target_calls:>6} \
         {target_errors:>5} {latency:>6}"
    )
}

/// The day and the minute; seconds where rows are shorter than a minute.
fn at(point: &v1::ProgressPoint, width_ms: u64) -> String {
    let at = time(point.at_ms);
    if width_ms < 60_000 { at[11..19].to_owned() } else { at[5..16].replace('T', " ") }
}

/// All calls of one store. `None`: there were none.
fn all(point: &v1::ProgressPoint, role: v1::StoreRole) -> Option<&v1::StoreWindow> {
    point.stores.iter().find(|window| window.store() == role && window.operation == 0)
}

/// Calls, errors and latencies of one store.
fn store_cells(point: &v1::ProgressPoint, role: v1::StoreRole) -> [String; 3] {
    let Some(window) = all(point, role) else { return ["-"; 3].map(str::to_owned) };
    let latency = format!("{}/{}", ms(window.p50_us), ms(window.p99_us));
    [short(window.calls), share(window.errors, window.calls), latency]
}

/// What both tables begin with: the time, the revision, where tenants were, and their reads.
fn first_cells(point: &v1::ProgressPoint, width_ms: u64) -> [String; 5] {
    let totals = point.totals.unwrap_or_default();
    [
        at(point, width_ms),
        format!("r{}", point.revision),
        bar(point.rollout.unwrap_or_default()),
        share(totals.hit, totals.hit + totals.miss),
        short(totals.miss),
    ]
}

fn wide(point: &v1::ProgressPoint, width_ms: u64) -> String {
    let totals = point.totals.unwrap_or_default();
    let [at, revision, tenants, hit, miss] = first_cells(point, width_ms);
    let [calls, errors, latency] = store_cells(point, v1::StoreRole::Source);
    let [target_calls, target_errors, target_latency] = store_cells(point, v1::StoreRole::Target);
    let [migrated, backfill, differ] = [totals.migrated, totals.backfill, totals.mismatch].map(short);
    wide_line([
        at,
        revision,
        tenants,
        hit,
        miss,
        migrated,
        backfill,
        differ,
        calls,
        errors,
        latency,
        target_calls,
        target_errors,
        target_latency,
    ])
}

fn narrow(point: &v1::ProgressPoint, width_ms: u64) -> String {
    let [at, revision, tenants, hit, miss] = first_cells(point, width_ms);
    let less = |errors: String| errors.chars().take(5).collect();
    let [calls, errors, _] = store_cells(point, v1::StoreRole::Source);
    let [target_calls, target_errors, _] = store_cells(point, v1::StoreRole::Target);
    let latency = all(point, v1::StoreRole::Target).map_or("-".to_owned(), |window| ms(window.p99_us));
    narrow_line([
        at,
        revision,
        tenants,
        hit,
        miss,
        calls,
        less(errors),
        target_calls,
        less(target_errors),
        latency,
    ])
}

/// Where tenants stand; whoever has left a rung has at least a sliver.
fn bar(rollout: v1::Rollout) -> String {
    let upto = |ppm: u32| (u64::from(ppm) * BAR).div_ceil(1_000_000) as usize;
    let ends = [upto(rollout.target_only_ppm), upto(rollout.target_first_ppm), upto(rollout.dual_ppm)];
    let sign = |at: usize| {
        let rung = ends.iter().position(|end| at < *end);
        rung.map_or('·', |rung| ['█', '▓', '▒'][rung])
    };
    (0..BAR as usize).map(sign).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at_ms: u64) -> v1::ProgressPoint {
        let window = |store: v1::StoreRole, errors| v1::StoreWindow {
            store: store.into(),
            calls: 12_345,
            errors,
            p50_us: 1_200,
            p99_us: 250_000,
            ..Default::default()
        };
        v1::ProgressPoint {
            at_ms,
            revision: 12,
            rollout: Some(v1::Rollout {
                dual_ppm: 1_000_000,
                target_first_ppm: 250_000,
                ..Default::default()
            }),
            totals: Some(v1::Totals { hit: 3, miss: 1, ..Default::default() }),
            stores: vec![window(v1::StoreRole::Source, 0), window(v1::StoreRole::Target, 123)],
        }
    }

    #[test]
    fn a_row_tells_where_tenants_were_and_how_both_stores_did_and_a_gap_is_told() {
        let half_hour = 1_800_000;
        let at_ms = 1_764_201_600_000;
        let points = vec![point(at_ms), point(at_ms + 3 * half_hour)];
        let progress = v1::Progress { width_ms: half_hour, points };
        let table = progress_table("orders", &progress, usize::MAX);
        assert!(table[0].starts_with("orders, 30m a row"), "{table:#?}");
        let row = "11-27 00:00   r12  ▓▓▓▒▒▒▒▒▒▒▒▒   75.00      1        0        0      0    12.3k   0.00     1.2/250    12.3k   1.00     1.2/250";
        assert_eq!(table[3], row);
        assert_eq!(table[4].trim(), "nothing was reported for 1h");
        assert_eq!(table.len(), 6);
        let width = |line: &String| console::measure_text_width(line);
        assert_eq!((width(&table[2]), width(&table[3])), (WIDE, WIDE), "the head stands over its columns");
        let table = progress_table("orders", &progress, 80);
        let row = "11-27 00:00   r12 ▓▓▓▒▒▒▒▒▒▒▒▒  75.00      1  12.3k  0.00  12.3k  1.00    250";
        assert_eq!(table[3], row);
        assert!(table.iter().all(|line| width(line) <= 80), "{table:#?}");
        assert_eq!(width(&table[2]), width(&table[3]));
    }
}
