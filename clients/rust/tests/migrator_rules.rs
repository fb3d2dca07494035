//! The rules of every rung, against every answer a store can give.

use cutover_client::{
    migrator::rules::{
        Answer::{self, Got, Indeterminate, NotApplied, Put as Did},
        Condition, Found, OperationStep, Pair, Read, ReadCall, ReadEnd, Seen, Write, WriteCall, WriteEnd,
        WriteOutcome,
    },
    report::StoreRole::{self, Source, Target},
    routing::{Level, Rung},
    store::{
        Put::{Applied, Present, Stale},
        Version,
    },
};

const COPY: ReadCall = ReadCall::Copy;
const MIRROR: WriteCall = WriteCall::Mirror;
const GET_S: ReadCall = ReadCall::Get(Source);
const GET_T: ReadCall = ReadCall::Get(Target);
const NOTHING: Answer = Got(None);

fn has(version: u64) -> Answer {
    Got(Some(Seen { version: Version(version), tombstone: false }))
}

fn dead(version: u64) -> Answer {
    Got(Some(Seen { version: Version(version), tombstone: true }))
}

fn stale(version: u64) -> Answer {
    Did(Stale(Version(version)))
}

/// Plays the answers; returns the calls they were given to, and the end.
fn read(rung: Rung, no_fallback: bool, level: Level, answers: &[Answer]) -> (Vec<ReadCall>, ReadEnd) {
    let mut step = Read::begin(rung, no_fallback, level).expect("not on hold");
    let mut calls = Vec::new();
    for answer in answers {
        let OperationStep::Call(state, call) = step else {
            panic!("{rung:?} ended before {answer:?}: {step:?}")
        };
        calls.push(call);
        step = state.step(*answer);
    }
    match step {
        OperationStep::End(end) => (calls, end),
        OperationStep::Call(..) => panic!("{rung:?} has not ended after {answers:?}: {step:?}"),
    }
}

fn write(rung: Rung, compare: bool, answers: &[Answer]) -> (Vec<WriteCall>, WriteEnd) {
    let mut step = Write::begin(rung, false, compare).expect("not on hold");
    let mut calls = Vec::new();
    for answer in answers {
        let OperationStep::Call(state, call) = step else {
            panic!("{rung:?} ended before {answer:?}: {step:?}")
        };
        calls.push(call);
        step = state.step(*answer);
    }
    match step {
        OperationStep::End(end) => (calls, end),
        OperationStep::Call(..) => panic!("{rung:?} has not ended after {answers:?}: {step:?}"),
    }
}

fn put(store: StoreRole, above: u64) -> WriteCall {
    WriteCall::Put { store, above: Version(above), condition: Condition::Newer }
}

fn compare_and_put(
    store: StoreRole,
    above: u64,
    expected: Option<u64>,
    base: Option<StoreRole>,
) -> WriteCall {
    let condition = Condition::Unchanged { expected: expected.map(Version), base };
    WriteCall::Put { store, above: Version(above), condition }
}

#[test]
fn nothing_begins_on_hold() {
    assert_eq!(Read::begin(Rung::Hold, false, Level::Acknowledged), None);
    assert_eq!(Write::begin(Rung::Hold, false, false), None);
    assert_eq!(Write::begin(Rung::Hold, false, true), None);
}

#[test]
fn the_lower_rungs_read_the_source_alone() {
    for rung in [Rung::SourceOnly, Rung::Dual, Rung::Mirrored] {
        let read = |answer| read(rung, false, Level::Acknowledged, &[answer]);
        let source = vec![GET_S];
        assert_eq!(read(has(3)), (source.clone(), ReadEnd::Return(Some(Source), Found::Unasked)));
        assert_eq!(read(dead(3)), (source.clone(), ReadEnd::Return(Some(Source), Found::Unasked)));
        assert_eq!(read(NOTHING), (source.clone(), ReadEnd::Return(None, Found::Unasked)));
        assert_eq!(read(NotApplied), (source, ReadEnd::Failed(Source)));
    }
}

