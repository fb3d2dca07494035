//! Past events: the change feed, the history, and the chain of their hashes.

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    DynamoDb, Unwritten, identity_key,
    item::{Item, Key, key, number_of, sorted},
    value::Value,
};
use crate::{
    domain::{Event, Hash, Key as MigrationKey},
    store::{
        ChainPage, ChainState, ChainedEvent, Dropped, Error, HistoryQuery,
        entry::{parse, unreadable},
    },
};

/// Events of one partition.
const PARTITION: u64 = 1_000;
/// Texts that are read at a time.
const CONCURRENT: usize = 16;

pub(super) fn event_key(revision: u64) -> Key {
    key(partition_of(revision), sorted(revision))
}

fn partition_of(revision: u64) -> String {
    format!("events#{}", sorted(revision / PARTITION))
}

/// Finds a migration's events.
pub(super) fn by_key(migration: &str, revision: u64) -> Key {
    key(format!("history#{migration}"), sorted(revision))
}

/// Finds the event of a request.
pub(super) fn request_key(request: &str) -> Key {
    key(format!("request#{request}"), "request")
}

/// Says which events were dropped. Belongs to the lane of commits.
pub(super) fn dropped_key() -> Key {
    key("state", "dropped")
}

fn hash_of(item: &Item, name: &str) -> Result<Hash, Error> {
    item.text(name)?.parse().map_err(|()| unreadable("the history", format!("malformed {name}")))
}

impl DynamoDb {
    /// Which events were dropped, with what else is known of that.
    pub(super) async fn what_was_dropped(&self) -> Result<(Dropped, Item), Error> {
        let item = self.table.always(&dropped_key()).await?;
        Ok((Dropped { through: item.number("through")?, at_ms: item.number("at_ms")? }, item))
    }

    /// Events as they are stored, oldest first: from a revision to another one, both included, at most `limit`.
    pub(super) async fn stored_events(
        &self,
        from: u64,
        to: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Item)>, Error> {
        let mut events = Vec::new();
        let mut next = from;
        while next <= to && events.len() < limit {
            let last = (next / PARTITION * PARTITION + (PARTITION - 1)).min(to);
            let range = Some((sorted(next), sorted(last)));
            let found = self.table.query(&partition_of(next), range, true, limit - events.len()).await?;
            for (sort, item) in found {
                events.push((number_of(&sort)?, item));
            }
            next = last + 1;
        }
        Ok(events)
    }

    /// The same, without gaps from the first one on. `None`: some were dropped meanwhile.
    async fn whole_events(
        &self,
        from: u64,
        to: u64,
        limit: usize,
    ) -> Result<Option<Vec<(u64, Item)>>, Error> {
        let events = self.stored_events(from, to, limit).await?;
        let expected = to.saturating_add(1).saturating_sub(from).min(limit as u64);
        let is_whole = events.iter().map(|(revision, _)| *revision).eq(from..from + expected);
        if is_whole {
            return Ok(Some(events));
        }
        if self.what_was_dropped().await?.0.through >= from {
            return Ok(None);
        }
        Err(Error::Corrupt(format!(
            "events after revision {} are missing: restore the table from a backup",
            from.saturating_sub(1)
        )))
    }

    pub(super) async fn events_after(&self, since: u64, limit: u32) -> Result<Vec<Event>, Unwritten> {
        let newest = self.counter().await?.number("revision")?;
        let dropped = self.what_was_dropped().await?.0;
        if since < dropped.through {
            return Err(Error::Dropped(dropped.through).into());
        }
        if since >= newest {
            return Ok(Vec::new());
        }
        match self.whole_events(since + 1, newest, limit as usize).await? {
            Some(events) => self.loaded(events).await,
            None => Err(Error::Dropped(self.what_was_dropped().await?.0.through).into()),
        }
    }

    /// Events with their rows.
    async fn loaded(&self, events: Vec<(u64, Item)>) -> Result<Vec<Event>, Unwritten> {
        let loads: Vec<_> =
            events.into_iter().map(|(revision, item)| self.event(revision, item, true)).collect();
        Ok(stream::iter(loads).buffered(CONCURRENT).try_collect().await?)
    }

    async fn text_of(&self, item: &Item, name: &str) -> Result<Option<String>, Error> {
        match Value::of(item, name)? {
            Some(value) => Ok(Some(self.table.load(&value).await?)),
            None => Ok(None),
        }
    }

    pub(super) async fn event(&self, revision: u64, item: Item, with_rows: bool) -> Result<Event, Error> {
        let what = || format!("the event of revision {revision}");
        let damaged = |error: serde_json::Error| unreadable(&what(), error);
        let document = self.text_of(&item, "document").await?;
        let summary = self.text_of(&item, "summary").await?.unwrap_or_default();
        let rows = if with_rows { self.text_of(&item, "rows").await? } else { None };
        Ok(Event {
            revision,
            key: parse(item.text("key")?, &what(), MigrationKey::parse)?,
            at_ms: item.number("at_ms")?,
            actor: item.text("actor")?.to_owned(),
            reason: item.text("reason")?.to_owned(),
            request_id: item.text("request_id")?.to_owned(),
            change: item.text("change")?.to_owned(),
            summary: serde_json::from_str(&summary).map_err(damaged)?,
            document: document.map(|text| serde_json::from_str(&text)).transpose().map_err(damaged)?,
            rows: rows.map_or(Ok(Vec::new()), |text| serde_json::from_str(&text)).map_err(damaged)?,
        })
    }

