//! What is counted of an operation whose store calls its caller has made: the same as the SDK counts of its own.

use std::time::Duration;

use cutover_client::{
    report::{ErrorClass, Event, Operation, Outcome, StoreRole},
    routing::Rung,
};
use cutover_proto::v1;
use tonic::Status;

use super::failure::invalid;

/// Maximum calls of one operation: the SDK's own gives up after 64 puts.
const CALLS_MAX: usize = 256;

/// One call, checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    store: StoreRole,
    operation: Operation,
    latency: Duration,
    error: Option<ErrorClass>,
    found: bool,
}

/// Reads the calls of a request.
pub(super) fn read(calls: &[v1::StoreCall]) -> Result<Vec<Call>, Status> {
    if calls.len() > CALLS_MAX {
        return Err(invalid(format!("{} calls: at most {CALLS_MAX} can be counted", calls.len())));
    }
    calls.iter().map(call).collect()
}

fn call(call: &v1::StoreCall) -> Result<Call, Status> {
    let store = match call.store() {
        v1::StoreRole::Source => StoreRole::Source,
        v1::StoreRole::Target => StoreRole::Target,
        v1::StoreRole::Unspecified => return Err(invalid("calls.store is missing")),
    };
    let error = match call.error() {
        v1::CallError::Unspecified => None,
        v1::CallError::Timeout => Some(ErrorClass::Timeout),
        v1::CallError::Connection => Some(ErrorClass::Connection),
        v1::CallError::Server => Some(ErrorClass::Server),
        v1::CallError::Constraint => Some(ErrorClass::Constraint),
        v1::CallError::Serialization => Some(ErrorClass::Serialization),
        v1::CallError::Other => Some(ErrorClass::Other),
    };
    let (latency, operation) = (Duration::from_micros(call.latency_us), operation(call.operation())?);
    Ok(Call { store, operation, latency, error, found: call.found })
}

pub(super) fn operation(operation: v1::Operation) -> Result<Operation, Status> {
    match operation {
        v1::Operation::Read => Ok(Operation::Read),
        v1::Operation::Write => Ok(Operation::Write),
        v1::Operation::Unspecified => Err(invalid("operation is missing: OPERATION_READ or OPERATION_WRITE")),
    }
}

