//! Two stores behind one small interface: reads and writes that follow the tenant's rung.
//!
//! [`rules`] decides, purely, which store is called next; this module makes the calls, counts them and waits.
//! The promise: an acknowledged write is never lost, whatever steps the migration takes meanwhile.
//! docs/protocol.md has the details.
//!
//! - **One decision per operation.** An operation holds its [`watch::Operation`] until its last store call
//!   has ended, so the barrier between two steps sees it. Only a call that exceeds `call_timeout` is
//!   abandoned: it may land later, and the next step waits for such calls.
//! - **Canceling.** If the future of a write is dropped, the write continues to its end in the background.
//!   So does a read that is copying; a read that only reads ends at once.
//! - **Overtaken.** When an operation ends, its rung may be one that must not be live beside the tenant's
//!   current rung. Its result can't be guaranteed then: a write is indeterminate, and a read is repeated
//!   under the new decision, at most [`READS_MAX`] times.
//! - **Values.** [`Migrator::get`], [`Migrator::put`] and [`Migrator::mutate`] convert your own types to documents
//!   ([`crate::store::document::typed`]). Their `_bytes` twins leave the content alone.
//! - **Compare first.** [`Migrator::put_if`] writes if the content is what its caller expects.
//! - **Several records.** [`Migrator::get_many`] reads records as [`Migrator::get`] does, in few store calls.
//!   [`Migrator::list`] reads those of a range of keys so, page by page.
//!   [`Migrator::transact`] writes several, each store all at once.
//!   [`Migrator::query`] tells which store has a tenant's records, for queries of your own.
//! - **Expiry.** [`Migrator::with_ttl`]: what has expired is not found, and stores may remove it.
//! - **Hold.** Before it begins, an operation waits for at most the policy's `hold_timeout_ms`.
//!
//! **What is counted**, under the revision of the decision, and all at once when the operation has ended:
//!
//! - Each store call with its latency and error, and whether its answer was returned to the caller.
//! - Of reads that involved the target, exactly one of `hit` (it has the record), `miss` (only the source had
//!   it; then `migrated` counts the copy) and `not_found` (no record, or a deleted one). In addition
//!   `repaired`, if a confirmed read found that the target was behind. `get_many` counts each record.
//!   `list` counts a page once, as `miss` if it had one, else as `hit` if it had one; `migrated` counts each copy.
//! - Of writes to both stores, `both_ok`, `only_target_failed` or `only_source_failed`, by their puts. The
//!   source goes first, so both never fail.
//!   `transact` is one write, and each of its calls to a store as well.
//! - `indeterminate` and `not_applied` are outcomes of writes. `unavailable` is any operation that was held
//!   too long or fenced, and a read that was overtaken too often.

mod calls;
mod error;
mod expiring;
mod finish;
mod listing;
mod many;
mod put_if;
mod querying;
mod reading;
pub mod rules;
mod shadow;
mod transacting;
mod typed;
mod writing;

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

pub use crate::stamp::{AHEAD_MS, StampError, Stamper, stamp};
pub use error::{
    Cause, ReadError, RefusedUntil, TRANSACT_MAX, TRANSACT_MAX_BYTES, Unavailable, WriteError, WritesError,
};
pub use listing::{LIST_MAX, Listing};
pub use put_if::PutIf;
pub use transacting::Writes;

use crate::{
    report::{Event, Origin, Outcome, Recorder, StoreRole},
    store::{Id, Store, Ttl, Version},
    watch::{self, BeginError, Current, HoldError},
};
use writing::{Intent, MutateFn, Writing, Written};

/// How many times a read is made before it gives up because routing overtakes it.
pub const READS_MAX: u32 = 4;

/// The parts of a migrator.
pub struct Parts {
    /// The newest snapshot.
    pub current: Arc<Current>,
    /// Receives the counts.
    pub recorder: Arc<Recorder>,
    /// The migration's key.
    pub migration: String,
    /// Stamps versions with this process's writer slot; shared by all its migrators.
    pub stamper: Arc<Stamper>,
    /// The source store.
    pub source: Arc<dyn Store>,
    /// The target store.
    pub target: Arc<dyn Store>,
    /// Its options.
    pub options: Options,
}

