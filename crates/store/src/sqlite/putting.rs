//! Guarded writes.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{
    Copied, Id, Put, PutAll, Record, SqliteStore, StoreError, Version, column_of,
    error::{read_error, write_error},
    ledger::When,
    permanent, swallowed,
};
use crate::{put_all::in_order, sql::ROUNDS};
use cutover_core::outcome::ErrorClass;

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

    /// Writes a record in a transaction, if it is newer. After an error the transaction has to be rolled back.
    pub(super) async fn put_on(
        &self,
        connection: &mut SqliteConnection,
        id: &Id,
        record: &Record,
    ) -> Result<Copied, StoreError> {
        match self.put_newer(connection, id, record).await {
            Err(error) => Err(self.at_fault(connection, error).await),
            put => put,
        }
    }

    /// The same if this version is there. It has to be committed only if it was applied.
    pub(super) async fn put_if_on(
        &self,
        connection: &mut SqliteConnection,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError> {
        match self.put_if(connection, id, record, expected).await {
            Err(error) => Err(self.at_fault(connection, error).await),
            put => put,
        }
    }

    /// A statement that SQLite can't compile fails for every record. Of one that it can, an index, a CHECK, a generated column
    /// or a trigger has failed, and the record is at fault.
    async fn at_fault(&self, connection: &mut SqliteConnection, error: StoreError) -> StoreError {
        let StoreError::Permanent { class: ErrorClass::Other, field, what } = &error else { return error };
        if field != "table" || self.layout.table.is_bare() {
            return error;
        }
        for sql in self.layout.writes() {
            let explained = AssertSqlSafe(format!("EXPLAIN {}", sql.as_str()));
            if sqlx::query(explained).fetch_optional(&mut *connection).await.is_err() {
                return error;
            }
        }
        let what = format!(
            "{what}: an index, a CHECK, a generated column or a trigger of the table fails for this record. Correct \
             that, or the record"
        );
        permanent(ErrorClass::Constraint, "record", what)
    }

    async fn put_if(
        &self,
        connection: &mut SqliteConnection,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError> {
        if let Some(ledger) = &self.layout.ledger {
            let failed = self.put_with(ledger, connection, id, record, When::Is(expected)).await?;
            return Ok(match failed {
                None => Put::Applied,
                Some(current) => Put::unless_this(record.version, current.unwrap_or_default()),
            });
        }
        let sql = if expected.is_some() { &self.layout.update } else { &self.layout.insert };
        for _ in 0..ROUNDS {
            let put = self.layout.write(sql, id, record)?;
            let put = if let Some(expected) = expected { put.bind(column_of(expected)?) } else { put };
            let done = put.execute(&mut *connection).await.map_err(write_error)?;
            if done.rows_affected() > 0 {
                self.replace_rows(connection, id, record).await?;
                return Ok(Put::Applied);
            }
            let current = self.version_on(connection, id).await?;
            if current != expected {
                return Ok(Put::unless_this(record.version, current.unwrap_or_default()));
            }
        }
        Err(swallowed())
    }

    async fn put_newer(
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
