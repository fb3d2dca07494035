//! A table of a SQLite file, shared by any number of processes on one machine.
//!
//! In each process one connection writes and the others read. SQLite allows one writer at a time anyway, so a
//! process queues its writes itself instead of polling the file's lock. A statement that does not get that
//! lock within `busy_timeout` fails as throttled, having changed nothing.

mod cells;
mod children;
#[cfg(feature = "spec")]
mod describe;
mod error;
mod file;
mod layout;
mod ledger;
mod options;
mod putting;
mod reads;
mod schema;
mod warnings;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection, SqlStr, SqliteConnection, SqlitePool,
    pool::PoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous},
};

use super::{
    Copied, Cursor, Estimate, Id, Identity, Page, Pressure, Put, PutAll, Record, ScanOrder, Scope, Segment,
    Store, StoreError, Trigger, Version,
    mapping::{Dialect, SqlTable, create_child_sql, create_sql},
    scan::Gathered,
    sql::{
        KeyKind, Keys, LedgerId, ROUNDS, check_new, column_of, no_child, permanent, spread, swallowed,
        triggers,
    },
};
use cutover_core::outcome::ErrorClass;
use error::{read_error, set_up_error, write_error};
use file::shown;
use layout::Layout;
use ledger::When;
pub use options::SqliteOptions;

