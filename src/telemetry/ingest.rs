//! Where reports are counted, each once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use cutover_proto::v1;

use super::{
    reading::Reading,
    tally::{StoreRate, Tally, Totals, View},
};

/// More migrations are not counted.
const MIGRATIONS_MAX: usize = 10_000;

/// Counts what instances report.
#[derive(Debug, Default)]
pub struct Ingest {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    instances: HashMap<String, Heard>,
    migrations: BTreeMap<String, Tally>,
    dropped_cells: u64,
    rejected_cells: u64,
    unknown_cells: u64,
}

/// What one instance has reported so far.
#[derive(Debug, Default)]
struct Heard {
    sequence: u64,
    dropped_cells: u64,
}

impl Ingest {
    /// Counts a report unless it, or a later one, of this instance was counted before, and returns
    /// the highest sequence counted. `newest` is the controller's revision: a cell of a later one
    /// is malformed, and malformed cells are left out, each as a whole.
    pub fn accept(&self, report: &v1::ReportRequest, newest: u64, now: Instant) -> u64 {
        self.accept_known(report, newest, |_| true, now)
    }

    /// The same; cells of a migration that is not `known`, being deleted perhaps, are only counted
    /// as such.
    pub fn accept_known(
        &self,
        report: &v1::ReportRequest,
        newest: u64,
        known: impl Fn(&str) -> bool,
        now: Instant,
    ) -> u64 {
        // Outside the lock, although a repeated report needs none of it.
        let readings: Vec<_> = report.cells.iter().map(|cell| Reading::of(cell, newest)).collect();
        let mut guard = self.lock();
        let counts = &mut *guard;
        let heard = counts.instances.entry(report.instance_id.clone()).or_default();
        if report.sequence <= heard.sequence {
            return heard.sequence;
        }
        heard.sequence = report.sequence;
        let dropped = report.dropped_cells.saturating_sub(heard.dropped_cells);
        heard.dropped_cells = heard.dropped_cells.max(report.dropped_cells);
        counts.dropped_cells = counts.dropped_cells.saturating_add(dropped);
        for reading in readings {
            if reading.as_ref().is_some_and(|reading| !known(&reading.migration)) {
                counts.unknown_cells = counts.unknown_cells.saturating_add(1);
            } else if !reading.is_some_and(|reading| counts.add(reading, now)) {
                counts.rejected_cells = counts.rejected_cells.saturating_add(1);
            }
        }
        report.sequence
    }

    /// The migration, or a tenant of it, was rolled back.
    pub fn rolled_back(&self, key: &str) {
        let mut counts = self.lock();
        if counts.has_room(key) {
            let tally = counts.migrations.entry(key.to_owned()).or_default();
            tally.rollbacks = tally.rollbacks.saturating_add(1);
        }
    }

    /// Events of a migration since the process started.
    pub fn totals(&self, key: &str) -> Totals {
        let counts = self.lock();
        let totals = counts.migrations.get(key).map(|tally| tally.totals).unwrap_or_default();
        Totals { dropped_cells: counts.dropped_cells, ..totals }
    }

    /// How often each store was called in the last ten seconds, as far as it ever was.
    pub fn rates(&self, key: &str, now: Instant) -> Vec<StoreRate> {
        self.lock().migrations.get(key).map(|tally| tally.rates(now)).unwrap_or_default()
    }

    /// Everything, for metrics.
    pub fn view(&self, now: Instant) -> View {
        let counts = self.lock();
        View {
            migrations: counts.migrations.iter().map(|(key, tally)| tally.view(key, now)).collect(),
            dropped_cells: counts.dropped_cells,
            rejected_cells: counts.rejected_cells,
            unknown_cells: counts.unknown_cells,
        }
    }

    /// The migrations that something was counted of, ascending.
    pub fn keys(&self) -> Vec<String> {
        self.lock().migrations.keys().cloned().collect()
    }

    /// The migration is deleted: drops its counts.
    pub fn forget(&self, key: &str) {
        self.lock().migrations.remove(key);
    }

    /// The instance is gone, or a new process has its id: the next sequence may be 1.
    pub fn forget_instance(&self, id: &str) {
        self.lock().instances.remove(id);
    }

    /// Counts stay as they are when a thread has panicked: each is right by itself.
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Whether there was room.
    fn add(&mut self, reading: Reading, now: Instant) -> bool {
        if !self.has_room(&reading.migration) {
            return false;
        }
        self.migrations.entry(reading.migration.clone()).or_default().add(&reading, now);
        true
    }

    fn has_room(&self, key: &str) -> bool {
        self.migrations.len() < MIGRATIONS_MAX || self.migrations.contains_key(key)
    }
}
