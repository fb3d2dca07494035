//! Bounds each call to a store. A pass holds every barrier while it waits for one, so none may wait for ever.
//!
//! The adapters of this repository answer much sooner, because they bound each attempt. This is for adapters
//! that don't, and for what nobody thought of.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use cutover_core::outcome::ErrorClass;
use cutover_store::{
    Copied, Cursor, Estimate, Id, Identity, Page, Pressure, Put, Record, ScanOrder, Scope, Segment, Store,
    StoreError, Version,
};
use tokio::time::timeout;

use super::Stores;

impl Stores {
    /// The same stores; a call that takes `longest` fails.
    pub(super) fn bounded(&self, longest: Duration) -> Self {
        let bounded = |store: &Arc<dyn Store>| -> Arc<dyn Store> {
            Arc::new(Bounded { inner: store.clone(), longest })
        };
        Self {
            source: bounded(&self.source),
            target: bounded(&self.target),
            quarantine: self.quarantine.as_ref().map(bounded),
        }
    }
}

struct Bounded {
    inner: Arc<dyn Store>,
    longest: Duration,
}

impl Bounded {
    async fn read<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let timed_out = |_| StoreError::NotApplied { class: ErrorClass::Timeout, what: self.what() };
        timeout(self.longest, call).await.map_err(timed_out)?
    }

    /// Abandoned, it may land later, like any write whose answer is lost. That is what `residual_ms` is for.
    async fn write<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let timed_out = |_| StoreError::Indeterminate { class: ErrorClass::Timeout, what: self.what() };
        timeout(self.longest, call).await.map_err(timed_out)?
    }

    fn what(&self) -> String {
        format!("no answer for {} s", self.longest.as_secs())
    }
}

#[async_trait]
impl Store for Bounded {
    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        self.read(self.inner.get(id)).await
    }

    async fn put_if_newer(&self, id: &Id, record: &Record) -> Result<Put, StoreError> {
        self.write(self.inner.put_if_newer(id, record)).await
    }

    async fn put_if_unchanged(
        &self,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError> {
        self.write(self.inner.put_if_unchanged(id, record, expected)).await
    }

    async fn get_many(&self, ids: &[Id]) -> Result<Vec<Option<Record>>, StoreError> {
        self.read(self.inner.get_many(ids)).await
    }

    async fn get_versions(&self, ids: &[Id]) -> Result<Vec<Option<Version>>, StoreError> {
        self.read(self.inner.get_versions(ids)).await
    }

    async fn put_many_if_newer(&self, records: &[(Id, Record)]) -> Result<Vec<Copied>, StoreError> {
        self.write(self.inner.put_many_if_newer(records)).await
    }

    async fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        self.read(self.inner.scan(scope, segment, cursor, limit_bytes)).await
    }

    fn scan_order(&self) -> ScanOrder {
        self.inner.scan_order()
    }

    fn check_id(&self, id: &Id) -> Result<(), StoreError> {
        self.inner.check_id(id)
    }

    fn check_record(&self, id: &Id, record: &Record) -> Result<(), StoreError> {
        self.inner.check_record(id, record)
    }

    async fn identity(&self) -> Result<Option<Identity>, StoreError> {
        self.read(self.inner.identity()).await
    }

    async fn unmapped(&self) -> Result<Vec<String>, StoreError> {
        self.read(self.inner.unmapped()).await
    }

    async fn estimate(&self) -> Result<Estimate, StoreError> {
        self.read(self.inner.estimate()).await
    }

    async fn pressure(&self) -> Result<Pressure, StoreError> {
        self.read(self.inner.pressure()).await
    }
}

#[cfg(test)]
mod tests {
    use cutover_store::{Fault, Faulty, Gate, MemoryStore, Verb};
    use tokio::time::Instant;

    use super::*;
    use crate::jobs::{Error, Limits, patience::patiently};

    #[tokio::test(start_paused = true)]
    async fn a_store_that_never_answers_ends_a_pass_with_a_reason() {
        let frozen = Arc::new(Faulty::new(Arc::new(MemoryStore::new())));
        for verb in [Verb::Get, Verb::Put, Verb::Scan] {
            frozen.always(verb, Fault::Wait(Gate::new()));
        }
        let limits = Limits::default();
        let stores = Stores { source: frozen.clone(), target: frozen, quarantine: None };
        let stores = stores.bounded(limits.call);
        let id = Id::new("t", "k").expect("it is one");
        let record = Record { version: Version(1), value: None };
        let began = Instant::now();
        let put = stores.target.put_if_newer(&id, &record).await;
        assert!(put.as_ref().is_err_and(StoreError::may_apply), "it may land later: {put:?}");
        assert_eq!(began.elapsed(), limits.call);
        let scan = || async {
            let page = stores.source.scan(&Scope::All, Segment::ALL, None, 1).await;
            page.map_err(|error| Error::Store { store: "source", error })
        };
        let ended = patiently(limits.patience, |_, _| {}, scan).await;
        let told = ended.expect_err("it never answers").to_string();
        let seconds = limits.call.as_secs();
        let expected = format!("the source: nothing was written, retry: no answer for {seconds} s");
        assert!(told.starts_with(&expected), "{told}");
        assert!(began.elapsed() < limits.call * 3 + limits.patience, "{:?}", began.elapsed());
    }
}
