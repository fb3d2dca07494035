//! Situations that have fooled other guards.

use cutover::{
    domain::guard::{Action, Arm, Cause, Cell, Guard, GuardConfig, GuardKind, Judge, JudgedStage, Ratchet},
    simulation::Draw,
};

use super::{READ, Story, arm, at, guard, reads};

const MISSES: Guard = Guard::of(GuardKind::MissRatchet, READ);
const RELATIVE: Guard = Guard::of(GuardKind::ErrorRelative, READ);

fn read(revision: u64, hit: u64, miss: u64) -> Cell<'static> {
    Cell { target: arm(hit + miss, 0), hit, miss, ..Cell::empty(revision, READ, None) }
}

#[test]
fn misses_that_fall_and_stay_low_are_well_and_a_rise_is_rolled_back() {
    let mut story = Story::of(&[MISSES]);
    // Cold keys: nine of ten miss at first, one of fifty in the end.
    for second in 0_u64..900 {
        let miss = 2 + 88 / (1 + second / 20);
        assert_eq!(story.second(&[read(1, 100 - miss, miss)]), [], "{second}");
    }
    let lowest = story.judge.lowest_misses()[0].1;
    assert!((0.03..0.05).contains(&lowest), "{lowest}");
    let (second, verdict) = story.until(60, &[read(1, 80, 20)]).unwrap();
    assert_eq!((verdict.guard, verdict.action), (MISSES, Action::Rollback));
    assert!(second < 10, "{second}");
    assert!(verdict.evidence.limit.unwrap() < 0.07);
}

#[test]
fn a_ramp_step_brings_cold_keys_and_no_rollback() {
    let mut story = Story::of(&[MISSES]);
    assert_eq!(story.until(900, &[read(1, 98, 2)]), None);
    story.restage(JudgedStage { enrolled: 1, ..JudgedStage::default() });
    // Without step numbers, all count for the new step, in its grace period and after.
    for second in 0_u64..900 {
        let miss = 2 + 60 / (1 + second / 20);
        assert_eq!(story.second(&[read(2, 100 - miss, miss)]), [], "{second}");
    }
}

#[test]
fn enrolment_steps_that_are_told_apart_keep_what_they_reached() {
    let mut story = Story::of(&[MISSES]);
    story.restage(JudgedStage { enrolled: 1, ..JudgedStage::default() });
    assert_eq!(story.until(900, &[Cell { step: 1, ..read(2, 98, 2) }]), None);
    story.restage(JudgedStage { enrolled: 2, ..JudgedStage::default() });
    let cold = Cell { step: 2, ..read(3, 40, 60) };
    assert_eq!(story.until(60, &[Cell { step: 1, ..read(3, 98, 2) }, cold]), None);
    // The old tenants' misses rise in the middle of the new ones' grace period.
    let (second, verdict) = story.until(30, &[Cell { step: 1, ..read(3, 80, 20) }, cold]).unwrap();
    assert!(second < 15 && verdict.guard == MISSES);
}

#[test]
fn a_ratchet_needs_enough_reads_and_never_loosens() {
    let mut ratchet = Ratchet::new(1.25, 0.005);
    (0..19).for_each(|_| ratchet.close(10, 0));
    assert!(ratchet.lowest() >= 1.0 && ratchet.test().is_empty(), "190 reads are too few");
    ratchet.close(10, 0);
    let first = ratchet.lowest();
    assert!((first - (1.0 - (-20.723_265_836_946_41_f64 / 200.0).exp())).abs() < 1e-9, "{first}");
    let mut draw = Draw::new(3);
    let mut before = first;
    for _ in 0..2_000 {
        let share = 0.2 * draw.share();
        ratchet.close(100, draw.binomial(100, share));
        assert!(ratchet.lowest() <= before);
        before = ratchet.lowest();
    }
}

#[test]
fn stragglers_of_the_stage_before_do_not_trip_the_one_after() {
    let mut story = Story::new(GuardConfig::default()).well();
    assert!(story.until(10, &[reads(100, 100, 100, 0)]).is_some());
    story.restage(JudgedStage::default());
    for _ in 0..60 {
        assert_eq!(story.second(&[reads(100, 100, 100, 0), at(reads(0, 0, 100, 0), 2)]), []);
    }
    assert_eq!(story.judge.refused().stragglers, 180);
}

