//! Legal ways up, down and around. Every promise is kept in every state of each.
//!
//! Each has a budget for every run, and a larger one for `CUTOVER_MODEL=deep`.

use cutover_client::routing::{
    Level::Linearizable,
    Rung::{Dual, Hold, Mirrored, SourceOnly, TargetFirst, TargetOnly},
};

use crate::{
    check::holds_deep,
    scenario::{BOTH, DEAD, NONE, NOTHING, OLD, OLDER, PLAIN, PUT, Scenario},
    state::{Budget, Stores},
};

const AT_TARGET_FIRST: Scenario = Scenario { rung: TargetFirst, stores: BOTH, ..PLAIN };

#[test]
fn up() {
    let budget = Budget { reads: 1, puts: 2, passes: 2, failures: 1, ..NONE };
    let scenario = Scenario { steps: &[Dual, Mirrored, TargetFirst, TargetOnly], budget, ..PLAIN };
    holds_deep(scenario, Budget { reads: 2, puts: 2, deletes: 1, failures: 1, lost: 1, ..budget });
}

#[test]
fn up_without_dual() {
    let budget = Budget { reads: 2, puts: 1, deletes: 1, passes: 2, ..NONE };
    let stores = Stores { source: PUT, target: OLDER };
    let scenario = Scenario { steps: &[Mirrored, TargetFirst, TargetOnly], stores, budget, ..PLAIN };
    holds_deep(scenario, Budget { puts: 2, lost: 1, ..budget });
}

#[test]
fn up_linearizable() {
    let budget = Budget { reads: 2, puts: 2, passes: 1, ..NONE };
    let stores = Stores { source: PUT, target: OLDER };
    let scenario = Scenario {
        level: Linearizable,
        rung: Dual,
        steps: &[Mirrored, TargetFirst],
        stores,
        budget,
        ..PLAIN
    };
    holds_deep(scenario, Budget { reads: 3, lost: 1, ..budget });
}

#[test]
fn up_to_target_only_linearizable() {
    let budget = Budget { reads: 2, puts: 1, deletes: 1, passes: 1, lost: 1, ..NONE };
    let scenario = Scenario { level: Linearizable, steps: &[TargetOnly], budget, ..AT_TARGET_FIRST };
    holds_deep(scenario, Budget { reads: 3, puts: 2, ..budget });
}

#[test]
fn up_and_back() {
    let budget = Budget { reads: 1, puts: 2, passes: 1, failures: 1, lost: 1, ..NONE };
    let stores = Stores { source: PUT, target: OLDER };
    let steps = &[TargetFirst, Mirrored, Dual, SourceOnly];
    let scenario = Scenario { rung: Mirrored, steps, stores, budget, ..PLAIN };
    holds_deep(scenario, Budget { reads: 2, deletes: 1, ..budget });
}

#[test]
fn back_and_up_again_after_a_new_pass() {
    let budget = Budget { reads: 1, puts: 2, passes: 1, failures: 1, ..NONE };
    let steps = &[Mirrored, SourceOnly, Mirrored, TargetFirst];
    holds_deep(Scenario { steps, budget, ..AT_TARGET_FIRST }, Budget { reads: 2, late: 1, ..budget });
}

#[test]
fn up_again_from_mirrored_without_a_second_pass() {
    let budget = Budget { reads: 2, puts: 2, passes: 1, failures: 1, ..NONE };
    let stores = Stores { source: PUT, target: OLDER };
    let steps = &[TargetFirst, Mirrored, TargetFirst];
    let scenario = Scenario { rung: Mirrored, steps, stores, budget, ..PLAIN };
    holds_deep(scenario, Budget { deletes: 1, ..budget });
}

#[test]
fn up_again_from_mirrored_without_a_second_pass_linearizable() {
    let budget = Budget { reads: 2, puts: 1, passes: 1, failures: 1, ..NONE };
    let stores = Stores { source: PUT, target: OLDER };
    let steps = &[TargetFirst, Mirrored, TargetFirst];
    let scenario = Scenario { level: Linearizable, rung: Mirrored, steps, stores, budget, ..PLAIN };
    holds_deep(scenario, Budget { puts: 2, ..budget });
}

#[test]
fn early_backfill_and_full_pass() {
    let budget = Budget { reads: 1, puts: 2, passes: 2, failures: 1, ..NONE };
    let steps = &[Dual, Mirrored, TargetFirst];
    let scenario = Scenario { steps, early_passes: true, budget, ..PLAIN };
    holds_deep(scenario, Budget { deletes: 1, late: 1, ..budget });
}

#[test]
fn around_target_only() {
    let budget = Budget { reads: 1, puts: 2, passes: 2, ..NONE };
    let steps = &[TargetOnly, TargetFirst, Mirrored, Dual];
    holds_deep(
        Scenario { steps, budget, ..AT_TARGET_FIRST },
        Budget { reads: 2, deletes: 1, lost: 1, late: 1, ..budget },
    );
}

#[test]
fn back_from_target_only_with_deletes_and_late_puts() {
    let budget = Budget { reads: 1, puts: 1, deletes: 1, passes: 1, late: 1, ..NONE };
    let steps = &[TargetFirst, Mirrored];
    let scenario = Scenario { rung: TargetOnly, stores: BOTH, steps, budget, ..PLAIN };
    holds_deep(scenario, Budget { reads: 2, puts: 2, lost: 1, ..budget });
}

