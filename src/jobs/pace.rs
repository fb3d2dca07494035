//! Decides how large the next chunk is, and when it may begin. Pure: time is an argument.

use std::time::Duration;

/// Minimum bytes of a chunk that is written: below this only the round trip is measured.
pub const CHUNK_MIN_BYTES: usize = 16 << 10;
/// Minimum bytes of a page that is read, which may be small over a slow connection. At least one record is
/// read.
pub const READ_MIN_BYTES: usize = 1 << 10;
/// Bytes of the first chunk.
const CHUNK_FIRST_BYTES: usize = 256 << 10;
/// Assumed bytes of a record before one was read: few are smaller.
const RECORD_FIRST_BYTES: u64 = 32;
/// Maximum that the budget of a limit accumulates.
const BURST: Duration = Duration::from_millis(500);

/// The size of chunks, adapted to how long one should take.
#[derive(Clone, Copy, Debug)]
pub struct Chunk {
    bytes: usize,
    most_bytes: usize,
    least_bytes: usize,
    wanted: Duration,
}

impl Chunk {
    /// Chunks that should take `wanted` and have at most `most_bytes`, but at least `least_bytes`.
    pub fn new(wanted: Duration, most_bytes: usize, least_bytes: usize) -> Self {
        let most_bytes = most_bytes.max(CHUNK_MIN_BYTES);
        Self { bytes: CHUNK_FIRST_BYTES.min(most_bytes), most_bytes, least_bytes, wanted }
    }

    /// Bytes of the next chunk.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Records how long a chunk took. The size at most doubles, and shrinks as far as necessary.
    pub fn took(&mut self, bytes: usize, elapsed: Duration) {
        // A small chunk, at the end of a table, says nothing about larger ones.
        if bytes * 2 < self.bytes && elapsed < self.wanted {
            return;
        }
        let rate = bytes as f64 / elapsed.as_secs_f64().max(1e-6);
        let fit = (rate * self.wanted.as_secs_f64()) as usize;
        self.bytes = fit.min(self.bytes * 2).clamp(self.least_bytes, self.most_bytes);
    }

    /// The store was overloaded, or the chunk did not arrive in time.
    pub fn shrink(&mut self) {
        self.bytes = (self.bytes / 2).max(self.least_bytes);
    }
}

/// The limits that people set: records and bytes per second.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    records: Budget,
    bytes: Budget,
    /// Bytes of a record, from the last chunk.
    record_bytes: u64,
}

impl Default for Rates {
    fn default() -> Self {
        Self { records: Budget::default(), bytes: Budget::default(), record_bytes: RECORD_FIRST_BYTES }
    }
}

impl Rates {
    /// Changes the limits. 0: no limit.
    pub fn limit(&mut self, records_per_s: f64, bytes_per_s: f64, now: Duration) {
        self.records.limit(records_per_s, now);
        self.bytes.limit(bytes_per_s, now);
    }

    /// How long to wait before the next chunk may begin.
    pub fn wait(&mut self, now: Duration) -> Duration {
        self.records.wait(now).max(self.bytes.wait(now))
    }

    /// `bytes`, reduced to about one second's quota; at least 1.
    pub fn cut(&self, bytes: usize) -> usize {
        let most = self.bytes.in_a_second(1).min(self.records.in_a_second(self.record_bytes));
        bytes.min(most as usize).max(1)
    }

    /// Records the size of a chunk.
    pub fn spend(&mut self, records: u64, bytes: u64) {
        self.records.spend(records);
        self.bytes.spend(bytes);
        self.record_bytes = bytes.checked_div(records).unwrap_or(self.record_bytes).max(1);
    }
}

/// A rate limit as a budget that fills with time and may be overdrawn once.
#[derive(Clone, Copy, Debug, Default)]
struct Budget {
    /// 0: no limit.
    per_s: f64,
    have: f64,
    at: Duration,
}

impl Budget {
    fn limit(&mut self, per_s: f64, now: Duration) {
        self.fill(now);
        self.per_s = per_s.max(0.0);
        self.have = self.have.min(self.most());
    }

    fn wait(&mut self, now: Duration) -> Duration {
        self.fill(now);
        match self.per_s > 0.0 && self.have < 0.0 {
            true => Duration::from_secs_f64((-self.have / self.per_s).min(3600.0)),
            false => Duration::ZERO,
        }
    }

    /// Bytes that one second's quota allows, at `each_bytes` for each counted unit.
    fn in_a_second(&self, each_bytes: u64) -> f64 {
        if self.per_s > 0.0 { self.per_s * each_bytes as f64 } else { f64::INFINITY }
    }

    fn spend(&mut self, amount: u64) {
        if self.per_s > 0.0 {
            self.have -= amount as f64;
        }
    }

