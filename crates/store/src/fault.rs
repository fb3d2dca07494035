//! A store that fails on demand: it refuses, loses its answer, or hangs. For tests and simulations of code
//! that uses stores.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::{
    Copied, Cursor, EqualIds, Estimate, Id, Identity, KeyRange, Page, Pressure, Put, PutAll, Record,
    ScanOrder, Scope, Segment, Store, StoreError, Version,
};

/// The kinds of calls that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// [`Store::get`], [`Store::get_many`], [`Store::estimate`] and [`Store::pressure`].
    Get,
    /// [`Store::put_if_newer`], [`Store::put_if_unchanged`], [`Store::put_many_if_newer`] and
    /// [`Store::put_all_if_newer`].
    Put,
    /// [`Store::scan`].
    Scan,
}

/// How a call fails.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The call never reaches the store.
    Refuse(StoreError),
    /// The store executes it, but the answer is lost.
    Lose(StoreError),
    /// It waits at the gate, then reaches the store.
    Wait(Gate),
}

/// Where calls wait until they are let through.
#[derive(Clone, Debug)]
pub struct Gate {
    waiting: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

/// A store with injected faults.
#[derive(Debug)]
pub struct Faulty<S: ?Sized> {
    inner: Arc<S>,
    script: Mutex<Script>,
}

#[derive(Debug, Default)]
struct Script {
    next: VecDeque<(Verb, Fault)>,
    /// Each with its share of the calls.
    sometimes: Vec<(Verb, f64, Fault)>,
    calls: Vec<Verb>,
    only: Option<String>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { waiting: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns once a call has arrived at the gate; once for each call.
    pub async fn reached(&self) {
        take(&self.waiting).await;
    }

    /// Lets one call through, even one that has not arrived yet.
    pub fn open(&self) {
        self.open.add_permits(1);
    }

    async fn pass(&self) {
        self.waiting.add_permits(1);
        take(&self.open).await;
    }
}

async fn take(semaphore: &Semaphore) {
    // Nobody closes these semaphores.
    if let Ok(permit) = semaphore.acquire().await {
        permit.forget();
    }
}

impl<S: Store + ?Sized> Faulty<S> {
    /// A store without faults.
    pub fn new(inner: Arc<S>) -> Self {
        Self { inner, script: Mutex::default() }
    }

    /// The underlying store.
    pub fn inner(&self) -> &Arc<S> {
        &self.inner
    }

    /// The next call of this kind without a fault gets this one.
    pub fn next(&self, verb: Verb, fault: Fault) {
        self.script().next.push_back((verb, fault));
    }

    /// Every call of this kind gets this fault, after those of [`Self::next`].
    pub fn always(&self, verb: Verb, fault: Fault) {
        self.sometimes(verb, 1.0, fault);
    }

    /// A random share, 0 to 1, of the calls of this kind gets this fault, after those of [`Self::next`].
    /// Replaces earlier shares for this kind.
    pub fn sometimes(&self, verb: Verb, share: f64, fault: Fault) {
        let mut script = self.script();
        script.sometimes.retain(|(other, ..)| *other != verb);
        script.sometimes.push((verb, share.clamp(0.0, 1.0), fault));
    }

    /// Limits faults to calls about this tenant. `None`: all calls.
    pub fn only(&self, tenant: Option<&str>) {
        self.script().only = tenant.map(ToOwned::to_owned);
    }

    /// Removes all faults.
    pub fn heal(&self) {
        let mut script = self.script();
        script.next.clear();
        script.sometimes.clear();
        script.only = None;
    }

