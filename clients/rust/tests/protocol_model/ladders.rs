//! Legal ways up, down and around. Every promise is kept in every state of each. Each has a budget for every run, and a
//! larger one for `CUTOVER_MODEL=deep`.

use cutover_client::routing::{
    Level::Linearizable,
    Rung::{Dual, Hold, Mirrored, SourceOnly, TargetFirst, TargetOnly},
};

use crate::{
    check::holds_deep,
    coverage::Branch,
    scenario::{BOTH, DEAD, NONE, NOTHING, OLD, OLDER, PLAIN, PUT, Scenario},
    state::{Budget, Stores},
};

const AT_TARGET_FIRST: Scenario = Scenario { rung: TargetFirst, stores: BOTH, ..PLAIN };

macro_rules! ladders {
    ($($name:ident comes by [$($branch:ident),*] $ladder:block)*) => {
        $(#[test]
        fn $name() {
            let (scenario, deep): (Scenario, Budget) = $ladder;
            holds_deep(Scenario { expected: &[$(Branch::$branch),*], ..scenario }, deep);
        })*

        #[test]
        fn every_branch_is_come_by() {
            let all = [&[$($(Branch::$branch),*),*], Branch::ELSEWHERE].concat();
            let never: Vec<Branch> = Branch::ALL.iter().copied().filter(|branch| !all.contains(branch)).collect();
            assert!(never.is_empty(), "{never:?}");
        }
    };
}

