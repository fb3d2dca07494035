//! The hot path allocates nothing. A separate binary: the counter replaces the allocator.

use std::{hint::black_box, sync::Arc, time::Duration};

use cutover_client::{
    report::{Event, Operation, Origin, Outcome, Recorder, StoreRole},
    routing::{Band, Policy, Reason, Route, Rung, Snapshot, Table},
    watch::Current,
};

const RUNS: u32 = 1_000;

fn allocations(mut run: impl FnMut()) -> u64 {
    run(); // The first use of something in a thread may set it up.
    allocation_counter::measure(|| (0..RUNS).for_each(|_| run())).count_total
}

fn holding(overrides: usize) -> (Current, Vec<String>) {
    let route = Route { rung: Rung::Mirrored, reason: Reason::Pin, no_fallback: false };
    let tenants: Vec<String> = (0..overrides).map(|i| format!("tenant-{i}")).collect();
    let table = Table::new(1, "salt", &[Band { upto_ppm: 500_000, route }], Policy::default())
        .with_overrides(tenants.iter().map(|tenant| (tenant.as_str(), Some(route))));
    let mut snapshot = Snapshot::empty(1);
    snapshot.insert("orders", Ok(Arc::new(table)));
    let current = Current::default();
    current.replace(snapshot);
    (current, tenants)
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(black_box(Box::new(1)))), u64::from(RUNS));
}

#[test]
fn deciding_allocates_nothing() {
    for overrides in [0, 1_000] {
        let (current, mut tenants) = holding(overrides);
        tenants.truncate(50);
        tenants.extend(["acme", "a tenant with neither pin nor luck", "ü"].map(str::to_owned));
        let counted = allocations(|| {
            for tenant in &tenants {
                black_box(current.decide("orders", black_box(tenant))).expect("routed");
            }
        });
        assert_eq!(counted, 0, "with {overrides} overrides");
    }
}

#[test]
fn an_operation_allocates_nothing() {
    let (current, _) = holding(1_000);
    let counted = allocations(|| {
        let operation = current.begin("orders", black_box("acme")).expect("routed");
        assert!(!operation.overtaken(&current, "orders", "acme"));
    });
    assert_eq!(counted, 0);
}

#[test]
fn counting_allocates_nothing_after_the_first_time() {
    let recorder = Recorder::new();
    let count = || {
        let running = recorder.in_flight("orders", StoreRole::Target, Operation::Write);
        drop(running);
        recorder.call("orders", 7, StoreRole::Target, Operation::Write, Duration::from_millis(3), None);
        recorder.count("orders", 7, Event::Hit);
        for tenant in ["acme", "bolt"] {
            let origin = Origin { migration: "orders", revision: 7, tenant: Some(tenant) };
            recorder.record(origin, &[Outcome::Event(Event::Hit)]);
        }
    };
    assert_eq!(allocations(count), 0);
    assert_eq!(recorder.drain().cells.len(), 1);
    assert_eq!(allocations(count), 0, "draining keeps the memory");
}