/// One table of a SQLite file. If it is given by its name alone, a table of whole records, `(tenant, key,
/// version, value)`.
#[derive(Debug)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    layout: Layout,
    path: PathBuf,
}

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
        let sql = create_sql(Dialect::Sqlite, &table);
        let sql = sql.map_err(|error| permanent(ErrorClass::Other, "table", error.to_string()))?;
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
        let mut id = None;
        if let Some(ledger) = table.ledger() {
            let there = schema::has_rows(&mut connection, &table.name).await.map_err(failed)?;
            let entries = schema::has_rows(&mut connection, &ledger).await.map_err(failed)?;
            id = check_new(Dialect::Sqlite, &table, &Keys::default(), there, entries)?
                .then(|| LedgerId::made_once(Dialect::Sqlite, &ledger, &Keys::default()));
        }
        let mut of_children = Vec::new();
        for child in table.children() {
            let sql = create_child_sql(Dialect::Sqlite, &table, child, [""; 2]);
            let sql = sql.map_err(|error| permanent(ErrorClass::Other, "table", error.to_string()))?;
            let there = schema::has_rows(&mut connection, &child.table).await.map_err(failed)?;
            if there.is_none()
                && schema::has_rows(&mut connection, &table.name).await.map_err(failed)? == Some(true)
            {
                return Err(no_child(&table, child, &sql));
            }
            of_children.push(sql);
        }
        for sql in sql.into_iter().chain(id).chain(of_children) {
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
            layout: Layout::new(table),
            path: path.to_owned(),
        };
        let mut connection = store.readers.acquire().await.map_err(failed)?;
        if !store.layout.table.is_bare() {
            schema::check(&mut connection, path, &store.layout.table).await.map_err(failed)??;
        }
        drop(connection);
        if let Some(ledger) = store.layout.table.ledger() {
            let id = store.ledger_id(&ledger).await?;
            store.layout.ledger.iter_mut().for_each(|ledger| ledger.id = Some(id));
        }
        Ok(store)
    }

    /// Waits for calls in flight and closes the file.
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        let mut connection = self.readers.acquire().await.map_err(read_error)?;
        self.get_on(&mut connection, id).await
    }

    async fn put_if_newer(&self, id: &Id, record: &Record) -> Result<Put, StoreError> {
        // Rolled back after an error: alone, a statement that a trigger ends by OR FAIL would keep what it wrote.
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(write_error)?;
        let put = self.put_on(&mut transaction, id, record).await?;
        transaction.commit().await.map_err(write_error)?;
        Ok(put.into())
    }

    async fn put_if_unchanged(
        &self,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(write_error)?;
        if let Some(ledger) = &self.layout.ledger {
            let failed = self.put_with(ledger, &mut transaction, id, record, When::Is(expected)).await?;
            transaction.commit().await.map_err(write_error)?;
            return Ok(match failed {
                None => Put::Applied,
                Some(current) => Put::unless_this(record.version, current.unwrap_or_default()),
            });
        }
        let sql = if expected.is_some() { &self.layout.update } else { &self.layout.insert };
        for _ in 0..ROUNDS {
            let put = self.layout.write(sql, id, record)?;
            let put = if let Some(expected) = expected { put.bind(column_of(expected)?) } else { put };
            let done = put.execute(&mut *transaction).await.map_err(write_error)?;
            if done.rows_affected() > 0 {
                self.replace_rows(&mut transaction, id, record).await?;
                transaction.commit().await.map_err(write_error)?;
                return Ok(Put::Applied);
            }
            let current = self.version_on(&mut transaction, id).await?;
            if current != expected {
                return Ok(Put::unless_this(record.version, current.unwrap_or_default()));
            }
        }
        Err(swallowed())
    }

    async fn get_many(&self, ids: &[Id]) -> Result<Vec<Option<Record>>, StoreError> {
        self.many(&self.layout.get_many, ids, |row| self.layout.record(row)).await
    }

    async fn get_versions(&self, ids: &[Id]) -> Result<Vec<Option<Version>>, StoreError> {
        self.many(&self.layout.get_versions, ids, |row| self.layout.version_in(row)).await
    }

    async fn put_many_if_newer(&self, records: &[(Id, Record)]) -> Result<Vec<Copied>, StoreError> {
        // Immediate: a transaction that turns from reading to writing can fail for good.
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(write_error)?;
        let mut answers = Vec::with_capacity(records.len());
        for (id, record) in records {
            answers.push(self.put_on(&mut transaction, id, record).await?);
        }
        transaction.commit().await.map_err(write_error)?;
        Ok(answers)
    }

    async fn put_all_if_newer(&self, records: &[(Id, Record)]) -> Result<PutAll, StoreError> {
        Self::put_all(&[(self, records.to_vec())]).await
    }

    fn check_all(&self, _ids: &[Id]) -> Result<(), StoreError> {
        Ok(())
    }

    /// A segment reads its scope's whole table and skips rows of other segments. So more than one segment
    /// spreads the work of the other store, not of this one.
    async fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        let (tenant, key) = cursor.map(Cursor::texts).transpose()?.unwrap_or_default();
        let is_first = cursor.is_none();
        let mut most = usize::MAX;
        let asked = match scope {
            Scope::All => sqlx::query(self.layout.scan_all.page(is_first)).bind(tenant).bind(key),
            Scope::Tenant(tenant) => {
                sqlx::query(self.layout.scan_tenant.page(is_first)).bind(tenant).bind(key)
            }
            Scope::UpTo(end) => {
                let (last_tenant, last_key) = end.texts()?;
                let asked = sqlx::query(self.layout.scan_up_to.page(is_first)).bind(tenant).bind(key);
                asked.bind(last_tenant).bind(last_key)
            }
            Scope::Keys { tenant, range, most: of_page } => {
                most = *of_page;
                let range = Cursor::rest_of(cursor, range)?;
                let (from, includes_from) = range.start();
                let asked = sqlx::query(self.layout.scan_keys.page(includes_from)).bind(tenant);
                let asked = asked.bind(from.to_owned());
                match range.end() {
                    Some(end) => asked.bind(end.to_owned()),
                    // Bytes are above every text.
                    None => asked.bind(Vec::<u8>::new()),
                }
            }
        };
        let mut rows = asked.fetch(&self.readers);
        let mut gathered = Gathered::default();
        // Scans can continue only after a text; a page that would end elsewhere is made longer.
        let mut may_end = true;
        while let Some(row) = rows.try_next().await.map_err(read_error)? {
            if may_end && (gathered.is_full(limit_bytes) || gathered.seen >= most) {
                return gathered.end(true);
            }
            let (found, is_text) = self.layout.found(&row)?;
            may_end = is_text;
            if segment.has(&found.tenant, &found.key) {
                gathered.take(found);
            } else {
                gathered.pass(found);
            }
        }
        gathered.end(false)
    }

    fn scan_order(&self) -> ScanOrder {
        ScanOrder::Bytes
    }

    async fn spread(&self, count: usize) -> Result<Option<Vec<Cursor>>, StoreError> {
        let is_own = self.layout.table.fields.is_own_tenant();
        spread(self, [KeyKind::Bytes; 2], is_own, count).await.map(Some)
    }

    /// By the file, whatever its path: its inode, and its creation time if the file system keeps one.
    async fn identity(&self) -> Result<Option<Identity>, StoreError> {
        let mut identity = file::identity(&self.path, &self.layout.table.name)?;
        for child in self.layout.table.children_by_name() {
            identity = identity.with_child(file::identity(&self.path, &child.table)?);
        }
        let Some(ledger) = self.layout.table.ledger() else { return Ok(Some(identity)) };
        Ok(Some(identity.with_ledger(&ledger, &self.ledger_id(&ledger).await?.to_string())))
    }

    async fn unmapped(&self) -> Result<Vec<String>, StoreError> {
        let table = &self.layout.table;
        let columns =
            async |table: &str| schema::shown_columns(&self.readers, table).await.map_err(read_error);
        let mut unmapped = table.unmapped(columns(&table.name).await?);
        for child in table.children() {
            unmapped.extend(child.unmapped(columns(&child.table).await?));
        }
        Ok(unmapped)
    }

    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        let mut connection = self.readers.acquire().await.map_err(read_error)?;
        warnings::warnings(&mut connection, &self.layout.table).await.map_err(read_error)
    }

    fn triggers(&self) -> Vec<Trigger> {
        triggers(Dialect::Sqlite, &self.layout.table, &Keys::default(), |name| format!("\"{name}\""))
    }

    /// The exact number of records: a walk over the table without the values.
    async fn estimate(&self) -> Result<Estimate, StoreError> {
        let count: i64 = sqlx::query_scalar(self.layout.count.clone())
            .fetch_one(&self.readers)
            .await
            .map_err(read_error)?;
        Ok(Estimate { records: u64::try_from(count).ok(), bytes: None })
    }

    async fn pressure(&self) -> Result<Pressure, StoreError> {
        let began = Instant::now();
        sqlx::query("SELECT 1").execute(&self.writer).await.map_err(read_error)?;
        Ok(Pressure { latency: began.elapsed(), replica_lag: None })
    }
}

