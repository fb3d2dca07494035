//! When instances stop reporting: a crash is no blindness, a cut network is.

// A slice of ranges is meant: instances by their numbers.
#![allow(clippy::single_range_in_vec_init)]

use std::ops::Range;

use cutover::domain::guard::{Action, Block, Cause, JudgedStage, Verdict};

use super::{Story, reads};

/// An instance, by its number.
fn name(at: usize) -> String {
    format!("i{at}")
}

/// Seconds in which these instances report; the verdicts.
fn run(story: &mut Story, live: &[Range<usize>], seconds: usize) -> Vec<Verdict> {
    let names: Vec<String> = live.iter().cloned().flatten().map(name).collect();
    run_named(story, &names, seconds)
}

fn run_named(story: &mut Story, live: &[String], seconds: usize) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for _ in 0..seconds {
        for name in live {
            verdicts.extend(story.report(name, &[reads(1, 0, 1, 0)]));
        }
        story.now_ms += 1_000;
        verdicts.extend(story.judge.tick(story.now_ms));
    }
    verdicts
}

/// A fleet of this size that has reported for a while.
fn fleet(size: usize) -> Story {
    let mut story = Story::of(&[]);
    assert_eq!(run(&mut story, &[0..size], 20), []);
    story
}

fn blocks(story: &mut Story) -> Vec<Block> {
    story.judge.standing(story.now_ms).blocks
}

fn told(verdicts: &[Verdict]) -> Vec<(Action, Cause, String)> {
    verdicts.iter().map(|verdict| (verdict.action, verdict.cause, verdict.to_string())).collect()
}

#[test]
fn one_or_two_crashed_processes_hold_nobody_whatever_the_size_of_the_fleet() {
    for (size, crashed) in [(3, 1), (3, 2), (2, 1), (4, 2), (40, 2)] {
        let mut story = fleet(size);
        for _ in 0..120 {
            assert_eq!(run(&mut story, &[crashed..size], 1), [], "{crashed} of {size}");
            assert_eq!(blocks(&mut story), [], "{crashed} of {size}");
        }
    }
}

#[test]
fn without_any_report_no_step_is_taken_but_a_restart_needs_no_resume() {
    for size in [1, 2] {
        let mut story = fleet(size);
        assert_eq!(run(&mut story, &[], 20), []);
        assert!(
            matches!(blocks(&mut story)[..], [Block::NobodyReports { instances, silent_ms: 20_000.. }] if instances == size)
        );
        // Back under the same id, or under another.
        for live in [0..size, 100..100 + size] {
            let mut story = story.clone();
            assert_eq!(run(&mut story, &[live], 60), []);
            assert_eq!(blocks(&mut story), []);
        }
        // Ten minutes later it is forgotten.
        assert_eq!(run(&mut story, &[], 600), []);
        assert_eq!(blocks(&mut story), []);
    }
}

#[test]
fn a_network_cut_that_silences_a_third_blocks_within_seconds_and_holds_if_it_lasts() {
    let mut story = fleet(40);
    assert_eq!(run(&mut story, &[13..40], 4), []);
    assert_eq!(blocks(&mut story), [Block::InstancesGone { gone: 13, live: 27 }], "no step meanwhile");
    let verdicts = run(&mut story, &[13..40], 60);
    let text = "13 of 40 instances stopped reporting within 10 s, and are neither back nor replaced";
    assert_eq!(told(&verdicts), [(Action::Hold, Cause::InstancesGone, text.to_owned())]);
    // An operator has looked, and resumed: the step is not blocked for ever.
    assert_eq!(blocks(&mut story), []);
    assert_eq!(run(&mut story, &[0..40], 60), []);
}

#[test]
fn a_hold_is_told_once_even_if_the_next_stage_begins_meanwhile() {
    let mut story = fleet(9);
    assert_eq!(run(&mut story, &[3..9], 32).len(), 1);
    story.restage(JudgedStage::default());
    assert_eq!(run(&mut story, &[3..9], 60), []);
    // The next cut is reported too.
    assert_eq!(run(&mut story, &[0..9], 10), []);
    assert_eq!(run(&mut story, &[3..9], 60).len(), 1);
}

