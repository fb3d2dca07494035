//! The cells into which some of the threads count.

use std::{collections::BTreeMap, sync::Arc};

pub(super) const SHARDS: usize = 4;

use super::{
    Event,
    cell::{Counts, Key},
    sketch::Sketch,
    tenants::Busiest,
};

/// Maximum cells with histograms, over all shards: 5 KiB each. Tenants' cells have their own limit.
const DETAILED_MAX: usize = 256;

/// Maximum cells, apart from tenants'. Beyond, counts go to the oldest revision of their migration, where
/// they can't trip a newer one's guards.
const CELLS_MAX: usize = 4_096;

/// Maximum tenants' cells, over all shards, each with histograms. Beyond, tenants are counted with all
/// others.
const OF_TENANTS_MAX: usize = 1_024;

/// Maximum migrations whose busiest tenants are tracked: 6 KiB each.
const SKETCHES_MAX: usize = 64;

/// Counts under one lock.
#[derive(Debug, Default)]
pub(super) struct Shard {
    cells: Vec<Cell>,
    of_tenants: Vec<Cell>,
    sketches: Vec<(Arc<str>, Sketch)>,
}

#[derive(Debug)]
struct Cell {
    key: Key,
    counts: Counts,
}

impl Cell {
    fn new(migration: &str, revision: u64, tenant: Option<Arc<str>>, counts: Counts) -> Self {
        Self { key: Key { migration: migration.into(), revision, tenant }, counts }
    }

    fn is_of(&self, migration: &str, revision: u64) -> bool {
        self.key.revision == revision && *self.key.migration == *migration
    }
}

impl Shard {
    /// Counts an operation of a tenant, to find the busiest.
    pub(super) fn called(&mut self, migration: &str, tenant: &str) {
        if let Some((_, sketch)) = self.sketches.iter_mut().find(|(of, _)| **of == *migration) {
            sketch.add(tenant);
        } else if self.sketches.len() < SKETCHES_MAX {
            let mut sketch = Sketch::default();
            sketch.add(tenant);
            self.sketches.push((migration.into(), sketch));
        }
    }

    /// The cell of a tenant that is counted separately, if there is room for one.
    pub(super) fn of_tenant(
        &mut self,
        migration: &str,
        revision: u64,
        tenant: &Arc<str>,
    ) -> Option<&mut Counts> {
        let is_its = |cell: &Cell| {
            cell.key.tenant.as_ref().is_some_and(|of| Arc::ptr_eq(of, tenant))
                && cell.is_of(migration, revision)
        };
        let at = match self.of_tenants.iter().position(is_its) {
            Some(at) => at,
            None if self.of_tenants.len() < OF_TENANTS_MAX / SHARDS => {
                let tenant = Some(tenant.clone());
                self.of_tenants.push(Cell::new(migration, revision, tenant, Counts::with_latencies()));
                self.of_tenants.len() - 1
            }
            None => return None,
        };
        Some(&mut self.of_tenants[at].counts)
    }

    /// The cell of everybody else, and whether detail is lost in it.
    pub(super) fn of_all(&mut self, migration: &str, revision: u64) -> (&mut Counts, bool) {
        match self.cells.iter().position(|cell| cell.is_of(migration, revision)) {
            Some(at) => (&mut self.cells[at].counts, false),
            None => self.admit(migration, revision),
        }
    }

    /// The cell for the first count of a migration and revision, and whether detail is lost by that.
    fn admit(&mut self, migration: &str, revision: u64) -> (&mut Counts, bool) {
        let full = self.cells.len() >= CELLS_MAX / SHARDS;
        let oldest = if full {
            let same = self.cells.iter().enumerate().filter(|(_, cell)| *cell.key.migration == *migration);
            same.min_by_key(|(_, cell)| cell.key.revision).map(|(at, _)| at)
        } else {
            None
        };
        if let Some(at) = oldest {
            return (&mut self.cells[at].counts, true);
        }
        let detailed = self.cells.iter().filter(|cell| cell.counts.has_latencies()).count();
        let dropped = detailed >= DETAILED_MAX / SHARDS;
        let counts = if dropped { Counts::default() } else { Counts::with_latencies() };
        self.cells.push(Cell::new(migration, revision, None, counts));
        let at = self.cells.len() - 1;
        (&mut self.cells[at].counts, dropped)
    }

    /// How often an event was counted, under all revisions.
    pub(super) fn total(&self, migration: &str, event: Event) -> u64 {
        let cells = self.cells.iter().chain(&self.of_tenants);
        let cells = cells.filter(|cell| *cell.key.migration == *migration);
        cells.map(|cell| cell.counts.of(event)).sum()
    }

    /// Moves all counts to `merged`. Empty cells and sketches remain for reuse.
    pub(super) fn drain_into(
        &mut self,
        merged: &mut BTreeMap<Key, Counts>,
        newest: &mut BTreeMap<Arc<str>, u64>,
        busiest: &mut BTreeMap<Arc<str>, Busiest>,
    ) {
        for cells in [&mut self.cells, &mut self.of_tenants] {
            for Key { migration, revision, .. } in cells.iter().map(|cell| &cell.key) {
                let seen = newest.entry(migration.clone()).or_default();
                *seen = (*revision).max(*seen);
            }
            // A cell without counts since the last time is removed.
            cells.retain(|cell| !cell.counts.is_zero());
            for cell in cells {
                merged.entry(cell.key.clone()).or_default().merge(&cell.counts);
                cell.counts.clear();
            }
        }
        for (migration, sketch) in &mut self.sketches {
            busiest.entry(migration.clone()).or_default().add(sketch.total(), sketch.at_least());
            sketch.fade();
        }
        self.sketches.retain(|(_, sketch)| sketch.total() > 0);
    }
}
