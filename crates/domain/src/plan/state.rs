//! A running plan, as a migration's document stores it.

use serde::{Deserialize, Serialize};

use super::{Plan, Step};
use crate::Identity;

/// A running plan: everything that has to survive a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanState {
    /// The plan.
    pub plan: Plan,
    /// Its status.
    pub status: PlanStatus,
    /// Unix time.
    pub applied_at_ms: u64,
    /// Who applied it.
    pub applied_by: String,
    /// What proved that.
    #[serde(default, skip_serializing_if = "Identity::is_unproven")]
    pub applied_identity: Identity,
    /// The steps taken so far, in order.
    pub taken: Vec<Taken>,
    /// Number of steps, from the first, that need no further approval.
    pub approved: usize,
}

/// The status of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanStatus {
    /// It continues as soon as it may.
    Running,
    /// Stopped by a rollback; resume continues it.
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
    /// Unix time since which every instance is on it, for people. `None`: not yet.
    pub settled_at_ms: Option<u64>,
    /// The same by the controller's steady clock: the bake time counts from it. `None`: not yet, or stored by
    /// a version without such a clock.
    #[serde(default)]
    pub settled_steady_ms: Option<u64>,
    /// Unix time when its evidence was complete. `None`: not yet, or not required.
    pub shown_at_ms: Option<u64>,
    /// Why an operator waived what it lacked. `None`: nobody did.
    pub skipped: Option<String>,
}

/// A plan's own move. Steps are counted from 0; for `Settle`, `Show` and `Pause` the number is that of the
/// steps taken so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanMove {
    /// Take this step.
    Take(usize),
    /// The last step has settled.
    Settle(usize),
    /// The last step's evidence is complete.
    Show(usize),
    /// There is no data: pause the migration.
    Pause(usize),
    /// The last step of all is over.
    Finish,
}

impl PlanState {
    /// Starts a plan. The first steps, which are already in place, are not taken again.
    pub fn begun(
        plan: Plan,
        in_place: usize,
        (applied_by, identity): (&str, &Identity),
        revision: u64,
        now_ms: u64,
    ) -> Self {
        Self {
            plan,
            status: PlanStatus::Running,
            applied_at_ms: now_ms,
            applied_by: applied_by.to_owned(),
            applied_identity: identity.clone(),
            taken: vec![Taken::at(revision, now_ms); in_place],
            approved: 0,
        }
    }

    /// The last step that was taken.
    pub fn current(&self) -> Option<(&Step, &Taken)> {
        let taken = self.taken.last()?;
        Some((self.plan.steps.get(self.taken.len() - 1)?, taken))
    }

    /// Goes back to the steps that still hold, and restarts the last of them. False: all hold.
    pub(crate) fn reset_to(&mut self, in_place: usize, revision: u64, now_ms: u64) -> bool {
        if in_place >= self.taken.len() {
            return false;
        }
        self.taken.truncate(in_place);
        if let Some(last) = self.taken.last_mut() {
            *last = Taken::at(revision, now_ms);
        }
        // Whoever approved a step did not know that it would be taken back.
        self.approved = self.approved.min(in_place);
        true
    }
}

impl Taken {
    /// A step taken now, about which nothing else is known yet.
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
