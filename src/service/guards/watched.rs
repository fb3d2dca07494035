//! A migration under guard: its judge, which gets every revision and every report.

use cutover_core::routing::Rung;
use cutover_proto::v1;
use imbl::OrdMap;

use super::cells;
use crate::domain::{
    Counts, GuardSettings, Migration, State, Tenant, TenantRow,
    guard::{Judge, Level, NotCounted, Operation, Report, Slow, Standing, Verdict},
};

/// If more tenants move at once, it counts as a new stage for everybody.
const MOVED_MAX: usize = 100;

/// A migration's judge.
#[derive(Debug)]
pub(super) struct Watched {
    judge: Judge,
    revision: u64,
    stage_revision: u64,
    target_first_ppm: u32,
    settings: GuardSettings,
    tenants: OrdMap<Tenant, TenantRow>,
    slow: [Slow; 2],
}

/// Whether there is anything that a rollback could do.
pub(super) fn is_watched(migration: &Migration) -> bool {
    let document = &migration.document;
    let anybody = || {
        document.bands.at_least_ppm(Rung::Dual) > 0
            || migration.tenants.values().any(|row| row.placement.rung > Rung::SourceOnly)
    };
    !matches!(document.state(), State::Finished | State::Abandoned) && anybody()
}

impl Watched {
    pub(super) fn new(migration: &Migration, now_ms: u64) -> Self {
        let settings = migration.document.guards.clone();
        let stage = migration.stage(true);
        let mut judge = Judge::new(settings.config(), stage, now_ms);
        judge.newest(migration.revision);
        Self {
            judge,
            revision: migration.revision,
            stage_revision: stage.revision,
            target_first_ppm: migration.document.bands.at_least_ppm(Rung::TargetFirst),
            settings,
            tenants: migration.tenants.clone(),
            slow: Default::default(),
        }
    }

    /// Revision of the stage that is judged.
    pub(super) const fn stage_revision(&self) -> u64 {
        self.stage_revision
    }

    /// Processes what has been committed.
    pub(super) fn sync(&mut self, migration: &Migration, now_ms: u64) {
        if migration.revision <= self.revision {
            return;
        }
        if migration.document.guards != self.settings {
            let slow = std::mem::take(&mut self.slow);
            *self = Self { slow, ..Self::new(migration, now_ms) };
            return;
        }
        self.revision = migration.revision;
        let target_first_ppm = migration.document.bands.at_least_ppm(Rung::TargetFirst);
        let is_more = target_first_ppm > self.target_first_ppm;
        let mut stage = migration.stage(is_more);
        let moved: Vec<_> = self
            .moved(migration)
            .take(MOVED_MAX + 1)
            .map(|(tenant, since)| (tenant.clone(), since))
            .collect();
        if moved.len() > MOVED_MAX {
            stage.revision = migration.revision;
        }
        if stage.revision > self.stage_revision {
            self.judge.restage(stage, now_ms);
            self.stage_revision = stage.revision;
            self.target_first_ppm = target_first_ppm;
        }
        for (tenant, since) in moved.iter().take(MOVED_MAX) {
            self.judge.restage_tenant(tenant, *since, now_ms);
        }
        self.judge.newest(migration.revision);
        self.tenants = migration.tenants.clone();
    }

    /// Counts a report's cells about this migration, and judges them.
    pub(super) fn observe(
        &mut self,
        instance: &str,
        sequence: u64,
        wire: &[&v1::Cell],
        now_ms: u64,
    ) -> Vec<Verdict> {
        // A worker that calls no store through the SDK could never agree with anything.
        if !self.judge.knows(instance) && wire.iter().all(|cell| cell.stores.is_empty()) {
            return Vec::new();
        }
        let slow_from = [self.slow[0].from(), self.slow[1].from()];
        let tenants: Vec<Option<Tenant>> = wire.iter().map(|cell| Tenant::parse(&cell.tenant).ok()).collect();
        let cells: Vec<_> = wire
            .iter()
            .zip(&tenants)
            .flat_map(|(cell, tenant)| cells::split(cell, tenant.as_ref(), slow_from))
            .collect();
        let verdicts = self.judge.observe(&Report { instance, sequence, cells: &cells }, now_ms);
        for cell in wire {
            self.note_latency(cell);
        }
        verdicts
    }

    /// Advances by a second.
    pub(super) fn tick(&mut self, now_ms: u64) -> Vec<Verdict> {
        self.slow.iter_mut().for_each(|slow| slow.tick(now_ms));
        self.judge.tick(now_ms)
    }

    /// The instance is gone, or a new process has its name.
    pub(super) fn goodbye(&mut self, instance: &str) {
        self.judge.goodbye(instance);
    }

    pub(super) fn levels(&self) -> Vec<Level> {
        self.judge.levels()
    }

    pub(super) fn standing(&mut self, now_ms: u64) -> Standing {
        self.judge.standing(now_ms)
    }

    /// Restores what calls had shown of the stage before this process began.
    pub(super) fn recall(&mut self, shown: &Counts) {
        self.judge.recall(shown);
    }

    pub(super) const fn refused(&self) -> NotCounted {
        self.judge.refused()
    }

    fn note_latency(&mut self, cell: &v1::Cell) {
        for operation in [Operation::Read, Operation::Write] {
            let calls = cells::calls_of(cell, v1::StoreRole::Source, operation);
            // It was checked where it was counted.
            if let Some(latency) = calls.and_then(|calls| calls.latency_us.as_ref()) {
                let buckets = latency.index.iter().map(|index| *index as usize);
                self.slow[operation as usize].add(buckets.zip(latency.count.iter().copied()));
            }
        }
    }

    /// Tenants whose own placement changed, and since when they have it.
    fn moved<'a>(&'a self, after: &'a Migration) -> impl Iterator<Item = (&'a Tenant, u64)> {
        use imbl::ordmap::DiffItem;
        self.tenants.diff(&after.tenants).filter_map(|item| match item {
            DiffItem::Add(tenant, row) => Some((tenant, row.placement.since)),
            DiffItem::Update { old, new } if old.1.placement != new.1.placement => {
                Some((new.0, new.1.placement.since))
            }
            // It follows its bucket again, where it already stood.
            DiffItem::Update { .. } | DiffItem::Remove(..) => None,
        })
    }
}
