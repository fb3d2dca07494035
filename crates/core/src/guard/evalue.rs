//! E-values: what a tick's counts say against "the target is healthy". The expectation of each is at most 1
//! while that is true, whatever the rates are and however they move. So a large e-value is evidence against
//! it.
//!
//! With the weights of a tick fixed, the logarithm of an e-value is linear in the counts. So counts can be
//! split by instance and by moment, each part capped, and the parts added.

/// Number of alternatives tested at once, from small regressions to a dead store.
pub const BANK: usize = 4;

/// Counts that one guard judges. `bad` is whatever the guard watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Outcomes of the target without a corresponding outcome of the source.
    pub target: u64,
    /// The bad ones among them.
    pub target_bad: u64,
    /// Outcomes of the source without a corresponding outcome of the target.
    pub source: u64,
    /// The bad ones among them.
    pub source_bad: u64,
    /// Calls that touched both stores.
    pub pairs: u64,
    /// Bad in the target alone.
    pub only_target: u64,
    /// Bad in the source alone.
    pub only_source: u64,
}

impl Sample {
    /// Adds counts; sums saturate.
    pub fn add(&mut self, other: &Self) {
        self.zip(other, u64::saturating_add);
    }

    /// Subtracts counts, down to 0.
    pub fn take(&mut self, other: &Self) {
        self.zip(other, u64::saturating_sub);
    }

    fn zip(&mut self, other: &Self, with: impl Fn(u64, u64) -> u64) {
        self.target = with(self.target, other.target);
        self.target_bad = with(self.target_bad, other.target_bad);
        self.source = with(self.source, other.source);
        self.source_bad = with(self.source_bad, other.source_bad);
        self.pairs = with(self.pairs, other.pairs);
        self.only_target = with(self.only_target, other.only_target);
        self.only_source = with(self.only_source, other.only_source);
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.target == 0 && self.source == 0 && self.pairs == 0
    }

    /// Whether there is anything against the target.
    pub fn is_bad(&self) -> bool {
        self.target_bad > 0 || self.only_target > 0
    }
}

/// What each count adds to `ln e`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weights {
    target: f64,
    target_bad: f64,
    source_bad: f64,
    pairs: f64,
    only_target: f64,
    only_source: f64,
}

impl Weights {
    /// `ln e` of counts.
    pub fn score(&self, sample: &Sample) -> f64 {
        self.target * sample.target as f64
            + self.target_bad * sample.target_bad as f64
            + self.source_bad * sample.source_bad as f64
            + self.pairs * sample.pairs as f64
            + self.only_target * sample.only_target as f64
            + self.only_source * sample.only_source as f64
    }
}

/// Tests "the target's rate is at most `p0`", by likelihood ratio against a bank of greater rates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Absolute {
    p0: f64,
    weights: [Weights; BANK],
    len: usize,
}

/// Odds relative to `p0` that gross faults are tested with, in addition to 95 %.
const GROSS_ODDS: [f64; 3] = [2.0, 5.0, 20.0];
const NEARLY_ALL: f64 = 0.95;
/// Odds relative to `p0` for a share that rises.
const RISE_ODDS: [f64; 3] = [1.5, 3.0, 10.0];

impl Absolute {
    /// Tests against 2, 5 and 20 times the odds of `p0`, and 95 %. Without an alternative above `p0` (`p0` is
    /// 1 or more), there is never any evidence.
    pub fn gross(p0: f64) -> Self {
        Self::against(p0, GROSS_ODDS.map(|odds| at_odds(p0, odds)).into_iter().chain([NEARLY_ALL]))
    }

    /// Tests against 1.5, 3 and 10 times the odds of `p0`.
    pub fn rise(p0: f64) -> Self {
        Self::against(p0, RISE_ODDS.map(|odds| at_odds(p0, odds)))
    }

    fn against(p0: f64, alternatives: impl IntoIterator<Item = f64>) -> Self {
        let mut bank = Self { p0, weights: [Weights::default(); BANK], len: 0 };
        let above = alternatives.into_iter().filter(|q| *q > p0 && *q < 1.0 && p0 > 0.0);
        for (weights, q) in bank.weights.iter_mut().zip(above) {
            let good = (-q).ln_1p() - (-p0).ln_1p();
            *weights = Weights { target: good, target_bad: (q / p0).ln() - good, ..Weights::default() };
            bank.len += 1;
        }
        bank
    }

