//! The whole state: of each migration a checkpoint, and the events after it.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use imbl::OrdMap;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    DynamoDb, Unwritten,
    commit::{MIGRATIONS, migration_key},
    events::{by_key, event_key},
    identity_key,
    item::{Item, number_of, sorted},
    records::{CURSORS, HEARD, INSTANCES, PASSES, steady_key},
    value::Value,
    writes::Writes,
};
use crate::{
    domain::{Document, Event, Key, Migration, Tenant, TenantRow},
    store::{
        Error, StoredState,
        entry::{encoded, parse, unreadable},
    },
};

/// Texts that are read at a time.
const CONCURRENT: usize = 16;
/// The same for texts that may be large: what is read ahead is in memory.
const LARGE: usize = 2;
/// A text from which on it is large.
const LARGE_BYTES: u64 = 1 << 20;

/// A migration at one revision.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    document: Document,
    rows: Vec<(Tenant, TenantRow)>,
}

/// A migration while events are applied to it.
#[derive(Default)]
struct Replayed {
    revision: u64,
    document: Option<Document>,
    rows: OrdMap<Tenant, TenantRow>,
}

impl Replayed {
    fn apply(&mut self, event: Event) {
        if event.document.is_none() {
            *self = Self::default();
            return;
        }
        (self.revision, self.document) = (event.revision, event.document);
        for (tenant, row) in event.rows {
            match row {
                Some(row) => self.rows.insert(tenant, row),
                None => self.rows.remove(&tenant),
            };
        }
    }
}

/// What a migration's item says.
struct Read {
    revision: u64,
    /// The first event that is not in its checkpoint.
    log_from: Option<u64>,
    has_large_checkpoint: bool,
}

impl Read {
    fn of(item: &Item) -> Result<Self, Error> {
        let checkpoint = Value::of(item, "checkpoint")?;
        Ok(Self {
            revision: item.number("revision")?,
            log_from: item.find_number("log_from"),
            has_large_checkpoint: checkpoint.is_some_and(|it| it.bytes() > LARGE_BYTES),
        })
    }

    /// The first event that has to be applied to its checkpoint.
    fn first(&self) -> u64 {
        self.log_from.unwrap_or(self.revision + 1)
    }
}

/// How many texts are read at a time.
fn ahead_of(some_are_large: bool) -> usize {
    if some_are_large { LARGE } else { CONCURRENT }
}

/// A part of a transaction is missing.
fn torn(why: String) -> Unwritten {
    Error::Corrupt(format!(
        "{why}: if the table was made from a backup, choose a time at which nobody had changed anything for a minute"
    ))
    .into()
}

/// Checks that items of migrations are of these events: what a backup has of a transaction need not be all of it. Events
/// up to the revision `began` were there before the items were read.
fn check(items: &BTreeMap<String, Read>, events: &[(u64, Item)], began: u64) -> Result<(), Unwritten> {
    // The newest event of each migration, and whether it deletes it.
    let mut last = BTreeMap::new();
    for (revision, event) in events {
        let is_deleted = Value::of(event, "document")?.is_none();
        last.insert(event.text("key")?, (*revision, is_deleted));
    }
    for (name, item) in items {
        let is_of_events = match last.get(&**name) {
            Some((revision, _)) if *revision > began => item.revision <= *revision,
            Some((revision, is_deleted)) => !is_deleted && item.revision == *revision,
            None => item.log_from.is_none() && item.revision <= began,
        };
        if !is_of_events {
            let at = item.revision;
            return Err(torn(format!("migration {name} is at revision {at}, and its events are not")));
        }
    }
    for (name, (revision, is_deleted)) in last {
        if revision <= began && !is_deleted && !items.contains_key(name) {
            return Err(torn(format!("migration {name} of revision {revision} is missing")));
        }
    }
    Ok(())
}

impl DynamoDb {
    pub(super) async fn load(&self) -> Result<StoredState, Unwritten> {
        if self.lease.term().is_some() {
            // What the last leader had begun is done, or never will be.
            for lane in [&self.commits, &self.records, &self.windows] {
                self.hold(lane).await?.release();
            }
        }
        // Somebody who does not lead may also meet parts that are being deleted.
        self.sure(|| self.load_once()).await
    }

