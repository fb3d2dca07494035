//! Runs a write by the rules.

use std::sync::Arc;

use super::{
    Cause, Edit, Inner, WriteError,
    calls::Calls,
    rules::{Answer, Condition, OperationStep, Pair, Write, WriteCall, WriteEnd, WriteOutcome},
};
use crate::{
    report::{Event, StoreRole},
    routing::Rung,
    store::{Id, Record, StoreError, Version, document::DocumentError, now_ms_since_2025},
    watch::Operation,
};

/// How many times the first put is tried before the write gives up because other writers are always faster.
pub(super) const PUTS_MAX: u32 = 64;

/// Computes a record's new value from its current one (`None`: there is none), or fails to convert one of them.
pub(super) type MutateFn = Box<dyn FnMut(Option<&[u8]>) -> Result<Edit, DocumentError> + Send>;

/// What is to be written.
pub(super) enum Intent {
    /// This value, whatever is there. `None`: a tombstone.
    Overwrite(Option<Vec<u8>>),
    /// The result of this mutation.
    Mutate(MutateFn),
}

/// What a write without an error did.
pub(super) enum Written {
    /// It wrote the record, with this version.
    Applied(Version),
    /// A mutation kept the record, which has this content.
    Kept(Option<Vec<u8>>),
}

/// One write, from its decision to its end.
pub(super) struct Writing {
    /// Declared before the operation, so that calls are counted before their revision is acknowledged.
    calls: Calls,
    operation: Operation,
    id: Id,
    mutation: Option<MutateFn>,
    /// The record to write.
    record: Record,
    /// The record that a mutation read from the source.
    source: Option<Record>,
    target: Option<Record>,
    /// The store whose record a mutation has looked at last.
    base: Option<StoreRole>,
    /// What a mutation that writes nothing has found.
    kept: Option<Vec<u8>>,
    error: Option<StoreError>,
    puts: u32,
}

/// What the first put is.
enum Prepared {
    Put,
    /// None: the mutation keeps the record.
    Keep,
}

/// Why the first put was not made.
enum Unput {
    Refused(Cause),
    Value(DocumentError),
}

impl Writing {
    pub(super) fn new(inner: Arc<Inner>, operation: Operation, id: Id, intent: Intent) -> Self {
        let (value, mutation) = match intent {
            Intent::Overwrite(value) => (value, None),
            Intent::Mutate(mutation) => (None, Some(mutation)),
        };
        let record = Record { version: Version::ZERO, value };
        let calls = Calls::new(inner, &id.tenant, operation.decision.revision, operation.standing());
        let (source, target, base, kept, error) = (None, None, None, None, None);
        Self { calls, operation, id, mutation, record, source, target, base, kept, error, puts: 0 }
    }

    /// Runs the write to its end; must not be dropped before.
    pub(super) async fn run(mut self) -> Result<Written, WriteError> {
        let decision = self.operation.decision;
        let no_fallback = self.calls.inner.mutates_target_alone(&self.operation);
        let first = Write::begin(decision.rung, no_fallback, self.mutation.is_some());
        let mut step = first.expect("an admitted operation is not on hold");
        let end = loop {
            step = match step {
                OperationStep::Call(write, WriteCall::Get(store)) => write.step(self.get(store).await),
                OperationStep::Call(write, WriteCall::Put { store, above, condition }) => {
                    match self.prepare(above, condition) {
                        Err(unput) => break Err(unput),
                        Ok(Prepared::Keep) => write.keep(self.base),
                        Ok(Prepared::Put) => write.step(self.put(store, condition).await),
                    }
                }
                OperationStep::Call(write, WriteCall::Mirror) => {
                    write.step(self.put(write.second(), Condition::Newer).await)
                }
                OperationStep::Call(write, WriteCall::Copy) => write.step(self.copy().await),
                OperationStep::End(end) => break Ok(end),
            };
        };
        self.conclude(end)
    }

    /// Refuses the write before it calls a store.
    pub(super) fn refuse(self, cause: Cause) -> Result<Written, WriteError> {
        self.conclude(Err(Unput::Refused(cause)))
    }

