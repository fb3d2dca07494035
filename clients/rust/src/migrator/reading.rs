//! Runs a read by the rules.

use std::sync::Arc;

use super::{
    Inner, ReadError,
    finish::Finish,
    rules::{Answer, Condition, Found, Read, ReadCall, ReadEnd, Seen, Step},
    shadow,
};
use crate::{
    report::{Event, StoreRole},
    routing::Rung,
    store::{Id, Record, StoreError},
    watch::Operation,
};

/// A read's answer, or `None` when it was overtaken and has to be made anew.
pub(super) type Answered = Option<Result<Option<Vec<u8>>, ReadError>>;

type ReadStep = Step<Read, ReadCall, ReadEnd>;

/// What the calls of one read have brought.
struct Reading {
    operation: Operation,
    id: Id,
    source: Option<Record>,
    target: Option<Record>,
    error: Option<StoreError>,
}

pub(super) async fn read(inner: &Arc<Inner>, operation: Operation, id: Id) -> Answered {
    let decision = operation.decision;
    let first = Read::begin(decision.rung, decision.no_fallback, operation.policy.level);
    let mut step = first.expect("an admitted operation is not on hold");
    let mut reading = Reading { operation, id, source: None, target: None, error: None };
    loop {
        match step {
            // Nothing is written so far: until then it may be dropped at any time.
            Step::Call(read, ReadCall::Get(store)) => step = read.step(reading.get(inner, store).await),
            Step::Call(_, ReadCall::Copy) => {
                let inner = inner.clone();
                return Finish::new(reading.run(inner, step)).await;
            }
            Step::End(end) => return reading.conclude(inner, end),
        }
    }
}

impl Reading {
    /// All the rest of it, copies included.
    async fn run(mut self, inner: Arc<Inner>, mut step: ReadStep) -> Answered {
        loop {
            step = match step {
                Step::Call(read, ReadCall::Get(store)) => read.step(self.get(&inner, store).await),
                Step::Call(read, ReadCall::Copy) => read.step(self.copy(&inner).await),
                Step::End(end) => return self.conclude(&inner, end),
            };
        }
    }

    async fn get(&mut self, inner: &Inner, store: StoreRole) -> Answer {
        match inner.call_get(self.operation.decision.revision, store, &self.id).await {
            Ok(record) => {
                let seen = record.as_ref().map(Seen::from);
                match store {
                    StoreRole::Source => self.source = record,
                    StoreRole::Target => self.target = record,
                }
                Answer::Got(seen)
            }
            Err(error) => self.failed(error),
        }
    }

    async fn copy(&mut self, inner: &Inner) -> Answer {
        let record = self.source.as_ref().expect("the rules copy only what the source has answered");
        let revision = self.operation.decision.revision;
        match inner.call_put(revision, StoreRole::Target, &self.id, record, Condition::Newer).await {
            Ok(put) => Answer::Put(put),
            Err(error) => self.failed(error),
        }
    }

    fn failed(&mut self, error: StoreError) -> Answer {
        let answer = Answer::from(&error);
        self.error = Some(error);
        answer
    }

    /// Counts the read and ends its operation.
    fn conclude(self, inner: &Arc<Inner>, end: ReadEnd) -> Answered {
        let overtaken = inner.overtaken(&self.operation, &self.id);
        let revision = self.operation.decision.revision;
        let count = |event| inner.recorder.count(&inner.migration, revision, event);
        if let ReadEnd::Return(_, found) = end {
            // What was copied was copied, even if the answer is of no use any more.
            match found {
                Found::Miss => count(Event::Migrated),
                Found::Repaired => count(Event::Repaired),
                Found::Hit | Found::NotFound | Found::Unasked => {}
            }
        }
        if overtaken {
            return None;
        }
        Some(match end {
            ReadEnd::Return(from, found) => {
                match found {
                    Found::Hit | Found::Repaired => count(Event::Hit),
                    Found::Miss => count(Event::Miss),
                    Found::NotFound => count(Event::NotFound),
                    Found::Unasked => {}
                }
                if self.operation.decision.rung == Rung::Dual {
                    shadow::sample(inner, &self.operation, &self.id, self.source.as_ref());
                }
                Ok(match from {
                    Some(StoreRole::Source) => self.source.and_then(|record| record.value),
                    Some(StoreRole::Target) => self.target.and_then(|record| record.value),
                    None => None,
                })
            }
            ReadEnd::Failed(store) => {
                let error = self.error.expect("the rules fail a read only when a store has failed");
                Err(ReadError::Failed { store, error })
            }
        })
    }
}
