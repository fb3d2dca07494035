//! The status page.

use cutover_proto::v1;
use serde_json::{Value, json};

use super::{instance_json, instance_line, migration_json, migration_page, rung, waiting_json, waiting_line};
use crate::cli::{percent, plan};

/// Characters of the shares' bar.
const BAR: u64 = 40;
/// Most instances on a page.
const INSTANCES_MAX: usize = 12;

fn store(rate: &v1::StoreRate) -> &'static str {
    if rate.store() == v1::StoreRole::Source { "source" } else { "target" }
}

fn operation(rate: &v1::StoreRate) -> &'static str {
    if rate.operation() == v1::Operation::Read { "read" } else { "write" }
}

pub(in crate::cli) fn status_json(status: &v1::Status) -> Value {
    let totals = status.totals.unwrap_or_default();
    let rate = |rate: &v1::StoreRate| {
        json!({
            "store": store(rate), "operation": operation(rate), "calls_per_s": rate.calls_per_s,
            "errors_per_s": rate.errors_per_s, "p50_us": rate.p50_us, "p99_us": rate.p99_us,
        })
    };
    json!({
        "migration": status.migration.as_ref().map(migration_json), "settled": status.settled, "at_ms": status.at_ms,
        "plan": status.plan.as_ref().map(plan::view_json),
        "waiting": status.waiting.iter().map(waiting_json).collect::<Vec<_>>(),
        "instances": status.instances.iter().map(instance_json).collect::<Vec<_>>(),
        "rates": status.rates.iter().map(rate).collect::<Vec<_>>(),
        "totals": {
            "hit": totals.hit, "miss": totals.miss, "not_found": totals.not_found, "migrated": totals.migrated,
            "backfill": totals.backfill, "repaired": totals.repaired, "mismatch": totals.mismatch,
            "compared": totals.compared, "indeterminate": totals.indeterminate, "not_applied": totals.not_applied,
            "unavailable": totals.unavailable, "dropped_cells": totals.dropped_cells,
        },
    })
}

pub(in crate::cli) fn status_page(status: &v1::Status) -> Vec<String> {
    let mut page = status.migration.as_ref().map(migration_page).unwrap_or_default();
    page.push(String::new());
    for share in &status.shares {
        let filled = (u64::from(share.ppm) * BAR).div_ceil(1_000_000) as usize;
        let bar = "#".repeat(filled);
        page.push(format!("  {:<12} {bar:<40} {} %", rung(share.rung), percent::text(share.ppm)));
    }
    if !status.waiting.is_empty() {
        page.push(String::new());
        page.extend(status.waiting.iter().map(|waiting| format!("  waits  {}", waiting_line(waiting))));
    }
    if let Some(view) = &status.plan {
        page.push(String::new());
        page.extend(plan::in_short(view).iter().map(|line| format!("  plan   {line}")));
    }
    let totals = status.totals.unwrap_or_default();
    page.push(String::new());
    page.push(format!(
        "  reads  hit {}  miss {}  not found {}  migrated {}  mismatch {} of {} compared",
        totals.hit, totals.miss, totals.not_found, totals.migrated, totals.mismatch, totals.compared
    ));
    page.push(format!(
        "  ends   indeterminate {}  not applied {}  unavailable {}",
        totals.indeterminate, totals.not_applied, totals.unavailable
    ));
    page.extend(status.rates.iter().map(|rate| {
        format!(
            "  {:<6} {:<5}  {:>8.1} calls/s  {:>6.1} errors/s  p50 {} us  p99 {} us",
            store(rate),
            operation(rate),
            rate.calls_per_s,
            rate.errors_per_s,
            rate.p50_us,
            rate.p99_us
        )
    }));
    page.push(String::new());
    let settled = if status.settled { "everybody has settled" } else { "not everybody has settled" };
    page.push(format!("  {} instances, {settled}", status.instances.len()));
    page.extend(
        status.instances.iter().take(INSTANCES_MAX).map(|instance| format!("  {}", instance_line(instance))),
    );
    page
}