    async fn load_once(&self) -> Result<StoredState, Unwritten> {
        let began = self.counter().await?.number("revision")?;
        let stored = self.table.all(MIGRATIONS).await?;
        let identity = self.table.always(&identity_key()).await?;
        let steady = self.table.get(&steady_key()).await?;
        let instances = self.records(INSTANCES, "an instance's record").await?;
        let passes = self.records(PASSES, "a pass's record").await?;
        let cursors = self.records(CURSORS, "an endpoint's cursor").await?;
        let heard = self.records(HEARD, "an instance's last report").await?;
        // After all else was read: with the events up to this one, it is as it was then.
        let revision = self.counter().await?.number("revision")?;
        let next = self.table.get(&event_key(revision + 1)).await?;
        if next.is_some() && self.counter().await?.number("revision")? == revision {
            return Err(torn(format!(
                "there is an event of revision {}, after the newest one",
                revision + 1
            )));
        }
        Ok(StoredState {
            revision,
            history_id: identity.text("history_id")?.to_owned(),
            migrations: self.migrations(stored, began, revision).await?,
            instances,
            passes,
            cursors,
            heard,
            steady_ms: steady.map_or(Ok(0), |steady| steady.number("ms"))?,
            restored: identity.find_text("restored").map(str::to_owned),
            put_back: identity.number("put_back")? != 0,
            seal_key: identity.text("seal_key")?.to_owned(),
        })
    }

    /// Records of a partition, in order.
    pub(super) async fn records<T: DeserializeOwned>(
        &self,
        partition: &str,
        what: &str,
    ) -> Result<Vec<T>, Error> {
        let items = self.table.all(partition).await?;
        let reads: Vec<_> = items.into_iter().map(|(_, item)| self.record(item, what)).collect();
        stream::iter(reads).buffered(CONCURRENT).try_collect().await
    }

    async fn record<T: DeserializeOwned>(&self, item: Item, what: &str) -> Result<T, Error> {
        let value = Value::of(&item, "record")?.ok_or_else(|| unreadable(what, "no record"))?;
        let text = self.table.load(&value).await?;
        serde_json::from_str(&text).map_err(|error| unreadable(what, error))
    }

    /// Migrations as they are at the revision `to`. Their items were read after the revision `began` was there.
    async fn migrations(
        &self,
        stored: Vec<(String, Item)>,
        began: u64,
        to: u64,
    ) -> Result<Vec<Migration>, Unwritten> {
        let mut bases = Vec::new();
        let mut items = BTreeMap::new();
        for (name, item) in stored {
            items.insert(name.clone(), Read::of(&item)?);
            bases.push(self.based(name, item));
        }
        let ahead = ahead_of(items.values().any(|item| item.has_large_checkpoint));
        let mut replayed: BTreeMap<String, Replayed> =
            stream::iter(bases).buffered(ahead).try_collect().await?;
        // The newest one as well, for the checks: it may not have been visible in all items.
        let logs = items.values().filter_map(|item| item.log_from);
        let from = logs.min().unwrap_or(u64::MAX).min(began.max(1));
        let events = self.stored_events(from, to, usize::MAX).await?;
        if !events.iter().map(|(revision, _)| *revision).eq(from..=to) {
            return Err(torn(format!("events after revision {} are missing", from - 1)));
        }
        check(&items, &events, began)?;

        let is_missing = |(revision, event): &(u64, Item)| {
            let item = event.find_text("key").and_then(|key| items.get(key));
            item.is_none_or(|item| *revision >= item.first())
        };
        let events: Vec<_> = events.into_iter().filter(is_missing).collect();
        let is_large =
            |(_, event): &(u64, Item)| event.find_number("bytes").is_none_or(|it| it > LARGE_BYTES);
        let ahead = ahead_of(events.iter().any(is_large));
        let loads: Vec<_> =
            events.into_iter().map(|(revision, item)| self.event(revision, item, true)).collect();
        let mut events = stream::iter(loads).buffered(ahead);
        while let Some(event) = events.try_next().await? {
            replayed.entry(event.key.to_string()).or_default().apply(event);
        }
        let mut migrations = Vec::with_capacity(replayed.len());
        for (name, Replayed { revision, document, rows }) in replayed {
            match document {
                Some(document) if document.key.as_str() == name => {
                    migrations.push(Migration::new(revision, document, rows));
                }
                Some(document) => {
                    let why = format!("migration {name} holds the document of {}", document.key);
                    return Err(Error::Corrupt(why).into());
                }
                // It was deleted.
                None => {}
            }
        }
        Ok(migrations)
    }

