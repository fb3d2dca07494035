//! Hashes of events: read as a chain, and given to events that are older than hashes.

use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection, sqlite::SqliteRow};

use super::SqliteStore;
use crate::{
    domain::{Hash, HistoryEntry},
    store::{
        ChainPage, Error,
        sql::{
            chain::{self, CHAINED},
            row::{EVENT, int},
        },
    },
};

/// Events that get their hashes at a time.
const PART: u32 = 200;

impl SqliteStore {
    pub(super) async fn read_chain(&self, after: u64, limit: u32) -> Result<ChainPage, Error> {
        let page = async {
            let mut reader = self.readers.acquire().await?;
            let mut tx = reader.begin().await?;
            let counter = sqlx::query(
                "SELECT revision, history_id, dropped_through, dropped_at_ms, dropped_hash,
                 coalesce(hashed_through, 0) AS hashed_through, coalesce(hashed_at_ms, 0) AS hashed_at_ms
                 FROM counter",
            )
            .fetch_one(&mut *tx)
            .await?;
            let events = format!(
                "SELECT {EVENT}, {CHAINED} FROM events WHERE revision > ?1 ORDER BY revision LIMIT ?2"
            );
            let rows =
                sqlx::query(AssertSqlSafe(events)).bind(int(after)).bind(limit).fetch_all(&mut *tx).await?;
            let before: Option<Vec<u8>> = sqlx::query_scalar(
                "SELECT hash FROM events WHERE revision <= ?1 ORDER BY revision DESC LIMIT 1",
            )
            .bind(int(after))
            .fetch_optional(&mut *tx)
            .await?;
            sqlx::Result::Ok((counter, rows, before))
        };
        let (counter, rows, before) = page.await.map_err(|error| self.failed(&error))?;
        chain::page(&counter, &rows, before.as_deref())
    }
}

/// Gives events from before hashes theirs. Does nothing if that was done.
pub(super) async fn hash_older(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let (hashed, history_id): (Option<i64>, String) =
        sqlx::query_as("SELECT hashed_through, history_id FROM counter").fetch_one(&mut *connection).await?;
    if hashed.is_some() {
        return Ok(());
    }
    let (mut last, mut before) = (0_i64, Hash::NONE);
    loop {
        let rows = sqlx::query("SELECT * FROM events WHERE revision > ?1 ORDER BY revision LIMIT ?2")
            .bind(last)
            .bind(PART)
            .fetch_all(&mut *connection)
            .await?;
        for row in &rows {
            (last, before) = (row.try_get("revision")?, hash_of(row, &history_id, &before)?);
            sqlx::query("UPDATE events SET hash = ?2, history_id = ?3 WHERE revision = ?1")
                .bind(last)
                .bind(before.bytes())
                .bind(&history_id)
                .execute(&mut *connection)
                .await?;
        }
        if rows.len() < PART as usize {
            break;
        }
    }
    sqlx::query(
        "UPDATE counter SET hashed_through = ?1, hashed_at_ms = CAST(unixepoch('subsec') * 1000 AS INTEGER)",
    )
    .bind(last)
    .execute(connection)
    .await?;
    Ok(())
}

fn hash_of(row: &SqliteRow, history_id: &str, before: &Hash) -> Result<Hash, sqlx::Error> {
    let document: Option<&str> = row.try_get("document")?;
    let rows: &str = row.try_get("rows")?;
    let number = |column: &str| row.try_get(column).map(i64::cast_unsigned);
    let entry = HistoryEntry {
        history_id,
        revision: number("revision")?,
        key: row.try_get("key")?,
        at_ms: number("at_ms")?,
        actor: row.try_get("actor")?,
        reason: row.try_get("reason")?,
        request_id: row.try_get("request_id")?,
        change: row.try_get("change")?,
        summary: row.try_get("summary")?,
        document: document.map(|document| Hash::of(document.as_bytes())),
        rows: Hash::of(rows.as_bytes()),
    };
    Ok(entry.hash(before))
}