#[test]
fn mirrored_confirms_a_read_where_reads_must_not_go_back_in_time() {
    let cases: &[(&[Answer], &[ReadCall], ReadEnd)] = &[
        (&[NOTHING], &[GET_S], ReadEnd::Return(None, Found::NotFound)),
        (&[has(3), has(3)], &[GET_S, GET_T], ReadEnd::Return(Some(Source), Found::Hit)),
        (&[has(3), has(4)], &[GET_S, GET_T], ReadEnd::Return(Some(Source), Found::Hit)),
        (&[dead(3), dead(3)], &[GET_S, GET_T], ReadEnd::Return(Some(Source), Found::NotFound)),
        (&[has(0), has(0)], &[GET_S, GET_T], ReadEnd::Return(Some(Source), Found::Hit)),
        (&[has(3), NOTHING, Did(Applied)], &[GET_S, GET_T, COPY], ReadEnd::Return(Some(Source), Found::Miss)),
        (&[has(0), NOTHING, Did(Applied)], &[GET_S, GET_T, COPY], ReadEnd::Return(Some(Source), Found::Miss)),
        (
            &[has(3), has(2), Did(Applied)],
            &[GET_S, GET_T, COPY],
            ReadEnd::Return(Some(Source), Found::Repaired),
        ),
        (&[has(3), has(2), stale(4)], &[GET_S, GET_T, COPY], ReadEnd::Return(Some(Source), Found::Hit)),
        (
            &[dead(3), NOTHING, Did(Applied)],
            &[GET_S, GET_T, COPY],
            ReadEnd::Return(Some(Source), Found::NotFound),
        ),
        (&[has(3), NotApplied], &[GET_S, GET_T], ReadEnd::Failed(Target)),
        (&[has(3), NOTHING, Indeterminate], &[GET_S, GET_T, COPY], ReadEnd::Failed(Target)),
        (&[Indeterminate], &[GET_S], ReadEnd::Failed(Source)),
    ];
    for (answers, calls, end) in cases {
        let found = read(Rung::Mirrored, false, Level::Linearizable, answers);
        assert_eq!(found, (calls.to_vec(), *end), "{answers:?}");
    }
}

#[test]
fn target_first_reads_the_target_and_copies_what_it_lacks() {
    let cases: &[(&[Answer], &[ReadCall], ReadEnd)] = &[
        (&[has(3)], &[GET_T], ReadEnd::Return(Some(Target), Found::Hit)),
        // A tombstone is an answer: the source is not asked.
        (&[dead(3)], &[GET_T], ReadEnd::Return(Some(Target), Found::NotFound)),
        (&[NOTHING, NOTHING], &[GET_T, GET_S], ReadEnd::Return(None, Found::NotFound)),
        (&[NOTHING, has(3), Did(Applied)], &[GET_T, GET_S, COPY], ReadEnd::Return(Some(Source), Found::Miss)),
        (
            &[NOTHING, dead(3), Did(Applied)],
            &[GET_T, GET_S, COPY],
            ReadEnd::Return(Some(Source), Found::NotFound),
        ),
        // Another client wrote meanwhile: what is there now is the answer.
        (
            &[NOTHING, has(3), stale(4), has(4)],
            &[GET_T, GET_S, COPY, GET_T],
            ReadEnd::Return(Some(Target), Found::Hit),
        ),
        (
            &[NOTHING, has(3), stale(4), dead(4)],
            &[GET_T, GET_S, COPY, GET_T],
            ReadEnd::Return(Some(Target), Found::NotFound),
        ),
        // Never the source because the target failed.
        (&[NotApplied], &[GET_T], ReadEnd::Failed(Target)),
        (&[Indeterminate], &[GET_T], ReadEnd::Failed(Target)),
        (&[NOTHING, NotApplied], &[GET_T, GET_S], ReadEnd::Failed(Source)),
        // Nor a record that could not be copied.
        (&[NOTHING, has(3), NotApplied], &[GET_T, GET_S, COPY], ReadEnd::Failed(Target)),
        (&[NOTHING, has(3), Indeterminate], &[GET_T, GET_S, COPY], ReadEnd::Failed(Target)),
    ];
    for level in [Level::Acknowledged, Level::Linearizable] {
        for (answers, calls, end) in cases {
            assert_eq!(read(Rung::TargetFirst, false, level, answers), (calls.to_vec(), *end), "{answers:?}");
        }
    }
}

