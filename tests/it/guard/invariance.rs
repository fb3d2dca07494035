//! What must not matter does not: order, splitting, merging, repetition. What must matter does.

use cutover::{
    domain::guard::{Cell, GuardConfig, Judge, JudgedStage, Pairs, Report, bounds},
    simulation::Draw,
};

use super::{READ, WRITE, arm};

/// A report to send: instance, time within its second, and cell.
type Sent = (usize, u64, Cell<'static>);

fn cell(draw: &mut Draw) -> Cell<'static> {
    let mut outcomes = |calls: u64, share: f64| {
        let calls = draw.binomial(calls, 0.5);
        let mut arm = arm(calls, draw.binomial(calls, share));
        arm.slow = draw.binomial(calls, share);
        arm.answered = draw.binomial(calls, 0.9);
        arm.not_found = draw.binomial(arm.answered, share);
        arm
    };
    let (target, source) = (outcomes(60, 0.03), outcomes(60, 0.01));
    if draw.share() < 0.5 {
        let compared = draw.binomial(source.calls, 0.5);
        let mismatch = draw.binomial(compared, 0.001);
        let miss = draw.binomial(target.calls, 0.1);
        let read = Cell::empty(1, READ, None);
        return Cell { target, source, miss, hit: target.calls - miss, compared, mismatch, ..read };
    }
    let calls = target.calls.min(source.calls);
    let only_target_failed = target.failed().min(calls);
    let only_source_failed = source.failed().min(calls - only_target_failed);
    let pairs = Pairs { calls, only_target_failed, only_source_failed, both_failed: 0 };
    Cell { target, source, pairs, ..Cell::empty(1, WRITE, None) }
}

fn second(draw: &mut Draw) -> Vec<Sent> {
    (0..12).map(|at| (at % 5, (at as u64 / 3) * 250, cell(draw))).collect()
}

/// Never trips: the stories look at the evidence.
fn judge() -> Judge {
    let config = GuardConfig { false_trips_per_day: 1e-200, ..GuardConfig::default() };
    Judge::new(config, JudgedStage { revision: 1, ..JudgedStage::default() }, 0)
}

/// Sends one second's reports, each separately.
fn send(judge: &mut Judge, sequence: &mut u64, second: u64, sent: &[Sent]) {
    for (who, at_ms, cell) in sent {
        *sequence += 1;
        let report = Report { instance: &format!("i{who}"), sequence: *sequence, cells: &[*cell] };
        assert!(judge.observe(&report, second * 1_000 + at_ms).is_empty());
    }
}

fn levels(judge: &Judge) -> Vec<f64> {
    judge.levels().iter().map(|level| level.evidence.ln_m).collect()
}

#[track_caller]
fn assert_same(one: &Judge, other: &Judge) {
    for (one, other) in levels(one).into_iter().zip(levels(other)) {
        assert!(one == other || (one - other).abs() < 1e-9 * one.abs().max(1.0), "{one} {other}");
    }
}

#[test]
fn order_splitting_merging_and_repeating_change_nothing() {
    let mut draw = Draw::new(11);
    for _ in 0..20 {
        let mut judges = [judge(), judge(), judge(), judge()];
        let mut sequence = 0;
        for now in 1..15 {
            let sent = second(&mut draw);
            send(&mut judges[0], &mut sequence, now, &sent);

            // What arrives at one moment arrives in any order.
            let mut turned = sent.clone();
            turned.reverse();
            turned.sort_by_key(|(_, at_ms, _)| *at_ms);
            send(&mut judges[1], &mut sequence, now, &turned);

            // Each report in two parts.
            let halves: Vec<Sent> = sent
                .iter()
                .flat_map(|(who, at, cell)| {
                    let (one, other) = halves(cell);
                    [(*who, *at, one), (*who, *at, other)]
                })
                .collect();
            send(&mut judges[2], &mut sequence, now, &halves);

            // Repeated and empty ones in between.
            for (who, at_ms, cell) in &sent {
                let now_ms = now * 1_000 + at_ms;
                sequence += 1;
                let (cells, instance) = ([*cell], format!("i{who}"));
                let report = Report { instance: &instance, sequence, cells: &cells };
                judges[3].observe(&report, now_ms);
                judges[3].observe(&report, now_ms);
                sequence += 1;
                let nothing = [Cell::empty(1, READ, None)];
                judges[3].observe(&Report { instance: &instance, sequence, cells: &nothing }, now_ms);
                judges[3].tick(now_ms);
            }
            for other in &judges[1..] {
                assert_same(&judges[0], other);
            }
        }
        assert_eq!(judges[3].refused().repeated, 14 * 12);
    }
}

