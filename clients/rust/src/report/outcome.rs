//! Outcomes of operations.

use std::time::Duration;

use super::{ErrorClass, Event, Operation, StoreRole};

/// Something that happened during an operation.
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
        /// `None`: the store answered, whatever the answer.
        error: Option<ErrorClass>,
        /// For a read whose answer to the caller came from this store: whether the record exists. `None` for
        /// every other call: a comparison, a read of the source after a miss, a write. A read at target-first
        /// that found nothing in either store counts for the target.
        found: Option<bool>,
    },
    /// An event that is counted.
    Event(Event),
}

/// What an operation's outcomes belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The migration's key.
    pub migration: &'a str,
    /// The revision under which the operation was decided.
    pub revision: u64,
    /// The tenant. `None`: not about a tenant; it is never counted separately.
    pub tenant: Option<&'a str>,
}

impl Outcome {
    /// Whether it is a failed call to the target.
    pub(super) const fn is_target_error(&self) -> bool {
        matches!(self, Self::Call { store: StoreRole::Target, error: Some(_), .. })
    }

    /// Whether it makes a tenant suspicious: the target failed, or has something else.
    pub(super) const fn is_suspicious(&self) -> bool {
        self.is_target_error() || matches!(self, Self::Event(Event::Mismatch))
    }
}
