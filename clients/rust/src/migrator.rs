//! Two stores behind one small interface: reads and writes that do what the tenant's rung says.
//!
//! [`rules`] decides, purely, which store is asked next; this module makes the calls, counts them
//! and waits. What is promised: an acknowledged write is never lost, whatever steps the migration
//! takes meanwhile; docs/protocol.md has the rest.
//!
//! - **One decision per operation.** An operation holds its [`watch::Operation`] until its last
//!   store call has ended, so the barrier between two steps sees it. Only a call that ran into
//!   `call_timeout` is given up: it may land later, and whoever steps on waits for such ones.
//! - **Cancelling.** A write whose future is dropped goes on to its end by itself, and so does a
//!   read that is copying; a read that only reads ends at once.
//! - **Overtaken.** An operation that ends to find that its rung must not be live beside the
//!   tenant's present one can't be vouched for. A write is indeterminate then. A read is made anew
//!   under the new decision, [`READS_MAX`] times at most.
//! - **Hold.** An operation waits, before it begins, for at most the policy's `hold_timeout_ms`.
//!
//! **What is counted**, under the revision of the decision and all at once when the operation has
//! ended: each store call with its latency and error, and whether its answer was the caller's. Of reads that the target had a part in, exactly one of `hit` (it has the record), `miss`
//! (only the source had it; with it goes `migrated`, the copy) and `not_found` (no record, or a
//! deleted one); besides, `repaired` when a confirmed read found the target behind. Of writes to
//! both stores, `both_ok`, `only_target_failed` or `only_source_failed` by their puts (the source
//! goes first, so both never fail). `indeterminate` and `not_applied` are writes' answers;
//! `unavailable` is any operation that was held too long, fenced, or a read overtaken for good.

mod calls;
mod error;
mod finish;
mod reading;
pub mod rules;
mod shadow;
mod stamp;
mod writing;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

pub use error::{Cause, ReadError, Unavailable, WriteError};
pub use stamp::{AHEAD_MS, StampError, Stamper, stamp};

use crate::{
    report::{Event, Origin, Outcome, Recorder, StoreRole},
    routing::Rung,
    store::{Id, Store, Version},
    watch::{self, BeginError, Current},
};
use writing::{Intent, Writing};

/// How often a read is made before it gives up because routing overtakes it.
pub const READS_MAX: u32 = 4;

/// What a migrator is made of.
pub struct Parts {
    /// The newest snapshot.
    pub current: Arc<Current>,
    /// Takes the counts.
    pub recorder: Arc<Recorder>,
    /// The migration's key.
    pub migration: String,
    /// Of this process's writer slot; shared by all its migrators.
    pub stamper: Arc<Stamper>,
    /// S.
    pub source: Arc<dyn Store>,
    /// T.
    pub target: Arc<dyn Store>,
    /// How it behaves.
    pub options: Options,
}

/// How a migrator behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Longest wait for one store call. A put that takes longer is indeterminate.
    pub call_timeout: Duration,
    /// Most comparisons under way at a time; further reads are not compared.
    pub shadows_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { call_timeout: Duration::from_secs(5), shadows_max: 64 }
    }
}

/// What a mutation makes of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This is its value now.
    Put(Vec<u8>),
    /// It is no more.
    Delete,
    /// Nothing is written.
    Keep,
}

/// One migration's two stores as one. Cheap to clone; all methods need a tokio runtime.
#[derive(Clone)]
pub struct Migrator {
    inner: Arc<Inner>,
}

struct Inner {
    current: Arc<Current>,
    recorder: Arc<Recorder>,
    migration: String,
    stamper: Arc<Stamper>,
    source: Arc<dyn Store>,
    target: Arc<dyn Store>,
    call_timeout: Duration,
    shadows: Arc<Semaphore>,
}

impl Migrator {
    /// Puts the parts together; touches no store.
    pub fn new(parts: Parts) -> Self {
        let Parts { current, recorder, migration, stamper, source, target, options } = parts;
        let shadows = Arc::new(Semaphore::new(options.shadows_max));
        let call_timeout = options.call_timeout;
        let inner = Inner { current, recorder, migration, stamper, source, target, call_timeout, shadows };
        Self { inner: Arc::new(inner) }
    }

    /// The record's value; `None` when there is none or it was deleted.
    pub async fn get(&self, tenant: &str, key: &str) -> Result<Option<Vec<u8>>, ReadError> {
        for _ in 0..READS_MAX {
            let id = Id::new(tenant, key)?;
            let operation = self.inner.admit(tenant).await?;
            if let Some(answer) = reading::read(&self.inner, operation, id).await {
                return answer;
            }
        }
        self.inner.unavailable(tenant, self.inner.revision(tenant));
        Err(Unavailable::Overtaken(READS_MAX).into())
    }

