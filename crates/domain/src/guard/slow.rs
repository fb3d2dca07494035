//! What "slow" means: slower than nearly all of the source's calls in the preceding minutes.
//!
//! Any limit that is fixed before the calls it judges keeps the guard sound. This one is taken from earlier
//! calls, at an edge of the buckets in which instances report latencies.

/// Buckets of a histogram on the wire.
const BUCKETS: usize = 160;
/// The share of the source's calls that is faster.
const QUANTILE: f64 = 0.99;
/// Number of calls needed for a limit.
const CALLS_MIN: u64 = 200;
/// The bucket of 10 ms. Calls up to this are never slow: nobody notices them, and noise is large there.
const LEAST: usize = 58;
/// No report counts this many calls.
const COUNT_END: u64 = 1 << 40;
/// Nor are there this many in a minute.
const PRESENT_END: u64 = 1 << 60;
/// How long calls are remembered: this time, plus what has come since.
const REMEMBERED_MS: u64 = 60_000;

/// The limit of one operation.
#[derive(Clone, Debug)]
pub struct Slow {
    past: [u64; BUCKETS],
    present: [u64; BUCKETS],
    present_total: u64,
    began_ms: u64,
    from: Option<u32>,
}

impl Default for Slow {
    fn default() -> Self {
        let (past, present) = ([0; BUCKETS], [0; BUCKETS]);
        Self { past, present, present_total: 0, began_ms: 0, from: None }
    }
}

impl Slow {
    /// The first bucket that is slow. `None`: too few calls so far.
    pub const fn from(&self) -> Option<u32> {
        self.from
    }

    /// Counts calls to the source: buckets of a histogram with their counts.
    pub fn add(&mut self, latency: impl Iterator<Item = (usize, u64)> + Clone) {
        let total = latency.clone().fold(0, |sum: u64, (_, count)| sum.saturating_add(count));
        // Implausible counts must neither overflow the sum nor influence it.
        if total >= COUNT_END || self.present_total >= PRESENT_END {
            return;
        }
        self.present_total += total;
        for (bucket, count) in latency {
            if let Some(of) = self.present.get_mut(bucket) {
                *of += count;
            }
        }
    }

    /// Advances time; sets a new limit now and then.
    pub fn tick(&mut self, now_ms: u64) {
        let is_over = now_ms.saturating_sub(self.began_ms) >= REMEMBERED_MS;
        if !is_over && self.from.is_some() {
            return;
        }
        let all: [u64; BUCKETS] = std::array::from_fn(|at| self.past[at] + self.present[at]);
        let total: u64 = all.iter().sum();
        if total >= CALLS_MIN {
            let rank = (total as f64 * QUANTILE).ceil() as u64;
            let mut below = 0;
            let reached = all.iter().position(|count| {
                below += count;
                below >= rank
            });
            self.from = reached.map(|bucket| bucket.max(LEAST) as u32 + 1);
        }
        if is_over {
            self.past = std::mem::replace(&mut self.present, [0; BUCKETS]);
            self.present_total = 0;
            self.began_ms = now_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 50 ms.
    const SLUGGISH: usize = 76;

    fn calls(bucket: usize, count: u64) -> impl Iterator<Item = (usize, u64)> + Clone {
        std::iter::once((bucket, count))
    }

    #[test]
    fn the_limit_is_above_nearly_all_of_the_source_and_never_below_what_nobody_notices() {
        let mut slow = Slow::default();
        slow.add(calls(SLUGGISH, 100));
        slow.tick(1_000);
        assert_eq!(slow.from(), None, "100 calls say too little");
        slow.add(calls(SLUGGISH, 100));
        slow.tick(2_000);
        assert_eq!(slow.from(), Some(SLUGGISH as u32 + 1));
        slow.add(calls(5, 100_000));
        slow.tick(3_000);
        assert_eq!(slow.from(), Some(SLUGGISH as u32 + 1), "not within a minute");
        slow.tick(60_000);
        assert_eq!(slow.from(), Some(LEAST as u32 + 1));
    }

    #[test]
    fn what_is_absurd_has_no_say_and_overflows_nothing() {
        let mut slow = Slow::default();
        slow.add(calls(SLUGGISH, 200));
        slow.add(calls(120, COUNT_END));
        slow.add([(3, u64::MAX), (4, u64::MAX)].into_iter());
        slow.add(calls(BUCKETS, 1_000));
        slow.tick(1_000);
        assert_eq!(slow.from(), Some(SLUGGISH as u32 + 1));
    }
}
