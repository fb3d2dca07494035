//! Invalid input is rejected and counted; it neither trips a guard nor ends the process.

use cutover::domain::guard::{Arm, Cell, GuardConfig, Limit, Mode, Pairs, Report, Rule};

use super::{READ, Story, WRITE, arm, guard, reads, writes};
use cutover::domain::guard::GuardKind;

const HUGE: u64 = u64::MAX;

#[test]
fn a_part_above_its_whole_is_refused_with_its_cell() {
    let mut story = Story::new(GuardConfig::default()).well();
    let read = reads(10, 0, 10, 0);
    let pairs = |calls, only_target_failed| Pairs { calls, only_target_failed, ..Pairs::default() };
    let absurd = [
        reads(10, 11, 10, 0),
        reads(10, 0, 10, 11),
        reads(HUGE, 0, 0, 0),
        reads(HUGE, HUGE, HUGE, HUGE),
        Cell { target: Arm { errors: [HUGE; 6], ..arm(HUGE, 0) }, ..read },
        Cell { target: Arm { slow: 11, ..arm(10, 0) }, ..read },
        Cell { target: Arm { answered: 11, ..arm(10, 0) }, ..read },
        Cell { target: Arm { answered: 8, not_found: 9, ..arm(10, 0) }, ..read },
        Cell { target: Arm { overdue: HUGE, ..arm(10, 0) }, ..read },
        Cell { compared: 1, mismatch: 2, ..read },
        Cell { compared: 1, lacking: 2, ..read },
        Cell { hit: HUGE, miss: HUGE, ..read },
        Cell { pairs: pairs(1, 2), ..writes(1, 0, 0) },
        Cell { pairs: pairs(HUGE, HUGE), ..writes(1, 0, 0) },
    ];
    for cell in absurd {
        assert_eq!(story.report("a", &[cell]), [], "{cell:?}");
        story.now_ms += 100;
    }
    assert_eq!(story.judge.refused().absurd, absurd.len() as u64);
}

#[test]
fn sums_of_greatest_counts_stay_finite() {
    let most = (1 << 40) - 1;
    let mut story =
        Story::of(&[guard(GuardKind::ErrorAbsolute, READ), guard(GuardKind::ErrorRelative, READ)]);
    for _ in 0..5_000 {
        story.report("a", &[reads(most, 0, most, 0), writes(most, 0, 0)]);
    }
    story.now_ms += 1_000;
    story.judge.tick(story.now_ms);
    assert!(
        story
            .judge
            .levels()
            .iter()
            .all(|level| level.evidence.ln_m.is_finite() && level.evidence.ln_m < 30.0)
    );
    // Everything fails for hours, and nobody acts: evidence stops growing, and does not overflow.
    let observe = |kind, operation| {
        let rule = GuardConfig::default().rules[guard(kind, operation).index().unwrap()].unwrap();
        (guard(kind, operation), Some(Rule { mode: Mode::Observe, ..rule }))
    };
    let (absolute, rule) = observe(GuardKind::ErrorAbsolute, READ);
    let mut story = Story::new(GuardConfig::default().only(&[absolute]).with(absolute, rule));
    for _ in 0..5_000 {
        story.second(&[reads(most, most, 0, 0)]);
    }
    let level = story.judge.levels().swap_remove(0);
    assert!(level.evidence.ln_m.is_finite() && level.evidence.ln_m <= 700.0, "{level:?}");
}

#[test]
fn repeated_late_and_early_ones_do_not_count() {
    let mut story = Story::new(GuardConfig::default()).well();
    let dead = [reads(500, 500, 500, 0)];
    let before = story.judge.refused();
    let report = |sequence| Report { instance: "a", sequence, cells: &dead };
    for sequence in 0..=story.sequence.min(100) {
        assert_eq!(story.judge.observe(&report(sequence), story.now_ms), []);
    }
    assert_eq!(story.judge.refused().repeated - before.repeated, 101);

    // Decided under a revision that does not exist, or before the current stage.
    story.restage(Default::default());
    for (revision, instance) in [(1, "a"), (99, "b"), (u64::MAX, "c")] {
        assert_eq!(story.report(instance, &[super::at(dead[0], revision)]), []);
    }
    let refused = story.judge.refused();
    assert_eq!((refused.stragglers, refused.unknown_revisions), (1, 2));
    assert!(story.judge.levels().iter().all(|level| level.evidence.ln_m <= 0.0));
}

#[test]
fn a_clock_that_jumps_is_no_evidence() {
    let mut story = Story::new(GuardConfig::default()).well();
    let cells = [reads(10, 0, 10, 0)];
    for now_ms in [0, 1, u64::MAX / 2, 5, u64::MAX] {
        story.now_ms = now_ms;
        let verdicts = story.report("a", &cells);
        assert!(verdicts.is_empty(), "{verdicts:?}");
        assert!(story.judge.levels().iter().all(|level| level.evidence.ln_m < level.evidence.ln_c / 2.0));
    }
    assert_eq!(story.judge.refused().clock, 3);
}

#[test]
fn more_instances_than_there_may_be_are_refused_and_old_ones_make_room() {
    let mut story = Story::new(GuardConfig { instances_max: 50, ..GuardConfig::default() });
    for at in 0..200 {
        story.report(&format!("instance-{at}"), &[reads(1, 1, 0, 0)]);
    }
    assert_eq!(story.judge.refused().instances, 150);
    story.now_ms += 3_600_000;
    story.report("late", &[reads(1, 0, 0, 0)]);
    assert_eq!(story.judge.refused().instances, 150);
}

#[test]
fn settings_that_make_no_sense_are_told_all_at_once() {
    assert_eq!(GuardConfig::default().violations(), []);
    let rule = |limit| Some(Rule { mode: Mode::Enforce, limit });
    let config = GuardConfig { advance_alpha: 0.0, tick_ms: 0, ..GuardConfig::default() }
        .with(guard(GuardKind::ErrorAbsolute, READ), rule(Limit::Rate(1.0)))
        .with(guard(GuardKind::ErrorAbsolute, WRITE), rule(Limit::Relative { rho: 2.0, delta: 0.0 }))
        .with(guard(GuardKind::ErrorRelative, READ), rule(Limit::Relative { rho: 0.5, delta: f64::NAN }))
        .with(guard(GuardKind::MissRatchet, READ), rule(Limit::Ratchet { factor: 1.0, slack: 1.0 }));
    let fields: Vec<String> = config.violations().into_iter().map(|violation| violation.field).collect();
    let wanted =
        ["error_absolute", "error_absolute", "error_relative", "miss_ratchet", "advance_alpha", "tick_ms"];
    assert_eq!(fields, wanted);
}
