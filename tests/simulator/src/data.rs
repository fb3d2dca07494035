//! The two record stores of the migration, each behind a network of its own.

mod trap;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use cutover_client::{
    report::ErrorClass,
    routing::{Mutation, Rung},
    store::{
        Copied, Cursor, Estimate, Id, MemoryStore, Page, Pressure, Put, PutAll, Record, ScanOrder, Scope,
        Segment, Store, StoreError, Version,
    },
};
use futures::FutureExt as _;

use crate::{
    invariants::{self, telemetry},
    play,
    remote::{Slot, ask, ask_after},
    whole,
    world::{self, MS, Pid, S, Time},
};
use trap::spring_trap;
pub use trap::{Delay, Trap, clear_trap, set_trap};

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
    /// Share of their callers who wait in vain, in ppm; others hear at once that nothing is known.
    pub hanging_ppm: u32,
    /// Share of calls at which the task that makes them panics, in ppm.
    pub panic_ppm: u32,
    /// It refuses everything until then.
    pub down_until: Time,
    /// Ways are 20 times as long until then.
    pub slow_until: Time,
    /// Share of calls and of answers that take long, in ppm: up to nearly the residual time.
    pub lag_ppm: u32,
    /// The same of writes.
    pub writes: Writes,
    /// One process can't reach it until then.
    pub cut_off: Option<(Pid, Time)>,
}

/// How writes to a store fare besides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Writes {
    /// Share that the store refuses, in ppm.
    pub refused_ppm: u32,
    /// Share that take long to arrive, in ppm.
    pub slow_ppm: u32,
    /// How long.
    pub slow: (Time, Time),
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            way: (MS, 8 * MS),
            refused_ppm: 0,
            unanswered_ppm: 0,
            late_ppm: 0,
            hanging_ppm: 500_000,
            panic_ppm: 0,
            down_until: 0,
            slow_until: 0,
            lag_ppm: 0,
            writes: Writes::default(),
            cut_off: None,
        }
    }
}

/// Whether calls to a store fail.
pub fn is_failing(index: usize) -> bool {
    let weather = WEATHER.with_borrow(|all| all[index].clone());
    world::now() < weather.down_until || weather.late_ppm + weather.unanswered_ppm + weather.lag_ppm > 0
}

thread_local! {
    static WEATHER: RefCell<[Weather; 2]> = RefCell::default();
    static RESIDUAL: Cell<Time> = const { Cell::new(0) };
}

/// No put lands later than this after it was sent.
pub fn set_residual(residual: Time) {
    RESIDUAL.set(residual);
}

/// What is asked of passes as their residual time.
pub fn residual() -> Duration {
    Duration::from_nanos(RESIDUAL.get())
}