#[test]
fn a_revision_that_moves_nobody_keeps_the_evidence() {
    let mut story = Story::of(&[RELATIVE]).well();
    story.judge.newest(2);
    assert!(story.until(30, &[at(reads(100, 30, 100, 0), 2)]).is_some());
}

#[test]
fn retry_storms_against_both_stores_say_nothing_of_the_target() {
    let mut story = Story::of(&[RELATIVE]).well();
    // Ten times the calls, and a third of them fail, in both stores.
    for _ in 0..120 {
        assert_eq!(story.second(&[reads(1_000, 330, 1_000, 330)]), []);
    }
}

#[test]
fn what_the_caller_canceled_is_no_error() {
    // It is among the calls and in no class: there is no field for it.
    let cell = Cell { target: Arm { calls: 100, ..Arm::default() }, ..reads(0, 0, 100, 0) };
    assert_eq!(Story::new(GuardConfig::default()).until(120, &[cell]), None);
}

#[test]
fn a_restart_begins_without_evidence_and_trips_later_but_surely() {
    let ill = [reads(100, 5, 100, 0)];
    let mut story = Story::of(&[RELATIVE]).well();
    assert_eq!(story.second(&ill), []);
    let mut restarted = story.clone();
    restarted.judge = Judge::new(
        GuardConfig::default().only(&[RELATIVE]),
        JudgedStage { revision: 1, ..JudgedStage::default() },
        restarted.now_ms,
    );
    let (with, without) = (story.until(120, &ill).unwrap().0, restarted.until(120, &ill).unwrap().0);
    assert!(without > with, "{without} {with}");
}

#[test]
fn bursts_are_measured_on_the_source_and_are_no_evidence() {
    // Ten at a time, in either store, once in twenty seconds: the target only happens to be first.
    let mut draw = Draw::new(9);
    let mut story = Story::of(&[RELATIVE, guard(GuardKind::ErrorAbsolute, READ)]);
    for _ in 0..3_600 {
        let mut burst = || if draw.share() < 0.05 { 10 } else { 0 };
        assert_eq!(story.second(&[reads(100, burst(), 100, burst())]), []);
    }
}

#[test]
fn where_the_source_arm_is_gone_its_rate_of_before_stands_in() {
    let frozen = JudgedStage { frozen_reads: true, ..JudgedStage::default() };
    let mut story = Story::of(&[RELATIVE]);
    assert_eq!(story.until(300, &[reads(100, 1, 100, 1)]), None);
    story.restage(frozen);
    let before = story.clone();
    assert_eq!(story.until(300, &[at(reads(200, 2, 0, 0), 2)]), None);
    let (second, verdict) = { before }.until(60, &[at(reads(200, 12, 0, 0), 2)]).unwrap();
    assert_eq!((verdict.guard, verdict.cause), (RELATIVE, Cause::Breach));
    assert!(second < 20 && (0.01..0.03).contains(&verdict.evidence.limit.unwrap()), "{verdict:?}");
    // Without any source calls there is nothing to compare with.
    let mut story = Story::of(&[RELATIVE]);
    story.restage(frozen);
    assert_eq!(story.until(60, &[at(reads(200, 12, 0, 0), 2)]), None);
}

#[test]
fn a_restarted_service_that_reads_what_nobody_has_written_is_no_evidence_at_target_first() {
    let not_found = guard(GuardKind::NotFoundRelative, READ);
    let found = |calls, answered, not_found| Arm { answered, not_found, ..arm(calls, 0) };
    let mut story = Story::of(&[not_found]);
    let before = Cell { source: found(100, 100, 30), target: found(100, 100, 30), ..reads(0, 0, 0, 0) };
    assert_eq!(story.until(300, &[before]), None);
    story.restage(JudgedStage { frozen_reads: true, ..JudgedStage::default() });
    story.now_ms += 120_000;
    // The source was asked as well, and had nothing either: such a read answers for neither store.
    let target_first = at(Cell { target: found(12, 0, 0), source: found(12, 0, 0), ..reads(0, 0, 0, 0) }, 2);
    assert_eq!({ story.clone() }.until(60, &[target_first]), None);
    // A target that loses records has nobody to excuse it where the source is not asked.
    let alone = at(Cell { target: found(12, 12, 12), ..reads(0, 0, 0, 0) }, 2);
    let (_, verdict) = story.until(60, &[alone]).unwrap();
    assert_eq!(verdict.guard, not_found);
}