    fn fill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.at);
        self.at = now;
        self.have = (self.have + self.per_s * elapsed.as_secs_f64()).min(self.most());
    }

    fn most(&self) -> f64 {
        self.per_s * BURST.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_led_to_the_time_that_one_should_take() {
        let mut chunk = Chunk::new(Duration::from_millis(250), 4 << 20, CHUNK_MIN_BYTES);
        // A store that accepts 2 MB/s.
        for _ in 0..20 {
            let bytes = chunk.bytes();
            chunk.took(bytes, Duration::from_secs_f64(bytes as f64 / 2e6));
        }
        assert!((400_000..=600_000).contains(&chunk.bytes()), "{}", chunk.bytes());
        chunk.took(chunk.bytes(), Duration::from_secs(10));
        assert_eq!(chunk.bytes(), CHUNK_MIN_BYTES, "one that stalls gets small ones at once");
        for _ in 0..20 {
            chunk.took(chunk.bytes(), Duration::from_micros(1));
        }
        assert_eq!(chunk.bytes(), 4 << 20, "a fast one gets no more than the limit");
        chunk.took(10, Duration::from_millis(1));
        assert_eq!(chunk.bytes(), 4 << 20, "the last few records of a table change nothing");
    }

    #[test]
    fn pages_shrink_until_they_arrive_and_grow_back() {
        // 300 KB/s, and what takes longer than 2 s never arrives.
        let mut reads = Chunk::new(Duration::from_secs(1), 4 << 20, READ_MIN_BYTES);
        let arrive = |reads: &mut Chunk, rate: f64| {
            let took = Duration::from_secs_f64(reads.bytes() as f64 / rate);
            let arrives = took < Duration::from_secs(2);
            if arrives {
                reads.took(reads.bytes(), took)
            } else {
                reads.shrink()
            }
            arrives
        };
        (0..20).for_each(|_| _ = arrive(&mut reads, 1e9));
        assert_eq!(reads.bytes(), 4 << 20);
        let lost = (0..20).filter(|_| !arrive(&mut reads, 300_000.0)).count();
        assert!(lost <= 4, "{lost} pages were lost");
        assert!((250_000..=350_000).contains(&reads.bytes()), "{}", reads.bytes());
        (0..30).for_each(|_| _ = arrive(&mut reads, 100.0));
        assert_eq!(reads.bytes(), READ_MIN_BYTES);
        (0..20).for_each(|_| _ = arrive(&mut reads, 1e9));
        assert_eq!(reads.bytes(), 4 << 20);
    }

    #[test]
    fn a_budget_lets_through_what_it_is_limited_to() {
        let mut budget = Budget::default();
        budget.limit(1000.0, Duration::ZERO);
        let (mut now, mut spent) = (Duration::ZERO, 0);
        while now < Duration::from_secs(10) {
            now += budget.wait(now);
            budget.spend(300);
            spent += 300;
        }
        assert!((9_000..=11_000).contains(&spent), "{spent}");
        budget.limit(0.0, now);
        budget.spend(1_000_000);
        assert_eq!(budget.wait(now), Duration::ZERO, "no limit");
    }

    #[test]
    fn a_chunk_is_cut_to_what_the_limits_let_through_in_a_second() {
        const CHUNK: usize = 4 << 20;
        let mut rates = Rates::default();
        assert_eq!(rates.cut(CHUNK), CHUNK, "no limit");
        rates.limit(100.0, 0.0, Duration::ZERO);
        assert!(rates.cut(CHUNK) <= 100 * 32, "nobody knows yet how large records are");
        rates.spend(40, 40 * 500);
        assert_eq!(rates.cut(CHUNK), 100 * 500);
        assert_eq!(rates.cut(1_000), 1_000, "it never grows by a limit");
        rates.limit(100.0, 20_000.0, Duration::ZERO);
        assert_eq!(rates.cut(CHUNK), 20_000, "the tighter of two");
        rates.spend(0, 0);
        assert_eq!(rates.cut(CHUNK), 20_000, "an empty chunk says nothing");
        rates.limit(0.001, 0.001, Duration::ZERO);
        assert_eq!(rates.cut(CHUNK), 1, "which is a record");
    }

    #[test]
    fn a_limit_far_below_what_the_store_can_do_makes_no_bursts() {
        let mut rates = Rates::default();
        rates.limit(100.0, 0.0, Duration::ZERO);
        let (mut now, mut done) = (Duration::ZERO, 0.0);
        while done < 2_000.0 {
            let wait = rates.wait(now);
            assert!(wait <= Duration::from_millis(1_100), "silent for {wait:?}");
            now += wait;
            let records = rates.cut(4 << 20).div_ceil(200) as u64;
            rates.spend(records, records * 200);
            done += records as f64;
        }
        let per_s = done / now.as_secs_f64();
        assert!((95.0..=110.0).contains(&per_s), "{per_s}");
    }
}
