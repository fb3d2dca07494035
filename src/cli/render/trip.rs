//! Trips and guards as scripts see them.

use cutover_proto::v1;
use serde_json::{Value, json};

/// A trip as scripts see it.
pub(in crate::cli) fn trip_json(trip: &v1::Trip) -> Value {
    let outcome = match trip.outcome() {
        v1::TripOutcome::Unspecified | v1::TripOutcome::RolledBack => "rolled_back",
        v1::TripOutcome::Held => "held",
        v1::TripOutcome::Observed => "observed",
    };
    let to = (trip.rolled_back_to != 0).then(|| super::rung(trip.rolled_back_to));
    json!({
        "revision": trip.revision, "at_ms": trip.at_ms, "guard": trip.guard,
        "operation": operation(trip.operation()), "tenant": trip.tenant, "outcome": outcome,
        "rolled_back_to": to, "cause": trip.cause, "summary": trip.summary, "onset_ms": trip.onset_ms,
        "target": trip.target, "target_bad": trip.target_bad, "source": trip.source,
        "source_bad": trip.source_bad, "ln_m": trip.ln_m, "ln_c": trip.ln_c, "phi": trip.phi,
        "limit": trip.limit, "tenants": trip.tenants, "instances": trip.instances, "errors": trip.errors,
    })
}

/// Reads, writes, or both: empty.
pub(in crate::cli) fn operation(operation: v1::Operation) -> &'static str {
    match operation {
        v1::Operation::Unspecified => "",
        v1::Operation::Read => "read",
        v1::Operation::Write => "write",
    }
}
