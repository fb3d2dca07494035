//! A sidecar: an instance for another process that makes the store calls itself. Either may die without the other.

use cutover_client::routing::Rung::{Dual, Mirrored, TargetFirst};

use crate::{
    check::{holds, loses, missed},
    coverage::Branch,
    mutation::Omission,
    protocol::{Action, Protocol},
    scenario::{NONE, PLAIN, Scenario},
    state::{Budget, Client, Life, State},
};

impl Protocol {
    /// What may happen to a sidecar and to the operation of its caller.
    pub(crate) fn sidecar_actions(
        &self,
        state: &State,
        at: usize,
        client: &Client,
        actions: &mut Vec<Action>,
    ) {
        let is_killed = client.life == Life::Killed;
        let is_over = client.doing.as_ref().is_none_or(|doing| !doing.leased);
        if is_killed && !client.evicted && (is_over || self.has(Omission::KilledNotWaitedFor)) {
            actions.push(Action::CountOut(at));
        }
        if client.doing.is_none() {
            return;
        }
        actions.push(if is_over { Action::GiveUp(at) } else { Action::DeadlineEnds(at) });
        if !is_killed && state.budget.crashes > 0 {
            actions.push(Action::KillSidecar(at));
        }
    }

    /// The sidecar no longer holds the operation, and its caller makes no further call.
    pub(crate) fn deadline_ends(&self, state: &State, at: usize) -> State {
        let mut after = state.clone();
        after.clients[at].doing.iter_mut().for_each(|doing| doing.leased = false);
        self.coverage.note(Branch::DeadlineEnded);
        after
    }

    /// The sidecar's process dies. Nobody can tell its caller that an operation took effect.
    pub(crate) fn kill_sidecar(&self, state: &State, at: usize) -> Option<State> {
        let mut after = state.clone();
        after.budget.crashes = after.budget.crashes.checked_sub(1)?;
        after.clients[at].life = Life::Killed;
        self.coverage.note(Branch::SidecarKilled);
        Some(after)
    }

    pub(crate) fn calls_past_deadlines(&self) -> bool {
        self.has(Omission::CallsPastDeadline) || self.has(Omission::EndedUnheld)
    }

    pub(crate) fn ends_unheld(&self, client: &Client) -> bool {
        client.life.has_deadlines() && self.has(Omission::EndedUnheld)
    }
}

const KILLED: &[Branch] = &[
    Branch::DeadlineEnded,
    Branch::SidecarKilled,
    Branch::GivenUp,
    Branch::CountedOut,
    Branch::Acknowledged,
];

/// From source-only to target-first, with a sidecar that may be killed.
const UP: Scenario = Scenario {
    sidecars: 1,
    steps: &[Mirrored, TargetFirst],
    budget: Budget { reads: 1, puts: 1, passes: 1, crashes: 1, ..NONE },
    expected: KILLED,
    ..PLAIN
};

/// From dual to target-first without a pass.
const LAZY: Scenario = Scenario {
    rung: Dual,
    lazy: true,
    sidecars: 1,
    steps: &[Mirrored, Mirrored, TargetFirst],
    budget: Budget { reads: 1, puts: 2, passes: 1, failures: 1, crashes: 1, ..NONE },
    ..PLAIN
};

#[test]
fn a_sidecar_that_may_be_killed_before_a_sweep() {
    holds(Scenario { budget: Budget { late: 1, ..LAZY.budget }, ..LAZY });
}

#[test]
fn a_sidecar_with_a_fence() {
    let budget = Budget { crashes: 0, ..UP.budget };
    holds(Scenario { fenced: true, budget, expected: &[Branch::DeadlineEnded, Branch::CameBack], ..UP });
}

#[test]
fn ended_although_the_sidecar_does_not_hold_it() {
    missed(Omission::EndedUnheld, UP);
}

#[test]
fn calls_made_past_the_deadline_before_a_sweep() {
    loses(Omission::CallsPastDeadline, LAZY);
}

#[test]
fn a_killed_sidecar_not_waited_for_before_a_sweep() {
    loses(Omission::KilledNotWaitedFor, LAZY);
}
