//! Whether a step may go up: not without evidence, and not without reports.

use cutover::domain::{
    Calls, Counts,
    guard::{Action, Block, Cause, Cell, Certificate, GuardConfig, GuardKind, JudgedStage},
};

use super::{READ, Story, WRITE, arm, guard, reads, writes};

fn story() -> Story {
    Story::new(GuardConfig::default())
}

#[test]
fn no_errors_certify_by_their_number() {
    let mut story = story();
    story.report("a", &[reads(4_000, 0, 0, 0)]);
    story.now_ms += 4_000;
    let certificate = story.judge.standing(story.now_ms).certificates[0];
    assert_eq!((certificate.operation, certificate.calls, certificate.missing), (READ, 4_000, Some(603)));
    // At 1,000 a second or fewer it takes as long as so far, in proportion.
    let expected_ms = certificate.expected_ms.unwrap() - story.now_ms;
    assert!((603..=1_000).contains(&expected_ms), "{expected_ms}");
    story.report("a", &[reads(603, 0, 0, 0)]);
    let standing = story.judge.standing(story.now_ms);
    assert_eq!(standing.certificates[0].missing, Some(0));
    assert!(standing.certificates[0].excess < standing.certificates[0].margin);
    assert_eq!(standing.blocks, []);
}

#[test]
fn errors_that_the_source_has_as_well_take_more_calls_and_those_it_has_not_never_do() {
    let mut story = story();
    story.report("a", &[reads(20_000, 20, 20_000, 20)]);
    let missing = story.judge.standing(story.now_ms).certificates[0].missing;
    assert!(matches!(missing, Some(1..=100_000)), "{missing:?}");
    for _ in 0..6 {
        story.now_ms += 1_000;
        story.report("a", &[reads(20_000, 20, 20_000, 20)]);
    }
    assert_eq!(story.judge.standing(story.now_ms).certificates[0].missing, Some(0));

    let mut worse = self::story();
    worse.report("a", &[writes(20_000, 40, 0)]);
    let certificate = worse.judge.standing(worse.now_ms).certificates[0];
    assert_eq!((certificate.operation, certificate.missing, certificate.expected_ms), (WRITE, None, None));
}

#[test]
fn without_calls_nothing_is_certified() {
    let mut story = story();
    story.restage(JudgedStage { read_share_ppm: 10_000, ..JudgedStage::default() });
    let standing = story.judge.standing(story.now_ms);
    assert_eq!(standing.certificates[0].missing, Some(4_603));
    assert_eq!(standing.certificates[0].expected_ms, None);
    assert!(standing.miss_upper >= 1.0);
}

#[test]
fn what_the_target_lacks_is_bounded_over_ten_minutes() {
    let mut story = story();
    let read = Cell { compared: 100, lacking: 60, ..reads(0, 0, 100, 0) };
    assert_eq!(story.until(60, &[read]), None, "misses at dual never roll back");
    assert!(story.judge.standing(story.now_ms).miss_upper > 0.5);
    let backfilled = Cell { lacking: 0, ..read };
    assert_eq!(story.until(700, &[backfilled]), None);
    assert!(story.judge.standing(story.now_ms).miss_upper < 1e-3);
}

#[test]
fn with_little_traffic_what_the_target_lacks_is_bounded_over_the_stage() {
    let mut story = story();
    let read = Cell { compared: 2, ..reads(0, 0, 100, 0) };
    // 3,600 reads in ten minutes can never show what 4,603 do.
    assert_eq!(story.until(700, &[read]), None);
    assert!(story.judge.standing(story.now_ms).miss_upper > 1e-3);
    assert_eq!(story.until(100, &[read]), None);
    assert!(story.judge.standing(story.now_ms).miss_upper < 1e-3);
    story.restage(JudgedStage::default());
    assert!(story.judge.standing(story.now_ms).miss_upper >= 1.0);
}

