//! For tests of services: a controller in the process, which the test tells where tenants stand, and stores
//! in memory that fail on demand.
//!
//! ```
//! use cutover_client::{
//!     migrator::WriteError,
//!     routing::Rung,
//!     testing::{FakeController, Fault, Verb, lost, memory},
//! };
//!
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! let controller = FakeController::at("orders", Rung::Mirrored);
//! let client = controller.client();
//! let (source, target) = (memory(), memory());
//! let orders = client.migrator("orders", source.clone(), target.clone());
//!
//! // The target executes the write, but its answer is lost.
//! target.next(Verb::Put, Fault::Lose(lost()));
//! let written = orders.put_bytes("acme", "order-1", b"one".to_vec()).await;
//! assert!(matches!(written, Err(WriteError::Indeterminate(_))));
//!
//! controller.move_all("orders", Rung::TargetOnly);
//! assert_eq!(orders.get_bytes("acme", "order-1").await?, Some(b"one".to_vec()));
//! assert_eq!(source.inner().dump().len(), 1, "the records of a store");
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(story()).unwrap();
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

pub use crate::store::{Fault, Faulty, Gate, MemoryStore, Verb};

use crate::{
    client::Client,
    report::ErrorClass,
    routing::{Band, PPM, Policy, Route, Rung, Snapshot, Table},
    store::StoreError,
    watch::Current,
};

/// A controller in this process, for tests. It moves tenants at once, wherever a test wants them, and neither
/// waits for instances nor checks gates as the real one does. A tenant at [`Rung::Hold`] waits.
///
/// A change reaches every [client](Self::client) before the method returns.
#[derive(Debug, Default)]
pub struct FakeController {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    snapshot: Snapshot,
    clients: Vec<Weak<Current>>,
}

impl FakeController {
    /// A controller without migrations.
    pub fn new() -> Self {
        Self::default()
    }

    /// A controller with one migration, and everybody at this rung.
    pub fn at(migration: &str, rung: Rung) -> Self {
        let controller = Self::new();
        controller.move_all(migration, rung);
        controller
    }

    /// A client of this controller, as another process would have one. It reports to nobody; its counters are
    /// in [`Client::recorder`]. Like any client it must live as long as its migrators.
    pub fn client(&self) -> Client {
        let mut state = self.state();
        let client = Client::fake();
        client.current().replace(state.snapshot.clone());
        state.clients.push(Arc::downgrade(client.current()));
        client
    }

    /// Moves everybody but pinned tenants to a rung. Creates the migration if necessary.
    ///
    /// ```
    /// use cutover_client::{routing::{Rung, Stage}, testing::FakeController};
    ///
    /// let controller = FakeController::at("orders", Rung::SourceOnly);
    /// let client = controller.client();
    /// controller.move_all("orders", Rung::TargetFirst);
    /// assert_eq!(client.decide("orders", "acme").unwrap().stage(), Stage::TargetFirst);
    /// ```
    pub fn move_all(&self, migration: &str, rung: Rung) {
        self.change(migration, |revision, table| table.with_head(revision, &everybody(rung), table.policy()));
    }

    /// Pins one tenant to a rung.
    ///
    /// ```
    /// use cutover_client::{routing::{Rung, Stage}, testing::FakeController};
    ///
    /// let controller = FakeController::at("orders", Rung::SourceOnly);
    /// let client = controller.client();
    /// controller.pin("orders", "acme", Rung::Dual);
    /// assert_eq!(client.decide("orders", "acme").unwrap().stage(), Stage::Dual);
    /// assert_eq!(client.decide("orders", "other").unwrap().stage(), Stage::SourceOnly);
    /// controller.unpin("orders", "acme");
    /// assert_eq!(client.decide("orders", "acme").unwrap().stage(), Stage::SourceOnly);
    /// ```
    pub fn pin(&self, migration: &str, tenant: &str, rung: Rung) {
        let route = Route { rung, reason: crate::routing::Reason::Pin, no_fallback: false };
        self.set(migration, tenant, Some(route));
    }

