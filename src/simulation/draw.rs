//! Random counts from a seed.

use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// A mean below this is drawn exactly; above, as a rounded normal.
const EXACT_BELOW: f64 = 30.0;

/// Random counts. The same seed gives the same counts on the same build.
#[derive(Clone, Debug)]
pub struct Draw(SmallRng);

impl Draw {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    /// Uniform in [0, 1).
    pub fn share(&mut self) -> f64 {
        self.0.random()
    }

    /// Number of events of a Poisson process with this mean.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        if mean <= 0.0 {
            return 0;
        }
        if mean >= EXACT_BELOW {
            return self.normal(mean, mean);
        }
        // Inversion: one draw, and one step for each event.
        let (mut share, mut chance, mut count) = (self.share(), (-mean).exp(), 0);
        while share > chance && count < 1_000 {
            share -= chance;
            count += 1;
            chance *= mean / count as f64;
        }
        count
    }

    /// How many of `calls` have an outcome of probability `share`.
    pub fn binomial(&mut self, calls: u64, share: f64) -> u64 {
        if share <= 0.0 || calls == 0 {
            return 0;
        }
        if share >= 1.0 {
            return calls;
        }
        if share > 0.5 {
            return calls - self.binomial(calls, 1.0 - share);
        }
        let mean = calls as f64 * share;
        if mean >= EXACT_BELOW {
            return self.normal(mean, mean * (1.0 - share)).min(calls);
        }
        let (mut left, mut count) = (self.share(), 0);
        let mut chance = (calls as f64 * (-share).ln_1p()).exp();
        let odds = share / (1.0 - share);
        while left > chance && count < calls {
            left -= chance;
            chance *= odds * (calls - count) as f64 / (count + 1) as f64;
            count += 1;
        }
        count
    }

    fn normal(&mut self, mean: f64, variance: f64) -> u64 {
        // Box and Muller; 1 - share is never 0.
        let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
        let angle = std::f64::consts::TAU * self.share();
        (mean + variance.sqrt() * radius * angle.cos()).round().max(0.0) as u64
    }
}
