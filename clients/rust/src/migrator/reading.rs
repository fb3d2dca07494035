//! Runs a read by the rules.

use std::sync::Arc;

use super::{
    Inner, ReadError,
    calls::Calls,
    finish::Finish,
    rules::{Answer, Condition, OperationStep, Read, ReadCall, ReadEnd},
    shadow,
};
use crate::{
    report::StoreRole,
    routing::Rung,
    store::{Id, Record, StoreError},
    watch::Operation,
};

/// A read's answer, or `None` if it was overtaken and has to be repeated.
pub(super) type Answered = Option<Result<Option<Vec<u8>>, ReadError>>;

type ReadStep = OperationStep<Read, ReadCall, ReadEnd>;

/// The state of one read.
struct Reading {
    /// Declared before the operation, so that calls are counted before their revision is acknowledged.
    calls: Calls,
    operation: Operation,
    id: Id,
    source: Option<Record>,
    target: Option<Record>,
    error: Option<StoreError>,
}

pub(super) async fn read(inner: &Arc<Inner>, operation: Operation, id: Id) -> Answered {
    let decision = operation.decision;
    let first = Read::begin(decision.rung, inner.reads_target_alone(&operation), operation.policy.level);
    let mut step = first.expect("an admitted operation is not on hold");
    let calls = Calls::new(inner.clone(), &id.tenant, decision.revision, operation.standing());
    let mut reading = Reading { calls, operation, id, source: None, target: None, error: None };
    loop {
        match step {
            // Nothing has been written so far: until then the read may be dropped at any time.
            OperationStep::Call(read, ReadCall::Get(store)) => step = read.step(reading.get(store).await),
            OperationStep::Call(_, ReadCall::Copy) => {
                return Finish::new(reading.run(step)).await;
            }
            OperationStep::End(end) => return reading.conclude(end),
        }
    }
}

impl Reading {
    /// Runs the rest of the read, copies included.
    async fn run(mut self, mut step: ReadStep) -> Answered {
        loop {
            step = match step {
                OperationStep::Call(read, ReadCall::Get(store)) => read.step(self.get(store).await),
                OperationStep::Call(read, ReadCall::Copy) => read.step(self.copy().await),
                OperationStep::End(end) => return self.conclude(end),
            };
        }
    }

    async fn get(&mut self, store: StoreRole) -> Answer {
        match self.calls.get(store, &self.id).await {
            Ok(record) => {
                let seen = self.calls.inner.seen(record.as_ref());
                match store {
                    StoreRole::Source => self.source = record,
                    StoreRole::Target => self.target = record,
                }
                Answer::Got(seen)
            }
            Err(error) => self.failed(error),
        }
    }

    async fn copy(&mut self) -> Answer {
        let record = self.source.as_ref().expect("the rules copy only what the source has answered");
        match self.calls.put(StoreRole::Target, &self.id, record, Condition::Newer).await {
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
    fn conclude(mut self, end: ReadEnd) -> Answered {
        let (inner, calls) = (self.calls.inner.clone(), &mut self.calls);
        let overtaken = inner.overtaken(&self.operation, &self.id.tenant);
        calls.paired(calls.read_failed(StoreRole::Source), calls.read_failed(StoreRole::Target));
        if let ReadEnd::Return(_, found) = end {
            calls.copied(found);
        }
        if overtaken {
            return None;
        }
        Some(match end {
            ReadEnd::Return(from, found) => {
                calls.found(found);
                let rung = self.operation.decision.rung;
                if rung == Rung::Dual {
                    shadow::sample(&inner, &self.operation, &self.id, self.source.as_ref());
                }
                let value = match from {
                    Some(StoreRole::Source) => self.source,
                    Some(StoreRole::Target) => self.target,
                    None => None,
                };
                let value = inner.visible(value.as_ref()).map(<[u8]>::to_vec);
                let fell_back = calls.read_failed(StoreRole::Source).is_some();
                if let Some(store) = end.answered(rung, fell_back) {
                    calls.answered(store, value.is_some());
                }
                Ok(value)
            }
            ReadEnd::Failed(store) => {
                let error = self.error.expect("the rules fail a read only when a store has failed");
                Err(ReadError::Failed { store, error })
            }
        })
    }
}
