//! The beginning of the history is dropped, a bounded part at a time.

use super::PostgresStore;
use crate::store::{
    CursorRecord, Error,
    compaction::{Compacted, Dropped, Expired, Oldest},
    sql::{row::int, state::records},
};

impl PostgresStore {
    pub(super) async fn drop_expired(&self, expired: &Expired) -> Result<Compacted, Error> {
        // Read before the transaction: no cursor goes back, and no older event comes.
        let mut tx = self.reading().await?;
        let cursors = sqlx::query("SELECT record FROM cursors").fetch_all(&mut *tx);
        let cursors: Vec<CursorRecord> = records(&self.read(cursors).await?, "an endpoint's cursor")?;
        let oldest = sqlx::query_as(
            "SELECT revision, at_ms, (octet_length(rows) + coalesce(octet_length(document), 0))::bigint
             FROM events WHERE revision < (SELECT revision FROM counter) ORDER BY revision LIMIT $1",
        )
        .bind(i64::from(expired.limit))
        .fetch_all(&mut *tx);
        let oldest: Vec<(i64, i64, i64)> = self.read(oldest).await?;
        drop(tx);
        let oldest = oldest.into_iter().map(|(revision, at_ms, bytes)| {
            let [revision, at_ms, bytes] = [revision, at_ms, bytes].map(i64::cast_unsigned);
            Oldest { revision, at_ms, bytes }
        });
        let compacted = expired.of(oldest, &cursors);
        if compacted.events == 0 {
            return Ok(compacted);
        }
        let mut writer = self.writer().await?;
        let result = async {
            let mut tx = self.begin(&mut writer).await?;
            self.within(compacted.events as usize, async {
                // The first event that stays follows from the last one that does not.
                sqlx::query(
                    "UPDATE counter SET dropped_through = $1, dropped_at_ms = $2,
                     dropped_hash = (SELECT hash FROM events WHERE revision = $1) WHERE dropped_through < $1",
                )
                .bind(int(compacted.through))
                .bind(int(expired.now_ms))
                .execute(&mut *tx)
                .await?;
                sqlx::query("DELETE FROM events WHERE revision <= $1")
                    .bind(int(compacted.through))
                    .execute(&mut *tx)
                    .await?;
                Ok(())
            })
            .await?;
            self.end(tx).await
        };
        let result = result.await;
        self.finish(writer, result)?;
        Ok(compacted)
    }

    pub(super) async fn what_was_dropped(&self) -> Result<Dropped, Error> {
        let mut tx = self.reading().await?;
        let dropped =
            sqlx::query_as("SELECT dropped_through, dropped_at_ms FROM counter").fetch_one(&mut *tx);
        let (through, at_ms): (i64, i64) = self.read(dropped).await?;
        Ok(Dropped { through: through.cast_unsigned(), at_ms: at_ms.cast_unsigned() })
    }
}
