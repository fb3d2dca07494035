//! Transactions, what ends them, and what their errors prove.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use sqlx::{AssertSqlSafe, Executor as _, PgConnection, raw_sql};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    PostgresStore,
    connections::{Connections, Turn},
    failure::Failure,
    session::idle_ms,
};
use crate::store::{CALL, Error, Lease, Store as _, Term, Upkeep, sql::row::int};

/// Longest wait for the server to commit or to roll back: the network may be gone.
const ANSWER: Duration = Duration::from_secs(4);
/// Longest time for a write up to its commit, most of which is waiting for others.
const WRITE: Duration = Duration::from_secs(15);
/// And for each row of it.
const ROW: Duration = Duration::from_micros(100);
/// Longest time for a read.
pub(super) const READ: Duration = Duration::from_secs(10);
/// The same for all that a leader has to know: millions of rows when it starts.
pub(super) const LOAD: Duration = Duration::from_secs(120);

/// Of advisory locks: "Cuto". The schema is the second part.
const LOCKS: i32 = 0x4375_746f;

/// What only one transaction does at a time. It is locked until its commit has ended, even if nobody waits for that any
/// more, so what is decided later is written later.
#[derive(Clone, Copy)]
pub(super) enum Order {
    Schema,
    /// Instances, passes, cursors and tokens.
    Records,
    /// What was reported. Commits do not wait for it.
    Windows,
}

impl Order {
    /// Waits for the one before.
    pub(super) async fn wait(self, tx: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
        let lock = LOCKS + self as i32;
        let wait = sqlx::query("SELECT pg_advisory_xact_lock($1, hashtext($2))").bind(lock).bind(schema);
        wait.execute(tx).await.map(drop)
    }
}

/// The only connection for writes of one kind. Another kind does not wait for them.
pub(super) struct Writer {
    /// `None`: commits. The counter's row is their lock.
    pub(super) order: Option<Order>,
    pub(super) connection: Connections,
}

/// How much a transaction sends.
#[derive(Clone, Copy, Default)]
pub(super) struct Size {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

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

/// What a transaction does ends by a deadline, and with the term.
pub(super) struct Bounds {
    lease: Arc<Lease>,
    /// `None`: this controller does not lead.
    term: Option<Term>,
    until: Instant,
}

impl Bounds {
    /// Does a part.
    pub(super) async fn of<T, E: Into<Unwritten>>(
        &self,
        part: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Unwritten> {
        let term_ends = async {
            match &self.term {
                Some(term) => self.lease.ended(term).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            done = timeout_at(self.until, part) => match done {
                Ok(done) => done.map_err(Into::into),
                Err(_) => Err(Unwritten::Silent),
            },
            () = term_ends => Err(Unwritten::Deposed),
        }
    }
}

/// A transaction. Dropped before it has ended, it closes its connection, and the server rolls back.
pub(super) struct Transaction<'a> {
    store: &'a PostgresStore,
    turn: Turn<'a>,
    reads: bool,
}

impl Transaction<'_> {
    /// Commits what was done, or rolls back.
    pub(super) async fn end<T>(mut self, done: Result<T, Unwritten>) -> Result<T, Error> {
        let done = match done {
            Ok(done) => done,
            Err(why) => {
                if matches!(why, Unwritten::Conflict)
                    && let Ok(Ok(_)) = timeout(ANSWER, self.turn.execute(raw_sql("ROLLBACK"))).await
                {
                    self.turn.give_back();
                }
                return Err(self.store.unwritten(why));
            }
        };
        // From here on nobody knows what became of it if the answer is lost.
        match timeout(ANSWER, self.turn.execute(raw_sql("COMMIT"))).await {
            Ok(Ok(_)) => self.turn.give_back(),
            _ if self.reads => {}
            // An ERROR rolls back; FATAL and a lost connection prove nothing.
            Ok(Err(error)) if Failure::is_rolled_back(&error) => {
                return Err(self.store.unwritten(error.into()));
            }
            Ok(Err(error)) => return Err(self.store.unwritten(Unwritten::Unknown(error.to_string()))),
            Err(_) => {
                return Err(self
                    .store
                    .unwritten(Unwritten::Unknown("the server does not answer".to_owned())));
            }
        }
        Ok(done)
    }
}

impl Deref for Transaction<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.turn
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.turn
    }
}

