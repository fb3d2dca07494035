//! Calls of a database server: bounded in time, made again when a connection is lost.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Connection, Either, Execute, Executor, Pool, SqlSafeStr, SqlStr,
    error::BoxDynError,
    pool::{PoolConnection, PoolOptions},
};

use super::{
    super::{
        Page, Segment, StoreError,
        error::Doubt,
        scan::{Found, Gathered},
    },
    class, driver_error, not_applied,
};
use crate::report::ErrorClass;

/// A call is made this often before a lost connection or a deadlock is told.
const TRIES: usize = 3;

/// Rows of a page. What a page has beyond its bytes is read and dropped, so this bounds the waste
/// where records get much larger all of a sudden.
const ROWS_MAX: usize = 2000;

/// How a database server is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// Connections at most, of this process. At least 1.
    pub connections: u32,
    /// Longest wait for one of them, or for the server to accept one.
    pub connect_timeout: Duration,
    /// Longest wait for another's lock of a record; MySQL counts whole seconds. Keep it below the
    /// migrator's call timeout, or a locked record makes writes indeterminate that were never made.
    pub lock_timeout: Duration,
    /// Longest run of one statement. The server is told to give up by then too, as far as it can.
    pub call_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            connections: 16,
            connect_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(1),
            call_timeout: Duration::from_secs(30),
        }
    }
}

/// A database, and what to conclude from its errors.
pub(in super::super) trait Database: sqlx::Database {
    /// Of errors that leave no doubt: nothing was changed. `None`: it did not say that, or not this.
    fn told(error: &sqlx::Error) -> Option<StoreError>;

    /// `may_apply`: it is of a write that was sent.
    fn error(error: sqlx::Error, may_apply: bool) -> StoreError {
        if let Some(known) = driver_error(&error).or_else(|| Self::told(&error)) {
            return known;
        }
        let (class, what) = (class(&error), format!("{} failed: {error}", Self::NAME));
        if may_apply { StoreError::Indeterminate { class, what } } else { not_applied(class, what) }
    }

    /// Worth another try at once: the connection was lost, or the server chose this statement to
    /// end a deadlock.
    fn is_momentary(error: &sqlx::Error) -> bool;
}

/// A statement that can be sent more than once.
#[derive(Debug)]
pub(in super::super) struct Statement<DB: sqlx::Database> {
    sql: SqlStr,
    /// `None`: sent as text, with nothing prepared on the server.
    arguments: Option<DB::Arguments>,
}

/// A pool, and how calls go over it.
#[derive(Debug)]
pub(in super::super) struct Calls<DB: sqlx::Database> {
    pool: Pool<DB>,
    longest: Duration,
    /// Of the records of late; 0 before the first page.
    record_bytes: AtomicUsize,
}

impl<DB: sqlx::Database> Statement<DB> {
    /// The text must have been made of checked names, numbers and escaped values.
    pub(in super::super) fn text(sql: String) -> Self {
        Self { sql: AssertSqlSafe(sql).into_sql_str(), arguments: None }
    }

    /// Prepared once a connection.
    pub(in super::super) fn prepared(sql: &SqlStr, arguments: DB::Arguments) -> Self {
        Self { sql: sql.clone(), arguments: Some(arguments) }
    }
}

impl<DB: sqlx::Database<Arguments: Clone>> Execute<'_, DB> for &Statement<DB>
where
    DB::Statement: 'static,
    DB::Arguments: Sync,
{
    fn sql(self) -> SqlStr {
        self.sql.clone()
    }

    fn statement(&self) -> Option<&DB::Statement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<DB::Arguments>, BoxDynError> {
        Ok(self.arguments.clone())
    }

    fn persistent(&self) -> bool {
        true
    }
}

