//! A store in memory, for tests and simulations. It keeps the contract of [`Store`] and fails on demand,
//! before or after executing a call.

mod chain;
mod fault;
mod tokens;
mod windows;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::compaction::Oldest;
use super::{
    ChainPage, Commit, Compacted, CursorRecord, Dropped, Error, Expired, HeardRecord, HistoryQuery,
    InstanceRecord, PassRecord, Store, StoredState, TokenEvent, TokenRecord, Upkeep,
};
use crate::domain::{Counts, Event, Hash, Key, Migration};
use fault::Faults;
pub use fault::{Call, Fault};

/// A store in memory. Clones share their content, as several processes share one database.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    kept: Arc<Mutex<Kept>>,
    faults: Arc<Faults>,
}

/// The content.
#[derive(Clone, Debug, Default)]
struct Kept {
    history_id: String,
    migrations: BTreeMap<Key, Migration>,
    /// In order, from the first that was not dropped.
    events: Vec<Event>,
    /// For each of them, the history in which it was committed.
    histories: Vec<String>,
    dropped: Dropped,
    dropped_hash: Hash,
    /// By label.
    instances: BTreeMap<String, InstanceRecord>,
    passes: BTreeMap<String, PassRecord>,
    cursors: BTreeMap<String, CursorRecord>,
    heard: BTreeMap<String, HeardRecord>,
    steady_ms: u64,
    restored: Option<String>,
    put_back: bool,
    /// By migration, scale and beginning.
    windows: BTreeMap<(Key, usize, u64), Counts>,
    tokens: BTreeMap<String, TokenRecord>,
    /// By number, in order.
    token_events: Vec<(u64, TokenEvent)>,
}

impl MemoryStore {
    /// An empty store with this id, instead of a random one.
    pub fn new(history_id: &str) -> Self {
        let kept = Kept { history_id: history_id.to_owned(), ..Kept::default() };
        Self { kept: Arc::new(Mutex::new(kept)), faults: Arc::default() }
    }

    /// The next call of this kind fails with this fault. Faults of one kind queue up, one per call.
    pub fn fail_next(&self, call: Call, fault: Fault) {
        self.faults.push(call, fault);
    }

    /// Asks `choose` before each call without a queued fault; for simulations.
    pub fn fail_by(&self, choose: impl Fn(Call) -> Option<Fault> + Send + Sync + 'static) {
        self.faults.choose_by(Box::new(choose));
    }

    /// A store of its own that is made of this one as it is now, with the same history: a file that was copied by
    /// hand.
    pub fn copied(&self) -> Self {
        Self { kept: Arc::new(Mutex::new(self.kept().clone())), faults: Arc::default() }
    }

    /// The same for a backup that was restored: it has another history.
    pub fn restored(&self, history_id: &str, why: &str) -> Self {
        let (history_id, restored) = (history_id.to_owned(), Some(why.to_owned()));
        let kept = Kept { history_id, restored, put_back: false, ..self.kept().clone() };
        Self { kept: Arc::new(Mutex::new(kept)), faults: Arc::default() }
    }

