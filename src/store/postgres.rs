//! PostgreSQL. The tables are in a schema of their own.

mod failure;
mod migrations;
mod seat;
mod session;
mod url;

use std::{borrow::Cow, convert::Infallible, fmt};

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Executor as _, PgConnection, Postgres as Database,
    postgres::{PgArguments, PgConnectOptions, PgRow},
    query::Query,
    raw_sql,
};

use self::{session::idle_ms, url::split};
use super::{
    Inspected, Lease, OpenError,
    server::{
        ServerStore,
        dialect::{Dialect, Order, Size},
        failure::Failure,
        statement::{Column, Statement, Value},
        url::shown,
    },
};

/// Of advisory locks: "Cuto". The schema is the second part.
const LOCKS: i32 = 0x4375_746f;

/// A schema of a PostgreSQL database.
pub(in crate::store) struct Postgres {
    connect: PgConnectOptions,
    schema: String,
}

impl Postgres {
    /// Opens a schema of a database, and creates it if it does not exist.
    pub(in crate::store) async fn open(url: &str) -> Result<ServerStore<Self>, OpenError> {
        let (server, place) = Self::at(url)?;
        ServerStore::open(server, place).await
    }

    /// Looks at it, and writes nothing.
    pub(in crate::store) async fn inspect(url: &str) -> Result<Inspected, OpenError> {
        let (server, place) = Self::at(url)?;
        ServerStore::inspect(server, place).await
    }

    /// The schema, and its URL without the password.
    fn at(url: &str) -> Result<(Self, String), OpenError> {
        let place = shown(url).into_owned();
        let (server, schema) = split(url)?;
        let connect: PgConnectOptions = server.parse().map_err(|error: sqlx::Error| {
            OpenError::Url(format!("malformed URL {place}: {error}. Give postgres://USER@HOST:5432/DATABASE, and in a password write %2F \
                 for /, %3F for ?, %40 for @"))
        })?;
        let connect = match connect.get_application_name() {
            Some(_) => connect,
            None => connect.application_name("cutover"),
        };
        let connect = session::with_settings(connect.disable_statement_logging(), &schema);
        Ok((Self { connect, schema }, place))
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the options: they have the password.
        f.debug_struct("Postgres").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// The statement with `$1` for its first value, and lists as arrays of their columns.
fn query<'q>(statement: Statement<'q>) -> Query<'q, Database, PgArguments> {
    let text = statement.written(
        |before| format!("${}", before + 1),
        |before, list| {
            let of_type = |(at, (_, column)): (usize, &(_, Column<'_>))| {
                let of_type = if matches!(column, Column::Texts(_)) { "text" } else { "bigint" };
                format!("${}::{of_type}[]", before + at + 1)
            };
            let arrays: Vec<_> = list.0.iter().enumerate().map(of_type).collect();
            let names: Vec<_> = list.0.iter().map(|(name, _)| *name).collect();
            (format!("unnest({}) AS put ({})", arrays.join(", "), names.join(", ")), list.0.len())
        },
    );
    let mut query = sqlx::query(AssertSqlSafe(text));
    for value in statement.values {
        query = match value {
            Value::Int(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::OptionalText(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value),
            Value::List(list) => list.0.into_iter().fold(query, |query, (_, column)| match column {
                Column::Texts(values) => query.bind(values),
                Column::Ints(values) => query.bind(values),
            }),
        };
    }
    query
}

#[async_trait]
impl Dialect for Postgres {
    type Connection = PgConnection;
    type Row = PgRow;

    const IDENTITY: &'static str = "PostgreSQL system/timeline";
    const READ: &'static str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    const COMMIT: &'static str = "COMMIT";
    const ROLLBACK: &'static str = "ROLLBACK";
    // A beat changes no key, so it neither waits for this lock nor delays it.
    const FENCE: &'static str = "leader";
    const SHARED: &'static str = "FOR KEY SHARE";
    const DATABASE: &'static str = "current_setting('cutover.database', true)";
    const INTEGER: &'static str = "BIGINT";
    const SCHEMA: &'static str = "SELECT coalesce(max(version), 0) AS version FROM _sqlx_migrations";
    const BY_REQUEST: &'static str = "request_id <> '' AND request_id = ?";
    const NOTE_USED: &'static str = "UPDATE tokens SET used_ms = greatest(tokens.used_ms, put.at_ms) FROM {list} WHERE tokens.id = put.id";

    fn newest_schema() -> i64 {
        migrations::newest()
    }

    fn begin(&self, size: Size) -> Cow<'static, str> {
        match idle_ms(size) {
            Some(idle_ms) => {
                format!("BEGIN; SET LOCAL idle_in_transaction_session_timeout = {idle_ms}").into()
            }
            None => "BEGIN".into(),
        }
    }

    fn and_here(&self) -> String {
        format!(" AND current_schema() = '{}'", self.schema)
    }

    fn or_update(keys: &str, column: &str, value: &str) -> String {
        let _ = value;
        format!("ON CONFLICT ({keys}) DO UPDATE SET {column} = excluded.{column}")
    }

    fn delete_listed(table: &str, condition: &str) -> String {
        format!("DELETE FROM {table} USING {{list}} WHERE {condition}")
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let mut connection = self.connect.connect().await?;
        session::check(&mut connection, &self.schema).await?;
        Ok(connection)
    }

    async fn execute(&self, connection: &mut PgConnection, text: &str) -> Result<(), sqlx::Error> {
        connection.execute(raw_sql(AssertSqlSafe(text.to_owned()))).await.map(drop)
    }

    async fn run(&self, connection: &mut PgConnection, statement: Statement<'_>) -> Result<u64, sqlx::Error> {
        query(statement).execute(connection).await.map(|done| done.rows_affected())
    }

    async fn rows(
        &self,
        connection: &mut PgConnection,
        statement: Statement<'_>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        query(statement).fetch_all(connection).await
    }

    async fn wait_for(&self, connection: &mut PgConnection, order: Order) -> Result<(), sqlx::Error> {
        migrations::lock(connection, LOCKS + order as i32, &self.schema).await
    }

    async fn prepare(
        &self,
        connection: &mut PgConnection,
        place: &str,
        lease: &Lease,
    ) -> Result<(), OpenError> {
        migrations::prepare(self, connection, place, lease).await
    }

    async fn end_frozen(&self, session: i64) -> Infallible {
        seat::end_frozen(self, session).await
    }

    async fn session(&self, connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar("SELECT pg_backend_pid()::bigint").fetch_one(connection).await
    }

    fn failure(error: &sqlx::Error) -> Option<Failure> {
        failure::failure(error)
    }

    fn is_rolled_back(error: &sqlx::Error) -> bool {
        failure::is_rolled_back(error)
    }
}
