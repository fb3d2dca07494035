//! One commit: a transaction that claims the next revision, writes document and rows, and appends the event.

use super::{
    connections::Connection,
    dialect::{Dialect, Size},
    statement::{Column, LIST, Statement},
    transaction::Unwritten,
};
use crate::{
    domain::{Event, Hash},
    store::{
        Commit, Error,
        entry::{Encoded, encoded},
        sql::row::{Columns as _, int},
    },
};

/// Rows in one statement, at most, so that its size does not grow with the change.
const ROWS_MAX: usize = 10_000;

pub(super) async fn write<D: Dialect>(
    tx: &mut Connection<D>,
    commit: &Commit,
    json: &Encoded,
    rows: &Rows<'_>,
) -> Result<(), Unwritten> {
    let event = &commit.event;
    let Some(before) = event.revision.checked_sub(1) else { return Err(Unwritten::Conflict) };
    let (key, revision, before) = (event.key.as_str(), int(event.revision), int(before));

    let claim = Statement::new("UPDATE counter SET revision = ? WHERE revision = ?");
    if tx.run(claim.int(revision).int(before)).await? != 1 {
        return Err(Unwritten::Conflict);
    }

    let written = match (commit.expected, &json.document) {
        // If there is one, that is a conflict as well.
        (None, Some(document)) => {
            Statement::new(r#"INSERT INTO migrations ("key", revision, document) VALUES (?, ?, ?)"#)
                .text(key)
                .int(revision)
                .text(document)
        }
        (Some(expected), Some(document)) => Statement::new(
            r#"UPDATE migrations SET revision = ?, document = ? WHERE "key" = ? AND revision = ?"#,
        )
        .int(revision)
        .text(document)
        .text(key)
        .int(int(expected)),
        (Some(expected), None) => {
            Statement::new(r#"DELETE FROM migrations WHERE "key" = ? AND revision = ?"#)
                .text(key)
                .int(int(expected))
        }
        (None, None) => return Err(Unwritten::Conflict),
    };
    if tx.run(written).await? != 1 {
        return Err(Unwritten::Conflict);
    }

    if json.document.is_none() {
        tx.run(Statement::new("DELETE FROM tenants WHERE migration = ?").text(key)).await?;
        tx.run(Statement::new("DELETE FROM windows WHERE migration = ?").text(key)).await?;
    } else {
        rows.write(tx, key).await?;
    }

    // The newest event is never dropped: there is none only in an empty store.
    let last =
        "SELECT history_id, coalesce((SELECT hash FROM events WHERE revision = ?), dropped_hash) AS hash
                FROM counter";
    let last = tx.row(Statement::new(last).int(before)).await?;
    let history_id = last.get_text("history_id")?;
    let hash = json.entry(event, history_id).hash(&Hash::stored(last.get_bytes("hash")?));
    let append = Statement::new(
        r#"INSERT INTO events (revision, "key", at_ms, actor, reason, request_id, "change", summary, document, "rows",
           hash, history_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"#,
    )
    .int(revision)
    .text(key)
    .int(int(event.at_ms))
    .text(&event.actor)
    .text(&event.reason)
    .text(&event.request_id)
    .text(&event.change)
    .text(&json.summary)
    .optional(json.document.as_deref())
    .text(&json.rows)
    .bytes(Some(hash.bytes()))
    .text(history_id);
    tx.run(append).await?;
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

    /// How much is sent with them: the event is one message, and its rows are others.
    pub(super) fn size(&self, json: &Encoded) -> Size {
        let document = json.document.as_ref().map_or(0, String::len);
        // MySQL gets them as JSON, which escapes two characters of records, and puts four around a text.
        let escaped = |text: &str| text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count();
        let length = |text: &str| text.len() + escaped(text) + 4;
        let row = |(tenant, record): (&&str, &String)| length(tenant) + length(record);
        let rows: Vec<_> = self.put.iter().zip(&self.records).map(row).collect();
        let put = rows.chunks(ROWS_MAX).map(|rows| rows.iter().sum::<usize>()).max().unwrap_or(0);
        let bytes = put.max(json.rows.len() + json.summary.len() + document);
        Size { rows: self.removed.len() + self.put.len(), bytes }
    }

    async fn write<D: Dialect>(&self, tx: &mut Connection<D>, key: &str) -> Result<(), sqlx::Error> {
        let fits = "tenants.tenant = put.tenant AND tenants.migration = ?";
        for removed in self.removed.chunks(ROWS_MAX) {
            let delete = Statement::new(D::delete_listed("tenants", fits));
            tx.run(delete.list(vec![("tenant", Column::Texts(removed.to_vec()))]).text(key)).await?;
        }
        for (put, records) in self.put.chunks(ROWS_MAX).zip(self.records.chunks(ROWS_MAX)) {
            let insert = format!(
                r#"INSERT INTO tenants (migration, tenant, "row") SELECT ?, put.tenant, put.record FROM {LIST} {}"#,
                D::or_update("migration, tenant", r#""row""#, "record")
            );
            let records = records.iter().map(|record| &**record).collect();
            let put = vec![("tenant", Column::Texts(put.to_vec())), ("record", Column::Texts(records))];
            tx.run(Statement::new(insert).text(key).list(put)).await?;
        }
        Ok(())
    }
}
