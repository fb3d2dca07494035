//! A table of a MySQL or MariaDB server.
//!
//! Statements are sent as text: one round trip for a batch of any size, and no prepared statements that the server would
//! have to keep for each size. A value is in quotes, or in hexadecimal if it contains what some SQL mode would read
//! otherwise.

mod both;
mod column;
#[cfg(feature = "spec")]
mod describe;
mod equal;
mod error;
mod find;
mod guarded;
mod id_columns;
mod identity;
mod keys;
mod layout;
mod ledger;
mod limits;
mod literal;
mod put_all;
mod replicas;
mod schema;
mod server;
mod warnings;

use std::{str::FromStr, time::Instant};

use async_trait::async_trait;
use sqlx::{
    ConnectOptions, MySql, Row,
    mysql::{MySqlConnectOptions, MySqlRow},
};

use super::{
    Copied, Cursor, EqualIds, Estimate, Id, Identity, Page, Pressure, Put, PutAll, Record, ScanOrder, Scope,
    Segment, Store, StoreError, Version,
    mapping::{Dialect, SqlTable, create_ledger_sql, create_sql},
    sql::{
        Calls, Database, Entry, LedgerId, ServerOptions, Statement, check_equal, check_new, column_of,
        estimate, get_versions, permanent, put_all, put_many, put_one, spread, swallowed, version_after,
    },
};
use cutover_core::outcome::ErrorClass;
use layout::{Layout, NOT_WRITTEN};
use limits::{ROWS_MAX, STATEMENT_BYTES_MAX, written_max};
use replicas::{Listed, Replicas};

/// One table of a MySQL or MariaDB server. If it is given by its name alone, a table of whole records,
/// `(tenant, key, version, value)`.
#[derive(Debug)]
pub struct MySqlStore {
    calls: Calls<MySql>,
    layout: Layout,
    /// The server's `max_allowed_packet`.
    packet_bytes: usize,
    /// Maximum records that a statement writes.
    written_max: usize,
    /// Maximum statements of a text, so that all their lock waits end within the time of one.
    waiting_max: usize,
    replicas: Replicas,
}

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
        let table = table.into();
        let sql = create_sql(Dialect::MySql, &table);
        let sql = sql.map_err(|error| permanent(ErrorClass::Other, "table", error.to_string()))?;
        let store = Self::connect(url, table, options).await?;
        let (mut id, table) = (None, &store.layout.table);
        // Of a table that is there already, which may have keys of other types than one that is created.
        let (keys, _) = id_columns::keys(&store.calls, table).await?;
        let of_ledger = create_ledger_sql(Dialect::MySql, table, keys.definitions());
        let of_ledger =
            of_ledger.map_err(|error| permanent(ErrorClass::Other, "table", error.to_string()))?;
        let sql = sql.into_iter().take(1).chain(of_ledger);
        if let Some(ledger) = table.ledger() {
            let there = schema::has_rows(&store.calls, &table.name).await?;
            let entries = schema::has_rows(&store.calls, &ledger).await?;
            let is_new = check_new(Dialect::MySql, table, &keys, there, entries)?;
            id = is_new.then(|| LedgerId::made_once(Dialect::MySql, &store.layout.ledger, &keys));
        }
        for (name, sql) in store.layout.table.names().into_iter().zip(sql) {
            if schema::is_free(&store.calls, &name).await? {
                store.calls.create(sql).await?;
            }
        }
        if let Some(sql) = id {
            store.calls.create(sql).await?;
        }
        store.checked().await
    }

    /// Checks the table and its ledger, and learns which ledger it is.
    async fn checked(mut self) -> Result<Self, StoreError> {
        (self.layout.keys, self.layout.places) = id_columns::keys(&self.calls, &self.layout.table).await?;
        if !self.layout.table.is_bare() {
            schema::check(&self.calls, &self.layout.table, &self.layout.keys).await?;
        }
        if let Some(name) = self.layout.table.ledger() {
            self.layout.ledger_id = Some(self.found_id(&name).await?);
        }
        Ok(self)
    }

    async fn connect(url: &str, table: SqlTable, options: ServerOptions) -> Result<Self, StoreError> {
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

    /// Waits for calls in flight and closes the connections.
    pub async fn close(&self) {
        self.calls.close().await;
    }

    async fn rows(&self, sql: String) -> Result<Vec<MySqlRow>, StoreError> {
        self.calls.rows(&Statement::text(sql)).await
    }
}

