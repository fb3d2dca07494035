//! What "slow" is: slower than nearly all of the source's calls of the minutes before.
//!
//! Any limit that is fixed before the calls it judges keeps the guard honest; this one is taken from
//! what was seen until then, at an edge of the histogram's buckets.

use cutover_client::report::Histogram;

/// The source's share that is faster.
const QUANTILE: f64 = 0.99;
/// Calls that a limit is taken from.
const CALLS_MIN: u64 = 200;
/// What is faster than this is never slow: nobody notices, and noise is large there.
const LEAST_US: u64 = 10_000;
/// No report counts so many calls.
const COUNT_END: u64 = 1 << 40;
/// Nor are there so many in a minute.
const PRESENT_END: u64 = 1 << 60;
/// How long calls are remembered: this, and what has come since.
const REMEMBERED_MS: u64 = 60_000;

/// The limit of one operation.
#[derive(Debug, Default)]
pub(super) struct Slow {
    past: Histogram,
    present: Histogram,
    began_ms: u64,
    from: Option<u32>,
}

impl Slow {
    /// The first bucket that is slow. `None`: too few calls were seen.
    pub(super) const fn from(&self) -> Option<u32> {
        self.from
    }

    /// Counts calls to the source.
    pub(super) fn add(&mut self, latency: &Histogram) {
        // Reports of absurd counts must not overflow the sum, nor have a say in it.
        if latency.total() < COUNT_END && self.present.total() < PRESENT_END {
            self.present.merge(latency);
        }
    }

    /// Time goes on; a new limit now and then.
    pub(super) fn tick(&mut self, now_ms: u64) {
        let is_over = now_ms.saturating_sub(self.began_ms) >= REMEMBERED_MS;
        if !is_over && self.from.is_some() {
            return;
        }
        let mut all = self.past.clone();
        all.merge(&self.present);
        if all.total() >= CALLS_MIN {
            let limit_us = all.quantile(QUANTILE).unwrap_or(0).max(LEAST_US);
            self.from = Some(Histogram::bucket(limit_us) as u32 + 1);
        }
        if is_over {
            self.past = std::mem::take(&mut self.present);
            self.began_ms = now_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(us: u64, count: usize) -> Histogram {
        let mut histogram = Histogram::default();
        (0..count).for_each(|_| histogram.record_us(us));
        histogram
    }

    #[test]
    fn the_limit_is_above_nearly_all_of_the_source_and_never_below_what_nobody_notices() {
        let mut slow = Slow::default();
        slow.add(&calls(50_000, 100));
        slow.tick(1_000);
        assert_eq!(slow.from(), None, "100 calls say too little");
        slow.add(&calls(50_000, 100));
        slow.tick(2_000);
        assert_eq!(slow.from(), Some(Histogram::bucket(50_000) as u32 + 1));
        slow.add(&calls(100, 100_000));
        slow.tick(3_000);
        assert_eq!(slow.from(), Some(Histogram::bucket(50_000) as u32 + 1), "not within a minute");
        slow.tick(60_000);
        assert_eq!(slow.from(), Some(Histogram::bucket(LEAST_US) as u32 + 1));
    }
}
