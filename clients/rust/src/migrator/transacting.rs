//! Writes of several records, applied all at once in each store.

mod writes;

use std::sync::Arc;

pub use writes::Writes;

use super::{
    Cause, Inner, Migrator, WriteError,
    calls::Calls,
    finish,
    rules::{Answer, OperationStep, Write, WriteCall},
    writing::{PUTS_MAX, ended, needs_target, refused},
};
use crate::{
    report::StoreRole,
    store::{Id, Put, PutAll, Record, StoreError, Version, now_ms_since_2025},
    watch::Operation,
};

impl Migrator {
    /// Puts and deletes several records of one tenant, and returns the version that all of them have. Each store
    /// applies all of it or none. At most [`super::TRANSACT_MAX`] records and
    /// [`super::TRANSACT_MAX_BYTES`] bytes.
    ///
    /// Like [`Self::put`] it overwrites what is there, and each record keeps the promises of a put: once it is
    /// acknowledged, every read finds all of it or later writes. If it is not applied, nobody ever finds any of it.
    ///
    /// While it runs, and after [`WriteError::Indeterminate`], a reader may find a part of it at target-first, and where
    /// reads are no snapshot, such as [`Self::get_many`]. Repeat an indeterminate one until it is acknowledged: the
    /// target may have a part of it. docs/protocol.md, "Transactions", says what readers get at each rung.
    /// It reads no content, so it can't depend on what is there.
    ///
    /// A store without transactions refuses it at every rung. Of Cutover's stores only DynamoDB global tables with
    /// multi-Region strong consistency have none.
    ///
    /// ```
    /// # use cutover_client::{routing::Rung, testing::{FakeController, MemoryStore}};
    /// # async fn story() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = FakeController::at("orders", Rung::Dual).client();
    /// # let orders = client.migrator("orders", MemoryStore::new(), MemoryStore::new());
    /// use cutover_client::migrator::Writes;
    ///
    /// #[derive(serde::Serialize)]
    /// struct Order {
    ///     total: u32,
    /// }
    ///
    /// let writes = Writes::new().put("order-1", &Order { total: 7 })?.delete("cart-1");
    /// orders.transact("acme", writes).await?;
    /// # assert!(orders.get_bytes("acme", "order-1").await?.is_some());
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(story()).unwrap();
    /// ```
    pub async fn transact(&self, tenant: &str, writes: Writes) -> Result<Version, WriteError> {
        let records = writes.records(tenant)?;
        let ids = ids(&records);
        // At every rung: otherwise a service would find out in the middle of a ramp.
        for store in [StoreRole::Source, StoreRole::Target] {
            let checked = self.inner.store(store).check_all(&ids);
            checked.map_err(|error| WriteError::NotApplied(Cause::Store { store, error }))?;
        }
        let operation = self.inner.admit(tenant).await?;
        let transacting = Transacting::new(self.inner.clone(), operation, tenant, records);
        finish::Finish::new(transacting.run()).await
    }
}

fn ids(records: &[(Id, Record)]) -> Vec<Id> {
    records.iter().map(|(id, _)| id.clone()).collect()
}

/// One call of [`Migrator::transact`], from its decision to its end. To the rules it is one put: of the highest
/// version that a store has of any of the records, and applied if all of them are.
struct Transacting {
    /// Declared before the operation, so that calls are counted before their revision is acknowledged.
    calls: Calls,
    operation: Operation,
    /// In the order of their ids.
    records: Vec<(Id, Record)>,
    error: Option<StoreError>,
    puts: u32,
}

impl Transacting {
    fn new(inner: Arc<Inner>, operation: Operation, tenant: &str, records: Vec<(Id, Record)>) -> Self {
        let calls = Calls::new(inner, tenant, operation.decision.revision, operation.standing());
        Self { calls, operation, records, error: None, puts: 0 }
    }

