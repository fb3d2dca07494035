//! The writer slots: 12 bits of a version, exclusive to a process.
//!
//! A slot that was freed rests before another process gets it. A write that its last holder had under way may
//! still land, and a new holder that does not see it yet could stamp the same version: the store would take the
//! second write for the first. After the rest such a write has landed or never will, so whoever writes the
//! record stamps above it. Clocks that differ by less than the rest don't repeat a version either.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use cutover_clock::Instant;

use super::member::drain;
use crate::store::InstanceRecord;

/// Number of writer slots.
pub(super) const SLOTS: u16 = 4096;
/// A slot rests at least this long.
const REST_MIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Slots {
    taken: BTreeSet<u16>,
    resting: BTreeMap<u16, Instant>,
}

impl Slots {
    /// After a start every rest begins anew.
    pub(super) fn new(members: &[InstanceRecord], resting: &[InstanceRecord], now: Instant) -> Self {
        let taken = members.iter().map(|record| record.writer_slot).collect();
        let resting = resting.iter().map(|record| (record.writer_slot, now + rest(record)));
        Self { taken, resting: resting.collect() }
    }

    /// `None`: all are taken, or rest.
    pub(super) fn take(&mut self) -> Option<u16> {
        let is_free = |slot: &u16| !self.taken.contains(slot) && !self.resting.contains_key(slot);
        let slot = (0..SLOTS).find(is_free)?;
        self.taken.insert(slot);
        Some(slot)
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

    /// Those that have rested since the last call.
    pub(super) fn rested(&mut self, now: Instant) -> Vec<u16> {
        self.resting.extract_if(.., |_, until| *until <= now).map(|(slot, _)| slot).collect()
    }
}

fn rest(record: &InstanceRecord) -> Duration {
    drain(record).max(REST_MIN)
}
