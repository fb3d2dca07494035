//! The store calls of one operation: limited in time, and counted together when it has ended.

use std::{sync::Arc, time::Instant};

use smallvec::SmallVec;

use super::{
    Inner,
    rules::{Condition, Found, Seen},
};
use crate::{
    clock,
    report::{ErrorClass, Event, Operation, Origin, Outcome, StoreRole},
    routing::Mutation,
    store::{Id, Put, PutAll, Record, StoreError, Ttl},
    watch::{Standing, while_it_may_act},
};

/// Makes the calls of one operation and collects their outcomes. When dropped, it counts them all at once, so
/// that no report has half of an operation, under one short lock.
pub(super) struct Calls {
    pub(super) inner: Arc<Inner>,
    pub(super) tenant: String,
    revision: u64,
    standing: Standing,
    /// When its last call has to end.
    until: Option<clock::Instant>,
    outcomes: SmallVec<[Outcome; 6]>,
}

impl Calls {
    /// The calls of an operation on this tenant, decided under `revision`.
    pub(super) fn new(inner: Arc<Inner>, tenant: &str, revision: u64, standing: Standing) -> Self {
        let (tenant, until) = (tenant.to_owned(), inner.calls_until());
        Self { inner, tenant, revision, standing, until, outcomes: SmallVec::new_const() }
    }

    pub(super) async fn get(&mut self, store: StoreRole, id: &Id) -> Result<Option<Record>, StoreError> {
        let from = self.inner.store(store).clone();
        self.read(store, from.get(id)).await
    }

    /// [`Self::get`] of different records, as one call.
    pub(super) async fn get_many(
        &mut self,
        store: StoreRole,
        ids: &[Id],
    ) -> Result<Vec<Option<Record>>, StoreError> {
        let from = self.inner.store(store).clone();
        self.read(store, from.get_many(ids)).await
    }

    /// The highest version that a store has of any of these records, by one call. Their content is not read, and may be of a
    /// kind that can't be.
    pub(super) async fn newest(&mut self, store: StoreRole, ids: &[Id]) -> Result<Option<Seen>, StoreError> {
        let from = self.inner.store(store).clone();
        let versions = self.read(store, from.get_versions(ids)).await?;
        let newest = versions.into_iter().flatten().max();
        Ok(newest.map(|version| Seen { version, tombstone: false }))
    }

    /// Makes any call that reads.
    pub(super) async fn read<T>(
        &mut self,
        store: StoreRole,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let (ended, result) = self.inner.call(store, Operation::Read, &self.standing, self.until, call).await;
        self.outcomes.extend(ended);
        result
    }

    pub(super) async fn put(
        &mut self,
        store: StoreRole,
        id: &Id,
        record: &Record,
        condition: Condition,
    ) -> Result<Put, StoreError> {
        let to = self.inner.store(store);
        let put = match condition {
            Condition::Newer => to.put_if_newer(id, record),
            Condition::Unchanged { expected, .. } => to.put_if_unchanged(id, record, expected),
        };
        let (ended, result) = self.inner.call(store, Operation::Write, &self.standing, self.until, put).await;
        self.outcomes.extend(ended);
        result
    }

    /// Puts all of these records if each is newer, or none.
    pub(super) async fn put_all(
        &mut self,
        store: StoreRole,
        records: &[(Id, Record)],
    ) -> Result<PutAll, StoreError> {
        if Mutation::TransactWhole.is_left_out() {
            return self.put_each(store, records).await;
        }
        let to = self.inner.store(store);
        let put = to.put_all_if_newer(records);
        let (ended, result) = self.inner.call(store, Operation::Write, &self.standing, self.until, put).await;
        self.outcomes.extend(ended);
        result
    }

    /// One after the other, for a test.
    async fn put_each(&mut self, store: StoreRole, records: &[(Id, Record)]) -> Result<PutAll, StoreError> {
        for (place, (id, record)) in records.iter().enumerate() {
            match self.put(store, id, record, Condition::Newer).await? {
                Put::Stale(version) => return Ok(PutAll::Refused(vec![(place, version)])),
                Put::Applied | Put::Present => {}
            }
        }
        Ok(PutAll::Applied)
    }

    /// Fails for a record that a store would refuse, and counts that as a write that only the target failed. Nothing is sent.
    pub(super) fn check(&mut self, store: StoreRole, id: &Id, record: &Record) -> Result<(), StoreError> {
        let checked = self.inner.store(store).check(id, record);
        if let Err(error) = &checked {
            let (operation, latency) = (Operation::Write, std::time::Duration::ZERO);
            let error = Some(error.class());
            self.outcomes.push(Outcome::Call { store, operation, latency, error, found: None });
            // Guards compare the stores by pairs of calls: alone it would weigh more than a write that was sent.
            self.count(Event::OnlyTargetFailed);
        }
        checked
    }

