//! What metrics say of each migration, besides what instances report.

mod lag;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cutover_clock::Instant;

use super::{Entry, Instances, Passes, Progress, Registry};
use crate::{
    domain::{Evidence, Key, PassCounts, PassKind, State, Wait, plan::PlanState},
    telemetry::{Gauges, PassGauges, PlanGauges},
};
use lag::Lag;

/// Interval between looks at who has acknowledged what.
const LOOK: Duration = Duration::from_secs(1);

const KINDS: [PassKind; 5] =
    [PassKind::Full, PassKind::Verify, PassKind::Sweep, PassKind::Sample, PassKind::Reverse];

/// Reads the values.
#[derive(Debug)]
pub struct Vitals {
    registry: Arc<Registry>,
    instances: Arc<Instances>,
    passes: Arc<Passes>,
    lags: Mutex<HashMap<Key, Lag>>,
}

impl Vitals {
    /// Lags count from the first look of [`Self::watch`].
    pub fn new(registry: Arc<Registry>, instances: Arc<Instances>, passes: Arc<Passes>) -> Self {
        Self { registry, instances, passes, lags: Mutex::default() }
    }

    /// Follows acknowledgements until the process ends.
    pub async fn watch(&self) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let state = self.registry.state();
            let mut lags = self.lags();
            lags.retain(|key, _| state.entry(key).is_some());
            for entry in state.entries() {
                let (migration, now) = (&entry.migration, Instant::now());
                let lag = lags.entry(migration.key().clone()).or_default();
                lag.step(migration.revision, || migration.newest_step(), now);
                lag.settled(|| self.instances.fleet(Some(entry)).settled(u64::MAX));
            }
        }
    }

    /// The gauges of every migration.
    pub fn gauges(&self) -> Vec<Gauges> {
        let state = self.registry.state();
        let registered = self.instances.seen().len() as u64;
        state.entries().map(|entry| self.of(entry, registered)).collect()
    }

    fn of(&self, entry: &Entry, instances: u64) -> Gauges {
        let (migration, document) = (&entry.migration, &entry.migration.document);
        let (rollout, fleet) = (document.rollout(), self.instances.fleet(Some(entry)));
        let running = self.passes.list(migration.key()).unwrap_or_default();
        let passes = KINDS.iter().filter_map(|kind| pass(*kind, &running, &document.evidence));
        Gauges {
            migration: migration.key().to_string(),
            dual_ppm: rollout.dual_ppm(),
            mirrored_ppm: rollout.mirrored_ppm(),
            target_first_ppm: rollout.target_first_ppm(),
            target_only_ppm: rollout.target_only_ppm(),
            instances,
            unsettled: fleet.behind(migration.newest_step(), Wait::Quiesced).count() as u64,
            lost_instances: fleet.lost().count() as u64,
            acknowledgement_lag_seconds: self
                .lags()
                .get(migration.key())
                .map_or(0, |lag| lag.lasted(Instant::now()).as_secs()),
            paused: document.paused,
            tripped: document.state() == State::Tripped,
            plan: document.plan.as_ref().map(plan),
            passes: passes.collect(),
        }
    }

    fn lags(&self) -> MutexGuard<'_, HashMap<Key, Lag>> {
        self.lags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn plan(state: &PlanState) -> PlanGauges {
    PlanGauges {
        status: state.status,
        steps: state.plan.steps().len() as u64,
        steps_taken: state.taken.len() as u64,
        step_timestamp_seconds: state.taken.last().map_or(state.applied_at_ms, |taken| taken.at_ms) / 1_000,
    }
}

/// The running passes of a kind together, or else the last one. `None`: there was none.
fn pass(kind: PassKind, running: &[Progress], ended: &[Evidence]) -> Option<PassGauges> {
    let none = PassGauges::none(kind);
    let of_kind: Vec<&Progress> = running.iter().filter(|progress| progress.job.kind == kind).collect();
    if !of_kind.is_empty() {
        return Some(together(none, &of_kind));
    }
    let last = ended.iter().rev().find(|evidence| evidence.job.kind == kind)?;
    Some(counted(none, &last.counts))
}

fn together(none: PassGauges, running: &[&Progress]) -> PassGauges {
    let mut counts = PassCounts::default();
    let segments = running.iter().flat_map(|progress| &progress.record.segments);
    segments.clone().for_each(|segment| counts.add(&segment.counts));
    let workers: HashSet<&str> = running
        .iter()
        .flat_map(|progress| &progress.claims)
        .map(|(_, claim)| claim.instance_id.as_str())
        .collect();
    let none = PassGauges {
        running: running.len() as u64,
        workers: workers.len() as u64,
        segments: segments.clone().count() as u64,
        segments_done: segments.filter(|segment| segment.done).count() as u64,
        ..none
    };
    counted(none, &counts)
}

fn counted(none: PassGauges, counts: &PassCounts) -> PassGauges {
    PassGauges {
        scanned_records: counts.scanned,
        quarantined_records: counts.quarantined,
        failed_records: counts.failed,
        different_records: counts.remaining.total(),
        ..none
    }
}