    /// The calls since the start or since the last use of this method.
    pub fn take_calls(&self) -> Vec<Verb> {
        std::mem::take(&mut self.script().calls)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault<'a>(&self, verb: Verb, mut about: impl Iterator<Item = &'a Id>) -> Option<Fault> {
        let mut script = self.script();
        script.calls.push(verb);
        if script.only.as_ref().is_some_and(|only| about.all(|id| id.tenant != *only)) {
            return None;
        }
        match script.next.iter().position(|(other, _)| *other == verb) {
            Some(at) => script.next.remove(at).map(|(_, fault)| fault),
            None => {
                let due =
                    |(other, share, _): &&(Verb, f64, Fault)| *other == verb && rand::random_bool(*share);
                script.sometimes.iter().find(due).map(|(.., fault)| fault.clone())
            }
        }
    }

    async fn run<'a, T>(
        &self,
        verb: Verb,
        about: impl Iterator<Item = &'a Id> + Send,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        match self.fault(verb, about) {
            None => call.await,
            Some(Fault::Refuse(error)) => Err(error),
            Some(Fault::Lose(error)) => call.await.and(Err(error)),
            Some(Fault::Wait(gate)) => {
                gate.pass().await;
                call.await
            }
        }
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for Faulty<S> {
    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        self.run(Verb::Get, [id].into_iter(), self.inner.get(id)).await
    }

    async fn put_if_newer(&self, id: &Id, record: &Record) -> Result<Put, StoreError> {
        self.run(Verb::Put, [id].into_iter(), self.inner.put_if_newer(id, record)).await
    }

    async fn put_if_unchanged(
        &self,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError> {
        self.run(Verb::Put, [id].into_iter(), self.inner.put_if_unchanged(id, record, expected)).await
    }

    async fn get_many(&self, ids: &[Id]) -> Result<Vec<Option<Record>>, StoreError> {
        self.run(Verb::Get, ids.iter(), self.inner.get_many(ids)).await
    }

    async fn put_many_if_newer(&self, records: &[(Id, Record)]) -> Result<Vec<Copied>, StoreError> {
        self.run(Verb::Put, records.iter().map(|(id, _)| id), self.inner.put_many_if_newer(records)).await
    }

    async fn put_all_if_newer(&self, records: &[(Id, Record)]) -> Result<PutAll, StoreError> {
        self.run(Verb::Put, records.iter().map(|(id, _)| id), self.inner.put_all_if_newer(records)).await
    }

    fn check_all(&self, ids: &[Id]) -> Result<(), StoreError> {
        self.inner.check_all(ids)
    }

    async fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        self.run(Verb::Scan, [].into_iter(), self.inner.scan(scope, segment, cursor, limit_bytes)).await
    }

    fn check_range(&self, range: &KeyRange) -> Result<(), StoreError> {
        self.inner.check_range(range)
    }

    fn key_order(&self) -> ScanOrder {
        self.inner.key_order()
    }

    fn scan_order(&self) -> ScanOrder {
        self.inner.scan_order()
    }

    async fn spread(&self, count: usize) -> Result<Option<Vec<Cursor>>, StoreError> {
        self.inner.spread(count).await
    }

    fn loose_ids(&self) -> Option<String> {
        self.inner.loose_ids()
    }

    async fn equal_ids(&self, ids: &[Id]) -> Result<Vec<EqualIds>, StoreError> {
        self.inner.equal_ids(ids).await
    }

    fn check_id(&self, id: &Id) -> Result<(), StoreError> {
        self.inner.check_id(id)
    }

    fn check_record(&self, id: &Id, record: &Record) -> Result<(), StoreError> {
        self.inner.check_record(id, record)
    }

    async fn identity(&self) -> Result<Option<Identity>, StoreError> {
        self.inner.identity().await
    }

    async fn unmapped(&self) -> Result<Vec<String>, StoreError> {
        self.inner.unmapped().await
    }

    async fn estimate(&self) -> Result<Estimate, StoreError> {
        self.run(Verb::Get, [].into_iter(), self.inner.estimate()).await
    }

    async fn pressure(&self) -> Result<Pressure, StoreError> {
        self.run(Verb::Get, [].into_iter(), self.inner.pressure()).await
    }
}
