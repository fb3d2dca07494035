//! Reads of several records as one operation.

use std::{collections::BTreeMap, sync::Arc};

use serde::de::DeserializeOwned;

use super::{
    Inner, Migrator, READS_MAX, ReadError, Unavailable,
    calls::Calls,
    finish::Finish,
    rules::{Answer, Condition, Found, OperationStep, Read, ReadCall, ReadEnd},
    shadow,
};
use crate::{
    report::StoreRole,
    routing::Rung,
    store::{Id, Record, StoreError, document::Document},
    watch::Operation,
};

/// How many records one operation reads: what DynamoDB reads at once.
const TOGETHER_MAX: usize = 100;

pub(super) type ReadStep = OperationStep<Read, ReadCall, ReadEnd>;

/// The answers in the order of the ids, or `None` if the read was overtaken and has to be repeated.
pub(super) type Answered = Option<Result<Vec<Option<Vec<u8>>>, ReadError>>;

/// One of the records.
pub(super) struct One {
    pub(super) id: Id,
    step: ReadStep,
    source: Option<Record>,
    target: Option<Record>,
    asked_source: bool,
    error: Option<StoreError>,
}

/// The state of one read of several records.
pub(super) struct Reading {
    /// Declared before the operation, so that calls are counted before their revision is acknowledged.
    pub(super) calls: Calls,
    pub(super) operation: Operation,
    pub(super) all: Vec<One>,
    /// Nobody asked for these keys: those without a record are no answer.
    pub(super) is_list: bool,
}

impl Migrator {
    /// Returns several records of a tenant, in the order of `keys`; `None` for each that does not exist or was deleted.
    /// Each record is read by the rules of [`Self::get`], up to 100 of them in one call to a store. They are not of one
    /// moment: a write may end between two of them.
    ///
    /// If one record can't be read, the whole call fails.
    ///
    /// ```
    /// # use cutover_client::{routing::Rung, testing::{FakeController, MemoryStore}};
    /// # async fn story() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = FakeController::at("orders", Rung::Dual).client();
    /// # let orders = client.migrator("orders", MemoryStore::new(), MemoryStore::new());
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Order {
    ///     items: u32,
    /// }
    ///
    /// orders.put("acme", "order-1", &Order { items: 3 }).await?;
    /// let found = orders.get_many::<Order>("acme", &["order-1", "order-2"]).await?;
    /// let items: Vec<_> = found.iter().map(|order| order.as_ref().map(|order| order.items)).collect();
    /// assert_eq!(items, [Some(3), None]);
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(story()).unwrap();
    /// ```
    pub async fn get_many<T: DeserializeOwned>(
        &self,
        tenant: &str,
        keys: &[impl AsRef<str> + Sync],
    ) -> Result<Vec<Option<T>>, ReadError> {
        let value = |bytes: Vec<u8>| Document::decode(&bytes)?.to_value();
        let found = self.get_many_bytes(tenant, keys).await?;
        let values = found.into_iter().map(|bytes| bytes.map(value).transpose());
        values.collect::<Result<_, _>>().map_err(ReadError::Value)
    }

    /// [`Self::get_many`] of raw bytes.
    pub async fn get_many_bytes(
        &self,
        tenant: &str,
        keys: &[impl AsRef<str> + Sync],
    ) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
        // Stores take different records, in any order; a key may be asked for twice.
        let mut found = BTreeMap::new();
        for key in keys {
            found.insert(Id::new(tenant, key.as_ref())?, None);
        }
        let ids: Vec<_> = found.keys().cloned().collect();
        for ids in ids.chunks(TOGETHER_MAX) {
            let values = self.read_together(tenant, ids).await?;
            for (id, value) in ids.iter().zip(values) {
                found.insert(id.clone(), value);
            }
        }
        let value = |key: &str| {
            let id = Id { tenant: tenant.to_owned(), key: key.to_owned() };
            found.get(&id).cloned().flatten()
        };
        Ok(keys.iter().map(|key| value(key.as_ref())).collect())
    }

    async fn read_together(&self, tenant: &str, ids: &[Id]) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
        for _ in 0..READS_MAX {
            let operation = self.inner.admit(tenant).await?;
            if let Some(answer) = read(&self.inner, operation, tenant, ids).await {
                return answer;
            }
        }
        self.inner.unavailable(tenant, self.inner.revision(tenant));
        Err(Unavailable::Overtaken(READS_MAX).into())
    }
}

async fn read(inner: &Arc<Inner>, operation: Operation, tenant: &str, ids: &[Id]) -> Answered {
    let step = first_step(inner, &operation);
    let all = ids.iter().map(|id| One::new(id.clone(), step)).collect();
    let calls = Calls::new(inner.clone(), tenant, operation.decision.revision, operation.standing());
    let mut reading = Reading { calls, operation, all, is_list: false };
    // Nothing is written before the first copy: until then the read may be dropped at any time.
    while !reading.all.iter().any(One::copies) {
        if !reading.gets().await {
            return reading.conclude();
        }
    }
    Finish::new(reading.run()).await
}

/// What every read of this operation does first.
pub(super) fn first_step(inner: &Inner, operation: &Operation) -> ReadStep {
    let decision = operation.decision;
    let first = Read::begin(decision.rung, inner.reads_target_alone(operation), operation.policy.level);
    first.expect("an admitted operation is not on hold")
}

impl Reading {
    /// Runs the rest of the read, copies included.
    pub(super) async fn run(mut self) -> Answered {
        loop {
            let copied = self.copies().await;
            if !self.gets().await && !copied {
                return self.conclude();
            }
        }
    }