#[async_trait]
impl Store for MySqlStore {
    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        Ok(self.get_many(std::slice::from_ref(id)).await?.pop().flatten())
    }

    async fn put_if_newer(&self, id: &Id, record: &Record) -> Result<Put, StoreError> {
        put_one(self, id, record).await
    }

    async fn put_if_unchanged(
        &self,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError> {
        self.check_ids([id].into_iter()).await?;
        if self.layout.table.has_ledger() {
            return self.put_if(id, record, expected).await;
        }
        let sql = match expected {
            Some(expected) => self.statements(
                &self.layout.update(id, record)?,
                &format!("{}{}", self.layout.and_version(), column_of(expected)?),
                &[id],
                |text, id| {
                    self.layout.is(text, id);
                    Ok(())
                },
            )?,
            None => self.statements(
                &self.layout.insert(),
                &self.layout.unless_there(),
                &[(id, record)],
                |text, given| self.layout.values(text, given.0, given.1),
            )?,
        };
        // One record is one statement.
        let [sql]: [String; 1] = sql.try_into().expect("one record was given");
        let (done, doubt) = self.calls.write(&Statement::text(sql)).await?;
        if done.rows_affected() > 0 && done.last_insert_id() != NOT_WRITTEN {
            return Ok(Put::Applied);
        }
        let current = version_after(self, id, &doubt).await?.and_then(|there| there.reads_as);
        if expected.is_none() && current.is_none() {
            if doubt.is_none() {
                check_equal(self, &self.layout.keys, &[id]).await?;
            }
            return Err(doubt.unwrap_or_else(swallowed));
        }
        Put::unless_this(record.version, current.unwrap_or_default()).or_doubt(doubt)
    }

    async fn get_many(&self, ids: &[Id]) -> Result<Vec<Option<Record>>, StoreError> {
        let ids: Vec<&Id> = ids.iter().collect();
        if self.layout.table.has_ledger() {
            let record = |entry: Option<Entry>, row: Option<&MySqlRow>| {
                let Some(version) = entry.unwrap_or_default().reads_as(row.is_some()) else {
                    return Ok(None);
                };
                let value = match row {
                    None => None,
                    Some(row) => self.layout.table.value(version, self.layout.cells_of(row)?)?,
                };
                Ok(Some(Record { version, value }))
            };
            return self.find_both(true, &ids, record).await;
        }
        self.find(&self.layout.all(), &ids, |row| self.layout.found(row)?.record).await
    }

    async fn get_versions(&self, ids: &[Id]) -> Result<Vec<Option<Version>>, StoreError> {
        get_versions(self, ids).await
    }

    async fn put_many_if_newer(&self, records: &[(Id, Record)]) -> Result<Vec<Copied>, StoreError> {
        put_many(self, records).await
    }

    async fn put_all_if_newer(&self, records: &[(Id, Record)]) -> Result<PutAll, StoreError> {
        put_all(&[(self, records.to_vec())]).await
    }

    fn check_all(&self, _ids: &[Id]) -> Result<(), StoreError> {
        Ok(())
    }

    /// A segment reads its scope's whole table, and the server omits rows of other segments. So more than one
    /// segment spreads the work of the other store and of the network, not of this server.
    async fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        let keys = &self.layout.keys;
        match scope {
            Scope::Tenant(tenant) if !keys.takes_tenant(tenant) => return Ok(Page::default()),
            Scope::Keys { tenant, .. } if !keys.takes_tenant(tenant) => return Ok(Page::default()),
            Scope::UpTo(_) if !keys.are_in_byte_order() => return Err(keys.not_in_byte_order()),
            Scope::Keys { .. } if keys.key_order() != ScanOrder::Bytes => {
                return Err(keys.not_in_byte_order());
            }
            _ => {}
        }
        // Bytes need not be text.
        if let Some(cursor) = cursor.filter(|_| !keys.are_in_byte_order()) {
            keys.place(cursor)?;
        }
        let after = cursor.map(Cursor::place).transpose()?;
        let rows = match scope {
            Scope::Keys { most, .. } => self.calls.page_rows(limit_bytes).min(*most),
            _ => self.calls.page_rows(limit_bytes),
        };
        let sql = self.layout.scan(scope, segment, after, rows)?;
        let decode = |row: MySqlRow| self.layout.part(&row);
        let of = (&self.layout.table, keys);
        self.calls.page(&Statement::text(sql), rows, segment, limit_bytes, of, decode).await
    }

    fn key_order(&self) -> ScanOrder {
        self.layout.keys.key_order()
    }

    fn scan_order(&self) -> ScanOrder {
        self.layout.keys.scan_order()
    }

    async fn spread(&self, count: usize) -> Result<Option<Vec<Cursor>>, StoreError> {
        let keys = &self.layout.keys;
        let kinds = [keys.tenant.kind, keys.key.kind];
        spread(self, kinds, self.layout.table.fields.is_own_tenant(), count).await.map(Some)
    }

    fn loose_ids(&self) -> Option<String> {
        self.layout.keys.loose()
    }

    async fn equal_ids(&self, ids: &[Id]) -> Result<Vec<EqualIds>, StoreError> {
        if self.layout.keys.are_loose() { self.equal(ids).await } else { Ok(Vec::new()) }
    }

    fn check_id(&self, id: &Id) -> Result<(), StoreError> {
        self.layout.keys.check_new(id)
    }

    /// By the cluster if the server is in one, else by the server; and by database and table.
    async fn identity(&self) -> Result<Option<Identity>, StoreError> {
        let identity = identity::identity(&self.calls, &self.layout.table.name).await?;
        self.layout.keys.check_order(&id_columns::keys(&self.calls, &self.layout.table).await?.0)?;
        let Some(ledger) = self.layout.table.ledger() else { return Ok(Some(identity)) };
        let id = self.found_id(&ledger).await?;
        Ok(Some(identity.with_ledger(&ledger, &id.to_string())))
    }

    async fn unmapped(&self) -> Result<Vec<String>, StoreError> {
        let table = &self.layout.table;
        let columns = format!(
            "SELECT column_name, column_type FROM information_schema.columns WHERE table_schema = DATABASE() \
             AND table_name = '{}' ORDER BY ordinal_position",
            table.name
        );
        let columns = self.rows(columns).await?;
        Ok(table.unmapped(columns.iter().map(|row| (server::text(row, 0), server::text(row, 1)))))
    }

    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        let mut told = warnings::warnings(&self.calls, &self.layout.table).await?;
        told.extend(self.replicas().await.unwrap_or_default().iter().filter_map(Listed::warning));
        Ok(told)
    }

    async fn missing_privileges(&self) -> Result<Vec<String>, StoreError> {
        warnings::missing_privileges(&self.calls, &self.layout.table).await
    }

    /// By InnoDB's statistics, which can be off by half.
    async fn estimate(&self) -> Result<Estimate, StoreError> {
        let rows = self.rows(self.layout.estimate()).await?;
        Ok(estimate(&rows))
    }

    /// The lag is that of the server itself, if it is a replica, or of its furthest replica, if the user may ask.
    async fn pressure(&self) -> Result<Pressure, StoreError> {
        let began = Instant::now();
        self.rows("SELECT 1".to_owned()).await?;
        let latency = began.elapsed();
        let status = self.rows("SHOW REPLICA STATUS".to_owned()).await.unwrap_or_default();
        let own = replicas::furthest(&status).map(std::time::Duration::from_secs);
        Ok(Pressure { latency, replica_lag: own.max(self.replicas.lag(self).await) })
    }
}

#[cfg(test)]
mod tests;
