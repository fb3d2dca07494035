//! Evidence of a change at an unknown time: the Shiryaev-Roberts procedure over e-values (e-detector; Shin,
//! Ramdas and Rinaldo, 2023). `M <- (1 + M) e` once a tick. While the target is healthy, `E[M]` after `t`
//! ticks is at most `t`, so `P(M >= c within t ticks) <= t/c`.

use super::evalue::{BANK, Sample};

/// Maximum of `ln M`: far above every threshold, far below overflow.
pub const LN_M_MAX: f64 = 700.0;

/// The evidence of one guard over one set of outcomes. Ticks without evidence, for or against, are skipped.
#[derive(Clone, Copy, Debug)]
pub struct Detector {
    /// `ln (1 + M)` for each alternative, after the last closed tick.
    base: [f64; BANK],
    /// Cumulative evidence of the nearest alternative, reset to 0 whenever it is negative. Its last zero is
    /// the estimated beginning of the change.
    cusum: f64,
    onset_ms: u64,
    /// Counts of closed ticks since the suspected onset.
    since: Sample,
    /// Counts of the open tick.
    tick: Sample,
}

impl Detector {
    /// A detector without evidence.
    pub fn new(now_ms: u64) -> Self {
        let none = Sample::default();
        Self { base: [0.0; BANK], cusum: 0.0, onset_ms: now_ms, since: none, tick: none }
    }

    /// Counts of the open tick.
    pub const fn tick(&self) -> &Sample {
        &self.tick
    }

    /// Adds counts to the open tick.
    pub fn add(&mut self, sample: &Sample) {
        self.tick.add(sample);
    }

    /// `ln M` including the open tick, which contributes `gains` to each of `len` alternatives: the mean over
    /// the bank.
    pub fn ln_m(&self, gains: &[f64; BANK], len: usize) -> f64 {
        let level = |at: usize| (self.base[at] + gains[at]).min(LN_M_MAX);
        let most = (0..len).map(level).fold(f64::NEG_INFINITY, f64::max);
        if most == f64::NEG_INFINITY {
            return most;
        }
        let sum: f64 = (0..len).map(|at| (level(at) - most).exp()).sum();
        most + (sum / len as f64).ln()
    }

    /// Whether the mean can reach `bar`. It never exceeds the greatest alternative, so this is a cheap first
    /// check.
    pub fn may_reach(&self, gains: &[f64; BANK], len: usize, bar: f64) -> bool {
        (0..len).any(|at| self.base[at] + gains[at] >= bar)
    }

    /// `ln (1 + M)` of each alternative, without the open tick: 0 or more.
    pub const fn held(&self) -> &[f64; BANK] {
        &self.base
    }

    /// Ends the open tick. The next one begins at `next_ms`.
    pub fn close(&mut self, gains: &[f64; BANK], next_ms: u64) {
        if gains.iter().any(|gain| *gain != 0.0) {
            for (base, gain) in self.base.iter_mut().zip(gains) {
                *base = ln_1p_exp((*base + gain).min(LN_M_MAX));
            }
        }
        self.cusum = (self.cusum + gains[0]).clamp(0.0, LN_M_MAX);
        if self.cusum > 0.0 {
            self.since.add(&self.tick);
        } else {
            self.since = Sample::default();
            self.onset_ms = next_ms;
        }
        self.tick = Sample::default();
    }

    /// Counts since the suspected onset.
    pub fn since(&self) -> Sample {
        let mut all = self.since;
        all.add(&self.tick);
        all
    }

    /// The suspected onset: the start of a tick.
    pub const fn onset_ms(&self) -> u64 {
        self.onset_ms
    }

    /// Whether nothing points to a change.
    pub fn is_calm(&self) -> bool {
        self.cusum <= 0.0
    }

    /// Limits the evidence, so that a change that is over is soon forgotten.
    pub fn cap(&mut self, ln_m: f64) {
        for base in &mut self.base {
            *base = base.min(ln_m);
        }
        self.cusum = self.cusum.min(ln_m);
    }
}

/// `ln (1 + exp x)`.
fn ln_1p_exp(x: f64) -> f64 {
    if x > 40.0 { x } else { x.exp().ln_1p() }
}

/// Over-dispersion of the source's calls: how much more their counts vary than independent outcomes would.
/// Evidence has to be divided by it; otherwise bursts look like evidence.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dispersion {
    /// Decayed sums.
    calls: f64,
    bad: f64,
    /// Decayed mean of `(s - n p)^2 / (n p)`, and its weight.
    square: f64,
    ticks: u32,
}

const MEMORY_TICKS: f64 = 300.0;
const PRIOR: f64 = 4.0;
const PRIOR_TICKS: u32 = 30;

impl Dispersion {
    /// Adds a closed tick of the source. Ticks without calls are skipped.
    pub fn close(&mut self, calls: u64, bad: u64) {
        if calls == 0 {
            return;
        }
        let (n, s) = (calls as f64, bad as f64);
        // Including this tick: the first burst of a source that never failed must not be ignored.
        let expected = n * (self.bad + s) / (self.calls + n);
        // No failure where none is expected: no clustering.
        let square = if expected > 0.0 { (s - expected).powi(2) / expected } else { 0.0 };
        // A plain mean until the memory is full, so that the first tick does not weigh as much as 300.
        let share = (f64::from(self.ticks) + 1.0).recip().max(MEMORY_TICKS.recip());
        self.square += (square - self.square) * share;
        self.ticks = self.ticks.saturating_add(1);
        let keep = 1.0 - MEMORY_TICKS.recip();
        self.calls = self.calls * keep + n;
        self.bad = self.bad * keep + s;
    }

    /// The divisor: at least 1, and 4 until there were 30 ticks to measure.
    pub fn phi(&self) -> f64 {
        if self.ticks < PRIOR_TICKS { PRIOR } else { self.square.max(1.0) }
    }

    /// Calls remembered, and the bad ones among them.
    pub const fn remembered(&self) -> (f64, f64) {
        (self.calls, self.bad)
    }
}
