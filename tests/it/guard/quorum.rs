//! Nobody decides alone: neither one instance nor one moment.

use cutover::domain::guard::{Action, Cause, Guard, GuardKind};

use super::{READ, Story, arm, guard, reads, writes};

const ABSOLUTE: Guard = guard_of(GuardKind::ErrorAbsolute);
const RELATIVE: Guard = guard_of(GuardKind::ErrorRelative);

const fn guard_of(kind: GuardKind) -> Guard {
    Guard::of(kind, READ)
}

#[test]
fn a_dead_target_trips_within_a_second_and_the_record_tells_why() {
    let mut story = Story::of(&[ABSOLUTE, RELATIVE]).well();
    let began = story.now_ms;
    let (second, verdict) = story.until(10, &[reads(10, 10, 100, 0)]).unwrap();
    assert_eq!((second, verdict.action, verdict.cause), (1, Action::Rollback, Cause::Breach));
    let evidence = &verdict.evidence;
    assert!(evidence.ln_m >= evidence.ln_c && evidence.phi >= 1.0);
    assert!(evidence.target_rate() > 0.9 && evidence.source_rate() == 0.0);
    assert!(evidence.onset_ms <= began && evidence.onset_ms + 2_000 > began, "{evidence:?} {began}");
    assert_eq!(evidence.instances.len(), 3);
    assert_eq!(evidence.errors.len(), 1);
    assert!(verdict.to_string().starts_with("error_absolute: "));
    // It has given its verdict: nothing more until there is another stage.
    assert_eq!(story.until(20, &[reads(10, 10, 100, 0)]), None);
}

#[test]
fn a_dozen_failures_are_enough_although_the_source_never_failed() {
    let mut story = Story::of(&[guard_of(GuardKind::ErrorAbsolute)]).well();
    let failures = (1..100).find(|failure: &u64| {
        story.now_ms += 20;
        let instance = ["a", "b", "c"][(failure % 3) as usize];
        !story.report(instance, &[reads(1, 1, 1, 0)]).is_empty()
    });
    // The theory says 10 at a limit of 5 %; phi would make it thirty.
    assert!(failures.is_some_and(|failures| (9..=14).contains(&failures)), "{failures:?}");
}

#[test]
fn one_sick_client_does_not_roll_back_a_fleet() {
    let mut story = Story::of(&[ABSOLUTE, RELATIVE]).well();
    for _ in 0..600 {
        for (instance, failed) in [("a", 50), ("b", 0), ("c", 0)] {
            assert_eq!(story.report(instance, &[reads(50, failed, 50, 0)]), []);
            story.now_ms += 300;
        }
        story.now_ms += 100;
    }
}

#[test]
fn a_fleet_of_three_with_one_long_sick_still_sees_a_dead_target() {
    let mut story = Story::of(&[ABSOLUTE]).well();
    for _ in 0..300 {
        for (instance, failed) in [("a", 50), ("b", 0), ("c", 0)] {
            assert_eq!(story.report(instance, &[reads(50, failed, 50, 0)]), []);
            story.now_ms += 300;
        }
        story.now_ms += 100;
    }
    let (second, _) = story.until(10, &[reads(50, 50, 50, 0)]).unwrap();
    assert!(second <= 2, "{second}");
}

#[test]
fn one_sick_client_is_enough_where_there_is_only_one() {
    let mut story = Story::of(&[ABSOLUTE]);
    let trip = (0..20).find(|_| {
        story.now_ms += 200;
        !story.report("a", &[reads(20, 20, 0, 0)]).is_empty()
    });
    assert!(trip.is_some());
}

#[test]
fn two_instances_of_three_do_not_make_a_quorum_alone() {
    let mut story = Story::of(&[ABSOLUTE]).well();
    for _ in 0..60 {
        for (instance, failed) in [("a", 50), ("b", 50), ("c", 0)] {
            assert_eq!(story.report(instance, &[reads(50, failed, 0, 0)]), []);
            story.now_ms += 300;
        }
        story.now_ms += 100;
    }
}

#[test]
fn one_blip_does_not_trip_but_two_moments_that_agree_do() {
    let mut story = Story::of(&[ABSOLUTE]).well();
    let blip = [reads(200, 200, 0, 0)];
    let mut once = story.clone();
    for instance in ["a", "b", "c"] {
        assert_eq!(once.report(instance, &blip), []);
    }
    once.now_ms += 1_000;
    assert_eq!(once.until(60, &[reads(100, 0, 100, 0)]), None);

    let mut verdicts = Vec::new();
    for _ in 0..2 {
        for instance in ["a", "b", "c"] {
            verdicts.extend(story.report(instance, &blip));
        }
        story.now_ms += 100;
    }
    assert_eq!(verdicts.len(), 1);
}

