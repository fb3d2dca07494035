//! A plan on its way, as a migration's document keeps it.

use serde::{Deserialize, Serialize};

use super::{Part, Plan, Step};
use crate::domain::Migration;

/// A plan on its way. All that a restart has to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanState {
    /// The plan.
    pub plan: Plan,
    /// How it is with it.
    pub status: PlanStatus,
    /// Unix time.
    pub applied_at_ms: u64,
    /// Who applied it.
    pub applied_by: String,
    /// The steps that were taken, in order.
    pub taken: Vec<Taken>,
    /// Steps that need no approval any more, from the first.
    pub approved: usize,
}

/// How it is with a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanStatus {
    /// It goes on as soon as it may.
    Running,
    /// Stopped by a rollback; resume goes on.
    Stopped,
    /// Ended before its last step was over.
    Ended,
    /// All steps are over.
    Done,
}

/// A step that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Unix time.
    pub at_ms: u64,
    /// The controller's revision that took it.
    pub revision: u64,
    /// Unix time since when every instance is on it, for people. `None`: not yet.
    pub settled_at_ms: Option<u64>,
    /// The same by the controller's steady clock: its bake time counts from then. `None`: not yet, or
    /// written before there was such a clock.
    #[serde(default)]
    pub settled_steady_ms: Option<u64>,
    /// Unix time when it had shown what it had to. `None`: not yet, or not needed.
    pub shown_at_ms: Option<u64>,
    /// Why an operator waived what it lacked. `None`: nobody did.
    pub skipped: Option<String>,
}

/// What a plan does by itself. A step is counted from 0; of `Settle`, `Show` and `Pause` the number is
/// that of the steps taken then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanMove {
    /// Takes this step.
    Take(usize),
    /// Everybody is on the last step.
    Settle(usize),
    /// The last step has shown what it had to.
    Show(usize),
    /// There is no data: the migration is paused.
    Pause(usize),
    /// The last step of all is over.
    Finish,
}

impl PlanState {
    /// A plan that begins. Steps that are in place already are not taken again.
    pub fn begun(plan: Plan, migration: &Migration, applied_by: &str, revision: u64, now_ms: u64) -> Self {
        let taken = vec![Taken::at(revision, now_ms); plan.in_place(migration)];
        let (status, applied_by) = (PlanStatus::Running, applied_by.to_owned());
        Self { plan, status, applied_at_ms: now_ms, applied_by, taken, approved: 0 }
    }

    /// The last step that was taken.
    pub fn current(&self) -> Option<(&Step, &Taken)> {
        let taken = self.taken.last()?;
        Some((self.plan.steps.get(self.taken.len() - 1)?, taken))
    }

    /// Goes back to the steps that still hold; the last of them begins anew. False: all hold.
    pub(in crate::domain) fn reset_to(&mut self, in_place: usize, revision: u64, now_ms: u64) -> bool {
        if in_place >= self.taken.len() {
            return false;
        }
        self.taken.truncate(in_place);
        if let Some(last) = self.taken.last_mut() {
            *last = Taken::at(revision, now_ms);
        }
        // Who approved a step did not know that it would be taken back.
        self.approved = self.approved.min(in_place);
        true
    }
}

impl Plan {
    /// Steps, from the first, that the migration is to be at, or above, already.
    pub fn in_place(&self, migration: &Migration) -> usize {
        self.steps.iter().take_while(|step| step.is_in_place(migration)).count()
    }
}

impl Step {
    /// Is the migration to be there, or above, already?
    pub(in crate::domain) fn is_in_place(&self, migration: &Migration) -> bool {
        match &self.part {
            Part::Share(ppm) => {
                let shares = migration.document.goal.shares();
                shares.into_iter().any(|(rung, has)| rung == self.rung && has >= *ppm)
            }
            Part::Tenants(tenants) => tenants.iter().all(|tenant| migration.wanted(tenant).rung >= self.rung),
        }
    }
}

impl Taken {
    /// Taken now; nothing is known of it yet.
    pub const fn at(revision: u64, now_ms: u64) -> Self {
        Self {
            at_ms: now_ms,
            revision,
            settled_at_ms: None,
            settled_steady_ms: None,
            shown_at_ms: None,
            skipped: None,
        }
    }
}
