//! The writer slots: 14 bits of a version, exclusive to a process.
//!
//! One token, or one service where there are no tokens, gets a part of them: whoever starts processes without end shuts
//! only themselves out. Slots that rest count as well.
//!
//! A slot that was freed rests before another process gets it. A write that its last holder had under way may
//! still land, and a new holder that does not see it yet could stamp the same version: the store would take the
//! second write for the first. After the rest such a write has landed or never will, so whoever writes the
//! record stamps above it. Clocks that differ by less than the rest don't repeat a version either.
//!
//! A restored store does not know the slots that were given since the backup. So there all free slots rest at first,
//! and a process that comes back keeps the slot with which it writes, whichever it had at the time of the backup.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use cutover_clock::Instant;
use cutover_store::Version;

use super::{super::lease::PRESUMED_DRAIN, member::drain};
use crate::store::{ALL_FREE_SLOTS, InstanceRecord};

/// Number of writer slots that processes can have: all but the highest, which triggers stamp with.
pub(super) const SLOTS: u16 = Version::TRIGGER_SLOT;
/// How many of them one token or one service can have.
pub(super) const SHARE: usize = Version::SLOTS as usize / 4 * 3;
/// A slot rests at least this long.
pub(super) const REST_MIN: Duration = Duration::from_secs(60);

/// Why a process gets no slot, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoSlot {
    /// All are taken, and none will be free by itself.
    Taken,
    /// All are taken or rest; the next one has rested then.
    Resting(Duration),
    /// The store was restored: all free slots rest.
    Restored(Duration),
    /// This token or service has its part.
    Share(String),
}

#[derive(Debug)]
pub(super) struct Slots {
    free: BTreeSet<u16>,
    resting: BTreeMap<u16, Instant>,
    /// Who has each slot that is taken or rests, as far as it is known, and how many each has.
    holders: HashMap<u16, String>,
    counts: HashMap<String, usize>,
    /// Until then, any free slot may be that of a process which the store does not know.
    unknown: Option<Instant>,
    /// Since this start: processes may write with other slots than the store says.
    is_restored: bool,
}

impl Slots {
    /// After a start every rest begins anew.
    pub(super) fn new(members: &[InstanceRecord], resting: &[InstanceRecord], now: Instant) -> Self {
        let rests = resting.iter().map(|record| (record.writer_slot, now + rest(record)));
        let mut slots = Self {
            free: (0..SLOTS).collect(),
            resting: rests.collect(),
            holders: HashMap::new(),
            counts: HashMap::new(),
            unknown: None,
            is_restored: false,
        };
        slots.unknown = slots.resting.remove(&ALL_FREE_SLOTS);
        slots.is_restored = slots.unknown.is_some();
        for slot in slots.resting.keys() {
            slots.free.remove(slot);
        }
        for record in members {
            slots.hold(record.writer_slot, holder(record));
        }
        slots
    }

    /// The store is a restored one.
    pub(super) fn rest_all(&mut self, now: Instant) {
        self.unknown = Some(now + REST_MIN.max(PRESUMED_DRAIN));
        self.is_restored = true;
    }

    /// A slot for a process. `used`: the one with which it writes; it keeps that if nobody else has had it.
    pub(super) fn take(
        &mut self,
        record: &InstanceRecord,
        used: Option<u16>,
        now: Instant,
    ) -> Result<u16, NoSlot> {
        let holder = holder(record);
        if self.counts.get(&holder).is_some_and(|count| *count >= SHARE) {
            return Err(NoSlot::Share(holder));
        }
        let rested = self.rest_after_restore(now);
        let another = || if rested.is_zero() { self.free.first().copied() } else { None };
        let slot = used.filter(|slot| self.free.contains(slot)).or_else(another).ok_or_else(|| {
            let next = self.resting.values().map(|until| until.saturating_duration_since(now)).min();
            match next {
                _ if !rested.is_zero() => NoSlot::Restored(rested),
                Some(next) => NoSlot::Resting(next),
                None => NoSlot::Taken,
            }
        })?;
        self.hold(slot, holder);
        Ok(slot)
    }

    fn hold(&mut self, slot: u16, holder: String) {
        self.free.remove(&slot);
        self.forget(slot);
        *self.counts.entry(holder.clone()).or_default() += 1;
        self.holders.insert(slot, holder);
    }

    /// Whoever had it has it no more.
    fn forget(&mut self, slot: u16) {
        let Some(holder) = self.holders.remove(&slot) else { return };
        match self.counts.get_mut(&holder) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.counts.remove(&holder)),
        }
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
        let slot = self.take(record, used, now)?;
        self.free(record, now);
        Ok(slot)
    }

    /// For how long a process that is new gets no slot, because the store was restored. Zero: it gets one.
    pub(super) fn rest_after_restore(&self, now: Instant) -> Duration {
        self.unknown.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Nobody ever learned of it.
    pub(super) fn give_back(&mut self, slot: u16) {
        self.forget(slot);
        if slot < SLOTS {
            self.free.insert(slot);
        }
    }

    /// Its process writes no more.
    pub(super) fn free(&mut self, record: &InstanceRecord, now: Instant) {
        self.resting.insert(record.writer_slot, now + rest(record));
    }

    /// Those that have rested since the last call. [`ALL_FREE_SLOTS`]: those of a restored store.
    pub(super) fn rested(&mut self, now: Instant) -> Vec<u16> {
        let all = self.unknown.take_if(|until| *until <= now).map(|_| ALL_FREE_SLOTS);
        let each = self.resting.extract_if(.., |_, until| *until <= now).map(|(slot, _)| slot);
        let each: Vec<u16> = each.collect();
        for slot in &each {
            self.give_back(*slot);
        }
        each.into_iter().chain(all).collect()
    }
}

/// Who its slot counts for.
fn holder(record: &InstanceRecord) -> String {
    match &record.credential {
        Some(credential) => format!("token {}", credential.token),
        None => format!("service {}", record.service),
    }
}

fn rest(record: &InstanceRecord) -> Duration {
    drain(record).max(REST_MIN)
}
