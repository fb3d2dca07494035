//! A table of a PostgreSQL server.
//!
//! A batch is a statement over arrays, so one prepared statement serves every size.

mod column;
#[cfg(feature = "spec")]
mod describe;
mod equal;
mod error;
mod guarded;
mod id_columns;
mod identity;
mod keys;
mod layout;
mod ledger;
mod put_all;
mod schema;
mod server;
mod warnings;

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use sqlx::{
    Arguments, ConnectOptions, Postgres, Row, SqlStr,
    postgres::{PgArguments, PgConnectOptions, PgRow},
};

use super::{
    Copied, Cursor, EqualIds, Estimate, Id, Identity, Page, Pressure, Put, PutAll, Record, ScanOrder, Scope,
    Segment, Store, StoreError, Version,
    error::Doubt,
    mapping::{Dialect, SqlTable, create_ledger_sql, create_sql},
    sql::{
        Calls, Database, Keys, LedgerId, ROUNDS, ServerOptions, Statement, check_equal, check_new, column_of,
        estimate, get_versions, in_order, not_beside, permanent, put_all, put_many, put_one, spread,
        swallowed, version_after,
    },
};
use cutover_core::outcome::ErrorClass;
use layout::Layout;
use ledger::Ledger;

/// Maximum bytes of a batch's statement, unless one record needs more: it is in memory three times on its
/// way.
const STATEMENT_BYTES_MAX: usize = 8 << 20;

/// One table of a PostgreSQL server. If it is given by its name alone, a table of whole records, `(tenant,
/// key, version, value)`.
#[derive(Debug)]
pub struct PostgresStore {
    calls: Calls<Postgres>,
    /// Of the table and its ledger.
    schema: String,
    layout: Layout,
}

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
        let of_ledger = create_ledger_sql(Dialect::Postgres, table, keys.definitions());
        let of_ledger =
            of_ledger.map_err(|error| permanent(ErrorClass::Other, "table", error.to_string()))?;
        let sql = sql.into_iter().take(1).chain(of_ledger);
        for (name, sql) in [table.name.as_str()].into_iter().chain(ledger.as_deref()).zip(sql) {
            if schema::exists(&store.calls, &store.schema, name).await? {
                continue;
            }
            if let Some(other) = warnings::other_case(&store.calls, name).await {
                return Err(not_beside(name, &other));
            }
            // If two processes created it at once, one would fail in the catalogue, so it waits. One text is
            // one transaction.
            let schema = ledger::quoted(&store.schema);
            let sql = format!(
                "SELECT pg_advisory_xact_lock(hashtext('cutover.{name}')); SET LOCAL search_path TO {schema}; {sql}"
            );
            store.calls.create(sql).await?;
        }
        if is_new && let Some(ledger) = &store.layout.ledger {
            store.calls.create(LedgerId::made_once(Dialect::Postgres, ledger.as_sql(), &keys)).await?;
        }
        store.checked().await
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
    async fn found_id(&self, ledger: &Ledger, name: &str) -> Result<LedgerId, StoreError> {
        let found = self.ledger_id(ledger).await?;
        LedgerId::found(Dialect::Postgres, ledger.as_sql(), &self.layout.keys, name, found)
    }

    /// The id that the ledger has now.
    async fn ledger_id(&self, ledger: &Ledger) -> Result<Option<i64>, StoreError> {
        let asked = LedgerId::asked(Dialect::Postgres, ledger.as_sql(), &self.layout.keys);
        let rows = self.calls.rows(&Statement::text(asked)).await?;
        Ok(rows.first().and_then(|row| row.try_get_unchecked(0).ok()))
    }

    async fn connect(url: &str, table: SqlTable, options: ServerOptions) -> Result<Self, StoreError> {
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

    /// Waits for calls in flight and closes the connections.
    pub async fn close(&self) {
        self.calls.close().await;
    }

    async fn rows(&self, sql: &SqlStr, arguments: PgArguments) -> Result<Vec<PgRow>, StoreError> {
        self.calls.rows(&Statement::prepared(sql, arguments)).await
    }

    /// Rows written.
    async fn written(&self, sql: &SqlStr, arguments: PgArguments) -> Result<(u64, Doubt), StoreError> {
        let (done, doubt) = self.calls.write(&Statement::prepared(sql, arguments)).await?;
        Ok((done.rows_affected(), doubt))
    }
}

