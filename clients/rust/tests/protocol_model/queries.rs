//! Queries of the application's own, at the store that the rules name. They read one store, and confirm nothing.

use cutover_client::routing::Rung::{Dual, Mirrored, SourceOnly, TargetFirst, TargetOnly};

use crate::{
    check::{holds, holds_deep, is_excepted, missed},
    mutation::Omission,
    scenario::{BOTH, NONE, NOTHING, OLD, PLAIN, Scenario},
    state::{Budget, Stores},
};

const ONE: Budget = Budget { queries: 1, puts: 1, passes: 1, ..NONE };
const UP: Scenario = Scenario { steps: &[Mirrored, TargetFirst], budget: ONE, ..PLAIN };
const AT_TARGET_FIRST: Scenario = Scenario { rung: TargetFirst, stores: BOTH, budget: ONE, ..PLAIN };

#[test]
fn a_query_misses_nothing_acknowledged_on_the_way_up_and_back() {
    let faults = Budget { failures: 1, ..ONE };
    holds_deep(Scenario { budget: faults, ..UP }, Budget { queries: 2, late: 1, ..faults });
    holds(Scenario { budget: faults, steps: &[TargetOnly], ..AT_TARGET_FIRST });
    holds(Scenario { budget: faults, steps: &[TargetOnly, TargetFirst, Mirrored], ..AT_TARGET_FIRST });
    let deletes = Budget { deletes: 1, puts: 0, ..faults };
    holds(Scenario { budget: deletes, steps: &[Mirrored, Dual, SourceOnly], ..AT_TARGET_FIRST });
}

#[test]
fn asked_at_the_source_in_target_first() {
    missed(Omission::QueriesSourceAtTargetFirst, Scenario { steps: &[TargetOnly], ..AT_TARGET_FIRST });
}

#[test]
fn asked_at_the_target_in_mirrored() {
    missed(Omission::QueriesTargetAtMirrored, UP);
}

/// After a sweep the target is not complete: reads fall back to the source, and queries can't.
#[test]
fn a_sweep_is_not_enough_for_queries() {
    let budget = Budget { queries: 1, puts: 1, ..NONE };
    let stores = Stores { source: OLD, target: NOTHING };
    let steps = &[Mirrored, Mirrored, TargetFirst];
    is_excepted(Scenario {
        rung: Dual,
        lazy: true,
        stores,
        steps,
        budget: Budget { passes: 1, ..budget },
        ..PLAIN
    });
}
