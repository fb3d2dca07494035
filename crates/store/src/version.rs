//! Versions order the writes of one record in both stores.

use std::fmt;

use cutover_clock as clock;

/// 2025-01-01T00:00:00Z in Unix milliseconds: where the 41 time bits of a version begin.
pub const EPOCH_UNIX_MS: u64 = 1_735_689_600_000;

pub(crate) const SLOT_BITS: u32 = 14;
const COUNTER_BITS: u32 = 8;

/// The version of a record, in 63 bits so that it fits a signed column of every store: 41 bits of
/// milliseconds since 2025, 8 of a counter, 14 of the writer's slot.
///
/// Only the order has meaning. The time keeps stamps of different writers roughly in order without a round
/// trip. A wrong clock loses nothing, because every writer stamps above what it has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// The version of a record that no versioned writer has touched yet; below every stamp.
    pub const ZERO: Self = Self(0);
    /// The highest version; nothing can be written above it.
    pub const MAX: Self = Self(i64::MAX as u64);
    /// Names how a version is split into time, counter and slot. 0 was 41, 10 and 12 bits: the controller gives no process
    /// of that layout a slot with which another one could stamp the same version.
    pub const LAYOUT: u32 = 1;
    /// Slots of processes are below this.
    pub const SLOTS: u16 = (1 << SLOT_BITS) - 1;
    /// The slot of triggers that stamp what programs without the SDK write. [`Version::new`] and [`Version::next`] refuse
    /// it, and a process of layout 0 never has slot 4095, whose versions can have the same lower bits.
    pub const TRIGGER_SLOT: u16 = Self::SLOTS;

    /// Builds a version; `None` if the time or the slot does not fit.
    pub const fn new(ms_since_2025: u64, counter: u16, slot: u16) -> Option<Self> {
        if ms_since_2025 >> 41 != 0 || counter >> COUNTER_BITS != 0 || slot >= Self::SLOTS {
            return None;
        }
        Some(Self((ms_since_2025 << COUNTER_BITS | counter as u64) << SLOT_BITS | slot as u64))
    }

    /// The lowest version of `slot` above this one; `None` at the end of the range.
    pub const fn next(self, slot: u16) -> Option<Self> {
        // Time and counter are incremented as one number: a full counter carries into the time.
        let ticks = (self.0 >> SLOT_BITS) + 1;
        if slot >= Self::SLOTS || ticks > Self::MAX.0 >> SLOT_BITS {
            return None;
        }
        Some(Self(ticks << SLOT_BITS | slot as u64))
    }

    /// When it was stamped, by its writer's clock, in milliseconds since 2025.
    pub const fn ms_since_2025(self) -> u64 {
        self.0 >> (COUNTER_BITS + SLOT_BITS)
    }

    /// How far it is ahead of a clock, in milliseconds. `now_ms` counts from 2025.
    pub const fn ahead_ms(self, now_ms: u64) -> u64 {
        self.ms_since_2025().saturating_sub(now_ms)
    }

    /// The writer's slot.
    pub const fn slot(self) -> u16 {
        (self.0 & ((1 << SLOT_BITS) - 1)) as u16
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The system's clock in the units of versions. 0 if the clock is before 2025.
pub fn now_ms_since_2025() -> u64 {
    clock::now_ms().saturating_sub(EPOCH_UNIX_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_process_stamps_a_version_of_triggers() {
        assert_eq!(Version::new(1, 0, Version::TRIGGER_SLOT), None);
        assert_eq!(Version::ZERO.next(Version::TRIGGER_SLOT), None);
        let stamps = |slot_bits: u32, slot: u64| {
            let bits = COUNTER_BITS + SLOT_BITS;
            (0..1_u64 << (bits - slot_bits))
                .map(move |counter| Version(1 << bits | counter << slot_bits | slot))
        };
        let of_triggers: Vec<Version> = stamps(SLOT_BITS, Version::TRIGGER_SLOT.into()).collect();
        assert_eq!(of_triggers.len(), 256);
        assert!(of_triggers.iter().all(|version| version.slot() == Version::TRIGGER_SLOT));
        for version in &of_triggers {
            let next = version.next(0).and_then(|next| next.next(Version::SLOTS - 1));
            assert!(next.is_some_and(|next| next > *version && next.slot() == Version::SLOTS - 1));
        }
        let is_one = |version| of_triggers.binary_search(&version).is_ok();
        // Layout 1, and layout 0 without slot 4095.
        let of_processes = (0..Version::SLOTS.into()).flat_map(|slot| stamps(14, slot));
        assert!(!of_processes.chain((0..4_095).flat_map(|slot| stamps(12, slot))).any(is_one));
        assert!(stamps(12, 4_095).any(is_one), "why layout 0 must not have it");
    }
}
