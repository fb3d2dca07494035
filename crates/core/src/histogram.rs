//! Latencies in buckets of 9 %.
//!
//! Base-2 exponential, scale 3 (OpenTelemetry's exponential histogram, limited to a range). Bucket `i` counts
//! the microseconds in `[2^(6+i/8), 2^(6+(i+1)/8))`; lower values go to the first bucket, higher ones to the
//! last.

use std::time::Duration;

use cutover_proto::v1;

/// Eight per octave from 2^6 to 2^26 microseconds.
pub const BUCKETS: usize = 160;

const LOWEST_OCTAVE: u32 = 6;
const HIGHEST_OCTAVE: u32 = 26;

/// `ceil(2^(63 + k/8))` for k = 1..=7: the exact beginnings of the eighths of an octave.
const EIGHTHS: [u64; 7] = [
    0x8b95_c1e3_ea8b_d6e7,
    0x9837_f051_8db8_a970,
    0xa5fe_d6a9_b151_38eb,
    0xb504_f333_f9de_6485,
    0xc567_2a11_5506_dade,
    0xd744_fcca_d69d_6af5,
    0xeac0_c6e7_dd24_392f,
];

/// Counts of latencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS],
}

/// An invalid histogram on the wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHistogram {
    /// `index` and `count` differ in length.
    #[error("a histogram has {index} indices and {count} counts")]
    Lengths {
        /// Length of `index`.
        index: usize,
        /// Length of `count`.
        count: usize,
    },
    /// A bucket is out of order or out of range ([`BUCKETS`]).
    #[error("a histogram has bucket {0} out of order, or there is no such bucket")]
    Index(u32),
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS] }
    }
}

impl Histogram {
    /// Counts one latency.
    pub fn record(&mut self, latency: Duration) {
        self.record_us(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts one latency in microseconds.
    #[inline]
    pub fn record_us(&mut self, us: u64) {
        self.counts[Self::bucket(us)] += 1;
    }

    /// The bucket of a latency in microseconds.
    #[inline]
    pub fn bucket(us: u64) -> usize {
        let octave = (us | 1).ilog2();
        if octave < LOWEST_OCTAVE {
            return 0;
        }
        if octave >= HIGHEST_OCTAVE {
            return BUCKETS - 1;
        }
        let mantissa = us << (63 - octave);
        let eighth = EIGHTHS.iter().filter(|start| mantissa >= **start).count();
        (octave - LOWEST_OCTAVE) as usize * 8 + eighth
    }

    /// Where a bucket begins, in microseconds; for [`BUCKETS`], where the last one ends.
    pub fn start_us(bucket: usize) -> f64 {
        (f64::from(LOWEST_OCTAVE) + bucket as f64 / 8.0).exp2()
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// All counts, by bucket.
    pub const fn counts(&self) -> &[u64; BUCKETS] {
        &self.counts
    }

    /// Number of latencies counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The latency, in microseconds, that a share `q` (0 to 1) of the counted ones does not exceed; at most
    /// 4.4 % off within the range. `None`: nothing was counted.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let rank = ((self.total() as f64 * q).ceil() as u64).max(1);
        let mut below = 0;
        let bucket = self.counts.iter().position(|count| {
            below += count;
            below >= rank
        })?;
        // Of all points of a bucket, the harmonic mean of its ends has the smallest maximum relative error.
        let (start, end) = (Self::start_us(bucket), Self::start_us(bucket + 1));
        Some((2.0 * start * end / (start + end)).round() as u64)
    }

    /// The median, in microseconds.
    pub fn p50_us(&self) -> Option<u64> {
        self.quantile(0.50)
    }

    /// The 99th percentile, in microseconds.
    pub fn p99_us(&self) -> Option<u64> {
        self.quantile(0.99)
    }
}

/// From counts by bucket.
impl From<[u64; BUCKETS]> for Histogram {
    fn from(counts: [u64; BUCKETS]) -> Self {
        Self { counts }
    }
}

impl From<&Histogram> for v1::Histogram {
    fn from(histogram: &Histogram) -> Self {
        let used = histogram.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let (index, count) = used.map(|(index, count)| (index as u32, *count)).unzip();
        Self { index, count }
    }
}

impl TryFrom<&v1::Histogram> for Histogram {
    type Error = BadHistogram;

    fn try_from(wire: &v1::Histogram) -> Result<Self, BadHistogram> {
        if wire.index.len() != wire.count.len() {
            return Err(BadHistogram::Lengths { index: wire.index.len(), count: wire.count.len() });
        }
        let mut histogram = Self::default();
        let mut least = 0;
        for (index, count) in wire.index.iter().zip(&wire.count) {
            let bucket = histogram.counts.get_mut(*index as usize).filter(|_| *index >= least);
            *bucket.ok_or(BadHistogram::Index(*index))? = *count;
            least = index + 1;
        }
        Ok(histogram)
    }
}
