//! The beginning of the history is dropped, a bounded part at a time.

use super::{
    PostgresStore,
    transaction::{READ, Size},
};
use crate::store::{
    CursorRecord, Error,
    compaction::{Compacted, Dropped, Expired, Oldest},
    sql::{row::int, state::records},
};

impl PostgresStore {
    pub(super) async fn drop_expired(&self, expired: &Expired) -> Result<Compacted, Error> {
        // Read before the transaction: no cursor goes back, and no older event comes.
        let (mut tx, bounds) = self.reading(&self.readers, READ).await?;
        let read = async {
            let cursors = sqlx::query("SELECT record FROM cursors").fetch_all(&mut *tx).await?;
            let oldest: Vec<(i64, i64, i64)> = sqlx::query_as(
                "SELECT revision, at_ms, (octet_length(rows) + coalesce(octet_length(document), 0))::bigint
                 FROM events WHERE revision < (SELECT revision FROM counter) ORDER BY revision LIMIT $1",
            )
            .bind(i64::from(expired.limit))
            .fetch_all(&mut *tx)
            .await?;
            Ok::<_, sqlx::Error>((cursors, oldest))
        };
        let read = bounds.of(read).await;
        let (cursors, oldest) = tx.end(read).await?;
        let cursors: Vec<CursorRecord> = records(&cursors, "an endpoint's cursor")?;
        let oldest = oldest.into_iter().map(|(revision, at_ms, bytes)| {
            let [revision, at_ms, bytes] = [revision, at_ms, bytes].map(i64::cast_unsigned);
            Oldest { revision, at_ms, bytes }
        });
        let compacted = expired.of(oldest, &cursors);
        if compacted.events == 0 {
            return Ok(compacted);
        }
        let size = Size { rows: compacted.events as usize, ..Size::default() };
        let (mut tx, bounds) = self.writing(&self.records, size).await?;
        let dropped = async {
            // The first event that stays follows from the last one that does not.
            let last: Option<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM events WHERE revision = $1")
                .bind(int(compacted.through))
                .fetch_optional(&mut *tx)
                .await?;
            sqlx::query("DELETE FROM events WHERE revision <= $1")
                .bind(int(compacted.through))
                .execute(&mut *tx)
                .await?;
            // Last: commits wait for the counter.
            sqlx::query(
                "UPDATE counter SET dropped_through = $1, dropped_at_ms = $2, dropped_hash = $3
                 WHERE dropped_through < $1",
            )
            .bind(int(compacted.through))
            .bind(int(expired.now_ms))
            .bind(last)
            .execute(&mut *tx)
            .await
        };
        let dropped = bounds.of(dropped).await;
        tx.end(dropped).await?;
        Ok(compacted)
    }

    pub(super) async fn what_was_dropped(&self) -> Result<Dropped, Error> {
        let (mut tx, bounds) = self.reading(&self.readers, READ).await?;
        let dropped =
            sqlx::query_as("SELECT dropped_through, dropped_at_ms FROM counter").fetch_one(&mut *tx);
        let dropped = bounds.of(dropped).await;
        let (through, at_ms): (i64, i64) = tx.end(dropped).await?;
        Ok(Dropped { through: through.cast_unsigned(), at_ms: at_ms.cast_unsigned() })
    }
}
