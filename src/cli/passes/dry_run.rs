//! What a pass would do, and whether the records would come through: said before anything moves.

use std::{process::ExitCode, sync::Arc, time::Duration};

use cutover_proto::v1;
use cutover_store::{Estimate, Store, spec::Spec};
use serde_json::{Value, json};

use super::{
    super::{Global, out, render},
    expiring,
};
use crate::jobs::{
    Plan, Stores,
    cost::{Cost, Pace, Units},
    sample,
    side::Side,
};

/// Reasons that a terminal lists without `--full`.
const PLACES_SHOWN: usize = 10;

/// The stores that are there.
pub(super) enum Opened {
    Both(Stores),
    /// The target has yet to be created.
    SourceAlone(Arc<dyn Store>),
}

/// `verb`: what it would do to records. `all`: look at every record. `no_ledger`: why the source was opened without its
/// ledger. Fails if records that were looked at do not fit.
pub(super) async fn say(
    global: &Global,
    verb: &str,
    spec: &Spec,
    opened: &Opened,
    plan: &Plan,
    all: bool,
    no_ledger: Option<&str>,
) -> anyhow::Result<ExitCode> {
    let (stores, source) = match opened {
        Opened::Both(stores) => (Some(stores), &stores.source),
        Opened::SourceAlone(source) => (None, source),
    };
    let target = match stores {
        Some(stores) => stores.target.estimate().await?,
        None => Estimate { records: Some(0), bytes: Some(0) },
    };
    let (side, scanned) = match (plan.kind, stores) {
        (v1::PassKind::Reverse, Some(stores)) => (Side::Target, &stores.target),
        _ => (Side::Source, source),
    };
    let other = stores.map(|stores| stores.side(side.other()));
    let tables = match stores {
        Some(stores) => stores.tables().await?,
        None => [source.identity().await?.map(|identity| identity.place), None],
    };
    let warnings = match stores {
        Some(stores) => {
            json!({ "source": source.warnings().await?, "target": stores.target.warnings().await? })
        }
        None => json!({ "source": source.warnings().await? }),
    };
    let removes_by =
        [expiring::told(Some(&**source)).await?, expiring::told(stores.map(|stores| &*stores.target)).await?];
    let unmapped = scanned.unmapped().await?;
    let unmapped_there = match other {
        Some(other) => other.unmapped().await?,
        None => Vec::new(),
    };
    let looked = sample::look(spec, side, &**scanned, other, all).await?;
    let source = source.estimate().await?;
    let cost = Cost::of(spec, plan, side, [source, target], &looked);
    if global.json {
        out::json(&json!({
            "migration": spec.migration,
            "source": tables[0],
            "target": tables[1],
            "source_records": source.records,
            "target_records": target.records,
            "target_exists": stores.is_some(),
            "segments": plan.segments,
            "fingerprint": plan.fingerprint,
            "unmapped": unmapped,
            "unmapped_there": unmapped_there,
            "warnings": warnings,
            "no_ledger": no_ledger,
            "expires": expiring::to_json(spec, &removes_by),
            "checked": looked.checked,
            "misfits": looked.misfits,
            "empty_columns": looked.empty,
            "unstamped_versions": looked.counters,
            "estimate": estimate_json(&cost),
            "reasons": looked.places.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }));
    } else {
        let (of_scanned, other, of_other) = match side {
            Side::Source => (source.records, Side::Target, target.records),
            Side::Target => (target.records, Side::Source, source.records),
        };
        let can_t_tell = "it can't tell which table it is";
        out::line(&format!("source: {}", tables[0].as_deref().unwrap_or(can_t_tell)));
        let target = tables[1].as_deref().unwrap_or(can_t_tell);
        let absent = "not there yet: run this with --create-tables, which creates its table";
        out::line(&format!("target: {}", if stores.is_some() { target } else { absent }));
        let about = |records: Option<u64>| match records {
            None => "an unknown number of records".to_owned(),
            Some(1) => render::records(1),
            Some(count) => format!("about {}", render::records(count)),
        };
        let segments = match (plan.segments, plan.on_target) {
            (1, _) => "1 segment".to_owned(),
            (segments, on_target) if on_target > 0 && on_target < segments => {
                format!("{segments} segments, {on_target} of them of the target")
            }
            (segments, _) => format!("{segments} segments"),
        };
        let has = match stores {
            Some(_) => format!("; the {} has {}", other.name(), about(of_other)),
            None => String::new(),
        };
        let of_scanned = about(of_scanned);
        out::line(&format!("would {verb} {of_scanned} in {segments}{has}; nothing was copied"));
        estimate_lines(&cost).iter().for_each(|line| out::line(line));
        expiring::line(spec, &removes_by).iter().for_each(|line| out::line(line));
        left_behind(spec, side, &unmapped).iter().for_each(|line| out::line(line));
        kept(side.other(), &unmapped_there).iter().for_each(|line| out::line(line));
        let (checked, misfits) = (looked.checked, looked.misfits);
        let verdict = match misfits {
            0 => "all fit and come back as they are".to_owned(),
            1 => "1 does not fit:".to_owned(),
            some => format!("{some} do not fit:"),
        };
        let records = render::records(checked);
        out::line(&format!("checked {records} of the {}: {verdict}", side.name()));
        let shown = if all { looked.places.len() } else { PLACES_SHOWN };
        looked.places.iter().take(shown).for_each(|place| out::line(&format!("  {place}")));
        looked.empty.iter().for_each(|column| out::line(&format!("  {column}")));
        let told: u64 = looked.places.iter().take(shown).map(|place| place.records).sum();
        let reasons = looked.places.len().saturating_sub(shown);
        let records = render::records(misfits.saturating_sub(told));
        if misfits > told && reasons == 0 {
            out::line(&format!("  and {records} for further reasons"));
        } else if misfits > told {
            out::line(&format!("  and {records} for {reasons} other reasons, which --full and --json list"));
        }
        if let Some(counter) = &looked.counter {
            let records = render::records(looked.counters);
            out::line(&format!(
                "  {records} with a version that no SDK has stamped, such as {counter}. If it is the application's counter, name \
                 another field in the spec (version = \"...\"), because the SDK would overwrite it"
            ));
        }
    }
    Ok(if looked.misfits == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says which columns a pass does not copy.
pub(super) fn left_behind(spec: &Spec, side: Side, unmapped: &[String]) -> Option<String> {
    let store = side.section(spec);
    let side = side.name();
    let section = match store.types.is_empty() {
        true => format!("[[{side}.columns]]"),
        false => format!("[[{side}.types.columns]] of the record type with the key prefix before the column"),
    };
    (!unmapped.is_empty()).then(|| {
        format!(
            "warning: these columns of the {side} are not mapped, so they are NOT copied: {}. Map them under {section}, \
             unless they are to be left behind",
            unmapped.join(", ")
        )
    })
}

/// Says which columns a pass does not write, in the store that it writes.
pub(super) fn kept(side: Side, unmapped: &[String]) -> Option<String> {
    (!unmapped.is_empty()).then(|| {
        format!(
            "warning: these columns of the {} are not mapped, so they keep what they hold, also for records that are \
             written anew: {}",
            side.name(),
            unmapped.join(", ")
        )
    })
}

/// What the pass would cost, for people.
fn estimate_lines(cost: &Cost) -> Vec<String> {
    let records = render::records(cost.records);
    let mut lines = vec![format!("estimate: {records} scanned, {}", size(cost.bytes))];
    for (side, units) in [("source", cost.source), ("target", cost.target)] {
        let Some(Units { reads, writes }) = units else { continue };
        lines.push(format!(
            "estimate: DynamoDB {side}, at most {reads} read units (strongly consistent) and {writes} write units"
        ));
    }
    let because = match cost.pace {
        Pace::RowsPerS => "the limit rows_per_s",
        Pace::BytesPerS => "the limit bytes_per_s",
        Pace::Reading => "reading as fast as this check did; writing may take longer",
    };
    lines.push(match whole_s(cost) {
        0 => "estimate: less than 1s".to_owned(),
        least_s => format!("estimate: at least {}, {because}", render::span(Duration::from_secs(least_s))),
    });
    lines
}

fn estimate_json(cost: &Cost) -> Value {
    let reads = |units: Option<Units>| units.map(|units| units.reads);
    let writes = |units: Option<Units>| units.map(|units| units.writes);
    json!({
        "records": cost.records,
        "bytes": cost.bytes,
        "source_read_units": reads(cost.source),
        "source_write_units": writes(cost.source),
        "target_read_units": reads(cost.target),
        "target_write_units": writes(cost.target),
        "at_least_s": whole_s(cost),
    })
}

fn whole_s(cost: &Cost) -> u64 {
    cost.least.as_millis().div_ceil(1000) as u64
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} KB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
