//! Hashes of events, read as a chain.

use super::{ServerStore, dialect::Dialect, statement::Statement, transaction::READ};
use crate::store::{
    ChainPage, Error,
    sql::{
        chain::{self, CHAINED},
        row::{Columns as _, EVENT, int},
    },
};

impl<D: Dialect> ServerStore<D> {
    pub(super) async fn read_chain(&self, after: u64, limit: u32) -> Result<ChainPage, Error> {
        let none = format!("CAST(0 AS {})", D::INTEGER);
        // No event is older than hashes here.
        let counter = format!(
            "SELECT revision, history_id, dropped_through, dropped_at_ms, dropped_hash, {none} AS hashed_through,
             {none} AS hashed_at_ms FROM counter"
        );
        let events =
            format!("SELECT {EVENT}, {CHAINED} FROM events WHERE revision > ? ORDER BY revision LIMIT ?");
        let before = "SELECT hash FROM events WHERE revision <= ? ORDER BY revision DESC LIMIT 1";
        let (mut tx, bounds) = self.reading(&self.readers, READ).await?;
        let page = bounds.of(async {
            let counter = tx.row(Statement::new(counter)).await?;
            let rows = tx.rows(Statement::new(events).int(int(after)).int(i64::from(limit))).await?;
            let before = tx.rows(Statement::new(before).int(int(after))).await?;
            Ok::<_, sqlx::Error>((counter, rows, before))
        });
        let page = page.await;
        let (counter, rows, before) = tx.end(page).await?;
        let before = before.first().map(|row| row.get_bytes("hash")).transpose();
        let before = before.map_err(|error| self.unwritten(error.into()))?;
        chain::page(&counter, &rows, before)
    }
}
