//! How migrations are doing: one in detail, or all at a glance.

mod rows;

use std::sync::Arc;

use cutover_proto::v1;

use super::{Callers, Entry, Guards, InstanceView, Instances, Notify, Passes, Plans, Progress, Registry};
use crate::{
    domain::{Fleet, Gate, Key, Totals, Unmet, Wait, barrier, change, guard::Level, plan::Next},
    telemetry::{Deliveries, Ingest, StoreRate, now_ms},
};
pub use rows::{Looks, MigrationRow};

/// What overviews are made from.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The newest state.
    pub registry: Arc<Registry>,
    /// The members.
    pub instances: Arc<Instances>,
    /// The running passes.
    pub passes: Arc<Passes>,
    /// What plans wait for.
    pub plans: Arc<Plans>,
    /// What was reported.
    pub ingest: Arc<Ingest>,
    /// What endpoints were notified of.
    pub notify: Arc<Notify>,
    /// What guards have found.
    pub guards: Arc<Guards>,
}

/// One migration in detail.
#[derive(Debug)]
pub struct MigrationStatus {
    /// The migration.
    pub entry: Arc<Entry>,
    /// What tenants on the way wait for, or whom the last step waits for.
    pub waiting: Vec<Unmet>,
    /// Everybody has quiesced for the newest step.
    pub settled: bool,
    /// Revision of the newest step.
    pub newest_step: u64,
    /// All instances.
    pub instances: Vec<InstanceView>,
    /// What was reported since the process started.
    pub totals: Totals,
    /// Cells of any migration that instances dropped.
    pub dropped_cells: u64,
    /// Call rates of both stores.
    pub rates: Vec<StoreRate>,
    /// What its plan waits for, or would do now. `None`: it has no plan.
    pub plan: Option<Next>,
    /// Its running passes.
    pub passes: Vec<Progress>,
    /// Endpoints for notifications of any migration.
    pub endpoints: Vec<Deliveries>,
    /// How far its guards are from a trip.
    pub guards: Vec<Level>,
    /// Callers without an SDK, if any may still use an answer.
    pub callers: Option<Callers>,
}

/// One migration at a glance.
#[derive(Debug)]
pub struct MigrationGlance {
    /// The migration.
    pub entry: Arc<Entry>,
    /// What its plan waits for, or would do now. `None`: it has no plan.
    pub plan: Option<Next>,
    /// Its running passes.
    pub passes: Vec<Progress>,
    /// Number of lost instances.
    pub lost: u32,
    /// Everybody has quiesced for the newest step.
    pub settled: bool,
    /// What tenants on the way wait for, or whom the last step waits for.
    pub waiting: Vec<Unmet>,
}

/// What depends on the migration and its fleet.
#[derive(Clone, Debug)]
struct Standing {
    plan: Option<Next>,
    settled: bool,
    waiting: Vec<Unmet>,
    instances: u32,
    lost: u32,
}

impl Overview {
    /// Which calls services made of a migration's stores within the last ten seconds, for people. Empty: none.
    pub fn calls(&self, key: &str) -> String {
        let rates = self.ingest.rates(key, now_ms());
        let texts = rates.iter().filter(|rate| rate.calls_per_s > 0.0).map(|rate| {
            let operation = if rate.operation == v1::Operation::Write { "writes" } else { "reads" };
            let store = if rate.store == v1::StoreRole::Target { "target" } else { "source" };
            format!("{:.1} {operation}/s of the {store}", rate.calls_per_s)
        });
        texts.collect::<Vec<_>>().join(", ")
    }

    /// One migration in detail.
    pub fn status(&self, entry: Arc<Entry>) -> MigrationStatus {
        let migration = &entry.migration;
        let key = migration.key();
        let fleet = self.instances.fleet(Some(&entry));
        let step = migration.newest_step();
        MigrationStatus {
            waiting: self.waiting(&entry, &fleet, step),
            settled: fleet.acknowledged(step, Wait::Quiesced),
            newest_step: step,
            instances: self.instances.seen(),
            totals: self.ingest.totals(key.as_str()),
            dropped_cells: self.ingest.dropped_cells(),
            rates: self.ingest.rates(key.as_str(), now_ms()),
            plan: self.plans.outlook(&entry, &fleet),
            passes: self.passes_of(key),
            endpoints: self.notify.deliveries(),
            guards: self.guards.levels(key),
            callers: entry.callers(),
            entry,
        }
    }

    /// `step`: the revision of the newest step, which takes a walk over all rows.
    fn waiting(&self, entry: &Entry, fleet: &Fleet, step: u64) -> Vec<Unmet> {
        let migration = &entry.migration;
        let mut waiting = change::waiting(migration, fleet, self.registry.steady_ms());
        if waiting.is_empty() {
            // Nobody is to go further, and yet the last step is not known to all.
            let behind: Vec<_> = fleet.behind(step, Wait::Quiesced).collect();
            waiting.extend((!behind.is_empty()).then(|| barrier(&behind, step, Wait::Quiesced)));
        }
        waiting.extend(migration.kept_by_floor());
        let refuses_new_s = self.instances.refuses_new_for_s();
        if refuses_new_s > 0
            && let Some(restored) = waiting.iter_mut().find(|unmet| unmet.gate == Gate::Restored)
        {
            restored.message.push_str(&format!("; new processes can register in {refuses_new_s} s"));
        }
        waiting
    }

    /// All migrations by key, and the newest revision.
    pub fn glances(&self) -> (u64, Vec<MigrationGlance>) {
        self.of_each(|entry| self.glance(entry, self.standing(entry)))
    }

    fn of_each<T>(&self, one: impl FnMut(&Arc<Entry>) -> T) -> (u64, Vec<T>) {
        let state = self.registry.state();
        let mut entries: Vec<&Arc<Entry>> = state.entries().collect();
        entries.sort_by(|a, b| a.migration.key().cmp(b.migration.key()));
        (state.revision, entries.into_iter().map(one).collect())
    }

    fn standing(&self, entry: &Entry) -> Standing {
        let (fleet, step) = (self.instances.fleet(Some(entry)), entry.migration.newest_step());
        Standing {
            plan: self.plans.outlook(entry, &fleet),
            settled: fleet.acknowledged(step, Wait::Quiesced),
            waiting: self.waiting(entry, &fleet, step),
            instances: fleet.instances() as u32,
            lost: fleet.lost().count() as u32,
        }
    }

    fn glance(&self, entry: &Arc<Entry>, standing: Standing) -> MigrationGlance {
        let Standing { plan, settled, waiting, lost, .. } = standing;
        let passes = self.passes_of(entry.migration.key());
        MigrationGlance { entry: entry.clone(), plan, passes, lost, settled, waiting }
    }

    fn passes_of(&self, key: &Key) -> Vec<Progress> {
        // Deleted in the meantime: it has none.
        self.passes.list(key).unwrap_or_default()
    }
}
