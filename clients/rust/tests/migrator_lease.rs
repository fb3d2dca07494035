//! The right to act expires: what happens to operations that are still running then.

#[path = "migrator/world.rs"]
mod world;

use std::{sync::Arc, time::Duration};

use cutover_client::{
    clock::Instant,
    migrator::{ReadError, Unavailable, WriteError},
    routing::{Band, PPM, Policy, Route, Rung, Table},
    store::{Fault, Gate, Verb},
    watch::BeginError,
};
use tokio::time::advance;
use world::{KEY, TENANT, World, held};

const FENCE: Duration = Duration::from_millis(3_000);

fn fenced(rung: Rung) -> World {
    World::with(rung, Policy { fence_after_ms: 3_000, shadow_ppm: 0, ..Policy::default() })
}

/// A write whose process is frozen while it waits for a store.
async fn frozen(world: &World, gate: &Gate, time: Duration) -> Result<(), WriteError> {
    let migrator = world.migrator.clone();
    let writing = tokio::spawn(async move { migrator.put_bytes(TENANT, KEY, "late".into()).await });
    gate.reached().await;
    advance(time).await;
    gate.open();
    writing.await.expect("no panic").map(|_| ())
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_frozen_past_its_lease_sends_nothing_and_acknowledges_nothing() {
    let world = fenced(Rung::Mirrored);
    let gate = Gate::new();
    world.source.next(Verb::Put, Fault::Wait(gate.clone()));
    let error = frozen(&world, &gate, FENCE).await.expect_err("not acknowledged");
    assert!(matches!(error, WriteError::Indeterminate(_)), "{error}");
    assert_eq!((held(&world.source).await, held(&world.target).await), (None, None));
}

#[tokio::test(start_paused = true)]
async fn the_second_store_is_not_written_past_the_lease() {
    let world = fenced(Rung::Mirrored);
    let gate = Gate::new();
    world.target.next(Verb::Put, Fault::Wait(gate.clone()));
    let error = frozen(&world, &gate, FENCE).await.expect_err("not acknowledged");
    assert!(matches!(error, WriteError::Indeterminate(_)), "{error}");
    assert!(held(&world.source).await.is_some(), "it was there before");
    assert_eq!(held(&world.target).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_renewed_meanwhile_is_good() {
    let world = fenced(Rung::Mirrored);
    let gate = Gate::new();
    world.source.next(Verb::Put, Fault::Wait(gate.clone()));
    let migrator = world.migrator.clone();
    let writing = tokio::spawn(async move { migrator.put_bytes(TENANT, KEY, "one".into()).await });
    gate.reached().await;
    advance(FENCE - Duration::from_secs(1)).await;
    world.current.renewed(Instant::now());
    advance(Duration::from_secs(2)).await;
    gate.open();
    writing.await.expect("no panic").expect("acknowledged");
}

#[tokio::test(start_paused = true)]
async fn the_right_counts_from_when_the_answered_request_was_sent() {
    let world = fenced(Rung::Dual);
    let sent = Instant::now();
    advance(FENCE - Duration::from_secs(1)).await;
    // The answer took that long.
    world.current.renewed(sent);
    world.put("one").await;
    advance(Duration::from_secs(1)).await;
    let error = world.migrator.put_bytes(TENANT, KEY, "two".into()).await.expect_err("fenced");
    let is_fenced =
        matches!(error, WriteError::Unavailable(Unavailable::Begin(BeginError::Fenced { silent_ms: 3_000 })));
    assert!(is_fenced, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_read_past_the_lease_is_made_anew_and_refused() {
    let world = fenced(Rung::Dual);
    let gate = Gate::new();
    world.source.next(Verb::Get, Fault::Wait(gate.clone()));
    let migrator = world.migrator.clone();
    let reading = tokio::spawn(async move { migrator.get_bytes(TENANT, KEY).await });
    gate.reached().await;
    advance(FENCE).await;
    gate.open();
    let error = reading.await.expect("no panic").expect_err("refused");
    assert!(matches!(error, ReadError::Unavailable(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_fence_that_was_set_while_it_ran_counts_too() {
    let world = World::at(Rung::Dual);
    let operation = world.current.begin("orders", TENANT).expect("begun");
    let policy = Policy { fence_after_ms: 3_000, ..Policy::default() };
    let route = Route { rung: Rung::Dual, ..Route::DEFAULT };
    let mut snapshot = world.current.snapshot().expect("held");
    let table = Table::new(2, "orders", &[Band { upto_ppm: PPM, route }], policy);
    snapshot.insert("orders", Ok(Arc::new(table)));
    snapshot.set_revision(2);
    world.current.replace(snapshot);
    assert!(!operation.overtaken(&world.current, "orders", TENANT));
    advance(FENCE).await;
    assert!(operation.overtaken(&world.current, "orders", TENANT));
}

#[tokio::test(start_paused = true)]
async fn without_a_fence_a_slow_write_is_only_slow() {
    let world = World::at(Rung::Mirrored);
    let gate = Gate::new();
    world.source.next(Verb::Put, Fault::Wait(gate.clone()));
    let error = frozen(&world, &gate, Duration::from_secs(4)).await;
    assert!(error.is_ok(), "{error:?}");
}
