//! The exception to the promise about mutations, see docs/protocol.md ("Rungs"): while target-first and target-only are
//! both live, no store orders them all.

use cutover_client::routing::{
    Level::Linearizable,
    Rung::{Mirrored, TargetFirst, TargetOnly},
};

use crate::{
    check::is_excepted,
    scenario::{BOTH, NONE, PLAIN, Scenario},
    state::Budget,
};

const AT_TARGET_FIRST: Scenario = Scenario { level: Linearizable, rung: TargetFirst, stores: BOTH, ..PLAIN };

#[test]
fn a_mutation_at_target_first_may_replace_one_at_target_only() {
    let budget = Budget { mutates: 2, reads: 1, passes: 1, ..NONE };
    is_excepted(Scenario { steps: &[TargetOnly], budget, ..AT_TARGET_FIRST });
}

#[test]
fn its_late_put_may_replace_a_write_at_target_only_after_a_reverse_pass() {
    let budget = Budget { mutates: 1, puts: 1, reads: 1, late: 1, passes: 2, ..NONE };
    is_excepted(Scenario { steps: &[TargetOnly, TargetFirst, Mirrored], budget, ..AT_TARGET_FIRST });
}
