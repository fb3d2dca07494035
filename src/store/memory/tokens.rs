//! Tokens in memory.

use async_trait::async_trait;

use super::{Call, MemoryStore};
use crate::store::{Error, TOKEN_EVENTS_MAX, TokenChange, TokenEvent, TokenRecord, TokenStore};

#[async_trait]
impl TokenStore for MemoryStore {
    async fn tokens(&self) -> Result<Vec<TokenRecord>, Error> {
        self.faults.around(Call::Tokens, || Ok(self.kept().tokens.values().cloned().collect())).await
    }

    async fn change_token(&self, change: &TokenChange) -> Result<(), Error> {
        let TokenChange { expected, record, event } = change;
        let make = || {
            let mut kept = self.kept();
            let is = kept.tokens.get(&event.token);
            if is.map(|record| &record.hash) != expected.as_ref() || (record.is_none() && expected.is_none())
            {
                return Err(Error::Conflict);
            }
            let used_ms = is.map_or(0, |record| record.used_ms);
            match record {
                Some(record) => {
                    let record = TokenRecord { used_ms, ..record.clone() };
                    kept.tokens.insert(event.token.clone(), record);
                }
                None => drop(kept.tokens.remove(&event.token)),
            }
            let number = kept.token_events.last().map_or(0, |(number, _)| *number) + 1;
            kept.token_events.push((number, event.clone()));
            kept.token_events.retain(|(kept, _)| *kept + u64::from(TOKEN_EVENTS_MAX) > number);
            Ok(())
        };
        self.faults.around(Call::Keep, make).await
    }

    async fn note_used(&self, used: &[(String, u64)]) -> Result<(), Error> {
        let mut kept = self.kept();
        for (name, at_ms) in used {
            if let Some(record) = kept.tokens.get_mut(name) {
                record.used_ms = record.used_ms.max(*at_ms);
            }
        }
        Ok(())
    }

    async fn token_events(&self, before: u64, limit: u32) -> Result<Vec<(u64, TokenEvent)>, Error> {
        let kept = self.kept();
        let events = kept.token_events.iter().rev().filter(|(number, _)| *number < before);
        Ok(events.take(limit as usize).cloned().collect())
    }
}
