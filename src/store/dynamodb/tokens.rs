//! Tokens, and what was done to them. They belong to the lane of records.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{
    DynamoDb, READ, Unwritten, WRITE,
    item::{Before, Item, Key, key, number_of, sorted},
    lane::Held,
    writes::Writes,
};
use crate::store::{
    Error, TOKEN_EVENTS_MAX, TokenChange, TokenEvent, TokenRecord, TokenStore, entry::encoded,
};

const TOKENS: &str = "tokens";
const EVENTS: &str = "token-events";

fn token_key(name: &str) -> Key {
    key(TOKENS, name)
}

#[async_trait]
impl TokenStore for DynamoDb {
    async fn tokens(&self) -> Result<Vec<TokenRecord>, Error> {
        let read = async {
            let mut was_in_doubt = false;
            if self.lease.term().is_some() {
                // A change of unknown outcome has happened, or never will. No one is under way.
                was_in_doubt = self.settle(&self.records).await?;
                self.hold(&self.records).await?.release();
            }
            self.counter().await?;
            let listed = self.table.all(TOKENS).await?;
            if !was_in_doubt {
                return Ok(listed.into_iter().map(|(_, item)| item).collect());
            }
            // One that was revoked must not be read as it was before.
            let keys: Vec<_> = listed.iter().map(|(name, _)| token_key(name)).collect();
            Ok(self.table.together(&keys).await?.into_iter().flatten().collect::<Vec<_>>())
        };
        let record = |item: &Item| {
            let record: TokenRecord = item.json("record", || "a token's record".to_owned())?;
            Ok(TokenRecord { used_ms: item.number("used_ms")?, ..record })
        };
        self.read(READ, read).await?.iter().map(record).collect()
    }

    async fn change_token(&self, change: &TokenChange) -> Result<(), Error> {
        let written = self.writing(WRITE, || self.prepared_token(change)).await;
        written.map_err(|why| self.unwritten(why))
    }

    async fn note_used(&self, used: &[(String, u64)]) -> Result<(), Error> {
        let mut last = BTreeMap::<&str, u64>::new();
        for (name, at_ms) in used {
            let last = last.entry(name).or_default();
            *last = (*at_ms).max(*last);
        }
        let written = self.writing(WRITE, || self.prepared_uses(&last)).await;
        written.map_err(|why| self.unwritten(why))
    }

    async fn token_events(&self, before: u64, limit: u32) -> Result<Vec<(u64, TokenEvent)>, Error> {
        let range = before.checked_sub(1).map(|last| (sorted(0), sorted(last)));
        let read = async {
            self.counter().await?;
            match range {
                Some(range) => Ok(self.table.query(EVENTS, Some(range), false, limit as usize).await?),
                None => Ok(Vec::new()),
            }
        };
        let event = |(sort, item): &(String, Item)| {
            Ok((number_of(sort)?, item.json("record", || "a token's event".to_owned())?))
        };
        self.read(READ, read).await?.iter().map(event).collect()
    }
}

impl DynamoDb {
    async fn prepared_token(&self, change: &TokenChange) -> Result<(Held<'_>, Writes), Unwritten> {
        let TokenChange { expected, record, event } = change;
        let held = self.hold(&self.records).await?;
        let token = token_key(&event.token);
        let before = self.table.get(&token).await?;
        let hash = before.as_ref().map(|token| token.text("hash")).transpose()?;
        if hash != expected.as_deref() || (expected.is_none() && record.is_none()) {
            held.release();
            return Err(Unwritten::Conflict);
        }
        let mut writes = Writes::default();
        match record {
            None => {
                writes.before.insert(token.clone(), Before::read(before.as_ref()));
                writes.delete(token);
            }
            Some(record) => {
                let used_ms = before.as_ref().map_or(Ok(0), |token| token.number("used_ms"))?;
                let item = Item::default().with("hash", &*record.hash).with("record", encoded(record)?);
                writes.replace(token, before.as_ref(), item.with("used_ms", used_ms));
            }
        }
        // One change at a time, so numbers are without gaps, and in order.
        let last = self.table.query(EVENTS, None, false, 1).await?;
        let last = last.first().map_or(Ok(0), |(sort, _)| number_of(sort))?;
        let next = last + 1;
        writes.replace(key(EVENTS, sorted(next)), None, Item::default().with("record", encoded(event)?));
        if let Some(oldest) = next.checked_sub(u64::from(TOKEN_EVENTS_MAX)) {
            writes.delete(key(EVENTS, sorted(oldest)));
        }
        Ok((held, writes))
    }

    async fn prepared_uses(&self, used: &BTreeMap<&str, u64>) -> Result<(Held<'_>, Writes), Unwritten> {
        let held = self.hold(&self.records).await?;
        let mut writes = Writes::default();
        for (name, item) in self.table.all(TOKENS).await? {
            let before = item.number("used_ms")?;
            if let Some(at_ms) = used.get(&*name).filter(|at_ms| **at_ms > before) {
                let next = item.clone().with("used_ms", *at_ms);
                writes.replace(token_key(&name), Some(&item), next);
            }
        }
        Ok((held, writes))
    }
}
