//! Opens a table, or creates it.

use std::str::FromStr;

use sqlx::{ConnectOptions, Postgres, Row, postgres::PgConnectOptions};

use super::{
    super::{
        StoreError,
        mapping::{Dialect, NameError, SqlTable, create_child_sql, create_ledger_sql, create_sql},
        sql::{Calls, Keys, LedgerId, ServerOptions, Statement, check_new, no_child, not_beside, permanent},
    },
    PostgresStore, id_columns,
    layout::Layout,
    ledger,
    ledger::Ledger,
    schema, warnings,
};
use cutover_core::outcome::ErrorClass;

impl PostgresStore {
    /// Opens an existing table in the user's search path, after checking that it can hold what will be
    /// written. `url` is `postgres://user:password@host:port/database`; `?sslmode=verify-full` requests TLS.
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
        let table = &store.layout.table;
        let sql = create_sql(Dialect::Postgres, table);
        let sql = sql.map_err(|error| permanent(ErrorClass::Other, "table", error.to_string()))?;
        let (ledger, mut is_new) = (table.ledger(), false);
        // Of a table that is there already, which may have keys of other types than one that is created.
        let keys = id_columns::keys(&store.calls, &store.schema, table).await?;
        if let Some(ledger) = &ledger {
            let there = schema::has_rows(&store.calls, &store.schema, &table.name).await?;
            let entries = schema::has_rows(&store.calls, &store.schema, ledger).await?;
            is_new = check_new(Dialect::Postgres, table, &keys, there, entries)?;
        }
        let kinds = keys.definitions();
        let invalid = |error: NameError| permanent(ErrorClass::Other, "table", error.to_string());
        let of_ledger = create_ledger_sql(Dialect::Postgres, table, kinds).map_err(invalid)?;
        let names = [table.name.as_str()].into_iter().chain(ledger.as_deref());
        let mut wanted: Vec<(&str, String)> = names.zip(sql.into_iter().take(1).chain(of_ledger)).collect();
        for child in table.children() {
            let sql = create_child_sql(Dialect::Postgres, table, child, kinds).map_err(invalid)?;
            if !schema::exists(&store.calls, &store.schema, &child.table).await?
                && schema::has_rows(&store.calls, &store.schema, &table.name).await? == Some(true)
            {
                return Err(no_child(table, child, &sql));
            }
            wanted.push((&child.table, sql));
        }
        for (name, sql) in wanted {
            store.create_one(name, &sql).await?;
        }
        if is_new && let Some(ledger) = &store.layout.ledger {
            store.calls.create(LedgerId::made_once(Dialect::Postgres, ledger.as_sql(), &keys)).await?;
        }
        store.checked().await
    }

    /// Creates a table that does not exist.
    async fn create_one(&self, name: &str, sql: &str) -> Result<(), StoreError> {
        if schema::exists(&self.calls, &self.schema, name).await? {
            return Ok(());
        }
        if let Some(other) = warnings::other_case(&self.calls, name).await {
            return Err(not_beside(name, &other));
        }
        // If two processes created it at once, one would fail in the catalogue, so it waits. One text is
        // one transaction.
        let schema = ledger::quoted(&self.schema);
        let sql = format!(
            "SELECT pg_advisory_xact_lock(hashtext('cutover.{name}')); SET LOCAL search_path TO {schema}; {sql}"
        );
        self.calls.create(sql).await
    }

    /// Checks the table and its ledger, and learns which ledger it is.
    async fn checked(mut self) -> Result<Self, StoreError> {
        self.layout.keys = id_columns::keys(&self.calls, &self.schema, &self.layout.table).await?;
        if !self.layout.table.is_bare() {
            schema::check(&self.calls, &self.schema, &self.layout.table, &self.layout.keys).await?;
        }
        let enums = schema::enums(&self.calls, &self.schema, &self.layout.table).await?;
        let id = match (&self.layout.ledger, self.layout.table.ledger()) {
            (Some(ledger), Some(name)) => Some(self.found_id(ledger, &name).await?),
            _ => None,
        };
        let Layout { table, keys, .. } = self.layout;
        Ok(Self { layout: Layout::new(table, &self.schema, keys, id, &enums), ..self })
    }

    /// The id that the ledger has now; an error if it has none.
    pub(super) async fn found_id(&self, ledger: &Ledger, name: &str) -> Result<LedgerId, StoreError> {
        let found = self.ledger_id(ledger).await?;
        LedgerId::found(Dialect::Postgres, ledger.as_sql(), &self.layout.keys, name, found)
    }

    /// The id that the ledger has now.
    pub(super) async fn ledger_id(&self, ledger: &Ledger) -> Result<Option<i64>, StoreError> {
        let asked = LedgerId::asked(Dialect::Postgres, ledger.as_sql(), &self.layout.keys);
        let rows = self.calls.rows(&Statement::text(asked)).await?;
        Ok(rows.first().and_then(|row| row.try_get_unchecked(0).ok()))
    }

    pub(super) async fn connect(
        url: &str,
        table: SqlTable,
        options: ServerOptions,
    ) -> Result<Self, StoreError> {
        table.check(Dialect::Postgres)?;
        let connect = PgConnectOptions::from_str(url).map_err(|error| {
            let what = format!("{error}: give postgres://user:password@host:port/database");
            permanent(ErrorClass::Other, "url", what)
        })?;
        // An error or a slow statement must not put records into a log.
        let name = connect.get_application_name().unwrap_or("cutover").to_owned();
        // PgBouncer refuses the one parameter that is set in the session anyway.
        let connect = connect.disable_statement_logging().application_name(&name).extra_float_digits(None);
        let server = format!("{}:{}", connect.get_host(), connect.get_port());
        let calls = Calls::<Postgres>::open(connect, &server, options, options.call_timeout).await?;
        let schema = schema::schema_of(&calls, &table.name).await?;
        Ok(Self { calls, layout: Layout::new(table, &schema, Keys::default(), None, &[]), schema })
    }
}
