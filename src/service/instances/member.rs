//! A member of the barrier: one process, as the controller knows it.

use std::time::Duration;

use cutover_clock::Instant;
use cutover_core::routing::Mutation;

use super::super::lease::{LEASE, PRESUMED_DRAIN};
use crate::{
    domain::HeldRoutes,
    store::{InstanceRecord, label},
};

/// One process. Several processes may have the same id by mistake, or one after another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// The id that operators see.
    pub instance_id: String,
    /// Drawn by the process. 0: unknown.
    pub incarnation: u64,
}

impl Who {
    pub(crate) fn of(record: &InstanceRecord) -> Self {
        Self { instance_id: record.instance_id.clone(), incarnation: record.incarnation }
    }

    /// A name that no other process has, for counts and sequence numbers.
    pub fn label(&self) -> String {
        label(&self.instance_id, self.incarnation)
    }
}

#[derive(Debug)]
pub(super) struct Heard {
    pub(super) record: InstanceRecord,
    /// Received: no operation starts there under an older revision.
    pub(super) received: u64,
    /// Quiesced: every operation begun there under an older revision has ended.
    pub(super) applied: u64,
    /// When it was last heard. Its own lease began earlier.
    pub(super) at: Instant,
    /// Whether the store has it.
    pub(super) durable: bool,
    /// Number of open streams to it.
    pub(super) streams: u32,
    /// Distinguishes this entry from an earlier one of the same process.
    pub(super) membership: u64,
    /// It is about to be counted out, or removed.
    pub(super) giving_up: bool,
    /// What it routed by when it registered, for each migration.
    pub(super) routes: Vec<(String, HeldRoutes)>,
}

impl Heard {
    pub(super) fn loaded(record: InstanceRecord, at: Instant) -> Self {
        Self {
            record,
            received: 0,
            applied: 0,
            at,
            durable: true,
            streams: 0,
            membership: rand::random(),
            giving_up: false,
            routes: Vec::new(),
        }
    }

    pub(super) fn registered(record: InstanceRecord, acknowledged: u64, at: Instant) -> Self {
        Self {
            record,
            received: acknowledged,
            applied: acknowledged,
            at,
            durable: false,
            streams: 0,
            membership: rand::random(),
            giving_up: false,
            routes: Vec::new(),
        }
    }

    /// It registers again; `held` is the newest revision it has. Later acknowledgements no longer count.
    pub(super) fn heard_again(&mut self, held: u64, at: Instant) {
        self.at = at;
        self.received = self.received.min(held);
        self.applied = self.applied.min(held);
    }

    /// Whether some migration may have continued without it.
    pub(super) const fn has_been_given_up(&self) -> bool {
        self.record.counted_out || self.record.parked || self.giving_up
    }

    pub(super) const fn has_been_given_up_for_good(&self) -> bool {
        self.record.counted_out || self.giving_up
    }

    /// Whether it has been silent for longer than its lease. A process that starts from a file may act for as
    /// long.
    pub(super) fn is_lost(&self, silent: Duration) -> bool {
        silent > LEASE
    }

    /// Whether it refuses operations on its own when it is cut off, because it has received the fence.
    pub(super) fn has_heard(&self, fenced_since: u64) -> bool {
        self.received.max(self.record.fence_heard) >= fenced_since
    }

    /// How long after it was last heard it can still change anything under a fence.
    pub(super) fn until_counted_out(&self) -> Duration {
        match Mutation::Drain.is_left_out() {
            _ if Mutation::CountedOutLate.is_left_out() => Duration::from_secs(2),
            true => LEASE,
            false => LEASE + drain(&self.record),
        }
    }

    /// How long after it was last heard its file may be used.
    pub(super) fn file_valid(&self) -> Duration {
        Duration::from_millis(self.record.file_valid_ms.into()) + drain(&self.record)
    }

    /// How much longer it is waited for. `None`: until it is back, or an operator evicts it.
    pub(super) fn waited_for(&self, silent: Duration, is_fenced: bool) -> Option<Duration> {
        let fence = is_fenced.then(|| self.until_counted_out());
        let file = self.record.parked.then(|| self.file_valid());
        let until = fence.into_iter().chain(file).min()?;
        Some(until.saturating_sub(silent))
    }
}

/// How long after it was last heard a process may still act, or make a store call that lands.
pub(super) fn drain(record: &InstanceRecord) -> Duration {
    match record.drain_ms {
        0 => PRESUMED_DRAIN,
        drain_ms => Duration::from_millis(drain_ms.into()),
    }
}
