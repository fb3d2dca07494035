//! What differs between the database servers.

use std::{borrow::Cow, convert::Infallible, fmt, time::Duration};

use async_trait::async_trait;

use super::{failure::Failure, statement::Statement};
use crate::store::{Lease, OpenError, sql::row::Columns};

/// Slowest rate at which a message arrives.
const BYTES_PER_MS: u64 = 1_000;

/// What only one transaction does at a time. It is locked until its commit has ended, even if nobody waits for that any
/// more, so what is decided later is written later.
#[derive(Clone, Copy)]
pub(in crate::store) enum Order {
    /// Instances, passes, cursors and tokens.
    Records = 1,
    /// What was reported. Commits do not wait for it.
    Windows = 2,
}

/// How much a transaction sends.
#[derive(Clone, Copy, Default)]
pub(in crate::store) struct Size {
    pub(super) rows: usize,
    /// Of the largest message, about.
    pub(in crate::store) bytes: usize,
}

impl Size {
    /// How long the server may have to wait for a message.
    pub(in crate::store) fn arrives_in(self) -> Duration {
        Duration::from_millis(self.bytes as u64 / BYTES_PER_MS)
    }
}

/// A kind of server, and how one of them is reached.
#[async_trait]
pub(in crate::store) trait Dialect: fmt::Debug + Send + Sync + Sized + 'static {
    /// Dropped, it is closed.
    type Connection: sqlx::Connection;
    type Row: Columns;

    /// What [`Self::DATABASE`] is, for people.
    const IDENTITY: &'static str;
    /// Begins a transaction that reads everything at one moment.
    const READ: &'static str;
    const COMMIT: &'static str;
    const ROLLBACK: &'static str;
    /// The table whose row each transaction that writes locks: only a change of leader changes it.
    const FENCE: &'static str;
    /// Locks that row together with other transactions that write.
    const SHARED: &'static str;
    /// Which database a statement is executed by.
    const DATABASE: &'static str;
    /// A whole number, as `CAST` calls it.
    const INTEGER: &'static str;
    /// Finds the event of a request. No request has an empty id.
    const BY_REQUEST: &'static str;
    /// Raises `used_ms` of the tokens in a list with `id` and `at_ms`.
    const NOTE_USED: &'static str;

    /// Reads the version of the tables, as `version`.
    const SCHEMA: &'static str;

    /// The version of the tables that this program makes.
    fn newest_schema() -> i64;

    /// Begins a transaction that writes so much. The server ends it if this process is silent.
    fn begin(&self, size: Size) -> Cow<'static, str>;

    /// Why a transaction of this size can't be sent, by the newest connection.
    fn too_large(&self, _size: Size) -> Option<String> {
        None
    }

    /// One more condition for statements about the leader: that they are in the right tables, of a server that takes writes.
    fn and_here(&self) -> String {
        String::new()
    }

    /// The end of an `INSERT` from a list: of a row with these keys that is there, a column gets the list's value instead.
    fn or_update(keys: &str, column: &str, value: &str) -> String;

    /// Deletes the rows of a table that fit a list.
    fn delete_listed(table: &str, condition: &str) -> String;

    /// Opens a connection, with its settings, and asks whether it can be used.
    async fn connect(&self) -> Result<Self::Connection, sqlx::Error>;

    /// Executes a text without values.
    async fn execute(&self, connection: &mut Self::Connection, text: &str) -> Result<(), sqlx::Error>;

    /// Returns how many rows were found and changed.
    async fn run(
        &self,
        connection: &mut Self::Connection,
        statement: Statement<'_>,
    ) -> Result<u64, sqlx::Error>;

    async fn rows(
        &self,
        connection: &mut Self::Connection,
        statement: Statement<'_>,
    ) -> Result<Vec<Self::Row>, sqlx::Error>;

    /// The only row.
    async fn row(
        &self,
        connection: &mut Self::Connection,
        statement: Statement<'_>,
    ) -> Result<Self::Row, sqlx::Error> {
        self.rows(connection, statement).await?.pop().ok_or(sqlx::Error::RowNotFound)
    }

    /// Waits until no other transaction is in this order, and keeps it until the end of this one.
    async fn wait_for(&self, connection: &mut Self::Connection, order: Order) -> Result<(), sqlx::Error>;

    /// Checks the database, and creates the tables or brings them up to date. For the latter it needs the lease.
    async fn prepare(
        &self,
        connection: &mut Self::Connection,
        place: &str,
        lease: &Lease,
    ) -> Result<(), OpenError>;

    /// Runs while this session takes the seat: ends those that it waits for, if the server does not by itself.
    async fn end_frozen(&self, _session: i64) -> Infallible {
        std::future::pending().await
    }

    /// What a session is called by [`Self::end_frozen`].
    async fn session(&self, _connection: &mut Self::Connection) -> Result<i64, sqlx::Error> {
        Ok(0)
    }

    /// What an error of the server means. `None`: it is not one of the server.
    fn failure(error: &sqlx::Error) -> Option<Failure>;

    /// What any error means.
    fn failed(error: &sqlx::Error) -> Failure {
        Self::failure(error).unwrap_or_else(|| Failure::of_driver(error))
    }

    /// Whether the server has rolled the transaction back, although it was asked to commit.
    fn is_rolled_back(error: &sqlx::Error) -> bool;
}
