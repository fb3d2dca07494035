//! Where the controller's state is stored: one trait, one suite for every backend; [`WindowStore`] for what was
//! reported, and [`TokenStore`] for who may call.
//!
//! A commit is one transaction. It claims the next revision, checks that the migration is at the revision
//! that was read, writes its document and rows, and appends the event. The events are both the change feed
//! and the audit trail; replaying them yields the live state.
//! Old events are dropped: see [`Store::compact`].

mod chain;
mod compaction;
#[cfg(feature = "dynamodb")]
mod dynamodb;
#[cfg(any(feature = "dynamodb", feature = "mysql", feature = "postgres", feature = "sqlite"))]
mod entry;
mod instance;
mod lease;
pub mod memory;
#[cfg(feature = "mysql")]
mod mysql;
mod open;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod server;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod tokens;
mod windows;

use std::{fmt, path::Path, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::domain::{Event, Finding, Key, Migration, PassCounts, TableIdentity};

pub use chain::{ChainPage, ChainState, ChainedEvent};
pub use compaction::{Compacted, Dropped, Expired};
pub use instance::{ALL_FREE_SLOTS, InstanceRecord, label, resting_slot};
pub use lease::{CALL, ENDING, Leader, Lease, SILENT, Seat, SeatStore, TRUSTED, Term};
pub use open::{Hold, hold_store, inspect_store, open_store, restore_store, shown_store};
pub use tokens::{PreviousToken, TOKEN_EVENTS_MAX, TokenChange, TokenEvent, TokenRecord, TokenStore};
pub use windows::{Counted, HeardRecord, WindowQuery, WindowStore};

/// Everything at one revision.
#[derive(Clone, Debug)]
pub struct StoredState {
    /// Newest committed revision; 0 if there is none.
    pub revision: u64,
    /// Drawn when the store was created; distinguishes this history from others.
    pub history_id: String,
    /// All migrations, with their rows.
    pub migrations: Vec<Migration>,
    /// All registered instances.
    pub instances: Vec<InstanceRecord>,
    /// Progress of running passes.
    pub passes: Vec<PassRecord>,
    /// Positions of notification endpoints.
    pub cursors: Vec<CursorRecord>,
    /// For each instance, the last report that is in the windows.
    pub heard: Vec<HeardRecord>,
    /// The last stored reading of the controller's steady clock. 0: none.
    pub steady_ms: u64,
    /// How the store was restored from a backup, if migrations are not held for that yet. `None`: it was not.
    pub restored: Option<String>,
    /// That was found out from an instance that holds more than the store had: somebody put its files back.
    pub put_back: bool,
    /// Known to this store and its copies alone.
    pub seal_key: String,
}

/// A change to be committed.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The migration's revision that the change is based on; `None`: the migration must not exist.
    pub expected: Option<u64>,
    /// What to write and append. `event.revision` must be the newest revision plus one.
    pub event: Event,
}

/// A page of the history, newest first.
#[derive(Clone, Debug, Default)]
pub struct HistoryQuery {
    /// Only events of this migration.
    pub key: Option<Key>,
    /// Only the event of this request.
    pub request_id: Option<String>,
    /// Revisions below this.
    pub before: Option<u64>,
    /// At most this many.
    pub limit: u32,
}

/// The progress of a pass: what has to survive a restart, so that no worker starts over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassRecord {
    /// The job's id.
    pub id: String,
    /// Its segments, in order.
    pub segments: Vec<SegmentRecord>,
    /// Limits of all workers together.
    pub tuning: Tuning,
    /// Why records differ or could not be moved.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Sample records that the pass left in the store that it writes.
    #[serde(default)]
    pub witnesses: Vec<Witness>,
    /// Number of witnesses reported so far.
    #[serde(default)]
    pub witnessed: u64,
    /// The source's table, from the first worker.
    #[serde(default)]
    pub source: Option<TableIdentity>,
    /// The target's table.
    #[serde(default)]
    pub target: Option<TableIdentity>,
}

/// A record that a pass wrote to a store, or found there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Its tenant.
    pub tenant: String,
    /// Its key.
    pub key: String,
    /// Its version at that time.
    pub version: u64,
}

/// The progress of one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRecord {
    /// Everything before it is done; opaque. Empty: nothing is done.
    pub cursor: Vec<u8>,
    /// The whole segment is done.
    pub done: bool,
    /// Counts since its beginning.
    pub counts: PassCounts,
}

/// Limits of a pass, changed while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuning {
    /// Nobody reads or writes while true.
    pub paused: bool,
    /// 0: no limit.
    pub records_per_s: u64,
    /// 0: no limit.
    pub bytes_per_s: u64,
}

/// The position of a notification endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorRecord {
    /// The endpoint's name.
    pub endpoint: String,
    /// Every event up to this one was sent, dropped, or of a kind that is not sent. 0: none.
    pub revision: u64,
}

