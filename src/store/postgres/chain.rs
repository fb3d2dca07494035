//! Hashes of events, read as a chain.

use sqlx::AssertSqlSafe;

use super::{PostgresStore, transaction::READ};
use crate::store::{
    ChainPage, Error,
    sql::{
        chain::{self, CHAINED},
        entry::EVENT,
        row::int,
    },
};

impl PostgresStore {
    pub(super) async fn read_chain(&self, after: u64, limit: u32) -> Result<ChainPage, Error> {
        let (mut tx, bounds) = self.reading(&self.readers, READ).await?;
        let page = bounds.of(async {
            // No event is older than hashes here.
            let counter = sqlx::query(
                "SELECT revision, history_id, dropped_through, dropped_at_ms, dropped_hash,
                 0::bigint AS hashed_through, 0::bigint AS hashed_at_ms FROM counter",
            )
            .fetch_one(&mut *tx)
            .await?;
            let events = format!(
                "SELECT {EVENT}, {CHAINED} FROM events WHERE revision > $1 ORDER BY revision LIMIT $2"
            );
            let rows = sqlx::query(AssertSqlSafe(events))
                .bind(int(after))
                .bind(i64::from(limit))
                .fetch_all(&mut *tx)
                .await?;
            let before: Option<Vec<u8>> = sqlx::query_scalar(
                "SELECT hash FROM events WHERE revision <= $1 ORDER BY revision DESC LIMIT 1",
            )
            .bind(int(after))
            .fetch_optional(&mut *tx)
            .await?;
            Ok::<_, sqlx::Error>((counter, rows, before))
        });
        let page = page.await;
        let (counter, rows, before) = tx.end(page).await?;
        chain::page(&counter, &rows, before.as_deref())
    }
}
