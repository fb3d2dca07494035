//! The controller's store: in memory, outside of its process, so that it outlives it.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use cutover::{
    domain::{Counts, Event, Key, Migration, WindowId},
    store::{
        Commit, Counted, CursorRecord, Error, HeardRecord, HistoryQuery, InstanceRecord, PassRecord, State,
        Store, Upkeep, WindowQuery, WindowStore,
    },
};

use crate::{
    remote::ask,
    world::{self, MS, Time},
};

/// How it fares.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Share of calls that fail before anything is done, in ppm.
    pub refused_ppm: u32,
    /// Share of calls that are done, and whose answer is lost, in ppm.
    pub unanswered_ppm: u32,
    /// It takes up to so long.
    pub slow: Time,
}

thread_local! {
    static WEATHER: Cell<Weather> = const { Cell::new(Weather { refused_ppm: 0, unanswered_ppm: 0, slow: 0 }) };
}

/// Changes how it fares.
pub fn set_weather(weather: Weather) {
    WEATHER.set(weather);
}

/// Everything it keeps.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    revision: u64,
    history_id: String,
    migrations: BTreeMap<Key, Migration>,
    events: Vec<Event>,
    instances: BTreeMap<String, InstanceRecord>,
    passes: BTreeMap<String, PassRecord>,
    cursors: BTreeMap<String, CursorRecord>,
    heard: BTreeMap<String, HeardRecord>,
    steady_ms: u64,
    windows: BTreeMap<WindowId, Counts>,
}

/// Sees a migration before and after a commit.
type Witness = dyn Fn(Option<&Migration>, &Migration) + Send + Sync;

/// The store. Clones are the same one.
#[derive(Clone)]
pub struct ControlStore {
    kept: Arc<Mutex<Kept>>,
    /// Looks at every commit.
    witness: Arc<Witness>,
}

impl fmt::Debug for ControlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ControlStore")
    }
}

impl ControlStore {
    /// An empty one. `witness` sees every migration before and after a commit.
    pub fn new(
        history_id: &str,
        witness: impl Fn(Option<&Migration>, &Migration) + Send + Sync + 'static,
    ) -> Self {
        let kept = Kept { history_id: history_id.to_owned(), ..Kept::default() };
        Self { kept: Arc::new(Mutex::new(kept)), witness: Arc::new(witness) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let weather = WEATHER.get();
        let way = || world::between(MS / 10, MS + weather.slow);
        let (there, back) = (way(), way());
        let refused = world::chance(weather.refused_ppm);
        let unanswered = world::chance(weather.unanswered_ppm);
        let store = self.clone();
        ask(there, back, move || {
            if refused {
                return Err(Error::Unavailable("the disk does not answer".to_owned()));
            }
            let done = act(&store);
            match done {
                Ok(_) if unanswered => Err(Error::Unknown("the answer was lost".to_owned())),
                done => done,
            }
        })
        .await
    }

    fn commit_now(&self, commit: &Commit) -> Result<(), Error> {
        let event = &commit.event;
        let mut kept = self.kept();
        let known = kept.migrations.get(&event.key).cloned();
        let is_expected = known.as_ref().map(|known| known.revision) == commit.expected;
        let is_repeated = !event.request_id.is_empty()
            && kept.events.iter().any(|known| known.request_id == event.request_id);
        if event.revision != kept.revision + 1 || !is_expected || is_repeated {
            return Err(Error::Conflict);
        }
        match &event.document {
            None => {
                if kept.migrations.remove(&event.key).is_none() {
                    return Err(Error::Conflict);
                }
                kept.windows.retain(|window, _| window.key != event.key);
            }
            Some(document) => {
                let mut after = match &known {
                    Some(known) => known.clone(),
                    None => Migration::new(event.revision, document.clone(), Default::default()),
                };
                after.replay(event.revision, document.clone(), &event.rows);
                (self.witness)(known.as_ref(), &after);
                kept.migrations.insert(event.key.clone(), after);
            }
        }
        kept.revision = event.revision;
        kept.events.push(event.clone());
        Ok(())
    }
}

#[async_trait]
impl Store for ControlStore {
    async fn snapshot(&self) -> Result<State, Error> {
        self.call(|store| {
            let kept = store.kept();
            Ok(State {
                revision: kept.revision,
                history_id: kept.history_id.clone(),
                migrations: kept.migrations.values().cloned().collect(),
                instances: kept.instances.values().cloned().collect(),
                passes: kept.passes.values().cloned().collect(),
                cursors: kept.cursors.values().cloned().collect(),
                heard: kept.heard.values().cloned().collect(),
                steady_ms: kept.steady_ms,
                restored: None,
            })
        })
        .await
    }

