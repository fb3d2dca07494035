//! The beginning of the history is dropped, a bounded part at a time, and so is what nothing refers to.

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    DynamoDb, PATIENT, Unwritten, WRITE,
    commit::{DELETED, MIGRATIONS},
    events::{by_key, dropped_key, event_key, request_key},
    item::{Item, key, number_of},
    lane::Held,
    records::CURSORS,
    value::{UNUSED, Value},
    windows::partition_of,
    writes::Writes,
};
use crate::{
    domain::Scale,
    store::{
        CursorRecord, Error,
        compaction::{Compacted, Expired, Oldest},
    },
};

/// A migration gets a checkpoint before more events than these follow its last one.
const LOG: u64 = 2_000;
/// And before they have more bytes than these.
const LOG_BYTES: u64 = 64 << 20;
/// Events that are deleted at a time.
const CONCURRENT: usize = 4;

impl DynamoDb {
    pub(super) async fn drop_expired(&self, expired: &Expired) -> Result<Compacted, Unwritten> {
        if self.lease.term().is_none() {
            return Err(Unwritten::Deposed);
        }
        // What was dropped before may still be there.
        self.delete_dropped().await?;
        self.within(PATIENT, self.delete_what_is_unused()).await?;
        let newest = self.within(WRITE, self.counter()).await?.number("revision")?;
        self.checkpoint_where(newest.saturating_sub(LOG)).await?;

        let (compacted, hash) = self.within(WRITE, self.chosen(expired, newest)).await?;
        if compacted.events == 0 {
            return Ok(compacted);
        }
        self.checkpoint_where(compacted.through).await?;
        let dropped = Item::default().with("through", compacted.through).with("at_ms", expired.now_ms);
        // The first event that stays follows from the last one that does not.
        let dropped = dropped.with("hash", hash);
        self.writing(WRITE, || self.prepared_drop(&dropped, None)).await?;
        self.delete_dropped().await?;
        Ok(compacted)
    }

    /// What to drop, with the hash of its last event.
    async fn chosen(&self, expired: &Expired, newest: u64) -> Result<(Compacted, String), Unwritten> {
        let first = self.what_was_dropped().await?.0.through + 1;
        let cursors: Vec<CursorRecord> = self.records(CURSORS, "an endpoint's cursor").await?;
        let last = newest.saturating_sub(1);
        let events = self.stored_events(first, last, expired.limit as usize).await?;
        let oldest = events.iter().map(|(revision, item)| {
            let (at_ms, bytes) = (item.number("at_ms")?, item.number("bytes")?);
            Ok(Oldest { revision: *revision, at_ms, bytes })
        });
        let oldest = oldest.collect::<Result<Vec<_>, Error>>()?;
        let compacted = expired.of(oldest.into_iter(), &cursors);
        let last = events.iter().find(|(revision, _)| *revision == compacted.through);
        let hash = last.map(|(_, item)| item.text("hash")).transpose()?.unwrap_or_default();
        Ok((compacted, hash.to_owned()))
    }

    /// Makes a checkpoint of each migration that needs an event up to this one.
    async fn checkpoint_where(&self, through: u64) -> Result<(), Unwritten> {
        for (name, item) in self.within(WRITE, async { Ok(self.table.all(MIGRATIONS).await?) }).await? {
            let is_long = item.find_number("log_bytes").is_some_and(|bytes| bytes > LOG_BYTES);
            if item.find_number("log_from").is_some_and(|from| from <= through || is_long) {
                self.within(PATIENT, self.sure(|| self.checkpoint(&name, item.clone()))).await?;
            }
        }
        Ok(())
    }

    /// Writes which events were dropped, and up to which one they were deleted.
    async fn prepared_drop(
        &self,
        dropped: &Item,
        deleted: Option<u64>,
    ) -> Result<(Held<'_>, Writes), Unwritten> {
        let held = self.hold(&self.commits).await?;
        let before = self.table.always(&dropped_key()).await?;
        let mut writes = Writes::default();
        match deleted {
            Some(deleted) => {
                writes.replace(dropped_key(), Some(&before), before.clone().with("deleted", deleted));
            }
            None if before.number("through")? < dropped.number("through")? => {
                let next = dropped.clone().with("deleted", before.number("deleted")?);
                writes.replace(dropped_key(), Some(&before), next);
            }
            None => {}
        }
        Ok((held, writes))
    }

    /// Deletes events that were dropped. Nobody reads them any more.
    async fn delete_dropped(&self) -> Result<(), Unwritten> {
        let (dropped, item) = self.what_was_dropped().await?;
        let deleted = item.number("deleted")?;
        if deleted == dropped.through {
            return Ok(());
        }
        self.within(PATIENT, async {
            let events = self.stored_events(deleted + 1, dropped.through, usize::MAX).await?;
            let deletes: Vec<_> =
                events.iter().map(|(revision, event)| self.delete_event(*revision, event)).collect();
            Ok(stream::iter(deletes).buffer_unordered(CONCURRENT).try_collect::<()>().await?)
        })
        .await?;
        self.writing(WRITE, || self.prepared_drop(&item, Some(dropped.through))).await
    }

    async fn delete_event(&self, revision: u64, event: &Item) -> Result<(), Error> {
        for name in ["summary", "document", "rows"] {
            if let Some(parts) = Value::of(event, name)?.as_ref().and_then(Value::parts) {
                self.table.delete_parts(parts).await?;
            }
        }
        match event.text("request_id")? {
            "" => {}
            request => {
                // It may have been made again since.
                let (request, of_this) = (request_key(request), vec![("revision", revision.into())]);
                self.table.retried(|| self.table.delete(&request, &of_this)).await?;
            }
        }
        self.table.delete_all(vec![by_key(event.text("key")?, revision)]).await?;
        // Last: it says where the rest is.
        self.table.delete_all(vec![event_key(revision)]).await
    }

    /// Deletes parts of texts that nothing refers to, and windows of deleted migrations.
    async fn delete_what_is_unused(&self) -> Result<(), Unwritten> {
        for (sort, item) in self.table.all(UNUSED).await? {
            self.table.delete_stray(sort, &item).await?;
        }
        let deleted = self.table.all(DELETED).await?;
        // Counts that were prepared before these migrations were deleted are written now, or never.
        self.hold(&self.windows).await?.release();
        for (sort, _) in deleted {
            let created = number_of(&sort)?;
            for scale in Scale::ALL {
                let partition = partition_of(created, scale);
                let windows = self.table.all(&partition).await?;
                let keys = windows.into_iter().map(|(at, _)| key(&*partition, at)).collect();
                self.table.delete_all(keys).await?;
            }
            self.table.delete_all(vec![key(DELETED, sort)]).await?;
        }
        Ok(())
    }
}
