//! Stamping: new versions, above everything seen.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use crate::store::Version;

/// A stamp this much ahead of the clock is reported: some writer's clock is wrong.
pub const AHEAD_MS: u64 = 5_000;

/// Why there is no stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// Not below [`Version::SLOTS`].
    #[error("writer slot {0} is not below 4096")]
    Slot(u16),
    /// Someone has written with a version at the end of all time.
    #[error("no version is left above {0}: repair the record's version in both stores")]
    Exhausted(Version),
}

/// A version of `slot` above `above` and `last`, by the clock where that is high enough.
pub fn stamp(now_ms: u64, above: Version, last: Version, slot: u16) -> Option<Version> {
    let floor = above.max(last);
    match Version::new(now_ms, 0, slot) {
        Some(by_clock) if by_clock > floor => Some(by_clock),
        _ => floor.next(slot),
    }
}

/// The stamps of one writer. All migrators of a process that have the same slot must share one:
/// two equal versions of different writes are taken for one write.
#[derive(Debug)]
pub struct Stamper {
    slot: AtomicU16,
    last: AtomicU64,
    ahead: AtomicU64,
}

impl Stamper {
    /// Of a slot that the controller gave to this process and to nobody else.
    pub fn new(slot: u16) -> Result<Self, StampError> {
        check(slot)?;
        Ok(Self { slot: AtomicU16::new(slot), last: AtomicU64::new(0), ahead: AtomicU64::new(0) })
    }

    /// From now on under another slot, which the controller gave to it.
    pub fn set_slot(&self, slot: u16) -> Result<(), StampError> {
        check(slot)?;
        self.slot.store(slot, Ordering::Release);
        Ok(())
    }

    /// The next version: above `above`, and above every one it has given. `now_ms` since 2025.
    pub fn stamp(&self, now_ms: u64, above: Version) -> Result<Version, StampError> {
        let mut last = self.last.load(Ordering::Acquire);
        let version = loop {
            let slot = self.slot.load(Ordering::Acquire);
            let next = stamp(now_ms, above, Version(last), slot)
                .ok_or(StampError::Exhausted(above.max(Version(last))))?;
            match self.last.compare_exchange_weak(last, next.0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break next,
                Err(newer) => last = newer,
            }
        };
        if version.ms_since_2025() > now_ms.saturating_add(AHEAD_MS) {
            self.report_ahead(version, now_ms);
        }
        Ok(version)
    }

    /// How many stamps were more than [`AHEAD_MS`] ahead of the clock.
    pub fn ahead(&self) -> u64 {
        self.ahead.load(Ordering::Relaxed)
    }

    #[cold]
    fn report_ahead(&self, version: Version, now_ms: u64) {
        let count = self.ahead.fetch_add(1, Ordering::Relaxed) + 1;
        // The first, the second, the fourth..: one wrong clock must not fill the log.
        if count.is_power_of_two() {
            let ahead_ms = version.ms_since_2025() - now_ms;
            tracing::warn!(ahead_ms, count, "versions are ahead of this clock: check the writers' clocks");
        }
    }
}

const fn check(slot: u16) -> Result<(), StampError> {
    if slot < Version::SLOTS { Ok(()) } else { Err(StampError::Slot(slot)) }
}
