//! The entry point: one [`Client`] per process.

mod local_guard;
mod options;
mod saver;
#[cfg(feature = "spec")]
mod spec;
mod status;
mod tasks;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tracing::warn;

pub use crate::report::Outcome;
pub use options::{Kind, Options};
#[cfg(feature = "spec")]
pub use spec::SpecFileError;
pub use status::{ConnectError, Status};

use crate::{
    Address, IntoServer, host,
    migrator::{self, Migrator, StampError},
    persisted::{self, FileLock, PersistedError},
    report::{Closing, Origin, Recorder, Reporter, Withdrawal},
    routing::Decision,
    store::{IntoStore, Version, now_ms_since_2025},
    watch::{BeginError, Current, Identity, Link, Operation, Start, Watcher},
};
use local_guard::LocalGuard;
use options::{address, check_name};
use saver::Saver;
use tasks::{Running, Tasks};

/// Decides in process by the newest snapshot, and reports outcomes to the controller.
///
/// Deciding continues while the controller is away. Dropping the client ends it at once; [`Client::close`]
/// ends it cleanly.
pub struct Client {
    current: Arc<Current>,
    recorder: Arc<Recorder>,
    link: Arc<Link>,
    persist: Option<Saver>,
    close_timeout: Duration,
    /// How long the last store calls may take after the right to act has expired.
    #[cfg_attr(not(feature = "spec"), allow(dead_code, reason = "only a spec says what it has to be"))]
    drain: Duration,
    closing: watch::Sender<Option<Closing>>,
    tasks: Tasks,
}

