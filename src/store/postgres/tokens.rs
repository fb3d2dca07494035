//! Tokens, and what was done to them.

use async_trait::async_trait;
use sqlx::PgConnection;

use super::{
    PostgresStore,
    transaction::{READ, Size, Unwritten},
};
use crate::store::{
    Error, TOKEN_EVENTS_MAX, TokenChange, TokenEvent, TokenRecord, TokenStore,
    sql::{
        entry::encoded,
        row::{int, json, number},
    },
};

#[async_trait]
impl TokenStore for PostgresStore {
    async fn tokens(&self) -> Result<Vec<TokenRecord>, Error> {
        // A leader waits for a change whose outcome it does not know. A plain read would see the token as before it.
        let (mut tx, bounds) = match self.lease.term() {
            Some(_) => self.writing(&self.records, Size::default()).await?,
            None => self.reading(&self.readers, READ).await?,
        };
        let rows = sqlx::query("SELECT record, used_ms FROM tokens ORDER BY id").fetch_all(&mut *tx);
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
        let (names, at): (Vec<_>, Vec<_>) = used.iter().map(|(name, at_ms)| (&**name, int(*at_ms))).unzip();
        let (mut tx, bounds) =
            self.writing(&self.records, Size { rows: used.len(), ..Size::default() }).await?;
        let noted = sqlx::query(
            "UPDATE tokens SET used_ms = greatest(used_ms, used.at_ms) FROM
             (SELECT name, max(at_ms) AS at_ms FROM unnest($1::text[], $2::bigint[])
              AS given (name, at_ms) GROUP BY name) AS used WHERE tokens.id = used.name",
        )
        .bind(names)
        .bind(at)
        .execute(&mut *tx);
        let noted = bounds.of(noted).await;
        tx.end(noted).await.map(drop)
    }

    async fn token_events(&self, before: u64, limit: u32) -> Result<Vec<(u64, TokenEvent)>, Error> {
        let (mut tx, bounds) = self.reading(&self.readers, READ).await?;
        let rows = sqlx::query("SELECT id, record FROM token_events WHERE id < $1 ORDER BY id DESC LIMIT $2")
            .bind(int(before))
            .bind(i64::from(limit))
            .fetch_all(&mut *tx);
        let rows = bounds.of(rows).await;
        let event = |row| Ok((number(row, "id")?, json(row, "record", || "a token's event".to_owned())?));
        tx.end(rows).await?.iter().map(event).collect()
    }
}

async fn write(
    tx: &mut PgConnection,
    TokenChange { expected, record: token, event: TokenEvent { token: name, .. } }: &TokenChange,
    record: Option<&str>,
    event: &str,
) -> Result<(), Unwritten> {
    let hash = token.as_ref().map(|token| &*token.hash);
    let written = match (expected, record) {
        (None, Some(record)) => {
            sqlx::query("INSERT INTO tokens (id, hash, record) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
                .bind(name)
                .bind(hash)
                .bind(record)
        }
        (Some(expected), Some(record)) => {
            sqlx::query("UPDATE tokens SET hash = $2, record = $3 WHERE id = $1 AND hash = $4")
                .bind(name)
                .bind(hash)
                .bind(record)
                .bind(expected)
        }
        (Some(expected), None) => {
            sqlx::query("DELETE FROM tokens WHERE id = $1 AND hash = $2").bind(name).bind(expected)
        }
        (None, None) => return Err(Unwritten::Conflict),
    };
    if written.execute(&mut *tx).await?.rows_affected() != 1 {
        return Err(Unwritten::Conflict);
    }
    // One change at a time, so numbers are without gaps, and in order.
    sqlx::query(
        "INSERT INTO token_events (id, record) SELECT coalesce(max(id), 0) + 1, $1 FROM token_events",
    )
    .bind(event)
    .execute(&mut *tx)
    .await?;
    sqlx::query("DELETE FROM token_events WHERE id <= (SELECT max(id) FROM token_events) - $1")
        .bind(i64::from(TOKEN_EVENTS_MAX))
        .execute(tx)
        .await?;
    Ok(())
}
