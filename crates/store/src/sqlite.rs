//! A table of a SQLite file, shared by any number of processes on one machine.
//!
//! In each process one connection writes and the others read. SQLite allows one writer at a time anyway, so a
//! process queues its writes itself instead of polling the file's lock. A statement that does not get that
//! lock within `busy_timeout` fails as throttled, having changed nothing.

mod affinity;
mod cells;
mod children;
#[cfg(feature = "spec")]
mod describe;
mod error;
mod file;
mod keys;
mod layout;
mod ledger;
mod open;
mod options;
mod putting;
mod reads;
mod schema;
mod warnings;

use std::{path::PathBuf, time::Instant};

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, SqlStr, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::{
    Copied, CreatedTrigger, Cursor, Estimate, Id, Identity, Page, Pressure, Put, PutAll, Record, ScanOrder,
    Scope, Segment, Store, StoreError, Trigger, Version,
    mapping::Dialect,
    scan::Gathered,
    sql::{LedgerId, column_of, incomplete, permanent, spread, swallowed, triggers},
};
use error::{read_error, write_error};
use file::shown;
use layout::Layout;
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
    /// Waits for calls in flight and closes the file.
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        if !self.layout.keys.takes(id) {
            return Ok(None);
        }
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
        let put = self.put_if_on(&mut transaction, id, record, expected).await?;
        if put == Put::Applied {
            transaction.commit().await.map_err(write_error)?;
        }
        Ok(put)
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
        let keys = &self.layout.keys;
        match scope {
            Scope::Tenant(tenant) | Scope::Keys { tenant, .. } if !keys.takes_tenant(tenant) => {
                return Ok(Page::default());
            }
            Scope::UpTo(_) if !keys.are_in_byte_order() => return Err(keys.not_in_byte_order()),
            Scope::Keys { .. } if keys.key_order() != ScanOrder::Bytes => {
                return Err(keys.not_in_byte_order());
            }
            _ => {}
        }
        let place = match keys.are_in_byte_order() {
            true => cursor.map(Cursor::texts),
            false => cursor.map(|cursor| keys.place(cursor)),
        };
        let (tenant, key) = place.transpose()?.unwrap_or_default();
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

    fn key_order(&self) -> ScanOrder {
        self.layout.keys.key_order()
    }

    fn scan_order(&self) -> ScanOrder {
        self.layout.keys.scan_order()
    }

    fn check_id(&self, id: &Id) -> Result<(), StoreError> {
        self.layout.keys.check_new(id)
    }

    async fn spread(&self, count: usize) -> Result<Option<Vec<Cursor>>, StoreError> {
        let is_own = self.layout.table.fields.is_own_tenant();
        let keys = &self.layout.keys;
        spread(self, [keys.tenant.kind, keys.key.kind], is_own, count).await.map(Some)
    }

    fn check(&self, id: &Id, record: &Record) -> Result<(), StoreError> {
        self.check_id(id)?;
        self.layout.table.cells(id, record).map(drop)
    }

    /// By the file, whatever its path: its inode, and its creation time if the file system keeps one.
    async fn identity(&self) -> Result<Option<Identity>, StoreError> {
        let mut identity = file::identity(&self.path, &self.layout.table.name)?;
        for child in self.layout.table.children_by_name() {
            identity = identity.with_child(file::identity(&self.path, &child.table)?);
        }
        let mut connection = self.readers.acquire().await.map_err(read_error)?;
        let keys = keys::keys(&mut connection, &self.layout.table).await.map_err(read_error)?;
        self.layout.keys.check_order(&keys)?;
        drop(connection);
        let Some(ledger) = self.layout.table.ledger() else { return Ok(Some(identity)) };
        Ok(Some(identity.with_ledger(&ledger, &self.ledger_id(&ledger).await?.to_string())))
    }

    async fn unmapped(&self) -> Result<Vec<String>, StoreError> {
        let table = &self.layout.table;
        let columns = async |table: &str| {
            let columns =
                sqlx::query_as("SELECT name, type FROM pragma_table_xinfo(?1)").bind(table.to_owned());
            let columns: Result<Vec<(String, String)>, _> = columns.fetch_all(&self.readers).await;
            columns.map_err(read_error)
        };
        let mut unmapped = table.unmapped(columns(&table.name).await?);
        for child in table.children() {
            unmapped.extend(child.unmapped(columns(&child.table).await?));
        }
        Ok(unmapped)
    }

    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        let created = self.created_triggers().await?;
        let mut connection = self.readers.acquire().await.map_err(read_error)?;
        let mut told = warnings::warnings(&mut connection, &self.layout.table).await.map_err(read_error)?;
        told.extend(incomplete(&self.triggers(), &created));
        Ok(told)
    }

    /// By a transaction that may write, and writes nothing.
    async fn missing_privileges(&self) -> Result<Vec<String>, StoreError> {
        match self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(write_error) {
            Ok(transaction) => transaction.rollback().await.map_err(read_error).map(|()| Vec::new()),
            Err(StoreError::Permanent { what, .. }) => Ok(vec![what]),
            // Another process writes, so the file can be written.
            Err(StoreError::Throttled { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn triggers(&self) -> Vec<Trigger> {
        triggers(Dialect::Sqlite, &self.layout.table, &self.layout.keys, |name| format!("\"{name}\""))
    }

    async fn created_triggers(&self) -> Result<Vec<CreatedTrigger>, StoreError> {
        let mut connection = self.readers.acquire().await.map_err(read_error)?;
        warnings::created(&mut connection, &self.triggers()).await.map_err(read_error)
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
        let keys = &self.layout.keys;
        let asked = AssertSqlSafe(LedgerId::asked(Dialect::Sqlite, ledger, keys));
        let found = sqlx::query_scalar(asked).fetch_optional(&self.readers).await.map_err(read_error)?;
        LedgerId::found(Dialect::Sqlite, ledger, keys, ledger, found)
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
        // SQLite would take another spelling of a number for it.
        let ask = |id: &Id| self.layout.keys.takes(id).then(|| [id.tenant.clone(), id.key.clone()]);
        let asked: Vec<[Option<String>; 2]> =
            ids.iter().map(|id| ask(id).map_or([None, None], |id| id.map(Some))).collect();
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