    pub(super) async fn past_events(&self, query: &HistoryQuery) -> Result<Vec<Event>, Unwritten> {
        let HistoryQuery { key: of_key, request_id, before, limit } = query;
        let newest = self.counter().await?.number("revision")?;
        let first = self.what_was_dropped().await?.0.through + 1;
        let limit = *limit as usize;
        let last = before.map_or(newest, |before| before.saturating_sub(1).min(newest));
        let revisions: Vec<u64> = if let Some(request) = request_id {
            let made = match &**request {
                "" => None,
                request => self.table.get(&request_key(request)).await?,
            };
            let revision = made.map(|made| made.number("revision")).transpose()?;
            revision.into_iter().filter(|revision| (first..=last).contains(revision)).collect()
        } else if let Some(of_key) = of_key {
            let partition = by_key(of_key.as_str(), 0).0;
            let range = Some((sorted(first), sorted(last)));
            let found = self.table.query(&partition, range, false, limit).await?;
            found.iter().map(|(sort, _)| number_of(sort)).collect::<Result<_, _>>()?
        } else {
            (first..=last).rev().take(limit).collect()
        };
        let revisions = revisions.into_iter().take(limit);
        // What was dropped meanwhile is the end of the history. A backup may have a request's item without its event.
        let events = self.events_at(revisions).await?;
        let is_asked = |event: &Event| {
            of_key.as_ref().is_none_or(|key| event.key == *key)
                && request_id.as_ref().is_none_or(|request| event.request_id == *request)
        };
        Ok(events.into_iter().filter(is_asked).collect())
    }

    /// Events of these revisions without their rows, except those that are gone.
    async fn events_at(&self, revisions: impl Iterator<Item = u64>) -> Result<Vec<Event>, Error> {
        let reads: Vec<_> = revisions.map(|revision| self.past_event(revision, false)).collect();
        let events = stream::iter(reads).buffered(CONCURRENT).try_collect::<Vec<_>>().await?;
        Ok(events.into_iter().flatten().collect())
    }

    pub(super) async fn past_event(&self, revision: u64, with_rows: bool) -> Result<Option<Event>, Error> {
        match self.table.get(&event_key(revision)).await? {
            Some(item) => self.event(revision, item, with_rows).await.map(Some),
            None => Ok(None),
        }
    }

    pub(super) async fn chain_page(&self, after: u64, limit: u32) -> Result<ChainPage, Unwritten> {
        loop {
            let (dropped, item) = self.what_was_dropped().await?;
            let (of_identity, counter) = (identity_key(), self.counter().await?);
            let identity = self.table.always(&of_identity).await?;
            let state = ChainState {
                revision: counter.number("revision")?,
                history_id: identity.text("history_id")?.to_owned(),
                dropped,
                dropped_hash: hash_of(&item, "hash")?,
                // No event is older than hashes here.
                hashed_through: 0,
                hashed_at_ms: 0,
            };
            let after = after.max(dropped.through);
            // With the one before, for its hash.
            let is_first = after == dropped.through;
            let from = if is_first { after + 1 } else { after };
            if after >= state.revision {
                return Ok(ChainPage { events: Vec::new(), state });
            }
            let limit = (limit as usize).saturating_add(usize::from(!is_first));
            let Some(mut events) = self.whole_events(from, state.revision, limit).await? else { continue };
            let mut before = state.dropped_hash;
            if !is_first {
                before = hash_of(&events.remove(0).1, "hash")?;
            }
            let reads: Vec<_> = events.into_iter().map(|(at, item)| self.chained(at, item)).collect();
            let mut events = stream::iter(reads).buffered(CONCURRENT).try_collect::<Vec<_>>().await?;
            for event in &mut events {
                event.before = std::mem::replace(&mut before, event.hash);
            }
            return Ok(ChainPage { events, state });
        }
    }

    /// An event with its hash, but not the one before it.
    async fn chained(&self, revision: u64, item: Item) -> Result<ChainedEvent, Error> {
        let rows = self.text_of(&item, "rows").await?.unwrap_or_default();
        Ok(ChainedEvent {
            history_id: item.text("history_id")?.to_owned(),
            summary: self.text_of(&item, "summary").await?.unwrap_or_default(),
            document: self.text_of(&item, "document").await?,
            rows: Hash::of(rows.as_bytes()),
            before: Hash::NONE,
            hash: hash_of(&item, "hash")?,
            event: self.event(revision, item, false).await?,
        })
    }
}
