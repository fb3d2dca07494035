//! One commit: a transaction that claims the next revision, writes document and rows, and appends the event.

use sqlx::{Connection, SqliteConnection};

use crate::{
    domain::Hash,
    store::{Commit, entry::Encoded, sql::row::int},
};

/// Why a write was not made.
pub(super) enum Unwritten {
    Conflict,
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for Unwritten {
    fn from(error: sqlx::Error) -> Self {
        // Another event has this revision or request id.
        let unique = error.as_database_error().is_some_and(|error| error.is_unique_violation());
        if unique { Self::Conflict } else { Self::Failed(error) }
    }
}

pub(super) async fn write(
    connection: &mut SqliteConnection,
    commit: &Commit,
    json: &Encoded,
) -> Result<(), Unwritten> {
    let event = &commit.event;
    let Some(before) = event.revision.checked_sub(1) else { return Err(Unwritten::Conflict) };
    let (key, revision) = (event.key.as_str(), int(event.revision));

    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let claimed: Option<String> =
        sqlx::query_scalar("UPDATE counter SET revision = ?1 WHERE revision = ?2 RETURNING history_id")
            .bind(revision)
            .bind(int(before))
            .fetch_optional(&mut *tx)
            .await?;
    let Some(history_id) = claimed else { return Err(Unwritten::Conflict) };

    let written = match (commit.expected, &json.document) {
        (None, Some(document)) => {
            sqlx::query("INSERT INTO migrations VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")
                .bind(key)
                .bind(revision)
                .bind(document)
        }
        (Some(expected), Some(document)) => {
            sqlx::query("UPDATE migrations SET revision = ?2, document = ?3 WHERE key = ?1 AND revision = ?4")
                .bind(key)
                .bind(revision)
                .bind(document)
                .bind(int(expected))
        }
        (Some(expected), None) => sqlx::query("DELETE FROM migrations WHERE key = ?1 AND revision = ?2")
            .bind(key)
            .bind(int(expected)),
        (None, None) => return Err(Unwritten::Conflict),
    };
    if written.execute(&mut *tx).await?.rows_affected() != 1 {
        return Err(Unwritten::Conflict);
    }

    if json.document.is_none() {
        sqlx::query("DELETE FROM tenants WHERE migration = ?1").bind(key).execute(&mut *tx).await?;
        sqlx::query("DELETE FROM windows WHERE migration = ?1").bind(key).execute(&mut *tx).await?;
    } else if !event.rows.is_empty() {
        // SQLite extracts the rows from the event's JSON itself: one statement for any number.
        if event.rows.iter().any(|(_, row)| row.is_none()) {
            sqlx::query(
                "DELETE FROM tenants WHERE migration = ?1 AND tenant IN
                 (SELECT value ->> 0 FROM json_each(?2) WHERE value ->> 1 IS NULL)",
            )
            .bind(key)
            .bind(&json.rows)
            .execute(&mut *tx)
            .await?;
        }
        sqlx::query(
            "INSERT INTO tenants SELECT ?1, value ->> 0, value -> 1 FROM json_each(?2)
             WHERE value ->> 1 IS NOT NULL ON CONFLICT DO UPDATE SET row = excluded.row",
        )
        .bind(key)
        .bind(&json.rows)
        .execute(&mut *tx)
        .await?;
    }

    let last: Option<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM events WHERE revision = ?1")
        .bind(int(before))
        .fetch_optional(&mut *tx)
        .await?;
    // The newest event is never dropped: there is none only in an empty store.
    let last = last.map_or(Hash::NONE, |hash| Hash::stored(&hash));
    sqlx::query("INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")
        .bind(revision)
        .bind(key)
        .bind(int(event.at_ms))
        .bind(&event.actor)
        .bind(&event.reason)
        .bind(&event.request_id)
        .bind(&event.change)
        .bind(&json.summary)
        .bind(&json.document)
        .bind(&json.rows)
        .bind(json.entry(event, &history_id).hash(&last).bytes())
        .bind(&history_id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}
