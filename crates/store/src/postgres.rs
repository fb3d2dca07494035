//! A table of a PostgreSQL server.
//!
//! A batch is a statement over arrays, so one prepared statement serves every size.

mod cells;
mod children;
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
mod open;
mod put_all;
mod schema;
mod server;
mod transaction;
mod warnings;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::{
    Arguments, AssertSqlSafe, Postgres, Row, SqlSafeStr as _, SqlStr,
    postgres::{PgArguments, PgRow},
};

use super::{
    Copied, CreatedTrigger, Cursor, EqualIds, Estimate, Id, Identity, Page, Pressure, Put, PutAll, Record,
    ScanOrder, Scope, Segment, Store, StoreError, Trigger, Version,
    error::Doubt,
    mapping::Dialect,
    sql::{
        Calls, Database, ROUNDS, Statement, check_equal, column_of, estimate, get_versions, in_order,
        incomplete, put_all, put_many, put_one, spread, swallowed, triggers, unless_in_doubt, version_after,
    },
};
use layout::Layout;
use transaction::counted;

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
    /// Waits for calls in flight and closes the connections.
    pub async fn close(&self) {
        self.calls.close().await;
    }

    /// Name and type of each column of a table.
    async fn columns_of(&self, table: &str) -> Result<Vec<(String, String)>, StoreError> {
        let columns = format!(
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute \
             WHERE attrelid = {} AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            ledger::regclass(&self.schema, table)
        );
        let rows = self.calls.rows(&Statement::text(columns)).await?;
        Ok(rows.iter().map(|row| (server::text(row, 0), server::text(row, 1))).collect())
    }

    async fn rows(&self, sql: &SqlStr, arguments: PgArguments) -> Result<Vec<PgRow>, StoreError> {
        self.calls.rows(&Statement::prepared(sql, arguments)).await
    }

    /// Rows written, with those in child tables in one transaction.
    async fn written(
        &self,
        sql: &SqlStr,
        (given, children): (Given, Vec<Statement<Postgres>>),
    ) -> Result<(u64, Doubt), StoreError> {
        if self.layout.has_children() {
            let counted = AssertSqlSafe(counted(sql.as_str())).into_sql_str();
            return self.put_with_children(Statement::prepared(&counted, given.0), children).await;
        }
        let (done, doubt) = self.calls.write(&Statement::prepared(sql, given.0)).await?;
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
        let write = async || {
            if let Some(ledger) = &self.layout.ledger {
                return self.put_if(ledger, id, record, expected).await;
            }
            let (given, children) = self.layout.rows(&[(id, record)])?;
            let (sql, given) = match expected {
                Some(expected) => (&self.layout.update, given.and(column_of(expected)?)?),
                None => (&self.layout.insert, given),
            };
            self.written(sql, (given, children)).await
        };
        let mut doubt: Doubt = None;
        for _ in 0..ROUNDS {
            match write().await {
                Ok((0, lost)) => doubt = doubt.or(lost),
                Ok(_) => return Ok(Put::Applied),
                Err(error) => return Err(unless_in_doubt(doubt, &[self], error).await),
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
                let Some(range) = keys.in_values(&Cursor::rest_of(cursor, range)?) else {
                    return Ok(Page::default());
                };
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

    fn check(&self, id: &Id, record: &Record) -> Result<(), StoreError> {
        self.check_id(id)?;
        self.layout.table.cells(id, record).map(drop)
    }

    /// By the database system, which physical replicas share, and by database and table.
    async fn identity(&self) -> Result<Option<Identity>, StoreError> {
        let mut identity = identity::identity(&self.calls, &self.schema, &self.layout.table.name).await?;
        for child in self.layout.table.children_by_name() {
            let of_child = identity::identity(&self.calls, &self.schema, &child.table).await?;
            identity = identity.with_child(of_child);
        }
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
        let mut unmapped = table.unmapped(self.columns_of(&table.name).await?);
        for child in table.children() {
            unmapped.extend(child.unmapped(self.columns_of(&child.table).await?));
        }
        Ok(unmapped)
    }

    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        let mut told = warnings::warnings(&self.calls, &self.schema, &self.layout.table).await?;
        told.extend(incomplete(&self.triggers(), &self.created_triggers().await?));
        Ok(told)
    }

    async fn missing_privileges(&self) -> Result<Vec<String>, StoreError> {
        warnings::missing_privileges(&self.calls, &self.schema, &self.layout.table).await
    }

    fn triggers(&self) -> Vec<Trigger> {
        let named = |name: &str| ledger::qualified(&self.schema, name);
        triggers(Dialect::Postgres, &self.layout.table, &self.layout.keys, named)
    }

    async fn created_triggers(&self) -> Result<Vec<CreatedTrigger>, StoreError> {
        warnings::created(&self.calls, &self.schema, &self.layout.table, &self.triggers()).await
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