/// Arguments of a statement; a value that the protocol can't carry is reported as such.
#[derive(Default)]
struct Given(PgArguments);

impl Given {
    fn and<'q, T>(mut self, value: T) -> Result<Self, StoreError>
    where
        T: sqlx::Encode<'q, Postgres> + sqlx::Type<Postgres>,
    {
        self.0.add(value).map_err(|error| Postgres::error(sqlx::Error::Encode(error), false))?;
        Ok(self)
    }

    fn id(self, id: &Id) -> Result<Self, StoreError> {
        self.and(id.tenant.as_str())?.and(id.key.as_str())
    }

    fn ids<'a>(self, ids: impl Iterator<Item = &'a Id> + Clone) -> Result<Self, StoreError> {
        let tenants: Vec<_> = ids.clone().map(|id| id.tenant.as_str()).collect();
        let keys: Vec<_> = ids.map(|id| id.key.as_str()).collect();
        self.and(tenants)?.and(keys)
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        if !self.layout.keys.takes(id) {
            return Ok(None);
        }
        let rows = self.rows(&self.layout.get, Given::default().id(id)?.0).await?;
        rows.first().map(|row| self.layout.found(row)?.record).transpose()
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
        let given = self.layout.rows(&[(id, record)])?;
        let write = async |sql: &SqlStr, given: &PgArguments| match &self.layout.ledger {
            Some(ledger) => self.put_if(ledger, id, record, expected).await,
            None => self.written(sql, given.clone()).await,
        };
        let (sql, given) = match expected {
            Some(expected) => (&self.layout.update, given.and(column_of(expected)?)?.0),
            None => (&self.layout.insert, given.0),
        };
        let mut doubt: Doubt = None;
        for _ in 0..ROUNDS {
            match write(sql, &given).await {
                Ok((0, lost)) => doubt = doubt.or(lost),
                Ok(_) => return Ok(Put::Applied),
                Err(error) => return Err(doubt.unwrap_or(error)),
            }
            let current = version_after(self, id, &doubt).await?.and_then(|there| there.reads_as);
            if current != expected {
                return Put::unless_this(record.version, current.unwrap_or_default()).or_doubt(doubt);
            }
            if doubt.is_none() {
                check_equal(self, &self.layout.keys, &[id]).await?;
            }
        }
        Err(doubt.unwrap_or_else(swallowed))
    }

    async fn get_many(&self, ids: &[Id]) -> Result<Vec<Option<Record>>, StoreError> {
        let taken = ids.iter().filter(|id| self.layout.keys.takes(id));
        let rows = self.rows(&self.layout.get_many, Given::default().ids(taken)?.0).await?;
        let found: Result<Vec<_>, _> = rows.iter().map(|row| self.layout.found(row)?.read()).collect();
        Ok(in_order(&ids.iter().collect::<Vec<_>>(), found?))
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

    /// A segment reads its scope's whole table and skips rows of other segments, because the server has no
    /// such hash. So more than one segment spreads the work of the other store, not of this one.
    async fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        let keys = &self.layout.keys;
        let (least_tenant, least_key) = (keys.tenant.kind.least(), keys.key.kind.least());
        let least = (least_tenant.as_str(), least_key.as_str());
        let (tenant, key) = cursor.map(|cursor| keys.place(cursor)).transpose()?.unwrap_or(least);
        let rows = match scope {
            Scope::Keys { most, .. } => self.calls.page_rows(limit_bytes).min(*most),
            _ => self.calls.page_rows(limit_bytes),
        };
        let limit = i64::try_from(rows).unwrap_or(i64::MAX);
        let from = |tenant: &str| Given::default().and(tenant)?.and(key)?.and(limit);
        let mut includes_from = cursor.is_none();
        let (scan, given) = match scope {
            Scope::All => (&self.layout.scan_all, from(tenant)?),
            Scope::Tenant(tenant) if !keys.takes_tenant(tenant) => return Ok(Page::default()),
            Scope::Tenant(tenant) => (&self.layout.scan_tenant, from(tenant)?),
            Scope::UpTo(_) if !keys.are_in_byte_order() => return Err(keys.not_in_byte_order()),
            Scope::UpTo(end) => {
                let (last_tenant, last_key) = end.texts()?;
                (&self.layout.scan_up_to, from(tenant)?.and(last_tenant)?.and(last_key)?)
            }
            Scope::Keys { tenant, .. } if !keys.takes_tenant(tenant) => return Ok(Page::default()),
            Scope::Keys { .. } if keys.key_order() != ScanOrder::Bytes => {
                return Err(keys.not_in_byte_order());
            }
            Scope::Keys { tenant, range, .. } => {
                let range = Cursor::rest_of(cursor, range)?;
                let (key, is_included) = range.start();
                includes_from = is_included;
                let given = Given::default().and(tenant.as_str())?.and(key)?.and(limit)?;
                match range.end() {
                    None => (&self.layout.scan_tenant, given),
                    Some(end) => (&self.layout.scan_keys, given.and(end)?),
                }
            }
        };
        let statement = Statement::prepared(scan.page(includes_from), given.0);
        let decode = |row: PgRow| self.layout.part(&row);
        self.calls.page(&statement, rows, segment, limit_bytes, (&self.layout.table, keys), decode).await
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

    /// By the database system, which physical replicas share, and by database and table.
    async fn identity(&self) -> Result<Option<Identity>, StoreError> {
        let identity = identity::identity(&self.calls, &self.schema, &self.layout.table).await?;
        let keys = id_columns::keys(&self.calls, &self.schema, &self.layout.table).await?;
        self.layout.keys.check_order(&keys)?;
        let (Some(ledger), Some(name)) = (&self.layout.ledger, self.layout.table.ledger()) else {
            return Ok(Some(identity));
        };
        let id = self.found_id(ledger, &name).await?;
        Ok(Some(identity.with_ledger(&name, &id.to_string())))
    }

    async fn unmapped(&self) -> Result<Vec<String>, StoreError> {
        let table = &self.layout.table;
        let columns = format!(
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute \
             WHERE attrelid = {} AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            ledger::regclass(&self.schema, &table.name)
        );
        let columns = self.calls.rows(&Statement::text(columns)).await?;
        Ok(table.unmapped(columns.iter().map(|row| (server::text(row, 0), server::text(row, 1)))))
    }

    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        warnings::warnings(&self.calls, &self.schema, &self.layout.table).await
    }

    async fn missing_privileges(&self) -> Result<Vec<String>, StoreError> {
        warnings::missing_privileges(&self.calls, &self.schema, &self.layout.table).await
    }

    /// By the planner's statistics, from the last time the table was vacuumed or analysed.
    async fn estimate(&self) -> Result<Estimate, StoreError> {
        let rows = self.rows(&self.layout.estimate, PgArguments::default()).await?;
        Ok(estimate(&rows))
    }

    /// The lag is that of the server's furthest replica, if the user may ask (`pg_monitor`).
    async fn pressure(&self) -> Result<Pressure, StoreError> {
        let began = Instant::now();
        self.calls.rows(&Statement::text("SELECT 1".to_owned())).await?;
        let latency = began.elapsed();
        let rows = self.rows(&layout::REPLICA_LAG, PgArguments::default()).await.unwrap_or_default();
        let seconds: Option<f64> = rows.first().and_then(|row| row.try_get(0).ok()).flatten();
        let replica_lag = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Ok(Pressure { latency, replica_lag })
    }
}

#[cfg(test)]
mod tests;
