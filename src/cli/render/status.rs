//! The status page.

use cutover_proto::v1;
use serde_json::{Value, json};

use super::{instance_json, migration_json, migration_lines, rung, waiting_json, waiting_line};
use crate::{
    cli::percent,
    gist::{self, gist},
    view::{instance, wrap},
};

/// Characters of the shares' bar.
const BAR: u64 = 30;
/// Lines for instances.
const INSTANCES_MAX: usize = 13;

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
    let said = gist(status, gist::at);
    json!({
        "summary": said.what, "next": said.next, "standing": said.standing,
        "migration": status.migration.as_ref().map(migration_json), "settled": status.settled, "at_ms": status.at_ms,
        "plan": status.plan.as_ref().map(super::plan::view_json),
        "waiting": status.waiting.iter().map(waiting_json).collect::<Vec<_>>(),
        "instances": status.instances.iter().map(instance_json).collect::<Vec<_>>(),
        "callers": status.callers.map(|callers| json!({
            "asked_ms": callers.asked_ms, "applied_revision": callers.applied_revision,
            "settled": callers.settled, "waited_for_ms": callers.waited_for_ms,
        })),
        "endpoints": status.endpoints.iter().map(endpoint_json).collect::<Vec<_>>(),
        "rates": status.rates.iter().map(rate).collect::<Vec<_>>(),
        "totals": {
            "hit": totals.hit, "miss": totals.miss, "not_found": totals.not_found, "migrated": totals.migrated,
            "backfill": totals.backfill, "repaired": totals.repaired, "mismatch": totals.mismatch,
            "compared": totals.compared, "indeterminate": totals.indeterminate, "not_applied": totals.not_applied,
            "unavailable": totals.unavailable, "dropped_cells": totals.dropped_cells,
        },
    })
}

fn endpoint_json(endpoint: &v1::Endpoint) -> Value {
    json!({
        "name": endpoint.name, "failing_ms": Some(endpoint.failing_ms).filter(|ms| *ms > 0),
        "answer": endpoint.answer, "waiting": endpoint.waiting, "dropped": endpoint.dropped,
        "set_aside": endpoint.set_aside,
        "last_set_aside": Some(&endpoint.last_set_aside).filter(|about| !about.is_empty()),
    })
}

/// The page; lines are at most `width` columns where they can be broken.
pub(in crate::cli) fn status_page(status: &v1::Status, width: usize) -> Vec<String> {
    let said = gist(status, gist::ago);
    let mut page = wrap(&said.line(), width);
    page.push(String::new());
    let mut push = |line: String| page.extend(wrap(&line, width));
    if let Some(migration) = &status.migration {
        push(format!("  state  {}, revision {}", said.standing, migration.revision));
        migration_lines(migration).into_iter().for_each(&mut push);
    }
    push(String::new());
    for share in &status.shares {
        let filled = (u64::from(share.ppm) * BAR).div_ceil(1_000_000) as usize;
        let (full, rest) = ("█".repeat(filled), "·".repeat(BAR as usize - filled));
        push(format!("  {:<12} {full}{rest} {:>8} %", rung(share.rung), percent::text(share.ppm)));
    }
    if !status.waiting.is_empty() {
        push(String::new());
        gist::together(&status.waiting)
            .iter()
            .for_each(|waiting| push(format!("  waits  {}", waiting_line(waiting))));
    }
    if let Some(view) = &status.plan {
        push(String::new());
        super::plan::in_short(view).iter().for_each(|line| push(format!("  plan   {line}")));
    }
    status.jobs.iter().for_each(|job| push(format!("  pass   {}", gist::pass(job))));
    let endpoints = status.endpoints.iter().flat_map(gist::endpoint);
    endpoints.for_each(|line| push(format!("  notify {line}")));
    let totals = status.totals.unwrap_or_default();
    push(String::new());
    push(format!(
        "  reads at target-first: hit {}, miss {}, not found {}, migrated {}; mismatch {} of {} compared",
        totals.hit, totals.miss, totals.not_found, totals.migrated, totals.mismatch, totals.compared
    ));
    push(format!(
        "  failed operations: {} unknown outcome, {} not written, {} refused",
        totals.indeterminate, totals.not_applied, totals.unavailable
    ));
    let ms = |us: u64| us as f64 / 1000.0;
    status.rates.iter().for_each(|rate| {
        push(format!(
            "  {:<6} {:<5} {:>8.1} calls/s, {:>6.1} errors/s, p50 {:.1} ms, p99 {:.1} ms",
            store(rate),
            operation(rate),
            rate.calls_per_s,
            rate.errors_per_s,
            ms(rate.p50_us),
            ms(rate.p99_us)
        ));
    });
    push(String::new());
    push(format!("  {}", instance::registered(status)));
    let key = status.migration.as_ref().map_or("", |migration| migration.key.as_str());
    page.extend(instance::lines(key, &status.instances, INSTANCES_MAX, width));
    page
}
