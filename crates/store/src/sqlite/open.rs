//! Opens a table, or creates it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection, SqliteConnection,
    pool::PoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{
    super::{
        StoreError,
        mapping::{Dialect, NameError, SqlTable, create_child_sql, create_ledger_sql, create_sql},
        sql::{Keys, LedgerId, check_new, no_child, permanent},
    },
    SqliteOptions, SqliteStore, error,
    error::set_up_error,
    keys,
    layout::Layout,
    schema,
};
use cutover_core::outcome::ErrorClass;

impl SqliteStore {
    /// Opens an existing table, after checking that it can hold what will be written. Changes nothing in the
    /// file.
    pub async fn open(
        path: &Path,
        table: impl Into<SqlTable>,
        options: SqliteOptions,
    ) -> Result<Self, StoreError> {
        let table = table.into();
        table.check(Dialect::Sqlite)?;
        Self::connect(path, table, options).await
    }

    /// Opens a table, creating the file and the table if they do not exist; an existing table is not changed.
    /// Puts the file into WAL mode, so that readers never wait.
    pub async fn create(
        path: &Path,
        table: impl Into<SqlTable>,
        options: SqliteOptions,
    ) -> Result<Self, StoreError> {
        let table = table.into();
        table.check(Dialect::Sqlite)?;
        let invalid = |error: NameError| permanent(ErrorClass::Other, "table", error.to_string());
        let failed = |error| set_up_error(path, &table.name, error);
        let create = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .busy_timeout(options.busy_timeout)
            .journal_mode(SqliteJournalMode::Wal);
        // Entering WAL mode takes a lock for which SQLite does not wait by itself.
        let began = Instant::now();
        let mut connection = loop {
            match SqliteConnection::connect_with(&create).await {
                Err(error) if error::is_busy(&error) && began.elapsed() < options.busy_timeout => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                done => break done.map_err(failed)?,
            }
        };
        // Of a table that is there already, which may have numbers.
        let keys = keys::keys(&mut connection, &table).await.map_err(failed)?;
        let of_table = create_sql(Dialect::Sqlite, &table).map_err(invalid)?.into_iter().take(1);
        let of_ledger = create_ledger_sql(Dialect::Sqlite, &table, keys.definitions()).map_err(invalid)?;
        let mut id = None;
        if let Some(ledger) = table.ledger() {
            let there = schema::has_rows(&mut connection, &table.name).await.map_err(failed)?;
            let entries = schema::has_rows(&mut connection, &ledger).await.map_err(failed)?;
            id = check_new(Dialect::Sqlite, &table, &keys, there, entries)?
                .then(|| LedgerId::made_once(Dialect::Sqlite, &ledger, &keys));
        }
        let mut of_children = Vec::new();
        for child in table.children() {
            let sql =
                create_child_sql(Dialect::Sqlite, &table, child, keys.definitions()).map_err(invalid)?;
            let there = schema::has_rows(&mut connection, &child.table).await.map_err(failed)?;
            if there.is_none()
                && schema::has_rows(&mut connection, &table.name).await.map_err(failed)? == Some(true)
            {
                return Err(no_child(&table, child, &sql));
            }
            of_children.push(sql);
        }
        for sql in of_table.chain(of_ledger).chain(id).chain(of_children) {
            sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.map_err(failed)?;
        }
        connection.close().await.map_err(failed)?;
        Self::connect(path, table, options).await
    }

    async fn connect(path: &Path, table: SqlTable, options: SqliteOptions) -> Result<Self, StoreError> {
        let name = table.name.clone();
        let failed = |error| set_up_error(path, &name, error);
        let synchronous = if options.durable { SqliteSynchronous::Full } else { SqliteSynchronous::Normal };
        let connect = SqliteConnectOptions::new();
        let connect = connect.filename(path).busy_timeout(options.busy_timeout).synchronous(synchronous);
        // A scan is naturally slow, and a statement's content does not belong in a log.
        let connect = connect.disable_statement_logging();
        let pool = |connections: u32| {
            PoolOptions::new()
                .max_connections(connections.max(1))
                .acquire_timeout(options.busy_timeout)
                .test_before_acquire(false)
                // On a full disk SQLite ends a transaction by itself. The roll-back then fails, and sqlx
                // takes the transaction for open: such a connection can't begin another one.
                .before_acquire(|connection: &mut SqliteConnection, _| {
                    Box::pin(async { Ok(!connection.is_in_transaction()) })
                })
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let mut store = Self {
            writer: pool(1).connect_with(connect.clone()).await.map_err(failed)?,
            readers: pool(options.readers).connect_with(connect).await.map_err(failed)?,
            layout: Layout::new(table, Keys::default()),
            path: path.to_owned(),
        };
        let mut connection = store.readers.acquire().await.map_err(failed)?;
        let keys = keys::keys(&mut connection, &store.layout.table).await.map_err(failed)?;
        store.layout = Layout::new(store.layout.table, keys);
        if !store.layout.table.is_bare() {
            schema::check(&mut connection, path, &store.layout.table, &store.layout.keys)
                .await
                .map_err(failed)??;
        }
        drop(connection);
        if let Some(ledger) = store.layout.table.ledger() {
            let id = store.ledger_id(&ledger).await?;
            store.layout.ledger.iter_mut().for_each(|ledger| ledger.id = Some(id));
        }
        Ok(store)
    }
}
