//! What was reported over time, as messages.

use cutover_core::histogram::Histogram;
use cutover_proto::v1;

use super::convert;
use crate::{
    domain::{Counts, Grid, Violation},
    telemetry::SLOTS,
};

const DAY_MS: u64 = 24 * 3_600 * 1_000;
/// Default number of points.
const POINTS: u32 = 48;
const POINTS_MAX: u32 = 1_000;

/// The requested points.
pub(super) fn grid(request: &v1::GetProgressRequest, now_ms: u64) -> Result<Grid, Violation> {
    let until_ms = if request.until_ms == 0 { now_ms } else { request.until_ms };
    let since_ms = if request.since_ms == 0 { now_ms.saturating_sub(DAY_MS) } else { request.since_ms };
    if since_ms > until_ms.min(now_ms) {
        let message = format!("{since_ms} is after the end, or in the future: give an earlier time");
        return Err(Violation::new("since_ms", message));
    }
    let points = if request.points == 0 { POINTS } else { request.points.min(POINTS_MAX) };
    Ok(Grid::of(since_ms / 1_000, until_ms.div_ceil(1_000), now_ms / 1_000, points.into()))
}

/// `latencies`: include histograms.
pub(super) fn answer(grid: &Grid, windows: Vec<(u64, Counts)>, latencies: bool) -> v1::Progress {
    let point = |(at_s, counts): (u64, Counts)| v1::ProgressPoint {
        at_ms: at_s.saturating_mul(1_000),
        revision: counts.revision,
        rollout: Some(convert::rollout(&counts.rollout)),
        totals: Some(convert::totals(&counts.events, 0)),
        stores: stores(&counts, latencies),
    };
    v1::Progress {
        width_ms: grid.width_s * 1_000,
        points: grid.points(windows).into_iter().map(point).collect(),
    }
}

/// Each store's reads, writes, and both together.
fn stores(counts: &Counts, latencies: bool) -> Vec<v1::StoreWindow> {
    let mut stores = Vec::new();
    for role in [v1::StoreRole::Source, v1::StoreRole::Target] {
        let mut both = v1::StoreWindow { store: role.into(), ..Default::default() };
        let mut latency = Histogram::default();
        for ((store, operation), calls) in SLOTS.iter().zip(&counts.calls) {
            if *store != role || calls.calls == 0 {
                continue;
            }
            let of = Histogram::from(calls.latency.counts());
            both.calls = both.calls.saturating_add(calls.calls);
            both.errors = both.errors.saturating_add(calls.errors);
            latency.merge(&of);
            let (calls, errors) = (calls.calls, calls.errors);
            let latency_us = (latencies && of.total() > 0).then(|| (&of).into());
            let operation = (*operation).into();
            let window = v1::StoreWindow {
                store: role.into(),
                operation,
                calls,
                errors,
                latency_us,
                ..Default::default()
            };
            stores.push(with_latency(window, &of));
        }
        stores.extend((both.calls > 0).then(|| with_latency(both, &latency)));
    }
    stores
}

fn with_latency(window: v1::StoreWindow, latency: &Histogram) -> v1::StoreWindow {
    let quantile = |q| latency.quantile(q).unwrap_or(0);
    v1::StoreWindow { p50_us: quantile(0.5), p90_us: quantile(0.9), p99_us: quantile(0.99), ..window }
}