    /// A migration as it is in its checkpoint. Without one, nothing is.
    async fn based(&self, name: String, item: Item) -> Result<(String, Replayed), Error> {
        let Some(value) = Value::of(&item, "checkpoint")? else { return Ok((name, Replayed::default())) };
        let text = self.table.load(&value).await?;
        let read = serde_json::from_str(&text);
        let Checkpoint { document, rows } =
            read.map_err(|error| unreadable(&format!("the checkpoint of migration {name}"), error))?;
        let revision = item.number("revision")?;
        Ok((name, Replayed { revision, document: Some(document), rows: rows.into_iter().collect() }))
    }

    /// Makes a checkpoint of a migration, so that its events need not be kept. Commits go on meanwhile.
    pub(super) async fn checkpoint(&self, name: &str, item: Item) -> Result<(), Unwritten> {
        let (Some(first), revision) = (item.find_number("log_from"), item.number("revision")?) else {
            return Ok(());
        };
        parse(name, "a migration's key", Key::parse)?;
        let history = by_key(name, 0).0;
        let range = Some((sorted(first), sorted(revision)));
        let found = self.table.query(&history, range, true, usize::MAX).await?;
        let (_, mut replayed) = self.based(name.to_owned(), item.clone()).await?;
        let revisions = found.iter().map(|(sort, _)| number_of(sort)).collect::<Result<Vec<_>, _>>()?;
        if revisions.last() != Some(&revision) {
            return Err(torn(format!("the entry of revision {revision} of migration {name} is missing")));
        }
        let reads: Vec<_> = revisions.into_iter().map(|revision| self.past_event(revision, true)).collect();
        let mut events = stream::iter(reads).buffered(LARGE);
        while let Some(event) = events.try_next().await? {
            let Some(event) = event else {
                return Err(torn(format!("events of migration {name} are missing")));
            };
            // A backup may have the entry of a commit without the commit.
            if event.key.as_str() == name {
                replayed.apply(event);
            }
        }
        drop(events);
        let Some(document) = replayed.document else {
            return Err(Error::Corrupt(format!("migration {name} has no document")).into());
        };
        let text = encoded(&Checkpoint { document, rows: replayed.rows.into_iter().collect() })?;
        let upload = self.table.write_parts(&text).await?;
        let parts = upload.parts.clone();

        let held = self.hold(&self.commits).await?;
        let now = self.table.get(&migration_key(name)).await?;
        let old = Value::of(&item, "checkpoint")?;
        // It was deleted meanwhile, and may be another one.
        let is_same = |now: &Item| now.find_number("created") == item.find_number("created");
        let Some(now) = now.filter(is_same) else {
            held.release();
            self.delete_unused(vec![parts]);
            return Ok(());
        };
        let later = Some((sorted(revision + 1), sorted(u64::MAX)));
        let later = self.table.query(&history, later, true, 1).await?;
        if later.is_empty() && now.number("revision")? != revision {
            held.release();
            self.delete_unused(vec![parts]);
            return Err(torn(format!("the entry of the newest revision of migration {name} is missing")));
        }
        let mut next = now.clone();
        next.remove("log_from");
        next.remove("log_bytes");
        if let Some((sort, _)) = later.first() {
            next.set("log_from", number_of(sort)?);
        }
        Value::Parts(parts.clone()).set(&mut next, "checkpoint");
        let mut writes = Writes { uses: vec![parts], ..Writes::default() };
        writes.free(old);
        writes.replace(migration_key(name), Some(&now), next);
        held.write(writes).await
    }
}
