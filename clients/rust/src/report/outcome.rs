//! What came of an operation.

use std::time::Duration;

use super::{ErrorClass, Event, Operation, StoreRole};

/// Something that happened to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A call to a store ended.
    Call {
        /// Which store.
        store: StoreRole,
        /// Read or write.
        operation: Operation,
        /// How long it took, by a monotonic clock.
        latency: Duration,
        /// `None`: the store answered, whatever it answered.
        error: Option<ErrorClass>,
        /// Of a read whose answer to the caller was this store's: is there such a record? `None` of
        /// any other call: one that only compared, the source's that found what the target lacked,
        /// a write. A read at target-first that found nothing in either store is the target's.
        found: Option<bool>,
    },
    /// Anything that is counted.
    Event(Event),
}

/// Where an operation's outcomes belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The migration's key.
    pub migration: &'a str,
    /// The one that the operation was decided under.
    pub revision: u64,
    /// Whose it was. `None`: nobody's in particular; it is never told apart.
    pub tenant: Option<&'a str>,
}

impl Outcome {
    /// A call to the target that failed.
    pub(super) const fn is_target_error(&self) -> bool {
        matches!(self, Self::Call { store: StoreRole::Target, error: Some(_), .. })
    }

    /// What makes a tenant one to look at: the target failed it, or has something else.
    pub(super) const fn is_suspicious(&self) -> bool {
        self.is_target_error() || matches!(self, Self::Event(Event::Mismatch))
    }
}
