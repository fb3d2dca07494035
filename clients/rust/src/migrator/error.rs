//! How reads and writes fail.

use crate::{
    report::StoreRole,
    routing,
    store::{IdError, StoreError},
    watch::BeginError,
};

/// Why an operation did not begin, or can't be answered for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The tenant is between two rungs and did not get to the next one in time.
    #[error("tenant is on hold, waited {waited_ms} ms: retry; a hold ends with the controller's next step")]
    Held {
        /// The policy's `hold_timeout_ms`.
        waited_ms: u64,
    },
    /// No snapshot, fenced, or no such migration.
    #[error(transparent)]
    Begin(BeginError),
    /// Routing moved on by more than a step during the read, again and again.
    #[error("routing overtook this read {0} times: retry")]
    Overtaken(u32),
}

/// Why there is no answer to a read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// A store failed that this rung can't do without. A retry is safe.
    #[error("read failed at the {}: {error}", name(*.store))]
    Failed {
        /// Which one.
        store: StoreRole,
        /// What it said.
        #[source]
        error: StoreError,
    },
    /// Nothing was asked, or the answer can't be vouched for.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The tenant or the key can't be.
    #[error(transparent)]
    Invalid(#[from] IdError),
}

/// Why a write is not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// It has not taken effect and never will: safe to retry.
    #[error("not applied: {0}")]
    NotApplied(Cause),
    /// It may have taken effect, or may do so later. A retry is a new write.
    #[error("indeterminate: {0}")]
    Indeterminate(Cause),
    /// Nothing was begun: safe to retry.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The tenant or the key can't be.
    #[error(transparent)]
    Invalid(#[from] IdError),
}

/// What kept a write from being acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// A store failed.
    #[error("at the {}: {error}", name(*.store))]
    Store {
        /// Which one.
        store: StoreRole,
        /// What it said.
        #[source]
        error: StoreError,
    },
    /// Routing moved on by more than a step meanwhile, or the controller had given this instance up.
    #[error("routing has overtaken it")]
    Overtaken,
    /// Others wrote the same record every time.
    #[error("others wrote the same record {0} times meanwhile: retry later")]
    Contended(u32),
    /// No version could be given.
    #[error(transparent)]
    Stamp(#[from] super::StampError),
}

impl From<BeginError> for Unavailable {
    fn from(error: BeginError) -> Self {
        Self::Begin(error)
    }
}

impl Unavailable {
    /// Is it that there is no such migration here, rather than one that can't be used now?
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