impl SqliteStore {
    /// The id that the ledger has now.
    async fn ledger_id(&self, ledger: &str) -> Result<LedgerId, StoreError> {
        let asked = AssertSqlSafe(LedgerId::asked(Dialect::Sqlite, ledger, &Keys::default()));
        let found = sqlx::query_scalar(asked).fetch_optional(&self.readers).await.map_err(read_error)?;
        LedgerId::found(Dialect::Sqlite, ledger, &Keys::default(), ledger, found)
    }

    async fn get_on(&self, connection: &mut SqliteConnection, id: &Id) -> Result<Option<Record>, StoreError> {
        let get = sqlx::query(self.layout.get.clone()).bind(&id.tenant).bind(&id.key);
        let row = get.fetch_optional(connection).await.map_err(read_error)?;
        row.map(|row| self.layout.record(&row)).transpose()
    }

    /// One statement for any number of ids: a call costs more than looking up a record.
    async fn many<T>(
        &self,
        sql: &SqlStr,
        ids: &[Id],
        found: impl Fn(&SqliteRow) -> Result<T, StoreError>,
    ) -> Result<Vec<Option<T>>, StoreError> {
        let asked: Vec<[&str; 2]> = ids.iter().map(|id| [id.tenant.as_str(), id.key.as_str()]).collect();
        let asked =
            serde_json::to_string(&asked).map_err(|error| read_error(sqlx::Error::Encode(error.into())))?;
        let mut all: Vec<Option<T>> = ids.iter().map(|_| None).collect();
        let mut rows = sqlx::query(sql.clone()).bind(asked).fetch(&self.readers);
        while let Some(row) = rows.try_next().await.map_err(read_error)? {
            if let Some(place) = all.get_mut(layout::place_in_list(&row)?) {
                *place = Some(found(&row)?);
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests;
