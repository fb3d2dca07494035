//! The beginning of the history is dropped, a bounded part at a time.

use sqlx::Connection;

use super::SqliteStore;
use crate::store::{
    CursorRecord, Error,
    compaction::{Compacted, Dropped, Expired, Oldest},
    sql::{row::int, state::records},
};

impl SqliteStore {
    pub(super) async fn drop_expired(&self, expired: &Expired) -> Result<Compacted, Error> {
        // Read before the write lock is taken: no cursor goes back, and no older event comes.
        let cursors = sqlx::query("SELECT record FROM cursors").fetch_all(&self.readers).await;
        let cursors = cursors.map_err(|error| self.failed(&error))?;
        let cursors: Vec<CursorRecord> = records(&cursors, "an endpoint's cursor")?;
        let oldest: Vec<(i64, i64, i64)> = sqlx::query_as(
            "SELECT revision, at_ms, octet_length(rows) + coalesce(octet_length(document), 0) FROM events
             WHERE revision < (SELECT revision FROM counter) ORDER BY revision LIMIT ?1",
        )
        .bind(expired.limit)
        .fetch_all(&self.readers)
        .await
        .map_err(|error| self.failed(&error))?;
        let oldest = oldest.into_iter().map(|(revision, at_ms, bytes)| {
            let [revision, at_ms, bytes] = [revision, at_ms, bytes].map(i64::cast_unsigned);
            Oldest { revision, at_ms, bytes }
        });
        let compacted = expired.of(oldest, &cursors);
        if compacted.events == 0 {
            return Ok(compacted);
        }
        let mut writer = self.writer.acquire().await.map_err(|error| self.failed(&error))?;
        let result = async {
            let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
            // The first event that stays follows from the last one that does not.
            sqlx::query(
                "UPDATE counter SET dropped_through = ?1, dropped_at_ms = ?2,
                 dropped_hash = (SELECT hash FROM events WHERE revision = ?1) WHERE dropped_through < ?1",
            )
            .bind(int(compacted.through))
            .bind(int(expired.now_ms))
            .execute(&mut *tx)
            .await?;
            sqlx::query("DELETE FROM events WHERE revision <= ?1")
                .bind(int(compacted.through))
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(())
        };
        let result = result.await;
        self.finish(writer, result).await?;
        Ok(compacted)
    }

    pub(super) async fn what_was_dropped(&self) -> Result<Dropped, Error> {
        let (through, at_ms): (i64, i64) =
            sqlx::query_as("SELECT dropped_through, dropped_at_ms FROM counter")
                .fetch_one(&self.readers)
                .await
                .map_err(|error| self.failed(&error))?;
        Ok(Dropped { through: through.cast_unsigned(), at_ms: at_ms.cast_unsigned() })
    }
}