    /// Makes the next calls that only read, one to each store. Returns whether there were any.
    pub(super) async fn gets(&mut self) -> bool {
        let mut any = false;
        for store in [StoreRole::Source, StoreRole::Target] {
            let mut ones: Vec<_> = self.all.iter_mut().filter(|one| one.reads() == Some(store)).collect();
            if ones.is_empty() {
                continue;
            }
            any = true;
            let ids: Vec<_> = ones.iter().map(|one| one.id.clone()).collect();
            match self.calls.get_many(store, &ids).await {
                Ok(records) => {
                    for (one, record) in ones.iter_mut().zip(records) {
                        one.got(&self.calls.inner, store, record);
                    }
                }
                Err(error) => ones.iter_mut().for_each(|one| one.failed(error.clone())),
            }
        }
        any
    }

    /// Makes the copies that are due. Returns whether there were any. After one has failed the read can only fail, so the
    /// others fail without a call: each could take as long as that one, and the operation holds the barrier.
    async fn copies(&mut self) -> bool {
        let mut any = false;
        let mut failed = self.all.iter().find_map(One::failed_target);
        for one in self.all.iter_mut().filter(|one| one.copies()) {
            any = true;
            if let Some(error) = &failed {
                one.failed(error.clone());
                continue;
            }
            let record = one.source.as_ref().expect("the rules copy only what the source has answered");
            match self.calls.put(StoreRole::Target, &one.id, record, Condition::Newer).await {
                Ok(put) => one.answer(Answer::Put(put)),
                Err(error) => {
                    let error = error.of_record(&one.id.tenant, &one.id.key);
                    one.failed(error.clone());
                    failed = Some(error);
                }
            }
        }
        any
    }

    /// Counts the read and ends its operation.
    pub(super) fn conclude(mut self) -> Answered {
        let (inner, calls) = (self.calls.inner.clone(), &mut self.calls);
        let overtaken = inner.overtaken(&self.operation, &calls.tenant);
        calls.paired(calls.read_failed(StoreRole::Source), calls.read_failed(StoreRole::Target));
        let rung = self.operation.decision.rung;
        let (mut failed, mut answered, mut of_list) = (None, None, None);
        let mut values = Vec::with_capacity(self.all.len());
        for one in self.all {
            let end = one.end();
            let (from, found) = match end {
                ReadEnd::Return(from, found) => (from, found),
                ReadEnd::Failed(store) => {
                    let error = one.error.expect("the rules fail a read only when a store has failed");
                    failed.get_or_insert(ReadError::Failed { store, error });
                    continue;
                }
            };
            calls.copied(found);
            if overtaken {
                continue;
            }
            match (self.is_list, found) {
                (false, _) => calls.found(found),
                (true, Found::NotFound) => {}
                (true, Found::Miss) => of_list = Some(found),
                (true, _) => _ = of_list.get_or_insert(found),
            }
            if rung == Rung::Dual {
                shadow::sample(&inner, &self.operation, &one.id, one.source.as_ref());
            }
            let record = match from {
                Some(StoreRole::Source) => one.source,
                Some(StoreRole::Target) => one.target,
                None => None,
            };
            let value = inner.visible(record.as_ref()).map(<[u8]>::to_vec);
            let is_answer = value.is_some() || !self.is_list;
            if let Some(store) = end.answered(rung, one.asked_source).filter(|_| is_answer) {
                let (_, is_found) = answered.get_or_insert((store, true));
                *is_found &= value.is_some();
            }
            values.push(value);
        }
        if overtaken {
            return None;
        }
        if let Some(error) = failed {
            return Some(Err(error));
        }
        // A page's records are no separate evidence: it counts once, as a miss if it has one.
        if let Some(found) = of_list {
            calls.found(found);
        }
        // One call, so it counts once: as found if every record was.
        if let Some((store, is_found)) = answered {
            calls.answered(store, is_found);
        }
        Some(Ok(values))
    }
}

impl One {
    pub(super) const fn new(id: Id, step: ReadStep) -> Self {
        Self { id, step, source: None, target: None, asked_source: false, error: None }
    }

    pub(super) const fn copies(&self) -> bool {
        matches!(self.step, OperationStep::Call(_, ReadCall::Copy))
    }

    /// The store that it has to read next.
    pub(super) const fn reads(&self) -> Option<StoreRole> {
        match self.step {
            OperationStep::Call(_, ReadCall::Get(store)) => Some(store),
            _ => None,
        }
    }

    pub(super) fn got(&mut self, inner: &Inner, store: StoreRole, record: Option<Record>) {
        let seen = inner.seen(record.as_ref());
        match store {
            StoreRole::Source => (self.source, self.asked_source) = (record, true),
            StoreRole::Target => self.target = record,
        }
        self.answer(Answer::Got(seen));
    }

    fn failed(&mut self, error: StoreError) {
        self.answer(Answer::from(&error));
        self.error = Some(error);
    }

    /// Why it has failed at the target.
    fn failed_target(&self) -> Option<StoreError> {
        let has_failed = matches!(self.step, OperationStep::End(ReadEnd::Failed(StoreRole::Target)));
        self.error.clone().filter(|_| has_failed)
    }

    fn answer(&mut self, answer: Answer) {
        if let OperationStep::Call(read, _) = self.step {
            self.step = read.step(answer);
        }
    }

    fn end(&self) -> ReadEnd {
        match self.step {
            OperationStep::End(end) => end,
            OperationStep::Call(..) => unreachable!("a read is concluded when no call is left"),
        }
    }
}
