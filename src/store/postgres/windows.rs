//! Windows: read, added to and written back, many in one statement.

use async_trait::async_trait;
use sqlx::PgConnection;
use tokio::sync::SemaphorePermit;

use super::{
    PostgresStore, put_records,
    transaction::{READ, Size, Unwritten},
};
use crate::{
    domain::{Counts, Scale, WindowId},
    store::{
        Counted, Error, WindowQuery, WindowStore,
        sql::{
            entry::encoded,
            row::{int, json, number},
            windows::{BATCH, merged, name, stored_id, with_revisions},
        },
    },
};

#[async_trait]
impl WindowStore for PostgresStore {
    async fn count(&self, counted: &Counted) -> Result<(), Error> {
        let heard = counted.heard.iter().map(|record| Ok((record.instance_id.clone(), encoded(record)?)));
        let heard = heard.collect::<Result<Vec<_>, Error>>()?;
        let (mut tx, bounds) = self.writing(&self.windows, size(counted)).await?;
        let written = async {
            for windows in counted.windows.chunks(BATCH) {
                add(&mut tx, windows).await?;
            }
            sqlx::query("DELETE FROM heard WHERE id = ANY($1)")
                .bind(&counted.forgotten)
                .execute(&mut *tx)
                .await?;
            put_records(&mut tx, "heard", &heard).await?;
            expire(&mut tx, counted).await
        };
        let written = bounds.of(written).await;
        tx.end(written).await
    }

    async fn windows(&self, query: &WindowQuery) -> Result<Vec<(u64, Counts)>, Error> {
        let (mut tx, bounds) = self.reading(&self.readers, READ).await?;
        let rows = sqlx::query(
            "SELECT at, counts FROM windows
             WHERE migration = $1 AND scale = $2 AND at >= $3 AND at < $4 ORDER BY at",
        )
        .bind(query.key.as_str())
        .bind(name(query.scale))
        .bind(int(query.from))
        .bind(int(query.before))
        .fetch_all(&mut *tx);
        let rows = bounds.of(rows).await;
        let window =
            |row| Ok((number(row, "at")?, json(row, "counts", || format!("a window of {}", query.key))?));
        tx.end(rows).await?.iter().map(window).collect()
    }
}

impl PostgresStore {
    /// Waits for windows being written, also for what was given up here and still runs at the server. None is written
    /// before the permit is dropped.
    pub(super) async fn windows_permit(&self) -> Result<SemaphorePermit<'_>, Error> {
        let (tx, bounds) = self.writing(&self.windows, Size::default()).await?;
        tx.end(Ok(())).await?;
        let permit = bounds.of(self.windows.connection.permit()).await;
        permit.map_err(|why| self.unwritten(why))
    }
}

/// What is sent at most for a window, about.
const WINDOW_BYTES: usize = 10 << 10;

fn size(counted: &Counted) -> Size {
    // Each is read, merged and written, which takes as long as many rows.
    Size {
        rows: 10 * counted.windows.len() + counted.heard.len(),
        bytes: WINDOW_BYTES * counted.windows.len().min(BATCH),
    }
}

/// Adds to the stored counts. One transaction at a time does, because it writes back what it has read.
async fn add(tx: &mut PgConnection, windows: &[(WindowId, Counts)]) -> Result<(), Unwritten> {
    let (mut keys, mut scales, mut at) = (Vec::new(), Vec::new(), Vec::new());
    for (id, _) in windows {
        let (key, scale, begins) = stored_id(id);
        keys.push(key);
        scales.push(scale);
        at.push(begins);
    }
    let stored = sqlx::query(
        "SELECT migration, scale, at, counts FROM windows WHERE (migration, scale, at) IN
         (SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]))",
    )
    .bind(keys)
    .bind(scales)
    .bind(at)
    .fetch_all(&mut *tx)
    .await?;
    let merged = merged(&stored, windows).map_err(Unwritten::Damaged)?;
    let (mut keys, mut scales, mut at, mut counts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((key, scale, begins), count) in merged {
        counts.push(encoded(&count).map_err(Unwritten::Damaged)?);
        keys.push(key);
        scales.push(scale);
        at.push(begins);
    }
    // A migration that was deleted meanwhile gets none.
    sqlx::query(
        "INSERT INTO windows (migration, scale, at, counts) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[])
         AS put (migration, scale, at, counts) WHERE migration IN (SELECT key FROM migrations)
         ON CONFLICT (migration, scale, at) DO UPDATE SET counts = excluded.counts",
    )
    .bind(keys)
    .bind(scales)
    .bind(at)
    .bind(counts)
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes windows that have expired, and those of too many revisions.
async fn expire(tx: &mut PgConnection, counted: &Counted) -> Result<(), Unwritten> {
    for scale in Scale::OF_TIME {
        sqlx::query("DELETE FROM windows WHERE scale = $1 AND at < $2")
            .bind(name(scale))
            .bind(int(scale.expired_before(counted.now_s)))
            .execute(&mut *tx)
            .await?;
    }
    for key in with_revisions(counted) {
        sqlx::query(
            "DELETE FROM windows WHERE migration = $1 AND scale = 'revision' AND at <
             (SELECT at FROM windows WHERE migration = $1 AND scale = 'revision'
              ORDER BY at DESC LIMIT 1 OFFSET $2)",
        )
        .bind(key)
        .bind(Scale::REVISIONS_MAX as i64 - 1)
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}
