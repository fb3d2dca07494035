//! Takes the steps of plans: looks at each migration with a running plan, and commits what the plan decides.
//! Its only state is in the migrations, so it continues after a restart. Every move is one compare-and-set,
//! so a step is taken once.

use std::{sync::Arc, time::Duration};

use super::{
    Entry, Guards, Instances, Operate, Registry,
    operate::{self, Mutation, now_ms},
};
use crate::domain::{
    Change, Fleet, Migration, State, Unmet, Wait, change,
    plan::{self, Missing, Next, PlanMove, PlanState, PlanStatus, Seen},
};

/// Actor of a plan's steps.
const ACTOR: &str = "plan";
/// Maximum interval between looks: time passes and evidence arrives without a commit.
const TICK: Duration = Duration::from_secs(1);
/// Minimum interval between looks.
const PAUSE: Duration = Duration::from_millis(10);

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
    pub fn outlook(&self, entry: &Entry) -> Option<Next> {
        let state = entry.migration.document.plan.as_ref()?;
        let now_ms = now_ms();
        Some(plan::outlook(state, &self.seen(entry, state), now_ms))
    }

    /// Runs plans until the process ends.
    pub async fn go_on(self: Arc<Self>) {
        let mut revisions = self.registry.subscribe();
        loop {
            let running: Vec<_> = {
                let state = self.registry.state();
                state.entries().filter(|entry| is_running(&entry.migration)).cloned().collect()
            };
            for entry in running {
                let Some(state) = &entry.migration.document.plan else { continue };
                let now_ms = now_ms();
                let next = plan::decide(state, &self.seen(&entry, state), now_ms);
                if let Next::Move(going) = next {
                    self.make(&entry, going).await;
                }
            }
            tokio::time::sleep(PAUSE).await;
            tokio::select! {
                _ = revisions.changed() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Commits a move, unless anything has happened since it was decided.
    async fn make(&self, entry: &Entry, going: PlanMove) {
        let (key, revision) = (entry.migration.key(), entry.migration.revision);
        let by =
            Mutation { actor: ACTOR.to_owned(), expected_revision: Some(revision), ..Mutation::default() };
        match self.operate.change(key, &Change::MovePlan(going), &by).await {
            // Another commit was faster: the next look sees it.
            Ok(_) | Err(operate::Error::Stale { .. }) => {}
            Err(error) => {
                tracing::warn!(migration.key = %key, %error, "the plan can't go on now; trying on");
            }
        }
    }

    fn seen(&self, entry: &Entry, state: &PlanState) -> Seen {
        let migration = &entry.migration;
        let fleet = self.instances.fleet(Some(entry));
        let steady_ms = self.registry.steady_ms();
        let unsettled = unsettled(migration, &fleet, steady_ms);
        let mut standing = self.guards.standing(migration.key());
        let certificates = standing.iter_mut().flat_map(|standing| &mut standing.certificates);
        certificates.for_each(|shown| {
            shown.expected_ms = shown.expected_ms.map(|at_ms| self.guards.unix_ms(at_ms));
        });
        Seen {
            tripped: migration.document.state() == State::Tripped,
            paused: migration.document.paused,
            in_place: state.plan.in_place(migration),
            settled: unsettled.is_empty(),
            unsettled,
            standing,
            hearing_since_ms: self.began_ms,
            steady_ms,
            miss_max: migration.document.guards.config().advance_miss_max,
        }
    }
}

fn is_running(migration: &Migration) -> bool {
    let document = &migration.document;
    document.finished_at_ms.is_none()
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
    let behind: Vec<_> = fleet.behind(step, Wait::Quiesced).map(|member| member.name.as_str()).collect();
    if missing.is_empty() && !behind.is_empty() {
        missing.push(Missing::open(format!("revision {step} to be known to {}", behind.join(", "))));
    }
    if missing.is_empty() && migration.document.ramping {
        missing.push(Missing::open("the controller to take the next step".to_owned()));
    }
    missing
}
