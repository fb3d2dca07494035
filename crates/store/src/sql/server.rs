//! What a database server is to its pool and its calls: its limits, its errors, and statements for it.

use std::{collections::HashMap, time::Duration};

use sqlx::{AssertSqlSafe, Execute, SqlSafeStr, SqlStr, error::BoxDynError};

use super::{
    super::{CONNECTIONS, StoreError},
    class, driver_error, not_applied,
};

/// What a server reports about itself, by lower-case name.
pub(in super::super) type Facts = HashMap<String, String>;

/// How a database server is used.
///
/// The limits are set on each connection and enforced by the server, even if this process is gone. So a write
/// lands within [`Self::residual`] of being sent, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// Maximum connections of this process. At least 1.
    pub connections: u32,
    /// Longest wait for one of them, or for the server to accept one.
    pub connect_timeout: Duration,
    /// Longest wait for a record or table lock held by others; MySQL counts whole seconds. Keep it below the
    /// migrator's call timeout; otherwise a locked record makes writes indeterminate that were never made.
    pub lock_timeout: Duration,
    /// Longest run of one statement, ended by the server. MySQL (not MariaDB) ends reads only: there a statement
    /// writes so few records that their lock waits end within this time.
    pub call_timeout: Duration,
    /// The server closes a connection that has been silent for this long, so that a statement can't arrive
    /// later than that; MySQL counts whole seconds. A connection that was idle for half of it is not reused.
    pub idle_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            connect_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(1),
            call_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(10),
        }
    }
}

impl ServerOptions {
    /// A write lands within this time of being sent, or never: it arrives before the server closes the
    /// connection, and runs as long as the server allows. The commit itself is not included, because no
    /// server limits it (docs/spec.md).
    pub fn residual(&self) -> Duration {
        whole_seconds(self.idle_timeout) + self.call_timeout + whole_seconds(self.lock_timeout)
    }

    /// A connection that was idle for this long is replaced.
    pub(super) fn renewed_after(&self) -> Duration {
        self.idle_timeout / 2
    }
}

/// Rounded up, and at least one.
pub(in super::super) fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(u64::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1))
}

/// A database, and what to conclude from its errors.
pub(in super::super) trait Database:
    sqlx::Database<Arguments: Clone + Sync, Statement: 'static>
{
    /// For errors that prove that nothing was changed. `None`: it was not such an error, or not from this
    /// database.
    fn told(error: &sqlx::Error) -> Option<StoreError>;

    /// For the other errors of a write: those that end the statement because of what it would write, whatever
    /// the reason. `None`: the server is ill, or it is not certain that nothing was written.
    fn refused(error: &sqlx::Error) -> Option<StoreError>;

    /// `may_apply`: the error belongs to a write that was sent.
    fn error(error: sqlx::Error, may_apply: bool) -> StoreError {
        let refused = || may_apply.then(|| Self::refused(&error)).flatten();
        if let Some(known) = driver_error(&error).or_else(|| Self::told(&error)).or_else(refused) {
            return known;
        }
        let (class, what) = (class(&error), format!("{} failed: {error}", Self::NAME));
        if may_apply { StoreError::Indeterminate { class, what } } else { not_applied(class, what) }
    }

    /// Worth an immediate retry: the connection was lost, or the server aborted this statement to resolve a
    /// deadlock.
    fn is_momentary(error: &sqlx::Error) -> bool;

    /// The server is shutting down or no longer accepts writes, on any connection.
    fn is_leaving(error: &sqlx::Error) -> bool;

    /// Statements that set the limits on a new connection.
    fn set_up(options: &ServerOptions) -> String;

    /// What a new connection is then asked: rows for [`Self::fact`]. `server` identifies servers, `backend`
    /// the connections of one.
    const LOOK: &'static str;

    /// What a connection in use is asked, a part of [`Self::LOOK`]: whether its server may still be used.
    const STILL: &'static str;

    /// What ends a transaction that has failed, and all that it has set for the connection.
    const ROLLBACK: &'static str = "ROLLBACK";

    /// A name and a value.
    fn fact(row: &Self::Row) -> Option<(String, String)>;

    /// Another statement that this server needs.
    fn set_up_more(_said: &Facts) -> Option<&'static str> {
        None
    }

    /// Why the server's reads may miss acknowledged writes, or why it accepts no writes, and what to do.
    fn refusal(said: &Facts) -> Option<String>;

    /// Which limit is not set, and what to do.
    fn unlimited(said: &Facts, options: &ServerOptions) -> Option<String>;
}

/// A statement that can be sent more than once.
#[derive(Debug)]
pub(in super::super) struct Statement<DB: sqlx::Database> {
    sql: SqlStr,
    /// `None`: sent as text, without preparing it on the server.
    arguments: Option<DB::Arguments>,
    /// It begins a transaction, which has to be rolled back after an error.
    pub(super) begins: bool,
}

impl<DB: sqlx::Database> Statement<DB> {
    /// The text must consist of checked names, numbers and escaped values.
    pub(in super::super) fn text(sql: String) -> Self {
        Self { sql: AssertSqlSafe(sql).into_sql_str(), arguments: None, begins: false }
    }

    /// A text that begins a transaction.
    pub(in super::super) fn begins(sql: String) -> Self {
        Self { begins: true, ..Self::text(sql) }
    }

    /// Prepared once per connection.
    pub(in super::super) fn prepared(sql: &SqlStr, arguments: DB::Arguments) -> Self {
        Self { sql: sql.clone(), arguments: Some(arguments), begins: false }
    }

    /// What the statement does, without any value.
    pub(super) fn verb(&self) -> &str {
        if self.begins {
            return "a transaction";
        }
        self.sql.as_str().split_whitespace().next().unwrap_or("a statement")
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
