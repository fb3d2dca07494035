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
//! A process of an earlier SDK has 12 bits of slot, below 10 of a counter. Its versions are those of four slots of 14 bits,
//! which have the same lower 12. So it has all four.
//!
//! The highest slot is that of triggers. It is never free, so no process of an earlier SDK can have slot 4095 either.
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

/// Number of writer slots that processes can have. The next one is [`Version::TRIGGER_SLOT`].
pub(super) const SLOTS: u16 = Version::SLOTS;
/// Number of writer slots in the layout 1, with that of triggers.
const ALL_SLOTS: u16 = SLOTS + 1;
/// Number of writer slots in the layout 0 of versions.
const EARLIER_SLOTS: u16 = 1 << 12;
/// How many of them one token or one service can have.
pub(super) const SHARE: usize = ALL_SLOTS as usize / 4 * 3;
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
    /// How many processes have each: after a failure of the store it may be two.
    taken: HashMap<u16, u32>,
    resting: BTreeMap<u16, Instant>,
    /// Who has each slot that is taken or rests, as far as it is known, and how many each has. One of a process.
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
        let mut slots = Self {
            free: (0..SLOTS).collect(),
            taken: HashMap::new(),
            resting: BTreeMap::new(),
            holders: HashMap::new(),
            counts: HashMap::new(),
            unknown: None,
            is_restored: false,
        };
        for record in resting {
            let until = now + rest(record);
            if record.writer_slot == ALL_FREE_SLOTS {
                slots.unknown = Some(until);
                slots.is_restored = true;
                continue;
            }
            slots.count_for(record);
            for slot in all_of(record.writer_slot, record) {
                slots.free.remove(&slot);
                slots.resting.insert(slot, until);
            }
        }
        for record in members {
            slots.hold(record.writer_slot, record);
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
        let of_layout = 0..distance(record);
        let is_free =
            |slot: &u16| of_layout.contains(slot) && all_of(*slot, record).all(|it| self.free.contains(&it));
        let mut candidates = self.free.range(of_layout.clone()).copied();
        let another = || if rested.is_zero() { candidates.find(is_free) } else { None };
        let slot = used.filter(is_free).or_else(another).ok_or_else(|| {
            let next = self.resting.values().map(|until| until.saturating_duration_since(now)).min();
            match next {
                _ if !rested.is_zero() => NoSlot::Restored(rested),
                Some(next) => NoSlot::Resting(next),
                None => NoSlot::Taken,
            }
        })?;
        self.hold(slot, record);
        Ok(slot)
    }

    fn hold(&mut self, slot: u16, record: &InstanceRecord) {
        for slot in all_of(slot, record) {
            self.free.remove(&slot);
            *self.taken.entry(slot).or_default() += 1;
        }
        self.count(slot, holder(record));
    }

    /// The slot of a process counts for whoever its process belongs to now.
    pub(super) fn count_for(&mut self, record: &InstanceRecord) {
        self.count(record.writer_slot, holder(record));
    }

    fn count(&mut self, slot: u16, holder: String) {
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

    /// A process of an earlier build may have had the slot of triggers.
    fn add_free(&mut self, slot: u16) {
        if slot < SLOTS {
            self.free.insert(slot);
        }
    }

    /// Nobody ever learned of it.
    pub(super) fn give_back(&mut self, record: &InstanceRecord) {
        for slot in self.leave(record) {
            self.forget(slot);
            self.add_free(slot);
        }
    }

    /// Its process writes no more.
    pub(super) fn free(&mut self, record: &InstanceRecord, now: Instant) {
        for slot in self.leave(record) {
            self.resting.insert(slot, now + rest(record));
        }
    }

    /// The slots that nobody has any more, now that this process has them no more.
    fn leave(&mut self, record: &InstanceRecord) -> Vec<u16> {
        let mut left = Vec::new();
        for slot in all_of(record.writer_slot, record) {
            match self.taken.get_mut(&slot) {
                Some(count) if *count > 1 => *count -= 1,
                _ => {
                    self.taken.remove(&slot);
                    left.push(slot);
                }
            }
        }
        left
    }

    /// Those that have rested since the last call. [`ALL_FREE_SLOTS`]: those of a restored store.
    pub(super) fn rested(&mut self, now: Instant) -> Vec<u16> {
        let all = self.unknown.take_if(|until| *until <= now).map(|_| ALL_FREE_SLOTS);
        let each = self.resting.extract_if(.., |_, until| *until <= now).map(|(slot, _)| slot);
        let each: Vec<u16> = each.collect();
        for slot in &each {
            // After a failure of the store a slot that rests may be a member's as well.
            if !self.taken.contains_key(slot) {
                self.forget(*slot);
                self.add_free(*slot);
            }
        }
        each.into_iter().chain(all).collect()
    }
}

/// Slots of processes with this layout of versions differ by less than this.
const fn distance(record: &InstanceRecord) -> u16 {
    if record.version_layout == 0 { EARLIER_SLOTS } else { ALL_SLOTS }
}

/// What a process has that gets this slot: every slot with which another one could stamp its versions.
fn all_of(slot: u16, record: &InstanceRecord) -> impl Iterator<Item = u16> + use<> {
    let distance = distance(record);
    (slot % distance..ALL_SLOTS).step_by(distance.into())
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