#[test]
fn without_fallback_the_target_alone_answers() {
    for (rung, no_fallback) in
        [(Rung::TargetFirst, true), (Rung::TargetOnly, false), (Rung::TargetOnly, true)]
    {
        let read = |answer| read(rung, no_fallback, Level::Acknowledged, &[answer]);
        let target = vec![GET_T];
        assert_eq!(read(has(3)), (target.clone(), ReadEnd::Return(Some(Target), Found::Hit)));
        assert_eq!(read(dead(3)), (target.clone(), ReadEnd::Return(Some(Target), Found::NotFound)));
        assert_eq!(read(NOTHING), (target.clone(), ReadEnd::Return(None, Found::NotFound)));
        assert_eq!(read(NotApplied), (target, ReadEnd::Failed(Target)));
    }
}

#[test]
fn a_write_to_one_store_stamps_above_what_it_meets() {
    for (rung, store) in [(Rung::SourceOnly, Source), (Rung::TargetOnly, Target)] {
        let end = |outcome, failed| WriteEnd { outcome, failed, pair: None };
        let acknowledged = end(WriteOutcome::Acknowledged, None);
        assert_eq!(write(rung, false, &[Did(Applied)]), (vec![put(store, 0)], acknowledged));
        assert_eq!(
            write(rung, false, &[stale(7), stale(9), Did(Applied)]),
            (vec![put(store, 0), put(store, 7), put(store, 9)], acknowledged)
        );
        for (failure, outcome) in
            [(NotApplied, WriteOutcome::NotApplied), (Indeterminate, WriteOutcome::Indeterminate)]
        {
            assert_eq!(write(rung, false, &[failure]), (vec![put(store, 0)], end(outcome, Some(store))));
        }
    }
}

#[test]
fn a_version_that_is_there_before_a_write_is_not_its_own() {
    let (get_s, get_t) = (WriteCall::Get(Source), WriteCall::Get(Target));
    let (calls, end) = write(Rung::SourceOnly, false, &[Did(Present), has(7), Did(Applied)]);
    assert_eq!(calls, [put(Source, 0), get_s, put(Source, 7)]);
    assert_eq!(end.outcome, WriteOutcome::Acknowledged);
    let (calls, end) = write(Rung::TargetOnly, false, &[Did(Present), has(7), Did(Applied)]);
    assert_eq!(calls, [put(Target, 0), get_t, put(Target, 7)]);
    assert_eq!(end.outcome, WriteOutcome::Acknowledged);
    // In the second store it may be a copy of this very write.
    let (calls, end) = write(Rung::Mirrored, false, &[Did(Present), has(7), Did(Applied), Did(Present)]);
    assert_eq!(calls, [put(Source, 0), get_s, put(Source, 7), MIRROR]);
    assert_eq!(end.outcome, WriteOutcome::Acknowledged);
    let (calls, _) =
        write(Rung::TargetFirst, false, &[has(5), Did(Present), has(8), has(7), Did(Applied), Did(Applied)]);
    assert_eq!(calls, [get_t, put(Source, 5), get_t, get_s, put(Source, 8), MIRROR]);
    // What could not be read is not written.
    let (_, end) = write(Rung::SourceOnly, false, &[Did(Present), NotApplied]);
    assert_eq!(end.outcome, WriteOutcome::NotApplied);
}