    /// Writes the whole record, whatever is there; returns the version it got.
    pub async fn put(&self, tenant: &str, key: &str, value: Vec<u8>) -> Result<Version, WriteError> {
        self.overwrite(tenant, key, Some(value)).await
    }

    /// Deletes the record, whether or not it is there, by writing a tombstone.
    pub async fn delete(&self, tenant: &str, key: &str) -> Result<Version, WriteError> {
        self.overwrite(tenant, key, None).await
    }

    /// Reads, applies `change`, and writes only if nobody else has written since; else once more,
    /// so `change` may be called several times and should do nothing but compute. Returns the
    /// version written, or `None` for [`Change::Keep`].
    ///
    /// The comparison is made where writers are put in order: in the source, or in target-only in
    /// the target. So among mutations and puts no update is lost, at any rung and across every
    /// step but the one between target-first and target-only: while both are live, two mutations
    /// of one record, one at each, are ordered like puts, and the later one replaces the other.
    ///
    /// A mutation starts from the newest record in that store, which may be that of a write whose
    /// caller was told "indeterminate": it has then taken effect.
    pub async fn mutate(
        &self,
        tenant: &str,
        key: &str,
        change: impl FnMut(Option<&[u8]>) -> Change + Send + 'static,
    ) -> Result<Option<Version>, WriteError> {
        self.write(tenant, key, Intent::Mutate(Box::new(change))).await
    }

    async fn overwrite(
        &self,
        tenant: &str,
        key: &str,
        value: Option<Vec<u8>>,
    ) -> Result<Version, WriteError> {
        let version = self.write(tenant, key, Intent::Overwrite(value)).await?;
        Ok(version.expect("only a mutation can end without a version: it alone can keep a record"))
    }

    async fn write(&self, tenant: &str, key: &str, intent: Intent) -> Result<Option<Version>, WriteError> {
        let id = Id::new(tenant, key)?;
        let operation = self.inner.admit(tenant).await?;
        let writing = Writing::new(self.inner.clone(), operation, id, intent);
        finish::Finish::new(writing.run()).await
    }
}

impl std::fmt::Debug for Migrator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Migrator").field("migration", &self.inner.migration).finish_non_exhaustive()
    }
}

impl Inner {
    /// Begins an operation, after the hold if there is one.
    async fn admit(&self, tenant: &str) -> Result<watch::Operation, Unavailable> {
        let operation = self.begin(tenant)?;
        if operation.decision.rung != Rung::Hold {
            return Ok(operation);
        }
        let waited_ms = u64::from(operation.policy.hold_timeout_ms);
        // While it waits it is no operation: the step that ends the hold waits for those.
        drop(operation);
        let deadline = Instant::now() + Duration::from_millis(waited_ms);
        loop {
            // Before it is decided anew, or a revision in between would go unheard.
            let mut newer = self.current.subscribe();
            let operation = self.begin(tenant)?;
            if operation.decision.rung != Rung::Hold {
                return Ok(operation);
            }
            let revision = operation.decision.revision;
            drop(operation);
            if timeout_at(deadline, newer.changed()).await.is_err() {
                self.unavailable(tenant, revision);
                return Err(Unavailable::Held { waited_ms });
            }
        }
    }

    fn begin(&self, tenant: &str) -> Result<watch::Operation, Unavailable> {
        self.current.begin(&self.migration, tenant).map_err(|error| {
            if matches!(error, BeginError::Fenced { .. }) {
                self.unavailable(tenant, self.revision(tenant));
            }
            error.into()
        })
    }

    /// Counts an operation that did not begin, or can't be answered for.
    fn unavailable(&self, tenant: &str, revision: u64) {
        let origin = Origin { migration: &self.migration, revision, tenant: Some(tenant) };
        self.recorder.record(origin, &[Outcome::Event(Event::Unavailable)]);
    }

    /// What an operation that does not begin is counted under. 0: there is no decision.
    fn revision(&self, tenant: &str) -> u64 {
        self.current.decide(&self.migration, tenant).map_or(0, |decision| decision.revision)
    }

    fn overtaken(&self, operation: &watch::Operation, id: &Id) -> bool {
        operation.overtaken(&self.current, &self.migration, &id.tenant)
    }

    fn store(&self, role: StoreRole) -> &dyn Store {
        match role {
            StoreRole::Source => &*self.source,
            StoreRole::Target => &*self.target,
        }
    }
}
