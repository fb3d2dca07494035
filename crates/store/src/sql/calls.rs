//! Calls to a database server: limited in time, and repeated if a connection is lost.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures::TryStreamExt;
use sqlx::{Connection, Either, Executor};

use super::{
    super::{Page, Segment, StoreError, error::Doubt, mapping::SqlTable, scan::Gathered},
    Keys,
    merge::{Merge, Merged, Part},
    permanent,
    pool::Pool,
    recent_check::RecentCheck,
    server::{Database, ServerOptions, Statement},
};
use cutover_core::outcome::ErrorClass;

/// Number of attempts before a lost connection or a deadlock is reported.
const TRIES: usize = 3;

/// Maximum rows of a page. A page's rows beyond its bytes are read and dropped, so this bounds the waste when
/// records suddenly get much larger.
const ROWS_MAX: usize = 2000;

/// A pool, and how calls use it.
#[derive(Debug)]
pub(in super::super) struct Calls<DB: Database> {
    pool: Pool<DB>,
    longest: Duration,
    /// Recent average bytes of a record; 0 before the first page.
    record_bytes: AtomicUsize,
    /// Whether the tables are complete.
    pub(in super::super) recent_check: RecentCheck,
}

impl<DB> Calls<DB>
where
    DB: Database,
    DB::QueryResult: Default + Extend<DB::QueryResult>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    /// `server` says where it is, for messages. A server that must not be used is refused, now and whenever a
    /// connection is made. A call takes at most `longest`.
    pub(in super::super) async fn open(
        connect: <DB::Connection as Connection>::Options,
        server: &str,
        options: ServerOptions,
        longest: Duration,
    ) -> Result<Self, StoreError> {
        let pool = Pool::open(connect, server, options).await?;
        Ok(Self { pool, longest, record_bytes: AtomicUsize::new(0), recent_check: RecentCheck::default() })
    }

    /// All rows of a statement that changes nothing.
    pub(in super::super) async fn rows(&self, statement: &Statement<DB>) -> Result<Vec<DB::Row>, StoreError> {
        Ok(self.rows_of(false, &[statement]).await?.0)
    }

    /// Executes statements that write, and returns the rows of the last attempt. Several statements form a
    /// transaction: the first one begins it ([`Statement::begins`]) and the last one commits. Executing them twice
    /// must do no harm.
    pub(in super::super) async fn change(
        &self,
        statements: &[&Statement<DB>],
    ) -> Result<(Vec<DB::Row>, Doubt), StoreError> {
        self.rows_of(true, statements).await
    }

    /// The rows of the last attempt.
    async fn rows_of(
        &self,
        writes: bool,
        statements: &[&Statement<DB>],
    ) -> Result<(Vec<DB::Row>, Doubt), StoreError> {
        let mut rows = Vec::new();
        let doubt = self
            .send(writes, statements, |answer| {
                match answer {
                    None => rows.clear(),
                    Some(Either::Left(_)) => {}
                    Some(Either::Right(row)) => rows.push(row),
                }
                Ok(true)
            })
            .await?;
        Ok((rows, doubt))
    }

    /// The result of the last attempt of a write. Executing it twice must do no harm.
    pub(in super::super) async fn write(
        &self,
        statement: &Statement<DB>,
    ) -> Result<(DB::QueryResult, Doubt), StoreError> {
        let mut result = DB::QueryResult::default();
        let doubt = self
            .send(true, &[statement], |answer| {
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

    /// Creates a table. Whatever the server refuses then is the table's fault, not a record's.
    pub(in super::super) async fn create(&self, sql: String) -> Result<(), StoreError> {
        match self.write(&Statement::text(sql)).await {
            Ok(_) => Ok(()),
            Err(StoreError::Permanent { class: ErrorClass::Constraint, what, .. }) => {
                Err(permanent(ErrorClass::Other, "table", what))
            }
            Err(error) => Err(error),
        }
    }

    /// How many rows to ask for to get about `limit_bytes`.
    pub(in super::super) fn page_rows(&self, limit_bytes: usize) -> usize {
        // Until their size is known, records are assumed to be rather large.
        let record_bytes = match self.record_bytes.load(Ordering::Relaxed) {
            0 => 16 << 10,
            known => known,
        };
        (limit_bytes / record_bytes + 1).clamp(16, ROWS_MAX)
    }

    /// The next part of a scan, by a statement that asks for `rows` of them in order; with a ledger, for so many
    /// rows and so many entries.
    pub(in super::super) async fn page(
        &self,
        statement: &Statement<DB>,
        rows: usize,
        segment: Segment,
        limit_bytes: usize,
        (table, keys): (&SqlTable, &Keys),
        decode: impl Fn(DB::Row) -> Result<Part, StoreError> + Send + Sync,
    ) -> Result<Page, StoreError> {
        let mut gathered = Gathered::default();
        let merge_of = || Merge::new(table, keys.are_in_byte_order(), rows);
        let mut merge = merge_of();
        let mut full = false;
        let take = |gathered: &mut Gathered, merged: Merged| {
            if gathered.is_full(limit_bytes) {
                return false;
            }
            match merged {
                Merged::Found(found) if segment.has(&found.tenant, &found.key) => gathered.take(found),
                Merged::Found(found) => gathered.pass(found),
                Merged::Nothing { tenant, key } => gathered.pass_place(tenant, key),
            }
            true
        };
        self.send(false, &[statement], |answer| {
            let row = match answer {
                None => {
                    (gathered, merge) = (Gathered::default(), merge_of());
                    return Ok(true);
                }
                Some(Either::Left(_)) => return Ok(true),
                Some(Either::Right(row)) => row,
            };
            full = !merge.next(decode(row)?, |merged| take(&mut gathered, merged))?;
            Ok(!full)
        })
        .await?;
        if !full {
            full = !merge.rest().all(|merged| take(&mut gathered, merged));
        }
        if let Some(mean) = gathered.seen_bytes.checked_div(gathered.seen) {
            self.record_bytes.store(mean.max(1), Ordering::Relaxed);
        }
        gathered.end(full || merge.is_cut())
    }

    /// Waits for calls in flight and closes all connections.
    pub(in super::super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Sends statements, one after the other on one connection, up to [`TRIES`] times. `each` is given `None` at
    /// the start of every attempt, then the answers; it returns false when it has enough. Once an attempt may have
    /// written, no later failure can say that nothing was written.
    async fn send(
        &self,
        writes: bool,
        statements: &[&Statement<DB>],
        mut each: impl FnMut(Option<Either<DB::QueryResult, DB::Row>>) -> Result<bool, StoreError> + Send,
    ) -> Result<Doubt, StoreError> {
        let mut doubt: Doubt = None;
        let mut tried = 0;
        loop {
            tried += 1;
            let mut lease = match self.pool.lease(tried > 1).await {
                Ok(lease) => lease,
                Err(error) => return Err(doubt.unwrap_or(error)),
            };
            each(None)?;
            let answered = async {
                for statement in statements {
                    let mut answers = lease.connection().fetch_many(*statement);
                    while let Some(answer) = answers.try_next().await.map_err(Err)? {
                        if !each(Some(answer)).map_err(Ok)? {
                            return Ok(false);
                        }
                    }
                }
                Ok(true)
            };
            // The server gives up first and says so; this is for one that no longer answers.
            let longest = self.longest + Duration::from_secs(1);
            let (may_help, error) = match tokio::time::timeout(longest, answered).await {
                Ok(Ok(is_whole)) => {
                    if is_whole {
                        lease.give_back();
                    } else {
                        lease.give_back_after_the_rest();
                    }
                    return Ok(doubt);
                }
                Ok(Err(Ok(error))) => {
                    lease.give_back_after_the_rest();
                    return Err(error);
                }
                Ok(Err(Err(error))) => {
                    if DB::is_leaving(&error) {
                        self.pool.retire();
                    } else if error.as_database_error().is_some() {
                        match statements.iter().any(|statement| statement.begins) {
                            true => lease.give_back_rolled_back().await,
                            false => lease.give_back(),
                        }
                    }
                    (DB::is_momentary(&error), DB::error(error, writes))
                }
                Err(_) => {
                    drop(lease);
                    // The others most likely lead to the same silence.
                    self.pool.retire();
                    let what = format!(
                        "{} did not answer {} within {longest:?}: see whether it is up, overloaded, or cut off",
                        self.pool.server(),
                        statements.first().map_or("a statement", |statement| statement.verb())
                    );
                    let late = io::Error::new(io::ErrorKind::TimedOut, what);
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
}
