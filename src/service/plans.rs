//! Takes the steps of plans: looks at each migration with a running plan, and commits what the plan decides.
//! Its only state is in the migrations, so it continues after a restart. Every move is one compare-and-set,
//! so a step is taken once.

#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc, time::Duration};

use cutover_clock::Instant;

use super::{
    Entry, Guards, Instances, Operate, Registry,
    looked::{Basis, Looked},
    operate::{self, RequestMeta, now_ms},
};
use crate::domain::{
    Change, Fleet, Key, Migration, State, Unmet, Wait, change,
    guard::Standing,
    plan::{self, Brought, Missing, Next, Observed, PlanMove, PlanState, PlanStatus},
};

/// Actor of a plan's steps.
const ACTOR: &str = "plan";
/// Maximum interval between looks: reports arrive and leases end without a commit.
const TICK: Duration = Duration::from_secs(1);
/// Maximum wait for a time before the next look: the wall clock may be set.
const LONG: Duration = Duration::from_secs(60);
/// Minimum interval between looks.
const PAUSE: Duration = Duration::from_millis(10);

/// What a plan that waits was seen with.
struct Waiting {
    seen: Observed,
    /// Why its move last failed, so that the same reason is logged once. Empty: it did not.
    failed: String,
}

/// The plans of this controller.
#[derive(Debug)]
pub struct Plans {
    registry: Arc<Registry>,
    instances: Arc<Instances>,
    operate: Arc<Operate>,
    guards: Arc<Guards>,
    /// Unix time.
    began_ms: u64,
}

impl Plans {
    /// Does nothing before [`Self::go_on`].
    pub fn new(
        registry: Arc<Registry>,
        instances: Arc<Instances>,
        operate: Arc<Operate>,
        guards: Arc<Guards>,
    ) -> Self {
        Self { registry, instances, operate, guards, began_ms: now_ms() }
    }

    /// What a migration's plan waits for, or would do now. `None`: it has no plan.
    pub fn outlook(&self, entry: &Entry, fleet: &Fleet) -> Option<Next> {
        let state = entry.migration.document.plan.as_ref()?;
        let now_ms = now_ms();
        Some(plan::outlook(state, &self.seen(entry, state, fleet), now_ms))
    }