#[test]
fn a_guard_that_is_half_way_blocks_and_so_do_a_trip_and_a_failing_source() {
    let relative = guard(GuardKind::ErrorRelative, READ);
    let mut story = Story::of(&[relative]).well();
    let halfway = (0..120).find_map(|_| {
        story.second(&[reads(100, 3, 100, 0)]);
        story.judge.standing(story.now_ms).blocks.into_iter().next()
    });
    assert!(matches!(halfway, Some(Block::Suspicion { guard, .. }) if guard == relative), "{halfway:?}");
    story.until(120, &[reads(100, 3, 100, 0)]).unwrap();
    assert!(story.judge.standing(story.now_ms).blocks.contains(&Block::Tripped));
    story.restage(JudgedStage::default());
    assert_eq!(story.judge.standing(story.now_ms).blocks, []);

    let mut story = self::story().well();
    story.until(30, &[reads(0, 0, 100, 100)]);
    assert!(story.judge.standing(story.now_ms).blocks.contains(&Block::Source(READ)));
}

#[test]
fn a_target_that_should_be_called_and_is_not_holds() {
    let mut story = story();
    story.restage(JudgedStage { read_share_ppm: 250_000, ..JudgedStage::default() });
    let idle = Cell { revision: 2, source: arm(2, 0), ..Cell::empty(2, READ, None) };
    let mut verdicts = Vec::new();
    for _ in 0..20 {
        verdicts.extend(story.second(&[idle]));
        verdicts.extend(story.judge.tick(story.now_ms));
    }
    let told: Vec<_> = verdicts.iter().map(|verdict| (verdict.action, verdict.cause)).collect();
    assert_eq!(told, [(Action::Hold, Cause::NoTargetCalls)]);
    assert_eq!(story.judge.standing(story.now_ms).blocks, [Block::NoTargetCalls]);
    story.second(&[Cell { target: arm(1, 0), ..idle }]);
    assert_eq!(story.judge.standing(story.now_ms).blocks, []);
}

#[test]
fn what_was_shown_before_a_restart_counts_for_a_step_and_against_nobody() {
    let calls = |calls, errors| Calls { calls, errors, ..Calls::default() };
    let mut shown =
        Counts { calls: [calls(9_000, 9), calls(0, 0), calls(9_000, 9), calls(0, 0)], ..Counts::default() };
    (shown.events.compared, shown.events.lacking) = (5_000, 1);
    let mut restarted = story();
    restarted.judge.recall(&shown);
    let standing = restarted.judge.standing(restarted.now_ms);
    let certificate = standing.certificates[0];
    assert_eq!((certificate.operation, certificate.calls, certificate.bad), (READ, 9_000, 9));
    assert!(matches!(certificate.missing, Some(1..)), "{certificate:?}");
    assert_eq!(certificate.expected_ms, None, "calls of now tell when, and there is none yet");
    assert!((0.000_2..0.002).contains(&standing.miss_upper), "{}", standing.miss_upper);
    assert_eq!(standing.blocks, []);

    // It is the same as if nothing had happened in between.
    let mut whole = story();
    whole.report("a", &[reads(9_000, 9, 9_000, 9)]);
    for story in [&mut restarted, &mut whole] {
        story.now_ms += 1_000;
        story.report("a", &[reads(90_000, 90, 90_000, 90)]);
    }
    let of = |story: &mut Story| {
        let Certificate { calls, bad, excess, missing, .. } =
            story.judge.standing(story.now_ms).certificates[0];
        (calls, bad, excess, missing)
    };
    assert_eq!(of(&mut restarted), of(&mut whole));

    // The next stage has shown nothing yet.
    restarted.restage(JudgedStage { read_share_ppm: 10_000, ..JudgedStage::default() });
    let standing = restarted.judge.standing(restarted.now_ms);
    assert_eq!((standing.certificates[0].calls, standing.miss_upper), (0, 1.0));

    // Earlier errors trip nobody.
    shown.calls[2] = calls(9_000, 9_000);
    let mut failed = story();
    failed.judge.recall(&shown);
    assert_eq!(failed.until(30, &[reads(100, 0, 100, 0)]), None);
    assert_eq!(failed.judge.standing(failed.now_ms).certificates[0].missing, None, "but it is not well");
}
