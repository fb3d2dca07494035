//! E-values: what a tick's counts say against "all is well". Each has an expectation of at most 1
//! while all is well, whatever the rates are and however they move, so a great one is evidence.
//!
//! With the weights of a tick fixed, the logarithm of an e-value is linear in the counts: that is
//! why counts can be split by instance and by moment, each part capped, and the parts summed.

/// Alternatives that are tried at once: small regressions to a dead store.
pub const BANK: usize = 4;

/// Counts that one guard judges. `bad` is whatever the guard watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Outcomes of the target that no outcome of the source goes with.
    pub target: u64,
    /// Bad ones.
    pub target_bad: u64,
    /// Outcomes of the source that no outcome of the target goes with.
    pub source: u64,
    /// Bad ones.
    pub source_bad: u64,
    /// Calls that touched both stores.
    pub pairs: u64,
    /// Bad in the target alone.
    pub only_target: u64,
    /// Bad in the source alone.
    pub only_source: u64,
}

impl Sample {
    /// Adds counts; sums stop at the greatest number.
    pub fn add(&mut self, other: &Self) {
        self.zip(other, u64::saturating_add);
    }

    /// Takes counts off, down to 0.
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

    /// Nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.target == 0 && self.source == 0 && self.pairs == 0
    }

    /// Is there anything against the target?
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

/// "The target's rate is at most `p0`", by likelihood ratio against a bank of greater rates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Absolute {
    p0: f64,
    weights: [Weights; BANK],
    len: usize,
}

/// Odds of `p0` that gross faults are tried with; besides 95 %.
const GROSS_ODDS: [f64; 3] = [2.0, 5.0, 20.0];
const NEARLY_ALL: f64 = 0.95;
/// Odds for a share that rises.
const RISE_ODDS: [f64; 3] = [1.5, 3.0, 10.0];

impl Absolute {
    /// Against twice, five and twenty times the odds of `p0`, and 95 %. Without an alternative above
    /// `p0` (`p0` is 1 or more) it has no evidence of anything.
    pub fn gross(p0: f64) -> Self {
        Self::against(p0, GROSS_ODDS.map(|odds| at_odds(p0, odds)).into_iter().chain([NEARLY_ALL]))
    }

    /// Against 1.5, 3 and 10 times the odds of `p0`.
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

    /// The rate that is still well.
    pub const fn p0(&self) -> f64 {
        self.p0
    }

    /// One for each alternative; those past `len` are nothing.
    pub const fn weights(&self) -> &[Weights; BANK] {
        &self.weights
    }

    /// How many alternatives it has.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// It has no alternative, so no evidence either.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

fn at_odds(p0: f64, times: f64) -> f64 {
    let odds = times * p0 / (1.0 - p0);
    odds / (1.0 + odds)
}

/// "The target's rate is at most `rho` times the source's, and `delta`", for any rate of the source.
/// A Poisson-like comparison of two samples (Lindon and Malek, NeurIPS 2022) made safe for Bernoulli
/// outcomes by `1 + x <= exp x`: the source's rate cancels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Relative {
    rho: f64,
    delta: f64,
    /// For calls that touched both stores, where the arms are equal.
    paired: [Weights; BANK],
}

/// Ratios on top of `rho` that are tried.
const RATIOS: [f64; BANK] = [1.5, 3.0, 10.0, 100.0];

impl Relative {
    /// `rho` at least 1, `delta` at least 0.
    pub fn new(rho: f64, delta: f64) -> Self {
        let paired = RATIOS.map(|ratio| {
            let (ln_a, ln_b, cost) = Self::terms(rho, delta, ratio, 1.0, 1.0);
            Weights { pairs: cost, only_target: ln_a, only_source: ln_b, ..Weights::default() }
        });
        Self { rho, delta, paired }
    }

    /// `ln a`, `ln b` and what a call to the target costs.
    fn terms(rho: f64, delta: f64, ratio: f64, target: f64, source: f64) -> (f64, f64, f64) {
        let well = rho * target / (rho * target + source);
        let ill = rho * ratio * target / (rho * ratio * target + source);
        let a = ill / well;
        // 1 - share, without the cancellation where the source's arm is small.
        let b = (rho * target + source) / (rho * ratio * target + source);
        (a.ln(), b.ln(), -delta * (a - 1.0))
    }

    /// Weights of a tick with these totals. Without calls of both arms, and without pairs, there is
    /// no baseline and no evidence. Unless there is a `frozen` one, which then stands for the arm.
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

    /// `p0` for the target alone, when the source's rate was surely not above `source`.
    pub fn frozen_at(&self, source: f64) -> f64 {
        self.rho * source + self.delta
    }
}

/// What a detector tests. A few dozen live at a time, so their size is of no matter.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Test {
    /// Against a rate.
    Absolute(Absolute),
    /// Against the source; or against its rate of before, where the arm is gone.
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

    /// How many alternatives count.
    pub fn len(&self) -> usize {
        match self {
            Self::Absolute(absolute) => absolute.len,
            Self::Relative(..) => BANK,
        }
    }

    /// Has it any alternative at all?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
