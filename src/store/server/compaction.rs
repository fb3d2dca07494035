//! The beginning of the history is dropped, a bounded part at a time.

use super::{
    ServerStore,
    dialect::{Dialect, Size},
    statement::Statement,
    transaction::READ,
};
use crate::store::{
    CursorRecord, Error,
    compaction::{Compacted, Dropped, Expired, Oldest},
    sql::{
        row::{Columns as _, int, number},
        state::{CURSORS, records},
    },
};

impl<D: Dialect> ServerStore<D> {
    pub(super) async fn drop_expired(&self, expired: &Expired) -> Result<Compacted, Error> {
        // Read before the transaction: no cursor goes back, and no older event comes.
        let (mut tx, bounds) = self.reading(&self.readers, READ).await?;
        let oldest = format!(
            r#"SELECT revision, at_ms, CAST(octet_length("rows") + coalesce(octet_length(document), 0) AS {}) AS bytes
               FROM events WHERE revision < (SELECT revision FROM counter) ORDER BY revision LIMIT ?"#,
            D::INTEGER
        );
        let read = async {
            let cursors = tx.rows(Statement::new(CURSORS)).await?;
            Ok::<_, sqlx::Error>((
                cursors,
                tx.rows(Statement::new(oldest).int(i64::from(expired.limit))).await?,
            ))
        };
        let read = bounds.of(read).await;
        let (cursors, oldest) = tx.end(read).await?;
        let cursors: Vec<CursorRecord> = records(&cursors, "an endpoint's cursor")?;
        let oldest = oldest.iter().map(|row| {
            let (revision, at_ms) = (number(row, "revision")?, number(row, "at_ms")?);
            Ok(Oldest { revision, at_ms, bytes: number(row, "bytes")? })
        });
        let compacted = expired.of(oldest.collect::<Result<Vec<_>, Error>>()?.into_iter(), &cursors);
        if compacted.events == 0 {
            return Ok(compacted);
        }
        let size = Size { rows: compacted.events as usize, ..Size::default() };
        let (mut tx, bounds) = self.writing(&self.records, size).await?;
        let through = int(compacted.through);
        let dropped = async {
            // The first event that stays follows from the last one that does not.
            let last =
                tx.rows(Statement::new("SELECT hash FROM events WHERE revision = ?").int(through)).await?;
            let last = last.first().map(|row| row.get_bytes("hash")).transpose()?;
            tx.run(Statement::new("DELETE FROM events WHERE revision <= ?").int(through)).await?;
            // Last: commits wait for the counter.
            let counter = Statement::new(
                "UPDATE counter SET dropped_through = ?, dropped_at_ms = ?, dropped_hash = ? WHERE dropped_through < ?",
            );
            tx.run(counter.int(through).int(int(expired.now_ms)).bytes(last).int(through)).await
        };
        let dropped = bounds.of(dropped).await;
        tx.end(dropped).await?;
        Ok(compacted)
    }

    pub(super) async fn what_was_dropped(&self) -> Result<Dropped, Error> {
        let (mut tx, bounds) = self.reading(&self.readers, READ).await?;
        let dropped = tx.row(Statement::new("SELECT dropped_through, dropped_at_ms FROM counter"));
        let dropped = bounds.of(dropped).await;
        let row = tx.end(dropped).await?;
        Ok(Dropped { through: number(&row, "dropped_through")?, at_ms: number(&row, "dropped_at_ms")? })
    }
}
