//! Transactions of the leader, and what their errors prove.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgTransaction, Postgres, pool::PoolConnection};
use tokio::time::timeout;

use super::{PostgresStore, failure::Failure};
use crate::store::{Error, Store as _, Term, Upkeep, sql::row::int};

/// Longest wait for the server to begin or to commit: the network may be gone.
const ANSWER: Duration = Duration::from_secs(4);
/// The same for what is in between, which may wait for another commit.
const WRITE: Duration = Duration::from_secs(10);
/// And for each row of it.
const ROW: Duration = Duration::from_micros(100);
/// Longest time for a read: millions of rows when a leader starts.
const READ: Duration = Duration::from_secs(120);

/// Why a write was not made, or may not have been.
pub(super) enum Unwritten {
    Conflict,
    /// Another controller leads.
    Deposed,
    /// Stored data can't be read.
    Damaged(Error),
    /// Nothing was written.
    Failed(sqlx::Error),
    /// Nothing was written: the server did not answer before the commit was sent.
    Silent,
    /// The commit was sent, and its answer was lost.
    Unknown(String),
}

impl From<sqlx::Error> for Unwritten {
    fn from(error: sqlx::Error) -> Self {
        // Another event has this revision or request id.
        let unique = error.as_database_error().is_some_and(|error| error.is_unique_violation());
        if unique { Self::Conflict } else { Self::Failed(error) }
    }
}

impl PostgresStore {
    /// A connection for a write.
    pub(super) async fn writer(&self) -> Result<PoolConnection<Postgres>, Error> {
        self.pool.acquire().await.map_err(|error| self.failed(&error))
    }

    /// Begins a transaction that holds the leader's seat until it ends. Refused unless this controller leads.
    pub(super) async fn begin<'c>(
        &self,
        writer: &'c mut PoolConnection<Postgres>,
    ) -> Result<PgTransaction<'c>, Unwritten> {
        let Some(term) = self.lease.term() else { return Err(Unwritten::Deposed) };
        let tx = timeout(ANSWER, seated(writer, &term, &self.schema)).await.unwrap_or(Err(Unwritten::Silent));
        if matches!(tx, Err(Unwritten::Deposed)) {
            self.lease.depose(&term);
        }
        tx
    }

    /// Does a part of a transaction, which has so many rows.
    pub(super) async fn within<T>(
        &self,
        rows: usize,
        part: impl Future<Output = Result<T, Unwritten>>,
    ) -> Result<T, Unwritten> {
        let limit = WRITE + ROW.saturating_mul(u32::try_from(rows).unwrap_or(u32::MAX));
        timeout(limit, part).await.unwrap_or(Err(Unwritten::Silent))
    }

    /// Commits. From here on nobody knows what became of it if the answer is lost.
    pub(super) async fn end(&self, tx: PgTransaction<'_>) -> Result<(), Unwritten> {
        match timeout(ANSWER, tx.commit()).await {
            Ok(Ok(())) => Ok(()),
            // An ERROR rolls back; FATAL and a lost connection prove nothing.
            Ok(Err(error)) if Failure::is_rolled_back(&error) => Err(error.into()),
            Ok(Err(error)) => Err(Unwritten::Unknown(error.to_string())),
            Err(_) => Err(Unwritten::Unknown("the server does not answer".to_owned())),
        }
    }

    /// Returns the connection, or closes it after a failure: its transaction then ends at the server.
    pub(super) fn finish<T>(
        &self,
        mut writer: PoolConnection<Postgres>,
        result: Result<T, Unwritten>,
    ) -> Result<T, Error> {
        let unwritten = match result {
            Ok(done) => return Ok(done),
            // Returning it to the pool rolls back.
            Err(Unwritten::Conflict) => return Err(Error::Conflict),
            Err(unwritten) => unwritten,
        };
        writer.close_on_drop();
        Err(match unwritten {
            Unwritten::Conflict => Error::Conflict,
            Unwritten::Deposed => deposed(),
            Unwritten::Damaged(error) => error,
            Unwritten::Failed(error) => self.failed(&error),
            Unwritten::Silent => self.silent(),
            Unwritten::Unknown(why) => Error::Unknown(format!("{}: {why}", self.place)),
        })
    }

    /// Begins a transaction that reads. If this controller leads, it is refused unless the database knows its term.
    pub(super) async fn reading(&self) -> Result<PgTransaction<'static>, Error> {
        let term = self.lease.term();
        let begun = async {
            let mut tx = self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
            match &term {
                Some(term) if !is_seated(&mut tx, term, &self.schema, "").await? => Ok(None),
                _ => Ok(Some(tx)),
            }
        };
        let begun = self.read(begun).await?;
        if let (None, Some(term)) = (&begun, &term) {
            self.lease.depose(term);
        }
        begun.ok_or_else(deposed)
    }

    /// Refuses a database that lacks commits which this process has seen in it, although it is the same one: it begins
    /// another history, and ends the term. The next one holds everybody.
    pub(super) async fn check_newest(&self, known: u64, newest: u64) -> Result<(), Error> {
        let Some(term) = self.lease.term().filter(|_| newest < known) else {
            self.known.fetch_max(newest, SeqCst);
            return Ok(());
        };
        let why = format!(
            "this controller has seen revision {known}, and the store is at {newest}: was it restored?"
        );
        tracing::error!(known, newest, "the database has lost commits");
        self.keep(&Upkeep { begin_history: Some(why.clone()), ..Upkeep::default() }).await?;
        self.known.store(newest, SeqCst);
        self.lease.depose(&term);
        Err(Error::Unavailable(why))
    }

    /// Reads.
    pub(super) async fn read<T>(
        &self,
        reading: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Error> {
        timeout(READ, reading).await.map_err(|_| self.silent())?.map_err(|error| self.failed(&error))
    }

    pub(super) fn failed(&self, error: &sqlx::Error) -> Error {
        Failure::of(error).into_error(&self.place)
    }

    fn silent(&self) -> Error {
        Error::Unavailable(format!("{} does not answer", self.place))
    }
}

fn deposed() -> Error {
    Error::Unavailable("another controller leads now: ask that one".to_owned())
}

async fn seated<'c>(
    writer: &'c mut PoolConnection<Postgres>,
    term: &Term,
    schema: &str,
) -> Result<PgTransaction<'c>, Unwritten> {
    let mut tx = writer.begin().await?;
    match is_seated(&mut tx, term, schema, "FOR KEY SHARE").await? {
        true => Ok(tx),
        false => Err(Unwritten::Deposed),
    }
}

/// Whether the database that this connection leads to knows the term: not if another controller leads, nor if this is
/// a copy from before, or a standby that was promoted since.
pub(super) async fn is_seated(
    tx: &mut PgConnection,
    term: &Term,
    schema: &str,
    lock: &'static str,
) -> Result<bool, sqlx::Error> {
    let seat = format!(
        "SELECT epoch FROM leader WHERE epoch = $1 AND holder = $2 AND current_schema() = $3
         AND database = current_setting('cutover.database', true) {lock}"
    );
    let seat = sqlx::query(AssertSqlSafe(seat)).bind(int(term.epoch)).bind(&term.holder).bind(schema);
    Ok(seat.fetch_optional(tx).await?.is_some())
}
