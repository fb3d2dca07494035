//! Tenants that are counted separately: few, fairly, and nothing is counted twice or lost.

use std::collections::{BTreeMap, BTreeSet};

use cutover_client::report::{ErrorClass, Event, Operation, Origin, Outcome, Recorder, StoreRole};
use cutover_proto::v1;
use proptest::prelude::*;

use crate::MS;

fn read(store: StoreRole, error: Option<ErrorClass>, found: Option<bool>) -> Outcome {
    Outcome::Call { store, operation: Operation::Read, latency: MS, error, found }
}

fn ok() -> Outcome {
    read(StoreRole::Target, None, Some(true))
}

fn failed() -> Outcome {
    read(StoreRole::Target, Some(ErrorClass::Server), None)
}

fn of(tenant: &str) -> Origin<'_> {
    Origin { migration: "orders", revision: 1, tenant: Some(tenant) }
}

fn calls_of(cell: &v1::Cell) -> u64 {
    cell.stores.iter().map(|calls| calls.calls).sum()
}

/// Calls by tenant; "" are all others.
fn drained(recorder: &Recorder) -> BTreeMap<String, u64> {
    recorder.drain().cells.iter().map(|cell| (cell.tenant.clone(), calls_of(cell))).collect()
}

/// Many who call once each, so that nobody is busy.
fn crowd(recorder: &Recorder) {
    (0..1_000).for_each(|i| recorder.record(of(&format!("one-of-many-{i}")), &[ok()]));
}

#[test]
fn a_tenant_has_a_cell_of_its_own_from_the_call_after_its_first_error() {
    let recorder = Recorder::new();
    crowd(&recorder);
    recorder.record(of("acme"), &[failed()]);
    recorder.record(of("acme"), &[ok()]);
    recorder.record(of("acme"), &[failed()]);
    assert_eq!(drained(&recorder), BTreeMap::from([("".into(), 1_001), ("acme".into(), 2)]));
    // And so on, until a hundred reports have passed without another.
    for _ in 0..99 {
        crowd(&recorder);
        recorder.record(of("acme"), &[ok()]);
        assert_eq!(drained(&recorder).get("acme"), Some(&1));
    }
    crowd(&recorder);
    recorder.drain();
    recorder.record(of("acme"), &[Outcome::Event(Event::Mismatch)]);
    let cells = recorder.drain().cells;
    assert_eq!((cells.len(), cells[0].tenant.as_str(), cells[0].mismatch), (1, "", 1));
    recorder.record(of("acme"), &[ok()]);
    assert_eq!(drained(&recorder).get("acme"), Some(&1), "a mismatch is as suspicious");
}

#[test]
fn a_source_that_fails_makes_no_tenant_suspicious() {
    let recorder = Recorder::new();
    crowd(&recorder);
    let source = read(StoreRole::Source, Some(ErrorClass::Server), None);
    recorder.record(of("acme"), &[source]);
    recorder.record(of("acme"), &[ok()]);
    assert_eq!(drained(&recorder), BTreeMap::from([("".into(), 1_002)]));
}

#[test]
fn who_calls_most_has_a_cell_from_the_second_report_on() {
    let recorder = Recorder::new();
    for report in 0..3 {
        for _ in 0..100 {
            recorder.record(of("big"), &[ok()]);
        }
        crowd(&recorder);
        let big = (report > 0).then_some(&100);
        assert_eq!(drained(&recorder).get("big"), big, "report {report}");
    }
}

#[test]
fn of_a_hundred_thousand_failing_tenants_few_are_told_apart_and_all_are_counted() {
    let recorder = Recorder::new();
    let tenants: Vec<_> = (0..100_000).map(|i| format!("tenant-{i}")).collect();
    for report in 0..3 {
        for tenant in &tenants {
            recorder.record(of(tenant), &[failed(), failed()]);
            recorder.record(of(tenant), &[failed()]);
        }
        let drained = drained(&recorder);
        assert_eq!(drained.values().sum::<u64>(), 300_000);
        let told = drained.keys().filter(|tenant| !tenant.is_empty()).count();
        assert!((32..=64).contains(&told), "{told} in report {report}");
    }
}

proptest! {
    /// However tenants are separated, all cells together are what was counted, and each is consistent.
    #[test]
    fn everything_is_in_exactly_one_cell(
        operations in prop::collection::vec((0..200_usize, 1..3_u64, 0..8_u8, 0..40_u8), 0..600),
    ) {
        let recorder = Recorder::new();
        let mut cells = Vec::new();
        let (mut total, mut failures, mut events) = (0, 0, 0);
        for (tenant, revision, outcome, pause) in operations {
            // Some call far more often than others.
            let tenant = format!("tenant-{}", if tenant < 100 { tenant % 3 } else { tenant });
            let outcomes = match outcome {
                0 => vec![failed()],
                1 => vec![read(StoreRole::Target, None, None), read(StoreRole::Source, None, None)],
                2 => vec![read(StoreRole::Target, None, Some(false)), Outcome::Event(Event::NotFound)],
                3 => vec![ok(), Outcome::Event(Event::Compared), Outcome::Event(Event::Mismatch)],
                _ => vec![ok(), Outcome::Event(Event::Hit)],
            };
            let is_call = |outcome: &&Outcome| matches!(outcome, Outcome::Call { .. });
            let calls = outcomes.iter().filter(is_call).count();
            total += calls as u64;
            failures += u64::from(outcome == 0);
            events += (outcomes.len() - calls) as u64;
            let tenant = (pause != 1).then_some(tenant.as_str());
            recorder.record(Origin { migration: "orders", revision, tenant }, &outcomes);
            if pause == 0 {
                cells.push(recorder.drain().cells);
            }
        }
        cells.push(recorder.drain().cells);
        for report in &cells {
            let keys: BTreeSet<_> = report.iter().map(|cell| (cell.revision, &cell.tenant)).collect();
            prop_assert_eq!(keys.len(), report.len(), "one cell of each");
        }
        let all: Vec<_> = cells.iter().flatten().collect();
        prop_assert_eq!(all.iter().map(|cell| calls_of(cell)).sum::<u64>(), total);
        prop_assert_eq!(all.iter().map(|cell| crate::errors(cell)).sum::<u64>(), failures);
        let counted = |cell: &&v1::Cell| cell.hit + cell.not_found + cell.compared + cell.mismatch;
        prop_assert_eq!(all.iter().map(counted).sum::<u64>(), events);
        for cell in all {
            prop_assert!(cell.mismatch <= cell.compared);
            for calls in &cell.stores {
                prop_assert!(calls.not_found <= calls.answered && calls.answered <= calls.calls);
            }
        }
    }
}