#[test]
fn back_from_target_only_linearizable() {
    let budget = Budget { reads: 2, puts: 1, deletes: 1, passes: 1, ..NONE };
    let steps = &[TargetFirst, Mirrored];
    let scenario = Scenario { level: Linearizable, rung: TargetOnly, stores: BOTH, steps, budget, ..PLAIN };
    holds_deep(scenario, Budget { puts: 2, late: 1, ..budget });
}

#[test]
fn emergency() {
    let budget = Budget { reads: 2, puts: 2, failures: 1, lost: 1, ..NONE };
    holds_deep(
        Scenario { steps: &[Mirrored, Dual], budget, ..AT_TARGET_FIRST },
        Budget { reads: 2, puts: 3, failures: 2, late: 1, ..budget },
    );
}

#[test]
fn emergency_just_after_target_first() {
    let budget = Budget { reads: 1, puts: 2, failures: 1, passes: 1, ..NONE };
    let steps = &[TargetFirst, Mirrored, Dual];
    let scenario = Scenario { rung: Mirrored, steps, stores: BOTH, budget, ..PLAIN };
    holds_deep(scenario, Budget { reads: 2, failures: 2, late: 1, ..budget });
}

#[test]
fn emergency_linearizable() {
    let budget = Budget { reads: 2, puts: 2, failures: 1, ..NONE };
    let steps = &[Hold, Dual, Mirrored];
    holds_deep(
        Scenario { level: Linearizable, steps, budget, ..AT_TARGET_FIRST },
        Budget { reads: 3, late: 1, ..budget },
    );
}

#[test]
fn down_by_mirrored_linearizable() {
    let budget = Budget { reads: 2, puts: 2, failures: 1, ..NONE };
    let scenario = Scenario { level: Linearizable, steps: &[Mirrored, Dual], budget, ..AT_TARGET_FIRST };
    holds_deep(scenario, Budget { reads: 3, ..budget });
}

#[test]
fn lazy() {
    let budget = Budget { reads: 1, puts: 2, passes: 1, failures: 1, late: 1, ..NONE };
    let steps = &[Mirrored, Mirrored, TargetFirst];
    let stores = Stores { source: PUT, target: OLDER };
    let scenario = Scenario { rung: Dual, lazy: true, steps, stores, budget, ..PLAIN };
    holds_deep(scenario, Budget { reads: 2, puts: 3, ..budget });
}

#[test]
fn lazy_to_target_only() {
    let budget = Budget { reads: 1, puts: 2, passes: 2, ..NONE };
    let steps = &[Mirrored, TargetFirst, TargetOnly];
    let scenario = Scenario { rung: Mirrored, lazy: true, steps, budget, ..PLAIN };
    holds_deep(scenario, Budget { reads: 2, deletes: 1, failures: 1, ..budget });
}

#[test]
fn misses_are_copied() {
    let budget = Budget { reads: 2, puts: 1, deletes: 1, failures: 1, late: 1, ..NONE };
    let stores = Stores { source: OLD, target: NOTHING };
    let scenario = Scenario { level: Linearizable, stores, budget, ..AT_TARGET_FIRST };
    holds_deep(scenario, Budget { reads: 3, puts: 2, ..budget });
}

#[test]
fn the_dead_stay_dead() {
    let budget = Budget { reads: 3, puts: 1, failures: 1, ..NONE };
    let stores = Stores { source: DEAD, target: NOTHING };
    let scenario = Scenario { level: Linearizable, stores, budget, steps: &[Mirrored], ..AT_TARGET_FIRST };
    holds_deep(scenario, Budget { puts: 2, deletes: 1, ..budget });
}

#[test]
fn confirmed_reads() {
    let budget = Budget { reads: 2, puts: 2, failures: 1, ..NONE };
    let stores = Stores { source: PUT, target: OLDER };
    let scenario = Scenario { level: Linearizable, rung: Mirrored, stores, budget, ..PLAIN };
    holds_deep(scenario, Budget { reads: 3, deletes: 1, ..budget });
}

#[test]
fn crashes() {
    let budget = Budget { reads: 2, puts: 2, passes: 1, crashes: 1, late: 1, ..NONE };
    let stores = Stores { source: PUT, target: OLDER };
    let scenario =
        Scenario { rung: Mirrored, clients: 3, steps: &[TargetFirst, Mirrored], stores, budget, ..PLAIN };
    holds_deep(scenario, Budget { deletes: 1, ..budget });
}

#[test]
fn crashes_linearizable() {
    let budget = Budget { reads: 2, puts: 1, passes: 1, crashes: 1, late: 1, ..NONE };
    let stores = Stores { source: PUT, target: OLDER };
    let scenario = Scenario {
        level: Linearizable,
        rung: Mirrored,
        clients: 3,
        steps: &[TargetFirst, Mirrored],
        stores,
        budget,
        ..PLAIN
    };
    holds_deep(scenario, Budget { puts: 2, ..budget });
}

#[test]
fn mutations_lose_no_update() {
    let budget = Budget { reads: 1, mutates: 2, puts: 1, passes: 1, ..NONE };
    let stores = Stores { source: PUT, target: OLDER };
    let steps = &[TargetFirst, Mirrored];
    let scenario = Scenario { level: Linearizable, rung: Mirrored, steps, stores, budget, ..PLAIN };
    holds_deep(scenario, Budget { mutates: 3, failures: 1, ..budget });
}