impl Client {
    /// Connects to the controller at `server` (`http://host:port` or `https://host:port`) as an instance of `service`.
    ///
    /// If several controllers share a store, give all their addresses: as a list, or in one text, separated by commas. A name
    /// with several IP addresses counts as several. The client follows the one that leads.
    ///
    /// Returns within `start_timeout`, with the controller's state, the persisted state, or an error that says what to do.
    /// An error may take half a second more: the controller is told, which may wait for this process. Needs a tokio runtime.
    ///
    /// ```no_run
    /// # async fn story() -> Result<(), Box<dyn std::error::Error>> {
    /// use cutover_client::{Client, Options};
    ///
    /// // With a file, the service also starts while the controller is down.
    /// let options = Options { persist: Some("/var/lib/orders/routes".into()), ..Options::default() };
    /// let client = Client::connect(["http://10.0.0.1:7070", "http://10.0.0.2:7070"], "orders-api", options).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(
        server: impl IntoServer,
        service: &str,
        options: Options,
    ) -> Result<Self, ConnectError> {
        let server = server.into_server();
        let address = address(&server, &options)?;
        check_name("service", service)?;
        let instance_id = options.instance_id_for(service);
        check_name("instance id", &instance_id)?;
        let incarnation = rand::random::<u64>().max(1);
        let lock = options.persist.as_deref().map(|path| FileLock::take(path, &instance_id, incarnation));
        let lock = lock.transpose()?.map(Arc::new);
        let identity = Arc::new(Identity {
            instance_id,
            service: service.to_owned(),
            kind: options.kind.into(),
            tenant_fingerprint: options.tenant_fingerprint.clone(),
            incarnation,
            drain_ms: options.drain.as_millis().try_into().unwrap_or(u32::MAX),
            file_valid_ms: options.file_valid_ms(),
            succeeds: lock.as_ref().map_or_else(Vec::new, |lock| lock.predecessors().to_vec()),
        });
        saver::expect_history(&address, options.persist.as_deref()).await;
        let client = Self::start(address, identity, lock, &options);
        client.tasks.settle(client.until_started(&server, &options).await).await?;
        Ok(client)
    }

    fn start(
        address: Address,
        identity: Arc<Identity>,
        lock: Option<Arc<FileLock>>,
        options: &Options,
    ) -> Self {
        let (current, recorder) = (Arc::new(Current::of_file(lock.clone())), Arc::new(Recorder::new()));
        let link = Arc::new(Link::new(options.persist.is_some()));
        let (closing, closes) = watch::channel(None);
        let withdrawal =
            Withdrawal { address: address.clone(), identity: identity.clone(), link: link.clone() };
        let watcher = Watcher {
            address: address.clone(),
            identity: identity.clone(),
            current: current.clone(),
            link: link.clone(),
            wants_snapshot: false,
            sessions: 0,
            unheard: Duration::ZERO,
            given_up: false,
        };
        let reporter = Reporter {
            address,
            identity,
            current: current.clone(),
            recorder: recorder.clone(),
            link: link.clone(),
            interval: options.report_interval,
            closing: closes,
            unanswered: Default::default(),
        };
        let guard = LocalGuard { current: current.clone(), recorder: recorder.clone(), link: link.clone() };
        let persist = options.persist.clone().map(|path| Saver {
            path,
            valid: Duration::from_millis(options.file_valid_ms().into()),
            file: Arc::new(Mutex::new(lock)),
            current: current.clone(),
            link: link.clone(),
        });
        let saver = persist.clone().map(|saver| tokio::spawn(saver.run()));
        let (watcher, reporter, guard) =
            (tokio::spawn(watcher.run()), tokio::spawn(reporter.run()), tokio::spawn(guard.run()));
        let all = [watcher.abort_handle(), reporter.abort_handle(), guard.abort_handle()];
        let all = all.into_iter().chain(saver.map(|saver| saver.abort_handle())).collect();
        let tasks = Tasks::new(Running::Connected { watcher, reporter }, all, Some(withdrawal));
        let (close_timeout, drain) = (options.close_timeout, options.drain);
        Self { current, recorder, link, persist, close_timeout, drain, closing, tasks }
    }

    /// A client without a controller; see [`crate::testing`].
    pub(crate) fn fake() -> Self {
        Self {
            current: Arc::default(),
            recorder: Arc::new(Recorder::new()),
            link: Arc::new(Link::new(false)),
            persist: None,
            close_timeout: Duration::ZERO,
            drain: Options::default().drain,
            closing: watch::channel(None).0,
            tasks: Tasks::new(Running::Fake, Vec::new(), None),
        }
    }

    async fn until_started(&self, server: &str, options: &Options) -> Result<(), ConnectError> {
        let mut starts = self.link.starts();
        let started = starts.wait_for(|start| *start != Start::Waiting);
        match timeout(options.start_timeout, started).await.map(|start| start.map(|start| start.clone())) {
            Ok(Ok(Start::Refused(why))) => {
                return Err(ConnectError::Refused { server: server.to_owned(), why });
            }
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(_)) | Err(_) => {}
        }
        let persisted = match &self.persist {
            None => "none is persisted".to_owned(),
            Some(saver) => {
                let path = saver.path().to_owned();
                match host::blocking(move || persisted::load(&path)).await {
                    Ok(Ok(Some(_))) if self.link.is_connected() => {
                        "it is not used while the controller's is on the way (raise start_timeout?)"
                            .to_owned()
                    }
                    Ok(Err(PersistedError::Expired { path, age, valid })) => {
                        return Err(ConnectError::FileExpired {
                            server: server.to_owned(),
                            path,
                            age,
                            valid,
                        });
                    }
                    Ok(Ok(Some(loaded))) => {
                        warn!(
                            server,
                            revision = loaded.snapshot.revision(),
                            age_ms = loaded.heard.elapsed().as_millis() as u64,
                            "the controller can't be reached: routing by the persisted snapshot"
                        );
                        self.link.install_persisted(&self.current, loaded, options.drain);
                        "the controller came back that very moment: connect again".to_owned()
                    }
                    Ok(Ok(None)) => format!("{} does not exist", saver.path().display()),
                    Ok(Err(error)) => crate::words::describe(&error),
                    Err(error) => error.to_string(),
                }
            }
        };
        // Either the file's state, or the controller's that arrived while the file was read.
        if self.link.held().is_some() {
            return Ok(());
        }
        Err(ConnectError::NoSnapshot {
            server: server.to_owned(),
            start_timeout: options.start_timeout,
            last_error: self.link.last_error().unwrap_or_else(|| "it did not answer".to_owned()),
            persisted,
        })
    }

    /// Where a tenant reads and writes now. Takes no lock, allocates nothing and reads no clock. To call a
    /// store by the answer, use [`Self::begin`] instead.
    ///
    /// ```
    /// # use cutover_client::{routing::{Rung, Stage}, testing::FakeController};
    /// # let client = FakeController::at("orders", Rung::TargetFirst).client();
    /// let decision = client.decide("orders", "acme")?;
    /// assert_eq!(decision.stage(), Stage::TargetFirst);
    /// # Ok::<(), cutover_client::watch::BeginError>(())
    /// ```
    #[inline]
    pub fn decide(&self, migration: &str, tenant: &str) -> Result<Decision, BeginError> {
        self.current.decide(migration, tenant)
    }

    /// Decides and begins an operation. The controller takes no step up beyond it until it is dropped, so
    /// drop it as soon as the last store call has ended.
    ///
    /// ```
    /// # use cutover_client::{routing::{Rung, Stage}, testing::FakeController};
    /// # let client = FakeController::at("orders", Rung::TargetFirst).client();
    /// let operation = client.begin("orders", "acme")?;
    /// // .. call the store that operation.decision names ..
    /// if operation.overtaken(client.current(), "orders", "acme") {
    ///     // Routing has moved on meanwhile: the result of a write is unknown, a read has to be repeated.
    /// }
    /// drop(operation);
    /// # Ok::<(), cutover_client::watch::BeginError>(())
    /// ```
    pub fn begin(&self, migration: &str, tenant: &str) -> Result<Operation, BeginError> {
        self.current.begin(migration, tenant)
    }

    /// Counts the outcomes of an operation, for services that call their stores themselves.
    ///
    /// `revision` is the one it was decided under. Pass all outcomes of an operation at once, so that no
    /// report splits them. With `tenant`, a tenant that fails more than others can be rolled back alone.
    ///
    /// ```
    /// # use cutover_client::{routing::{Rung, Stage}, testing::FakeController};
    /// # let client = FakeController::at("orders", Rung::TargetFirst).client();
    /// use std::time::Instant;
    ///
    /// use cutover_client::report::{ErrorClass, Operation, Outcome, StoreRole};
    ///
    /// let operation = client.begin("orders", "acme")?;
    /// let began = Instant::now();
    /// let read: Result<Option<()>, ErrorClass> = Err(ErrorClass::Timeout); // .. read from the target ..
    /// let call = Outcome::Call {
    ///     store: StoreRole::Target,
    ///     operation: Operation::Read,
    ///     latency: began.elapsed(),
    ///     error: read.err(),
    ///     found: read.ok().map(|record| record.is_some()),
    /// };
    /// client.record("orders", operation.decision.revision, Some("acme"), &[call]);
    /// # Ok::<(), cutover_client::watch::BeginError>(())
    /// ```
    pub fn record(&self, migration: &str, revision: u64, tenant: Option<&str>, outcomes: &[Outcome]) {
        self.recorder.record(Origin { migration, revision, tenant }, outcomes);
    }

    /// The newest snapshot, shared.
    pub const fn current(&self) -> &Arc<Current> {
        &self.current
    }

    /// The counters, shared.
    pub const fn recorder(&self) -> &Arc<Recorder> {
        &self.recorder
    }

    /// Returns a migrator, which reads and writes two stores as the migration's rungs say. All migrators of a
    /// client share its snapshot, its counters and its source of versions. It needs the client alive.
    ///
    /// Takes stores as they are or in an `Arc`. `migrator_from_spec` opens them from a spec file.
    ///
    /// ```
    /// # use cutover_client::{routing::Rung, testing::FakeController};
    /// # async fn story() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = FakeController::at("orders", Rung::Dual).client();
    /// use cutover_client::store::MemoryStore;
    ///
    /// let orders = client.migrator("orders", MemoryStore::new(), MemoryStore::new());
    /// orders.put_bytes("acme", "order-1", b"one".to_vec()).await?;
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(story()).unwrap();
    /// ```
    pub fn migrator(&self, migration: &str, source: impl IntoStore, target: impl IntoStore) -> Migrator {
        Migrator::new(migrator::Parts {
            current: self.current.clone(),
            recorder: self.recorder.clone(),
            migration: migration.to_owned(),
            stamper: self.link.stamper.clone(),
            source: source.into_store(),
            target: target.into_store(),
            options: migrator::Options::default(),
        })
    }

    /// The number, 0..16383, that distinguishes this process's versions from others' of the same moment. The
    /// controller assigns it; until it is first heard, the number is random.
    pub fn writer_slot(&self) -> u16 {
        self.link.writer_slot()
    }

    /// A version for a record, above `above` and above every version that this process has stamped: for services that
    /// write their stores themselves. [`Migrator`] stamps by itself.
    ///
    /// ```
    /// # use cutover_client::{routing::Rung, testing::FakeController};
    /// use cutover_client::store::Version;
    ///
    /// # let client = FakeController::at("orders", Rung::Dual).client();
    /// let first = client.stamp(Version::ZERO)?;
    /// assert!(client.stamp(first)? > first);
    /// # Ok::<(), cutover_client::migrator::StampError>(())
    /// ```
    pub fn stamp(&self, above: Version) -> Result<Version, StampError> {
        self.link.stamper.stamp(now_ms_since_2025(), above)
    }

    /// Closes the client cleanly: begins no further operation, waits for those in flight (at most
    /// `close_timeout`), delivers the last counts, says goodbye and saves the snapshot.
    ///
    /// Returns true if everything was delivered. Otherwise the controller waits for the instance until an
    /// operator evicts it. A second call does nothing.
    ///
    /// ```no_run
    /// # async fn story(client: cutover_client::Client, server: impl Future<Output = ()>) {
    /// server.await; // until it has answered its last request
    /// if !client.close().await {
    ///     eprintln!("the last reports were not delivered");
    /// }
    /// # }
    /// ```
    pub async fn close(&self) -> bool {
        let (watcher, reporter) = match self.tasks.take() {
            Some(Running::Connected { watcher, reporter }) => (watcher, reporter),
            Some(Running::Fake) => {
                self.current.close();
                return true;
            }
            None => return false,
        };
        watcher.abort();
        // Canceled, so it ends. From here on no snapshot arrives that operations could begin under.
        let _ = watcher.await;
        self.link.disconnected("this client was closed".to_owned());
        self.current.suspend();
        let deadline = Instant::now() + self.close_timeout;
        // Before the revision is acknowledged, and before the goodbye: a process that starts from the file
        // uses it.
        if let Some(saver) = &self.persist {
            saver.save().await;
        }
        self.closing.send_replace(Some(Closing { deadline }));
        let delivered = tokio::time::timeout_at(deadline + Duration::from_secs(1), reporter).await;
        self.tasks.abort();
        // From here on another process may start from the file, once the last operation has ended.
        self.current.close();
        if let Some(saver) = &self.persist {
            saver.release();
        }
        matches!(delivered, Ok(Ok(true)))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.tasks.abort();
        self.current.dropped();
        self.persist.iter().for_each(Saver::release_if_idle);
    }
}