/// A cell as two that add up to it.
fn halves(whole: &Cell<'static>) -> (Cell<'static>, Cell<'static>) {
    let (mut one, mut other) = (*whole, *whole);
    let parts = |cell: &mut Cell<'static>| {
        let Cell { target, source, pairs, hit, miss, compared, lacking, mismatch, .. } = cell;
        let of = |arm: &mut cutover::domain::guard::Arm| {
            let counts =
                [&mut arm.calls, &mut arm.slow, &mut arm.answered, &mut arm.not_found, &mut arm.overdue];
            for count in counts.into_iter().chain(&mut arm.errors) {
                *count /= 2;
            }
        };
        of(target);
        of(source);
        let pairs = [
            &mut pairs.calls,
            &mut pairs.only_target_failed,
            &mut pairs.only_source_failed,
            &mut pairs.both_failed,
        ];
        for count in pairs.into_iter().chain([hit, miss, compared, lacking, mismatch]) {
            *count /= 2;
        }
    };
    parts(&mut one);
    let rest = |whole: u64, part: u64| whole - part;
    for (arm, part) in [(&mut other.target, one.target), (&mut other.source, one.source)] {
        arm.calls = rest(arm.calls, part.calls);
        arm.slow = rest(arm.slow, part.slow);
        arm.answered = rest(arm.answered, part.answered);
        arm.not_found = rest(arm.not_found, part.not_found);
        arm.errors[0] = rest(arm.errors[0], part.errors[0]);
    }
    other.pairs.calls = rest(other.pairs.calls, one.pairs.calls);
    other.pairs.only_target_failed = rest(other.pairs.only_target_failed, one.pairs.only_target_failed);
    other.pairs.only_source_failed = rest(other.pairs.only_source_failed, one.pairs.only_source_failed);
    other.hit = rest(other.hit, one.hit);
    other.miss = rest(other.miss, one.miss);
    other.compared = rest(other.compared, one.compared);
    other.mismatch = rest(other.mismatch, one.mismatch);
    (one, other)
}

#[test]
fn one_more_error_of_the_target_never_lowers_the_evidence_and_one_of_the_source_never_raises_it() {
    let mut draw = Draw::new(12);
    for _ in 0..60 {
        let mut before = judge();
        let mut sequence = 0;
        for now in 1..8 {
            let sent = second(&mut draw);
            send(&mut before, &mut sequence, now, &sent);
        }
        let sent = second(&mut draw);
        let (mut plain, mut of_target, mut of_source) = (before.clone(), before.clone(), before);
        send(&mut plain, &mut sequence, 8, &sent);

        let mut worse = sent.clone();
        for (_, _, cell) in worse.iter_mut().take(1) {
            if cell.target.failed() < cell.target.calls && cell.pairs.calls == 0 {
                cell.target.errors[1] += 1;
                cell.target.slow = (cell.target.slow + 1).min(cell.target.calls);
            }
        }
        send(&mut of_target, &mut sequence, 8, &worse);
        for (more, plain) in levels(&of_target).into_iter().zip(levels(&plain)) {
            assert!(more >= plain || plain - more < 1e-9 * plain.abs(), "{more} {plain}");
        }

        let mut worse = sent.clone();
        for (_, _, cell) in worse.iter_mut().take(1) {
            if cell.source.failed() < cell.source.calls && cell.pairs.calls == 0 {
                cell.source.errors[1] += 1;
                cell.source.slow = (cell.source.slow + 1).min(cell.source.calls);
            }
        }
        send(&mut of_source, &mut sequence, 8, &worse);
        for (more, plain) in levels(&of_source).into_iter().zip(levels(&plain)) {
            assert!(more <= plain || more - plain < 1e-9 * plain.abs(), "{more} {plain}");
        }
    }
}

#[test]
fn the_divergence_is_what_it_is_called() {
    assert!(bounds::kl(0.3, 0.3).abs() < 1e-15);
    assert!((bounds::kl(0.0, 0.01) - 0.010_050_335_853_501_45).abs() < 1e-15);
    assert_eq!(bounds::kl(0.5, 1.0), f64::INFINITY);
}
