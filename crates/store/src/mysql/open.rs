//! Opens a table, or creates it.

use std::str::FromStr;

use sqlx::{ConnectOptions, MySql, Row, mysql::MySqlConnectOptions};

use super::{
    super::{
        StoreError,
        mapping::{Dialect, NameError, SqlTable, create_child_sql, create_ledger_sql, create_sql},
        sql::{Calls, LedgerId, ServerOptions, Statement, check_new, no_child, permanent},
    },
    MySqlStore,
    children::Children,
    id_columns,
    keys::same,
    layout::Layout,
    limits::written_max,
    replicas::Replicas,
    schema,
};
use cutover_core::outcome::ErrorClass;

impl MySqlStore {
    /// Opens an existing table, after checking that it can hold what will be written. `url` is
    /// `mysql://user:password@host:port/database`; `?ssl-mode=VERIFY_IDENTITY` requests TLS.
    pub async fn open(
        url: &str,
        table: impl Into<SqlTable>,
        options: ServerOptions,
    ) -> Result<Self, StoreError> {
        Self::connect(url, table.into(), options).await?.checked().await
    }

    /// Like `open`, but creates the table if it does not exist. An existing table is not changed.
    pub async fn create(
        url: &str,
        table: impl Into<SqlTable>,
        options: ServerOptions,
    ) -> Result<Self, StoreError> {
        let store = Self::connect(url, table.into(), options).await?;
        let (mut is_new, table, calls) = (false, &store.layout.table, &store.calls);
        let invalid = |error: NameError| permanent(ErrorClass::Other, "table", error.to_string());
        // Of a table that is there already, which may have keys of other types than one that is created.
        let (keys, _) = id_columns::keys(calls, table).await?;
        let of_table = create_sql(Dialect::MySql, table).map_err(invalid)?.into_iter().take(1);
        let of_ledger = create_ledger_sql(Dialect::MySql, table, keys.definitions()).map_err(invalid)?;
        let mut wanted: Vec<_> = table.names().into_iter().zip(of_table.chain(of_ledger)).collect();
        let there = schema::has_rows(calls, &table.name).await?;
        if let Some(ledger) = table.ledger() {
            let entries = schema::has_rows(calls, &ledger).await?;
            is_new = check_new(Dialect::MySql, table, &keys, there, entries)?;
        }
        for child in table.children() {
            let sql = create_child_sql(Dialect::MySql, table, child, same(&keys)).map_err(invalid)?;
            if there == Some(true) && schema::has_rows(calls, &child.table).await?.is_none() {
                return Err(no_child(table, child, &sql));
            }
            wanted.push((child.table.clone(), sql));
        }
        for (name, sql) in wanted {
            if schema::is_free(calls, &name).await? {
                calls.create(sql).await?;
            }
        }
        if is_new {
            calls.create(LedgerId::made_once(Dialect::MySql, &store.layout.ledger, &keys)).await?;
        }
        store.checked().await
    }

    /// Checks the tables, and learns which ledger it is and what the indexes of child tables are.
    async fn checked(mut self) -> Result<Self, StoreError> {
        (self.layout.keys, self.layout.places) = id_columns::keys(&self.calls, &self.layout.table).await?;
        let columns = id_columns::columns(&self.calls, &self.layout.table.name).await?;
        self.layout.table.set_narrow(|name, kind| {
            let column = columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))?;
            if column.holds(kind) { None } else { column.narrow(kind) }
        });
        let mut children = Vec::new();
        // Before the checks: what changes meanwhile is then found by them or by the first write.
        for child in self.layout.table.children() {
            let index = schema::children::index(&self.calls, child).await?.unwrap_or_default();
            let width = schema::children::width(&self.calls, child).await?;
            let layout = &self.layout;
            children.push(Children::new(&layout.table, layout.places(), child, &index, width));
        }
        if !self.layout.table.is_bare() {
            schema::check(&self.calls, &self.layout.table, &self.layout.keys).await?;
        }
        self.layout = self.layout.with_children(children);
        if let Some(name) = self.layout.table.ledger() {
            self.layout.ledger_id = Some(self.found_id(&name).await?);
        }
        Ok(self)
    }

    pub(super) async fn connect(
        url: &str,
        table: SqlTable,
        options: ServerOptions,
    ) -> Result<Self, StoreError> {
        table.check(Dialect::MySql)?;
        let wrong = |what: String| permanent(ErrorClass::Other, "url", what);
        let connect = MySqlConnectOptions::from_str(url)
            .map_err(|error| wrong(format!("{error}: give mysql://user:password@host:port/database")))?;
        if connect.get_database().is_none() {
            return Err(wrong(
                "it names no database: give mysql://user:password@host:port/database".to_owned(),
            ));
        }
        // A statement contains records, which must not appear in a log.
        let connect = connect.disable_statement_logging().pipes_as_concat(false);
        let server = format!("{}:{}", connect.get_host(), connect.get_port());
        let replicas = Replicas::new(connect.clone());
        // With a ledger a transaction has two statements that wait and write, and both together have this time. The
        // client waits for both.
        let parts = if table.has_ledger() { 2 } else { 1 };
        let longest = options.call_timeout;
        let options = ServerOptions { call_timeout: longest / parts, ..options };
        let calls = Calls::<MySql>::open(connect, &server, options, longest).await?;
        // Only MariaDB, which ends a write that takes too long, reads the comment.
        let packet = "SELECT CAST(@@max_allowed_packet AS SIGNED) /*M! , 1 */".to_owned();
        let rows = calls.rows(&Statement::text(packet)).await?;
        let ends_writes = rows.first().is_some_and(|row| row.len() == 2);
        let packet_bytes = rows.first().and_then(|row| row.try_get::<i64, _>(0).ok()).unwrap_or(1 << 20);
        let packet_bytes = usize::try_from(packet_bytes).unwrap_or(1 << 20);
        let waiting_max = written_max(false, &options);
        let written_max = written_max(ends_writes, &options);
        Ok(Self { calls, layout: Layout::new(table), packet_bytes, written_max, waiting_max, replicas })
    }
}
