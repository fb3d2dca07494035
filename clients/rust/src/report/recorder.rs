//! Counting on the hot path: a short lock that threads seldom share, a scan of few cells, a few additions.

use std::{
    cell::Cell as ThreadCell,
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use cutover_proto::v1;

use tokio::sync::Notify;

use super::{
    ErrorClass, Event, InFlight, Operation, Origin, Outcome, StoreRole,
    cell::{Counts, Key, LANES, Running, lane},
    in_flight::AllInFlight,
    judged::AllJudged,
    shard::{SHARDS, Shard},
    tenants::{Busiest, Tenants, find},
};

/// After this many failed calls to a target, the report is sent early. If the previous report had none, the
/// first failed call is enough: in a large fleet each instance may see only one.
const URGENT_ERRORS: u64 = 3;

/// Counts everything that operations report, until [`Recorder::drain`] takes it.
///
/// Bounded: beyond 256 pairs of migration and revision, further ones lose their latency detail, and the loss
/// is counted. No call, error or event is ever lost. At most 64 tenants per migration have their own cells:
/// the busiest, and those whose calls recently failed in the target or whose records differed. A tenant's
/// counts are in one cell only.
#[derive(Debug)]
pub struct Recorder {
    shards: [Mutex<Shard>; SHARDS],
    tenants: Tenants,
    in_flight: AllInFlight,
    judged: AllJudged,
    dropped_cells: AtomicU64,
    /// Failed calls to a target since the last drain.
    target_errors: AtomicU64,
    /// The last drain had none.
    was_well: AtomicBool,
    urgent: Notify,
}

/// Counts since the last drain.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drained {
    /// Cells by migration, revision and, if it is counted separately, tenant. A cell of revision 0 has only
    /// calls in flight, of a migration for which nothing has been counted yet.
    pub cells: Vec<v1::Cell>,
    /// Cells that lost detail since the recorder was created.
    pub dropped_cells: u64,
}

