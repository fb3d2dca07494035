//! Leaves out every rule once. Each omission is noticed in a scenario that holds with the rule.

use cutover_client::routing::{
    Level::Linearizable,
    Rung::{Dual, Hold, Mirrored, SourceOnly, TargetFirst, TargetOnly},
};

use crate::{
    check::{loses, missed},
    coverage::Branch,
    mutation::Omission,
    scenario::{BOTH, NONE, NOTHING, OLD, OLDER, PLAIN, PUT, STALE_COPY, Scenario},
    state::{Budget, Stores},
};

const ONE_PUT: Budget = Budget { reads: 1, puts: 1, passes: 1, ..NONE };

/// From source-only to target-first, with a write on the way and a read at the end.
const UP: Scenario = Scenario { steps: &[Mirrored, TargetFirst], budget: ONE_PUT, ..PLAIN };
/// From target-only to mirrored.
const BACK: Scenario =
    Scenario { rung: TargetOnly, stores: BOTH, steps: &[TargetFirst, Mirrored], budget: ONE_PUT, ..PLAIN };
/// At target-first, and nowhere else.
const AT_TARGET_FIRST: Scenario = Scenario { rung: TargetFirst, stores: BOTH, ..PLAIN };
/// From dual to target-first without a pass.
const LAZY: Scenario = Scenario {
    rung: Dual,
    lazy: true,
    steps: &[Mirrored, Mirrored, TargetFirst],
    budget: Budget { reads: 1, puts: 2, passes: 1, failures: 1, ..NONE },
    ..PLAIN
};

#[test]
fn no_barrier() {
    missed(Omission::NoBarrier, UP);
}

#[test]
fn receipt_is_enough_going_up() {
    missed(Omission::ReceiptGoingUp, UP);
}

#[test]
fn receipt_is_enough_from_target_only() {
    missed(Omission::ReceiptFromTargetOnly, BACK);
}

#[test]
fn full_pass_begun_before_mirrored_had_settled() {
    missed(Omission::PassBegunEarly, Scenario { early_passes: true, ..UP });
}

#[test]
fn full_pass_skipped() {
    missed(Omission::PassSkipped, Scenario { stores: Stores { source: PUT, target: OLDER }, ..UP });
}

#[test]
fn full_pass_inserts_if_absent() {
    missed(Omission::PassInsertsIfAbsent, Scenario { stores: Stores { source: PUT, target: OLDER }, ..UP });
}

#[test]
fn records_without_a_version_are_taken_for_equal() {
    let stores = Stores { source: OLD, target: STALE_COPY };
    let budget = Budget { reads: 1, puts: 1, passes: 1, ..NONE };
    missed(Omission::UnversionedAreEqual, Scenario { level: Linearizable, stores, budget, ..UP });
    // The lazy way as well.
    missed(Omission::UnversionedAreEqual, Scenario { level: Linearizable, stores, budget, ..LAZY });
}

#[test]
fn what_only_the_target_has_without_a_version_is_ignored() {
    let stores = Stores { source: NOTHING, target: STALE_COPY };
    missed(Omission::ExtraIgnored, Scenario { level: Linearizable, stores, ..UP });
}

#[test]
fn unconditional_mirror() {
    let budget = Budget { reads: 1, puts: 2, ..NONE };
    missed(Omission::UnconditionalMirror, Scenario { budget, ..AT_TARGET_FIRST });
}

#[test]
fn unconditional_copy_of_a_miss() {
    let budget = Budget { reads: 2, puts: 1, ..NONE };
    let stores = Stores { source: OLD, target: NOTHING };
    missed(Omission::UnconditionalCopy, Scenario { budget, stores, ..AT_TARGET_FIRST });
}

#[test]
fn unconditional_copy_of_a_pass() {
    missed(Omission::UnconditionalCopy, UP);
}

#[test]
fn no_tombstones() {
    let budget = Budget { reads: 2, deletes: 1, ..NONE };
    let stores = Stores { source: OLD, target: NOTHING };
    missed(Omission::NoTombstones, Scenario { budget, stores, ..AT_TARGET_FIRST });
}

#[test]
fn tombstones_purged_at_target_only() {
    let budget = Budget { reads: 1, deletes: 1, passes: 1, ..NONE };
    missed(Omission::PurgedTombstones, Scenario { budget, ..BACK });
}

#[test]
fn tombstones_purged_and_fallback_on() {
    let budget = Budget { reads: 1, deletes: 1, ..NONE };
    missed(Omission::PurgedTombstonesWithFallback, Scenario { budget, steps: &[TargetFirst], ..BACK });
}

#[test]
fn stamped_again_when_stale_at_the_target_in_target_first() {
    let budget = Budget { reads: 3, puts: 2, ..NONE };
    let stores = Stores { source: NOTHING, target: NOTHING };
    let scenario = Scenario { level: Linearizable, clients: 3, budget, stores, ..AT_TARGET_FIRST };
    missed(Omission::Restamped, scenario);
}

