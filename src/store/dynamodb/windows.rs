//! Windows: read, added to and written back.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    DynamoDb, READ, Unwritten,
    commit::{MIGRATIONS, migration_key},
    item::{Item, Key, key, number_of, sorted},
    lane::Held,
    records::HEARD,
    writes::Writes,
};
use crate::{
    domain::{Counts, Scale},
    store::{Counted, Error, WindowQuery, WindowStore, entry::encoded, windows::name},
};

/// Windows that are read at a time.
const CONCURRENT: usize = 32;
/// What is sent for a window, about.
const WINDOW_BYTES: usize = 10 << 10;

/// A migration's windows of one scale. A migration is named by the revision that created it: what is counted for one that
/// was deleted is never found in the next one of this name.
pub(super) fn partition_of(created: u64, scale: Scale) -> String {
    format!("windows#{}#{}", sorted(created), name(scale))
}

#[async_trait]
impl WindowStore for DynamoDb {
    async fn count(&self, counted: &Counted) -> Result<(), Error> {
        let limit = self.bounds_of(WINDOW_BYTES * counted.windows.len());
        let written = self.writing(limit, || self.prepared_counts(counted)).await;
        written.map_err(|why| self.unwritten(why))?;
        // What remains after an error is removed with the next counts.
        if let Err(error) = self.read(limit, self.expire(counted)).await {
            tracing::debug!(%error, "old windows are removed later");
        }
        Ok(())
    }

    async fn windows(&self, query: &WindowQuery) -> Result<Vec<(u64, Counts)>, Error> {
        let WindowQuery { key, scale, from, before } = query;
        let read = async {
            if self.lease.term().is_some() {
                self.settle(&self.windows).await?;
            }
            self.counter().await?;
            let migration = self.table.get(&migration_key(key.as_str())).await?;
            let (Some(migration), Some(last)) = (migration, before.checked_sub(1)) else {
                return Ok(Vec::new());
            };
            let partition = partition_of(migration.number("created")?, *scale);
            let range = Some((sorted(*from), sorted(last)));
            Ok(self.table.query(&partition, range, true, usize::MAX).await?)
        };
        let window = |(sort, item): &(String, Item)| {
            Ok((number_of(sort)?, item.json("counts", || format!("a window of {key}"))?))
        };
        self.read(READ, read).await?.iter().map(window).collect()
    }
}

impl DynamoDb {
    /// For each migration, the revision that created it.
    async fn created(&self) -> Result<BTreeMap<String, u64>, Error> {
        let migrations = self.table.all(MIGRATIONS).await?;
        migrations.into_iter().map(|(name, item)| Ok((name, item.number("created")?))).collect()
    }

    async fn prepared_counts(&self, counted: &Counted) -> Result<(Held<'_>, Writes), Unwritten> {
        let held = self.hold(&self.windows).await?;
        let created = self.created().await?;
        let mut more = BTreeMap::<Key, Counts>::new();
        let mut of_revisions = BTreeSet::new();
        for (id, counts) in &counted.windows {
            // A migration that was deleted meanwhile gets none.
            let Some(created) = created.get(id.key.as_str()) else { continue };
            let partition = partition_of(*created, id.scale);
            if id.scale == Scale::Revision {
                of_revisions.insert(partition.clone());
            }
            more.entry(key(partition, sorted(id.at))).or_default().merge(counts);
        }
        let reads: Vec<_> = more.into_iter().map(|(key, counts)| self.merged(key, counts)).collect();
        let merged: Vec<_> = stream::iter(reads).buffered(CONCURRENT).try_collect().await?;
        let mut writes = Writes::default();
        let mut grown = BTreeSet::new();
        for (key, stored, counts) in merged {
            if stored.is_none() && of_revisions.contains(&key.0) {
                grown.insert(key.0.clone());
            }
            writes.replace(key, stored.as_ref(), Item::default().with("counts", encoded(&counts)?));
        }
        for partition in grown {
            self.limit_revisions(&mut writes, &partition).await?;
        }
        counted.forgotten.iter().for_each(|id| writes.delete(key(HEARD, id)));
        for record in &counted.heard {
            let item = Item::default().with("record", encoded(record)?);
            writes.put(key(HEARD, &record.instance_id), item);
        }
        Ok((held, writes))
    }

    /// A window as it is stored, and what it holds after more was added.
    async fn merged(&self, key: Key, more: Counts) -> Result<(Key, Option<Item>, Counts), Error> {
        let Some(stored) = self.table.get(&key).await? else { return Ok((key, None, more)) };
        let mut counts: Counts = stored.json("counts", || format!("the window {}, {}", key.0, key.1))?;
        counts.merge(&more);
        Ok((key, Some(stored), counts))
    }

    /// Keeps the newest windows of revisions.
    async fn limit_revisions(&self, writes: &mut Writes, partition: &str) -> Result<(), Error> {
        let stored = self.table.all(partition).await?;
        let mut all: BTreeSet<String> = stored.into_iter().map(|(sort, _)| sort).collect();
        let added = writes.items.keys().filter(|(of, _)| of == partition).map(|(_, sort)| sort.clone());
        all.extend(added);
        let too_many = all.len().saturating_sub(Scale::REVISIONS_MAX);
        all.into_iter().take(too_many).for_each(|sort| writes.delete(key(partition, sort)));
        Ok(())
    }

    /// Removes windows that have expired, of migrations that were counted. The others get none.
    async fn expire(&self, counted: &Counted) -> Result<(), Unwritten> {
        let created = self.created().await?;
        let keys: BTreeSet<&str> = counted.windows.iter().map(|(id, _)| id.key.as_str()).collect();
        for created in keys.into_iter().filter_map(|key| created.get(key)) {
            for scale in Scale::OF_TIME {
                let Some(last) = scale.expired_before(counted.now_s).checked_sub(1) else { continue };
                let partition = partition_of(*created, scale);
                let range = Some((sorted(0), sorted(last)));
                let expired = self.table.query(&partition, range, true, usize::MAX).await?;
                let keys = expired.into_iter().map(|(sort, _)| key(&*partition, sort)).collect();
                self.table.delete_all(keys).await?;
            }
        }
        Ok(())
    }
}
