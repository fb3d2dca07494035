//! A table of a MySQL or MariaDB server.
//!
//! Statements are sent as text: one round trip for a batch of any size, and no prepared statements that the server would
//! have to keep for each size. A value is in quotes, in which every SQL mode reads the same, or in base64.

mod both;
mod cells;
mod children;
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
mod open;
mod put_all;
mod replicas;
mod rights;
mod rows;
mod schema;
mod server;
mod warnings;

use std::time::Instant;

use async_trait::async_trait;
use sqlx::{MySql, mysql::MySqlRow};

use super::{
    Copied, CreatedTrigger, Cursor, EqualIds, Estimate, Id, Identity, Page, Pressure, Put, PutAll, Record,
    ScanOrder, Scope, Segment, Store, StoreError, Trigger, Version,
    mapping::Dialect,
    sql::{
        Calls, Database, Entry, Statement, at_fault, check_equal, column_of, estimate, get_versions,
        incomplete, permanent, put_all, put_many, put_one, spread, swallowed, triggers, version_after,
    },
};
use cutover_core::outcome::ErrorClass;
use layout::{Layout, NOT_WRITTEN};
use ledger::{CHECK_ONE, check_written};
use limits::{ROWS_MAX, STATEMENT_BYTES_MAX};
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
        let written = if self.layout.children.is_empty() {
            let written = self.calls.write(&Statement::text(sql)).await;
            written.map(|(done, doubt)| {
                (done.rows_affected() > 0 && done.last_insert_id() != NOT_WRITTEN, doubt)
            })
        } else {
            let check = if expected.is_some() { CHECK_ONE.to_owned() } else { check_written(1) };
            let mut body = vec![sql, check];
            body.extend(self.replace_rows(&[(id, record)])?);
            self.changed(&self.transaction(body, "0")).await
        };
        let (is_written, doubt) = match written {
            Ok(written) => written,
            Err(error) => return Err(at_fault(&[self], error).await),
        };
        if is_written {
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
        let scope = &match scope {
            Scope::Keys { tenant, range, most } => match keys.in_values(range) {
                Some(range) => Scope::Keys { tenant: tenant.clone(), range, most: *most },
                None => return Ok(Page::default()),
            },
            other => other.clone(),
        };
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

    fn check(&self, id: &Id, record: &Record) -> Result<(), StoreError> {
        self.check_id(id)?;
        self.layout.table.cells(id, record).map(drop)
    }

    /// By the cluster if the server is in one, else by the server; and by database and table.
    async fn identity(&self) -> Result<Option<Identity>, StoreError> {
        let mut identity = identity::identity(&self.calls, &self.layout.table.name).await?;
        for child in self.layout.table.children_by_name() {
            identity = identity.with_child(identity::identity(&self.calls, &child.table).await?);
        }
        self.layout.keys.check_order(&id_columns::keys(&self.calls, &self.layout.table).await?.0)?;
        let Some(ledger) = self.layout.table.ledger() else { return Ok(Some(identity)) };
        let id = self.found_id(&ledger).await?;
        Ok(Some(identity.with_ledger(&ledger, &id.to_string())))
    }

    async fn unmapped(&self) -> Result<Vec<String>, StoreError> {
        let table = &self.layout.table;
        let mut unmapped = table.unmapped(id_columns::shown(&self.calls, &table.name).await?);
        for child in table.children() {
            unmapped.extend(child.unmapped(id_columns::shown(&self.calls, &child.table).await?));
        }
        Ok(unmapped)
    }

    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        let mut told = warnings::warnings(&self.calls, &self.layout.table).await?;
        told.extend(incomplete(&self.triggers(), &self.created_triggers().await?));
        told.extend(self.replicas().await.unwrap_or_default().iter().filter_map(Listed::warning));
        Ok(told)
    }

    async fn missing_privileges(&self) -> Result<Vec<String>, StoreError> {
        warnings::missing_privileges(&self.calls, &self.layout.table).await
    }

    fn triggers(&self) -> Vec<Trigger> {
        triggers(Dialect::MySql, &self.layout.table, &self.layout.keys, |name| format!("`{name}`"))
    }

    async fn created_triggers(&self) -> Result<Vec<CreatedTrigger>, StoreError> {
        warnings::created(&self.calls, &self.layout.table, &self.triggers()).await
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