/// Options of a migrator; see [`Migrator::with_options`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Longest wait for one store call. A put that takes longer is indeterminate.
    pub call_timeout: Duration,
    /// Maximum number of concurrent comparisons; further reads are not compared.
    pub shadows_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { call_timeout: Duration::from_secs(5), shadows_max: 64 }
    }
}

/// The result of a mutation, of a value or of raw bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit<T = Vec<u8>> {
    /// Write this value.
    Put(T),
    /// Delete the record.
    Delete,
    /// Write nothing.
    Keep,
}

/// The two stores of a migration as one. Cheap to clone; all methods need a tokio runtime.
#[derive(Clone)]
pub struct Migrator {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    current: Arc<Current>,
    recorder: Arc<Recorder>,
    migration: String,
    stamper: Arc<Stamper>,
    source: Arc<dyn Store>,
    target: Arc<dyn Store>,
    call_timeout: Duration,
    shadows: Arc<Semaphore>,
    ttl: Option<Ttl>,
}

impl Migrator {
    /// Creates a migrator; calls no store.
    pub fn new(parts: Parts) -> Self {
        let Parts { current, recorder, migration, stamper, source, target, options } = parts;
        let shadows = Arc::new(Semaphore::new(options.shadows_max));
        let call_timeout = options.call_timeout;
        let ttl = None;
        let inner =
            Inner { current, recorder, migration, stamper, source, target, call_timeout, shadows, ttl };
        Self { inner: Arc::new(inner) }
    }

    /// The same migrator with other options.
    ///
    /// ```
    /// # use cutover_client::{routing::Rung, testing::{FakeController, MemoryStore}};
    /// # let client = FakeController::at("orders", Rung::Dual).client();
    /// use std::time::Duration;
    ///
    /// use cutover_client::migrator::Options;
    ///
    /// let options = Options { call_timeout: Duration::from_secs(1), ..Options::default() };
    /// let orders = client.migrator("orders", MemoryStore::new(), MemoryStore::new()).with_options(options);
    /// ```
    pub fn with_options(mut self, options: Options) -> Self {
        let inner = Arc::make_mut(&mut self.inner);
        inner.call_timeout = options.call_timeout;
        inner.shadows = Arc::new(Semaphore::new(options.shadows_max));
        self
    }

    /// The same migrator of records that expire. [`Client::migrator_from_spec`](crate::Client::migrator_from_spec) sets
    /// this from the spec's key `ttl`. All processes of the migration have to have it before anybody leaves
    /// source-only, and before a store removes records.
    ///
    /// - An expired record is not found, whether or not a store still has it.
    /// - A write whose record expires sooner than [`Ttl::least`] is refused ([`Cause::ExpiresTooSoon`]).
    /// - At target-first reads go by the target alone, which a full pass has completed.
    pub fn with_ttl(mut self, ttl: Ttl) -> Self {
        Arc::make_mut(&mut self.inner).ttl = Some(ttl);
        self
    }

    /// When records expire; `None`: they never do.
    pub fn ttl(&self) -> Option<&Ttl> {
        self.inner.ttl.as_ref()
    }

