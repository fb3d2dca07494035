//! How fast records are copied. All of it may be changed while a job runs.

/// What a job keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records a second, of all workers together; 0: no limit.
    pub rows_per_s: u64,
    /// Bytes a second, of all workers together; 0: no limit.
    pub bytes_per_s: u64,
    /// What a chunk aims to take, in milliseconds: it grows and shrinks towards that.
    pub chunk_ms: u64,
    /// The most bytes of a chunk. 4 MB lies below the 4 MiB that MySQL servers took at one time.
    pub chunk_bytes: u64,
    /// Slow down when the target's furthest replica is further behind than this, in milliseconds;
    /// 0: do not look.
    pub lag_ms: u64,
    /// Slow down when the target takes longer than this for a trivial read, in milliseconds; 0: do
    /// not look.
    pub latency_ms: u64,
    /// Parts that the source is read in; a part is one worker's at a time.
    pub segments: u32,
    /// Parts that one process works on at a time.
    pub workers: u32,
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
