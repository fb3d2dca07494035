//! One commit: a transaction that claims the next revision, writes document and rows, and appends the event.

use sqlx::PgConnection;

use super::transaction::{Size, Unwritten};
use crate::{
    domain::{Event, Hash},
    store::{
        Commit, Error,
        sql::{
            entry::{Encoded, encoded},
            row::int,
        },
    },
};

pub(super) async fn write(
    tx: &mut PgConnection,
    commit: &Commit,
    json: &Encoded,
    rows: &Rows<'_>,
) -> Result<(), Unwritten> {
    let event = &commit.event;
    let Some(before) = event.revision.checked_sub(1) else { return Err(Unwritten::Conflict) };
    let (key, revision) = (event.key.as_str(), int(event.revision));

    let claimed: Option<String> =
        sqlx::query_scalar("UPDATE counter SET revision = $1 WHERE revision = $2 RETURNING history_id")
            .bind(revision)
            .bind(int(before))
            .fetch_optional(&mut *tx)
            .await?;
    let Some(history_id) = claimed else { return Err(Unwritten::Conflict) };

    let written = match (commit.expected, &json.document) {
        (None, Some(document)) => sqlx::query(
            "INSERT INTO migrations (key, revision, document) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(key)
        .bind(revision)
        .bind(document),
        (Some(expected), Some(document)) => {
            sqlx::query("UPDATE migrations SET revision = $2, document = $3 WHERE key = $1 AND revision = $4")
                .bind(key)
                .bind(revision)
                .bind(document)
                .bind(int(expected))
        }
        (Some(expected), None) => sqlx::query("DELETE FROM migrations WHERE key = $1 AND revision = $2")
            .bind(key)
            .bind(int(expected)),
        (None, None) => return Err(Unwritten::Conflict),
    };
    if written.execute(&mut *tx).await?.rows_affected() != 1 {
        return Err(Unwritten::Conflict);
    }

    if json.document.is_none() {
        sqlx::query("DELETE FROM tenants WHERE migration = $1").bind(key).execute(&mut *tx).await?;
        sqlx::query("DELETE FROM windows WHERE migration = $1").bind(key).execute(&mut *tx).await?;
    } else {
        rows.write(tx, key).await?;
    }

    let last: Option<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM events WHERE revision = $1")
        .bind(int(before))
        .fetch_optional(&mut *tx)
        .await?;
    // The newest event is never dropped: there is none only in an empty store.
    let last = last.map_or(Hash::NONE, |hash| Hash::stored(&hash));
    sqlx::query(
        "INSERT INTO events (revision, key, at_ms, actor, reason, request_id, change, summary, document, rows, hash,
         history_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
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
    Ok(())
}

/// Rows as they are written. Made before the transaction, because the server ends one whose client is silent.
pub(super) struct Rows<'a> {
    removed: Vec<&'a str>,
    put: Vec<&'a str>,
    records: Vec<String>,
}

impl<'a> Rows<'a> {
    pub(super) fn of(event: &'a Event) -> Result<Self, Error> {
        let mut rows = Self { removed: Vec::new(), put: Vec::new(), records: Vec::new() };
        for (tenant, row) in &event.rows {
            match row {
                None => rows.removed.push(tenant.as_str()),
                Some(row) => {
                    rows.put.push(tenant.as_str());
                    rows.records.push(encoded(row)?);
                }
            }
        }
        Ok(rows)
    }

    /// How much is sent with them.
    pub(super) fn size(&self, json: &Encoded) -> Size {
        let document = json.document.as_ref().map_or(0, String::len);
        let records: usize = self.records.iter().map(String::len).sum();
        Size { rows: self.removed.len() + self.put.len(), bytes: json.rows.len() + document + 2 * records }
    }

    /// Two statements for any number of rows.
    async fn write(&self, tx: &mut PgConnection, key: &str) -> Result<(), Unwritten> {
        if !self.removed.is_empty() {
            sqlx::query("DELETE FROM tenants WHERE migration = $1 AND tenant = ANY($2)")
                .bind(key)
                .bind(&self.removed)
                .execute(&mut *tx)
                .await?;
        }
        if !self.put.is_empty() {
            sqlx::query(
                "INSERT INTO tenants (migration, tenant, row) SELECT $1, tenant, record FROM unnest($2::text[], $3::text[])
                 AS put (tenant, record) ON CONFLICT (migration, tenant) DO UPDATE SET row = excluded.row",
            )
            .bind(key)
            .bind(&self.put)
            .bind(&self.records)
            .execute(&mut *tx)
            .await?;
        }
        Ok(())
    }
}