/// State that has to survive a restart and is not a change of a migration.
#[derive(Clone, Debug, Default)]
pub struct Upkeep {
    /// Instances that registered, or whose record changed.
    pub put_instances: Vec<InstanceRecord>,
    /// Labels of instances that are gone: [`InstanceRecord::label`].
    pub remove_instances: Vec<String>,
    /// Passes with new progress.
    pub put_passes: Vec<PassRecord>,
    /// Ids of passes that ended.
    pub remove_passes: Vec<String>,
    /// Endpoints with new positions.
    pub put_cursors: Vec<CursorRecord>,
    /// Names of endpoints that are no longer configured.
    pub remove_cursors: Vec<String>,
    /// The reading of the controller's steady clock; an earlier time than the stored one changes nothing.
    pub steady_ms: Option<u64>,
    /// Every migration is held because of the restore, so [`StoredState::restored`] need not be reported again.
    pub forget_restored: bool,
    /// It turned out that the store was restored, and how: its history is another one from now on, and
    /// [`StoredState::restored`] is told, and so is [`StoredState::put_back`].
    pub begin_history: Option<String>,
}

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The revision or the migration has changed since it was read: read again.
    #[error("somebody else changed it first: read it again")]
    Conflict,
    /// The store is unavailable; try again. For a commit: nothing was written.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The answer was lost: the change may be written or not, or may still be written. A retry of a change
    /// with the same request id finds its first answer.
    #[error("unknown outcome: the change may be committed or not ({0}); retry it with the same --request-id")]
    Unknown(String),
    /// Stored data can't be read. Nothing is guessed or repaired.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// Events that were asked for are not kept any more.
    #[error("the history begins after revision {0}: earlier events were dropped")]
    Dropped(u64),
    /// A copy of the store was asked for, and it is no file.
    #[error(
        "the controller's store is no file: back it up with its server's own tools, like pg_dump \
         (docs/guides/replicas.md)"
    )]
    NoFile,
}

/// Why a store could not be opened. Each message is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is not a store's, or this build does not include the store.
    #[error("{0}")]
    Url(String),
    /// Nothing can be stored at that place.
    #[error("{0}")]
    Place(String),
    /// The file belongs to another program.
    #[error("{0}")]
    Foreign(String),
    /// A newer version wrote it.
    #[error("{0}")]
    Newer(String),
    /// Another process holds it.
    #[error("{0}")]
    Locked(String),
    /// Another controller holds it.
    #[error(
        "{store} is in use by another controller ({who}): two would not wait for each other's instances. Stop that one \
         first, or give this one another --store"
    )]
    InUse {
        /// The file.
        store: String,
        /// Who holds it.
        who: String,
    },
    /// Stored data can't be read. Nothing is guessed or repaired.
    #[error("{0}")]
    Corrupt(String),
    /// Temporarily unavailable.
    #[error("{0}")]
    Unavailable(String),
}

#[cfg(any(feature = "dynamodb", feature = "mysql", feature = "postgres"))]
impl OpenError {
    /// Nobody has made the tables or items yet.
    pub(in crate::store) fn unmade(place: &str) -> Self {
        Self::Foreign(format!(
            "{place} has nothing of cutover yet: cutover serve --store makes it at its first start"
        ))
    }
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        match error {
            Error::Corrupt(how) => Self::Corrupt(how),
            error => Self::Unavailable(error.to_string()),
        }
    }
}

/// What was found in a store without opening it for writes.
#[derive(Clone, Debug)]
pub enum Inspected {
    /// A file on this machine.
    File {
        /// The version of its tables.
        schema: i64,
        /// The version that this program makes.
        known: i64,
        /// Newest committed revision.
        revision: u64,
        /// Its size.
        bytes: u64,
        /// What its disk has left.
        free_bytes: u64,
    },
    /// A database or a table that several controllers share.
    Shared {
        /// The version of its tables, and the one that this program makes. `None`: it has no tables of several versions.
        schema: Option<(i64, i64)>,
        /// What the newest program that has led there writes, and what this one does.
        format: (u64, u64),
        /// Newest committed revision.
        revision: u64,
        /// Who leads.
        leader: Leader,
        /// Whether the leader has renewed its lease while somebody looked.
        is_renewed: bool,
    },
}

impl Inspected {
    /// Newest committed revision.
    pub const fn revision(&self) -> u64 {
        let (Self::File { revision, .. } | Self::Shared { revision, .. }) = self;
        *revision
    }
}

/// A store of the controller's state.
#[async_trait]
pub trait Store: WindowStore + TokenStore + fmt::Debug + Send + Sync {
    /// Everything, at one revision.
    async fn snapshot(&self) -> Result<StoredState, Error>;

    /// Events after a revision, in order and without gaps, at most `limit` of them. [`Error::Dropped`] if some
    /// are no longer kept.
    async fn changes(&self, since: u64, limit: u32) -> Result<Vec<Event>, Error>;

    /// Commits one change, whole or not at all; durable when it returns.
    async fn commit(&self, commit: &Commit) -> Result<(), Error>;

    /// Past events, newest first, without their rows.
    async fn history(&self, query: &HistoryQuery) -> Result<Vec<Event>, Error>;

    /// Past events after a revision, oldest first, from the first that is kept, with what proves them.
    async fn chain(&self, after: u64, limit: u32) -> Result<ChainPage, Error>;

    /// Drops the beginning of the history, in one bounded step: events that have expired and that every
    /// notification endpoint has received. A store without this keeps everything.
    async fn compact(&self, expired: &Expired) -> Result<Compacted, Error> {
        let _ = expired;
        Ok(Compacted::default())
    }

    /// Which events were dropped.
    async fn dropped(&self) -> Result<Dropped, Error> {
        Ok(Dropped::default())
    }

    /// Stores and removes instances, passes and cursors, all or none; durable when it returns.
    async fn keep(&self, upkeep: &Upkeep) -> Result<(), Error>;

    /// Writes a copy of everything at one revision to a file that does not exist yet.
    async fn backup(&self, into: &Path) -> Result<(), Error> {
        let _ = into;
        Err(Error::NoFile)
    }

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), Error>;

    /// The lease of a store that several controllers share: nothing is written by one that does not hold it. `None`: one
    /// controller has the store alone.
    fn lease(&self) -> Option<Arc<Lease>> {
        None
    }
}
