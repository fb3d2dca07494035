//! Outcomes of operations on data: what an SDK counts, and the controller's guards judge.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The kind of a call to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A read.
    Read,
    /// A put or a delete.
    Write,
}

/// One of the two stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreRole {
    /// The store that is migrated from.
    Source,
    /// The store that is migrated to.
    Target,
}

/// Why a store failed a call. Do not report the caller's own errors (validation, authorisation,
/// cancellation): they are not the store's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// No answer in time.
    Timeout,
    /// Not reachable, or disconnected.
    Connection,
    /// The store's own failure.
    Server,
    /// A constraint or condition of the store was violated.
    Constraint,
    /// Stored data could not be read, or data could not be stored.
    Serialization,
    /// Anything else.
    Other,
}

/// An event that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Read: the target had the record.
    Hit,
    /// Read: only the source had the record.
    Miss,
    /// Read: neither had the record.
    NotFound,
    /// An operation copied the record to the target after a miss.
    Migrated,
    /// A pass copied the record.
    Backfill,
    /// The target had an older record, which was updated.
    Repaired,
    /// Compared and different, also when read again.
    Mismatch,
    /// Both stores' answers to a read were compared.
    Compared,
    /// A write to both: both accepted it.
    BothOk,
    /// A write to both: only the target failed.
    OnlyTargetFailed,
    /// A write to both: only the source failed.
    OnlySourceFailed,
    /// A write to both: both failed.
    BothFailed,
    /// The outcome for the caller was "indeterminate".
    Indeterminate,
    /// The outcome for the caller was "not applied".
    NotApplied,
    /// The outcome for the caller was "unavailable": held or fenced.
    Unavailable,
    /// A compared read (so [`Event::Compared`] too): the source had a record, the target none or an older one.
    Lacking,
    /// A read that touched both stores, to confirm, to compare or because the target lacked the record: both
    /// answered.
    ReadBothOk,
    /// Such a read: only the target failed.
    ReadOnlyTargetFailed,
    /// Such a read: only the source failed.
    ReadOnlySourceFailed,
    /// Such a read: both failed.
    ReadBothFailed,
}

/// Number of kinds of [`Event`].
pub const EVENTS: usize = Event::ReadBothFailed as usize + 1;
/// Number of kinds of [`ErrorClass`].
pub const ERROR_CLASSES: usize = ErrorClass::ALL.len();

impl ErrorClass {
    /// All of them, each at its number.
    pub const ALL: [Self; 6] =
        [Self::Timeout, Self::Connection, Self::Server, Self::Constraint, Self::Serialization, Self::Other];
}

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
        /// every other call: a comparison, a read for which the source was asked too because the target had nothing,
        /// a write.
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
    pub const fn is_target_error(&self) -> bool {
        matches!(self, Self::Call { store: StoreRole::Target, error: Some(_), .. })
    }

    /// Whether it makes a tenant suspicious: the target failed, or has something else.
    pub const fn is_suspicious(&self) -> bool {
        self.is_target_error() || matches!(self, Self::Event(Event::Mismatch))
    }
}
