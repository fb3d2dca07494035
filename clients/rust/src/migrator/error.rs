//! Errors of reads and writes.

use crate::{
    report::StoreRole,
    routing,
    store::{IdError, StoreError, document::DocumentError},
    watch::{BeginError, HoldError},
};

/// Why an operation did not begin, or why its result can't be guaranteed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The tenant is between two rungs and did not reach the next one in time.
    #[error("tenant is on hold, waited {waited_ms} ms: retry; a hold ends with the controller's next step")]
    Held {
        /// The policy's `hold_timeout_ms`.
        waited_ms: u64,
    },
    /// There is no snapshot, the client is fenced, or the migration does not exist.
    #[error(transparent)]
    Begin(BeginError),
    /// Routing moved on by more than one step during each attempt of the read.
    #[error("routing overtook this read {0} times: retry")]
    Overtaken(u32),
}

/// Why a read failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A store failed that this rung needs. A retry is safe.
    #[error("read failed at the {}: {error}", name(*.store))]
    Failed {
        /// Which one.
        store: StoreRole,
        /// Its error.
        #[source]
        error: StoreError,
    },
    /// Nothing was read, or the result can't be guaranteed.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The tenant or the key is invalid.
    #[error(transparent)]
    Invalid(#[from] IdError),
    /// [`super::Migrator::list`] at a store that does not order keys by their bytes. A retry fails too.
    #[error(
        "list is refused, because the {} does not order keys by their bytes: it has {order}. Use query, or read single \
         records (docs/guides/queries.md, \"Lists\", has the keys that can be listed)",
        name(*.store)
    )]
    CantList {
        /// Which one.
        store: StoreRole,
        /// Its order.
        order: String,
    },
    /// The record does not fit the type that it was read as. A retry fails too.
    #[error("the record can't be read as this type: {0}")]
    Value(#[source] DocumentError),
    /// A record of a list does not fit the type that it was read as. A retry fails too.
    #[error("record {key:?} can't be read as this type: {error}")]
    ValueOf {
        /// Its key.
        key: String,
        /// What does not fit.
        #[source]
        error: DocumentError,
    },
}

/// Why a write was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// It has not taken effect and never will; a retry is safe.
    #[error("not applied: {0}")]
    NotApplied(Cause),
    /// It may have taken effect, or may still do so. A retry is a new write.
    #[error("indeterminate: {0}")]
    Indeterminate(Cause),
    /// Nothing was begun; a retry is safe.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The tenant or the key is invalid.
    #[error(transparent)]
    Invalid(#[from] IdError),
    /// No transaction can have these writes. Nothing was begun; a retry fails too.
    #[error(transparent)]
    Writes(#[from] WritesError),
    /// The value can't be stored as a document, or the record does not fit the type of the mutation. Nothing was
    /// written; a retry fails too.
    #[error("nothing was written: {0}")]
    Value(#[source] DocumentError),
}

/// How many records a transaction has at most: what DynamoDB writes at once.
pub const TRANSACT_MAX: usize = 100;

/// How many bytes they have at most, keys and values together: the same.
pub const TRANSACT_MAX_BYTES: usize = 4_000_000;

/// Writes that no transaction can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WritesError {
    /// There are none.
    #[error("a transaction needs at least one write")]
    Empty,
    /// More than [`TRANSACT_MAX`].
    #[error("a transaction has at most {TRANSACT_MAX} writes, and got {0}: make several transactions")]
    TooMany(usize),
    /// More than [`TRANSACT_MAX_BYTES`].
    #[error(
        "a transaction has at most {TRANSACT_MAX_BYTES} bytes of keys and values, and got {0}: make several \
         transactions"
    )]
    TooLarge(usize),
    /// Two writes of one record.
    #[error("a transaction writes each record once, and got key {0:?} twice: give the last value alone")]
    Twice(String),
}

/// What prevented the acknowledgement of a write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// A store failed.
    #[error("at the {}: {error}", name(*.store))]
    Store {
        /// Which one.
        store: StoreRole,
        /// Its error.
        #[source]
        error: StoreError,
    },
    /// Routing moved on by more than one step meanwhile, or the controller had given this instance up.
    #[error("routing has overtaken it")]
    Overtaken,
    /// Other writers wrote the same record at every attempt.
    #[error("others wrote the same record {0} times meanwhile: retry later")]
    Contended(u32),
    /// `put_if` at target-first, where another instance may be at target-only already.
    #[error(
        "put_if is refused at target-first, because another instance may write at target-only already: {0}"
    )]
    BesideTargetOnly(RefusedUntil),
    /// The record would expire while older writes of it may still arrive. A retry fails too.
    #[error(
        "{attribute} is {short_ms} ms too early: a record has to live at least {least_s} s from now on. Give it a later \
         expiry, or delete it"
    )]
    ExpiresTooSoon {
        /// The attribute that says when it expires.
        attribute: String,
        /// How long it has to live: [`crate::store::Ttl::least`].
        least_s: u64,
        /// How much later it would have to expire.
        short_ms: u64,
    },
    /// No version could be stamped.
    #[error(transparent)]
    Stamp(#[from] super::StampError),
}

/// What has to happen before `put_if` is possible again at target-first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedUntil {
    /// The policy `local_guard` is off.
    #[error("retry at another stage, or turn the local guard on: cutover guards KEY --local on")]
    LocalGuard,
    /// The tenant comes from target-only: the source may lack records.
    #[error(
        "retry once a reverse pass is done and the local guard is on, or at another stage: cutover reverse SPEC"
    )]
    ReversePass,
    /// Level linearizable has no local guard.
    #[error("retry at another stage, because level linearizable has no local guard")]
    AnotherStage,
}

impl From<BeginError> for Unavailable {
    fn from(error: BeginError) -> Self {
        Self::Begin(error)
    }
}

impl From<HoldError> for Unavailable {
    fn from(error: HoldError) -> Self {
        match error {
            HoldError::Begin(error) => Self::Begin(error),
            HoldError::Held { waited_ms, .. } => Self::Held { waited_ms },
        }
    }
}

impl Unavailable {
    /// Whether the migration does not exist here, rather than being temporarily unusable.
    pub const fn is_unknown_migration(&self) -> bool {
        matches!(self, Self::Begin(BeginError::Routing(routing::Error::UnknownMigration(_))))
    }
}

const fn name(store: StoreRole) -> &'static str {
    match store {
        StoreRole::Source => "source",
        StoreRole::Target => "target",
    }
}
