//! The promises of the rules, checked over every history of calls and answers up to a length.

use cutover_client::{
    migrator::rules::{
        Answer::{self, Got, Indeterminate, NotApplied, Put as Did},
        Condition, OperationStep, Read, ReadCall, ReadEnd, Seen, Write, WriteCall, WriteEnd, WriteOutcome,
    },
    report::StoreRole::{Source, Target},
    routing::{Level, Rung},
    store::{
        Put::{Applied, Stale},
        Version,
    },
};

const COPY: ReadCall = ReadCall::Copy;
const GET_S: ReadCall = ReadCall::Get(Source);
const GET_T: ReadCall = ReadCall::Get(Target);

type Reads = Vec<(ReadCall, Answer)>;
type Writes = Vec<(WriteCall, Answer)>;

/// Every answer that a store may give to a call.
fn answers(to_put: bool) -> Vec<Answer> {
    let failures = [NotApplied, Indeterminate];
    let fitting: Vec<Answer> = if to_put {
        vec![Did(Applied), Did(Stale(Version(1))), Did(Stale(Version(2)))]
    } else {
        {
            let seen = [(0, false), (1, false), (2, false), (1, true), (2, true)];
            let got =
                seen.map(|(version, tombstone)| Got(Some(Seen { version: Version(version), tombstone })));
            got.into_iter().chain([Got(None)]).collect()
        }
    };
    fitting.into_iter().chain(failures).collect()
}

/// Walks every history of calls and answers that a read can have, up to `depth` calls.
fn walk_reads(
    step: OperationStep<Read, ReadCall, ReadEnd>,
    history: &mut Reads,
    depth: usize,
    check: &mut impl FnMut(&[(ReadCall, Answer)], Option<ReadEnd>),
) {
    match step {
        OperationStep::End(end) => check(history, Some(end)),
        OperationStep::Call(..) if depth == 0 => check(history, None),
        OperationStep::Call(state, call) => {
            for answer in answers(call == COPY) {
                history.push((call, answer));
                walk_reads(state.step(answer), history, depth - 1, check);
                history.pop();
            }
        }
    }
}

fn walk_writes(
    step: OperationStep<Write, WriteCall, WriteEnd>,
    history: &mut Writes,
    depth: usize,
    check: &mut impl FnMut(&[(WriteCall, Answer)], Option<WriteEnd>),
) {
    match step {
        OperationStep::End(end) => check(history, Some(end)),
        OperationStep::Call(..) if depth == 0 => check(history, None),
        OperationStep::Call(state, call) => {
            if let WriteCall::Put { condition: Condition::Unchanged { base, .. }, .. } = call {
                walk_writes(state.keep(base), history, depth - 1, check);
            }
            for answer in answers(!matches!(call, WriteCall::Get(_))) {
                history.push((call, answer));
                walk_writes(state.step(answer), history, depth - 1, check);
                history.pop();
            }
        }
    }
}

const fn failed(answer: Answer) -> bool {
    matches!(answer, NotApplied | Indeterminate)
}

#[test]
fn whatever_is_answered_a_read_keeps_its_promises() {
    let mut histories = 0;
    for rung in Rung::ALL {
        for no_fallback in [false, true] {
            for level in [Level::Acknowledged, Level::Linearizable] {
                let Some(step) = Read::begin(rung, no_fallback, level) else { continue };
                walk_reads(step, &mut Vec::new(), 5, &mut |history, end| {
                    histories += 1;
                    let calls = |wanted| history.iter().filter(|(call, _)| *call == wanted).count();
                    match rung {
                        Rung::SourceOnly | Rung::Dual => assert_eq!(calls(GET_T) + calls(COPY), 0),
                        Rung::TargetOnly => assert_eq!(calls(GET_S) + calls(COPY), 0),
                        Rung::TargetFirst if no_fallback => assert_eq!(calls(GET_S) + calls(COPY), 0),
                        _ => {}
                    }
                    let any_failed = history.iter().any(|(_, answer)| failed(*answer));
                    assert_eq!(any_failed, matches!(end, Some(ReadEnd::Failed(_))), "{history:?} {end:?}");
                    // A record that only the source has is in the target before anybody sees it.
                    if let (Rung::TargetFirst, Some(ReadEnd::Return(Some(Source), _))) = (rung, end) {
                        assert_eq!(history.last(), Some(&(COPY, Did(Applied))), "{history:?}");
                    }
                    // The record that is returned is the last that this store answered.
                    if let Some(ReadEnd::Return(Some(store), _)) = end {
                        let last = history.iter().rfind(|(call, _)| *call == ReadCall::Get(store));
                        assert!(matches!(last, Some((_, Got(Some(_))))), "{history:?}");
                    }
                });
            }
        }
    }
    assert!(histories > 500, "{histories}");
}

#[test]
fn whatever_is_answered_a_write_keeps_its_promises() {
    let mut histories = 0;
    for rung in Rung::ALL {
        for compare in [false, true] {
            let Some(step) = Write::begin(rung, false, compare) else { continue };
            walk_writes(step, &mut Vec::new(), 6, &mut |history, end| {
                histories += 1;
                let first = history.iter().position(|(call, answer)| {
                    matches!(call, WriteCall::Put { .. }) && *answer == Did(Applied)
                });
                let mut seen = Version::ZERO;
                for (at, (call, answer)) in history.iter().enumerate() {
                    let store = match call {
                        WriteCall::Get(store) => *store,
                        WriteCall::Put { store, above, .. } => {
                            assert!(*above >= seen, "stamped below what was seen: {history:?}");
                            assert!(first.is_none_or(|first| at <= first), "stamped again: {history:?}");
                            *store
                        }
                        WriteCall::Mirror => {
                            assert_eq!(first, Some(at - 1), "the source comes first: {history:?}");
                            Target
                        }
                        WriteCall::Copy => {
                            assert!(first.is_none(), "it keeps the record: {history:?}");
                            Target
                        }
                    };
                    assert!(rung != Rung::SourceOnly || store == Source);
                    assert!(rung != Rung::TargetOnly || store == Target);
                    match answer {
                        Got(Some(got)) => seen = seen.max(got.version),
                        Did(Stale(current)) => seen = seen.max(*current),
                        _ => {}
                    }
                }
                if rung == Rung::TargetFirst {
                    assert!(history.first().is_none_or(|(call, _)| *call == WriteCall::Get(Target)));
                }
                let Some(WriteEnd { outcome, failed: culprit, .. }) = end else { return };
                let is_its_own = |call: &WriteCall| !matches!(call, WriteCall::Get(_) | WriteCall::Copy);
                let writes = history.iter().filter(|(call, _)| is_its_own(call));
                let doubtful = writes.filter(|(_, answer)| *answer == Indeterminate).count();
                match outcome {
                    WriteOutcome::Acknowledged => {
                        assert!(first.is_some(), "{history:?}");
                        let (_, last) = history[history.len() - 1];
                        assert!(rung == Rung::Dual || !failed(last), "{history:?}");
                    }
                    WriteOutcome::NotApplied => assert!(first.is_none() && doubtful == 0, "{history:?}"),
                    WriteOutcome::Indeterminate => assert!(first.is_some() || doubtful > 0, "{history:?}"),
                    WriteOutcome::Kept => assert!(compare && first.is_none() && doubtful == 0, "{history:?}"),
                }
                let is_failure = matches!(outcome, WriteOutcome::NotApplied | WriteOutcome::Indeterminate);
                assert!(!is_failure || culprit.is_some());
            });
        }
    }
    assert!(histories > 5_000, "{histories}");
}
