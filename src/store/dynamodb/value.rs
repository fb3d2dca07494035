//! Texts that may not fit into an item: then their bytes are in parts, which are items of their own.
//!
//! Parts are written before anything refers to them. Until then, and from the moment when nothing does any more, an
//! item of the partition `unused` names them, so they are found and deleted, whatever happens in between.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::{Instant, sleep, timeout};

use super::{
    item::{Expected, Item, Key, key, key_attributes},
    new_id,
    request::{LONGEST_PAUSE, PAUSE, Table, as_expected, fault},
};
use crate::store::{Error, entry::unreadable};

/// Longest text within an item. An item has three at most, and 400 KB.
pub(super) const INLINE_MAX: usize = 100_000;
/// Bytes of a part.
const PART: usize = 380_000;
/// Reads under way for the parts of a text.
const CONCURRENT: usize = 8;
/// The same for writes and deletes, which cost what they write. A partition takes 1,000 units of 1 KB in a second, and
/// the leader's beats need some of them.
const WRITES: usize = 2;
/// Longest time for one attempt to write a part.
const ATTEMPT: Duration = Duration::from_secs(8);
/// Longest time for all attempts.
const PROGRESS: Duration = Duration::from_secs(60);
/// Names parts that nothing refers to.
pub(super) const UNUSED: &str = "unused";

/// In place of `parts`: they are being deleted, and can't be used any more.
const DELETED_PARTS: &str = "deleted_parts";

/// A text that is stored in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    id: String,
    count: usize,
}

/// A text of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Inline(String),
    Parts(Parts),
}

/// Parts that this process has written for a write that is not made yet. While this is there, the compaction leaves them
/// alone.
pub(super) struct Upload<'a> {
    pub(super) parts: Parts,
    table: &'a Table,
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        self.table.uploads.lock().expect("no panic while it is held").remove(&self.parts.id);
    }
}

impl Parts {
    /// The item that names them while nothing refers to them.
    pub(super) fn unused(&self) -> (Key, Item) {
        (key(UNUSED, &self.id), Item::default().with("parts", self.count as u64))
    }

    fn key(&self, at: usize) -> Key {
        // Each in a partition of its own, because DynamoDB limits what it writes to one in a second.
        key(format!("part#{}#{at:06}", self.id), "-")
    }

    fn shown(&self) -> String {
        format!("{}:{}", self.id, self.count)
    }

    fn of(shown: &str) -> Option<Self> {
        let (id, count) = shown.split_once(':')?;
        Some(Self { id: id.to_owned(), count: count.parse().ok()? })
    }
}

impl Value {
    /// Sets an attribute: the text, or where its parts are.
    pub(super) fn set(&self, item: &mut Item, name: &str) {
        match self {
            Self::Inline(text) => item.set(name, &**text),
            Self::Parts(parts) => item.set(&format!("{name}_parts"), parts.shown()),
        }
    }

    /// Such an attribute.
    pub(super) fn of(item: &Item, name: &str) -> Result<Option<Self>, Error> {
        if let Some(text) = item.find_text(name) {
            return Ok(Some(Self::Inline(text.to_owned())));
        }
        let Some(shown) = item.find_text(&format!("{name}_parts")) else { return Ok(None) };
        let parts = Parts::of(shown).ok_or_else(|| unreadable(&format!("{name}_parts"), shown))?;
        Ok(Some(Self::Parts(parts)))
    }

    /// About its length.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Inline(text) => text.len() as u64,
            Self::Parts(parts) => (parts.count * PART) as u64,
        }
    }

    pub(super) fn parts(&self) -> Option<&Parts> {
        match self {
            Self::Inline(_) => None,
            Self::Parts(parts) => Some(parts),
        }
    }
}

