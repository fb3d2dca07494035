//! Guarded writes.

use sqlx::SqliteConnection;

use super::{
    Copied, Id, PutAll, Record, SqliteStore, StoreError, Version,
    error::{read_error, write_error},
    ledger::When,
    swallowed,
};
use crate::{put_all::in_order, sql::ROUNDS};

impl SqliteStore {
    /// [`super::Store::put_all_if_newer`] of records of several tables of one file, in the order of [`in_order`].
    pub(crate) async fn put_all(parts: &[(&Self, Vec<(Id, Record)>)]) -> Result<PutAll, StoreError> {
        let Some((first, _)) = parts.first() else { return Ok(PutAll::Applied) };
        let mut transaction = first.writer.begin_with("BEGIN IMMEDIATE").await.map_err(write_error)?;
        let mut refused = Vec::new();
        for (store, records) in in_order(parts, |_| true) {
            for (place, id, record) in records {
                let put = store.put_on(&mut transaction, id, record).await;
                match put.map_err(|error| error.of_record(&id.tenant, &id.key))? {
                    Copied::Written => {}
                    Copied::Present => refused.push((place, record.version)),
                    Copied::Stale(current) => refused.push((place, current)),
                }
            }
        }
        refused.sort_unstable();
        match refused.is_empty() {
            true => transaction.commit().await.map_err(write_error)?,
            false => transaction.rollback().await.map_err(read_error)?,
        }
        Ok(PutAll::unless(refused))
    }

    pub(super) async fn put_on(
        &self,
        connection: &mut SqliteConnection,
        id: &Id,
        record: &Record,
    ) -> Result<Copied, StoreError> {
        if let Some(ledger) = &self.layout.ledger {
            return Ok(match self.put_with(ledger, connection, id, record, When::Newer).await? {
                None => Copied::Written,
                Some(current) => Copied::unless_newer(record.version, current.unwrap_or_default()),
            });
        }
        // What other processes write between the two statements can make the write due after all.
        for _ in 0..ROUNDS {
            // One statement, run to its end: with RETURNING the commit would come after the row, and its
            // failure would go unnoticed.
            let put = self.layout.write(&self.layout.put, id, record)?;
            let done = put.execute(&mut *connection).await.map_err(write_error)?;
            if done.rows_affected() > 0 {
                self.replace_rows(connection, id, record).await?;
                return Ok(Copied::Written);
            }
            match self.version_on(connection, id).await? {
                Some(current) if current >= record.version => {
                    return Ok(Copied::unless_newer(record.version, current));
                }
                _ => {}
            }
        }
        Err(swallowed())
    }

    /// Asked after a condition failed, so whatever goes wrong here, nothing was written.
    pub(super) async fn version_on(
        &self,
        connection: &mut SqliteConnection,
        id: &Id,
    ) -> Result<Option<Version>, StoreError> {
        let ask = sqlx::query(self.layout.version.clone()).bind(&id.tenant).bind(&id.key);
        let row = ask.fetch_optional(connection).await.map_err(read_error)?;
        row.map(|row| self.layout.version_in(&row)).transpose()
    }
}