#[test]
fn a_write_to_both_goes_to_the_source_first() {
    for rung in [Rung::Dual, Rung::Mirrored] {
        let both = WriteEnd { outcome: WriteOutcome::Acknowledged, failed: None, pair: Some(Pair::BothOk) };
        let calls = vec![put(Source, 0), MIRROR];
        assert_eq!(write(rung, false, &[Did(Applied), Did(Applied)]), (calls.clone(), both));
        // Superseded in the target: success, and never stamped again.
        assert_eq!(write(rung, false, &[Did(Applied), stale(9)]), (calls.clone(), both));
        assert_eq!(
            write(rung, false, &[stale(7), Did(Applied), Did(Applied)]),
            (vec![put(Source, 0), put(Source, 7), MIRROR], both)
        );
        for (failure, outcome) in
            [(NotApplied, WriteOutcome::NotApplied), (Indeterminate, WriteOutcome::Indeterminate)]
        {
            let end = WriteEnd { outcome, failed: Some(Source), pair: Some(Pair::OnlySourceFailed) };
            assert_eq!(
                write(rung, false, &[failure]),
                (vec![put(Source, 0)], end),
                "the target stays behind"
            );
        }
        // From mirrored on, callers see the target's failure.
        let outcome =
            if rung == Rung::Dual { WriteOutcome::Acknowledged } else { WriteOutcome::Indeterminate };
        let end = WriteEnd { outcome, failed: Some(Target), pair: Some(Pair::OnlyTargetFailed) };
        for failure in [NotApplied, Indeterminate] {
            assert_eq!(write(rung, false, &[Did(Applied), failure]), (calls.clone(), end));
        }
    }
}

#[test]
fn target_first_observes_the_target_before_it_stamps() {
    let observe = WriteCall::Get(Target);
    let write = |answers: &[Answer]| write(Rung::TargetFirst, false, answers);
    let both = WriteEnd { outcome: WriteOutcome::Acknowledged, failed: None, pair: Some(Pair::BothOk) };
    assert_eq!(write(&[NOTHING, Did(Applied), Did(Applied)]), (vec![observe, put(Source, 0), MIRROR], both));
    assert_eq!(write(&[dead(5), Did(Applied), Did(Applied)]), (vec![observe, put(Source, 5), MIRROR], both));
    // Above both, whichever is higher.
    for (in_target, in_source, above) in [(5, 7, 7), (9, 7, 9)] {
        assert_eq!(
            write(&[has(in_target), stale(in_source), Did(Applied), stale(11)]),
            (vec![observe, put(Source, in_target), put(Source, above), MIRROR], both)
        );
    }
    for failure in [NotApplied, Indeterminate] {
        let end = WriteEnd { outcome: WriteOutcome::NotApplied, failed: Some(Target), pair: None };
        assert_eq!(write(&[failure]), (vec![observe], end), "the source is as it was");
        let end = WriteEnd {
            outcome: WriteOutcome::Indeterminate,
            failed: Some(Target),
            pair: Some(Pair::OnlyTargetFailed),
        };
        assert_eq!(write(&[NOTHING, Did(Applied), failure]), (vec![observe, put(Source, 0), MIRROR], end));
    }
}

