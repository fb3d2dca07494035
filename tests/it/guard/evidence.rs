//! E-values by enumeration: while the target is healthy, the expectation is at most 1.

use cutover::domain::guard::{
    bounds,
    evalue::{Absolute, BANK, Relative, Sample, Weights},
};
use cutover::simulation::Draw;

/// Rounding errors of some hundred products.
const MOST: f64 = 1.0 + 1e-12;

/// Probability of each count of bad outcomes.
fn binomial(calls: u64, rate: f64) -> Vec<f64> {
    let mut chances = vec![1.0];
    for _ in 0..calls {
        let mut next = vec![0.0; chances.len() + 1];
        for (count, chance) in chances.iter().enumerate() {
            next[count] += chance * (1.0 - rate);
            next[count + 1] += chance * rate;
        }
        chances = next;
    }
    chances
}

fn expectations(weights: [Weights; BANK], outcomes: impl Iterator<Item = (f64, Sample)>) -> [f64; BANK] {
    let mut sums = [0.0; BANK];
    for (chance, sample) in outcomes {
        for (sum, weights) in sums.iter_mut().zip(weights) {
            *sum += chance * weights.score(&sample).exp();
        }
    }
    sums
}

#[test]
fn a_relative_e_value_is_at_most_1_in_the_mean_for_any_rate_of_the_source() {
    let mut draw = Draw::new(1);
    let mut closest: f64 = 0.0;
    for _ in 0..400 {
        let (target, source) = (draw.binomial(24, 0.5) + 1, draw.binomial(24, 0.5) + 1);
        let (rho, delta) = (1.0 + draw.share(), 0.02 * draw.share());
        let source_rate = draw.share() * 0.45 * draw.share();
        let target_rate = (rho * source_rate + delta).min(1.0);
        let totals = Sample { target, source, ..Sample::default() };
        let weights = Relative::new(rho, delta).weights(&totals, None);
        let (of_target, of_source) = (binomial(target, target_rate), binomial(source, source_rate));
        let outcomes = of_target.iter().enumerate().flat_map(|(bad, chance)| {
            of_source.iter().enumerate().map(move |(source_bad, source_chance)| {
                let sample = Sample { target_bad: bad as u64, source_bad: source_bad as u64, ..totals };
                (chance * source_chance, sample)
            })
        });
        for e in expectations(weights, outcomes) {
            assert!(e <= MOST, "{e}: {target} {source} {rho} {delta} {source_rate}");
            closest = closest.max(e);
        }
    }
    // Not by being too cautious: with few calls and rare errors it is nearly an equality.
    assert!(closest > 0.99, "{closest}");
}

#[test]
fn a_paired_e_value_is_at_most_1_in_the_mean_however_the_stores_fail_together() {
    let mut draw = Draw::new(2);
    for _ in 0..300 {
        let pairs = draw.binomial(14, 0.5) + 1;
        let (rho, delta) = (1.0 + draw.share(), 0.02 * draw.share());
        let only_source_rate = 0.3 * draw.share();
        let only_target_rate = (rho * only_source_rate + delta).min(1.0 - only_source_rate);
        let relative = Relative::new(rho, delta);
        let totals = Sample { pairs, ..Sample::default() };
        // One pair at a time: the outcomes are mutually exclusive.
        let outcomes = [
            (only_target_rate, Sample { pairs: 1, only_target: 1, ..Sample::default() }),
            (only_source_rate, Sample { pairs: 1, only_source: 1, ..Sample::default() }),
            (1.0 - only_target_rate - only_source_rate, Sample { pairs: 1, ..Sample::default() }),
        ];
        for e in expectations(relative.weights(&totals, None), outcomes.into_iter()) {
            assert!(e.powi(pairs as i32) <= MOST, "{e}");
        }
    }
}

#[test]
fn an_absolute_e_value_is_1_in_the_mean_at_the_limit_and_less_below() {
    let mut draw = Draw::new(3);
    for _ in 0..300 {
        let calls = draw.binomial(40, 0.5) + 1;
        let p0 = 1e-4 + 0.5 * draw.share();
        let bank = Absolute::gross(p0);
        for (rate, is_limit) in [(p0, true), (p0 * draw.share(), false)] {
            let chances = binomial(calls, rate);
            let outcomes = chances.iter().enumerate().map(|(bad, chance)| {
                (*chance, Sample { target: calls, target_bad: bad as u64, ..Sample::default() })
            });
            for e in &expectations(*bank.weights(), outcomes)[..bank.len()] {
                assert!(*e <= MOST && (!is_limit || *e > 1.0 - 1e-9), "{e}: {calls} {p0} {rate}");
            }
        }
    }
}

#[test]
fn without_a_baseline_there_is_no_evidence() {
    let relative = Relative::new(1.25, 5e-4);
    let alone = Sample { target: 1_000, target_bad: 1_000, ..Sample::default() };
    assert!(relative.weights(&alone, None).iter().all(|weights| weights.score(&alone) == 0.0));
    // With the earlier rate in its place there is evidence.
    let frozen = Absolute::gross(relative.frozen_at(0.001));
    assert!((frozen.p0() - 0.001_75).abs() < 1e-12);
    assert!(relative.weights(&alone, Some(&frozen)).iter().any(|weights| weights.score(&alone) > 1_000.0));
}

#[test]
fn a_limit_without_anything_above_it_is_never_broken() {
    for p0 in [0.0, 1.0, 1.255, f64::NAN] {
        assert!(Absolute::rise(p0).is_empty(), "{p0}");
    }
    assert_eq!(Absolute::gross(0.97).len(), 3);
    assert_eq!(Absolute::gross(0.01).len(), 4);
}

#[test]
fn bounds_of_a_rate_hold_as_often_as_they_say() {
    let mut draw = Draw::new(5);
    let level = 20_f64.ln(); // wrong in 1 of 20 on each side at most
    for rate in [0.001, 0.02, 0.3] {
        let trials = 2_000;
        let wrong = (0..trials)
            .map(|_| draw.binomial(1_000, rate) as f64)
            .filter(|bad| {
                bounds::upper(*bad, 1_000.0, level) < rate || bounds::lower(*bad, 1_000.0, level) > rate
            })
            .count();
        assert!(wrong <= 2 * trials / 20, "{wrong} of {trials} at {rate}");
    }
    assert!((bounds::upper(0.0, 0.0, level), bounds::lower(0.0, 0.0, level)) == (1.0, 0.0));
    assert!((bounds::upper(5.0, 5.0, level) - 1.0).abs() < 1e-9);
    assert!(bounds::lower(0.0, 100.0, level).abs() < 1e-9);
}

#[test]
fn calls_that_certify_a_margin() {
    let golden = [(0.01, 459), (0.001, 4_603), (0.000_1, 46_050)];
    for (margin, calls) in golden {
        assert_eq!(bounds::calls_to_certify(margin, 0.01), calls);
        let level = 100_f64.ln();
        assert!(bounds::upper(0.0, calls as f64, level) < margin);
        assert!(bounds::upper(0.0, (calls - 1) as f64, level) > margin);
    }
}