#[test]
fn stamped_again_when_stale_at_the_target_in_mirrored() {
    let budget = Budget { reads: 3, puts: 2, ..NONE };
    missed(
        Omission::Restamped,
        Scenario { level: Linearizable, clients: 3, rung: Mirrored, budget, ..PLAIN },
    );
}

#[test]
fn target_not_observed_beside_target_only() {
    let budget = Budget { puts: 2, passes: 1, ..NONE };
    missed(Omission::TargetNotObserved, Scenario { budget, steps: &[TargetOnly], ..AT_TARGET_FIRST });
}

#[test]
fn reverse_pass_skipped() {
    missed(Omission::ReverseSkipped, BACK);
}

#[test]
fn reverse_pass_begun_early() {
    missed(Omission::ReverseEarly, BACK);
}

#[test]
fn evicting_a_live_instance() {
    missed(Omission::EvictsTheLiving, UP);
}

#[test]
fn no_second_barrier_before_the_sweep() {
    missed(Omission::NoSecondBarrier, Scenario { clients: 3, steps: &[Mirrored, TargetFirst], ..LAZY });
}

#[test]
fn residual_time_not_waited_before_the_sweep() {
    missed(Omission::NoResidualWait, Scenario { budget: Budget { late: 1, ..LAZY.budget }, ..LAZY });
}

#[test]
fn residual_time_waited_before_the_second_barrier_only() {
    missed(Omission::ResidualWaitTooEarly, Scenario { budget: Budget { late: 1, ..LAZY.budget }, ..LAZY });
}

#[test]
fn copies_not_drained_before_the_sweep() {
    let budget = Budget { reads: 1, puts: 1, passes: 2, failures: 1, ..NONE };
    missed(Omission::CopiesNotDrained, Scenario { budget, early_passes: true, ..LAZY });
}

#[test]
fn sweep_in_place_of_the_full_pass_without_its_conditions() {
    missed(Omission::SweepUnconditioned, Scenario { steps: &[Mirrored, TargetFirst], ..LAZY });
}

#[test]
fn full_pass_skipped_from_lazy_to_target_only() {
    let budget = Budget { reads: 1, ..NONE };
    let stores = Stores { source: OLD, target: NOTHING };
    let scenario = Scenario { budget, stores, steps: &[TargetOnly], ..AT_TARGET_FIRST };
    missed(Omission::PassSkippedAfterLazy, scenario);
}

#[test]
fn reading_the_source_when_the_target_fails() {
    let budget = Budget { reads: 2, puts: 1, failures: 1, ..NONE };
    let scenario = Scenario { level: Linearizable, clients: 3, budget, ..AT_TARGET_FIRST };
    missed(Omission::SourceOnTargetsError, scenario);
}

#[test]
fn reading_the_source_when_the_target_fails_beside_target_only() {
    let budget = Budget { failures: 1, ..ONE_PUT };
    missed(Omission::SourceOnTargetsError, Scenario { budget, steps: &[TargetOnly], ..AT_TARGET_FIRST });
}

#[test]
fn fallback_that_returns_the_source_without_copying() {
    let budget = Budget { reads: 2, puts: 2, ..NONE };
    let stores = Stores { source: NOTHING, target: NOTHING };
    let scenario = Scenario { level: Linearizable, clients: 3, budget, stores, ..AT_TARGET_FIRST };
    missed(Omission::FallbackWithoutCopy, scenario);
}

#[test]
fn hold_left_early() {
    let budget = Budget { reads: 1, puts: 1, failures: 1, ..NONE };
    let scenario = Scenario { level: Linearizable, budget, steps: &[Hold, Dual], ..AT_TARGET_FIRST };
    missed(Omission::HoldLeftEarly, scenario);
}

#[test]
fn hold_left_early_after_a_restore() {
    let budget = Budget { reads: 1, puts: 1, failures: 1, ..NONE };
    let scenario = Scenario { restored: true, budget, steps: &[Hold, Dual], ..AT_TARGET_FIRST };
    missed(Omission::HoldLeftEarly, scenario);
}

#[test]
fn reads_in_mirrored_not_confirmed_beside_target_first() {
    let scenario = Scenario {
        level: Linearizable,
        clients: 3,
        rung: Mirrored,
        stores: BOTH,
        steps: &[TargetFirst],
        budget: Budget { reads: 2, ..ONE_PUT },
        ..PLAIN
    };
    missed(Omission::NotConfirmed, scenario);
}

#[test]
fn target_first_and_source_second() {
    let budget = Budget { reads: 2, puts: 1, crashes: 1, ..NONE };
    let scenario = Scenario { level: Linearizable, budget, steps: &[Mirrored], ..AT_TARGET_FIRST };
    missed(Omission::TargetFirstSourceSecond, scenario);
}

