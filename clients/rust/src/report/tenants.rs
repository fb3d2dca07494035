//! Which tenants have their own cells.
//!
//! Whether an operation is counted for its tenant alone depends on earlier operations, never on its own
//! outcome. The error that makes a tenant suspicious is still counted with all others'; its next operation is
//! the first of its own cell. Otherwise a tenant's cell would always begin with an error, which would be
//! evidence against every tenant that ever had one.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwap, Guard};
use foldhash::{HashMap, HashMapExt};

/// Maximum tenants of a migration that are counted separately at a time.
const TOLD_MAX: usize = 64;

/// Of these, the maximum for busy tenants. Suspicious tenants have the rest.
const BUSY_MAX: usize = 16;

/// A tenant is busy if it has more than one in this many operations; it stays busy down to half of that.
const BUSY_SHARE: u64 = 64;

/// Maximum migrations with tenants that are counted separately.
const MIGRATIONS_MAX: usize = 256;

/// A suspicious tenant is counted separately for this many reports after its last bad outcome.
const SUSPECTED_REPORTS: u64 = 100;

/// One tenant that is counted separately.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) tenant: Arc<str>,
    /// The report before which it was last suspicious. 0: never.
    suspected: Arc<AtomicU64>,
}

type OfMigration = HashMap<Arc<str>, Told>;
type All = HashMap<Arc<str>, OfMigration>;

/// All tenants that are counted separately.
#[derive(Debug)]
pub(super) struct Tenants {
    told: ArcSwap<All>,
    /// Number of reports, from 1.
    report: AtomicU64,
}

/// What the sketches of one migration say.
#[derive(Debug, Default)]
pub(super) struct Busiest {
    total: u64,
    at_least: BTreeMap<String, u64>,
}

impl Default for Tenants {
    fn default() -> Self {
        Self { told: ArcSwap::from_pointee(All::new()), report: AtomicU64::new(1) }
    }
}

impl Tenants {
    pub(super) fn load(&self) -> Guard<Arc<All>> {
        self.told.load()
    }

    /// Something bad happened to a tenant: it is counted separately from now on.
    pub(super) fn suspect(&self, all: &All, migration: &str, tenant: &str) {
        let now = self.report.load(Ordering::Relaxed);
        if let Some(told) = find(all, migration, tenant) {
            told.suspected.store(now, Ordering::Relaxed);
        } else if has_room(all, migration) {
            self.admit(migration, tenant, now);
        }
    }

    #[cold]
    fn admit(&self, migration: &str, tenant: &str, now: u64) {
        let told = Told { tenant: tenant.into(), suspected: Arc::new(AtomicU64::new(now)) };
        let migration: Arc<str> = migration.into();
        self.told.rcu(|all| {
            let mut all = All::clone(all);
            if has_room(&all, &migration) {
                let of = all.entry(migration.clone()).or_default();
                of.entry(told.tenant.clone()).or_insert_with(|| told.clone());
            }
            all
        });
    }

    /// After a report was taken: determines who is counted separately until the next one.
    pub(super) fn settle(&self, busiest: &BTreeMap<Arc<str>, Busiest>) {
        let now = self.report.fetch_add(1, Ordering::Relaxed);
        if busiest.is_empty() && self.told.load().is_empty() {
            return;
        }
        self.told.rcu(|all| {
            let migrations = all.keys().chain(busiest.keys().filter(|new| !all.contains_key(*new)));
            let settled = migrations.filter_map(|migration| {
                let of = next(all.get(migration), busiest.get(migration), now);
                (!of.is_empty()).then(|| (migration.clone(), of))
            });
            settled.take(MIGRATIONS_MAX).collect::<All>()
        });
    }
}

impl Busiest {
    pub(super) fn add(&mut self, total: u64, at_least: impl Iterator<Item = (impl AsRef<str>, u64)>) {
        self.total += total;
        for (tenant, calls) in at_least.filter(|(_, calls)| *calls > 0) {
            *self.at_least.entry(tenant.as_ref().to_owned()).or_default() += calls;
        }
    }
}

pub(super) fn find<'a>(all: &'a All, migration: &str, tenant: &str) -> Option<&'a Told> {
    if all.is_empty() {
        return None;
    }
    all.get(migration)?.get(tenant)
}

fn has_room(all: &All, migration: &str) -> bool {
    all.get(migration).map_or(all.len() < MIGRATIONS_MAX, |of| of.len() < TOLD_MAX)
}

/// The busiest tenants, and the most recently suspicious of those counted separately so far.
fn next(before: Option<&OfMigration>, busiest: Option<&Busiest>, now: u64) -> OfMigration {
    let was = |tenant: &str| before.and_then(|before| before.get(tenant));
    let busy = busiest.into_iter().flat_map(|busiest| {
        let is_busy = |(tenant, calls): &(&String, &u64)| {
            let share = if was(tenant).is_some() { 2 * BUSY_SHARE } else { BUSY_SHARE };
            calls.saturating_mul(share) > busiest.total
        };
        busiest.at_least.iter().filter(is_busy)
    });
    let mut busy: Vec<_> = busy.collect();
    busy.sort_by_key(|(_, calls)| std::cmp::Reverse(**calls));
    let new = |tenant: &String| Told { tenant: tenant.as_str().into(), suspected: Arc::default() };
    let busy = busy.into_iter().take(BUSY_MAX);
    let mut next: OfMigration = busy
        .map(|(tenant, _)| was(tenant).cloned().unwrap_or_else(|| new(tenant)))
        .map(|told| (told.tenant.clone(), told))
        .collect();

    let suspected = |told: &Told| told.suspected.load(Ordering::Relaxed);
    let recent = |told: &&Told| suspected(told) > 0 && suspected(told) + SUSPECTED_REPORTS > now;
    let mut suspects: Vec<_> = before.into_iter().flat_map(HashMap::values).filter(recent).collect();
    suspects.sort_by_key(|told| std::cmp::Reverse(suspected(told)));
    for told in suspects {
        if next.len() >= TOLD_MAX {
            break;
        }
        next.entry(told.tenant.clone()).or_insert_with(|| told.clone());
    }
    next
}
