//! The right to act: how long a process may use the state it has.
//!
//! The right counts from when the last answered request was *sent*. The controller counts from when it
//! received the request, which is later. See docs/protocol.md, "The right to act expires".

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use super::BeginError;
use crate::{
    clock::Instant,
    routing::{Mutation, Policy},
};

/// A controller goes on without whoever it has not heard for 10 s, and may forget that it did. The difference is for
/// clocks of slightly different rates.
const LEFT_BEHIND: Duration = Duration::from_secs(9);

/// Milliseconds after `started`; below 0: before. Every operation reads it without a lock.
#[derive(Debug)]
pub(super) struct Lease {
    started: Instant,
    renewed_ms: AtomicI64,
    /// When the file expires that the snapshot was read from. [`i64::MAX`]: the snapshot is the controller's.
    file_ends_ms: AtomicI64,
}

impl Default for Lease {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            renewed_ms: AtomicI64::new(0),
            file_ends_ms: AtomicI64::new(i64::MAX),
        }
    }
}

impl Lease {
    /// The controller answered a request sent at `sent`. That keeps the right alive, and does not bring it back: whoever
    /// was left behind needs the current state.
    pub(super) fn answered(&self, sent: Instant) {
        if self.age() < LEFT_BEHIND || Mutation::AnswersKeepAlive.is_left_out() {
            self.renew(sent);
        }
    }

    /// What is held was the current state when this process registered, at `asked`. False: that is too long ago.
    pub(super) fn is_current(&self, asked: Instant) -> bool {
        if asked.elapsed() < LEFT_BEHIND || Mutation::AnswersKeepAlive.is_left_out() {
            self.renew(asked);
        }
        self.age() < LEFT_BEHIND
    }

    /// The right counts from `sent` on.
    pub(super) fn renew(&self, sent: Instant) {
        let sent_ms = millis(sent.saturating_duration_since(self.started));
        self.renewed_ms.fetch_max(sent_ms, Ordering::AcqRel);
    }

    /// The snapshot comes from a file whose process was heard at `heard`; it may be used for `valid` after
    /// that.
    pub(super) fn take_from_file(&self, heard: Instant, valid: Duration) {
        let now_ms = self.now_ms();
        // Read after `now_ms`, so that it does not seem younger than it is.
        let heard_ms = now_ms.saturating_sub(millis(heard.elapsed()));
        self.renewed_ms.store(heard_ms, Ordering::Release);
        let valid = if Mutation::FileExpires.is_left_out() { Duration::MAX } else { valid };
        self.file_ends_ms.store(heard_ms.saturating_add(millis(valid)), Ordering::Release);
    }

    /// The snapshot is the controller's.
    pub(super) fn take_from_controller(&self) {
        self.file_ends_ms.store(i64::MAX, Ordering::Release);
    }

    /// Time since the last answered request was sent.
    pub(super) fn age(&self) -> Duration {
        let age_ms = self.now_ms().saturating_sub(self.renewed_ms.load(Ordering::Acquire));
        Duration::from_millis(u64::try_from(age_ms).unwrap_or(0))
    }

    /// Whether an operation of a migration with this policy may begin, continue and be acknowledged. Reads
    /// the clock only if the right can expire.
    #[inline]
    pub(super) fn check(&self, policy: &Policy) -> Result<(), BeginError> {
        let file_ends_ms = self.file_ends_ms.load(Ordering::Acquire);
        if policy.fence_after_ms == 0 && file_ends_ms == i64::MAX {
            return Ok(());
        }
        if self.now_ms() >= file_ends_ms {
            return Err(BeginError::FileExpired);
        }
        let silent_ms = self.age().as_millis() as u64;
        if policy.fence_after_ms > 0 && silent_ms >= u64::from(policy.fence_after_ms) {
            return Err(BeginError::Fenced { silent_ms });
        }
        Ok(())
    }

    /// How long the right to act lasts by what was heard so far. `None`: it does not expire.
    pub(super) fn left(&self, policy: &Policy) -> Option<Duration> {
        let fence_ms = (policy.fence_after_ms > 0)
            .then(|| self.renewed_ms.load(Ordering::Acquire).saturating_add(policy.fence_after_ms.into()));
        let file_ends_ms = Some(self.file_ends_ms.load(Ordering::Acquire)).filter(|ends| *ends != i64::MAX);
        let ends_ms = fence_ms.into_iter().chain(file_ends_ms).min()?;
        let left_ms = ends_ms.saturating_sub(self.now_ms());
        Some(Duration::from_millis(u64::try_from(left_ms).unwrap_or(0)))
    }

    fn now_ms(&self) -> i64 {
        millis(self.started.elapsed())
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn an_answer_keeps_a_right_alive_for_nine_seconds_and_then_only_a_state_brings_it_back() {
        let lease = Lease::default();
        advance(LEFT_BEHIND - SECOND).await;
        let sent = Instant::now();
        lease.answered(sent);
        assert_eq!(lease.age(), Duration::ZERO);
        advance(LEFT_BEHIND).await;
        lease.answered(Instant::now());
        assert_eq!(lease.age(), LEFT_BEHIND);
        let asked = Instant::now();
        advance(LEFT_BEHIND - SECOND).await;
        assert!(lease.is_current(asked));
        assert_eq!(lease.age(), LEFT_BEHIND - SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_that_was_asked_for_nine_seconds_ago_brings_nothing_back() {
        let lease = Lease::default();
        advance(SECOND).await;
        let asked = Instant::now();
        advance(LEFT_BEHIND).await;
        assert!(!lease.is_current(asked));
        assert_eq!(lease.age(), LEFT_BEHIND + SECOND);
        // Later states of a stream were asked for long ago as well; then answers keep the right alive.
        lease.renew(Instant::now());
        assert!(lease.is_current(asked));
    }
}