thread_local! {
    /// This thread's shard; threads are assigned in turn.
    static SHARD: ThreadCell<usize> = const { ThreadCell::new(usize::MAX) };
}
static NEXT_SHARD: AtomicUsize = AtomicUsize::new(0);

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// A recorder without counts.
    pub fn new() -> Self {
        Self {
            shards: Default::default(),
            tenants: Tenants::default(),
            in_flight: AllInFlight::default(),
            judged: AllJudged::default(),
            dropped_cells: AtomicU64::new(0),
            target_errors: AtomicU64::new(0),
            was_well: AtomicBool::new(true),
            urgent: Notify::new(),
        }
    }

    /// Counts the outcomes of an operation, all in the same report: a read's calls and its answer are never
    /// split.
    pub fn record(&self, origin: Origin<'_>, outcomes: &[Outcome]) {
        if outcomes.is_empty() {
            return;
        }
        self.with(origin, |counts| outcomes.iter().for_each(|outcome| counts.add(outcome)));
        self.judged.record(origin, outcomes);
        let errors = outcomes.iter().filter(|outcome| outcome.is_target_error()).count() as u64;
        let before = if errors == 0 { 0 } else { self.target_errors.fetch_add(errors, Ordering::Relaxed) };
        let urgent = self.urgent_errors();
        if before < urgent && before + errors >= urgent {
            self.urgent.notify_one();
        }
        if let Some(tenant) = origin.tenant
            && outcomes.iter().any(Outcome::is_suspicious)
        {
            self.tenants.suspect(&self.tenants.load(), origin.migration, tenant);
        }
    }

    /// Counts one ended call to a store that belongs to no tenant and answered no caller. `revision` is the
    /// one the operation was decided under. `error` is `None` if the store answered, whatever the answer.
    pub fn call(
        &self,
        migration: &str,
        revision: u64,
        store: StoreRole,
        operation: Operation,
        latency: Duration,
        error: Option<ErrorClass>,
    ) {
        let call = Outcome::Call { store, operation, latency, error, found: None };
        self.record(Origin { migration, revision, tenant: None }, &[call]);
    }

    /// Counts one event that belongs to no tenant.
    pub fn count(&self, migration: &str, revision: u64, event: Event) {
        self.count_many(migration, revision, event, 1);
    }

    /// Counts many events of one kind.
    pub fn count_many(&self, migration: &str, revision: u64, event: Event, times: u64) {
        if times > 0 {
            let origin = Origin { migration, revision, tenant: None };
            self.with(origin, |counts| counts.count(event, times));
        }
    }

    /// Marks the beginning of a call to a store; it ends when the returned value is dropped.
    pub fn in_flight(&self, migration: &str, store: StoreRole, operation: Operation) -> InFlight {
        self.in_flight.begin(migration, lane(store, operation))
    }

    /// How often an event was counted since the last drain, under all revisions.
    pub fn total(&self, migration: &str, event: Event) -> u64 {
        self.shards.iter().map(|shard| lock(shard).total(migration, event)).sum()
    }

    /// The counts for the local guard.
    pub(crate) const fn judged(&self) -> &AllJudged {
        &self.judged
    }

    /// Waits until enough calls to a target have failed to send a report early.
    pub(crate) async fn urgent(&self) {
        self.urgent.notified().await;
    }

    /// Whether enough calls to a target have failed since the last drain.
    pub(crate) fn is_urgent(&self) -> bool {
        self.target_errors.load(Ordering::Relaxed) >= self.urgent_errors()
    }

    fn urgent_errors(&self) -> u64 {
        if self.was_well.load(Ordering::Relaxed) { 1 } else { URGENT_ERRORS }
    }

    /// Takes all counts. The caller keeps them until they are delivered.
    pub fn drain(&self) -> Drained {
        // First, so that an error counted meanwhile at worst sends the next report early.
        let errors = self.target_errors.swap(0, Ordering::Relaxed);
        self.was_well.store(errors == 0, Ordering::Relaxed);
        let mut merged: BTreeMap<Key, Counts> = BTreeMap::new();
        // The newest revision seen of each migration, for calls in flight.
        let mut newest: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        let mut busiest: BTreeMap<Arc<str>, Busiest> = BTreeMap::new();
        for shard in &self.shards {
            lock(shard).drain_into(&mut merged, &mut newest, &mut busiest);
        }
        self.tenants.settle(&busiest);
        let mut running: BTreeMap<Key, [Running; LANES]> = BTreeMap::new();
        for (migration, lanes) in self.in_flight.running(Instant::now()) {
            let revision = newest.get(&migration).copied().unwrap_or_default();
            let key = Key { migration, revision, tenant: None };
            merged.entry(key.clone()).or_default();
            running.insert(key, lanes);
        }
        let none = <[Running; LANES]>::default();
        let cells = merged.iter().map(|(key, counts)| counts.to_wire(key, running.get(key).unwrap_or(&none)));
        Drained { cells: cells.collect(), dropped_cells: self.dropped_cells() }
    }

    /// Cells that lost detail since the recorder was created.
    pub fn dropped_cells(&self) -> u64 {
        self.dropped_cells.load(Ordering::Relaxed)
    }

    /// Counts further lost cells, for example with a report that the controller rejected.
    pub(crate) fn drop_cells(&self, cells: u64) {
        self.dropped_cells.fetch_add(cells, Ordering::Relaxed);
    }

    fn with(&self, origin: Origin<'_>, count: impl FnOnce(&mut Counts)) {
        let Origin { migration, revision, tenant } = origin;
        let all = self.tenants.load();
        let told = tenant.and_then(|tenant| find(&all, migration, tenant));
        let mut shard = lock(&self.shards[this_shard()]);
        if let Some(tenant) = tenant {
            shard.called(migration, tenant);
        }
        if let Some(counts) = told.and_then(|told| shard.of_tenant(migration, revision, &told.tenant)) {
            return count(counts);
        }
        let (counts, dropped) = shard.of_all(migration, revision);
        count(counts);
        if dropped {
            self.drop_cells(1);
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn this_shard() -> usize {
    SHARD.with(|shard| {
        if shard.get() == usize::MAX {
            shard.set(NEXT_SHARD.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        shard.get()
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::{ErrorClass, Operation, StoreRole};

    #[test]
    fn the_first_error_of_the_target_is_urgent_and_then_each_third_one() {
        let recorder = Recorder::new();
        let fail = || {
            let error = Some(ErrorClass::Server);
            let latency = Duration::from_millis(3);
            recorder.call("orders", 1, StoreRole::Target, Operation::Write, latency, error);
            recorder.is_urgent()
        };
        assert!(fail());
        recorder.drain();
        assert_eq!([fail(), fail(), fail()], [false, false, true]);
        recorder.drain();
        assert!(!recorder.is_urgent());
        recorder.drain();
        assert!(fail(), "a report without errors came in between");
    }
}
