//! MySQL and MariaDB. The tables are in a database of their own.

mod failure;
mod migrations;
mod session;
mod url;

use std::{
    borrow::Cow,
    fmt,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Executor as _, MySql as Database, MySqlConnection,
    mysql::{MySqlArguments, MySqlConnectOptions, MySqlRow},
    query::Query,
    raw_sql,
};

use super::{
    Inspected, Lease, OpenError,
    server::{
        ServerStore,
        dialect::{Dialect, Order, Size},
        failure::{Failure, missing},
        statement::{Column, List, Statement, Value},
        url::shown,
    },
};

/// What a message has besides its largest values, at most.
const REST_BYTES: usize = 64 << 10;

/// A database of a MySQL or MariaDB server.
pub(in crate::store) struct MySql {
    connect: MySqlConnectOptions,
    /// The server's `max_allowed_packet`, as the newest connection has heard.
    packet_bytes: AtomicUsize,
}

impl MySql {
    /// Opens a database, and creates the tables if it is empty.
    pub(in crate::store) async fn open(url: &str) -> Result<ServerStore<Self>, OpenError> {
        let (server, place) = Self::at(url)?;
        ServerStore::open(server, place).await
    }

    /// Looks at it, and writes nothing.
    pub(in crate::store) async fn inspect(url: &str) -> Result<Inspected, OpenError> {
        let (server, place) = Self::at(url)?;
        ServerStore::inspect(server, place).await
    }

    /// The database, and its URL without the password.
    fn at(url: &str) -> Result<(Self, String), OpenError> {
        let place = shown(url).into_owned();
        let connect = url::parse(url, &place)?.disable_statement_logging();
        Ok((Self { connect, packet_bytes: AtomicUsize::new(usize::MAX) }, place))
    }
}

impl fmt::Debug for MySql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the options: they have the password.
        f.debug_struct("MySql").finish_non_exhaustive()
    }
}

/// A list as a JSON array of rows.
fn json(list: &List<'_>) -> String {
    let cell = |column: &Column<'_>, at: usize| match column {
        Column::Texts(values) => values.get(at).map(|value| serde_json::Value::from(*value)),
        Column::Ints(values) => values.get(at).map(|value| serde_json::Value::from(*value)),
    };
    let row = |at| list.0.iter().map(|(_, column)| cell(column, at)).collect::<Option<Vec<_>>>();
    serde_json::Value::from((0..).map_while(row).collect::<Vec<_>>()).to_string()
}

