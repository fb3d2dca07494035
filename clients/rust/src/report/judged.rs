//! Calls that the local guard judges: counted a second time, and only while the controller is away.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;

use super::{
    Operation, Origin, Outcome, StoreRole,
    cell::{LANES, lane},
};
use crate::guard::{Calls, Slot};

/// The migrations whose calls are judged now. While there are none, the hot path costs one load.
#[derive(Debug, Default)]
pub(crate) struct AllJudged(ArcSwapOption<Vec<Arc<Judged>>>);

/// Calls of one migration, decided under one revision.
#[derive(Debug)]
pub(crate) struct Judged {
    migration: String,
    revision: u64,
    lanes: [Lane; LANES],
}

#[derive(Debug, Default)]
struct Lane {
    ended: AtomicU64,
    failed: AtomicU64,
}

impl AllJudged {
    /// Counts these from now on; an empty list stops counting.
    pub(crate) fn set(&self, judged: Vec<Arc<Judged>>) {
        self.0.store((!judged.is_empty()).then(|| Arc::new(judged)));
    }

    pub(super) fn record(&self, origin: Origin<'_>, outcomes: &[Outcome]) {
        let all = self.0.load();
        let Some(all) = &*all else { return };
        let is_its = |judged: &&Arc<Judged>| {
            judged.revision == origin.revision && judged.migration == origin.migration
        };
        let Some(judged) = all.iter().find(is_its) else { return };
        for outcome in outcomes {
            if let Outcome::Call { store, operation, error, .. } = outcome {
                let lane = &judged.lanes[lane(*store, *operation)];
                // In this order, a reader that takes `failed` first never sees more failed than ended calls.
                lane.ended.fetch_add(1, Ordering::Relaxed);
                lane.failed.fetch_add(u64::from(error.is_some()), Ordering::Relaxed);
            }
        }
    }
}

impl Judged {
    pub(crate) fn new(migration: &str, revision: u64) -> Self {
        Self { migration: migration.to_owned(), revision, lanes: Default::default() }
    }

    pub(crate) fn migration(&self) -> &str {
        &self.migration
    }

    /// Takes the counts since the last time.
    pub(crate) fn take(&self) -> Slot {
        let take = |store, operation| {
            let lane = &self.lanes[lane(store, operation)];
            let failed = lane.failed.swap(0, Ordering::Relaxed);
            Calls { ended: lane.ended.swap(0, Ordering::Relaxed), failed }
        };
        Slot {
            target_reads: take(StoreRole::Target, Operation::Read),
            target_writes: take(StoreRole::Target, Operation::Write),
            source_reads: take(StoreRole::Source, Operation::Read),
            source_writes: take(StoreRole::Source, Operation::Write),
        }
    }
}
