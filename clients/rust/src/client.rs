//! The entry point: one [`Client`] per process.

mod local_guard;
mod options;
mod saver;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::{AbortHandle, JoinHandle},
    time::{Instant, timeout},
};
use tonic::transport::Endpoint;
use tracing::warn;

pub use crate::report::Outcome;
pub use options::{Kind, Options};

use crate::{
    host,
    migrator::{self, Migrator},
    persisted::{self, FileLock, PersistedError},
    report::{Closing, Origin, Recorder, Reporter},
    routing::Decision,
    store::Store,
    watch::{BeginError, Current, GoneBack, Identity, Link, Operation, Source, Start, Watcher, describe},
};
use local_guard::LocalGuard;
use options::{check_name, endpoint};
use saver::{File, Saver};

/// Why a client could not connect.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server's URL can't be used.
    #[error("server {server:?}: {what}; give e.g. http://127.0.0.1:7070")]
    Server {
        /// The URL that was given.
        server: String,
        /// What is wrong with it.
        what: String,
    },
    /// A service name or an instance id is invalid.
    #[error("{what} {value:?}: give 1 to 128 of A-Z a-z 0-9 . _ : -")]
    Name {
        /// Which of the two.
        what: &'static str,
        /// The name that was given.
        value: String,
    },
    /// The controller refuses this client.
    #[error("the controller at {server} refuses this client: {why}")]
    Refused {
        /// The controller's URL.
        server: String,
        /// The controller's reason.
        why: String,
    },
    /// The snapshot file can't be used.
    #[error(transparent)]
    File(#[from] PersistedError),
    /// No state arrived in time, and the persisted snapshot has expired.
    #[error(
        "no state from the controller at {server}, and {} has expired: its process was last heard {} s ago, \
         and it may be used for {} s; start the controller, or check the address",
        path.display(), age.as_secs(), valid.as_secs()
    )]
    FileExpired {
        /// The controller's URL.
        server: String,
        /// The snapshot file.
        path: PathBuf,
        /// Time since the controller last heard the file's process.
        age: Duration,
        /// How long the file may be used.
        valid: Duration,
    },
    /// No state arrived in time, and there is no persisted snapshot. The client never guesses a stage.
    #[error(
        "no state from the controller at {server} within {} ms ({last_error}), and {persisted}: \
         start the controller, check the address, or give `persist` a file for starts without it",
        start_timeout.as_millis()
    )]
    NoSnapshot {
        /// The controller's URL.
        server: String,
        /// How long the client waited.
        start_timeout: Duration,
        /// Error of the last attempt.
        last_error: String,
        /// Why there is no persisted snapshot.
        persisted: String,
    },
}

/// The state of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Newest revision received: no operation starts under an older one. 0: none.
    pub revision: u64,
    /// The revision that this client has quiesced for: every operation begun under an older one has ended.
    pub applied_revision: u64,
    /// Time since the controller was last heard.
    pub age: Duration,
    /// Whether a stream from the controller is open.
    pub connected: bool,
    /// Where the snapshot came from.
    pub source: Source,
    /// Migrations that the local guard has taken back in this process. The migration's policy turns the guard
    /// on; it acts while the controller is away.
    pub gone_back: Vec<GoneBack>,
    /// Telemetry cells whose detail was dropped since the start.
    pub dropped_cells: u64,
    /// The last error in talking to the controller. `None`: there was none.
    pub last_error: Option<String>,
}

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
    closing: watch::Sender<Option<Closing>>,
    tasks: Tasks,
}

struct Tasks {
    /// Watcher and reporter tasks, until `close` takes them.
    running: Mutex<Option<(JoinHandle<()>, JoinHandle<bool>)>>,
    all: Vec<AbortHandle>,
}

impl Client {
    /// Connects to the controller at `server` (`http://host:port`) as an instance of `service`.
    ///
    /// Returns within `start_timeout`, with the controller's state, with the persisted state, or with an
    /// error that says what to do. Must be called within a tokio runtime.
    pub async fn connect(server: &str, service: &str, options: Options) -> Result<Self, ConnectError> {
        let endpoint = endpoint(server, options.start_timeout)?;
        check_name("service", service)?;
        let instance_id = options.instance_id_for(service);
        check_name("instance id", &instance_id)?;
        let identity = Arc::new(Identity {
            instance_id,
            service: service.to_owned(),
            kind: options.kind.into(),
            tenant_fingerprint: options.tenant_fingerprint.clone(),
            incarnation: rand::random::<u64>().max(1),
            drain_ms: options.drain.as_millis().try_into().unwrap_or(u32::MAX),
            file_valid_ms: options.file_valid_ms(),
        });
        let lock = match &options.persist {
            Some(path) => Some(FileLock::take(path)?),
            None => None,
        };
        let client = Self::start(endpoint, identity, lock, &options);
        client.until_started(server, &options).await?;
        Ok(client)
    }

