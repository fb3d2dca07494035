//! A table of a SQLite file, shared by any number of processes of one machine.
//!
//! One connection per process writes, the others read: SQLite has one writer at a time anyway, and
//! so a process queues with itself instead of polling the file's lock. A statement that does not
//! get that lock within `busy_timeout` fails as throttled, having changed nothing.

mod error;
mod row;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection, SqliteConnection, SqlitePool,
    pool::PoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{
    Copied, Cursor, Estimate, Id, Page, Pressure, Put, Record, Scope, Segment, Store, StoreError, Version,
    scan::Gathered,
    sql::{check_name, column_of, removed_outright},
};
use error::{read_error, set_up_error, write_error};

/// How a file is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Longest wait for this process's other writes, and as long again for another process's. Keep
    /// it below half the migrator's call timeout, or a busy file makes writes indeterminate that
    /// were never made.
    pub busy_timeout: Duration,
    /// Connections that read. At least 1.
    pub readers: u32,
    /// A write that was answered survives a loss of power, not just the end of the process. Costs
    /// one fsync a write.
    pub durable: bool,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { busy_timeout: Duration::from_secs(2), readers: 4, durable: true }
    }
}

/// One table `(tenant, key, version, value)` of a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    sql: Sql,
}

/// The statements, with the table's name in them. The name was checked.
#[derive(Debug)]
struct Sql {
    get: String,
    version: String,
    put: String,
    insert: String,
    update: String,
    scan_all: String,
    scan_tenant: String,
    count: String,
}

impl SqliteStore {
    /// Opens a table that is there. Changes nothing in the file.
    pub async fn open(path: &Path, table: &str, options: SqliteOptions) -> Result<Self, StoreError> {
        Self::connect(path, table, options, SqliteConnectOptions::new()).await
    }

