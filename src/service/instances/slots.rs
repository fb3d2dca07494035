//! The writer slots: 12 bits of a version, exclusive to a process.
//!
//! A slot that was freed rests before another process gets it. A write that its last holder had under way may
//! still land, and a new holder that does not see it yet could stamp the same version: the store would take the
//! second write for the first. After the rest such a write has landed or never will, so whoever writes the
//! record stamps above it. Clocks that differ by less than the rest don't repeat a version either.
//!
//! A restored store does not know the slots that were given since the backup. So there all free slots rest at first,
//! and a process that comes back keeps the slot with which it writes, whichever it had at the time of the backup.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use cutover_clock::Instant;

use super::{super::lease::PRESUMED_DRAIN, member::drain};
use crate::store::{ALL_FREE_SLOTS, InstanceRecord};

/// Number of writer slots. The last one is reserved for triggers.
pub(super) const SLOTS: u16 = cutover_store::Version::TRIGGER_SLOT;
/// A slot rests at least this long.
pub(super) const REST_MIN: Duration = Duration::from_secs(60);

/// Why a process gets no slot, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoSlot {
    /// All are taken, and none will be free by itself.
    Taken,
    /// All are taken or rest; the next one has rested then.
    Resting(Duration),
    /// The store was restored: all free slots rest.
    Restored(Duration),
}

#[derive(Debug)]
pub(super) struct Slots {
    taken: BTreeSet<u16>,
    resting: BTreeMap<u16, Instant>,
    /// Until then, any free slot may be that of a process which the store does not know.
    unknown: Option<Instant>,
    /// Since this start: processes may write with other slots than the store says.
    is_restored: bool,
}

impl Slots {
    /// After a start every rest begins anew.
    pub(super) fn new(members: &[InstanceRecord], resting: &[InstanceRecord], now: Instant) -> Self {
        let taken = members.iter().map(|record| record.writer_slot).collect();
        let resting = resting.iter().map(|record| (record.writer_slot, now + rest(record)));
        let mut slots = Self { taken, resting: resting.collect(), unknown: None, is_restored: false };
        slots.unknown = slots.resting.remove(&ALL_FREE_SLOTS);
        slots.is_restored = slots.unknown.is_some();
        slots
    }

    /// The store is a restored one.
    pub(super) fn rest_all(&mut self, now: Instant) {
        self.unknown = Some(now + REST_MIN.max(PRESUMED_DRAIN));
        self.is_restored = true;
    }

    /// `used`: the slot with which the process writes; it keeps that if nobody else has had it.
    pub(super) fn take(&mut self, used: Option<u16>, now: Instant) -> Result<u16, NoSlot> {
        let is_free =
            |slot: &u16| *slot < SLOTS && !self.taken.contains(slot) && !self.resting.contains_key(slot);
        let rested = self.rest_after_restore(now);
        let another = || if rested.is_zero() { (0..SLOTS).find(is_free) } else { None };
        let slot = used.filter(is_free).or_else(another).ok_or_else(|| {
            let next = self.resting.values().map(|until| until.saturating_duration_since(now)).min();
            match next {
                _ if !rested.is_zero() => NoSlot::Restored(rested),
                Some(next) => NoSlot::Resting(next),
                None => NoSlot::Taken,
            }
        })?;
        self.taken.insert(slot);
        Ok(slot)
    }

    /// The slot of a member that registers again. A restored store may record an earlier one than that with which the
    /// process writes now. It must not go back to that: another process may have it since.
    pub(super) fn take_again(
        &mut self,
        record: &InstanceRecord,
        used: Option<u16>,
        now: Instant,
    ) -> Result<u16, NoSlot> {
        if !self.is_restored || used.is_none_or(|used| used == record.writer_slot) {
            return Ok(record.writer_slot);
        }
        let slot = self.take(used, now)?;
        self.free(record, now);
        Ok(slot)
    }

    /// For how long a process that is new gets no slot, because the store was restored. Zero: it gets one.
    pub(super) fn rest_after_restore(&self, now: Instant) -> Duration {
        self.unknown.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Nobody ever learned of it.
    pub(super) fn give_back(&mut self, slot: u16) {
        self.taken.remove(&slot);
    }

    /// Its process writes no more.
    pub(super) fn free(&mut self, record: &InstanceRecord, now: Instant) {
        self.taken.remove(&record.writer_slot);
        self.resting.insert(record.writer_slot, now + rest(record));
    }

    /// Those that have rested since the last call. [`ALL_FREE_SLOTS`]: those of a restored store.
    pub(super) fn rested(&mut self, now: Instant) -> Vec<u16> {
        let all = self.unknown.take_if(|until| *until <= now).map(|_| ALL_FREE_SLOTS);
        let each = self.resting.extract_if(.., |_, until| *until <= now).map(|(slot, _)| slot);
        each.chain(all).collect()
    }
}

fn rest(record: &InstanceRecord) -> Duration {
    drain(record).max(REST_MIN)
}