/// The latest that a put lands.
fn latest() -> Time {
    RESIDUAL.get() - S
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

    /// The source is 0, the target 1.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Puts a record there, whatever is there.
    pub fn insert(&self, id: Id, record: Record) {
        self.records.insert(id, record);
    }

    /// Removes a record and leaves nothing in its place.
    pub fn remove(&self, id: &Id) {
        self.records.remove(id);
    }

    /// Everything that is there now.
    pub fn dump(&self) -> BTreeMap<Id, Record> {
        self.records.dump()
    }

    /// What is there now.
    pub fn peek(&self, id: &Id) -> Option<Record> {
        at_once(self.records.get(id)).ok().flatten()
    }

    fn ways(&self, is_write: bool) -> (Time, Time) {
        let weather = WEATHER.with_borrow(|all| all[self.index].clone());
        let Writes { slow_ppm, slow, .. } = weather.writes;
        let is_slow = is_write && slow_ppm > 0 && world::chance(slow_ppm);
        let way = || {
            let way = world::between(weather.way.0, weather.way.1);
            if world::chance(weather.lag_ppm) {
                return world::between(way, latest().min(7 * S));
            }
            if world::now() < weather.slow_until { way * 20 } else { way }
        };
        let (there, back) = (way(), way());
        (if is_slow { world::between(slow.0, slow.1) } else { there }, back)
    }

    fn fate(&self, is_write: bool) -> Fate {
        let weather = WEATHER.with_borrow(|all| all[self.index].clone());
        if world::now() < weather.down_until || world::chance(weather.refused_ppm) {
            return Fate::Refused;
        }
        let is_cut_off = |(pid, until): (Pid, Time)| Some(pid) == world::running() && world::now() < until;
        let refused_ppm = weather.writes.refused_ppm;
        if weather.cut_off.is_some_and(is_cut_off)
            || is_write && refused_ppm > 0 && world::chance(refused_ppm)
        {
            return Fate::Refused;
        }
        if is_write && world::chance(weather.late_ppm) {
            let late = world::between(100 * MS, latest());
            return Fate::Unknown { heard: world::chance(weather.hanging_ppm).then_some(CALL), done: late };
        }
        if is_write && world::chance(weather.unanswered_ppm) {
            return Fate::Unknown { heard: None, done: world::between(0, 20 * MS) };
        }
        Fate::Answered
    }

    async fn call<T: Send + 'static>(
        &self,
        written: Vec<Id>,
        act: impl FnOnce(&MemoryStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if written.is_empty() {
            return self.call_after(Delay::None, written, act).await;
        }
        let delay = spring_trap(self.index, &written);
        telemetry::write_begins(self.index);
        let done = self.call_after(delay, written, act).await;
        telemetry::write_answered(self.index);
        done
    }

    async fn call_after<T: Send + 'static>(
        &self,
        delay: Delay,
        written: Vec<Id>,
        act: impl FnOnce(&MemoryStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let is_write = !written.is_empty();
        let panic_ppm = WEATHER.with_borrow(|all| all[self.index].panic_ppm);
        assert!(!world::chance(panic_ppm), "{}", world::PANIC);
        let (there, back) = self.ways(is_write);
        let (records, index) = (self.records.clone(), self.index);
        let act = move |records: &MemoryStore| {
            let done = act(records);
            whole::check(index, records, &written);
            let is_purged = index == 1 && invariants::is_everybody_at(Rung::TargetOnly);
            if Mutation::Tombstones.is_left_out() || is_purged && Mutation::TombstonesStay.is_left_out() {
                let dead = records.dump().into_iter().filter(|(_, record)| record.value.is_none());
                dead.for_each(|(id, _)| records.remove(&id));
            }
            written.iter().for_each(invariants::check);
            done
        };
        let (class, what) = (ErrorClass::Connection, "the connection broke".to_owned());
        // Such a call does not meet today's weather.
        let fate = match delay {
            Delay::HeldBack(held_back) => {
                return ask_after(held_back, there, back, move || act(&records)).await;
            }
            Delay::Unanswered(late) => Fate::Unknown { heard: None, done: late },
            Delay::None => self.fate(is_write),
        };
        match fate {
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
pub fn at_once<T>(call: impl Future<Output = T>) -> T {
    call.now_or_never().expect("a store in memory answers at once")
}

#[async_trait]
impl Store for DataStore {
    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        let id = id.clone();
        let delay = spring_trap(self.index, &[]);
        self.call_after(delay, Vec::new(), move |store| at_once(store.get(&id))).await
    }

    async fn put_if_newer(&self, id: &Id, record: &Record) -> Result<Put, StoreError> {
        let (written, id, record, self_is_target) = (id.clone(), id.clone(), record.clone(), self.index == 1);
        let put = move |store: &MemoryStore| match self_is_target && Mutation::MirrorIfNewer.is_left_out() {
            true => {
                store.insert(id, record);
                Ok(Put::Applied)
            }
            false => at_once(store.put_if_newer(&id, &record)),
        };
        self.call(vec![written], put).await
    }

    async fn put_if_unchanged(
        &self,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError> {
        let (written, id, record) = (vec![id.clone()], id.clone(), record.clone());
        let is_repair = self.index == 1 && world::running().is_some_and(play::is_worker);
        let put = move |store: &MemoryStore| {
            if is_repair && Mutation::RepairIfUnchanged.is_left_out() {
                store.insert(id, record);
                return Ok(Put::Applied);
            }
            match !is_repair && Mutation::WritesOverRead.is_left_out() {
                true => at_once(store.put_if_newer(&id, &record)),
                false => at_once(store.put_if_unchanged(&id, &record, expected)),
            }
        };
        self.call(written, put).await
    }

    async fn get_many(&self, ids: &[Id]) -> Result<Vec<Option<Record>>, StoreError> {
        let (ids, delay) = (ids.to_vec(), spring_trap(self.index, &[]));
        self.call_after(delay, Vec::new(), move |store| at_once(store.get_many(&ids))).await
    }

    async fn put_many_if_newer(&self, records: &[(Id, Record)]) -> Result<Vec<Copied>, StoreError> {
        let records = records.to_vec();
        let written = records.iter().map(|(id, _)| id.clone()).collect();
        let put = move |store: &MemoryStore| {
            let only_new = Mutation::CopyReplaces.is_left_out();
            if !only_new && !Mutation::CopyIfNewer.is_left_out() {
                return at_once(store.put_many_if_newer(&records));
            }
            let copy = |(id, record): (Id, Record)| {
                if only_new && at_once(store.get(&id))?.is_some() {
                    return Ok(Copied::Present);
                }
                store.insert(id, record);
                Ok(Copied::Written)
            };
            records.into_iter().map(copy).collect()
        };
        self.call(written, put).await
    }

    async fn put_all_if_newer(&self, records: &[(Id, Record)]) -> Result<PutAll, StoreError> {
        let records = records.to_vec();
        let written = records.iter().map(|(id, _)| id.clone()).collect();
        self.call(written, move |store| at_once(store.put_all_if_newer(&records))).await
    }

    fn check_all(&self, _ids: &[Id]) -> Result<(), StoreError> {
        Ok(())
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
        let delay = spring_trap(self.index, &[]);
        let scan =
            move |store: &MemoryStore| at_once(store.scan(&scope, segment, cursor.as_ref(), limit_bytes));
        self.call_after(delay, Vec::new(), scan).await
    }

    fn key_order(&self) -> ScanOrder {
        ScanOrder::Bytes
    }

    async fn estimate(&self) -> Result<Estimate, StoreError> {
        self.call(Vec::new(), |store| at_once(store.estimate())).await
    }

    async fn pressure(&self) -> Result<Pressure, StoreError> {
        self.call(Vec::new(), |store| at_once(store.pressure())).await
    }
}
