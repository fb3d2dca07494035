//! What a table adds to a transaction of several records.

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Postgres, SqlSafeStr, SqlStr};

use super::{
    super::{
        Id, Record, StoreError,
        sql::{Calls, Keys, Over, Statement, Together},
    },
    PostgresStore,
    ledger::tombstones,
    transaction::{counted, undo},
};

/// A statement that also fails if it did not write every record that was given, by how many it wrote.
fn or_undone(sql: &str, written: &str) -> SqlStr {
    let text = format!("{sql}, CASE WHEN {written} <> cardinality($1::text[]) THEN {} END", undo());
    AssertSqlSafe(text).into_sql_str()
}

#[async_trait]
impl Together for PostgresStore {
    type Db = Postgres;

    fn calls(&self) -> &Calls<Postgres> {
        &self.calls
    }

    fn keys(&self) -> &Keys {
        &self.layout.keys
    }

    fn begin(&self) -> Statement<Postgres> {
        Statement::begins("BEGIN".to_owned())
    }

    fn deletes(&self) -> bool {
        self.layout.ledger.is_some()
    }

    async fn all(
        &self,
        records: &[(&Id, &Record)],
        over: Over,
    ) -> Result<Vec<Statement<Postgres>>, StoreError> {
        self.check_ids(records.iter().map(|(id, _)| *id)).await?;
        let Some(ledger) = &self.layout.ledger else {
            let sql = or_undone(&counted(self.layout.put_many.as_str()), "(SELECT count(*) FROM w)");
            let (rows, children) = self.layout.rows(records)?;
            return Ok(std::iter::once(Statement::prepared(&sql, rows.0)).chain(children).collect());
        };
        let (put, entries, remove) = ledger.writes(over);
        // For its checks, also of tombstones.
        let (rows, children) = self.layout.rows(records)?;
        if !records.iter().any(|(_, record)| record.is_tombstone()) {
            let put = or_undone(put.as_str(), "(SELECT count(*) FROM r)");
            return Ok(std::iter::once(Statement::prepared(&put, rows.0)).chain(children).collect());
        }
        let given = tombstones(records)?.0;
        let remove = or_undone(remove.as_str(), "(SELECT count(*) FROM ours)");
        let mut statements = vec![Statement::prepared(entries, given.clone())];
        statements.extend(self.layout.clear_deleted(records)?);
        statements.push(Statement::prepared(&remove, given));
        Ok(statements)
    }
}
