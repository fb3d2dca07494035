//! Somebody has written a record without an SDK, and a repair makes the target what the source has. Every promise
//! is kept in every state, for what the source has; and each rule of the repair is needed.

use cutover_client::routing::{
    Level::Linearizable,
    Rung::{Dual, Mirrored, TargetFirst, TargetOnly},
};

use crate::{
    check::{holds_deep, loses, missed},
    coverage::Branch::{self, AcknowledgedByBoth, ConfirmedHit, Hit, LandedLate, SourceWon, StaleAtTarget},
    mutation::Omission,
    scenario::{BOTH, NONE, NOTHING, OLDER, OTHER, PLAIN, PUT, Scenario},
    state::{Budget, Stores},
};

/// The target has a newer record that the protocol did not write.
const FOREIGN: Scenario = Scenario {
    rung: Mirrored,
    stores: Stores { source: OLDER, target: PUT },
    foreign: true,
    steps: &[TargetFirst],
    budget: Budget { reads: 1, puts: 1, passes: 2, ..NONE },
    ..PLAIN
};

const EXPECTED: &[Branch] = &[Branch::TargetFirst, Hit, AcknowledgedByBoth, SourceWon];

#[test]
fn over_what_is_ahead_in_the_target() {
    let budget = Budget { reads: 1, puts: 1, passes: 2, late: 1, ..NONE };
    let expected = &[Branch::Mirrored, Branch::TargetFirst, Hit, StaleAtTarget, LandedLate, SourceWon];
    let steps = &[Mirrored, TargetFirst];
    let scenario = Scenario { rung: Dual, early_passes: true, steps, budget, expected, ..FOREIGN };
    holds_deep(scenario, Budget { puts: 2, ..budget });
    loses(Omission::ReverseBesideSourceWins, scenario);
}

#[test]
fn over_other_content_of_the_same_version() {
    let budget = Budget { reads: 2, puts: 1, passes: 2, late: 1, ..NONE };
    let stores = Stores { source: PUT, target: OTHER };
    let expected = &[Branch::TargetFirst, ConfirmedHit, Hit, AcknowledgedByBoth, SourceWon];
    let scenario = Scenario { level: Linearizable, stores, budget, expected, ..FOREIGN };
    holds_deep(scenario, Budget { puts: 2, ..budget });
}

#[test]
fn where_the_source_has_nothing() {
    let budget = Budget { reads: 1, puts: 1, passes: 2, late: 1, ..NONE };
    let stores = Stores { source: NOTHING, target: PUT };
    let scenario = Scenario { stores, budget, expected: EXPECTED, ..FOREIGN };
    holds_deep(scenario, Budget { puts: 2, ..budget });
}

#[test]
fn a_write_that_came_in_between_is_overwritten() {
    missed(Omission::SourceWinsUnconditionally, FOREIGN);
}

#[test]
fn a_write_that_took_itself_for_superseded_is_not_looked_for() {
    missed(Omission::NotLookedAgain, FOREIGN);
}

#[test]
fn a_write_of_its_own_lands_late_and_makes_the_target_what_the_source_had() {
    let budget = Budget { late: 1, ..FOREIGN.budget };
    missed(Omission::SourceReadBefore, Scenario { budget, ..FOREIGN });
}

#[test]
fn its_right_to_act_has_ended() {
    let budget = Budget { reads: 1, puts: 1, passes: 3, ..NONE };
    let scenario =
        Scenario { clients: 1, fenced: true, steps: &[TargetFirst, TargetOnly], budget, ..FOREIGN };
    missed(Omission::WorkersPastLease, scenario);
}

#[test]
fn earlier_evidence_still_counts_after_a_repair_that_never_ends() {
    let budget = Budget { reads: 1, puts: 1, passes: 1, ..NONE };
    let scenario = Scenario { clients: 1, fenced: true, budget, ..FOREIGN };
    missed(Omission::RepairKeepsEvidence, scenario);
}

#[test]
fn begun_although_the_target_is_read() {
    let budget = Budget { reads: 1, puts: 1, passes: 1, ..NONE };
    let scenario = Scenario { rung: TargetOnly, stores: BOTH, steps: &[], budget, ..FOREIGN };
    missed(Omission::SourceWinsAnywhere, Scenario { early_passes: true, ..scenario });
}
