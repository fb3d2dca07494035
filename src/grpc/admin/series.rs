//! What was reported over time, for charts, with the changes of the same time.

use cutover_proto::v1;
use tonic::Status;

use super::{Admin, progress};
use crate::{
    domain::{Event, Key},
    grpc::{convert, status},
    service::{HistoryQuery, WindowQuery, operate::now_ms},
};

const TEN_MINUTES_MS: u64 = 600_000;
/// Default number of points.
const POINTS: u32 = 600;
/// Maximum marks: more can't be told apart on a chart.
const MARKS_MAX: usize = 200;
/// Maximum events that are searched for them.
const EVENTS_MAX: u32 = 2_000;

/// Changes that show in what instances report.
const MARKED: &[&str] = &[
    "rollout",
    "step",
    "plan-step",
    "rollback",
    "hold",
    "observe",
    "acknowledge",
    "pause",
    "resume",
    "plan-pause",
    "confirm",
    "finish",
    "abandon",
];

pub(super) async fn series(admin: &Admin, request: v1::GetSeriesRequest) -> Result<v1::Series, Status> {
    let now_ms = now_ms();
    let v1::GetSeriesRequest { key, since_ms, until_ms, points } = request;
    let since_ms = if since_ms == 0 { now_ms.saturating_sub(TEN_MINUTES_MS) } else { since_ms };
    let points = if points == 0 { POINTS } else { points };
    let request = v1::GetProgressRequest { key, since_ms, until_ms, points, latencies: false };
    let key = admin.entry(&request.key)?.migration.key().clone();
    let grid = progress::grid(&request, now_ms).map_err(status::invalid)?;
    let query = WindowQuery { key: key.clone(), scale: grid.scale, from: grid.from_s, before: grid.before_s };
    let windows = admin.windows.windows(&query).await.map_err(status::store)?;
    let v1::Progress { width_ms, points } = progress::answer(&grid, windows, false);
    let until_ms = if until_ms == 0 { u64::MAX } else { until_ms };
    Ok(v1::Series {
        width_ms,
        points: points.into_iter().map(point).collect(),
        marks: marks(admin, &key, since_ms, until_ms).await?,
    })
}

fn point(point: v1::ProgressPoint) -> v1::SeriesPoint {
    let v1::Totals { hit, miss, not_found, backfill, .. } = point.totals.unwrap_or_default();
    let both = |store: &v1::StoreWindow| store.operation() == v1::Operation::Unspecified;
    let stores = point.stores.into_iter().filter(both).collect();
    v1::SeriesPoint { at_ms: point.at_ms, hit, miss, not_found, backfill, stores }
}

/// The newest ones of a span, oldest first.
async fn marks(admin: &Admin, key: &Key, since_ms: u64, until_ms: u64) -> Result<Vec<v1::Mark>, Status> {
    let (mut marks, mut before, mut searched, mut limit) = (Vec::new(), None, 0, 20);
    while searched < EVENTS_MAX && marks.len() < MARKS_MAX {
        let query = HistoryQuery { key: Some(key.clone()), before, limit, ..HistoryQuery::default() };
        let events = admin.operate.history(&query).await.map_err(status::store)?;
        let is_over =
            events.last().is_none_or(|oldest| oldest.at_ms < since_ms) || events.len() < limit as usize;
        before = events.last().map(|oldest| oldest.revision);
        searched += limit;
        // Charts that are live ask for the last seconds.
        limit = 200;
        let inside = events.into_iter().filter(|event| (since_ms..=until_ms).contains(&event.at_ms));
        marks.extend(inside.filter(|event| MARKED.contains(&event.change.as_str())).map(mark));
        if is_over {
            break;
        }
    }
    marks.truncate(MARKS_MAX);
    marks.reverse();
    Ok(marks)
}

fn mark(event: Event) -> v1::Mark {
    let v1::HistoryEvent { revision, at_ms, actor, reason, change, summary, trip, .. } =
        convert::history::event(event);
    // By what a verdict did, not by what it asked for: where a rollback would lose writes, it only pauses.
    let kind = match trip.map(|trip| trip.outcome()) {
        Some(v1::TripOutcome::RolledBack) => "trip".to_owned(),
        Some(v1::TripOutcome::Held) => "hold".to_owned(),
        _ => change,
    };
    v1::Mark { revision, at_ms, kind, actor, reason, summary }
}