    fn start(endpoint: Endpoint, identity: Arc<Identity>, lock: Option<FileLock>, options: &Options) -> Self {
        let (current, recorder) = (Arc::new(Current::default()), Arc::new(Recorder::new()));
        let link = Arc::new(Link::new(options.persist.is_some()));
        let (closing, closes) = watch::channel(None);
        let watcher = Watcher {
            endpoint,
            identity: identity.clone(),
            current: current.clone(),
            link: link.clone(),
            wants_snapshot: false,
            sessions: 0,
            unheard: Duration::ZERO,
            given_up: false,
        };
        let reporter = Reporter {
            identity,
            current: current.clone(),
            recorder: recorder.clone(),
            link: link.clone(),
            interval: options.report_interval,
            closing: closes,
            unanswered: Default::default(),
        };
        let guard = LocalGuard { current: current.clone(), recorder: recorder.clone(), link: link.clone() };
        let file = Arc::new(Mutex::new(File { lock, saved: None }));
        let persist = options.persist.clone().map(|path| Saver {
            path,
            valid: Duration::from_millis(options.file_valid_ms().into()),
            file: file.clone(),
            current: current.clone(),
            link: link.clone(),
        });
        let saver = persist.clone().map(|saver| tokio::spawn(saver.run()));
        let (watcher, reporter) = (tokio::spawn(watcher.run()), tokio::spawn(reporter.run()));
        let guard = tokio::spawn(guard.run());
        let all = [watcher.abort_handle(), reporter.abort_handle(), guard.abort_handle()];
        let all = all.into_iter().chain(saver.map(|saver| saver.abort_handle())).collect();
        let tasks = Tasks { running: Mutex::new(Some((watcher, reporter))), all };
        let close_timeout = options.close_timeout;
        Self { current, recorder, link, persist, close_timeout, closing, tasks }
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
                        self.link.install_persisted(&self.current, loaded);
                        "the controller came back that very moment: connect again".to_owned()
                    }
                    Ok(Ok(None)) => format!("{} does not exist", saver.path().display()),
                    Ok(Err(error)) => describe(&error),
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
    #[inline]
    pub fn decide(&self, migration: &str, tenant: &str) -> Result<Decision, BeginError> {
        self.current.decide(migration, tenant)
    }

    /// Decides and begins an operation. The controller takes no step up beyond it until it is dropped, so
    /// drop it as soon as the last store call has ended.
    pub fn begin(&self, migration: &str, tenant: &str) -> Result<Operation, BeginError> {
        self.current.begin(migration, tenant)
    }

    /// Counts the outcomes of an operation, for services that call their stores themselves.
    ///
    /// `revision` is the one it was decided under. Pass all outcomes of an operation at once, so that no
    /// report splits them. With `tenant`, a tenant that fails more than others can be rolled back alone.
    pub fn record(&self, migration: &str, revision: u64, tenant: Option<&str>, outcomes: &[Outcome]) {
        self.recorder.record(Origin { migration, revision, tenant }, outcomes);
    }

    /// The state of the client.
    pub fn status(&self) -> Status {
        Status {
            revision: self.current.received_revision(),
            applied_revision: self.current.applied_revision(),
            age: Duration::from_millis(self.current.silent_ms()),
            connected: self.link.is_connected(),
            source: self.link.held().map_or(Source::Persisted, |held| held.source),
            gone_back: self.current.gone_back(),
            dropped_cells: self.recorder.dropped_cells(),
            last_error: self.link.last_error(),
        }
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
    /// client share its snapshot, its counters and its source of versions.
    pub fn migrator(&self, migration: &str, source: Arc<dyn Store>, target: Arc<dyn Store>) -> Migrator {
        Migrator::new(migrator::Parts {
            current: self.current.clone(),
            recorder: self.recorder.clone(),
            migration: migration.to_owned(),
            stamper: self.link.stamper.clone(),
            source,
            target,
            options: migrator::Options::default(),
        })
    }

    /// The number, 0..4096, that distinguishes this process's versions from others' of the same moment. The
    /// controller assigns it; until it is first heard, the number is random.
    pub fn writer_slot(&self) -> u16 {
        self.link.writer_slot()
    }

    /// Closes the client cleanly: begins no further operation, waits for those in flight (at most
    /// `close_timeout`), delivers the last counts, says goodbye and saves the snapshot.
    ///
    /// Returns true if everything was delivered. Otherwise the controller waits for the instance until an
    /// operator evicts it. A second call does nothing.
    pub async fn close(&self) -> bool {
        let running = self.tasks.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((watcher, reporter)) = running else { return false };
        watcher.abort();
        // Cancelled, so it ends. From here on no snapshot arrives that operations could begin under.
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
        if let Some(saver) = &self.persist {
            saver.release();
        }
        matches!(delivered, Ok(Ok(true)))
    }
}

impl Tasks {
    fn abort(&self) {
        self.all.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.tasks.abort();
        // Migrators may outlive the client, but nothing would update their routing.
        self.current.close();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("status", &self.status()).finish_non_exhaustive()
    }
}