    /// Runs plans until the process ends.
    pub async fn go_on(self: Arc<Self>) {
        let mut revisions = self.registry.subscribe();
        let mut acknowledged = self.instances.acknowledged();
        let mut waiting: HashMap<Key, Looked<Waiting>> = HashMap::new();
        loop {
            revisions.mark_unchanged();
            acknowledged.mark_unchanged();
            let running: Vec<_> = {
                let state = self.registry.state();
                waiting.retain(|key, _| state.entry(key).is_some());
                state.entries().filter(|entry| is_running(&entry.migration)).cloned().collect()
            };
            for entry in running {
                let key = entry.migration.key();
                let Some(going) = self.look(&entry, &mut waiting) else { continue };
                let failed = self.make(&entry, going).await.unwrap_or_default();
                let Some(looked) = waiting.get_mut(key) else { continue };
                if !failed.is_empty() {
                    looked.until = Some(Instant::now() + TICK);
                    if failed != looked.seen.failed {
                        tracing::warn!(migration.key = %key, "the plan cannot continue yet: {failed}; retrying");
                    }
                }
                looked.seen.failed = failed;
            }
            tokio::time::sleep(PAUSE).await;
            tokio::select! {
                _ = acknowledged.changed() => {}
                _ = revisions.changed() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// What a plan does now. Copies nothing if nothing has changed since the last look.
    fn look(&self, entry: &Entry, waiting: &mut HashMap<Key, Looked<Waiting>>) -> Option<PlanMove> {
        let (key, now, now_ms) = (entry.migration.key(), Instant::now(), now_ms());
        let state = entry.migration.document.plan.as_ref()?;
        let basis = Basis::of(entry, &self.instances);
        let (seen, failed) = match waiting.remove(key) {
            Some(looked) if looked.holds(&basis, now) => {
                waiting.insert(key.clone(), looked);
                return None;
            }
            Some(Looked { basis: same, seen: Waiting { seen, failed }, .. }) if same == basis => {
                let (standing, steady_ms) = (self.standing(key), self.registry.steady_ms());
                (Observed { standing, steady_ms, ..seen }, failed)
            }
            last => {
                let failed = last.map_or_else(String::new, |looked| looked.seen.failed);
                (self.seen(entry, state, &self.instances.fleet(Some(entry))), failed)
            }
        };
        let (until, going, failed) = match plan::decide(state, &seen, now_ms) {
            // A commit follows, or another look immediately.
            Next::Move(going) => (Some(now), Some(going), failed),
            Next::Wait(missing) => (until(&missing, now, now_ms), None, String::new()),
            Next::Held(_) | Next::Done => (None, None, String::new()),
        };
        waiting.insert(key.clone(), Looked { basis, until, seen: Waiting { seen, failed } });
        going
    }

    /// Commits a move, unless anything has happened since it was decided. Returns why it failed.
    async fn make(&self, entry: &Entry, going: PlanMove) -> Option<String> {
        let (key, revision) = (entry.migration.key(), entry.migration.revision);
        let by = RequestMeta {
            actor: ACTOR.to_owned(),
            expected_revision: Some(revision),
            ..RequestMeta::default()
        };
        match self.operate.change(key, &Change::MovePlan(going), &by).await {
            // Another commit was faster: the next look sees it.
            Ok(_) | Err(operate::Error::Stale { .. }) => None,
            Err(error) => Some(error.to_string()),
        }
    }

    fn seen(&self, entry: &Entry, state: &PlanState, fleet: &Fleet) -> Observed {
        let migration = &entry.migration;
        let steady_ms = self.registry.steady_ms();
        let unsettled = unsettled(migration, fleet, steady_ms);
        Observed {
            key: migration.key().to_string(),
            tripped: migration.document.state() == State::Tripped,
            paused: migration.document.paused_why(),
            in_place: state.plan.in_place(migration),
            settled: unsettled.is_empty(),
            unsettled,
            standing: self.standing(migration.key()),
            hearing_since_ms: self.began_ms,
            steady_ms,
            miss_max: migration.document.guards.config().advance_miss_max,
        }
    }

    /// The guards' standing, with times in Unix time.
    fn standing(&self, key: &Key) -> Option<Standing> {
        let mut standing = self.guards.standing(key);
        let certificates = standing.iter_mut().flat_map(|standing| &mut standing.certificates);
        certificates.for_each(|shown| {
            shown.expected_ms = shown.expected_ms.map(|at_ms| self.guards.unix_ms(at_ms));
        });
        standing
    }
}

/// When to look at a waiting plan again. `None`: only after its migration or the fleet has changed.
fn until(missing: &[Missing], now: Instant, now_ms: u64) -> Option<Instant> {
    let wait = |missing: &Missing| match missing.by {
        Brought::Reports => Some(TICK),
        Brought::Time => {
            let until_ms = missing.until_ms.unwrap_or(u64::MAX);
            Some(Duration::from_millis(until_ms.saturating_sub(now_ms)).min(LONG))
        }
        Brought::Change => None,
    };
    missing.iter().filter_map(wait).min().map(|wait| now + wait)
}

fn is_running(migration: &Migration) -> bool {
    let document = &migration.document;
    !matches!(document.state(), State::Finished | State::Abandoned)
        && document.plan.as_ref().is_some_and(|plan| plan.status == PlanStatus::Running)
}

/// Why not everybody is where they were asked to be and has acknowledged it. Empty: they have.
fn unsettled(migration: &Migration, fleet: &Fleet, steady_ms: u64) -> Vec<Missing> {
    let told = |unmet: Unmet| {
        let Unmet { step, whom, gate, message, action, .. } = unmet;
        Missing::open(format!("{whom} {step}: [{gate}] {message} ({action})"))
    };
    let mut missing: Vec<_> = change::waiting(migration, fleet, steady_ms).into_iter().map(told).collect();
    let step = migration.newest_step();
    let (callers, behind): (Vec<_>, Vec<_>) =
        fleet.behind(step, Wait::Quiesced).partition(|member| member.is_callers());
    if missing.is_empty() && !behind.is_empty() {
        let names: Vec<&str> = behind.iter().map(|member| member.name.as_str()).collect();
        missing.push(Missing::open(format!("{} to acknowledge revision {step}", names.join(", "))));
    } else if missing.is_empty() && !callers.is_empty() {
        missing.push(Missing::open("cached answers of Decide or OpenFeature to expire".to_owned()));
    }
    if missing.is_empty() && migration.document.ramping {
        missing.push(Missing::open("the controller to take the next step".to_owned()));
    }
    missing
}