#[test]
fn whole_fleets_that_fall_silent_together_hold() {
    for size in [3, 40] {
        let mut story = fleet(size);
        let verdicts = run(&mut story, &[], 60);
        assert_eq!(verdicts.len(), 1, "{size}");
        assert_eq!((verdicts[0].evidence.target, verdicts[0].evidence.target_bad), (0, size as u64));
    }
}

#[test]
fn thirty_percent_are_not_too_many_and_neither_are_instances_that_go_one_after_another() {
    let mut story = fleet(40);
    assert_eq!(run(&mut story, &[12..40], 60), []);
    let mut story = fleet(40);
    for gone in 1..=13 {
        assert_eq!(run(&mut story, &[gone..40], 5), []);
        assert_eq!(blocks(&mut story), []);
    }
}

#[test]
fn processes_that_are_back_or_replaced_within_half_a_minute_are_not_gone() {
    // All at once, as when their scheduler kills them; new ones have other ids.
    let mut story = fleet(9);
    assert_eq!(run(&mut story, &[], 20), []);
    for live in [0..9, 100..109, 100..107] {
        let mut story = story.clone();
        assert_eq!(run(&mut story, &[live], 120), []);
        assert_eq!(blocks(&mut story), []);
    }
    // Fewer than were lost came back.
    assert_eq!(told(&run(&mut story, &[100..106], 60))[0].1, Cause::InstancesGone);

    // Under the same ids: the lease of the one before ends, and with it what it was.
    let mut story = fleet(9);
    assert_eq!(run(&mut story, &[6..9], 5), []);
    assert_eq!(run(&mut story, &[6..9, 100..106], 5), []);
    (0..6).for_each(|at| story.judge.goodbye(&name(at)));
    assert_eq!(run(&mut story, &[6..9, 100..106], 60), []);
    // If only half of them are back, it hides nobody that is gone.
    let mut story = fleet(9);
    assert_eq!(run(&mut story, &[6..9], 5), []);
    assert_eq!(run(&mut story, &[6..9, 100..103], 5), []);
    (0..3).for_each(|at| story.judge.goodbye(&name(at)));
    assert_eq!(run(&mut story, &[6..9, 100..103], 60).len(), 1);
}

#[test]
fn a_deployment_hides_no_cut() {
    let mut story = fleet(40);
    assert_eq!(run(&mut story, &[13..40], 5), []);
    // Twenty of those that are left say goodbye, and twenty new ones start.
    (13..33).for_each(|at| story.judge.goodbye(&name(at)));
    assert_eq!(run(&mut story, &[33..40, 100..120], 60).len(), 1);
    // Without a cut, goodbyes are no blindness.
    let mut story = fleet(40);
    (0..30).for_each(|at| story.judge.goodbye(&name(at)));
    assert_eq!(run(&mut story, &[30..40], 60), []);
}

#[test]
fn a_controller_that_did_not_run_for_a_while_takes_nobody_for_gone() {
    for pause_ms in [20_000, 35_000, 3_600_000] {
        let mut story = fleet(9);
        story.now_ms += pause_ms;
        assert_eq!(story.judge.tick(story.now_ms), []);
        assert_eq!(blocks(&mut story), []);
        assert_eq!(run(&mut story, &[0..9], 60), []);
        // They may have died meanwhile.
        story.now_ms += pause_ms;
        assert_eq!(run(&mut story, &[0..3], 60).len(), 1, "{pause_ms}");
    }
}

#[test]
fn callers_without_an_sdk_come_and_go_and_hide_no_cut() {
    let mut story = fleet(0);
    let callers = |story: &mut Story, callers: Range<usize>, instances: Range<usize>, seconds: usize| {
        let names = callers.map(|at| format!("outcomes/{at}")).chain(instances.map(name));
        run_named(story, &names.collect::<Vec<_>>(), seconds)
    };
    assert_eq!(callers(&mut story, 0..10, 0..1, 20), []);
    assert_eq!(callers(&mut story, 0..0, 0..1, 60), [], "they ended");
    assert_eq!(blocks(&mut story), []);
    // A cut of instances, beside as many callers that came meanwhile.
    assert_eq!(callers(&mut story, 0..0, 0..10, 20), []);
    let verdicts = callers(&mut story, 20..40, 6..10, 60);
    assert_eq!(verdicts.len(), 1, "{verdicts:?}");
}
