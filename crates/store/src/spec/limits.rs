//! How fast records are copied. All but `segments` may be changed while a job runs.

/// The limits of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records per second, all workers together; 0: no limit.
    pub rows_per_s: u64,
    /// Bytes per second, all workers together; 0: no limit.
    pub bytes_per_s: u64,
    /// How long a chunk should take, in milliseconds; its size is adapted to that.
    pub chunk_ms: u64,
    /// Maximum bytes of a chunk. 4 MB is below the 4 MiB that MySQL servers used to accept.
    pub chunk_bytes: u64,
    /// Slow down while the target's furthest replica lags by more than this, in milliseconds; 0: do not
    /// check.
    pub lag_ms: u64,
    /// Slow down while a trivial read of the target takes longer than this, in milliseconds; 0: do not check.
    pub latency_ms: u64,
    /// Parts into which the source is split; one worker works on a part at a time.
    pub segments: u32,
    /// Parts that one process works on at a time.
    pub workers: u32,
}

impl Limits {
    /// Most parts of one store. A pass that scans both has at most twice as many.
    pub const SEGMENTS_MAX: u32 = 4_096;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rows_per_s: 0,
            bytes_per_s: 0,
            chunk_ms: 250,
            chunk_bytes: 4_000_000,
            lag_ms: 5_000,
            latency_ms: 100,
            segments: 16,
            workers: 2,
        }
    }
}