#[test]
fn a_mutation_writes_only_over_what_it_has_read() {
    let get_s = WriteCall::Get(Source);
    let get_t = WriteCall::Get(Target);
    let acknowledged = |pair| WriteEnd { outcome: WriteOutcome::Acknowledged, failed: None, pair };
    assert_eq!(
        write(Rung::SourceOnly, true, &[has(3), stale(4), has(4), Did(Applied)]),
        (
            vec![
                get_s,
                compare_and_put(Source, 3, Some(3), Some(Source)),
                get_s,
                compare_and_put(Source, 4, Some(4), Some(Source)),
            ],
            acknowledged(None)
        )
    );
    assert_eq!(
        write(Rung::Mirrored, true, &[NOTHING, Did(Applied), Did(Applied)]),
        (vec![get_s, compare_and_put(Source, 0, None, None), MIRROR], acknowledged(Some(Pair::BothOk)))
    );
    assert_eq!(
        write(Rung::TargetOnly, true, &[has(3), Did(Applied)]),
        (vec![get_t, compare_and_put(Target, 3, Some(3), Some(Target))], acknowledged(None))
    );
    // Target-first: the newer record is mutated; the source orders the writers.
    for (in_target, in_source, above, expected, base) in [
        (has(3), has(5), 5, Some(5), Some(Source)),
        (has(5), has(3), 5, Some(3), Some(Target)),
        (has(5), has(5), 5, Some(5), Some(Target)),
        (NOTHING, has(3), 3, Some(3), Some(Source)),
        (has(3), NOTHING, 3, None, Some(Target)),
        (NOTHING, NOTHING, 0, None, None),
    ] {
        let (calls, _) = write(Rung::TargetFirst, true, &[in_target, in_source, Did(Applied), Did(Applied)]);
        assert_eq!(calls, [get_t, get_s, compare_and_put(Source, above, expected, base), MIRROR]);
    }
    // Without fallback, a record that only the source has was deleted long ago, but its version still counts.
    let Some(OperationStep::Call(state, _)) = Write::begin(Rung::TargetFirst, true, true) else {
        panic!("begins")
    };
    let OperationStep::Call(state, _) = state.step(NOTHING) else { panic!("goes on") };
    let OperationStep::Call(_, call) = state.step(has(3)) else { panic!("goes on") };
    assert_eq!(call, compare_and_put(Source, 3, Some(3), None));
}

#[test]
fn a_mutation_that_keeps_the_record_ends_as_a_read_does() {
    let kept = OperationStep::End(WriteEnd { outcome: WriteOutcome::Kept, failed: None, pair: None });
    let keep = |rung, answers: &[Answer]| {
        let mut step = Write::begin(rung, false, true).expect("not on hold");
        for answer in answers {
            let OperationStep::Call(state, WriteCall::Get(_)) = step else { panic!("{step:?}") };
            step = state.step(*answer);
        }
        let OperationStep::Call(state, WriteCall::Put { condition: Condition::Unchanged { base, .. }, .. }) =
            step
        else {
            panic!("{step:?}")
        };
        state.keep(base)
    };
    for rung in [Rung::SourceOnly, Rung::Dual, Rung::TargetOnly] {
        assert_eq!(keep(rung, &[has(3)]), kept, "{rung:?}");
    }
    assert_eq!(keep(Rung::Mirrored, &[NOTHING]), kept);
    assert_eq!(keep(Rung::TargetFirst, &[has(5), has(3)]), kept);
    assert_eq!(keep(Rung::TargetFirst, &[has(5), NOTHING]), kept);
    for confirmed in [
        keep(Rung::Mirrored, &[has(3)]),
        keep(Rung::TargetFirst, &[has(3), has(5)]),
        keep(Rung::TargetFirst, &[NOTHING, dead(5)]),
    ] {
        let OperationStep::Call(state, WriteCall::Copy) = confirmed else { panic!("{confirmed:?}") };
        for put in [Did(Applied), Did(Present), stale(9)] {
            assert_eq!(state.step(put), kept);
        }
        for failure in [NotApplied, Indeterminate] {
            let end = WriteEnd { outcome: WriteOutcome::NotApplied, failed: Some(Target), pair: None };
            assert_eq!(state.step(failure), OperationStep::End(end));
        }
    }
}

#[test]
fn an_overtaken_write_is_never_acknowledged() {
    assert_eq!(WriteOutcome::Acknowledged.overtaken(), WriteOutcome::Indeterminate);
    assert_eq!(WriteOutcome::Indeterminate.overtaken(), WriteOutcome::Indeterminate);
    assert_eq!(WriteOutcome::NotApplied.overtaken(), WriteOutcome::NotApplied);
    assert_eq!(WriteOutcome::Kept.overtaken(), WriteOutcome::NotApplied);
}
