//! Counts reports, each one once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use cutover_proto::v1;

use super::{
    heard::{Heard, Heed, REPORTERS_MAX, Roster},
    reading::Reading,
    tally::{Known, StoreRate, Tally, View},
};
use crate::domain::{Counts, Key, Totals, WindowId};

/// Further migrations are not counted.
const MIGRATIONS_MAX: usize = 10_000;

/// Counts what instances report.
#[derive(Debug, Default)]
pub struct Ingest {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    instances: Roster,
    migrations: BTreeMap<Key, Tally>,
    dropped_cells: u64,
    rejected_cells: u64,
    unknown_cells: u64,
    refused: [u64; RefusedReport::ALL.len()],
}

/// Why a report was not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedReport {
    /// This or a later report of its instance was already counted.
    Repeated,
    /// Its revisions do not exist, or are in the wrong order.
    Revisions,
    /// Sequence numbers begin at 1.
    Sequence,
    /// Its instance is not registered.
    Unregistered,
    /// It is too large, or not a report.
    Unreadable,
    /// Too many callers without an SDK report.
    Reporters,
}

/// The result of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The highest counted sequence number of its instance.
    pub sequence: u64,
    /// Whether this report was counted, for the first time.
    pub is_new: bool,
    /// Indexes of the cells that were not counted, ascending: malformed, or of no migration.
    pub left_out: Vec<usize>,
}

/// Counts since the last time, to be stored in one transaction.
#[derive(Debug, Default)]
pub struct Taken {
    /// By second and by revision.
    pub windows: Vec<(WindowId, Counts)>,
    /// Instances that have reported since.
    pub heard: Vec<Heard>,
    /// Ids of instances that need not be remembered any more.
    pub forgotten: BTreeSet<String>,
}

impl Ingest {
    /// Continues where the last process stopped. `now_ms` is Unix time.
    pub fn after(heard: Vec<Heard>, registered: &BTreeSet<&str>, now_ms: u64) -> Self {
        let mut state = State::default();
        state.instances.load(heard, registered, now_ms);
        Self { state: Mutex::new(state) }
    }

    /// Counts a report, unless this or a later one of its instance was already counted, and returns the
    /// highest counted sequence number. `newest` is the controller's revision: a cell of a later one is
    /// malformed. Malformed cells are left out as a whole. `now_ms` is Unix time.
    pub fn accept(&self, report: &v1::ReportRequest, newest: u64, now_ms: u64) -> u64 {
        self.accept_known(report, newest, |_| Some(Known::default()), now_ms).sequence
    }

    /// The same; cells of a migration that is not `known`, perhaps because it is being deleted, are only
    /// counted as unknown. `known` is called while counts are locked, so a migration that is removed after
    /// its deletion stays removed.
    pub fn accept_known(
        &self,
        report: &v1::ReportRequest,
        newest: u64,
        known: impl Fn(&str) -> Option<Known>,
        now_ms: u64,
    ) -> Accepted {
        // Outside the lock, although a repeated report needs none of it.
        let readings: Vec<_> = report.cells.iter().map(|cell| Reading::of(cell, newest)).collect();
        let mut guard = self.lock();
        let state = &mut *guard;
        let v1::ReportRequest { sequence, dropped_cells, .. } = *report;
        match state.instances.hear(&report.instance_id, sequence, dropped_cells, now_ms) {
            Heed::Repeated(sequence) => {
                state.refuse(RefusedReport::Repeated);
                return Accepted { sequence, is_new: false, left_out: Vec::new() };
            }
            Heed::Count { dropped_cells } => {
                state.dropped_cells = state.dropped_cells.saturating_add(dropped_cells);
            }
        }
        let mut left_out = Vec::new();
        for (at, reading) in readings.into_iter().enumerate() {
            if !state.count(reading, &known, now_ms) {
                left_out.push(at);
            }
        }
        Accepted { sequence, is_new: true, left_out }
    }

    /// Makes room for a caller without an SDK. `Err`: as many others as are allowed have reported recently.
    pub fn admit_reporter(&self, id: &str, now_ms: u64) -> Result<(), usize> {
        let mut state = self.lock();
        if state.instances.admit_reporter(id, now_ms) {
            return Ok(());
        }
        state.refuse(RefusedReport::Reporters);
        Err(REPORTERS_MAX)
    }

    /// A report was rejected before it got here.
    pub fn refuse(&self, why: RefusedReport) {
        self.lock().refuse(why);
    }

