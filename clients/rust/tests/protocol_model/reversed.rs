//! A reverse pass meets a source that is newer than the target: a write that failed at target-first left it so. The
//! pass changes nothing there, and is clean. Every promise is kept in every state.

use cutover_client::routing::{
    Level::Linearizable,
    Rung::{Mirrored, TargetFirst, TargetOnly},
};

use crate::{
    check::{holds_deep, missed},
    coverage::Branch::{self, AcknowledgedByBoth, Hit, Indeterminate, LandedLate, Reversed, StaleAtSource},
    mutation::Omission,
    scenario::{BOTH, NONE, PLAIN, Scenario},
    state::Budget,
};

const BACK: Scenario = Scenario {
    rung: TargetOnly,
    stores: BOTH,
    steps: &[TargetFirst, Mirrored],
    expected: &[Branch::Mirrored, AcknowledgedByBoth, Reversed, StaleAtSource],
    budget: Budget { reads: 1, puts: 1, passes: 1, ..NONE },
    ..PLAIN
};

#[test]
fn the_target_failed_after_the_source_had_applied_the_write() {
    let budget = Budget { reads: 2, puts: 2, passes: 1, failures: 1, ..NONE };
    let expected = &[Branch::Mirrored, Hit, Indeterminate, Reversed, StaleAtSource];
    let scenario = Scenario { budget, expected, ..BACK };
    holds_deep(scenario, Budget { deletes: 1, ..budget });
    holds_deep(Scenario { level: Linearizable, ..scenario }, Budget { deletes: 1, ..budget });
}

/// Its stamp may be above those of all writes at target-only, which do not see it.
#[test]
fn the_put_landed_in_the_source_while_everybody_was_at_target_only() {
    let budget = Budget { reads: 1, puts: 2, passes: 2, late: 1, ..NONE };
    let steps = &[TargetOnly, TargetFirst, Mirrored];
    let expected = &[Branch::TargetOnly, Branch::Mirrored, LandedLate, Reversed, StaleAtSource];
    let scenario = Scenario { rung: TargetFirst, steps, budget, expected, ..BACK };
    holds_deep(scenario, Budget { reads: 2, ..budget });
    holds_deep(Scenario { level: Linearizable, ..scenario }, Budget { reads: 2, ..budget });
}

#[test]
fn a_newer_source_is_overwritten() {
    missed(Omission::ReverseOverwrites, BACK);
}
