//! Counting: nothing is lost, and it stays small.

#[path = "report/tenants.rs"]
mod tenants;

use std::{sync::Arc, thread, time::Duration};

use cutover_client::report::{
    BUCKETS, BadHistogram, ErrorClass, Event, Histogram, Operation, Recorder, StoreRole,
};
use cutover_proto::v1;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

fn errors(cell: &v1::Cell) -> u64 {
    let counts = cell.stores.iter().filter_map(|calls| calls.errors.as_ref());
    counts.map(|e| e.timeout + e.connection + e.server + e.constraint + e.serialization + e.other).sum()
}

#[test]
fn counts_are_kept_apart_by_migration_and_revision_until_they_are_drained() {
    let recorder = Recorder::new();
    recorder.call("orders", 4, StoreRole::Source, Operation::Read, MS, None);
    recorder.call("orders", 5, StoreRole::Target, Operation::Write, 3 * MS, Some(ErrorClass::Timeout));
    recorder.call("orders", 5, StoreRole::Target, Operation::Write, 3 * MS, None);
    recorder.count("orders", 4, Event::Miss);
    recorder.count("orders", 5, Event::Miss);
    recorder.count("users", 5, Event::Unavailable);
    assert_eq!(recorder.total("orders", Event::Miss), 2);
    assert_eq!(recorder.total("orders", Event::Hit), 0);

    let drained = recorder.drain();
    let keys: Vec<_> = drained.cells.iter().map(|c| (c.migration.as_str(), c.revision)).collect();
    assert_eq!(keys, [("orders", 4), ("orders", 5), ("users", 5)]);
    let [old, new, users] = &drained.cells[..] else { panic!("three cells") };
    assert_eq!((old.miss, new.miss, users.unavailable), (1, 1, 1));
    let [source] = &old.stores[..] else { panic!("one lane") };
    assert_eq!((source.store(), source.operation()), (v1::StoreRole::Source, v1::Operation::Read));
    assert_eq!((source.calls, source.errors.is_none()), (1, true));
    let [target] = &new.stores[..] else { panic!("one lane") };
    assert_eq!((target.store(), target.operation()), (v1::StoreRole::Target, v1::Operation::Write));
    assert_eq!((target.calls, target.errors.as_ref().map(|errors| errors.timeout)), (2, Some(1)));
    let latency = Histogram::try_from(target.latency_us.as_ref().expect("has one")).expect("valid");
    assert_eq!(latency.total(), 2);

    assert_eq!(recorder.total("orders", Event::Miss), 0);
    assert!(recorder.drain().cells.is_empty(), "an idle process sends nothing");
}

#[test]
fn every_event_has_its_field() {
    type Field = fn(&v1::Cell) -> u64;
    let recorder = Recorder::new();
    let events: [(Event, Field); 19] = [
        (Event::Hit, |c| c.hit),
        (Event::Miss, |c| c.miss),
        (Event::NotFound, |c| c.not_found),
        (Event::Migrated, |c| c.migrated),
        (Event::Backfill, |c| c.backfill),
        (Event::Repaired, |c| c.repaired),
        (Event::Mismatch, |c| c.mismatch),
        (Event::Compared, |c| c.compared),
        (Event::BothOk, |c| c.both_ok),
        (Event::OnlyTargetFailed, |c| c.only_target_failed),
        (Event::OnlySourceFailed, |c| c.only_source_failed),
        (Event::BothFailed, |c| c.both_failed),
        (Event::Indeterminate, |c| c.indeterminate),
        (Event::NotApplied, |c| c.not_applied),
        (Event::Unavailable, |c| c.unavailable),
        (Event::Lacking, |c| c.lacking),
        (Event::ReadOnlyTargetFailed, |c| c.read_pairs.map_or(0, |pairs| pairs.only_target_failed)),
        (Event::ReadOnlySourceFailed, |c| c.read_pairs.map_or(0, |pairs| pairs.only_source_failed)),
        (Event::ReadBothFailed, |c| c.read_pairs.map_or(0, |pairs| pairs.both_failed)),
    ];
    for (times, (event, _)) in (1..).zip(events) {
        (0..times).for_each(|_| recorder.count("orders", 1, event));
    }
    let cell = &recorder.drain().cells[0];
    for (times, (event, field)) in (1..).zip(events) {
        assert_eq!(field(cell), times, "{event:?}");
    }
    recorder.count("orders", 1, Event::ReadBothOk);
    recorder.count("orders", 1, Event::ReadBothFailed);
    let pairs = recorder.drain().cells[0].read_pairs.expect("reads of both");
    assert_eq!((pairs.calls, pairs.both_failed), (2, 1));
}

#[test]
fn threads_count_together() {
    let recorder = Arc::new(Recorder::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    recorder.call("orders", 1, StoreRole::Source, Operation::Read, MS, None);
                    recorder.count("orders", 1, Event::NotFound);
                }
            });
        }
    });
    let drained = recorder.drain();
    assert_eq!(drained.cells.len(), 1);
    assert_eq!((drained.cells[0].not_found, drained.cells[0].stores[0].calls), (8_000, 8_000));
}