    async fn get(&mut self, store: StoreRole) -> Answer {
        // Whoever overwrites a record needs its version alone.
        if self.mutation.is_none() {
            let newest = self.calls.newest(store, std::slice::from_ref(&self.id)).await;
            return newest.map_or_else(|error| self.failed(error), Answer::Got);
        }
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

    /// Prepares the record for the first put: its version and, for a mutation, its value.
    fn prepare(&mut self, above: Version, condition: Condition) -> Result<Prepared, Unput> {
        self.puts += 1;
        if self.puts > PUTS_MAX {
            return Err(Unput::Refused(Cause::Contended(PUTS_MAX)));
        }
        if let (Some(change), Condition::Unchanged { base, .. }) = (&mut self.mutation, condition) {
            self.base = base;
            let found = match base {
                Some(StoreRole::Source) => self.source.as_ref(),
                Some(StoreRole::Target) => self.target.as_ref(),
                None => None,
            };
            let found = self.calls.inner.visible(found);
            self.record.value = match change(found) {
                Ok(Edit::Put(value)) => Some(value),
                Ok(Edit::Delete) => None,
                Ok(Edit::Keep) => {
                    self.kept = found.map(<[u8]>::to_vec);
                    return Ok(Prepared::Keep);
                }
                Err(error) => return Err(Unput::Value(error)),
            };
        }
        let stamp = self.calls.inner.stamper.stamp(now_ms_since_2025(), above);
        self.record.version = stamp.map_err(|error| Unput::Refused(error.into()))?;
        if needs_target(&self.operation) {
            let store = StoreRole::Target;
            let checked = self.calls.check(store, &self.id, &self.record);
            checked.map_err(|error| Unput::Refused(Cause::Store { store, error }))?;
        }
        self.calls.inner.check_expiry(&self.record).map_err(Unput::Refused)?;
        Ok(Prepared::Put)
    }

    async fn put(&mut self, store: StoreRole, condition: Condition) -> Answer {
        match self.calls.put(store, &self.id, &self.record, condition).await {
            Ok(put) => Answer::Put(put),
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

    /// Counts the write and ends its operation.
    fn conclude(mut self, end: Result<WriteEnd, Unput>) -> Result<Written, WriteError> {
        let end = match end {
            Ok(end) => end,
            // The application's mistake, not a store's: not counted.
            Err(Unput::Value(error)) => return Err(WriteError::Value(error)),
            Err(Unput::Refused(cause)) => return Err(refused(&mut self.calls, cause)),
        };
        ended(&mut self.calls, &self.operation, end, self.error)?;
        if end.outcome != WriteOutcome::Kept {
            return Ok(Written::Applied(self.record.version));
        }
        Ok(Written::Kept(self.kept))
    }
}

/// Whether a write is acknowledged only once the target has it, after the source. Then what the target can't take is refused
/// before the source has it.
pub(super) const fn needs_target(operation: &Operation) -> bool {
    matches!(operation.decision.rung, Rung::Mirrored | Rung::TargetFirst)
}

/// Counts a write that has called no store, or whose calls have changed nothing.
pub(super) fn refused(calls: &mut Calls, cause: Cause) -> WriteError {
    calls.count(Event::NotApplied);
    WriteError::NotApplied(cause)
}

/// Counts a write that has ended by the rules. `error`: of the last call that failed.
pub(super) fn ended(
    calls: &mut Calls,
    operation: &Operation,
    end: WriteEnd,
    error: Option<StoreError>,
) -> Result<(), WriteError> {
    let overtaken = calls.inner.overtaken(operation, &calls.tenant);
    match end.pair {
        Some(Pair::BothOk) => calls.count(Event::BothOk),
        Some(Pair::OnlyTargetFailed) => calls.count(Event::OnlyTargetFailed),
        Some(Pair::OnlySourceFailed) => calls.count(Event::OnlySourceFailed),
        None => {}
    }
    let outcome = if overtaken { end.outcome.overtaken() } else { end.outcome };
    let cause = match (end.failed, error) {
        (Some(store), Some(error)) if !overtaken => Cause::Store { store, error },
        _ => Cause::Overtaken,
    };
    match outcome {
        WriteOutcome::Acknowledged | WriteOutcome::Kept => Ok(()),
        WriteOutcome::NotApplied => Err(refused(calls, cause)),
        WriteOutcome::Indeterminate => {
            calls.count(Event::Indeterminate);
            Err(WriteError::Indeterminate(cause))
        }
    }
}
