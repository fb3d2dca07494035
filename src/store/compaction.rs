//! How much of the history a store may drop.

use super::CursorRecord;

/// Maximum bytes of events in one transaction, so that commits are not delayed. One event may have more.
const BYTES_MAX: u64 = 4 << 20;

/// What of the history is not needed any more. Events are dropped from the first one on, up to the first
/// that is needed.
#[derive(Clone, Debug, Default)]
pub struct Expired {
    /// Events up to this revision: there are enough later ones.
    pub through: u64,
    /// Events from before this Unix time.
    pub before_ms: u64,
    /// Only events below this revision. The newest event always stays.
    pub below: u64,
    /// At most so many at a time.
    pub limit: u32,
    /// Unix time.
    pub now_ms: u64,
}

/// What was dropped of the history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Events up to this revision. 0: none.
    pub through: u64,
    /// When that was done last: Unix time.
    pub at_ms: u64,
}

/// What one call has dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// So many events.
    pub events: u32,
    /// The newest of them. 0: none.
    pub through: u64,
    /// More has expired, but this endpoint has to be notified first.
    pub held_by: Option<CursorRecord>,
}

/// An event that may be dropped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Oldest {
    pub revision: u64,
    pub at_ms: u64,
    pub bytes: u64,
}

impl Expired {
    /// What to drop of the oldest events, which are given in order.
    pub(super) fn of(&self, oldest: impl Iterator<Item = Oldest>, cursors: &[CursorRecord]) -> Compacted {
        let slowest = cursors.iter().min_by_key(|cursor| cursor.revision);
        let mut bytes = 0;
        let mut compacted = Compacted::default();
        for event in oldest.take(self.limit as usize) {
            let is_expired = event.revision <= self.through || event.at_ms < self.before_ms;
            bytes += event.bytes;
            if !is_expired || event.revision >= self.below || bytes > BYTES_MAX && compacted.events > 0 {
                break;
            }
            if let Some(cursor) = slowest.filter(|cursor| cursor.revision < event.revision) {
                compacted.held_by = Some(cursor.clone());
                break;
            }
            compacted.events += 1;
            compacted.through = event.revision;
        }
        compacted
    }
}