#[test]
fn calls_under_way_are_shown_with_the_age_of_the_oldest() {
    let recorder = Recorder::new();
    let oldest = recorder.in_flight("orders", StoreRole::Target, Operation::Read);
    let others: Vec<_> =
        (0..9).map(|_| recorder.in_flight("orders", StoreRole::Target, Operation::Read)).collect();
    let cells = recorder.drain().cells;
    assert_eq!((cells.len(), cells[0].revision, cells[0].stores[0].in_flight), (1, 0, 10));

    drop(others);
    recorder.count("orders", 7, Event::Hit);
    let one = recorder.drain().cells;
    assert_eq!((one.len(), one[0].revision, one[0].stores[0].in_flight), (1, 7, 1));
    let age = one[0].stores[0].oldest_in_flight_us;
    let later = recorder.drain().cells;
    assert_eq!(later[0].stores[0].in_flight, 1, "shown again while it lasts");
    let ages = later[0].stores[0].in_flight_us.as_ref().expect("one runs");
    assert_eq!(Histogram::try_from(ages).map(|ages| ages.total()), Ok(1));
    assert!(later[0].stores[0].oldest_in_flight_us >= age);

    drop(oldest);
    assert!(recorder.drain().cells.is_empty());
}

#[test]
fn too_many_cells_lose_detail_but_no_call_and_no_error() {
    let recorder = Recorder::new();
    for revision in 1..=5_000 {
        recorder.call("orders", revision, StoreRole::Target, Operation::Read, MS, None);
        recorder.call("orders", revision, StoreRole::Target, Operation::Read, MS, Some(ErrorClass::Server));
        recorder.count("orders", revision, Event::OnlyTargetFailed);
    }
    recorder.call("users", 1, StoreRole::Target, Operation::Read, MS, Some(ErrorClass::Other));
    let drained = recorder.drain();
    assert!(drained.cells.len() <= 4_096 && drained.dropped_cells > 0, "{}", drained.cells.len());
    assert!(drained.cells.iter().filter(|c| c.stores[0].latency_us.is_some()).count() <= 256);
    assert_eq!(drained.cells.iter().map(|cell| cell.stores[0].calls).sum::<u64>(), 10_001);
    assert_eq!(drained.cells.iter().map(errors).sum::<u64>(), 5_001);
    assert_eq!(drained.cells.iter().map(|cell| cell.only_target_failed).sum::<u64>(), 5_000);
    assert!(drained.cells.iter().any(|cell| cell.migration == "users"), "another migration's own");
    let bytes =
        prost::Message::encoded_len(&v1::ReportRequest { cells: drained.cells, ..Default::default() });
    assert!(bytes < 4 << 20, "a report fits a message: {bytes}");
}

#[test]
fn a_histogram_says_which_latency_few_exceed() {
    let mut histogram = Histogram::default();
    assert_eq!(histogram.p50_us(), None);
    (1..=1_000).for_each(|ms| histogram.record(ms * MS));
    let near = |got: Option<u64>, us: f64| {
        let got = got.expect("counted") as f64;
        assert!((got / us - 1.0).abs() < 0.1, "{got} for {us}");
    };
    near(histogram.p50_us(), 500_000.0);
    near(histogram.p99_us(), 990_000.0);
    let mut twice = histogram.clone();
    twice.merge(&histogram);
    assert_eq!((twice.total(), twice.p50_us()), (2_000, histogram.p50_us()));
}

#[test]
fn a_histogram_on_the_wire_is_checked() {
    let wire = |index: &[u32], count: &[u64]| {
        Histogram::try_from(&v1::Histogram { index: index.to_vec(), count: count.to_vec() })
    };
    assert_eq!(wire(&[1, 2], &[1]), Err(BadHistogram::Lengths { index: 2, count: 1 }));
    assert_eq!(wire(&[160], &[1]), Err(BadHistogram::Index(160)));
    assert_eq!(wire(&[3, 3], &[1, 1]), Err(BadHistogram::Index(3)));
    assert_eq!(wire(&[0, 159], &[1, 2]).map(|histogram| histogram.total()), Ok(3));
}

proptest! {
    /// The integers agree with the formula of the wire.
    #[test]
    fn a_bucket_is_where_the_formula_says(us in prop_oneof![0..1_u64 << 28, 0..4_096_u64, any::<u64>()]) {
        let exact = ((us as f64).log2() * 8.0).floor() - 48.0;
        let expected = exact.clamp(0.0, (BUCKETS - 1) as f64) as usize;
        prop_assert_eq!(Histogram::bucket(us), expected);
    }

    #[test]
    fn a_histogram_survives_the_wire(values in prop::collection::vec(any::<u32>(), 0..50)) {
        let mut histogram = Histogram::default();
        values.iter().for_each(|us| histogram.record_us(u64::from(*us)));
        let wire = v1::Histogram::from(&histogram);
        prop_assert_eq!(Histogram::try_from(&wire), Ok(histogram));
    }
}
