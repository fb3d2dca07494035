//! Overrides of the full pass, and a second tenant. An override is for the tenants of the request that it came with, until
//! that request is done. What others ask neither spreads nor ends it.

use cutover_client::routing::Rung::{self, Dual, Mirrored, SourceOnly, TargetFirst, TargetOnly};

use crate::{
    check::{holds_deep, missed},
    coverage::Branch::{self, NeighbourStepped, Overridden, Passed},
    mutation::Omission,
    protocol::{Action, Protocol},
    scenario::{BOTH, NONE, NOTHING, OLD, OLDER, PLAIN, PUT, Scenario},
    state::{Budget, Ladder, State, Stores},
    stuck::{always_arrives, gets_stuck},
};

/// Another tenant of the migration, settled at mirrored. No pass covers it, and none of its records is modelled: what it
/// loses by its own override is up to whoever asked for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Neighbour {
    Waiting,
    /// Pinned to target-first, with an override.
    Overridden,
    /// Only mutations: pinned to target-first, but without the override.
    Revoked,
    /// At target-first: its request is done, and its override has ended.
    Arrived,
}

impl Protocol {
    /// The second tenant, and the requests of people.
    pub(crate) fn neighbour_actions(state: &State, actions: &mut Vec<Action>) {
        match state.ladder.neighbour {
            Some(Neighbour::Waiting) => actions.push(Action::Pin),
            Some(Neighbour::Overridden) => actions.push(Action::NeighbourSteps),
            None | Some(Neighbour::Revoked | Neighbour::Arrived) => {}
        }
        if !state.ladder.asked {
            actions.push(Action::Ramp);
        }
    }

    pub(crate) fn pin(state: &State) -> State {
        let mut after = state.clone();
        after.ladder.neighbour = Some(Neighbour::Overridden);
        after
    }

    /// A request without an override, for the tenant of the record.
    pub(crate) fn ramp(&self, state: &State) -> State {
        let mut after = state.clone();
        after.ladder.asked = true;
        if after.ladder.neighbour == Some(Neighbour::Overridden) {
            if self.has(Omission::OverrideSpreads) {
                after.ladder.overridden = Some(TargetFirst);
            }
            if self.has(Omission::OverrideRevoked) {
                after.ladder.neighbour = Some(Neighbour::Revoked);
            }
        }
        after
    }

    /// A revision that moves only the second tenant.
    pub(crate) fn neighbour_steps(&self, state: &State) -> State {
        let mut after = state.clone();
        let ladder = &mut after.ladder;
        ladder.neighbour = Some(Neighbour::Arrived);
        ladder.window.push(ladder.revision(ladder.newest()));
        self.coverage.note(NeighbourStepped);
        after
    }

    /// Whether the tenant of the record needs no full pass for this step.
    pub(crate) fn is_overridden(&self, ladder: &Ladder, next: Rung) -> bool {
        let own = ladder.overridden.is_some_and(|upto| next <= self.leads_to(upto));
        if own {
            self.coverage.note(Overridden);
        }
        own || self.has(Omission::OverrideForEverybody) && ladder.neighbour == Some(Neighbour::Overridden)
    }

    /// The override of the tenant of the record ends when that has arrived, or turns back.
    pub(crate) fn end_override(&self, ladder: &mut Ladder, from: Rung, next: Rung) {
        let is_done = |upto: &mut Rung| next < from || next >= self.leads_to(*upto);
        if !self.has(Omission::OverrideOutlives) {
            ladder.overridden.take_if(is_done);
        }
    }

    fn leads_to(&self, upto: Rung) -> Rung {
        if self.has(Omission::OverrideLeadsFurther) { TargetOnly } else { upto }
    }
}

const ONE: Budget = Budget { reads: 1, puts: 1, passes: 1, ..NONE };

/// Only a full pass makes target-first right for the tenant of the record.
const NEIGHBOURS: Scenario = Scenario {
    rung: Mirrored,
    neighbour: true,
    stores: Stores { source: PUT, target: OLDER },
    steps: &[TargetFirst],
    budget: ONE,
    expected: &[Branch::TargetFirst, Passed, NeighbourStepped],
    ..PLAIN
};

/// The target has nothing yet, so target-first is right without a pass.
const ITS_OWN: Scenario = Scenario {
    rung: Mirrored,
    overridden: Some(TargetFirst),
    stores: Stores { source: OLD, target: NOTHING },
    steps: &[TargetFirst, TargetOnly],
    budget: ONE,
    expected: &[Branch::TargetFirst, Branch::TargetOnly, Overridden, Passed],
    ..PLAIN
};

/// It is right once, but not after writes to the source alone.
const TWICE: Scenario = Scenario {
    stores: BOTH,
    steps: &[TargetFirst, Mirrored, SourceOnly, Mirrored, TargetFirst],
    expected: &[Branch::SourceOnly, Branch::TargetFirst, Overridden, Passed],
    ..ITS_OWN
};

#[test]
fn another_tenant_moves_by_an_override_while_this_one_goes_up_and_back() {
    let budget = Budget { failures: 1, ..ONE };
    let up = Scenario { rung: SourceOnly, steps: &[Mirrored, TargetFirst], budget, ..NEIGHBOURS };
    holds_deep(up, Budget { puts: 2, late: 1, ..budget });
    let back = Scenario { steps: &[TargetFirst, Mirrored, Dual], budget, ..NEIGHBOURS };
    holds_deep(back, Budget { puts: 2, late: 1, ..budget });
}

#[test]
fn for_everybody() {
    missed(Omission::OverrideForEverybody, NEIGHBOURS);
}

#[test]
fn spread_by_a_later_request() {
    missed(Omission::OverrideSpreads, NEIGHBOURS);
}

#[test]
fn ended_by_a_later_request_of_others() {
    always_arrives(NEIGHBOURS);
    gets_stuck(Omission::OverrideRevoked, NEIGHBOURS);
}

#[test]
fn still_there_when_its_tenant_comes_back() {
    missed(Omission::OverrideOutlives, TWICE);
}

#[test]
fn further_up_than_its_request() {
    missed(Omission::OverrideLeadsFurther, ITS_OWN);
}
