//! Transactions, what ends them, and what their errors prove.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use tokio::time::{Instant, timeout, timeout_at};

use super::{
    ServerStore,
    connections::{Connection, Connections, Turn},
    dialect::{Dialect, Order, Size},
    statement::Statement,
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

/// The only connection for writes of one kind. Another kind does not wait for them.
pub(super) struct Writer<D: Dialect> {
    /// `None`: commits. The counter's row is their lock.
    pub(super) order: Option<Order>,
    pub(super) connection: Connections<D>,
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
pub(super) struct Transaction<'a, D: Dialect> {
    store: &'a ServerStore<D>,
    turn: Turn<'a, D>,
    reads: bool,
}

impl<D: Dialect> Transaction<'_, D> {
    /// Waits for the transaction before, in an order that this one's writer is not in.
    pub(super) async fn wait_for(&mut self, order: Order) -> Result<(), sqlx::Error> {
        wait_for(&mut self.turn, order).await
    }

    /// Commits what was done, or rolls back.
    pub(super) async fn end<T>(mut self, done: Result<T, Unwritten>) -> Result<T, Error> {
        let done = match done {
            Ok(done) => done,
            Err(why) => {
                if matches!(why, Unwritten::Conflict)
                    && let Ok(Ok(_)) = timeout(ANSWER, self.turn.execute(D::ROLLBACK)).await
                {
                    self.turn.give_back();
                }
                return Err(self.store.unwritten(why));
            }
        };
        // From here on nobody knows what became of it if the answer is lost.
        match timeout(ANSWER, self.turn.execute(D::COMMIT)).await {
            Ok(Ok(_)) => self.turn.give_back(),
            _ if self.reads => {}
            // A lost connection proves nothing.
            Ok(Err(error)) if D::is_rolled_back(&error) => {
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

impl<D: Dialect> Deref for Transaction<'_, D> {
    type Target = Connection<D>;

    fn deref(&self) -> &Connection<D> {
        &self.turn
    }
}

impl<D: Dialect> DerefMut for Transaction<'_, D> {
    fn deref_mut(&mut self) -> &mut Connection<D> {
        &mut self.turn
    }
}

impl<D: Dialect> ServerStore<D> {
    /// Begins a transaction that writes so much, and holds the leader's seat until it ends. Refused unless this
    /// controller leads.
    pub(super) async fn writing<'a>(
        &'a self,
        writer: &'a Writer<D>,
        size: Size,
    ) -> Result<(Transaction<'a, D>, Bounds), Error> {
        let Some(term) = self.lease.term() else { return Err(deposed()) };
        let rows = ROW.saturating_mul(u32::try_from(size.rows).unwrap_or(u32::MAX));
        let bounds = self.bounds(Some(term), WRITE + rows + size.arrives_in());
        let begun = async {
            let mut turn = match self.dialect.too_large(size) {
                None => writer.connection.turn().await?,
                // The limit may have been raised.
                Some(_) => writer.connection.new_turn().await?,
            };
            if let Some(why) = self.dialect.too_large(size) {
                return Err(sqlx::Error::Configuration(why.into()));
            }
            turn.execute(&self.dialect.begin(size)).await?;
            if !is_in_term(&bounds, &mut turn, D::SHARED).await? {
                return Ok(None);
            }
            if let Some(order) = writer.order {
                wait_for(&mut turn, order).await?;
            }
            Ok::<_, sqlx::Error>(Some(turn))
        };
        Ok((self.begun(begun, &bounds, false).await?, bounds))
    }

    /// Begins a transaction that reads. If this controller leads, it is refused unless the database knows its term.
    pub(super) async fn reading<'a>(
        &'a self,
        from: &'a Connections<D>,
        limit: Duration,
    ) -> Result<(Transaction<'a, D>, Bounds), Error> {
        self.reading_in(self.lease.term(), from, limit).await
    }

    /// Reads in a term. `None`: in no term, and soon.
    pub(super) async fn reading_in<'a>(
        &'a self,
        term: Option<Term>,
        from: &'a Connections<D>,
        limit: Duration,
    ) -> Result<(Transaction<'a, D>, Bounds), Error> {
        let limit = if term.is_some() { limit } else { limit.min(CALL) };
        let bounds = self.bounds(term, limit);
        let begun = async {
            let mut turn = from.turn().await?;
            turn.execute(D::READ).await?;
            let is_in_term = is_in_term(&bounds, &mut turn, "").await?;
            Ok::<_, sqlx::Error>(is_in_term.then_some(turn))
        };
        Ok((self.begun(begun, &bounds, true).await?, bounds))
    }

    fn bounds(&self, term: Option<Term>, limit: Duration) -> Bounds {
        Bounds { lease: self.lease.clone(), term, until: Instant::now() + limit }
    }

    async fn begun<'a>(
        &'a self,
        begun: impl Future<Output = Result<Option<Turn<'a, D>>, sqlx::Error>>,
        bounds: &Bounds,
        reads: bool,
    ) -> Result<Transaction<'a, D>, Error> {
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
            Unwritten::Failed(error) => D::failed(&error).into_error(&self.place),
            Unwritten::Silent => Error::Unavailable(format!("{} does not answer", self.place)),
            Unwritten::Unknown(why) => Error::Unknown(format!("{}: {why}", self.place)),
        }
    }
}

fn deposed() -> Error {
    Error::Unavailable("another controller leads now: ask that one".to_owned())
}

async fn wait_for<D: Dialect>(turn: &mut Turn<'_, D>, order: Order) -> Result<(), sqlx::Error> {
    let connection: &mut Connection<D> = turn;
    connection.dialect.wait_for(&mut connection.inner, order).await
}

async fn is_in_term<D: Dialect>(
    bounds: &Bounds,
    connection: &mut Connection<D>,
    lock: &str,
) -> Result<bool, sqlx::Error> {
    match &bounds.term {
        Some(term) => is_seated(&*connection.dialect, &mut connection.inner, term, lock).await,
        None => Ok(true),
    }
}

/// Whether the database that this connection leads to knows the term: not if another controller leads, nor if this is
/// a copy from before, or a replica that was promoted since.
pub(in crate::store) async fn is_seated<D: Dialect>(
    dialect: &D,
    connection: &mut D::Connection,
    term: &Term,
    lock: &str,
) -> Result<bool, sqlx::Error> {
    let (fence, database, and_here) = (D::FENCE, D::DATABASE, dialect.and_here());
    let seat = format!(
        r#"SELECT epoch FROM {fence} WHERE epoch = ? AND holder = ? AND "database" = {database}{and_here} {lock}"#
    );
    let seat = Statement::new(seat).int(int(term.epoch)).text(&term.holder);
    Ok(!dialect.rows(connection, seat).await?.is_empty())
}
