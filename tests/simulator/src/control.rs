//! The controller's store: in memory, outside of its process, so that it outlives it; and a way off. Several controllers
//! may share it.

pub mod leases;
pub mod seat;
mod session;

use std::{
    cell::Cell,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use cutover::{
    domain::{Counts, Event, Key, Migration, Scale},
    store::{
        ChainPage, Commit, Compacted, Counted, Dropped, Error, Expired, HistoryQuery, Lease, Store,
        StoredState, TokenChange, TokenEvent, TokenRecord, TokenStore, Upkeep, WindowQuery, WindowStore,
        memory::{Call, Fault, MemoryStore},
    },
};
use futures::FutureExt as _;

use seat::Order;
use session::Session;

use crate::{
    cast::KEY,
    invariants::{
        replay,
        telemetry::{self, Writes},
    },
    remote::ask,
    world::{self, MS, Pid, Time},
};

/// How it fares.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Share of calls that fail before anything is done, in ppm.
    pub refused_ppm: u32,
    /// Share of calls that are done, and whose answer is lost, in ppm.
    pub unanswered_ppm: u32,
    /// Share of calls at which the task that makes them panics, in ppm.
    pub panic_ppm: u32,
    /// It takes up to so long.
    pub slow: Time,
}

thread_local! {
    static WEATHER: Cell<Weather> = const {
        Cell::new(Weather { refused_ppm: 0, unanswered_ppm: 0, panic_ppm: 0, slow: 0 })
    };
}

thread_local! {
    static NO_BEATS: Cell<Option<(Pid, Time)>> = const { Cell::new(None) };
}

/// The store refuses the beats of a controller until then, and nothing else: they have a connection of their own.
pub fn refuse_beats(controller: Pid, until: Time) {
    NO_BEATS.set(Some((controller, until)));
}

fn refuses_beats_of(controller: Pid) -> bool {
    NO_BEATS.get().is_some_and(|(refused, until)| refused == controller && world::now() < until)
}

fn weather() -> Weather {
    WEATHER.get()
}

/// Changes how it fares.
pub fn set_weather(weather: Weather) {
    WEATHER.set(weather);
}

/// Sees the event of a commit, and the migration before and after it.
type Witness = dyn Fn(&Event, Option<&Migration>, &Migration) + Send + Sync;

/// The way to the store. Clones lead to the same one.
#[derive(Clone)]
pub struct ControlStore {
    /// What is kept now: a backup may be put in its place.
    kept: Arc<Mutex<MemoryStore>>,
    /// Looks at every commit.
    witness: Arc<Witness>,
    /// Of the controller that uses this way. `None`: it has the store alone.
    session: Option<Session>,
}

/// What a call does.
enum Does {
    Read,
    Write(Order),
}

impl fmt::Debug for ControlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ControlStore")
    }
}

impl ControlStore {
    /// An empty one. `witness` sees the event of every commit, and the migration before and after it.
    pub fn new(witness: impl Fn(&Event, Option<&Migration>, &Migration) + Send + Sync + 'static) -> Self {
        let store = MemoryStore::new("simulated");
        fail_by_weather(&store);
        Self { kept: Arc::new(Mutex::new(store)), witness: Arc::new(witness), session: None }
    }

    /// The way of a controller that starts, and shares the store with others.
    pub fn shared_by(&self, controller: Pid, store: Pid) -> Self {
        Self { session: Some(Session::new(controller, store)), ..self.clone() }
    }

    /// A backup of it as it is now, restored under a history of its own.
    pub fn backup(&self, history_id: &str) -> MemoryStore {
        let backup = self.kept().restored(history_id, "the simulation restored a backup");
        fail_by_weather(&backup);
        backup
    }

    /// A copy of it as it is now, which nothing distinguishes from it.
    pub fn copied(&self) -> MemoryStore {
        let copy = self.kept().copied();
        fail_by_weather(&copy);
        copy
    }

    /// The migration as it is now.
    pub fn migration(&self) -> Option<Migration> {
        Key::parse(KEY).ok().and_then(|key| self.kept().migration(&key))
    }

    /// How many writes to the record stores are counted. `None`: a fault hides that.
    pub fn writes_counted(&self) -> Option<Writes> {
        writes_counted(&self.kept())
    }

    /// Puts a backup in its place, while no controller runs.
    pub fn replace(&self, backup: MemoryStore) {
        replay::put_back();
        *self.kept() = backup;
    }

