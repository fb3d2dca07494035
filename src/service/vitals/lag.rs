//! How long ago the oldest step was taken that somebody has not acknowledged.

use std::{collections::VecDeque, time::Duration};

use cutover_clock::Instant;

/// Steps remembered; further ones count as part of the last.
const STEPS_MAX: usize = 1_000;

/// The steps of one migration that somebody has not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// The newest revision of the migration that was looked at.
    seen: u64,
    /// The newest of its steps.
    step: u64,
    /// Revisions of steps and when they were first seen, oldest first.
    open: VecDeque<(u64, Instant)>,
}

impl Lag {
    /// The migration is at `revision`; its newest step is only looked up if that is new.
    pub(super) fn step(&mut self, revision: u64, newest_step: impl FnOnce() -> u64, now: Instant) {
        if revision == self.seen {
            return;
        }
        self.seen = revision;
        let step = newest_step();
        if step > self.step && self.open.len() < STEPS_MAX {
            self.open.push_back((step, now));
        } else if step > self.step
            && let Some((last, _)) = self.open.back_mut()
        {
            *last = step;
        }
        self.step = step;
    }

    /// Everybody has acknowledged this revision; it is only looked up if it matters.
    pub(super) fn settled(&mut self, settled: impl FnOnce() -> u64) {
        if self.open.is_empty() {
            return;
        }
        let settled = settled();
        self.open.retain(|(step, _)| *step > settled);
    }

    /// The lag; zero if everybody has acknowledged all steps.
    pub(super) fn lasted(&self, now: Instant) -> Duration {
        self.open.front().map_or(Duration::ZERO, |(_, since)| now.saturating_duration_since(*since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_oldest_step_that_somebody_has_not_acknowledged_counts() {
        let (mut lag, began) = (Lag::default(), Instant::now());
        let at = |seconds: u32| began + SECOND * seconds;
        lag.step(5, || 5, at(0));
        lag.step(7, || 7, at(10));
        lag.step(8, || 7, at(11));
        assert_eq!(lag.lasted(at(20)), 20 * SECOND);
        lag.settled(|| 5);
        assert_eq!(lag.lasted(at(20)), 10 * SECOND, "the first step is acknowledged");
        lag.settled(|| 6);
        assert_eq!(lag.lasted(at(21)), 11 * SECOND);
        // Somebody is new, and has acknowledged less than what everybody had: that is no step.
        lag.settled(|| 7);
        lag.settled(|| 3);
        assert_eq!(lag.lasted(at(30)), Duration::ZERO);
        lag.step(9, || 9, at(40));
        assert_eq!(lag.lasted(at(41)), SECOND);
    }

    #[test]
    fn what_is_unchanged_is_not_looked_up_and_memory_is_bounded() {
        let (mut lag, now) = (Lag::default(), Instant::now());
        lag.step(5, || 5, now);
        lag.step(5, || panic!("the revision is the same"), now);
        lag.settled(|| 5);
        lag.settled(|| panic!("nothing is open"));
        for revision in 6..10_000 {
            lag.step(revision, || revision, now + SECOND);
        }
        assert_eq!(lag.open.len(), STEPS_MAX);
        lag.settled(|| 9_998);
        assert_eq!(lag.lasted(now + 3 * SECOND), 2 * SECOND, "the last of them is still open");
        lag.settled(|| 9_999);
        assert_eq!(lag.lasted(now + 3 * SECOND), Duration::ZERO);
    }
}
