//! Batches of guarded writes.

use async_trait::async_trait;
use sqlx::mysql::MySqlRow;

use super::{
    super::{
        Id, Record, Store, StoreError,
        sql::{Guarded, Over, Statement, There, Wrote, check_equal, permanent},
    },
    MySqlStore,
    children::Children,
    layout,
    layout::{Layout, NOT_WRITTEN},
    schema,
};
use cutover_core::outcome::ErrorClass;

#[async_trait]
impl Guarded for MySqlStore {
    async fn versions(&self, ids: &[&Id]) -> Result<Vec<Option<There>>, StoreError> {
        if self.layout.table.has_ledger() {
            return self.find_both(false, ids, |entry, row| Ok(There::of(entry, row.is_some()))).await;
        }
        let there = |row: &MySqlRow| self.layout.version(row).map(There::in_columns);
        self.find(&self.layout.place_and_version(), ids, there).await
    }

    async fn write(&self, records: &[(&Id, &Record)], over: Over) -> Result<Wrote, StoreError> {
        self.check_ids(records.iter().map(|(id, _)| *id)).await?;
        if !self.layout.children.is_empty() {
            return self.write_with_rows(records, over).await;
        }
        if self.layout.table.has_ledger() {
            return self.put_with(records, over).await;
        }
        let values = |text: &mut Vec<u8>, given: &(&Id, &Record)| self.layout.values(text, given.0, given.1);
        let mut wrote = Wrote { all: true, doubt: None };
        let is_one = records.len() == 1;
        for records in records.chunks(self.written_max) {
            for sql in self.statements(&self.layout.insert(), &self.layout.if_newer(), records, values)? {
                let (done, doubt) = self.calls.write(&Statement::text(sql)).await?;
                // Of several rows, an AUTO_INCREMENT may hide one that was not written.
                let id = done.last_insert_id();
                wrote.all &= id == 0 || is_one && id != NOT_WRITTEN;
                wrote.doubt = wrote.doubt.or(doubt);
            }
        }
        if !wrote.all && wrote.doubt.is_none() {
            let ids: Vec<&Id> = records.iter().map(|(id, _)| *id).collect();
            check_equal(self, &self.layout.keys, &ids).await?;
        }
        Ok(wrote)
    }

    async fn found_as(&self, id: &Id) -> Result<Option<Id>, StoreError> {
        let rows = self.rows(self.layout.equal(id)).await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (tenant, key) = match rows.first().map(layout::place).transpose()? {
            Some((tenant, key)) => (text(tenant), text(key)),
            None => return Ok(None),
        };
        Ok(Some(Id { tenant, key }))
    }

    async fn check_ledger(&self) -> Result<(), StoreError> {
        let (Some(id), Some(ledger)) = (self.layout.ledger_id, self.layout.table.ledger()) else {
            return Ok(());
        };
        id.check(&ledger, self.ledger_id().await?)
    }

    async fn check_tables(&self) -> Result<(), StoreError> {
        let Layout { table, keys, children, name, .. } = &self.layout;
        let check = async {
            schema::check(&self.calls, table, keys).await?;
            for Children { check, asked, .. } in children {
                self.rows(check.clone()).await?;
                self.rows(format!("SELECT {asked} FROM {name} WHERE FALSE")).await?;
            }
            match self.missing_privileges().await?.pop() {
                Some(missing) => Err(permanent(ErrorClass::Other, "user", missing)),
                None => Ok(()),
            }
        };
        self.calls.recent_check.or(check).await
    }
}
