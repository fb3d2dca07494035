//! Connections to a database server: counted, checked, renewed, and closed at once when a call is abandoned.
//! Why not sqlx's pool: docs/adr/0025-own-connection-pool.md.

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use sqlx::{Connection, Executor};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

use super::{
    super::StoreError,
    not_applied, permanent,
    server::{Database, Facts, ServerOptions, Statement},
    split, throttled,
};
use cutover_clock::Instant;
use cutover_core::outcome::ErrorClass;

/// After this time a connection is asked again whether its server may still be read and written.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// A connection that does not answer such a short question in this time is closed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// At most `ServerOptions::connections` connections, made on demand.
pub(in super::super) struct Pool<DB: Database> {
    shared: Arc<Shared<DB>>,
}

struct Shared<DB: Database> {
    connect: <DB::Connection as Connection>::Options,
    /// Where it is, for messages.
    server: String,
    options: ServerOptions,
    /// One for each connection that may be in use.
    permits: Arc<Semaphore>,
    /// Idle connections; the one used last is at the end.
    idle: Mutex<Vec<Live<DB>>>,
    /// Connections of an earlier generation are not used again.
    generation: AtomicU64,
    /// The server that the newest connection reached.
    identity: Mutex<Option<String>>,
}

struct Live<DB: Database> {
    connection: DB::Connection,
    generation: u64,
    used_at: Instant,
    checked_at: Instant,
}

/// A connection in use. Dropping it closes it unless it is given back: whatever was in flight may never be
/// answered.
pub(super) struct Lease<DB: Database> {
    live: Live<DB>,
    shared: Arc<Shared<DB>>,
    _permit: OwnedSemaphorePermit,
}

impl<DB> Pool<DB>
where
    DB: Database,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    /// Connects twice, to check that both connections reach, and stay with, the same server.
    pub(super) async fn open(
        connect: <DB::Connection as Connection>::Options,
        server: &str,
        options: ServerOptions,
    ) -> Result<Self, StoreError> {
        let connections = options.connections.max(1);
        let shared = Arc::new(Shared {
            connect,
            server: server.to_owned(),
            options,
            permits: Arc::new(Semaphore::new(connections as usize)),
            idle: Mutex::default(),
            generation: AtomicU64::new(0),
            identity: Mutex::default(),
        });
        let (mut first, said) = shared.connect().await.map_err(NoConnection::at_open)?;
        if connections > 1 {
            let (mut second, also) = shared.connect().await.map_err(NoConnection::at_open)?;
            if let Some(split) = shared.split(&mut first, &said, &mut second, &also).await? {
                return Err(permanent(ErrorClass::Other, "server", format!("{server}: {split}")));
            }
            shared.idle().push(second);
        }
        shared.idle().push(first);
        let pool = Arc::downgrade(&shared);
        // Close it before the server does, which its log would call an abort.
        tokio::spawn(async move {
            loop {
                sleep(CHECK_EVERY).await;
                let Some(shared) = pool.upgrade() else { return };
                shared.close_idle();
            }
        });
        Ok(Self { shared })
    }

    /// A usable connection. `sure`: one that has just answered.
    pub(super) async fn lease(&self, sure: bool) -> Result<Lease<DB>, StoreError> {
        let shared = &self.shared;
        let (server, longest) = (&shared.server, shared.options.connect_timeout);
        let permit = match timeout(longest, shared.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => {
                let what = "the store was closed: open it again".to_owned();
                return Err(not_applied(ErrorClass::Connection, what));
            }
            Err(_) => {
                return Err(throttled(format!(
                    "all {} connections to {server} were in use for {longest:?}: slow down, or allow more",
                    shared.options.connections
                )));
            }
        };
        let lease = |live| Lease { live, shared: shared.clone(), _permit: permit };
        while let Some(mut live) = shared.usable() {
            if !sure && live.checked_at.elapsed() <= CHECK_EVERY {
                return Ok(lease(live));
            }
            match timeout(CHECK_TIMEOUT, facts::<DB>(&mut live.connection, DB::STILL)).await {
                Ok(Ok(said)) if DB::refusal(&said).is_none() => {
                    live.checked_at = Instant::now();
                    return Ok(lease(live));
                }
                // Lost; the next one may work.
                Ok(Err(_)) => {}
                // All others are as silent, or lead to the same server. A new one may reach another.
                Ok(Ok(_)) | Err(_) => shared.retire(),
            }
        }
        Ok(lease(shared.connect().await.map_err(NoConnection::of_a_call)?.0))
    }

    /// Prevents the reuse of all connections made so far.
    pub(super) fn retire(&self) {
        self.shared.retire();
    }

    /// Where it is, for messages.
    pub(super) fn server(&self) -> &str {
        &self.shared.server
    }

    /// Waits for calls in flight and closes all connections.
    pub(super) async fn close(&self) {
        let shared = &self.shared;
        let under_way = shared.permits.acquire_many(shared.options.connections.max(1)).await;
        shared.permits.close();
        drop(under_way);
        let idle = std::mem::take(&mut *shared.idle());
        for live in idle {
            let _ = timeout(CHECK_TIMEOUT, live.connection.close()).await;
        }
    }
}