impl<DB> Calls<DB>
where
    DB: Database<Arguments: Clone + Sync>,
    DB::QueryResult: Default + Extend<DB::QueryResult>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    /// `set_up` is run on each new connection; `server` is where it is, for messages.
    pub(in super::super) async fn open(
        connect: <DB::Connection as Connection>::Options,
        server: &str,
        options: ServerOptions,
        set_up: String,
    ) -> Result<Self, StoreError> {
        // By hand first: the pool tries until its time is over, and then says no more than that.
        let once = async {
            let mut connection = DB::Connection::connect_with(&connect).await?;
            connection.execute(&Statement::text(set_up.clone())).await?;
            connection.close().await
        };
        let late = |_| sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
        tokio::time::timeout(options.connect_timeout, once)
            .await
            .map_err(late)
            .flatten()
            .map_err(|error| at(server, DB::error(error, false)))?;
        let pool = PoolOptions::new()
            .max_connections(options.connections.max(1))
            .acquire_timeout(options.connect_timeout)
            .test_before_acquire(false)
            .before_acquire(|connection: &mut DB::Connection, meta| {
                Box::pin(async move {
                    // A busy connection has just been tried.
                    if meta.idle_for > Duration::from_secs(1) {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection: &mut DB::Connection, _| {
                let set_up = Statement::text(set_up.clone());
                Box::pin(async move { connection.execute(&set_up).await.map(drop) })
            })
            .connect_lazy_with(connect);
        Ok(Self { pool, longest: options.call_timeout, record_bytes: AtomicUsize::new(0) })
    }

    /// All rows of a statement that changes nothing.
    pub(in super::super) async fn rows(&self, statement: &Statement<DB>) -> Result<Vec<DB::Row>, StoreError> {
        let mut rows = Vec::new();
        self.send(false, statement, |answer| {
            match answer {
                None => rows.clear(),
                Some(Either::Left(_)) => {}
                Some(Either::Right(row)) => rows.push(row),
            }
            Ok(true)
        })
        .await?;
        Ok(rows)
    }

    /// What the last try of a write did. Doing it twice must do no harm.
    pub(in super::super) async fn write(
        &self,
        statement: &Statement<DB>,
    ) -> Result<(DB::QueryResult, Doubt), StoreError> {
        let mut result = DB::QueryResult::default();
        let doubt = self
            .send(true, statement, |answer| {
                match answer {
                    None => result = DB::QueryResult::default(),
                    Some(Either::Left(done)) => result.extend([done]),
                    Some(Either::Right(_)) => {}
                }
                Ok(true)
            })
            .await?;
        Ok((result, doubt))
    }

    /// How many rows to ask for so that they have about `limit_bytes`.
    pub(in super::super) fn page_rows(&self, limit_bytes: usize) -> usize {
        // Before it is known, records are taken to be rather large.
        let record_bytes = match self.record_bytes.load(Ordering::Relaxed) {
            0 => 16 << 10,
            known => known,
        };
        (limit_bytes / record_bytes + 1).clamp(16, ROWS_MAX)
    }

    /// The next part of a scan, by a statement that asks for `rows` of them in order.
    pub(in super::super) async fn page(
        &self,
        statement: &Statement<DB>,
        rows: usize,
        segment: Segment,
        limit_bytes: usize,
        decode: impl Fn(DB::Row) -> Result<Found, StoreError> + Send + Sync,
    ) -> Result<Page, StoreError> {
        let mut gathered = Gathered::default();
        let (mut seen, mut full) = (0, false);
        self.send(false, statement, |answer| {
            let row = match answer {
                None => {
                    (gathered, seen) = (Gathered::default(), 0);
                    return Ok(true);
                }
                Some(Either::Left(_)) => return Ok(true),
                Some(Either::Right(row)) => row,
            };
            let found = decode(row)?;
            full = gathered.is_full(limit_bytes);
            if full {
                return Ok(false);
            }
            seen += 1;
            if segment.has(&found.tenant, &found.key) {
                gathered.take(found);
            } else {
                gathered.pass(found);
            }
            Ok(true)
        })
        .await?;
        if let Some(mean) = gathered.seen_bytes.checked_div(seen) {
            self.record_bytes.store(mean.max(1), Ordering::Relaxed);
        }
        Ok(gathered.end(full || seen == rows))
    }

    /// Waits for calls under way and closes all connections.
    pub(in super::super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Sends a statement up to [`TRIES`] times. `each` is given `None` at the start of every try,
    /// then what is answered; it returns false when it has enough. Once a try may have written, no
    /// later failure can say that nothing was written.
    async fn send(
        &self,
        writes: bool,
        statement: &Statement<DB>,
        mut each: impl FnMut(Option<Either<DB::QueryResult, DB::Row>>) -> Result<bool, StoreError> + Send,
    ) -> Result<Doubt, StoreError> {
        let mut doubt: Doubt = None;
        let mut tried = 0;
        loop {
            tried += 1;
            let mut connection = match self.connection(tried > 1).await {
                Ok(connection) => connection,
                Err(error) => return Err(doubt.unwrap_or(error)),
            };
            each(None)?;
            let answered = async {
                let mut answers = connection.fetch_many(statement);
                while let Some(answer) = answers.try_next().await.map_err(Err)? {
                    if !each(Some(answer)).map_err(Ok)? {
                        break;
                    }
                }
                Ok(())
            };
            // The server gives up first, and says so; this is for one that says nothing any more.
            let longest = self.longest + Duration::from_secs(1);
            let (may_help, error) = match tokio::time::timeout(longest, answered).await {
                Ok(Ok(())) => return Ok(doubt),
                Ok(Err(Ok(error))) => return Err(error),
                Ok(Err(Err(error))) => (DB::is_momentary(&error), DB::error(error, writes)),
                Err(_) => {
                    drop(connection.detach());
                    let late = io::Error::new(io::ErrorKind::TimedOut, "the server did not answer in time");
                    (false, DB::error(late.into(), writes))
                }
            };
            if error.may_apply() {
                doubt = Some(error.clone());
            }
            if tried == TRIES || !may_help {
                return Err(doubt.unwrap_or(error));
            }
        }
    }

    /// A connection from the pool; `sure`: one that answers.
    async fn connection(&self, sure: bool) -> Result<PoolConnection<DB>, StoreError> {
        let unreachable = || {
            let what = "no connection can be made: is the server up, and can it be reached?";
            not_applied(ErrorClass::Connection, what.to_owned())
        };
        let options = self.pool.options();
        let until_sure = async {
            loop {
                let mut connection = self.pool.acquire().await.map_err(|error| match error {
                    sqlx::Error::PoolTimedOut if self.pool.size() < options.get_max_connections() => {
                        unreachable()
                    }
                    error => DB::error(error, false),
                })?;
                if !sure || connection.ping().await.is_ok() {
                    return Ok(connection);
                }
                drop(connection.detach());
            }
        };
        // A ping can wait as long as the network is silent.
        let longest = options.get_acquire_timeout() * 2;
        tokio::time::timeout(longest, until_sure).await.unwrap_or_else(|_| Err(unreachable()))
    }
}

/// Of connecting: says where to.
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
