//! One call to one store: bounded in time and counted.

use std::time::Instant;

use super::{Inner, rules::Condition};
use crate::{
    report::{ErrorClass, Operation, StoreRole},
    store::{Id, Put, Record, StoreError},
};

impl Inner {
    pub(super) async fn call_get(
        &self,
        revision: u64,
        store: StoreRole,
        id: &Id,
    ) -> Result<Option<Record>, StoreError> {
        self.call(revision, store, Operation::Read, self.store(store).get(id)).await
    }

    pub(super) async fn call_put(
        &self,
        revision: u64,
        store: StoreRole,
        id: &Id,
        record: &Record,
        condition: Condition,
    ) -> Result<Put, StoreError> {
        let to = self.store(store);
        let put = match condition {
            Condition::Newer => to.put_if_newer(id, record),
            Condition::Unchanged { expected, .. } => to.put_if_unchanged(id, record, expected),
        };
        self.call(revision, store, Operation::Write, put).await
    }

    async fn call<T>(
        &self,
        revision: u64,
        store: StoreRole,
        operation: Operation,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let _in_flight = self.recorder.in_flight(&self.migration, store, operation);
        let began = Instant::now();
        let result = match tokio::time::timeout(self.call_timeout, call).await {
            Ok(result) => result,
            Err(_) => Err(self.timed_out(operation)),
        };
        let error = result.as_ref().err().map(StoreError::class);
        self.recorder.call(&self.migration, revision, store, operation, began.elapsed(), error);
        result
    }

    fn timed_out(&self, operation: Operation) -> StoreError {
        let (class, what) =
            (ErrorClass::Timeout, format!("no answer within {} ms", self.call_timeout.as_millis()));
        match operation {
            Operation::Read => StoreError::NotApplied { class, what },
            Operation::Write => StoreError::Indeterminate { class, what },
        }
    }
}
