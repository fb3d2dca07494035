//! Windows: read, added to and written back, many in one statement.

use async_trait::async_trait;
use sqlx::{Connection, SqliteConnection};

use super::{SqliteStore, Unwritten};
use crate::{
    domain::{Counts, Scale, WindowId},
    store::{
        Counted, Error, WindowQuery, WindowStore,
        entry::encoded,
        sql::{
            row::{int, json, number},
            windows::{BATCH, merged, stored_id},
        },
        windows::{name, with_revisions},
    },
};

#[async_trait]
impl WindowStore for SqliteStore {
    async fn count(&self, counted: &Counted) -> Result<(), Error> {
        let heard = counted.heard.iter().map(|record| (&record.instance_id, record));
        let (heard, forgotten) = (encoded(&heard.collect::<Vec<_>>())?, encoded(&counted.forgotten)?);
        let mut writer = self.writer.acquire().await.map_err(|error| self.failed(&error))?;
        let mut damage = None;
        let result = async {
            let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
            for windows in counted.windows.chunks(BATCH) {
                match add(&mut tx, windows).await? {
                    Ok(()) => {}
                    Err(error) => {
                        damage = Some(error);
                        return Ok(tx.rollback().await?);
                    }
                }
            }
            sqlx::query("DELETE FROM heard WHERE id IN (SELECT value FROM json_each(?1))")
                .bind(forgotten)
                .execute(&mut *tx)
                .await?;
            sqlx::query(
                "INSERT INTO heard SELECT value ->> 0, value -> 1 FROM json_each(?1) WHERE true
                 ON CONFLICT DO UPDATE SET record = excluded.record",
            )
            .bind(heard)
            .execute(&mut *tx)
            .await?;
            expire(&mut tx, counted).await?;
            tx.commit().await?;
            Ok(())
        };
        let result = result.await;
        self.finish(writer, result).await?;
        damage.map_or(Ok(()), Err)
    }

    async fn windows(&self, query: &WindowQuery) -> Result<Vec<(u64, Counts)>, Error> {
        let rows = sqlx::query(
            "SELECT at, counts FROM windows
             WHERE migration = ?1 AND scale = ?2 AND at >= ?3 AND at < ?4 ORDER BY at",
        )
        .bind(query.key.as_str())
        .bind(name(query.scale))
        .bind(int(query.from))
        .bind(int(query.before))
        .fetch_all(&self.readers)
        .await
        .map_err(|error| self.failed(&error))?;
        let window =
            |row| Ok((number(row, "at")?, json(row, "counts", || format!("a window of {}", query.key))?));
        rows.iter().map(window).collect()
    }
}

/// Adds to the stored counts; the inner error is about stored data that can't be read.
async fn add(
    connection: &mut SqliteConnection,
    windows: &[(WindowId, Counts)],
) -> Result<Result<(), Error>, sqlx::Error> {
    let ids: Vec<_> = windows.iter().map(|(id, _)| stored_id(id)).collect();
    let ids = serde_json::to_string(&ids).unwrap_or_default();
    let kept = sqlx::query(
        "SELECT migration, scale, at, counts FROM windows WHERE (migration, scale, at) IN
         (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1))",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let kept = match merged(&kept, windows) {
        Ok(kept) => kept,
        Err(error) => return Ok(Err(error)),
    };
    let rows: Vec<_> = kept.iter().map(|((key, scale, at), counts)| (key, scale, at, counts)).collect();
    let rows = match encoded(&rows) {
        Ok(rows) => rows,
        Err(error) => return Ok(Err(error)),
    };
    // A migration that was deleted meanwhile gets none.
    sqlx::query(
        "INSERT INTO windows SELECT value ->> 0, value ->> 1, value ->> 2, value -> 3 FROM json_each(?1)
         WHERE value ->> 0 IN (SELECT key FROM migrations)
         ON CONFLICT DO UPDATE SET counts = excluded.counts",
    )
    .bind(rows)
    .execute(connection)
    .await?;
    Ok(Ok(()))
}

/// Removes windows that have expired, and those of too many revisions.
async fn expire(connection: &mut SqliteConnection, counted: &Counted) -> Result<(), Unwritten> {
    for scale in Scale::OF_TIME {
        sqlx::query("DELETE FROM windows WHERE scale = ?1 AND at < ?2")
            .bind(name(scale))
            .bind(int(scale.expired_before(counted.now_s)))
            .execute(&mut *connection)
            .await?;
    }
    for key in with_revisions(counted) {
        sqlx::query(
            "DELETE FROM windows WHERE migration = ?1 AND scale = 'revision' AND at <
             (SELECT at FROM windows WHERE migration = ?1 AND scale = 'revision'
              ORDER BY at DESC LIMIT 1 OFFSET ?2)",
        )
        .bind(key)
        .bind(Scale::REVISIONS_MAX as i64 - 1)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