    /// Runs to its end; must not be dropped before.
    async fn run(mut self) -> Result<Version, WriteError> {
        let decision = self.operation.decision;
        if let Err(cause) = self.check_equal().await {
            return Err(refused(&mut self.calls, cause));
        }
        let first = Write::begin(decision.rung, decision.no_fallback, false);
        let mut step = first.expect("an admitted operation is not on hold");
        let end = loop {
            step = match step {
                OperationStep::Call(write, WriteCall::Get(store)) => write.step(self.newest(store).await),
                OperationStep::Call(write, WriteCall::Put { store, above, .. }) => {
                    if let Err(cause) = self.stamp(above) {
                        return Err(refused(&mut self.calls, cause));
                    }
                    write.step(self.put(store).await)
                }
                OperationStep::Call(write, WriteCall::Mirror) => {
                    write.step(self.mirror(write.second()).await)
                }
                OperationStep::Call(_, WriteCall::Copy) => unreachable!("only a mutation copies"),
                OperationStep::End(end) => break end,
            };
        };
        ended(&mut self.calls, &self.operation, end, self.error)?;
        Ok(self.records[0].1.version)
    }

    /// The highest version that the store has of any of the records.
    async fn newest(&mut self, store: StoreRole) -> Answer {
        let ids = ids(&self.records);
        self.calls.newest(store, &ids).await.map_or_else(|error| self.failed(error), Answer::Got)
    }

    /// Refuses records of which the target can hold only one.
    async fn check_equal(&mut self) -> Result<(), Cause> {
        let store = StoreRole::Target;
        let target = self.calls.inner.store(store).clone();
        let Some(names) = target.loose_ids().filter(|_| needs_target(&self.operation)) else { return Ok(()) };
        let ids = ids(&self.records);
        let equal = self.calls.read(store, target.equal_ids(&ids)).await;
        match equal.map_err(|error| Cause::Store { store, error })?.pop() {
            Some(equal) => Err(Cause::Store { store, error: equal.refusal(&ids, &names) }),
            None => Ok(()),
        }
    }

    /// One version for all.
    fn stamp(&mut self, above: Version) -> Result<(), Cause> {
        self.puts += 1;
        if self.puts > PUTS_MAX {
            return Err(Cause::Contended(PUTS_MAX));
        }
        let version = self.calls.inner.stamper.stamp(now_ms_since_2025(), above)?;
        self.records.iter_mut().for_each(|(_, record)| record.version = version);
        if needs_target(&self.operation) {
            let store = StoreRole::Target;
            for (id, record) in &self.records {
                let checked = self.calls.check(store, id, record);
                checked
                    .map_err(|error| Cause::Store { store, error: error.of_record(&id.tenant, &id.key) })?;
            }
        }
        for (_, record) in &self.records {
            self.calls.inner.check_expiry(record)?;
        }
        Ok(())
    }

    /// All or none. Refused: something there is not older, and all of it has to be stamped above that.
    async fn put(&mut self, store: StoreRole) -> Answer {
        match self.calls.put_all(store, &self.records).await {
            Ok(PutAll::Applied) => Answer::Put(Put::Applied),
            Ok(PutAll::Refused(refused)) => {
                let newest = refused.into_iter().map(|(_, version)| version).max();
                Answer::Put(Put::Stale(newest.unwrap_or_default()))
            }
            Err(error) => self.failed(error),
        }
    }

    /// All at once but what later writes have replaced.
    async fn mirror(&mut self, store: StoreRole) -> Answer {
        let mut left = self.records.clone();
        loop {
            match self.calls.put_all(store, &left).await {
                Ok(PutAll::Applied) => return Answer::Put(Put::Applied),
                Ok(PutAll::Refused(refused)) => {
                    let is_left = |place| refused.iter().all(|(refused, _)| *refused != place);
                    let places = left.into_iter().enumerate();
                    left = places.filter(|(place, _)| is_left(*place)).map(|(_, record)| record).collect();
                    if left.is_empty() {
                        return Answer::Put(Put::Applied);
                    }
                }
                Err(error) => return self.failed(error),
            }
        }
    }

    fn failed(&mut self, error: StoreError) -> Answer {
        let answer = Answer::from(&error);
        self.error = Some(error);
        answer
    }
}
