//! How long the right to act lasts, and whether the controller has listened all that time.

use std::time::Duration;

use cutover_client::clock::Instant;

/// Silent for longer: lost. Every fence is shorter, so a lost instance refuses by itself where there is one.
pub const LEASE: Duration = Duration::from_secs(10);
/// How long operations may be begun by a remote decision, from the moment it was asked for.
pub const DECISION_VALID: Duration = Duration::from_secs(5);
/// By when they have to have ended.
pub const DECISION_FINISHED: Duration = Duration::from_secs(10);
/// For clocks that do not go at one rate, and for what is counted in whole milliseconds.
const MARGIN: Duration = Duration::from_millis(1_000);
/// When every answer that was asked for before a moment has expired.
pub(in crate::service) const DECISION_EXPIRED: Duration = DECISION_FINISHED.saturating_add(MARGIN);

/// What an instance needs for its last calls, if it does not say.
pub(super) const PRESUMED_DRAIN: Duration = Duration::from_secs(60);

/// Between two looks at the clock.
pub(super) const TICK: Duration = Duration::from_millis(250);
/// A longer gap between looks: the process did not run, so it could hear nobody.
const GAP: Duration = Duration::from_secs(1);

/// Since when the controller has listened without a break.
#[derive(Debug)]
pub(super) struct Listening {
    since: Instant,
    looked: Instant,
}

impl Listening {
    pub(super) const fn new(now: Instant) -> Self {
        Self { since: now, looked: now }
    }

    /// To be called before anything is concluded from somebody's silence.
    pub(super) fn look(&mut self, now: Instant) {
        let gap = now.saturating_duration_since(self.looked);
        if gap > GAP {
            tracing::warn!(gap_ms = gap.as_millis() as u64, "the controller did not run; leases start anew");
            self.since = now;
        }
        self.looked = self.looked.max(now);
    }

    pub(super) const fn since(&self) -> Instant {
        self.since
    }
}