impl Table {
    /// Writes the parts of a text. Nothing refers to them yet.
    pub(super) async fn write_parts(&self, text: &str) -> Result<Upload<'_>, Error> {
        // Each attempt has an id of its own: a late one must not name parts that are in use by then.
        let upload = self
            .retried(|| async {
                let parts = Parts { id: new_id(), count: text.len().div_ceil(PART) };
                self.uploads.lock().expect("no panic while it is held").insert(parts.id.clone());
                let upload = Upload { parts, table: self };
                let (unused, item) = upload.parts.unused();
                self.put(&unused, &item, &Vec::new()).await?;
                Ok(upload)
            })
            .await?;
        let parts = &upload.parts;
        let writes = text.as_bytes().chunks(PART).enumerate();
        let writes: Vec<_> =
            writes.map(|(at, bytes)| self.write_part(parts.key(at), bytes.to_vec())).collect();
        stream::iter(writes).buffer_unordered(WRITES).try_collect::<Vec<()>>().await?;
        Ok(upload)
    }

    async fn write_part(&self, key: Key, bytes: Vec<u8>) -> Result<(), Error> {
        let mut item = key_attributes(&key);
        item.insert("bytes".to_owned(), AttributeValue::B(bytes.into()));
        let (until, mut pause) = (Instant::now() + PROGRESS, PAUSE);
        loop {
            self.after_beat().await;
            let request = self.client.put_item().table_name(&self.name).set_item(Some(item.clone()));
            match timeout(ATTEMPT, Box::pin(request.send())).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => {
                    let fault = fault(&error);
                    if !fault.is_passing() || Instant::now() > until {
                        return Err(self.failed(&fault));
                    }
                }
                Err(_) if Instant::now() > until => {
                    return Err(Error::Unavailable(format!("{} takes too long to write 380 KB", self.place)));
                }
                Err(_) => {}
            }
            // Those that were refused together don't come back together.
            sleep(pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A text as it is stored. A large one is written now, in parts.
    pub(super) async fn stored<'a>(
        &'a self,
        text: &str,
        uploads: &mut Vec<Upload<'a>>,
    ) -> Result<Value, Error> {
        if text.len() <= INLINE_MAX {
            return Ok(Value::Inline(text.to_owned()));
        }
        let upload = self.write_parts(text).await?;
        let parts = upload.parts.clone();
        uploads.push(upload);
        Ok(Value::Parts(parts))
    }

    /// The text of a value.
    pub(super) async fn load(&self, value: &Value) -> Result<String, Error> {
        let parts = match value {
            Value::Inline(text) => return Ok(text.clone()),
            Value::Parts(parts) => parts,
        };
        let reads: Vec<_> = (0..parts.count).map(|at| self.read_part(parts.key(at))).collect();
        let bytes = stream::iter(reads).buffered(CONCURRENT).try_concat().await?;
        String::from_utf8(bytes).map_err(|error| unreadable("a text in parts", error))
    }

    async fn read_part(&self, key: Key) -> Result<Vec<u8>, Error> {
        let read = || async {
            let request = self.client.get_item().table_name(&self.name).consistent_read(true);
            let request = request.set_key(Some(key_attributes(&key)));
            request.send().await.map_err(|error| fault(&error))
        };
        let mut item = self.retried(read).await?.item.ok_or_else(|| self.lacks(&key))?;
        match item.remove("bytes") {
            Some(AttributeValue::B(bytes)) => Ok(bytes.into_inner()),
            _ => Err(unreadable("a part of a text", "it has no bytes")),
        }
    }

    /// Deletes parts that nothing refers to. What remains after an error is found by its name in [`UNUSED`].
    pub(super) async fn delete_parts(&self, parts: &Parts) -> Result<(), Error> {
        let keys = (0..parts.count).map(|at| parts.key(at)).collect();
        self.delete_all(keys).await?;
        self.delete_all(vec![parts.unused().0]).await
    }

    /// Deletes parts that nothing refers to and that this process is not writing. First they are marked, on condition that
    /// nothing refers to them: then nothing ever will. So the list may be old.
    pub(super) async fn delete_stray(&self, sort: String, item: &Item) -> Result<(), Error> {
        let mut parts = Parts { id: sort, count: 0 };
        if self.uploads.lock().expect("no panic while it is held").contains(&parts.id) {
            return Ok(());
        }
        let count = match item.find_number(DELETED_PARTS) {
            Some(count) => count,
            None => {
                let count = item.number("parts")?;
                let (key, unused): (_, Expected) = (parts.unused().0, vec![("parts", count.into())]);
                let marked = Item::default().with(DELETED_PARTS, count);
                let attempt = || async { self.put(&key, &marked, &unused).await };
                if !self.retried(attempt).await? {
                    return Ok(());
                }
                count
            }
        };
        parts.count = usize::try_from(count).unwrap_or(usize::MAX);
        self.delete_parts(&parts).await
    }

    /// Deletes items one by one.
    pub(super) async fn delete_all(&self, keys: Vec<Key>) -> Result<(), Error> {
        let deletes: Vec<_> = keys.into_iter().map(|key| self.delete_one(key)).collect();
        stream::iter(deletes).buffer_unordered(WRITES).try_collect().await
    }

    async fn delete_one(&self, key: Key) -> Result<(), Error> {
        self.after_beat().await;
        self.retried(|| async { as_expected(self.delete(&key, &Vec::new()).await) }).await.map(drop)
    }
}
