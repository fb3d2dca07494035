//! What a rung means: which store is called next, given the answers so far.
//!
//! Pure state machines. Nothing here waits, reads a clock or holds a store. One [`ReadCall`] or [`WriteCall`]
//! is one call to one store, so the migrator or a model checker may interleave operations between any two
//! calls. The machines see versions, never values, and only the order of versions; so a model checker may
//! rename them (`renamed`).
//!
//! | rung | read | write | acknowledged when |
//! |---|---|---|---|
//! | source-only | S | S | S applied |
//! | dual | S | S, then T | S applied |
//! | mirrored | S; at level linearizable confirmed in T | S, then T | T applied or stale |
//! | target-first | T; what it lacks from S, copied first | observe T, then S, then T | T applied or stale |
//! | target-only | T | T | T applied |
//! | hold | nothing begins | nothing begins | |
//!
//! A mutation that writes nothing ends as a read does. docs/protocol.md explains why. In short: every rung that writes both stores writes the source first. So
//! for each record the source is never behind the target, and going back needs no copy.

mod query;
mod read;
mod write;

pub use query::query_store;
pub use read::{Found, Read, ReadCall, ReadEnd};
pub use write::{Condition, Pair, Write, WriteCall, WriteEnd, WriteOutcome, compares_alone};

use crate::store::{Put, Record, StoreError, Version};

/// What a store has of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Its version.
    pub version: Version,
    /// Whether the record is deleted.
    pub tombstone: bool,
}

impl From<&Record> for Seen {
    fn from(record: &Record) -> Self {
        Self { version: record.version, tombstone: record.is_tombstone() }
    }
}

impl Seen {
    fn renamed(self, rename: &mut impl FnMut(Version) -> Version) -> Self {
        Self { version: rename(self.version), ..self }
    }
}

/// A store's answer to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// To a get. `None`: neither a record nor a tombstone.
    Got(Option<Seen>),
    /// To any put.
    Put(Put),
    /// The call failed; it wrote nothing and never will.
    NotApplied,
    /// The call failed; it may have taken effect or may still do so.
    Indeterminate,
}

impl From<&StoreError> for Answer {
    fn from(error: &StoreError) -> Self {
        if error.may_apply() { Self::Indeterminate } else { Self::NotApplied }
    }
}

/// The next step of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperationStep<State, Call, End> {
    /// Make this call and pass its answer to the state. An answer to another kind of call counts as a
    /// failure.
    Call(State, Call),
    /// The operation has ended.
    End(End),
}
