//! Counting on the hot path: a short lock that threads seldom share, a scan of few cells, a few
//! additions.

use std::{
    cell::Cell as ThreadCell,
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use cutover_proto::v1;

use super::{
    ErrorClass, Event, InFlight, Operation, StoreRole,
    cell::{Counts, LANES, Running, lane},
    in_flight::AllInFlight,
};

const SHARDS: usize = 4;

/// Cells with histograms, of all shards: 5 KiB each.
const DETAILED_MAX: usize = 256;

/// Cells at all. Beyond, counts go to the oldest revision of their migration, where they can't
/// trip a newer one's guards.
const CELLS_MAX: usize = 4_096;

/// Counts everything that operations report until [`Recorder::drain`] takes it away.
///
/// Bounded: beyond 256 pairs of migration and revision the latency detail of further ones is
/// dropped, which is counted; no call, error or event ever is.
#[derive(Debug)]
pub struct Recorder {
    shards: [Mutex<Shard>; SHARDS],
    in_flight: AllInFlight,
    dropped_cells: AtomicU64,
}

/// What was counted since the last time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drained {
    /// By migration and revision. A cell of revision 0 has only calls under way, of a migration
    /// for which nothing has been counted yet.
    pub cells: Vec<v1::Cell>,
    /// Cells that lost detail since the recorder was made.
    pub dropped_cells: u64,
}

#[derive(Debug, Default)]
struct Shard {
    cells: Vec<Cell>,
}

#[derive(Debug)]
struct Cell {
    revision: u64,
    migration: Arc<str>,
    counts: Counts,
}

thread_local! {
    /// This thread's shard; threads take turns.
    static SHARD: ThreadCell<usize> = const { ThreadCell::new(usize::MAX) };
}
static NEXT_SHARD: AtomicUsize = AtomicUsize::new(0);

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// With nothing counted.
    pub fn new() -> Self {
        Self {
            shards: Default::default(),
            in_flight: AllInFlight::default(),
            dropped_cells: AtomicU64::new(0),
        }
    }

    /// Counts one ended call to a store. `revision` is the one the operation was decided under;
    /// `error` is `None` when the store answered, whatever it answered.
    pub fn call(
        &self,
        migration: &str,
        revision: u64,
        store: StoreRole,
        operation: Operation,
        latency: Duration,
        error: Option<ErrorClass>,
    ) {
        self.with(migration, revision, |counts| counts.call(lane(store, operation), latency, error));
    }

    /// Counts one event.
    pub fn count(&self, migration: &str, revision: u64, event: Event) {
        self.count_many(migration, revision, event, 1);
    }

    /// Counts many of one kind.
    pub fn count_many(&self, migration: &str, revision: u64, event: Event, times: u64) {
        if times > 0 {
            self.with(migration, revision, |counts| counts.count(event, times));
        }
    }

    /// A call to a store begins; it ends when the guard is dropped.
    pub fn in_flight(&self, migration: &str, store: StoreRole, operation: Operation) -> InFlight {
        self.in_flight.begin(migration, lane(store, operation))
    }

    /// How often an event was counted since the last drain, under all revisions.
    pub fn total(&self, migration: &str, event: Event) -> u64 {
        let of = |shard: &Mutex<Shard>| -> u64 {
            let shard = lock(shard);
            let cells = shard.cells.iter().filter(|cell| *cell.migration == *migration);
            cells.map(|cell| cell.counts.of(event)).sum()
        };
        self.shards.iter().map(of).sum()
    }

    /// Takes away everything counted. Whoever takes it keeps it until it has been delivered.
    pub fn drain(&self) -> Drained {
        let mut merged: BTreeMap<(Arc<str>, u64), Counts> = BTreeMap::new();
        // The newest revision seen of each migration, for what is under way.
        let mut newest: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            for cell in &shard.cells {
                let seen = newest.entry(cell.migration.clone()).or_default();
                *seen = cell.revision.max(*seen);
            }
            // A cell that nothing was counted in since the last time has had its day.
            shard.cells.retain(|cell| !cell.counts.is_zero());
            for cell in &mut shard.cells {
                merged.entry((cell.migration.clone(), cell.revision)).or_default().merge(&cell.counts);
                cell.counts.clear();
            }
        }
        let mut running: BTreeMap<(Arc<str>, u64), [Running; LANES]> = BTreeMap::new();
        for (migration, lanes) in self.in_flight.running(Instant::now()) {
            let revision = newest.get(&migration).copied().unwrap_or_default();
            merged.entry((migration.clone(), revision)).or_default();
            running.insert((migration, revision), lanes);
        }
        let cells = merged.iter().map(|(key, counts)| {
            counts.to_wire(&key.0, key.1, running.get(key).copied().unwrap_or_default())
        });
        Drained { cells: cells.collect(), dropped_cells: self.dropped_cells() }
    }

    /// Cells that lost detail since the recorder was made.
    pub fn dropped_cells(&self) -> u64 {
        self.dropped_cells.load(Ordering::Relaxed)
    }

    /// Says that more cells were lost, e.g. with a report that the controller would not have.
    pub(crate) fn drop_cells(&self, cells: u64) {
        self.dropped_cells.fetch_add(cells, Ordering::Relaxed);
    }

    fn with(&self, migration: &str, revision: u64, count: impl FnOnce(&mut Counts)) {
        let mut shard = lock(&self.shards[this_shard()]);
        let found =
            shard.cells.iter_mut().find(|cell| cell.revision == revision && *cell.migration == *migration);
        match found {
            Some(cell) => count(&mut cell.counts),
            None => {
                let (counts, dropped) = shard.admit(migration, revision);
                count(counts);
                self.drop_cells(u64::from(dropped));
            }
        }
    }
}

impl Shard {
    /// Where the first count of a migration and revision goes, and whether detail is lost by it.
    fn admit(&mut self, migration: &str, revision: u64) -> (&mut Counts, bool) {
        let full = self.cells.len() >= CELLS_MAX / SHARDS;
        let oldest = if full {
            let same = self.cells.iter().enumerate().filter(|(_, cell)| *cell.migration == *migration);
            same.min_by_key(|(_, cell)| cell.revision).map(|(at, _)| at)
        } else {
            None
        };
        if let Some(at) = oldest {
            return (&mut self.cells[at].counts, true);
        }
        let detailed = self.cells.iter().filter(|cell| cell.counts.has_latencies()).count();
        let dropped = detailed >= DETAILED_MAX / SHARDS;
        let counts = if dropped { Counts::default() } else { Counts::with_latencies() };
        self.cells.push(Cell { revision, migration: migration.into(), counts });
        let at = self.cells.len() - 1;
        (&mut self.cells[at].counts, dropped)
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
