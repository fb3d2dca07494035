//! The exception to the promise about mutations, see docs/protocol.md ("Rungs"): around target-only no store orders
//! them all. And how far a hold between target-first and target-only would help, which ADR 0052 proposes.

use cutover_client::routing::{
    Level::Linearizable,
    Rung::{Hold, Mirrored, TargetFirst, TargetOnly},
};

use crate::{
    check::{holds, is_excepted},
    scenario::{BOTH, NONE, PLAIN, Scenario},
    state::Budget,
};

const AT_TARGET_FIRST: Scenario = Scenario { level: Linearizable, rung: TargetFirst, stores: BOTH, ..PLAIN };
const BY_HOLD: Scenario = Scenario { around_by_hold: true, ..AT_TARGET_FIRST };

const FAULTLESS: Budget = Budget { mutates: 2, reads: 1, passes: 1, ..NONE };
const LATE: Budget = Budget { mutates: 1, puts: 1, reads: 1, late: 1, passes: 2, ..NONE };

#[test]
fn a_mutation_at_target_first_may_replace_one_at_target_only() {
    is_excepted(Scenario { steps: &[TargetOnly], budget: FAULTLESS, ..AT_TARGET_FIRST });
}

#[test]
fn its_late_put_may_replace_a_write_at_target_only_after_a_reverse_pass() {
    is_excepted(Scenario { steps: &[TargetOnly, TargetFirst, Mirrored], budget: LATE, ..AT_TARGET_FIRST });
}

#[test]
fn with_a_hold_in_between_no_acknowledged_mutation_replaces_what_it_has_not_seen() {
    let up = Scenario { steps: &[Hold, TargetOnly], ..BY_HOLD };
    holds(Scenario { budget: FAULTLESS, ..up });
    holds(Scenario { budget: Budget { lost: 1, failures: 1, ..FAULTLESS }, ..up });
    let around = &[Hold, TargetOnly, Hold, TargetFirst, Mirrored];
    holds(Scenario { steps: around, budget: Budget { passes: 2, ..FAULTLESS }, ..BY_HOLD });
    let back = Scenario { rung: TargetOnly, steps: &[Hold, TargetFirst, Mirrored], ..BY_HOLD };
    holds(Scenario { budget: Budget { puts: 1, ..FAULTLESS }, ..back });
}

#[test]
fn a_hold_does_not_help_against_a_put_of_a_mutation_that_lands_after_it() {
    is_excepted(Scenario { steps: &[Hold, TargetOnly], budget: LATE, ..BY_HOLD });
}

#[test]
fn nor_against_a_mutation_of_unknown_outcome_that_a_later_one_starts_from() {
    let budget = Budget { mutates: 2, puts: 1, reads: 1, failures: 1, passes: 1, ..NONE };
    is_excepted(Scenario { steps: &[Hold, TargetOnly, Hold, TargetFirst], budget, ..BY_HOLD });
}