    /// One migration as it is now. No fault is asked for.
    pub fn migration(&self, key: &Key) -> Option<Migration> {
        self.kept().migrations.get(key).cloned()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new("memory")
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn snapshot(&self) -> Result<StoredState, Error> {
        self.faults.around(Call::Snapshot, || Ok(self.kept().state())).await
    }

    async fn changes(&self, since: u64, limit: u32) -> Result<Vec<Event>, Error> {
        let changes = || {
            let kept = self.kept();
            let from = since.checked_sub(kept.dropped.through).ok_or(Error::Dropped(kept.dropped.through))?;
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            Ok(kept.events.iter().skip(from).take(limit as usize).cloned().collect())
        };
        self.faults.around(Call::Changes, changes).await
    }

    async fn commit(&self, commit: &Commit) -> Result<(), Error> {
        self.faults.around(Call::Commit, || self.kept().commit(commit)).await
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<Event>, Error> {
        self.faults.around(Call::History, || Ok(self.kept().history(query))).await
    }

    async fn compact(&self, expired: &Expired) -> Result<Compacted, Error> {
        self.faults.around(Call::Compact, || Ok(self.kept().compact(expired))).await
    }

    async fn dropped(&self) -> Result<Dropped, Error> {
        self.faults.around(Call::History, || Ok(self.kept().dropped)).await
    }

    async fn chain(&self, after: u64, limit: u32) -> Result<ChainPage, Error> {
        self.faults.around(Call::History, || Ok(self.kept().chain(after, limit))).await
    }

    async fn keep(&self, upkeep: &Upkeep) -> Result<(), Error> {
        let keep = || {
            self.kept().keep(upkeep);
            Ok(())
        };
        self.faults.around(Call::Keep, keep).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.faults.around(Call::Ping, || Ok(())).await
    }
}

impl Kept {
    fn revision(&self) -> u64 {
        self.dropped.through + self.events.len() as u64
    }

    fn compact(&mut self, expired: &Expired) -> Compacted {
        let all_but_newest = self.events.iter().take(self.events.len().saturating_sub(1));
        let oldest =
            all_but_newest.map(|event| Oldest { revision: event.revision, at_ms: event.at_ms, bytes: 0 });
        let compacted = expired.of(oldest, &self.cursors.values().cloned().collect::<Vec<_>>());
        if compacted.events > 0 {
            self.dropped_hash = self.hash_of(compacted.through);
            self.events.drain(..compacted.events as usize);
            self.histories.drain(..compacted.events as usize);
            self.dropped = Dropped { through: compacted.through, at_ms: expired.now_ms };
        }
        compacted
    }

    fn state(&self) -> StoredState {
        StoredState {
            revision: self.revision(),
            history_id: self.history_id.clone(),
            migrations: self.migrations.values().cloned().collect(),
            instances: self.instances.values().cloned().collect(),
            passes: self.passes.values().cloned().collect(),
            cursors: self.cursors.values().cloned().collect(),
            heard: self.heard.values().cloned().collect(),
            steady_ms: self.steady_ms,
            restored: self.restored.clone(),
            put_back: self.put_back,
            seal_key: "of every store in memory".to_owned(),
        }
    }

    fn commit(&mut self, Commit { expected, event }: &Commit) -> Result<(), Error> {
        let is_next = event.revision.checked_sub(1) == Some(self.revision());
        let is_new_request = event.request_id.is_empty()
            || self.events.iter().all(|earlier| earlier.request_id != event.request_id);
        let actual = self.migrations.get(&event.key).map(|migration| migration.revision);
        if !is_next || !is_new_request || actual != *expected {
            return Err(Error::Conflict);
        }
        let rows = &event.rows;
        match (&event.document, self.migrations.get_mut(&event.key)) {
            (None, None) => return Err(Error::Conflict),
            (None, Some(_)) => {
                self.migrations.remove(&event.key);
                self.windows.retain(|(key, _, _), _| *key != event.key);
            }
            (Some(document), Some(migration)) => migration.replay(event.revision, document.clone(), rows),
            (Some(document), None) => {
                let rows = rows.iter().filter_map(|(tenant, row)| Some((tenant.clone(), (*row)?)));
                let migration = Migration::new(event.revision, document.clone(), rows.collect());
                self.migrations.insert(event.key.clone(), migration);
            }
        }
        self.events.push(event.clone());
        self.histories.push(self.history_id.clone());
        Ok(())
    }

    fn history(&self, query: &HistoryQuery) -> Vec<Event> {
        let HistoryQuery { key, request_id, before, limit } = query;
        let is_asked_for = |event: &&Event| {
            before.is_none_or(|before| event.revision < before)
                && key.as_ref().is_none_or(|key| event.key == *key)
                && request_id.as_ref().is_none_or(|id| !id.is_empty() && event.request_id == *id)
        };
        let found = self.events.iter().rev().filter(is_asked_for).take(*limit as usize);
        found.map(|event| Event { rows: Vec::new(), ..event.clone() }).collect()
    }

    fn keep(&mut self, upkeep: &Upkeep) {
        let Upkeep {
            put_instances,
            remove_instances,
            put_passes,
            remove_passes,
            put_cursors,
            remove_cursors,
            steady_ms,
            forget_restored,
            begin_history,
        } = upkeep.clone();
        self.steady_ms = self.steady_ms.max(steady_ms.unwrap_or(0));
        if let Some(why) = begin_history {
            self.history_id = format!("{:032x}", rand::random::<u128>());
            (self.restored, self.put_back) = (Some(why), true);
        }
        if forget_restored {
            (self.restored, self.put_back) = (None, false);
        }
        remove_instances.iter().for_each(|id| _ = self.instances.remove(id));
        remove_passes.iter().for_each(|id| _ = self.passes.remove(id));
        remove_cursors.iter().for_each(|id| _ = self.cursors.remove(id));
        self.instances.extend(put_instances.into_iter().map(|record| (record.label(), record)));
        self.passes.extend(put_passes.into_iter().map(|record| (record.id.clone(), record)));
        self.cursors.extend(put_cursors.into_iter().map(|record| (record.endpoint.clone(), record)));
    }
}