    /// The migration, or one of its tenants, was rolled back.
    pub fn rolled_back(&self, key: &Key) {
        let mut state = self.lock();
        if state.has_room(key.as_str()) {
            let tally = state.migrations.entry(key.clone()).or_default();
            tally.rollbacks = tally.rollbacks.saturating_add(1);
        }
    }

    /// Events of a migration since the process started.
    pub fn totals(&self, key: &str) -> Totals {
        self.lock().migrations.get(key).map(|tally| tally.totals).unwrap_or_default()
    }

    /// So many sums of cells could not be stored, or perhaps they were.
    pub fn note_dropped(&self, cells: u64) {
        let mut state = self.lock();
        state.dropped_cells = state.dropped_cells.saturating_add(cells);
    }

    /// Cells that instances dropped since the process started, and sums that are lost; their migration is unknown.
    pub fn dropped_cells(&self) -> u64 {
        self.lock().dropped_cells
    }

    /// Call rates of each store over the last ten seconds, for stores that were ever called.
    pub fn rates(&self, key: &str, now_ms: u64) -> Vec<StoreRate> {
        self.lock().migrations.get(key).map(|tally| tally.rates(now_ms)).unwrap_or_default()
    }

    /// Everything, for metrics.
    pub fn view(&self, now_ms: u64) -> View {
        let state = self.lock();
        let migrations = state.migrations.iter();
        View {
            migrations: migrations.map(|(key, tally)| tally.view(key.as_str(), now_ms)).collect(),
            dropped_cells: state.dropped_cells,
            rejected_cells: state.rejected_cells,
            unknown_cells: state.unknown_cells,
            lost_reports: state.instances.lost_reports,
            refused_reports: RefusedReport::ALL.map(|why| (why.name(), state.refused[why as usize])).to_vec(),
        }
    }

    /// The migrations with counts, ascending.
    pub fn keys(&self) -> Vec<String> {
        self.lock().migrations.keys().map(Key::to_string).collect()
    }

    /// What is new since the last time. The caller has to store it.
    pub fn take(&self) -> Taken {
        let mut state = self.lock();
        let windows = state.migrations.iter_mut().flat_map(|(key, tally)| tally.take(key)).collect();
        let (heard, forgotten) = state.instances.take();
        Taken { windows, heard, forgotten }
    }

    /// Removes the counts of a deleted migration.
    pub fn forget(&self, key: &str) {
        self.lock().migrations.remove(key);
    }

    /// Removes the counts of migrations that no longer exist.
    pub fn retain(&self, is_there: impl Fn(&Key) -> bool) {
        self.lock().migrations.retain(|key, _| is_there(key));
    }

    /// An instance has registered. A new process under a known id has another incarnation, and its next
    /// sequence number may be 1.
    pub fn registered(&self, id: &str, incarnation: u64, now_ms: u64) {
        self.lock().instances.registered(id, incarnation, now_ms);
    }

    /// The instance has said goodbye.
    pub fn forget_instance(&self, id: &str) {
        self.lock().instances.forget(id);
    }

    /// Counts remain valid after a panic: each is correct by itself.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(
        &mut self,
        reading: Option<Reading>,
        known: impl Fn(&str) -> Option<Known>,
        now_ms: u64,
    ) -> bool {
        let Some(reading) = reading.filter(|reading| self.has_room(reading.migration.as_str())) else {
            self.rejected_cells = self.rejected_cells.saturating_add(1);
            return false;
        };
        let known = known(reading.migration.as_str());
        let Some(known) = known.filter(|known| reading.revision >= known.created_revision) else {
            self.unknown_cells = self.unknown_cells.saturating_add(1);
            return false;
        };
        self.migrations.entry(reading.migration.clone()).or_default().add(&reading, &known, now_ms);
        true
    }

    fn has_room(&self, key: &str) -> bool {
        self.migrations.len() < MIGRATIONS_MAX || self.migrations.contains_key(key)
    }

    fn refuse(&mut self, why: RefusedReport) {
        let count = &mut self.refused[why as usize];
        *count = count.saturating_add(1);
    }
}

impl RefusedReport {
    /// All reasons, in order.
    pub const ALL: [Self; 6] = [
        Self::Repeated,
        Self::Revisions,
        Self::Sequence,
        Self::Unregistered,
        Self::Unreadable,
        Self::Reporters,
    ];

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Repeated => "repeated",
            Self::Revisions => "revisions",
            Self::Sequence => "sequence",
            Self::Unregistered => "unregistered",
            Self::Unreadable => "unreadable",
            Self::Reporters => "reporters",
        }
    }
}