/// The statement as it is, with lists as tables made from JSON.
fn query<'q>(statement: Statement<'q>) -> Query<'q, Database, MySqlArguments> {
    let text = statement.written(
        |_| "?".to_owned(),
        |_, list| {
            let column = |(at, (name, column)): (usize, &(&str, Column<'_>))| {
                // Without a character set it would be the database's, in which characters may be lost without a word.
                let of_type = match column {
                    Column::Texts(_) => "LONGTEXT CHARACTER SET utf8mb4",
                    Column::Ints(_) => "BIGINT",
                };
                format!("{name} {of_type} PATH '$[{at}]'")
            };
            let columns: Vec<_> = list.0.iter().enumerate().map(column).collect();
            (format!("JSON_TABLE(?, '$[*]' COLUMNS ({})) AS put", columns.join(", ")), 1)
        },
    );
    let mut query = sqlx::query(AssertSqlSafe(text));
    for value in statement.values {
        query = match value {
            Value::Int(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::OptionalText(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value),
            Value::List(list) => query.bind(json(&list)),
        };
    }
    query
}

#[async_trait]
impl Dialect for MySql {
    type Connection = MySqlConnection;
    type Row = MySqlRow;

    const IDENTITY: &'static str = "MySQL";
    const READ: &'static str = session::READ;
    const COMMIT: &'static str = session::COMMIT;
    const ROLLBACK: &'static str = session::ROLLBACK;
    // InnoDB locks whole rows, so what a beat changes is in another one.
    const FENCE: &'static str = "fence";
    // Both servers know this form.
    const SHARED: &'static str = "LOCK IN SHARE MODE";
    const SCHEMA: &'static str = migrations::STORED;
    // In each statement, so that the server that executes it answers, whatever is in between. Each kind of server reads its own
    // comment. MariaDB has no id of its data, but servers that replicate from each other have different numbers.
    const DATABASE: &'static str = "/*M! concat('server_id ', @@global.server_id) */ /*!50708 concat('server_uuid ', @@global.server_uuid) */";
    const INTEGER: &'static str = "SIGNED";
    const BY_REQUEST: &'static str = "request_key = ?";
    const NOTE_USED: &'static str = "UPDATE {list} STRAIGHT_JOIN tokens ON tokens.id = put.id
        SET tokens.used_ms = greatest(tokens.used_ms, put.at_ms)";

    fn newest_schema() -> i64 {
        migrations::NEWEST
    }

    fn begin(&self, size: Size) -> Cow<'static, str> {
        session::begin(size).into()
    }

    fn too_large(&self, size: Size) -> Option<String> {
        let (bytes, most) = (size.bytes.saturating_add(REST_BYTES), self.packet_bytes.load(SeqCst));
        (bytes > most).then(|| {
            format!(
                "the change takes a message of {bytes} bytes, and max_allowed_packet is {most}: raise it there, with \
                 SET GLOBAL max_allowed_packet and in the server's configuration. Nothing has to be restarted"
            )
        })
    }

    // A user with many rights can write to a server that was made read-only, beside the primary that took over. Newer MariaDB
    // servers have words instead of numbers.
    fn and_here(&self) -> String {
        " AND CAST(@@global.read_only AS CHAR) IN ('0', 'OFF')".to_owned()
    }

    fn or_update(_keys: &str, column: &str, value: &str) -> String {
        format!("ON DUPLICATE KEY UPDATE {column} = put.{value}")
    }

    fn delete_listed(table: &str, condition: &str) -> String {
        // The list first, so that each of its rows finds its own by the key.
        format!("DELETE {table} FROM {{list}} STRAIGHT_JOIN {table} ON {condition}")
    }

    async fn connect(&self) -> Result<MySqlConnection, sqlx::Error> {
        let mut connection = self.connect.connect().await?;
        let packet_bytes = session::set_up(&mut connection).await?;
        self.packet_bytes.store(packet_bytes, SeqCst);
        Ok(connection)
    }

    async fn execute(&self, connection: &mut MySqlConnection, text: &str) -> Result<(), sqlx::Error> {
        connection.execute(raw_sql(AssertSqlSafe(text.to_owned()))).await.map(drop)
    }

    async fn run(
        &self,
        connection: &mut MySqlConnection,
        statement: Statement<'_>,
    ) -> Result<u64, sqlx::Error> {
        query(statement).execute(connection).await.map(|done| done.rows_affected())
    }

    async fn rows(
        &self,
        connection: &mut MySqlConnection,
        statement: Statement<'_>,
    ) -> Result<Vec<MySqlRow>, sqlx::Error> {
        query(statement).fetch_all(connection).await
    }

    async fn wait_for(&self, connection: &mut MySqlConnection, order: Order) -> Result<(), sqlx::Error> {
        let lock = Statement::new("SELECT id FROM orders WHERE id = ? FOR UPDATE").int(order as i64);
        // Without its row nothing would be locked.
        self.rows(connection, lock).await?.pop().map(drop).ok_or_else(|| missing("orders"))
    }

    async fn prepare(
        &self,
        connection: &mut MySqlConnection,
        place: &str,
        lease: &Lease,
    ) -> Result<(), OpenError> {
        migrations::prepare(self, connection, place, lease).await
    }

    fn failure(error: &sqlx::Error) -> Option<Failure> {
        failure::failure(error)
    }

    fn is_rolled_back(error: &sqlx::Error) -> bool {
        failure::is_rolled_back(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_an_array_of_rows() {
        let list = List(vec![
            ("id", Column::Texts(vec!["a \"b\"", "\u{1f980}\\"])),
            ("at", Column::Ints(vec![i64::MIN, 7])),
        ]);
        assert_eq!(json(&list), r#"[["a \"b\"",-9223372036854775808],["🦀\\",7]]"#);
        assert_eq!(json(&List(vec![("id", Column::Texts(Vec::new()))])), "[]");
    }
}
