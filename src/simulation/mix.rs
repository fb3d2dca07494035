//! The calls of a second, and how the stores answer.

/// Share of the calls that fail when the target is healthy and nothing else is known.
pub(super) const BASE_ERRORS: f64 = 1e-4;
/// The same for writes to both stores that fail in only one of them.
pub(super) const BASE_WRITE_ERRORS: f64 = BASE_ERRORS / 10.0;

/// The calls of a second, and how the stores answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Mix {
    pub(super) reads: f64,
    pub(super) writes: f64,
    /// Shares of the reads that fail in each store.
    pub(super) source_errors: f64,
    pub(super) target_errors: f64,
    /// Shares of the writes that fail in only one store.
    pub(super) write_source_errors: f64,
    pub(super) write_target_errors: f64,
    /// Share of the reads for which the target lacks the record.
    pub(super) misses: f64,
    /// Share of the compared reads that differ.
    pub(super) mismatches: f64,
    /// Shares of the calls that are slow, in the order of `Counts::calls`.
    pub(super) slow: [f64; 4],
}