impl<DB> Shared<DB>
where
    DB: Database,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    fn idle(&self) -> MutexGuard<'_, Vec<Live<DB>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection with the limits set, to a server that may be read and written.
    async fn connect(&self) -> Result<(Live<DB>, Facts), NoConnection> {
        let generation = self.generation.load(SeqCst);
        let made = async {
            let mut connection = DB::Connection::connect_with(&self.connect).await?;
            connection.execute(&Statement::<DB>::text(DB::set_up(&self.options))).await?;
            // Asked in a separate statement: behind a pooler, another connection may answer it.
            let said = facts::<DB>(&mut connection, DB::LOOK).await?;
            if let Some(more) = DB::set_up_more(&said) {
                connection.execute(&Statement::<DB>::text(more.to_owned())).await?;
            }
            Ok::<_, sqlx::Error>((connection, said))
        };
        let longest = self.options.connect_timeout;
        let late = |_| {
            let what = format!("no answer within {longest:?}");
            sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, what))
        };
        let (connection, said) = timeout(longest, made)
            .await
            .map_err(late)
            .flatten()
            .map_err(|error| NoConnection::Failed(at(&self.server, DB::error(error, false))))?;
        if let Some(refusal) = DB::refusal(&said).or_else(|| DB::unlimited(&said, &self.options)) {
            return Err(NoConnection::Refused(format!("{}: {refusal}", self.server)));
        }
        let mut generation = generation;
        let reached = said.get("server").cloned();
        let before = std::mem::replace(
            &mut *self.identity.lock().unwrap_or_else(PoisonError::into_inner),
            reached.clone(),
        );
        if before.is_some() && before != reached {
            // A failover: the other connections no longer reach the server to be used.
            self.retire();
            generation = self.generation.load(SeqCst);
        }
        let now = Instant::now();
        Ok((Live { connection, generation, used_at: now, checked_at: now }, said))
    }

    /// Why two connections can't be to the same server, if so.
    async fn split(
        &self,
        first: &mut Live<DB>,
        said: &Facts,
        second: &mut Live<DB>,
        also: &Facts,
    ) -> Result<Option<String>, StoreError> {
        let looked = async {
            // A transaction that may write goes to the primary and keeps its connection.
            let mut transaction = second.connection.begin().await?;
            let within = facts::<DB>(&mut transaction, DB::LOOK).await?;
            let again = facts::<DB>(&mut first.connection, DB::LOOK).await?;
            transaction.rollback().await?;
            Ok::<_, sqlx::Error>((within, again))
        };
        let late = |_| sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
        let (within, again) = timeout(self.options.connect_timeout, looked)
            .await
            .map_err(late)
            .flatten()
            .map_err(|error| at(&self.server, DB::error(error, false)))?;
        Ok(split::between([said, also, &within, &again]))
    }

    /// The most recently used idle connection; unusable ones are closed.
    fn usable(&self) -> Option<Live<DB>> {
        self.close_idle();
        self.idle().pop()
    }

    fn retire(&self) {
        self.generation.fetch_add(1, SeqCst);
        self.close_idle();
    }

    fn close_idle(&self) {
        let generation = self.generation.load(SeqCst);
        let is_over = |live: &mut Live<DB>| {
            live.generation != generation || live.used_at.elapsed() >= self.options.renewed_after()
        };
        let over: Vec<_> = self.idle().extract_if(.., is_over).collect();
        // Closed properly if the server still answers, for the sake of its log.
        for live in over {
            tokio::spawn(timeout(CHECK_TIMEOUT, live.connection.close()));
        }
    }
}