    async fn changes(&self, since: u64, limit: u32) -> Result<Vec<Event>, Error> {
        self.call(move |store| {
            let kept = store.kept();
            let newer = kept.events.iter().filter(|event| event.revision > since);
            Ok(newer.take(limit as usize).cloned().collect())
        })
        .await
    }

    async fn commit(&self, commit: &Commit) -> Result<(), Error> {
        let commit = commit.clone();
        self.call(move |store| store.commit_now(&commit)).await
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<Event>, Error> {
        let query = query.clone();
        self.call(move |store| {
            let kept = store.kept();
            let asked = kept.events.iter().rev().filter(|event| {
                query.key.as_ref().is_none_or(|key| event.key == *key)
                    && query.request_id.as_ref().is_none_or(|id| !id.is_empty() && event.request_id == *id)
                    && query.before.is_none_or(|before| event.revision < before)
            });
            let without_rows = |event: &Event| Event { rows: Vec::new(), ..event.clone() };
            Ok(asked.take(query.limit as usize).map(without_rows).collect())
        })
        .await
    }

    async fn keep(&self, upkeep: &Upkeep) -> Result<(), Error> {
        let upkeep = upkeep.clone();
        self.call(move |store| {
            let mut kept = store.kept();
            kept.steady_ms = kept.steady_ms.max(upkeep.steady_ms.unwrap_or(0));
            upkeep.remove_instances.iter().for_each(|id| _ = kept.instances.remove(id));
            upkeep.remove_passes.iter().for_each(|id| _ = kept.passes.remove(id));
            upkeep.remove_cursors.iter().for_each(|id| _ = kept.cursors.remove(id));
            kept.instances.extend(upkeep.put_instances.into_iter().map(|one| (one.label(), one)));
            kept.passes.extend(upkeep.put_passes.into_iter().map(|one| (one.id.clone(), one)));
            kept.cursors.extend(upkeep.put_cursors.into_iter().map(|one| (one.endpoint.clone(), one)));
            Ok(())
        })
        .await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.call(|_| Ok(())).await
    }
}

#[async_trait]
impl WindowStore for ControlStore {
    async fn count(&self, counted: &Counted) -> Result<(), Error> {
        let counted = counted.clone();
        self.call(move |store| {
            let mut kept = store.kept();
            for (id, counts) in &counted.windows {
                if kept.migrations.contains_key(&id.key) {
                    kept.windows.entry(id.clone()).or_default().merge(counts);
                }
            }
            counted.forgotten.iter().for_each(|id| _ = kept.heard.remove(id));
            kept.heard.extend(counted.heard.into_iter().map(|one| (one.instance_id.clone(), one)));
            Ok(())
        })
        .await
    }

    async fn windows(&self, query: &WindowQuery) -> Result<Vec<(u64, Counts)>, Error> {
        let query = query.clone();
        self.call(move |store| {
            let kept = store.kept();
            let of = |id: &&WindowId| {
                id.key == query.key && id.scale == query.scale && (query.from..query.before).contains(&id.at)
            };
            Ok(kept
                .windows
                .iter()
                .filter(|(id, _)| of(id))
                .map(|(id, counts)| (id.at, counts.clone()))
                .collect())
        })
        .await
    }
}