#[test]
fn both_stores_down_is_held_and_not_rolled_back() {
    // However small the source's share of the calls is by now.
    for source in [50, 6] {
        let mut story = Story::of(&[ABSOLUTE, RELATIVE]).well();
        let (_, verdict) = story.until(30, &[reads(50, 50, source, source)]).unwrap();
        assert_eq!((verdict.action, verdict.cause), (Action::Hold, Cause::CommonMode), "{verdict}");
        let rolled_back = (0..120)
            .flat_map(|_| story.second(&[reads(50, 50, source, source)]))
            .any(|verdict| verdict.action == Action::Rollback);
        assert!(!rolled_back);
        // The source is back, the target is not.
        let after = (0..60).flat_map(|_| story.second(&[reads(50, 50, 50, 0)])).next().unwrap();
        assert_eq!(after.action, Action::Rollback);
    }
}

#[test]
fn a_guard_that_only_observes_tells_once_and_stops_nobody() {
    let observing = |guard: Guard| {
        let config = cutover::domain::guard::GuardConfig::default();
        let rule = config.rules[guard.index().unwrap()].unwrap();
        let mode = cutover::domain::guard::Mode::Observe;
        config.only(&[ABSOLUTE, RELATIVE]).with(guard, Some(cutover::domain::guard::Rule { mode, ..rule }))
    };
    let mut story = Story::new(observing(RELATIVE)).well();
    let verdicts: Vec<_> = (0..60).flat_map(|_| story.second(&[reads(100, 4, 100, 0)])).collect();
    assert_eq!(verdicts.len(), 1);
    assert_eq!((verdicts[0].guard, verdicts[0].action), (RELATIVE, Action::Observe));
    // The other one still acts.
    assert_eq!(story.until(30, &[reads(100, 100, 100, 0)]).unwrap().1.guard, ABSOLUTE);
}

#[test]
fn each_guard_sees_what_it_is_for() {
    let slow = |count| cutover::domain::guard::Arm { slow: count, ..arm(100, 0) };
    let overdue = |count| cutover::domain::guard::Arm { overdue: count, ..arm(0, 0) };
    let not_found = |count| cutover::domain::guard::Arm { answered: 80, not_found: count, ..arm(100, 0) };
    let read = reads(100, 0, 100, 0);
    let cases = [
        (GuardKind::SlowRelative, cutover::domain::guard::Cell { target: slow(40), source: slow(2), ..read }),
        // A black hole: no call ends, and it is still noticed.
        (
            GuardKind::SlowRelative,
            cutover::domain::guard::Cell { target: overdue(20), source: slow(2), ..read },
        ),
        (
            GuardKind::NotFoundRelative,
            cutover::domain::guard::Cell { target: not_found(20), source: not_found(5), ..read },
        ),
        (GuardKind::Mismatch, cutover::domain::guard::Cell { compared: 100, mismatch: 3, ..read }),
        (GuardKind::WriteDivergence, writes(100, 4, 0)),
        (GuardKind::ErrorRelative, writes(100, 4, 0)),
    ];
    for (kind, cell) in cases {
        let mut story = Story::of(&[guard(kind, cell.operation)]).well();
        let (second, verdict) = story.until(60, &[cell]).unwrap_or_else(|| panic!("{}", kind.name()));
        assert_eq!((verdict.guard.kind, verdict.action), (kind, Action::Rollback));
        assert!(second <= 30, "{} after {second} s", kind.name());
    }
}

#[test]
fn reads_that_answered_nobody_are_no_part_of_the_not_found_rate() {
    let arm =
        |calls, answered, not_found| cutover::domain::guard::Arm { answered, not_found, ..arm(calls, 0) };
    let not_found = guard(GuardKind::NotFoundRelative, READ);
    // A third of the source's answers and of the target's, whatever else was read in addition.
    for (target_calls, source_calls) in [(30, 300), (3_000, 300), (30, 30_000)] {
        let (target, source) = (arm(target_calls, 30, 10), arm(source_calls, 300, 100));
        let cell = cutover::domain::guard::Cell { target, source, ..reads(0, 0, 0, 0) };
        assert!(cell.is_sound());
        let mut story = Story::of(&[not_found]).well();
        assert_eq!(story.until(60, &[cell]), None, "{target_calls} and {source_calls} calls");
    }
}
