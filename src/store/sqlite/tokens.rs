//! Tokens, and what was done to them.

use async_trait::async_trait;
use sqlx::Connection as _;

use super::{SqliteStore, Unwritten};
use crate::store::{
    Error, TOKEN_EVENTS_MAX, TokenChange, TokenEvent, TokenRecord, TokenStore,
    entry::encoded,
    sql::row::{int, json, number},
};

#[async_trait]
impl TokenStore for SqliteStore {
    async fn tokens(&self) -> Result<Vec<TokenRecord>, Error> {
        let rows = sqlx::query("SELECT record, used_ms FROM tokens ORDER BY id")
            .fetch_all(&self.readers)
            .await
            .map_err(|error| self.failed(&error))?;
        let record = |row| {
            let record: TokenRecord = json(row, "record", || "a token's record".to_owned())?;
            Ok(TokenRecord { used_ms: number(row, "used_ms")?, ..record })
        };
        rows.iter().map(record).collect()
    }

    async fn change_token(&self, change: &TokenChange) -> Result<(), Error> {
        let TokenChange { expected, record, event } = change;
        let record = record.as_ref().map(encoded).transpose()?;
        let event_json = encoded(event)?;
        let mut writer = self.writer.acquire().await.map_err(|error| self.failed(&error))?;
        let result = async {
            let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
            let written = match (expected, &record) {
                (None, Some(record)) => {
                    sqlx::query("INSERT INTO tokens VALUES (?1, ?2, 0) ON CONFLICT DO NOTHING")
                        .bind(&event.token)
                        .bind(record)
                }
                (Some(expected), Some(record)) => {
                    sqlx::query("UPDATE tokens SET record = ?2 WHERE id = ?1 AND record ->> 'hash' = ?3")
                        .bind(&event.token)
                        .bind(record)
                        .bind(expected)
                }
                (Some(expected), None) => {
                    sqlx::query("DELETE FROM tokens WHERE id = ?1 AND record ->> 'hash' = ?2")
                        .bind(&event.token)
                        .bind(expected)
                }
                (None, None) => return Err(Unwritten::Conflict),
            };
            if written.execute(&mut *tx).await?.rows_affected() != 1 {
                return Err(Unwritten::Conflict);
            }
            sqlx::query("INSERT INTO token_events (record) VALUES (?1)")
                .bind(event_json)
                .execute(&mut *tx)
                .await?;
            sqlx::query("DELETE FROM token_events WHERE id <= (SELECT max(id) FROM token_events) - ?1")
                .bind(TOKEN_EVENTS_MAX)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(())
        };
        let result = result.await;
        self.finish(writer, result).await
    }

    async fn note_used(&self, used: &[(String, u64)]) -> Result<(), Error> {
        let used = encoded(used)?;
        let mut writer = self.writer.acquire().await.map_err(|error| self.failed(&error))?;
        let result = sqlx::query(
            "UPDATE tokens SET used_ms = max(used_ms, used.value ->> 1) FROM json_each(?1) AS used
             WHERE tokens.id = used.value ->> 0",
        )
        .bind(used)
        .execute(&mut *writer)
        .await;
        self.finish(writer, result.map(drop).map_err(Unwritten::from)).await
    }

    async fn token_events(&self, before: u64, limit: u32) -> Result<Vec<(u64, TokenEvent)>, Error> {
        let rows = sqlx::query("SELECT id, record FROM token_events WHERE id < ?1 ORDER BY id DESC LIMIT ?2")
            .bind(int(before))
            .bind(limit)
            .fetch_all(&self.readers)
            .await
            .map_err(|error| self.failed(&error))?;
        let event = |row| Ok((number(row, "id")?, json(row, "record", || "a token's event".to_owned())?));
        rows.iter().map(event).collect()
    }
}
