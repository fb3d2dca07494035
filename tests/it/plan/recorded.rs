//! A plan is run against recorded traffic: its quiet hours, its bad ones, and invalid recordings.

use cutover::{
    domain::{
        Calls, Counts, Latency,
        plan::{Part, Plan, Proof, Rules, Step},
    },
    simulation::{Demand, End, Fault, Played, Recording, Rehearsal, Window, rehearse},
};
use cutover_core::{histogram::Histogram, routing::Rung};

const MINUTE_S: u64 = 60;
const MINUTE_MS: u64 = 60_000;
/// A Monday, 09:00 UTC.
const BEGIN_S: u64 = 1_764_579_600;

/// Five minutes in which nobody had been moved yet, with this many reads and writes a second.
fn busy(minute: u64, reads: u64, writes: u64) -> Window {
    let mut counts = Counts::default();
    counts.calls[0] = Calls { calls: reads * 300, errors: 0, latency: latency(reads * 300, 2_000) };
    counts.calls[1] = Calls { calls: writes * 300, errors: 0, latency: latency(writes * 300, 2_000) };
    Window { at_s: BEGIN_S + minute * MINUTE_S, width_s: 300, counts }
}

/// The same when all reads were from the target, and all writes to both stores.
fn moved(minute: u64, reads: u64, writes: u64) -> Window {
    let mut window = busy(minute, 0, writes);
    window.counts.calls[2] = Calls { calls: reads * 300, errors: 0, latency: latency(reads * 300, 2_000) };
    window.counts.calls[3] = window.counts.calls[1].clone();
    (window.counts.events.hit, window.counts.events.both_ok) = (reads * 300, writes * 300);
    window
}

fn latency(calls: u64, us: u64) -> Latency {
    let mut counts = [0; 160];
    counts[Histogram::bucket(us)] = calls;
    Latency::of(&counts)
}

fn ramp() -> Plan {
    let step = |rung, evidence| {
        let (part, bake_ms) = (Part::Share(1_000_000), MINUTE_MS);
        Step { rung, part, bake_ms, evidence, approval: false }
    };
    let steps = vec![
        step(Rung::Dual, Proof::Guards),
        step(Rung::Mirrored, Proof::None),
        step(Rung::TargetFirst, Proof::None),
    ];
    Plan::of(steps, Rules::default()).unwrap()
}

fn played(windows: &[Window], fault: Fault, seed: u64) -> Played {
    let demand = Demand::Recorded(Recording::of(windows).unwrap());
    let what = Rehearsal { fault, at_step: 3, after_ms: 0, demand, shadow: 0.2, instances: 2, seed };
    rehearse(&ramp(), &what).unwrap()
}

#[test]
fn a_step_waits_through_the_quiet_hours_for_its_evidence_and_that_is_told() {
    // Of 4,603 writes, 1,500 come before the silence.
    let windows = vec![busy(0, 100, 5), busy(55, 100, 20)];
    let recording = Recording::of(&windows).unwrap();
    assert_eq!((recording.from_s(), recording.period_s()), (BEGIN_S, 3_600));
    assert_eq!(recording.calls_per_s(), (105.0, 120.0));
    assert_eq!(recording.assumed.len(), 2, "{:?}", recording.assumed);
    let played = self::played(&windows, Fault::None, 1);
    assert_eq!((&played.end, played.taken_ms.len()), (&End::Done { unnoticed: false }, 3));
    let waited = &played.waited[0];
    assert_eq!((waited.step, waited.from_ms), (1, MINUTE_MS));
    assert!(waited.missing.iter().any(|what| what.contains("more write calls to the target")), "{waited:?}");
    assert_eq!(waited.until_ms, played.taken_ms[1]);
    assert!((56 * MINUTE_MS..60 * MINUTE_MS).contains(&played.taken_ms[1]), "{played:?}");
    assert_eq!(played.lasted_ms, played.taken_ms[2] + MINUTE_MS);
}

#[test]
fn the_same_seed_plays_the_same_and_a_fault_is_seen_in_recorded_traffic() {
    let windows = [busy(0, 200, 50), busy(5, 200, 50)];
    let tripped = played(&windows, Fault::TargetErrors(0.5), 7);
    assert_eq!(tripped, played(&windows, Fault::TargetErrors(0.5), 7));
    let End::Tripped { step: 3, after_ms: Some(after_ms), .. } = tripped.end else { panic!("{tripped:?}") };
    assert!((100..=3_000).contains(&after_ms), "{after_ms}");
}

#[test]
fn what_went_wrong_then_goes_wrong_again() {
    let well = [moved(0, 200, 50), moved(5, 200, 50)];
    assert_eq!(played(&well, Fault::None, 1).end, End::Done { unnoticed: false });
    let tripped = |name: &str, spoil: &dyn Fn(&mut Counts)| {
        let mut windows = well.clone();
        windows.iter_mut().for_each(|window| spoil(&mut window.counts));
        let played = played(&windows, Fault::None, 1);
        let End::Tripped { after_ms: None, told, .. } = &played.end else { panic!("{name}: {played:?}") };
        assert!(told.iter().any(|line| line.contains(name)), "{name}: {told:?}");
    };
    tripped("write_divergence", &|counts| {
        (counts.events.both_ok, counts.events.only_target_failed) = (14_000, 1_000);
    });
    tripped("error_absolute", &|counts| counts.calls[2].errors = 30_000);
    tripped("mismatch", &|counts| (counts.events.compared, counts.events.mismatch) = (6_000, 3_000));
    tripped("slow_relative", &|counts| counts.calls[3].latency = latency(15_000, 900_000));
}

#[test]
fn of_days_the_newest_whole_ones_are_taken() {
    let day = |days: u64| busy(days * 24 * 60, 100, 5);
    let recording = Recording::of(&[day(0), day(1), day(2)]).unwrap();
    assert_eq!((recording.from_s(), recording.period_s()), (BEGIN_S + 300, 2 * 24 * 3_600));
}

#[test]
fn what_is_no_recording_is_refused() {
    let refused = |windows: &[Window], part: &str| {
        let wrong = Recording::of(windows).unwrap_err();
        assert!(wrong.contains(part), "{part:?} is not in {wrong:?}");
    };
    let spoilt = |spoil: &dyn Fn(&mut Window)| {
        let mut window = busy(5, 100, 5);
        spoil(&mut window);
        [busy(0, 100, 5), window]
    };
    refused(&[], "nothing was reported");
    refused(&[busy(0, 0, 0), busy(5, 0, 0)], "no call to any store");
    refused(&[busy(5, 1, 1), busy(0, 1, 1)], "window 2 begins before");
    refused(&[busy(0, 1, 1), busy(0, 1, 1)], "each once");
    refused(&spoilt(&|window| window.width_s = 0), "of no length");
    refused(&spoilt(&|window| window.at_s = u64::MAX), "at no time");
    refused(&spoilt(&|window| window.width_s = u64::MAX), "of no length");
    refused(&spoilt(&|window| window.counts.calls[0].errors = 30_001), "more errors than calls");
    refused(&spoilt(&|window| window.counts.calls[2].calls = u64::MAX), "over a million");
    refused(&spoilt(&|window| window.counts.events.hit = u64::MAX), "over a million");
}