    /// Undoes [`Self::pin`].
    pub fn unpin(&self, migration: &str, tenant: &str) {
        self.set(migration, tenant, None);
    }

    /// Sets the migration's policy, e.g. a short `hold_timeout_ms`.
    pub fn set_policy(&self, migration: &str, policy: Policy) {
        self.change(migration, |revision, table| table.with_head(revision, table.bands(), policy));
    }

    /// Removes a migration. Services that still ask for it get
    /// [`routing::Error::UnknownMigration`](crate::routing::Error::UnknownMigration).
    pub fn remove(&self, migration: &str) {
        let mut state = self.state();
        state.snapshot.remove(migration);
        state.publish();
    }

    /// Lets all snapshots expire, as after a long silence of the controller: no operation begins, and writes in
    /// flight end as indeterminate.
    ///
    /// ```
    /// use cutover_client::{routing::Rung, testing::FakeController, watch::BeginError};
    ///
    /// let controller = FakeController::at("orders", Rung::Dual);
    /// let client = controller.client();
    /// controller.expire();
    /// assert_eq!(client.begin("orders", "acme").unwrap_err(), BeginError::FileExpired);
    /// controller.recover();
    /// assert!(client.begin("orders", "acme").is_ok());
    /// ```
    pub fn expire(&self) {
        let expire = |current: &Current| {
            current.take_from_file(crate::clock::Instant::now(), std::time::Duration::ZERO);
        };
        self.state().clients().for_each(|current| expire(&current));
    }

    /// Undoes [`Self::expire`].
    pub fn recover(&self) {
        self.state().clients().for_each(|current| current.is_the_controllers());
    }

    /// Evicts all clients and admits them again: writes in flight end as indeterminate, later ones succeed.
    pub fn evict(&self) {
        self.state().clients().for_each(|current| current.readmitted());
    }

    fn set(&self, migration: &str, tenant: &str, route: Option<Route>) {
        self.change(migration, |revision, table| {
            let table = table.with_overrides([(tenant, route)]);
            table.with_head(revision, table.bands(), table.policy())
        });
    }

    fn change(&self, migration: &str, change: impl FnOnce(u64, &Table) -> Table) {
        let mut state = self.state();
        let revision = state.snapshot.revision() + 1;
        let table = match state.snapshot.table(migration) {
            Ok(table) => change(revision, table),
            Err(_) => {
                change(revision, &Table::new(0, migration, &everybody(Rung::SourceOnly), Policy::default()))
            }
        };
        state.snapshot.insert(migration, Ok(Arc::new(table)));
        state.publish();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives every client the state, as the next revision.
    fn publish(&mut self) {
        self.snapshot.set_revision(self.snapshot.revision() + 1);
        self.clients.retain(|current| current.strong_count() > 0);
        self.clients().for_each(|current| current.replace(self.snapshot.clone()));
    }

    fn clients(&self) -> impl Iterator<Item = Arc<Current>> {
        self.clients.iter().filter_map(Weak::upgrade)
    }
}

/// An empty store in memory that fails on demand. [`Faulty::inner`] is the store.
pub fn memory() -> Arc<Faulty<MemoryStore>> {
    Arc::new(Faulty::new(Arc::default()))
}

/// The error of a call that reached the store, or not: nobody knows. For [`Fault::Lose`].
pub fn lost() -> StoreError {
    StoreError::Indeterminate { class: ErrorClass::Timeout, what: "the answer was lost".to_owned() }
}

/// The error of a store that can't be reached. For [`Fault::Refuse`].
pub fn down() -> StoreError {
    StoreError::NotApplied { class: ErrorClass::Connection, what: "the store is down".to_owned() }
}

const fn everybody(rung: Rung) -> [Band; 1] {
    [Band { upto_ppm: PPM, route: Route { rung, ..Route::DEFAULT } }]
}
