//! What was reported of a migration, by time and by revision, over up to 90 days.

mod expiry;
mod grid;
mod totals;

use serde::{Deserialize, Serialize};

use super::{Key, Rollout};

pub use expiry::Expiry;
pub use grid::Grid;
pub use totals::Totals;

/// Counts are capped at this, so that 160 of them can be added.
const COUNT_MAX: u64 = 1 << 56;

/// What a window covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scale {
    /// A revision: everything decided under it.
    Revision,
    /// A second of arrival.
    Second,
    /// A minute.
    Minute,
    /// Half an hour.
    HalfHour,
}

/// Which window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowId {
    /// The migration.
    pub key: Key,
    /// What it covers.
    pub scale: Scale,
    /// The Unix second at which it begins, or the revision.
    pub at: u64,
}

/// The counts of a window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// The migration's revision at the last report.
    pub revision: u64,
    /// Where tenants stood at that revision.
    pub rollout: Rollout,
    /// Outcomes of operations.
    pub events: Totals,
    /// Source reads, source writes, target reads, target writes.
    pub calls: [Calls; 4],
}

/// Calls of one kind to one store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Calls {
    /// All of them.
    pub calls: u64,
    /// Failed calls.
    pub errors: u64,
    /// Latencies. Empty in windows of revisions.
    pub latency: Latency,
}

/// A histogram without its empty buckets, which are most of them: bucket and count, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency(Vec<(u8, u64)>);

impl Scale {
    /// All scales.
    pub const ALL: [Self; 4] = [Self::Revision, Self::Second, Self::Minute, Self::HalfHour];
    /// The scales of time, shortest first.
    pub const OF_TIME: [Self; 3] = [Self::Second, Self::Minute, Self::HalfHour];
    /// Number of revision windows that are kept for one migration, the newest ones.
    pub const REVISIONS_MAX: usize = 256;

    /// Length of a window. 0: it is not a span of time.
    pub const fn width_s(self) -> u64 {
        match self {
            Self::Revision => 0,
            Self::Second => 1,
            Self::Minute => 60,
            Self::HalfHour => 1_800,
        }
    }

    /// How long a window is kept after its end. `None`: until there are too many.
    pub const fn kept_s(self) -> Option<u64> {
        match self {
            Self::Revision => None,
            Self::Second => Some(600),
            Self::Minute => Some(24 * 3_600),
            Self::HalfHour => Some(90 * 24 * 3_600),
        }
    }

    /// The beginning of the window that contains a second of Unix time.
    pub const fn start_of(self, second: u64) -> u64 {
        match self.width_s() {
            0 => second,
            width => second - second % width,
        }
    }

    /// Windows that begin before this have expired. 0: none have.
    pub fn expired_before(self, now_s: u64) -> u64 {
        self.kept_s().map_or(0, |kept| now_s.saturating_sub(kept + self.width_s()))
    }
}

impl Counts {
    /// Adds counts from a part of the same window. The order does not matter.
    pub fn merge(&mut self, more: &Self) {
        if more.revision >= self.revision {
            (self.revision, self.rollout) = (more.revision, more.rollout);
        }
        self.events.add(&more.events);
        for (calls, more) in self.calls.iter_mut().zip(&more.calls) {
            calls.calls = calls.calls.saturating_add(more.calls);
            calls.errors = calls.errors.saturating_add(more.errors);
            calls.latency.merge(&more.latency);
        }
    }
}

impl Latency {
    /// From counts by bucket.
    pub fn of(counts: &[u64]) -> Self {
        let used = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        Self(used.filter_map(|(bucket, count)| Some((u8::try_from(bucket).ok()?, *count))).collect())
    }

    /// Whether nothing was counted.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All buckets, including the empty ones, capped so that 160 can be added.
    pub fn counts<const BUCKETS: usize>(&self) -> [u64; BUCKETS] {
        let mut counts = [0; BUCKETS];
        for (bucket, count) in &self.0 {
            // Only damaged data has buckets beyond the histogram's.
            if let Some(of) = counts.get_mut(usize::from(*bucket)) {
                *of = (*count).min(COUNT_MAX);
            }
        }
        counts
    }

    fn merge(&mut self, more: &Self) {
        for &(bucket, count) in &more.0 {
            match self.0.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
                Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(count),
                Err(at) => self.0.insert(at, (bucket, count)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(revision: u64, hit: u64, latency: &[u64]) -> Counts {
        let mut counts = Counts { revision, ..Counts::default() };
        counts.events.hit = hit;
        counts.calls[3] = Calls { calls: hit, errors: 1, latency: Latency::of(latency) };
        counts
    }

    #[test]
    fn parts_come_to_the_same_in_any_order_and_never_overflow() {
        let parts = [counts(7, 3, &[0, 2, 0, 5]), counts(9, 1, &[1, 0, 0, 2]), counts(8, u64::MAX, &[])];
        let sum = |order: [usize; 3]| {
            order.into_iter().fold(Counts::default(), |mut sum, at| {
                sum.merge(&parts[at]);
                sum
            })
        };
        let all = sum([0, 1, 2]);
        assert_eq!((all.revision, all.events.hit, all.calls[3].errors), (9, u64::MAX, 3));
        assert_eq!(all.calls[3].latency.counts(), [1, 2, 0, 7, 0]);
        for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            assert_eq!(sum(order), all);
        }
    }

    #[test]
    fn a_window_begins_on_its_scale_and_outlives_its_time_by_its_own_width() {
        let noon = 1_764_201_600;
        assert_eq!(Scale::HalfHour.start_of(noon + 1_799), noon);
        assert_eq!(Scale::Minute.start_of(noon + 61), noon + 60);
        assert_eq!(Scale::Second.expired_before(noon), noon - 601);
        assert_eq!((Scale::Revision.start_of(7), Scale::Revision.expired_before(noon)), (7, 0));
    }
}