impl PostgresStore {
    /// Begins a transaction that writes so much, and holds the leader's seat until it ends. Refused unless this
    /// controller leads.
    pub(super) async fn writing<'a>(
        &'a self,
        writer: &'a Writer,
        size: Size,
    ) -> Result<(Transaction<'a>, Bounds), Error> {
        let Some(term) = self.lease.term() else { return Err(deposed()) };
        let rows = ROW.saturating_mul(u32::try_from(size.rows).unwrap_or(u32::MAX));
        // The server waits for a message of this size.
        let idle_ms = idle_ms(size.bytes);
        let limit = WRITE + rows + Duration::from_millis(idle_ms.unwrap_or_default());
        let bounds = self.bounds(Some(term), limit);
        let begun = async {
            let mut turn = writer.connection.turn().await?;
            turn.execute(raw_sql("BEGIN")).await?;
            if !self.is_in_term(&bounds, &mut turn, "FOR KEY SHARE").await? {
                return Ok(None);
            }
            if let Some(idle_ms) = idle_ms {
                let wait = format!("SET LOCAL idle_in_transaction_session_timeout = {idle_ms}");
                turn.execute(raw_sql(AssertSqlSafe(wait))).await?;
            }
            if let Some(order) = writer.order {
                order.wait(&mut turn, &self.schema).await?;
            }
            Ok::<_, sqlx::Error>(Some(turn))
        };
        Ok((self.begun(begun, &bounds, false).await?, bounds))
    }

    /// Begins a transaction that reads. If this controller leads, it is refused unless the database knows its term.
    pub(super) async fn reading<'a>(
        &'a self,
        from: &'a Connections,
        limit: Duration,
    ) -> Result<(Transaction<'a>, Bounds), Error> {
        self.reading_in(self.lease.term(), from, limit).await
    }

    /// Reads in a term. `None`: in no term, and soon.
    pub(super) async fn reading_in<'a>(
        &'a self,
        term: Option<Term>,
        from: &'a Connections,
        limit: Duration,
    ) -> Result<(Transaction<'a>, Bounds), Error> {
        let limit = if term.is_some() { limit } else { limit.min(CALL) };
        let bounds = self.bounds(term, limit);
        let begun = async {
            let mut turn = from.turn().await?;
            turn.execute(raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")).await?;
            let is_in_term = self.is_in_term(&bounds, &mut turn, "").await?;
            Ok::<_, sqlx::Error>(is_in_term.then_some(turn))
        };
        Ok((self.begun(begun, &bounds, true).await?, bounds))
    }

    fn bounds(&self, term: Option<Term>, limit: Duration) -> Bounds {
        Bounds { lease: self.lease.clone(), term, until: Instant::now() + limit }
    }

    async fn is_in_term(
        &self,
        bounds: &Bounds,
        tx: &mut PgConnection,
        lock: &'static str,
    ) -> Result<bool, sqlx::Error> {
        match &bounds.term {
            Some(term) => is_seated(tx, term, &self.schema, lock).await,
            None => Ok(true),
        }
    }

    async fn begun<'a>(
        &'a self,
        begun: impl Future<Output = Result<Option<Turn<'a>>, sqlx::Error>>,
        bounds: &Bounds,
        reads: bool,
    ) -> Result<Transaction<'a>, Error> {
        let begun = bounds.of(begun).await.map_err(|why| self.unwritten(why))?;
        if let (None, Some(term)) = (&begun, &bounds.term) {
            self.lease.depose(term);
        }
        let turn = begun.ok_or_else(deposed)?;
        Ok(Transaction { store: self, turn, reads })
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

    pub(super) fn unwritten(&self, why: Unwritten) -> Error {
        match why {
            Unwritten::Conflict => Error::Conflict,
            Unwritten::Deposed => deposed(),
            Unwritten::Damaged(error) => error,
            Unwritten::Failed(error) => Failure::of(&error).into_error(&self.place),
            Unwritten::Silent => Error::Unavailable(format!("{} does not answer", self.place)),
            Unwritten::Unknown(why) => Error::Unknown(format!("{}: {why}", self.place)),
        }
    }
}

fn deposed() -> Error {
    Error::Unavailable("another controller leads now: ask that one".to_owned())
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
