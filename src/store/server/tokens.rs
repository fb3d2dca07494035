//! Tokens, and what was done to them.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{
    ServerStore,
    connections::Connection,
    dialect::{Dialect, Size},
    statement::{Column, Statement},
    transaction::{READ, Unwritten},
};
use crate::store::{
    Error, TOKEN_EVENTS_MAX, TokenChange, TokenEvent, TokenRecord, TokenStore,
    entry::encoded,
    sql::row::{Columns as _, int, json, number},
};

#[async_trait]
impl<D: Dialect> TokenStore for ServerStore<D> {
    async fn tokens(&self) -> Result<Vec<TokenRecord>, Error> {
        // A leader waits for a change whose outcome it does not know. A plain read would see the token as before it.
        let (mut tx, bounds) = match self.lease.term() {
            Some(_) => self.writing(&self.records, Size::default()).await?,
            None => self.reading(&self.readers, READ).await?,
        };
        let rows = tx.rows(Statement::new("SELECT record, used_ms FROM tokens ORDER BY id"));
        let rows = bounds.of(rows).await;
        let record = |row| {
            let record: TokenRecord = json(row, "record", || "a token's record".to_owned())?;
            Ok(TokenRecord { used_ms: number(row, "used_ms")?, ..record })
        };
        tx.end(rows).await?.iter().map(record).collect()
    }

    async fn change_token(&self, change: &TokenChange) -> Result<(), Error> {
        let record = change.record.as_ref().map(encoded).transpose()?;
        let event = encoded(&change.event)?;
        let (mut tx, bounds) = self.writing(&self.records, Size::default()).await?;
        let written = bounds.of(write(&mut tx, change, record.as_deref(), &event)).await;
        tx.end(written).await
    }

    async fn note_used(&self, used: &[(String, u64)]) -> Result<(), Error> {
        let mut last = BTreeMap::<&str, i64>::new();
        for (name, at_ms) in used {
            let last = last.entry(name).or_default();
            *last = int(*at_ms).max(*last);
        }
        let size = Size { rows: last.len(), ..Size::default() };
        let (names, at) = last.into_iter().unzip();
        let used = vec![("id", Column::Texts(names)), ("at_ms", Column::Ints(at))];
        let (mut tx, bounds) = self.writing(&self.records, size).await?;
        let noted = bounds.of(tx.run(Statement::new(D::NOTE_USED).list(used))).await;
        tx.end(noted).await.map(drop)
    }

    async fn token_events(&self, before: u64, limit: u32) -> Result<Vec<(u64, TokenEvent)>, Error> {
        let (mut tx, bounds) = self.reading(&self.readers, READ).await?;
        let events =
            Statement::new("SELECT id, record FROM token_events WHERE id < ? ORDER BY id DESC LIMIT ?");
        let rows = bounds.of(tx.rows(events.int(int(before)).int(i64::from(limit)))).await;
        let event = |row| Ok((number(row, "id")?, json(row, "record", || "a token's event".to_owned())?));
        tx.end(rows).await?.iter().map(event).collect()
    }
}

async fn write<D: Dialect>(
    tx: &mut Connection<D>,
    TokenChange { expected, record: token, event: TokenEvent { token: name, .. } }: &TokenChange,
    record: Option<&str>,
    event: &str,
) -> Result<(), Unwritten> {
    let hash = token.as_ref().map_or("", |token| &*token.hash);
    let written = match (expected, record) {
        // If there is one, that is a conflict as well.
        (None, Some(record)) => Statement::new("INSERT INTO tokens (id, hash, record) VALUES (?, ?, ?)")
            .text(name)
            .text(hash)
            .text(record),
        (Some(expected), Some(record)) => {
            Statement::new("UPDATE tokens SET hash = ?, record = ? WHERE id = ? AND hash = ?")
                .text(hash)
                .text(record)
                .text(name)
                .text(expected)
        }
        (Some(expected), None) => {
            Statement::new("DELETE FROM tokens WHERE id = ? AND hash = ?").text(name).text(expected)
        }
        (None, None) => return Err(Unwritten::Conflict),
    };
    if tx.run(written).await? != 1 {
        return Err(Unwritten::Conflict);
    }
    // One change at a time, so numbers are without gaps, and in order.
    let last = tx.row(Statement::new("SELECT coalesce(max(id), 0) AS id FROM token_events")).await?;
    let next = last.get_int("id")? + 1;
    let append = Statement::new("INSERT INTO token_events (id, record) VALUES (?, ?)");
    tx.run(append.int(next).text(event)).await?;
    let drop_oldest = Statement::new("DELETE FROM token_events WHERE id <= ?");
    tx.run(drop_oldest.int(next - i64::from(TOKEN_EVENTS_MAX))).await?;
    Ok(())
}