/// What is counted of an operation that was begun at `rung` and ended so.
pub(super) fn of(kind: Operation, rung: Rung, calls: &[Call], ended: v1::OperationOutcome) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = calls
        .iter()
        .map(|&Call { store, operation, latency, error, .. }| Outcome::Call {
            store,
            operation,
            latency,
            error,
            found: None,
        })
        .collect();
    let last =
        |store, operation| calls.iter().rposition(|call| call.store == store && call.operation == operation);
    let source = (last(StoreRole::Source, Operation::Read), last(StoreRole::Source, Operation::Write));
    let target = (last(StoreRole::Target, Operation::Read), last(StoreRole::Target, Operation::Write));
    let failed = |at: usize| calls[at].error.is_some();
    let found = |at: Option<usize>| at.is_some_and(|at| calls[at].error.is_none() && calls[at].found);
    let mut count = |event| outcomes.push(Outcome::Event(event));
    let mut answered = None;
    match kind {
        Operation::Read => {
            if let (Some(source), Some(target)) = (source.0, target.0) {
                count(match (failed(source), failed(target)) {
                    (false, false) => Event::ReadBothOk,
                    (false, true) => Event::ReadOnlyTargetFailed,
                    (true, false) => Event::ReadOnlySourceFailed,
                    (true, true) => Event::ReadBothFailed,
                });
            }
            let from_target = matches!(rung, Rung::TargetFirst | Rung::TargetOnly);
            let is_copied = target.1.is_some_and(|at| !failed(at));
            if is_copied {
                count(if found(target.0) { Event::Repaired } else { Event::Migrated });
            }
            if ended == v1::OperationOutcome::Done && target.0.is_some() {
                count(match (found(source.0), found(target.0)) {
                    (_, true) => Event::Hit,
                    (true, false) => Event::Miss,
                    (false, false) => Event::NotFound,
                });
            }
            if ended == v1::OperationOutcome::Done {
                answered = match (from_target, source.0) {
                    (false, source) => source,
                    (true, None) => target.0,
                    // The target had nothing: that the source was asked says nothing about either.
                    (true, Some(_)) => None,
                };
            }
        }
        Operation::Write => {
            if matches!(rung, Rung::Dual | Rung::Mirrored | Rung::TargetFirst) {
                match (source.1.map(failed), target.1.map(failed)) {
                    (Some(true), _) => count(Event::OnlySourceFailed),
                    (Some(false), Some(true)) => count(Event::OnlyTargetFailed),
                    (Some(false), Some(false)) => count(Event::BothOk),
                    _ => {}
                }
            }
            match ended {
                v1::OperationOutcome::Indeterminate => count(Event::Indeterminate),
                v1::OperationOutcome::NotApplied => count(Event::NotApplied),
                v1::OperationOutcome::Done | v1::OperationOutcome::Unspecified => {}
            }
        }
    }
    if let Some(at) = answered
        && let Outcome::Call { found, .. } = &mut outcomes[at]
    {
        *found = Some(calls[at].found);
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(store: StoreRole, operation: Operation, error: bool, found: bool) -> Call {
        let error = error.then_some(ErrorClass::Timeout);
        Call { store, operation, latency: Duration::from_millis(2), error, found }
    }

    fn events(outcomes: &[Outcome]) -> Vec<Event> {
        let event = |outcome: &Outcome| match outcome {
            Outcome::Event(event) => Some(*event),
            Outcome::Call { .. } => None,
        };
        outcomes.iter().filter_map(event).collect()
    }

    fn answers(outcomes: &[Outcome]) -> Vec<Option<bool>> {
        let answer = |outcome: &Outcome| match outcome {
            Outcome::Call { found, .. } => Some(*found),
            Outcome::Event(_) => None,
        };
        outcomes.iter().filter_map(answer).collect()
    }

    #[test]
    fn a_read_is_counted_as_the_sdk_counts_its_own() {
        use Operation::{Read, Write};
        use StoreRole::{Source, Target};
        use v1::OperationOutcome::{Done, NotApplied};
        let get = |store, found| call(store, Read, false, found);
        let hit = of(Read, Rung::TargetFirst, &[get(Target, true)], Done);
        assert_eq!((events(&hit), answers(&hit)), (vec![Event::Hit], vec![Some(true)]));
        let calls = [get(Target, false), get(Source, true), call(Target, Write, false, false)];
        let miss = of(Read, Rung::TargetFirst, &calls, Done);
        assert_eq!(events(&miss), [Event::ReadBothOk, Event::Migrated, Event::Miss]);
        assert_eq!(answers(&miss), [None, None, None]);
        let nothing = of(Read, Rung::TargetOnly, &[get(Target, false)], Done);
        assert_eq!((events(&nothing), answers(&nothing)), (vec![Event::NotFound], vec![Some(false)]));
        let plain = of(Read, Rung::Dual, &[get(Source, true)], Done);
        assert_eq!((events(&plain), answers(&plain)), (vec![], vec![Some(true)]));
        let failed = of(Read, Rung::TargetFirst, &[call(Target, Read, true, false)], NotApplied);
        assert_eq!((events(&failed), answers(&failed)), (vec![], vec![None]));
    }

    #[test]
    fn a_write_is_counted_by_its_puts_and_its_outcome() {
        use Operation::Write;
        use StoreRole::{Source, Target};
        use v1::OperationOutcome::{Done, Indeterminate, NotApplied};
        let put = |store, error| call(store, Write, error, false);
        let both = of(Write, Rung::Mirrored, &[put(Source, false), put(Target, false)], Done);
        assert_eq!(events(&both), [Event::BothOk]);
        let half = of(Write, Rung::Mirrored, &[put(Source, false), put(Target, true)], Indeterminate);
        assert_eq!(events(&half), [Event::OnlyTargetFailed, Event::Indeterminate]);
        let none = of(Write, Rung::TargetFirst, &[put(Source, true)], NotApplied);
        assert_eq!(events(&none), [Event::OnlySourceFailed, Event::NotApplied]);
        assert_eq!(events(&of(Write, Rung::TargetOnly, &[put(Target, false)], Done)), []);
    }
}
