//! Stamping: new versions above everything seen.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{clock::Instant, store::Version};

/// A stamp that is further ahead of the clock is reported: some writer's clock is wrong.
pub const AHEAD_MS: u64 = 5_000;

/// Why no version could be stamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StampError {
    /// The slot is not below [`Version::SLOTS`].
    #[error("writer slot {0} is not below 16383")]
    Slot(u16),
    /// The version would be ahead of the clock, because others' are, or because there were more than 256 in a millisecond.
    /// A process that had the same slot may still be writing such versions.
    #[error(
        "the version would be {ahead_ms} ms ahead of this clock, and the process that had this writer slot before may still have such writes under way: retry in {retry_ms} ms; if this clock is slow, set it"
    )]
    Resting {
        /// How far the version would be ahead of the clock.
        ahead_ms: u64,
        /// When such a version may be stamped.
        retry_ms: u64,
    },
    /// Somebody has written a version at the end of the range.
    #[error("no version is left above {0}: repair the record's version in both stores")]
    Exhausted(Version),
}

/// A version of `slot` above `above` and `last`; the clock's if that is high enough.
pub fn stamp(now_ms: u64, above: Version, last: Version, slot: u16) -> Option<Version> {
    let floor = above.max(last);
    match Version::new(now_ms, 0, slot) {
        Some(by_clock) if by_clock > floor => Some(by_clock),
        _ => floor.next(slot),
    }
}

/// Stamps the versions of one writer. All migrators of a process with the same slot must share it: two
/// different writes with equal versions are taken for the same write.
#[derive(Debug)]
pub struct Stamper {
    slot: AtomicU16,
    last: AtomicU64,
    ahead: AtomicU64,
    /// No version is stamped ahead of the clock until then.
    rests: Mutex<Option<Instant>>,
}

impl Stamper {
    /// Stamps with a slot that the controller gave to this process only.
    pub fn new(slot: u16) -> Result<Self, StampError> {
        check(slot)?;
        Ok(Self {
            slot: AtomicU16::new(slot),
            last: AtomicU64::new(0),
            ahead: AtomicU64::new(0),
            rests: Mutex::default(),
        })
    }

    /// Changes to another slot, which the controller gave.
    pub fn set_slot(&self, slot: u16) -> Result<(), StampError> {
        check(slot)?;
        self.slot.store(slot, Ordering::Release);
        Ok(())
    }

    /// For so long, writes of a process that had this slot before may still arrive. By the clock its versions are
    /// lower. Those that it stamped ahead of the clock may be equal to this one's.
    pub fn rest(&self, time: Duration) {
        *self.rests() = Some(Instant::now() + time);
    }

    fn rests(&self) -> MutexGuard<'_, Option<Instant>> {
        self.rests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next version: above `above`, and above every version given before. `now_ms` counts from 2025.
    pub fn stamp(&self, now_ms: u64, above: Version) -> Result<Version, StampError> {
        let mut last = self.last.load(Ordering::Acquire);
        let version = loop {
            let slot = self.slot.load(Ordering::Acquire);
            let next = stamp(now_ms, above, Version(last), slot)
                .ok_or(StampError::Exhausted(above.max(Version(last))))?;
            let ahead_ms = next.ahead_ms(now_ms);
            if ahead_ms > 0
                && let Some(rests) =
                    self.rests().map(|until| until.remaining()).filter(|rests| !rests.is_zero())
            {
                let retry_ms = u64::try_from(rests.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
                return Err(StampError::Resting { ahead_ms, retry_ms });
            }
            match self.last.compare_exchange_weak(last, next.0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break next,
                Err(newer) => last = newer,
            }
        };
        if version.ahead_ms(now_ms) > AHEAD_MS {
            self.report_ahead(version.ahead_ms(now_ms));
        }
        Ok(version)
    }

    /// How many stamps were more than [`AHEAD_MS`] ahead of the clock.
    pub fn ahead(&self) -> u64 {
        self.ahead.load(Ordering::Relaxed)
    }

    #[cold]
    fn report_ahead(&self, ahead_ms: u64) {
        let count = self.ahead.fetch_add(1, Ordering::Relaxed) + 1;
        // Log the first, the second, the fourth ..: one wrong clock must not fill the log.
        if count.is_power_of_two() {
            tracing::warn!(ahead_ms, count, "versions are ahead of this clock: check the writers' clocks");
        }
    }
}

const fn check(slot: u16) -> Result<(), StampError> {
    if slot < Version::SLOTS { Ok(()) } else { Err(StampError::Slot(slot)) }
}