impl<DB: Database> Lease<DB> {
    pub(super) fn connection(&mut self) -> &mut DB::Connection {
        &mut self.live.connection
    }

    /// Returns the connection for the next call; everything that was asked has been answered.
    pub(super) fn give_back(mut self) {
        self.live.used_at = Instant::now();
        let is_of_now = self.live.generation == self.shared.generation.load(SeqCst);
        let Self { live, shared, _permit } = self;
        if is_of_now && !shared.permits.is_closed() {
            shared.idle.lock().unwrap_or_else(PoisonError::into_inner).push(live);
        }
    }

    /// The same, once the transaction that failed has been rolled back. If that fails too, the connection is
    /// closed, and the server rolls back.
    pub(super) async fn give_back_rolled_back(mut self)
    where
        for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    {
        let end = Statement::<DB>::text(DB::ROLLBACK.to_owned());
        if let Ok(Ok(_)) = timeout(CHECK_TIMEOUT, self.live.connection.execute(&end)).await {
            self.give_back();
        }
    }

    /// The same, once the rest of the answer has been read, which nobody waits for.
    pub(super) fn give_back_after_the_rest(mut self) {
        tokio::spawn(async move {
            if let Ok(Ok(())) = timeout(CHECK_TIMEOUT, self.live.connection.ping()).await {
                self.give_back();
            }
        });
    }
}

impl<DB: Database> fmt::Debug for Pool<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("server", &self.shared.server).finish_non_exhaustive()
    }
}

/// The answer of a statement, as rows of a name and a value.
async fn facts<DB>(connection: &mut DB::Connection, sql: &str) -> Result<Facts, sqlx::Error>
where
    DB: Database,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let rows = connection.fetch_all(&Statement::<DB>::text(sql.to_owned())).await?;
    Ok(rows.iter().filter_map(DB::fact).map(|(name, value)| (name.to_ascii_lowercase(), value)).collect())
}

/// Adds the address to a connection error.
fn at(server: &str, error: StoreError) -> StoreError {
    match error {
        StoreError::NotApplied { class, what } => {
            let advice = "is the address right, is the server up, may it be reached from here?";
            not_applied(class, format!("{server}: {what}: {advice}"))
        }
        StoreError::Permanent { class, field, what } => {
            StoreError::Permanent { class, field, what: format!("{server}: {what}") }
        }
        other => other,
    }
}

/// Why there is no connection.
#[derive(Debug)]
enum NoConnection {
    Failed(StoreError),
    /// The server must not be used in its current state.
    Refused(String),
}

impl NoConnection {
    /// Somebody has to change the server, or its address.
    fn at_open(self) -> StoreError {
        match self {
            Self::Failed(error) => error,
            Self::Refused(what) => permanent(ErrorClass::Other, "server", what),
        }
    }

    /// For a store that is already open: the server may be in the middle of a failover.
    fn of_a_call(self) -> StoreError {
        match self {
            Self::Failed(error) => error,
            Self::Refused(what) => not_applied(ErrorClass::Server, what),
        }
    }
}