    fn kept(&self) -> MutexGuard<'_, MemoryStore> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a call at the store, which is there after a while, and hears of it after another.
    async fn far<T, F>(
        &self,
        does: Does,
        call: impl FnOnce(MemoryStore) -> F + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>>,
    {
        let weather = WEATHER.get();
        assert!(!world::chance(weather.panic_ppm), "{}", world::PANIC);
        let kept = self.kept.clone();
        let act = move || {
            let store = kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
            call(store).now_or_never().expect("a store in memory answers at once")
        };
        match (&self.session, does) {
            (Some(session), Does::Read) => session.read(act).await,
            (Some(session), Does::Write(order)) => session.write(order, act).await,
            (None, _) => {
                let way = || world::between(MS / 10, MS + weather.slow);
                let (there, back) = (way(), way());
                ask(there, back, act).await
            }
        }
    }
}

fn writes_counted(store: &MemoryStore) -> Option<Writes> {
    let key = Key::parse(KEY).ok()?;
    // No window of this scale expires within a run.
    let query = WindowQuery { key, scale: Scale::HalfHour, from: 0, before: u64::MAX };
    let windows = store.windows(&query).now_or_never()?.ok()?;
    let sum = |lane: usize| windows.iter().map(|(_, counts)| counts.calls[lane].calls).sum();
    Some([sum(1), sum(3)])
}

fn fail_by_weather(store: &MemoryStore) {
    store.fail_by(|call: Call| {
        if call == Call::Tokens {
            return None; // There are none; a start reads them right after everything else.
        }
        let weather = WEATHER.get();
        match world::chance(weather.refused_ppm) {
            true => Some(Fault::Before),
            false => world::chance(weather.unanswered_ppm).then_some(Fault::After),
        }
    });
}

#[async_trait]
impl Store for ControlStore {
    async fn snapshot(&self) -> Result<StoredState, Error> {
        self.far(Does::Read, |store| async move { store.snapshot().await }).await
    }

    async fn changes(&self, since: u64, limit: u32) -> Result<Vec<Event>, Error> {
        self.far(Does::Read, move |store| async move { store.changes(since, limit).await }).await
    }

    async fn commit(&self, commit: &Commit) -> Result<(), Error> {
        let (commit, witness) = (commit.clone(), self.witness.clone());
        let call = move |store: MemoryStore| async move {
            let key = &commit.event.key;
            let before = store.migration(key);
            // Whatever becomes of the answer.
            let done = store.commit(&commit).await;
            world::tell(|| {
                format!("revision {}: {}: {done:?}", commit.event.revision, commit.event.summary.join("; "))
            });
            if let Some(after) = store.migration(key)
                && before.as_ref().is_none_or(|before| before.revision < after.revision)
            {
                witness(&commit.event, before.as_ref(), &after);
            }
            done
        };
        self.far(Does::Write(Order::Commits), call).await
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<Event>, Error> {
        let query = query.clone();
        self.far(Does::Read, move |store| async move { store.history(&query).await }).await
    }

    async fn keep(&self, upkeep: &Upkeep) -> Result<(), Error> {
        let upkeep = upkeep.clone();
        self.far(Does::Write(Order::Records), move |store| async move { store.keep(&upkeep).await }).await
    }

    async fn compact(&self, expired: &Expired) -> Result<Compacted, Error> {
        let expired = expired.clone();
        self.far(Does::Write(Order::Commits), move |store| async move { store.compact(&expired).await }).await
    }

    async fn chain(&self, after: u64, limit: u32) -> Result<ChainPage, Error> {
        self.far(Does::Read, move |store| async move { store.chain(after, limit).await }).await
    }

    async fn dropped(&self) -> Result<Dropped, Error> {
        self.far(Does::Read, |store| async move { store.dropped().await }).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.far(Does::Read, |store| async move { store.ping().await }).await
    }

    fn lease(&self) -> Option<Arc<Lease>> {
        self.session.as_ref().map(Session::lease)
    }
}

#[async_trait]
impl TokenStore for ControlStore {
    async fn tokens(&self) -> Result<Vec<TokenRecord>, Error> {
        self.far(Does::Read, |store| async move { store.tokens().await }).await
    }

    async fn change_token(&self, change: &TokenChange) -> Result<(), Error> {
        let change = change.clone();
        self.far(Does::Write(Order::Records), move |store| async move { store.change_token(&change).await })
            .await
    }

    async fn note_used(&self, used: &[(String, u64)]) -> Result<(), Error> {
        let used = used.to_vec();
        self.far(Does::Write(Order::Records), move |store| async move { store.note_used(&used).await }).await
    }

    async fn token_events(&self, before: u64, limit: u32) -> Result<Vec<(u64, TokenEvent)>, Error> {
        self.far(Does::Read, move |store| async move { store.token_events(before, limit).await }).await
    }
}

#[async_trait]
impl WindowStore for ControlStore {
    async fn count(&self, counted: &Counted) -> Result<(), Error> {
        let counted = counted.clone();
        let call = move |store: MemoryStore| async move {
            let done = store.count(&counted).await;
            writes_counted(&store).into_iter().for_each(telemetry::stored);
            done
        };
        self.far(Does::Write(Order::Windows), call).await
    }

    async fn windows(&self, query: &WindowQuery) -> Result<Vec<(u64, Counts)>, Error> {
        let query = query.clone();
        self.far(Does::Read, move |store| async move { store.windows(&query).await }).await
    }
}