#[test]
fn jumps_over_a_rung() {
    let budget = Budget { reads: 1, puts: 1, failures: 1, ..NONE };
    let jumps: &[(_, &'static [_])] = &[
        (SourceOnly, &[TargetFirst]),
        (TargetFirst, &[SourceOnly]),
        (Dual, &[TargetFirst]),
        (TargetFirst, &[Dual]),
        (Mirrored, &[TargetOnly]),
        (TargetOnly, &[Mirrored]),
        (SourceOnly, &[TargetOnly]),
        (TargetOnly, &[SourceOnly]),
    ];
    for (rung, steps) in jumps {
        loses(Omission::Jumps, Scenario { rung: *rung, steps, stores: BOTH, budget, ..PLAIN });
    }
}

#[test]
fn emergency_in_one_revision() {
    let budget = Budget { reads: 1, puts: 1, failures: 1, ..NONE };
    let scenario = Scenario { level: Linearizable, budget, steps: &[Dual], ..AT_TARGET_FIRST };
    loses(Omission::Jumps, scenario);
}

/// Clients may go back on their own until a change of policy, then up to target-only.
const GUARDED: Scenario = Scenario {
    local_guard: true,
    steps: &[TargetFirst, TargetOnly],
    budget: Budget { reads: 1, puts: 1, passes: 1, ..NONE },
    ..AT_TARGET_FIRST
};

#[test]
fn target_only_while_clients_may_go_back() {
    missed(Omission::LocalGuardLeftOn, Scenario { steps: &[TargetOnly], ..GUARDED });
}

#[test]
fn target_only_before_everybody_has_heard_that_they_may_not_go_back() {
    missed(Omission::LocalGuardOffUnheard, GUARDED);
}

/// The same, with leases; with one caller; with files.
const LEASED: Scenario = Scenario { fenced: true, ..UP };
const CALLED: Scenario = Scenario { callers: 1, ..UP };
const SAVED: Scenario = Scenario { saved: true, ..UP };

#[test]
fn lease_not_looked_at_when_an_operation_ends() {
    missed(Omission::LeaseNotRechecked, LEASED);
}

#[test]
fn calls_made_past_the_lease_before_a_sweep() {
    let budget = Budget { reads: 1, puts: 2, passes: 1, failures: 1, ..NONE };
    // `leases_end_before_a_sweep` shows that it holds with the rule.
    loses(Omission::CallsPastLease, Scenario { fenced: true, budget, ..LAZY });
}

#[test]
fn a_copy_past_the_lease_of_its_worker() {
    let budget = Budget { reads: 1, puts: 1, passes: 2, failures: 1, ..NONE };
    missed(Omission::WorkersPastLease, Scenario { fenced: true, early_passes: true, budget, ..LAZY });
}

#[test]
fn counted_out_without_waiting_for_what_may_still_land() {
    let budget = Budget { reads: 1, puts: 2, passes: 1, failures: 1, late: 1, ..NONE };
    loses(Omission::NoResidualWait, Scenario { fenced: true, budget, ..LAZY });
}

/// Going down, past a client that is silent.
const PASSED_OVER: Scenario = Scenario {
    fenced: true,
    expected: &[Branch::LeftBehind, Branch::Forgotten, Branch::CameBack, Branch::GivenUp],
    steps: &[Mirrored, Dual, SourceOnly],
    budget: Budget { reads: 2, puts: 1, failures: 1, ..NONE },
    ..AT_TARGET_FIRST
};

#[test]
fn left_behind_by_a_controller_that_has_forgotten_it() {
    missed(Omission::AnswersRevive, PASSED_OVER);
}

#[test]
fn counted_out_before_the_lease_has_ended() {
    missed(Omission::CountedOutEarly, LEASED);
}

#[test]
fn counted_out_and_back_without_being_told() {
    missed(Omission::ComesBackUntold, LEASED);
}

#[test]
fn callers_forgotten_by_a_later_commit() {
    missed(Omission::CallersForgotten, CALLED);
}

#[test]
fn a_newer_answer_taken_for_the_end_of_older_ones() {
    missed(Omission::NewerAnswerCounts, CALLED);
}

#[test]
fn goodbye_with_a_file_not_waited_for() {
    missed(Omission::ParkedForgotten, SAVED);
}

#[test]
fn acknowledged_what_is_not_in_the_file() {
    missed(Omission::AcknowledgedUnsaved, SAVED);
}

#[test]
fn a_file_that_never_expires() {
    missed(Omission::FileNeverExpires, SAVED);
}

#[test]
fn a_successor_of_a_process_that_still_runs() {
    missed(Omission::SucceedsTheLiving, Scenario { expected: &[Branch::Succeeded], ..SAVED });
}

#[test]
fn a_successor_by_a_copy_of_the_file() {
    missed(Omission::SucceedsACopy, Scenario { expected: &[Branch::Succeeded], ..SAVED });
}

#[test]
fn a_predecessor_s_put_not_waited_for_before_the_sweep() {
    let budget = Budget { reads: 1, puts: 2, passes: 1, failures: 1, late: 1, crashes: 1, ..NONE };
    let expected = &[Branch::Succeeded, Branch::LandedLate, Branch::Swept];
    missed(Omission::NoResidualWait, Scenario { clients: 1, saved: true, expected, budget, ..LAZY });
}

#[test]
fn everybody_lost_to_a_frozen_controller() {
    let budget = Budget { reads: 1, puts: 1, failures: 1, ..NONE };
    missed(Omission::EverybodyLost, Scenario { steps: &[Mirrored, Dual], budget, ..AT_TARGET_FIRST });
}