    pub(super) fn count(&mut self, event: Event) {
        self.outcomes.push(Outcome::Event(event));
    }

    /// Records that the caller's answer is the last one of this store.
    pub(super) fn answered(&mut self, by: StoreRole, is_found: bool) {
        let last = self.outcomes.iter_mut().rev().find_map(|outcome| match outcome {
            Outcome::Call { store, operation: Operation::Read, error: None, found, .. } if *store == by => {
                Some(found)
            }
            _ => None,
        });
        if let Some(found) = last {
            *found = Some(is_found);
        }
    }

    /// Whether the first read of this store failed. `None`: it was not read.
    pub(super) fn read_failed(&self, of: StoreRole) -> Option<bool> {
        self.outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Call { store, operation: Operation::Read, error, .. } if *store == of => {
                Some(error.is_some())
            }
            _ => None,
        })
    }

    /// Counts what a read has copied, even if its answer is no longer of use.
    pub(super) fn copied(&mut self, found: Found) {
        match found {
            Found::Miss => self.count(Event::Migrated),
            Found::Repaired => self.count(Event::Repaired),
            Found::Hit | Found::NotFound | Found::Unasked => {}
        }
    }

    /// Counts what a read returns.
    pub(super) fn found(&mut self, found: Found) {
        match found {
            Found::Hit | Found::Repaired => self.count(Event::Hit),
            Found::Miss => self.count(Event::Miss),
            Found::NotFound => self.count(Event::NotFound),
            Found::Unasked => {}
        }
    }

    /// Counts a read of both stores, if it was one: whether it failed in the source, and in the target.
    pub(super) fn paired(&mut self, source_failed: Option<bool>, target_failed: Option<bool>) {
        let (Some(source_failed), Some(target_failed)) = (source_failed, target_failed) else { return };
        self.count(match (source_failed, target_failed) {
            (false, false) => Event::ReadBothOk,
            (false, true) => Event::ReadOnlyTargetFailed,
            (true, false) => Event::ReadOnlySourceFailed,
            (true, true) => Event::ReadBothFailed,
        });
    }

    fn origin(&self) -> Origin<'_> {
        Origin { migration: &self.inner.migration, revision: self.revision, tenant: Some(&self.tenant) }
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.inner.recorder.record(self.origin(), &self.outcomes);
    }
}

impl Inner {
    /// Makes a call. No outcome is counted if the right to act has expired: that says nothing about the
    /// store.
    async fn call<T>(
        &self,
        store: StoreRole,
        operation: Operation,
        standing: &Standing,
        until: Option<clock::Instant>,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> (Option<Outcome>, Result<T, StoreError>) {
        if !self.current.may_act(standing) {
            let what = LEASE_ENDED.to_owned();
            return (None, Err(StoreError::NotApplied { class: ErrorClass::Timeout, what }));
        }
        if until.is_some_and(|until| until.remaining().is_zero()) {
            return (None, Err(StoreError::NotApplied { class: ErrorClass::Timeout, what: too_late() }));
        }
        let _in_flight = self.recorder.in_flight(&self.migration, store, operation);
        let began = Instant::now();
        let leased = while_it_may_act(&self.current, standing, call);
        let timed = tokio::time::timeout(self.call_timeout, leased);
        let ended = match until {
            None => Some(timed.await),
            Some(until) => clock::before(until, timed).await,
        };
        let result = match ended {
            Some(Ok(Some(result))) => result,
            Some(Ok(None)) => return (None, Err(timed_out(operation, LEASE_ENDED.to_owned()))),
            Some(Err(_)) => {
                Err(timed_out(operation, format!("no answer within {} ms", self.call_timeout.as_millis())))
            }
            None => return (None, Err(timed_out(operation, too_late()))),
        };
        let error = result.as_ref().err().map(StoreError::class);
        let ended = Outcome::Call { store, operation, latency: began.elapsed(), error, found: None };
        (Some(ended), result)
    }
}

const LEASE_ENDED: &str = "the controller was not heard for too long, so no further call is made";

fn too_late() -> String {
    let seconds = Ttl::CALLS_WITHIN.as_secs();
    format!("the operation began {seconds} s ago, and records expire (ttl), so no further call is made")
}

fn timed_out(operation: Operation, what: String) -> StoreError {
    let class = ErrorClass::Timeout;
    match operation {
        Operation::Read => StoreError::NotApplied { class, what },
        Operation::Write => StoreError::Indeterminate { class, what },
    }
}
