//! Where the controller's state is kept: seven verbs, one suite for every backend; and [`WindowStore`], two
//! more for what was reported.
//!
//! A commit is one transaction: it claims the next revision, checks that the migration is the one
//! that was read, writes its document and rows, and appends the event. The events are the change
//! feed and the audit trail; replaying them gives the live state.

pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod windows;

use std::{fmt, path::Path, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::domain::{Event, Key, Migration, PassCounts};

pub use windows::{Counted, HeardRecord, WindowQuery, WindowStore};

/// Everything at one revision.
#[derive(Clone, Debug)]
pub struct State {
    /// Newest committed revision; 0 when nothing was.
    pub revision: u64,
    /// Drawn when the store was created: tells this history from another one's.
    pub history_id: String,
    /// All migrations, with their rows.
    pub migrations: Vec<Migration>,
    /// All registered instances.
    pub instances: Vec<InstanceRecord>,
    /// How far passes under way are.
    pub passes: Vec<PassRecord>,
    /// How far endpoints of notifications have got.
    pub cursors: Vec<CursorRecord>,
    /// The last report of each instance that windows have.
    pub heard: Vec<HeardRecord>,
    /// What the controller's steady clock showed last. 0: nothing was kept.
    pub steady_ms: u64,
    /// It was restored from a backup, and migrations are not held for it yet: how. `None`: it was not.
    pub restored: Option<String>,
}

/// A change to be committed.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The migration's revision that the change was made from; `None`: there must be none.
    pub expected: Option<u64>,
    /// What to write and append. `event.revision` must be the newest revision plus one.
    pub event: Event,
}

/// A page of the history, newest first.
#[derive(Clone, Debug, Default)]
pub struct HistoryQuery {
    /// Of one migration only.
    pub key: Option<Key>,
    /// Only the change that this request made.
    pub request_id: Option<String>,
    /// Revisions below this.
    pub before: Option<u64>,
    /// At most this many.
    pub limit: u32,
}

/// What has to survive a restart of one instance, so that a barrier knows whom to ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRecord {
    /// What operators see. Meant to be one process's at a time.
    pub instance_id: String,
    /// Whose instance.
    pub service: String,
    /// Name and version of the SDK.
    pub sdk: String,
    /// Backfill, verify or reverse, and no service.
    pub worker: bool,
    /// 0..=4095, of this instance alone.
    pub writer_slot: u16,
    /// Which function makes its tenants; empty: not said.
    pub tenant_fingerprint: String,
    /// Drawn by its process. 0: not said.
    #[serde(default)]
    pub incarnation: u64,
    /// Drawn when it became a member: one that comes back after it was given up gets another.
    #[serde(default)]
    pub admission: u64,
    /// How long its last calls may take, once its right to act has ended. 0: not said.
    #[serde(default)]
    pub drain_ms: u32,
    /// How long its file may be used after it was last heard. 0: it keeps none.
    #[serde(default)]
    pub file_valid_ms: u32,
    /// It has said goodbye, and has left a file.
    #[serde(default)]
    pub parked: bool,
    /// Its right to act has expired; where it can expire, nobody waits for it any more.
    #[serde(default)]
    pub counted_out: bool,
    /// It has received this revision, which let the right to act expire. 0: none that is known.
    #[serde(default)]
    pub fence_heard: u64,
}

/// What the ids of [`InstanceRecord::callers`] begin with. No instance's id has this sign.
const CALLERS: &str = "#callers:";

impl InstanceRecord {
    /// Stands for all who ever asked for a decision of a migration over the network: after a restart it has
    /// to be known that there may be some.
    pub fn callers(key: &Key) -> Self {
        Self { instance_id: format!("{CALLERS}{key}"), ..Self::default() }
    }

    /// The migration, if it stands for callers.
    pub fn callers_of(&self) -> Option<&str> {
        self.instance_id.strip_prefix(CALLERS)
    }

    /// A name that no other process has.
    pub fn label(&self) -> String {
        label(&self.instance_id, self.incarnation)
    }
}

/// The name of one process among all that ever had an id.
pub fn label(instance_id: &str, incarnation: u64) -> String {
    match incarnation {
        0 => instance_id.to_owned(),
        // No id has this sign.
        incarnation => format!("{instance_id}#{incarnation:x}"),
    }
}

/// How far a pass is: what has to survive a restart, so that no worker begins anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassRecord {
    /// The job's id.
    pub id: String,
    /// Its segments, in order.
    pub segments: Vec<SegmentRecord>,
    /// Limits of all workers together.
    pub tuning: Tuning,
    /// Some differences, values redacted.
    pub samples: Vec<String>,
    /// Some of what it has left in the store that it writes.
    #[serde(default)]
    pub witnesses: Vec<Witness>,
    /// So many were told.
    #[serde(default)]
    pub witnessed: u64,
    /// The source's table, as the first worker told.
    #[serde(default)]
    pub source: Option<TableIdentity>,
    /// The target's.
    #[serde(default)]
    pub target: Option<TableIdentity>,
}

/// Which table a store of a migration is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableIdentity {
    /// Equal for the same table only.
    pub id: String,
    /// For people.
    pub place: String,
}

/// A record that a pass has written to a store, or found there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Whose it is.
    pub tenant: String,
    /// Which one.
    pub key: String,
    /// It had this version.
    pub version: u64,
}

/// How far one segment is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRecord {
    /// Everything before it is done; opaque. Empty: nothing is.
    pub cursor: Vec<u8>,
    /// All of it is done.
    pub done: bool,
    /// From its beginning.
    pub counts: PassCounts,
}