    /// Opens a table after making the file and the table if they are not there; a table that is
    /// there stays as it is. The file is put into WAL mode, so that readers never wait.
    pub async fn create(path: &Path, table: &str, options: SqliteOptions) -> Result<Self, StoreError> {
        check_name(table)?;
        let failed = |error| set_up_error(path, table, error);
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
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS \"{table}\" (
                tenant TEXT NOT NULL COLLATE BINARY,
                key TEXT NOT NULL COLLATE BINARY,
                version INTEGER NOT NULL DEFAULT 0,
                value BLOB,
                PRIMARY KEY (tenant, key)
            ) WITHOUT ROWID"
        );
        sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.map_err(failed)?;
        connection.close().await.map_err(failed)?;
        Self::open(path, table, options).await
    }

    async fn connect(
        path: &Path,
        table: &str,
        options: SqliteOptions,
        connect: SqliteConnectOptions,
    ) -> Result<Self, StoreError> {
        check_name(table)?;
        let failed = |error| set_up_error(path, table, error);
        let synchronous = if options.durable { SqliteSynchronous::Full } else { SqliteSynchronous::Normal };
        let connect = connect.filename(path).busy_timeout(options.busy_timeout).synchronous(synchronous);
        // A scan is slow by its nature, and what a statement holds does not belong in a log.
        let connect = connect.disable_statement_logging();
        let pool = |connections: u32| {
            PoolOptions::new()
                .max_connections(connections.max(1))
                .acquire_timeout(options.busy_timeout)
                .test_before_acquire(false)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let store = Self {
            writer: pool(1).connect_with(connect.clone()).await.map_err(failed)?,
            readers: pool(options.readers).connect_with(connect).await.map_err(failed)?,
            sql: Sql::new(table),
        };
        // Prepares a statement with every column, so a missing one is told now and not by a write.
        sqlx::query(AssertSqlSafe(store.sql.scan_all.as_str()))
            .bind("")
            .bind("")
            .fetch_optional(&store.readers)
            .await
            .map_err(failed)?;
        Ok(store)
    }

    /// Waits for calls under way and closes the file.
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
        let mut connection = self.writer.acquire().await.map_err(write_error)?;
        Ok(match self.put_on(&mut connection, id, record).await? {
            Copied::Written | Copied::Present => Put::Applied,
            Copied::Stale(current) => Put::Stale(current),
        })
    }

    async fn put_if_unchanged(
        &self,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError> {
        let mut connection = self.writer.acquire().await.map_err(write_error)?;
        let sql = if expected.is_some() { &self.sql.update } else { &self.sql.insert };
        let put = sqlx::query(AssertSqlSafe(sql.as_str()))
            .bind(&id.tenant)
            .bind(&id.key)
            .bind(column_of(record.version)?)
            .bind(&record.value);
        let put = if let Some(expected) = expected { put.bind(column_of(expected)?) } else { put };
        let done = put.execute(&mut *connection).await.map_err(write_error)?;
        if done.rows_affected() > 0 {
            return Ok(Put::Applied);
        }
        let current = self.version_on(&mut connection, id).await?;
        Ok(Put::unless_ours(record.version, current.unwrap_or_default()))
    }

    async fn get_many(&self, ids: &[Id]) -> Result<Vec<Option<Record>>, StoreError> {
        let mut connection = self.readers.acquire().await.map_err(read_error)?;
        let mut records = Vec::with_capacity(ids.len());
        for id in ids {
            records.push(self.get_on(&mut connection, id).await?);
        }
        Ok(records)
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

    /// A segment reads its scope's whole table and leaves out what is not its own: more than one
    /// segment spreads the work on the other store, not on this one.
    async fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        let (tenant, key) = cursor.map(Cursor::texts).transpose()?.unwrap_or_default();
        let (sql, tenant) = match scope {
            Scope::All => (&self.sql.scan_all, tenant),
            Scope::Tenant(tenant) => (&self.sql.scan_tenant, tenant.as_str()),
        };
        let mut rows = sqlx::query(AssertSqlSafe(sql.as_str())).bind(tenant).bind(key).fetch(&self.readers);
        let mut gathered = Gathered::default();
        // Only a text can be gone on after; a page that would end elsewhere is made longer.
        let mut may_end = true;
        while let Some(row) = rows.try_next().await.map_err(read_error)? {
            if may_end && gathered.is_full(limit_bytes) {
                return Ok(gathered.end(true));
            }
            let (found, is_text) = row::found(&row)?;
            may_end = is_text;
            if segment.has(&found.tenant, &found.key) {
                gathered.take(found);
            } else {
                gathered.pass(found);
            }
        }
        Ok(gathered.end(false))
    }

    /// The exact number of records: a walk over the table, without their values.
    async fn estimate(&self) -> Result<Estimate, StoreError> {
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(self.sql.count.as_str()))
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
    async fn get_on(&self, connection: &mut SqliteConnection, id: &Id) -> Result<Option<Record>, StoreError> {
        let row = sqlx::query(AssertSqlSafe(self.sql.get.as_str()))
            .bind(&id.tenant)
            .bind(&id.key)
            .fetch_optional(connection)
            .await
            .map_err(read_error)?;
        row.map(|row| row::record(&row)).transpose()
    }

    async fn put_on(
        &self,
        connection: &mut SqliteConnection,
        id: &Id,
        record: &Record,
    ) -> Result<Copied, StoreError> {
        // A record that is removed between the two statements makes the write due after all.
        for _ in 0..3 {
            // One statement, run to its end: with RETURNING the commit would come after the row,
            // and its failure would go unseen.
            let done = sqlx::query(AssertSqlSafe(self.sql.put.as_str()))
                .bind(&id.tenant)
                .bind(&id.key)
                .bind(column_of(record.version)?)
                .bind(&record.value)
                .execute(&mut *connection)
                .await
                .map_err(write_error)?;
            if done.rows_affected() > 0 {
                return Ok(Copied::Written);
            }
            if let Some(current) = self.version_on(connection, id).await? {
                return Ok(Copied::unless_newer(record.version, current));
            }
        }
        Err(removed_outright())
    }

    /// Asked after a condition failed, so whatever goes wrong here, nothing was written.
    async fn version_on(
        &self,
        connection: &mut SqliteConnection,
        id: &Id,
    ) -> Result<Option<Version>, StoreError> {
        let row = sqlx::query(AssertSqlSafe(self.sql.version.as_str()))
            .bind(&id.tenant)
            .bind(&id.key)
            .fetch_optional(connection)
            .await
            .map_err(read_error)?;
        row.map(|row| row::version(&row)).transpose()
    }
}

impl Sql {
    fn new(table: &str) -> Self {
        let insert = format!("INSERT INTO \"{table}\" (tenant, key, version, value) VALUES (?1, ?2, ?3, ?4)");
        Self {
            get: format!(
                "SELECT tenant, key, version, value FROM \"{table}\" WHERE tenant = ?1 AND key = ?2"
            ),
            version: format!("SELECT tenant, key, version FROM \"{table}\" WHERE tenant = ?1 AND key = ?2"),
            put: format!(
                "{insert} ON CONFLICT (tenant, key) DO UPDATE \
                 SET version = excluded.version, value = excluded.value \
                 WHERE excluded.version > version"
            ),
            update: format!(
                "UPDATE \"{table}\" SET version = ?3, value = ?4 \
                 WHERE tenant = ?1 AND key = ?2 AND version = ?5"
            ),
            scan_all: format!(
                "SELECT tenant, key, version, value FROM \"{table}\" \
                 WHERE (tenant, key) > (?1, ?2) ORDER BY tenant, key"
            ),
            scan_tenant: format!(
                "SELECT tenant, key, version, value FROM \"{table}\" \
                 WHERE tenant = ?1 AND key > ?2 ORDER BY key"
            ),
            count: format!("SELECT count(*) FROM \"{table}\""),
            insert: format!("{insert} ON CONFLICT (tenant, key) DO NOTHING"),
        }
    }
}

/// For messages about a file.
fn shown(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests;
