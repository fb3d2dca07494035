//! The two record stores of the migration, each behind a network of its own.

use std::{cell::RefCell, sync::Arc, time::Duration};

use async_trait::async_trait;
use cutover_client::{
    report::ErrorClass,
    routing::Mutation,
    store::{
        Copied, Cursor, Estimate, Id, MemoryStore, Page, Pressure, Put, Record, Scope, Segment, Store,
        StoreError, Version,
    },
};
use futures::FutureExt as _;

use crate::{
    remote::{Slot, ask},
    world::{self, MS, S, Time},
};

/// No put lands later than this after it was sent. What is asked of passes as their residual time.
pub const RESIDUAL: Duration = Duration::from_secs(12);

/// An adapter gives a call up after this, later than the SDK does.
const CALL: Time = 6 * S;

/// How calls to a store fare.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Shortest and longest way of a call or an answer.
    pub way: (Time, Time),
    /// Share of calls that the store refuses, in ppm.
    pub refused_ppm: u32,
    /// Share of writes that are done and not answered, in ppm.
    pub unanswered_ppm: u32,
    /// Share of writes that land long after they were given up, in ppm.
    pub late_ppm: u32,
    /// Share of calls at which the task that makes them panics, in ppm.
    pub panic_ppm: u32,
    /// It refuses everything until then.
    pub down_until: Time,
    /// Ways are 20 times as long until then.
    pub slow_until: Time,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            way: (MS, 8 * MS),
            refused_ppm: 0,
            unanswered_ppm: 0,
            late_ppm: 0,
            panic_ppm: 0,
            down_until: 0,
            slow_until: 0,
        }
    }
}

thread_local! {
    static WEATHER: RefCell<[Weather; 2]> = RefCell::default();
}

/// The way of one process to a store.
#[derive(Clone, Debug)]
pub struct DataStore {
    index: usize,
    records: Arc<MemoryStore>,
}

/// What becomes of a call.
enum Fate {
    Answered,
    Refused,
    /// Done after a while. The caller hears that nothing is known, at once or after a while.
    Unknown {
        heard: Option<Time>,
        done: Time,
    },
}

/// Changes how calls to a store fare.
pub fn weather(index: usize, change: impl FnOnce(&mut Weather)) {
    WEATHER.with_borrow_mut(|all| change(&mut all[index]));
}

impl DataStore {
    /// The source is 0, the target 1.
    pub const fn new(index: usize, records: Arc<MemoryStore>) -> Self {
        Self { index, records }
    }

    /// Puts a record there, whatever is there.
    pub fn insert(&self, id: Id, record: Record) {
        self.records.insert(id, record);
    }

    /// Removes a record and leaves nothing in its place.
    pub fn remove(&self, id: &Id) {
        self.records.remove(id);
    }

    fn ways(&self) -> (Time, Time) {
        let weather = WEATHER.with_borrow(|all| all[self.index].clone());
        let way = || {
            let way = world::between(weather.way.0, weather.way.1);
            if world::now() < weather.slow_until { way * 20 } else { way }
        };
        (way(), way())
    }

    fn fate(&self, is_write: bool) -> Fate {
        let weather = WEATHER.with_borrow(|all| all[self.index].clone());
        if world::now() < weather.down_until || world::chance(weather.refused_ppm) {
            return Fate::Refused;
        }
        if is_write && world::chance(weather.late_ppm) {
            let late = world::between(100 * MS, world::ns(RESIDUAL) - S);
            return Fate::Unknown { heard: world::chance(500_000).then_some(CALL), done: late };
        }
        if is_write && world::chance(weather.unanswered_ppm) {
            return Fate::Unknown { heard: None, done: world::between(0, 20 * MS) };
        }
        Fate::Answered
    }

    async fn call<T: Send + 'static>(
        &self,
        is_write: bool,
        act: impl FnOnce(&MemoryStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let panic_ppm = WEATHER.with_borrow(|all| all[self.index].panic_ppm);
        assert!(!world::chance(panic_ppm), "{}", world::PANIC);
        let (there, back) = self.ways();
        let records = self.records.clone();
        let act = move |records: &MemoryStore| {
            let done = act(records);
            if Mutation::Tombstones.is_left_out() {
                let dead = records.dump().into_iter().filter(|(_, record)| record.value.is_none());
                dead.for_each(|(id, _)| records.remove(&id));
            }
            done
        };
        let (class, what) = (ErrorClass::Connection, "the connection broke".to_owned());
        match self.fate(is_write) {
            Fate::Answered => ask(there, back, move || act(&records)).await,
            Fate::Refused => ask(there, back, move || Err(StoreError::NotApplied { class, what })).await,
            Fate::Unknown { heard, done } => {
                let slot = Slot::new(world::running().expect("a process asks"));
                let answered = slot.clone();
                world::after(done, move || _ = act(&records));
                world::after(heard.unwrap_or(there + back), move || {
                    answered.fill(Err(StoreError::Indeterminate { class, what }));
                });
                slot.await
            }
        }
    }
}

/// A call to a store in memory never waits.
fn at_once<T>(call: impl Future<Output = T>) -> T {
    call.now_or_never().expect("a store in memory answers at once")
}

#[async_trait]
impl Store for DataStore {
    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        let id = id.clone();
        self.call(false, move |store| at_once(store.get(&id))).await
    }

    async fn put_if_newer(&self, id: &Id, record: &Record) -> Result<Put, StoreError> {
        let (id, record, self_is_target) = (id.clone(), record.clone(), self.index == 1);
        let put = move |store: &MemoryStore| match self_is_target && Mutation::MirrorIfNewer.is_left_out() {
            true => {
                store.insert(id, record);
                Ok(Put::Applied)
            }
            false => at_once(store.put_if_newer(&id, &record)),
        };
        self.call(true, put).await
    }

    async fn put_if_unchanged(
        &self,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError> {
        let (id, record) = (id.clone(), record.clone());
        self.call(true, move |store| at_once(store.put_if_unchanged(&id, &record, expected))).await
    }

    async fn get_many(&self, ids: &[Id]) -> Result<Vec<Option<Record>>, StoreError> {
        let ids = ids.to_vec();
        self.call(false, move |store| at_once(store.get_many(&ids))).await
    }

    async fn put_many_if_newer(&self, records: &[(Id, Record)]) -> Result<Vec<Copied>, StoreError> {
        let records = records.to_vec();
        let put = move |store: &MemoryStore| match Mutation::CopyIfNewer.is_left_out() {
            true => {
                let copy = |(id, record)| {
                    store.insert(id, record);
                    Copied::Written
                };
                Ok(records.into_iter().map(copy).collect())
            }
            false => at_once(store.put_many_if_newer(&records)),
        };
        self.call(true, put).await
    }

    async fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        let (scope, cursor) = (scope.clone(), cursor.cloned());
        // Small pages: what is written between two of them matters.
        let limit_bytes = limit_bytes.min(64);
        self.call(false, move |store| at_once(store.scan(&scope, segment, cursor.as_ref(), limit_bytes)))
            .await
    }

    async fn estimate(&self) -> Result<Estimate, StoreError> {
        self.call(false, |store| at_once(store.estimate())).await
    }

    async fn pressure(&self) -> Result<Pressure, StoreError> {
        self.call(false, |store| at_once(store.pressure())).await
    }
}