/// Limits of a pass, changed while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuning {
    /// Nobody reads or writes.
    pub paused: bool,
    /// 0: none.
    pub records_per_s: u64,
    /// 0: none.
    pub bytes_per_s: u64,
}

/// How far an endpoint of notifications has got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorRecord {
    /// The endpoint's name.
    pub endpoint: String,
    /// Every event up to it was told, dropped, or of a kind that is not told. 0: none was.
    pub revision: u64,
}

/// What has to survive a restart and is no change of a migration.
#[derive(Clone, Debug, Default)]
pub struct Upkeep {
    /// Instances that registered, or did so otherwise before.
    pub put_instances: Vec<InstanceRecord>,
    /// Labels of those that are gone: [`InstanceRecord::label`].
    pub remove_instances: Vec<String>,
    /// Passes that went on.
    pub put_passes: Vec<PassRecord>,
    /// Ids of those that ended.
    pub remove_passes: Vec<String>,
    /// Endpoints that got further.
    pub put_cursors: Vec<CursorRecord>,
    /// Names of those that nobody names any more.
    pub remove_cursors: Vec<String>,
    /// What the controller's steady clock shows; an earlier time than the one kept changes nothing.
    pub steady_ms: Option<u64>,
    /// Every migration is held for the restore: [`State::restored`] is told no more.
    pub forget_restored: bool,
}

/// What a store could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The revision or the migration is not the one that was read: read again.
    #[error("somebody else changed it first: read it again")]
    Conflict,
    /// Not now; what was asked may be tried again. For a commit: nothing was written.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The answer was lost: what was to be written may be there or not, or may still come. A retry of a
    /// change with the same request id finds its first answer.
    #[error("unknown outcome: the change may be committed or not ({0}); retry it with the same --request-id")]
    Unknown(String),
    /// What is stored can't be read. Nothing is guessed or repaired.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
}

/// Why a store could not be opened. Each message is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// What was asked for is no store, or none that this build has.
    #[error("{0}")]
    Url(String),
    /// Nothing can be kept at that place.
    #[error("{0}")]
    Place(String),
    /// Something of another program is there.
    #[error("{0}")]
    Foreign(String),
    /// Written by a newer version.
    #[error("{0}")]
    Newer(String),
    /// Somebody else holds it.
    #[error("{0}")]
    Locked(String),
    /// What is stored can't be read. Nothing is guessed or repaired.
    #[error("{0}")]
    Corrupt(String),
    /// Not now.
    #[error("{0}")]
    Unavailable(String),
}

/// Opens the store that a URL names: `sqlite:PATH`.
pub async fn open_store(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err(OpenError::Url(format!("{url:?} names no store: give sqlite:PATH")));
    };
    match scheme {
        #[cfg(feature = "sqlite")]
        "sqlite" => Ok(Arc::new(sqlite::SqliteStore::open(rest).await?)),
        known if ["sqlite", "postgres", "mysql", "dynamodb"].contains(&known) => {
            let has = if cfg!(feature = "sqlite") { "sqlite:PATH" } else { "none at all" };
            Err(OpenError::Url(format!("this build has no {known} store: it has {has}")))
        }
        _ => Err(OpenError::Url(format!("{scheme:?} is no store: give sqlite:PATH"))),
    }
}

/// A controller's claim to a store. Dropped, or with its process, it ends.
#[derive(Debug)]
pub struct Hold {
    _lock: Option<std::fs::File>,
}

/// Claims a store for this controller, before anything of it is read or written. A second one is refused
/// where the store has no other way to keep two apart. `holder`: who this is, for the one that is refused.
pub fn hold_store(url: &str, holder: &str) -> Result<Hold, OpenError> {
    match url.split_once(':') {
        #[cfg(feature = "sqlite")]
        Some(("sqlite", path)) => {
            let path = sqlite::check_place(path.as_ref())?;
            Ok(Hold { _lock: Some(sqlite::hold(&path, holder)?) })
        }
        // Opening it says what is wrong.
        _ => Ok(Hold { _lock: None }),
    }
}

/// Makes a store of a backup's file, with a history of its own. No controller may run on it, and there must
/// be nothing at its place.
pub async fn restore_store(url: &str, file: &Path) -> Result<(), OpenError> {
    let _hold = hold_store(url, "cutover restore")?;
    match url.split_once(':') {
        #[cfg(feature = "sqlite")]
        Some(("sqlite", path)) => sqlite::restore(path.as_ref(), file).await,
        _ => open_store(url).await.and_then(|_| {
            Err(OpenError::Url(format!("{url:?} is restored by its own tools: give sqlite:PATH")))
        }),
    }
}

/// A place that keeps the controller's state.
#[async_trait]
pub trait Store: WindowStore + fmt::Debug + Send + Sync {
    /// Everything, at one revision.
    async fn snapshot(&self) -> Result<State, Error>;

    /// Events after a revision, in order and without holes, at most `limit` of them.
    async fn changes(&self, since: u64, limit: u32) -> Result<Vec<Event>, Error>;

    /// Commits one change, whole or not at all; durable when it returns.
    async fn commit(&self, commit: &Commit) -> Result<(), Error>;

    /// Past events, newest first, without their rows.
    async fn history(&self, query: &HistoryQuery) -> Result<Vec<Event>, Error>;

    /// Puts and removes instances, passes and cursors, all or none; durable when it returns.
    async fn keep(&self, upkeep: &Upkeep) -> Result<(), Error>;

    /// Writes a copy of everything at one revision to a file that is not there yet.
    async fn backup(&self, into: &Path) -> Result<(), Error> {
        let path = into.display();
        Err(Error::Unavailable(format!("this store has no file to copy to {path}: use its own tools")))
    }

    /// Does it answer?
    async fn ping(&self) -> Result<(), Error>;
}
