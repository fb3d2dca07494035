//! The history is kept within bounds: what has expired is dropped in the background, a part at a time.

use std::{sync::Arc, time::Duration};

use cutover_clock::Instant;

use super::{Registry, once::Once, operate::now_ms};
use crate::store::{CursorRecord, Error, Expired, Store};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(3_600);
/// Most events of one transaction.
const PART: u32 = 500;
/// Commits get at least this time between two parts, and four times as long as a part took.
const PAUSE: Duration = Duration::from_millis(20);

const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// How much of the history is kept: whichever is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Events are kept for so many days.
    pub days: u32,
    /// So many events are kept.
    pub events: u64,
}

/// Drops what has expired, until the process ends.
pub async fn run(store: Arc<dyn Store>, registry: Arc<Registry>, limits: HistoryLimits) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut once = Once::default();
    loop {
        ticks.tick().await;
        let dropped = match drop_expired(&*store, &registry, limits).await {
            Ok(None) => Ok(()),
            Ok(Some(cursor)) => Err(format!(
                "endpoint {} has not received notifications since revision {}; the history is kept for it. Repair \
                 the endpoint, or remove it and restart the controller",
                cursor.endpoint, cursor.revision
            )),
            Err(error) => Err(format!("could not drop old history: {error}; retrying")),
        };
        if once.is_news(&dropped)
            && let Err(reason) = dropped
        {
            tracing::warn!("{reason}");
        }
    }
}

/// Gives the endpoint that more is kept for.
async fn drop_expired(
    store: &dyn Store,
    registry: &Registry,
    limits: HistoryLimits,
) -> Result<Option<CursorRecord>, Error> {
    let mut events = 0;
    loop {
        // A wall clock that jumps ahead makes nothing old.
        let aged_ms = now_ms().min(registry.steady_ms());
        let newest = registry.state().revision;
        let expired = Expired {
            through: newest.saturating_sub(limits.events),
            before_ms: aged_ms.saturating_sub(u64::from(limits.days) * DAY_MS),
            below: newest,
            limit: PART,
            now_ms: now_ms(),
        };
        let began = Instant::now();
        let compacted = store.compact(&expired).await?;
        if compacted.events == 0 {
            if events > 0 {
                tracing::info!(events, "dropped old history; cutover history says where it begins now");
            }
            return Ok(compacted.held_by);
        }
        events += u64::from(compacted.events);
        tokio::time::sleep(PAUSE.max(began.elapsed() * 4)).await;
    }
}
