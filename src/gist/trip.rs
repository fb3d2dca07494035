//! What a guard saw, in words.

use cutover_core::text::{bad_outcome, short_span};
use cutover_proto::v1;

/// What a guard saw: counts first, then the rates.
pub fn trip_text(trip: &v1::Trip) -> String {
    let v1::Trip { target, target_bad, source, source_bad, onset_ms, .. } = trip;
    match trip.cause.as_str() {
        "instances_gone" => {
            let all = target + target_bad;
            return format!(
                "{target_bad} of {all} instances stopped reporting within 10 s, and are neither back nor replaced"
            );
        }
        "no_target_calls" => return format!("{target} calls went to the source and none to the target"),
        _ => {}
    }
    let operation = if trip.operation() == v1::Operation::Write { "writes" } else { "reads" };
    let did = bad_outcome(&trip.guard);
    let rate = |bad: u64, of: u64| (bad as f64 * 100.0 / of.max(1) as f64 * 100.0).round() / 100.0;
    let tenant = if trip.tenant.is_empty() { String::new() } else { format!(" of tenant {}", trip.tenant) };
    let mut text = format!(
        "{target_bad} of {target} target {operation}{tenant} {did} within {} ({} %",
        short_span(*onset_ms),
        rate(*target_bad, *target)
    );
    if let Some(limit) = trip.limit {
        text.push_str(&format!(", limit {} %", (limit * 1_000_000.0).round() / 10_000.0));
    }
    if *source > 0 {
        text.push_str(&format!(", source {source_bad} of {source}"));
    }
    text.push(')');
    match trip.cause.as_str() {
        "common_mode" => text.push_str("; the source fails as well"),
        "one_instance" => text.push_str("; all of it at one instance"),
        "escalation" => text.push_str("; several tenants have tripped"),
        _ => {}
    }
    text
}