ladders! {
    up comes by [
        Dual, Mirrored, TargetFirst, TargetOnly, ReadUnasked, Hit, ReadFailed, Acknowledged,
        AcknowledgedByBoth, AcknowledgedWithoutTarget, Indeterminate, NotApplied, StaleAtFirst,
        StaleAtTarget, Passed
    ] {
        let budget = Budget { reads: 1, puts: 2, passes: 2, failures: 1, ..NONE };
        let scenario = Scenario { steps: &[Dual, Mirrored, TargetFirst, TargetOnly], budget, ..PLAIN };
        (scenario, Budget { reads: 2, puts: 2, deletes: 1, failures: 1, lost: 1, ..budget })
    }

    up_without_dual comes by [
        Mirrored, TargetFirst, TargetOnly, ReadUnasked, Hit, NotFound, Acknowledged,
        AcknowledgedByBoth, StaleAtFirst, StaleAtTarget, Passed
    ] {
        let budget = Budget { reads: 2, puts: 1, deletes: 1, passes: 2, ..NONE };
        let stores = Stores { source: PUT, target: OLDER };
        let scenario = Scenario { steps: &[Mirrored, TargetFirst, TargetOnly], stores, budget, ..PLAIN };
        (scenario, Budget { puts: 2, lost: 1, ..budget })
    }

    up_linearizable comes by [
        Mirrored, TargetFirst, ReadUnasked, ConfirmedHit, ConfirmedRepaired, ConfirmedAgainstNewer,
        Hit, AcknowledgedByBoth, StaleAtFirst, StaleAtTarget, Passed
    ] {
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
        (scenario, Budget { reads: 3, lost: 1, ..budget })
    }

    up_to_target_only_linearizable comes by [
        TargetOnly, Hit, NotFound, Acknowledged, AcknowledgedByBoth, Indeterminate, StaleAtFirst,
        StaleAtTarget, Passed
    ] {
        let budget = Budget { reads: 2, puts: 1, deletes: 1, passes: 1, lost: 1, ..NONE };
        let scenario = Scenario { level: Linearizable, steps: &[TargetOnly], budget, ..AT_TARGET_FIRST };
        (scenario, Budget { reads: 3, puts: 2, ..budget })
    }

    up_and_back comes by [
        SourceOnly, Dual, Mirrored, TargetFirst, ReadUnasked, Hit, ReadFailed, ReadOvertaken,
        Acknowledged, AcknowledgedByBoth, AcknowledgedWithoutTarget, Indeterminate, NotApplied,
        WriteOvertaken, StaleAtFirst, StaleAtTarget, Undone, Passed
    ] {
        let budget = Budget { reads: 1, puts: 2, passes: 1, failures: 1, lost: 1, ..NONE };
        let stores = Stores { source: PUT, target: OLDER };
        let steps = &[TargetFirst, Mirrored, Dual, SourceOnly];
        let scenario = Scenario { rung: Mirrored, steps, stores, budget, ..PLAIN };
        (scenario, Budget { reads: 2, deletes: 1, ..budget })
    }

    back_and_up_again_after_a_new_pass comes by [
        SourceOnly, Mirrored, TargetFirst, ReadUnasked, Hit, ReadFailed, ReadOvertaken,
        Acknowledged, AcknowledgedByBoth, Indeterminate, NotApplied, WriteOvertaken, StaleAtFirst,
        StaleAtTarget, Passed
    ] {
        let budget = Budget { reads: 1, puts: 2, passes: 1, failures: 1, ..NONE };
        let steps = &[Mirrored, SourceOnly, Mirrored, TargetFirst];
        (Scenario { steps, budget, ..AT_TARGET_FIRST }, Budget { reads: 2, late: 1, ..budget })
    }

    up_again_from_mirrored_without_a_second_pass comes by [
        Mirrored, TargetFirst, ReadUnasked, Hit, ReadFailed, AcknowledgedByBoth, Indeterminate,
        NotApplied, StaleAtFirst, StaleAtTarget, Undone, Passed
    ] {
        let budget = Budget { reads: 2, puts: 2, passes: 1, failures: 1, ..NONE };
        let stores = Stores { source: PUT, target: OLDER };
        let steps = &[TargetFirst, Mirrored, TargetFirst];
        let scenario = Scenario { rung: Mirrored, steps, stores, budget, ..PLAIN };
        (scenario, Budget { deletes: 1, ..budget })
    }

    up_again_from_mirrored_without_a_second_pass_linearizable comes by [
        Mirrored, TargetFirst, ConfirmedHit, ConfirmedRepaired, ConfirmedAgainstNewer, Hit,
        ReadFailed, AcknowledgedByBoth, Indeterminate, NotApplied, StaleAtFirst, Undone, Passed
    ] {
        let budget = Budget { reads: 2, puts: 1, passes: 1, failures: 1, ..NONE };
        let stores = Stores { source: PUT, target: OLDER };
        let steps = &[TargetFirst, Mirrored, TargetFirst];
        let scenario = Scenario { level: Linearizable, rung: Mirrored, steps, stores, budget, ..PLAIN };
        (scenario, Budget { puts: 2, ..budget })
    }

    early_backfill_and_full_pass comes by [
        Dual, Mirrored, TargetFirst, ReadUnasked, Hit, ReadFailed, Acknowledged, AcknowledgedByBoth,
        AcknowledgedWithoutTarget, Indeterminate, NotApplied, StaleAtFirst, StaleAtTarget, Passed
    ] {
        let budget = Budget { reads: 1, puts: 2, passes: 2, failures: 1, ..NONE };
        let steps = &[Dual, Mirrored, TargetFirst];
        let scenario = Scenario { steps, early_passes: true, budget, ..PLAIN };
        (scenario, Budget { deletes: 1, late: 1, ..budget })
    }

    around_target_only comes by [
        Dual, Mirrored, TargetFirst, TargetOnly, ReadUnasked, Hit, ReadOvertaken, Acknowledged,
        AcknowledgedByBoth, WriteOvertaken, StaleAtFirst, StaleAtTarget, Undone, Passed, Reversed
    ] {
        let budget = Budget { reads: 1, puts: 2, passes: 2, ..NONE };
        let steps = &[TargetOnly, TargetFirst, Mirrored, Dual];
        (Scenario { steps, budget, ..AT_TARGET_FIRST },
            Budget { reads: 2, deletes: 1, lost: 1, late: 1, ..budget })
    }

    back_from_target_only_with_deletes_and_late_puts comes by [
        Mirrored, TargetFirst, ReadUnasked, Hit, NotFound, Acknowledged, AcknowledgedByBoth,
        Indeterminate, StaleAtFirst, StaleAtTarget, LandedLate, Passed, Reversed, StaleAtSource
    ] {
        let budget = Budget { reads: 1, puts: 1, deletes: 1, passes: 1, late: 1, ..NONE };
        let steps = &[TargetFirst, Mirrored];
        let scenario = Scenario { rung: TargetOnly, stores: BOTH, steps, budget, ..PLAIN };
        (scenario, Budget { reads: 2, puts: 2, lost: 1, ..budget })
    }

    back_from_target_only_linearizable comes by [
        Mirrored, TargetFirst, ConfirmedHit, ConfirmedRepaired, ConfirmedNotFound,
        ConfirmedAgainstNewer, Hit, NotFound, Acknowledged, AcknowledgedByBoth, StaleAtFirst,
        StaleAtTarget, Passed, Reversed
    ] {
        let budget = Budget { reads: 2, puts: 1, deletes: 1, passes: 1, ..NONE };
        let steps = &[TargetFirst, Mirrored];
        let scenario = Scenario { level: Linearizable, rung: TargetOnly, stores: BOTH, steps, budget, ..PLAIN };
        (scenario, Budget { puts: 2, late: 1, ..budget })
    }

    emergency comes by [
        Dual, Mirrored, ReadUnasked, Hit, ReadFailed, ReadOvertaken, AcknowledgedByBoth,
        AcknowledgedWithoutTarget, Indeterminate, NotApplied, WriteOvertaken, StaleAtFirst,
        StaleAtTarget
    ] {
        let budget = Budget { reads: 2, puts: 2, failures: 1, lost: 1, ..NONE };
        (Scenario { steps: &[Mirrored, Dual], budget, ..AT_TARGET_FIRST },
            Budget { reads: 2, puts: 3, failures: 2, late: 1, ..budget })
    }

    emergency_just_after_target_first comes by [
        Dual, Mirrored, TargetFirst, ReadUnasked, Hit, ReadFailed, ReadOvertaken,
        AcknowledgedByBoth, AcknowledgedWithoutTarget, Indeterminate, NotApplied, WriteOvertaken,
        StaleAtFirst, StaleAtTarget, Undone, Passed
    ] {
        let budget = Budget { reads: 1, puts: 2, failures: 1, passes: 1, ..NONE };
        let steps = &[TargetFirst, Mirrored, Dual];
        let scenario = Scenario { rung: Mirrored, steps, stores: BOTH, budget, ..PLAIN };
        (scenario, Budget { reads: 2, failures: 2, late: 1, ..budget })
    }

    emergency_linearizable comes by [
        Dual, Mirrored, Hold, ReadUnasked, ConfirmedHit, ConfirmedRepaired, ConfirmedAgainstNewer,
        Hit, ReadFailed, AcknowledgedByBoth, AcknowledgedWithoutTarget, Indeterminate, NotApplied,
        StaleAtFirst, StaleAtTarget
    ] {
        let budget = Budget { reads: 2, puts: 2, failures: 1, ..NONE };
        let steps = &[Hold, Dual, Mirrored];
        (Scenario { level: Linearizable, steps, budget, ..AT_TARGET_FIRST },
            Budget { reads: 3, late: 1, ..budget })
    }

    down_by_mirrored_linearizable comes by [
        Dual, Mirrored, ReadUnasked, ConfirmedHit, ConfirmedRepaired, ConfirmedAgainstNewer, Hit,
        ReadFailed, ReadOvertaken, AcknowledgedByBoth, AcknowledgedWithoutTarget, Indeterminate,
        NotApplied, WriteOvertaken, StaleAtFirst, StaleAtTarget
    ] {
        let budget = Budget { reads: 2, puts: 2, failures: 1, ..NONE };
        let scenario = Scenario { level: Linearizable, steps: &[Mirrored, Dual], budget, ..AT_TARGET_FIRST };
        (scenario, Budget { reads: 3, ..budget })
    }

    lazy comes by [
        Mirrored, TargetFirst, ReadUnasked, Hit, ReadFailed, AcknowledgedByBoth,
        AcknowledgedWithoutTarget, Indeterminate, NotApplied, StaleAtFirst, StaleAtTarget,
        LandedLate, Passed, Swept
    ] {
        let budget = Budget { reads: 1, puts: 2, passes: 1, failures: 1, late: 1, ..NONE };
        let steps = &[Mirrored, Mirrored, TargetFirst];
        let stores = Stores { source: PUT, target: OLDER };
        let scenario = Scenario { rung: Dual, lazy: true, steps, stores, budget, ..PLAIN };
        (scenario, Budget { reads: 2, puts: 3, ..budget })
    }

    lazy_to_target_only comes by [
        Mirrored, TargetFirst, TargetOnly, ReadUnasked, Hit, Miss, Overwritten, Acknowledged,
        AcknowledgedByBoth, StaleAtFirst, StaleAtTarget, Passed, Swept
    ] {
        let budget = Budget { reads: 1, puts: 2, passes: 2, ..NONE };
        let steps = &[Mirrored, TargetFirst, TargetOnly];
        let scenario = Scenario { rung: Mirrored, lazy: true, steps, budget, ..PLAIN };
        (scenario, Budget { reads: 2, deletes: 1, failures: 1, ..budget })
    }

    misses_are_copied comes by [
        Hit, Miss, NotFound, Overwritten, ReadFailed, AcknowledgedByBoth, Indeterminate, NotApplied,
        StaleAtFirst, StaleAtTarget, LandedLate
    ] {
        let budget = Budget { reads: 2, puts: 1, deletes: 1, failures: 1, late: 1, ..NONE };
        let stores = Stores { source: OLD, target: NOTHING };
        let scenario = Scenario { level: Linearizable, stores, budget, ..AT_TARGET_FIRST };
        (scenario, Budget { reads: 3, puts: 2, ..budget })
    }

    the_dead_stay_dead comes by [
        Mirrored, ConfirmedHit, ConfirmedMiss, ConfirmedRepaired, ConfirmedNotFound,
        ConfirmedAgainstNewer, Hit, Miss, NotFound, Overwritten, ReadFailed, AcknowledgedByBoth,
        Indeterminate, NotApplied, StaleAtFirst
    ] {
        let budget = Budget { reads: 3, puts: 1, failures: 1, ..NONE };
        let stores = Stores { source: DEAD, target: NOTHING };
        let scenario = Scenario { level: Linearizable, stores, budget, steps: &[Mirrored], ..AT_TARGET_FIRST };
        (scenario, Budget { puts: 2, deletes: 1, ..budget })
    }

    confirmed_reads comes by [
        ConfirmedHit, ConfirmedRepaired, ConfirmedAgainstNewer, ReadFailed, AcknowledgedByBoth,
        Indeterminate, NotApplied, StaleAtFirst, StaleAtTarget
    ] {
        let budget = Budget { reads: 2, puts: 2, failures: 1, ..NONE };
        let stores = Stores { source: PUT, target: OLDER };
        let scenario = Scenario { level: Linearizable, rung: Mirrored, stores, budget, ..PLAIN };
        (scenario, Budget { reads: 3, deletes: 1, ..budget })
    }

    crashes comes by [
        Mirrored, TargetFirst, ReadUnasked, Hit, AcknowledgedByBoth, Indeterminate, StaleAtFirst,
        StaleAtTarget, LandedLate, Crashed, Undone, Passed
    ] {
        let budget = Budget { reads: 2, puts: 2, passes: 1, crashes: 1, late: 1, ..NONE };
        let stores = Stores { source: PUT, target: OLDER };
        let scenario =
            Scenario { rung: Mirrored, clients: 3, steps: &[TargetFirst, Mirrored], stores, budget, ..PLAIN };
        (scenario, Budget { deletes: 1, ..budget })
    }

    crashes_linearizable comes by [
        Mirrored, TargetFirst, ConfirmedHit, ConfirmedRepaired, ConfirmedAgainstNewer, Hit,
        ReadFailed, AcknowledgedByBoth, Indeterminate, StaleAtFirst, LandedLate, Crashed, Undone,
        Passed
    ] {
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
        (scenario, Budget { puts: 2, ..budget })
    }

    mutations_lose_no_update comes by [
        Mirrored, TargetFirst, ConfirmedHit, ConfirmedRepaired, ConfirmedAgainstNewer, Hit,
        AcknowledgedByBoth, StaleAtFirst, StaleAtTarget, Undone, Passed
    ] {
        let budget = Budget { reads: 1, mutates: 2, puts: 1, passes: 1, ..NONE };
        let stores = Stores { source: PUT, target: OLDER };
        let steps = &[TargetFirst, Mirrored];
        let scenario = Scenario { level: Linearizable, rung: Mirrored, steps, stores, budget, ..PLAIN };
        (scenario, Budget { mutates: 3, failures: 1, ..budget })
    }

    gone_back_alone comes by [
        Mirrored, ReadUnasked, Hit, ReadFailed, AcknowledgedByBoth, Indeterminate, StaleAtFirst, StaleAtTarget,
        WentBack
    ] {
        let budget = Budget { reads: 2, puts: 2, failures: 1, late: 1, ..NONE };
        let steps = &[Mirrored, Dual, SourceOnly];
        (Scenario { local_guard: true, steps, budget, ..AT_TARGET_FIRST },
            Budget { lost: 1, ..budget })
    }

    local_guard_off_then_target_only comes by [
        TargetOnly, ReadUnasked, Hit, Acknowledged, AcknowledgedByBoth, StaleAtFirst, StaleAtTarget, Passed,
        WentBack
    ] {
        let budget = Budget { reads: 1, puts: 2, passes: 1, ..NONE };
        let steps = &[TargetFirst, TargetOnly];
        (Scenario { local_guard: true, steps, budget, ..AT_TARGET_FIRST },
            Budget { reads: 2, failures: 1, late: 1, ..budget })
    }

    leases_end_on_the_way_up comes by [
        Mirrored, TargetFirst, ReadUnasked, Hit, Acknowledged, AcknowledgedByBoth, Passed, LeaseEnded, GivenUp,
        CountedOut, CameBack
    ] {
        let budget = Budget { reads: 1, puts: 1, passes: 1, ..NONE };
        let steps = &[Mirrored, TargetFirst];
        (Scenario { fenced: true, steps, budget, ..PLAIN }, Budget { puts: 2, late: 1, ..budget })
    }

    leases_end_around_target_only comes by [
        TargetFirst, TargetOnly, Mirrored, Hit, Acknowledged, AcknowledgedByBoth, Passed, Reversed, LeaseEnded,
        GivenUp, CountedOut, CameBack
    ] {
        let budget = Budget { reads: 1, puts: 1, passes: 2, ..NONE };
        let steps = &[TargetOnly, TargetFirst, Mirrored];
        (Scenario { fenced: true, steps, budget, ..AT_TARGET_FIRST }, Budget { late: 1, ..budget })
    }

    leases_end_before_a_sweep comes by [
        Mirrored, TargetFirst, AcknowledgedWithoutTarget, Swept, LandedLate, LeaseEnded, GivenUp, CountedOut
    ] {
        let budget = Budget { reads: 1, puts: 2, passes: 1, late: 1, ..NONE };
        let steps = &[Mirrored, Mirrored, TargetFirst];
        (Scenario { rung: Dual, lazy: true, fenced: true, steps, budget, ..PLAIN }, Budget { failures: 1, ..budget })
    }

    a_lease_ends_on_hold comes by [
        Hold, Dual, Hit, ReadUnasked, AcknowledgedByBoth, LeaseEnded, GivenUp, CountedOut, CameBack
    ] {
        let budget = Budget { reads: 2, puts: 1, ..NONE };
        let steps = &[Hold, Dual];
        (Scenario { level: Linearizable, fenced: true, steps, budget, ..AT_TARGET_FIRST },
            Budget { failures: 1, late: 1, ..budget })
    }

    callers_whose_answers_overlap comes by [
        Mirrored, TargetFirst, Dual, Hit, ReadUnasked, Acknowledged, AcknowledgedByBoth, Passed, Asked, LeaseEnded
    ] {
        let budget = Budget { reads: 1, puts: 1, passes: 1, ..NONE };
        let steps = &[Mirrored, TargetFirst, Mirrored, Dual];
        (Scenario { callers: 1, steps, budget, ..PLAIN }, Budget { puts: 2, late: 1, ..budget })
    }

    started_from_a_file comes by [
        Mirrored, TargetFirst, ReadUnasked, Hit, Acknowledged, AcknowledgedByBoth, Passed, Restarted, CameBack,
        LeaseEnded, CountedOut, Succeeded
    ] {
        let budget = Budget { reads: 1, puts: 1, passes: 1, crashes: 1, ..NONE };
        let steps = &[Mirrored, TargetFirst];
        (Scenario { saved: true, steps, budget, ..PLAIN }, Budget { puts: 2, ..budget })
    }

    restored_while_at_target_first comes by [
        Hold, SourceOnly, Mirrored, TargetFirst, Hit, ReadUnasked, Acknowledged, AcknowledgedByBoth, Passed
    ] {
        let budget = Budget { reads: 1, puts: 2, passes: 1, failures: 1, ..NONE };
        let steps = &[Hold, SourceOnly, Mirrored, TargetFirst];
        (Scenario { restored: true, steps, budget, ..AT_TARGET_FIRST }, Budget { reads: 2, late: 1, ..budget })
    }

    restored_in_the_middle_of_a_step comes by [
        TargetFirst, Hold, Dual, Hit, ReadUnasked, AcknowledgedByBoth, Passed
    ] {
        let budget = Budget { reads: 1, puts: 2, passes: 1, failures: 1, ..NONE };
        let scenario = Scenario { rung: Mirrored, stores: BOTH, restored: true, budget, ..PLAIN };
        (Scenario { steps: &[TargetFirst, Hold, Dual], ..scenario }, Budget { deletes: 1, late: 1, ..budget })
    }

    restored_linearizable comes by [
        Mirrored, Hold, SourceOnly, Hit, ReadUnasked, Acknowledged, AcknowledgedByBoth
    ] {
        let budget = Budget { reads: 2, puts: 1, failures: 1, ..NONE };
        let steps = &[Hold, SourceOnly, Mirrored];
        (Scenario { level: Linearizable, restored: true, steps, budget, ..AT_TARGET_FIRST },
            Budget { puts: 2, ..budget })
    }
}