    /// The highest healthy rate.
    pub const fn p0(&self) -> f64 {
        self.p0
    }

    /// One for each alternative; those beyond `len` are zero.
    pub const fn weights(&self) -> &[Weights; BANK] {
        &self.weights
    }

    /// Number of alternatives.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no alternative, and so no evidence.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

fn at_odds(p0: f64, times: f64) -> f64 {
    let odds = times * p0 / (1.0 - p0);
    odds / (1.0 + odds)
}

/// Tests "the target's rate is at most `rho` times the source's, plus `delta`", for any rate of the source. A
/// Poisson-like comparison of two samples (Lindon and Malek, NeurIPS 2022), made safe for Bernoulli outcomes
/// by `1 + x <= exp x`: the source's rate cancels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Relative {
    rho: f64,
    delta: f64,
    /// For calls that touched both stores, where both have the same number of calls.
    paired: [Weights; BANK],
}

/// Ratios tested, on top of `rho`.
const RATIOS: [f64; BANK] = [1.5, 3.0, 10.0, 100.0];

impl Relative {
    /// `rho` must be at least 1, `delta` at least 0.
    pub fn new(rho: f64, delta: f64) -> Self {
        let paired = RATIOS.map(|ratio| {
            let (ln_a, ln_b, cost) = Self::terms(rho, delta, ratio, 1.0, 1.0);
            Weights { pairs: cost, only_target: ln_a, only_source: ln_b, ..Weights::default() }
        });
        Self { rho, delta, paired }
    }

    /// `ln a`, `ln b` and the cost of a call to the target.
    fn terms(rho: f64, delta: f64, ratio: f64, target: f64, source: f64) -> (f64, f64, f64) {
        let well = rho * target / (rho * target + source);
        let ill = rho * ratio * target / (rho * ratio * target + source);
        let a = ill / well;
        // 1 - share, without cancellation when the source has few calls.
        let b = (rho * target + source) / (rho * ratio * target + source);
        (a.ln(), b.ln(), -delta * (a - 1.0))
    }

    /// Weights of a tick with these totals. Without calls to both stores and without pairs there is no
    /// baseline and no evidence, unless a `frozen` baseline replaces the source.
    pub fn weights(&self, totals: &Sample, frozen: Option<&Absolute>) -> [Weights; BANK] {
        let mut all = self.paired;
        if let Some(frozen) = frozen {
            for (weights, frozen) in all.iter_mut().zip(frozen.weights()) {
                weights.target = frozen.target;
                weights.target_bad = frozen.target_bad;
            }
        } else if totals.target > 0 && totals.source > 0 {
            let (target, source) = (totals.target as f64, totals.source as f64);
            for (weights, ratio) in all.iter_mut().zip(RATIOS) {
                let (ln_a, ln_b, cost) = Self::terms(self.rho, self.delta, ratio, target, source);
                weights.target = cost;
                weights.target_bad = ln_a;
                weights.source_bad = ln_b;
            }
        }
        all
    }

    /// `p0` for the target alone, if the source's rate was surely not above `source`.
    pub fn frozen_at(&self, source: f64) -> f64 {
        self.rho * source + self.delta
    }
}

/// What a detector tests. Only a few dozen exist at a time, so their size does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Test {
    /// Against a rate.
    Absolute(Absolute),
    /// Against the source, or against the source's earlier rate if it has no calls now.
    Relative(Relative, Option<Absolute>),
}

impl Test {
    /// Weights of a tick with these totals.
    pub fn weights(&self, totals: &Sample) -> [Weights; BANK] {
        match self {
            Self::Absolute(absolute) => absolute.weights,
            Self::Relative(relative, frozen) => relative.weights(totals, frozen.as_ref()),
        }
    }

    /// Number of alternatives in use.
    pub fn len(&self) -> usize {
        match self {
            Self::Absolute(absolute) => absolute.len,
            Self::Relative(..) => BANK,
        }
    }

    /// Whether there is no alternative.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
