//! How long the right to act lasts, and whether the controller has listened all that time.

use std::time::Duration;

use cutover_clock::Instant;
use cutover_core::routing::Mutation;

/// An instance that is silent for longer is lost. Every fence is shorter, so with a fence a lost instance
/// already refuses operations.
pub const LEASE: Duration = Duration::from_secs(10);
/// How long operations may be begun by a remote decision, counted from the request.
pub const DECISION_VALID: Duration = Duration::from_secs(5);
/// By when they have to have ended.
pub const DECISION_FINISHED: Duration = Duration::from_secs(10);
/// For clocks with slightly different rates, and for rounding to milliseconds.
const MARGIN: Duration = Duration::from_millis(1_000);
/// When every answer that was requested before a moment has expired.
pub(in crate::service) const DECISION_EXPIRED: Duration = DECISION_FINISHED.saturating_add(MARGIN);

/// An instance that may act nowhere any more is shown for this long.
pub(super) const FORGOTTEN: Duration = Duration::from_secs(600);

/// How long an instance's last calls may take, if it does not say.
pub(super) const PRESUMED_DRAIN: Duration = Duration::from_secs(60);

/// Interval between checks of the clock.
pub(super) const TICK: Duration = Duration::from_millis(250);
/// A longer gap between checks: the process did not run, so it could not hear anybody.
const GAP: Duration = Duration::from_secs(1);

/// Since when the controller has listened without interruption.
#[derive(Debug)]
pub(super) struct Listening {
    since: Instant,
    looked: Instant,
}

impl Listening {
    pub(super) const fn new(now: Instant) -> Self {
        Self { since: now, looked: now }
    }

    /// Call this before concluding anything from silence.
    pub(super) fn look(&mut self, now: Instant) {
        let gap = now.saturating_duration_since(self.looked);
        if gap > GAP && !Mutation::Listening.is_left_out() {
            tracing::warn!(gap_ms = gap.as_millis() as u64, "the controller did not run; leases start anew");
            self.since = now;
        }
        self.looked = self.looked.max(now);
    }

    pub(super) const fn since(&self) -> Instant {
        self.since
    }
}