    /// Returns the record's bytes; `None` if there is no record or it was deleted.
    pub async fn get_bytes(&self, tenant: &str, key: &str) -> Result<Option<Vec<u8>>, ReadError> {
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

    /// Writes the whole record, whatever is there, and returns its version. Only stores that keep whole records
    /// take any bytes; columns and DynamoDB need a [`Document`](crate::store::document::Document).
    pub async fn put_bytes(&self, tenant: &str, key: &str, value: Vec<u8>) -> Result<Version, WriteError> {
        self.overwrite(tenant, key, Some(value)).await
    }

    /// Deletes the record, whether or not it exists, by writing a tombstone. Returns the tombstone's version.
    ///
    /// ```
    /// # use cutover_client::{routing::Rung, testing::{FakeController, MemoryStore}};
    /// # async fn story() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = FakeController::at("orders", Rung::Dual).client();
    /// # let orders = client.migrator("orders", MemoryStore::new(), MemoryStore::new());
    /// orders.put("acme", "order-1", &std::collections::BTreeMap::from([("total", 7)])).await?;
    /// orders.delete("acme", "order-1").await?;
    /// assert_eq!(orders.get_bytes("acme", "order-1").await?, None);
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(story()).unwrap();
    /// ```
    pub async fn delete(&self, tenant: &str, key: &str) -> Result<Version, WriteError> {
        self.overwrite(tenant, key, None).await
    }

    /// [`Self::mutate`] of raw bytes.
    ///
    /// ```
    /// # use cutover_client::{migrator::Edit, routing::Rung, testing::{FakeController, MemoryStore}};
    /// # async fn story() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = FakeController::at("visits", Rung::Dual).client();
    /// # let visits = client.migrator("visits", MemoryStore::new(), MemoryStore::new());
    /// visits.put_bytes("acme", "log", b"one".to_vec()).await?;
    /// let append = |old: Option<&[u8]>| Edit::Put([old.unwrap_or_default(), b",two"].concat());
    /// visits.mutate_bytes("acme", "log", append).await?;
    /// assert_eq!(visits.get_bytes("acme", "log").await?.as_deref(), Some(&b"one,two"[..]));
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(story()).unwrap();
    /// ```
    pub async fn mutate_bytes(
        &self,
        tenant: &str,
        key: &str,
        mut change: impl FnMut(Option<&[u8]>) -> Edit + Send + 'static,
    ) -> Result<Option<Version>, WriteError> {
        self.mutate_by(tenant, key, Box::new(move |old| Ok(change(old)))).await
    }

    async fn mutate_by(
        &self,
        tenant: &str,
        key: &str,
        change: MutateFn,
    ) -> Result<Option<Version>, WriteError> {
        Ok(match self.write(tenant, key, Intent::Mutate(change)).await? {
            Written::Applied(version) => Some(version),
            Written::Kept(_) => None,
        })
    }

    async fn overwrite(
        &self,
        tenant: &str,
        key: &str,
        value: Option<Vec<u8>>,
    ) -> Result<Version, WriteError> {
        match self.write(tenant, key, Intent::Overwrite(value)).await? {
            Written::Applied(version) => Ok(version),
            Written::Kept(_) => unreachable!("only a mutation can keep a record"),
        }
    }

    async fn write(&self, tenant: &str, key: &str, intent: Intent) -> Result<Written, WriteError> {
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
        self.current.begin_after_hold(&self.migration, tenant).await.map_err(|error| {
            match &error {
                HoldError::Held { revision, .. } => self.unavailable(tenant, *revision),
                HoldError::Begin(BeginError::Fenced { .. }) => {
                    self.unavailable(tenant, self.revision(tenant));
                }
                HoldError::Begin(_) => {}
            }
            error.into()
        })
    }

    /// Counts an operation that did not begin, or whose result can't be guaranteed.
    fn unavailable(&self, tenant: &str, revision: u64) {
        let origin = Origin { migration: &self.migration, revision, tenant: Some(tenant) };
        self.recorder.record(origin, &[Outcome::Event(Event::Unavailable)]);
    }

    /// The revision under which an operation that does not begin is counted. 0: there is no decision.
    fn revision(&self, tenant: &str) -> u64 {
        self.current.decide(&self.migration, tenant).map_or(0, |decision| decision.revision)
    }

    fn overtaken(&self, operation: &watch::Operation, tenant: &str) -> bool {
        operation.overtaken(&self.current, &self.migration, tenant)
    }

    const fn store(&self, role: StoreRole) -> &Arc<dyn Store> {
        match role {
            StoreRole::Source => &self.source,
            StoreRole::Target => &self.target,
        }
    }
}
