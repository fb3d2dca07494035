//! Batches of guarded writes.

use async_trait::async_trait;

use super::{
    super::{
        Id, Record, Store, StoreError,
        sql::{Guarded, Over, There, Wrote, check_equal, in_order, permanent},
    },
    Given, PostgresStore, STATEMENT_BYTES_MAX, schema,
};
use cutover_core::outcome::ErrorClass;

#[async_trait]
impl Guarded for PostgresStore {
    async fn versions(&self, ids: &[&Id]) -> Result<Vec<Option<There>>, StoreError> {
        let taken = ids.iter().copied().filter(|id| self.layout.keys.takes(id));
        let rows = self.rows(&self.layout.versions, Given::default().ids(taken)?.0).await?;
        let found: Result<Vec<_>, _> = rows.iter().map(|row| self.layout.there(row)).collect();
        Ok(in_order(ids, found?).into_iter().map(Option::flatten).collect())
    }

    async fn write(&self, records: &[(&Id, &Record)], over: Over) -> Result<Wrote, StoreError> {
        self.check_ids(records.iter().map(|(id, _)| *id)).await?;
        let mut wrote = Wrote { all: true, doubt: None };
        let mut rest = records;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fit = rest.iter().take_while(|(id, record)| {
                bytes += id.bytes() + record.bytes();
                bytes <= STATEMENT_BYTES_MAX
            });
            let (part, others) = rest.split_at(fit.count().max(1));
            let (written, doubt) = match &self.layout.ledger {
                Some(ledger) => self.put_with(ledger, part, over).await?,
                None => self.written(&self.layout.put_many, self.layout.rows(part)?).await?,
            };
            wrote.all &= written == part.len() as u64;
            wrote.doubt = wrote.doubt.or(doubt);
            rest = others;
        }
        if !wrote.all && wrote.doubt.is_none() {
            let ids: Vec<&Id> = records.iter().map(|(id, _)| *id).collect();
            check_equal(self, &self.layout.keys, &ids).await?;
        }
        Ok(wrote)
    }

    async fn found_as(&self, id: &Id) -> Result<Option<Id>, StoreError> {
        let rows = self.rows(&self.layout.equal, Given::default().id(id)?.0).await?;
        rows.first().map(|row| self.layout.id(row)).transpose()
    }

    async fn check_ledger(&self) -> Result<(), StoreError> {
        let (Some(ledger), Some(name)) = (&self.layout.ledger, self.layout.table.ledger()) else {
            return Ok(());
        };
        ledger.check(&name, self.ledger_id(ledger).await?)
    }

    async fn check_tables(&self) -> Result<(), StoreError> {
        let check = async {
            schema::check(&self.calls, &self.schema, &self.layout.table, &self.layout.keys).await?;
            match self.missing_privileges().await?.pop() {
                Some(missing) => Err(permanent(ErrorClass::Other, "user", missing)),
                None => Ok(()),
            }
        };
        self.calls.recent_check.or(check).await
    }
}
