//! The migrator and the barrier: holds, callers that go away, and operations that routing overtakes.

#[path = "migrator/world.rs"]
mod world;

use std::time::Duration;

use cutover_client::{
    migrator::{Cause, READS_MAX, Unavailable, WriteError},
    report::Event,
    routing::Rung,
    store::{Fault, Gate, Verb},
};
use world::{KEY, TENANT, World, held, seed};

#[tokio::test(start_paused = true)]
async fn an_operation_on_hold_waits_for_the_next_revision() {
    let world = World::at(Rung::Hold);
    let migrator = world.migrator.clone();
    let write = tokio::spawn(async move { migrator.put_bytes(TENANT, KEY, "one".into()).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!write.is_finished());
    world.go_to(Rung::Hold);
    assert!(world.quiesced(), "who waits holds nothing up");
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.go_to(Rung::TargetFirst);
    write.await.expect("no panic").expect("acknowledged");
    assert_eq!(held(&world.target).await.expect("there").value, Some("one".into()));
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_does_not_end_is_told_after_its_timeout() {
    let world = World::at(Rung::Hold);
    let began = tokio::time::Instant::now();
    let held_up = Unavailable::Held { waited_ms: 2_000 };
    assert_eq!(world.migrator.get_bytes(TENANT, KEY).await, Err(held_up.clone().into()));
    assert_eq!(began.elapsed().as_millis(), 2_000);
    assert_eq!(world.migrator.put_bytes(TENANT, KEY, vec![]).await, Err(held_up.into()));
    assert_eq!(world.count(Event::Unavailable), 2);
    assert!(world.source.take_calls().is_empty() && world.target.take_calls().is_empty());
}

#[tokio::test]
async fn a_write_whose_caller_is_gone_goes_on_and_holds_the_barrier_until_it_has_landed() {
    let world = World::at(Rung::Dual);
    let gate = Gate::new();
    world.target.next(Verb::Put, Fault::Wait(gate.clone()));
    let migrator = world.migrator.clone();
    let write = tokio::spawn(async move { migrator.put_bytes(TENANT, KEY, "one".into()).await });
    gate.reached().await;
    write.abort();
    assert!(write.await.expect_err("aborted").is_cancelled());
    world.go_to(Rung::Mirrored);
    assert!(!world.quiesced(), "a write of the older revision is still on its way");
    gate.open();
    world.current.operations_ended().await;
    assert!(world.quiesced());
    assert_eq!(held(&world.target).await.expect("landed").value, Some("one".into()));
    assert_eq!(world.count(Event::BothOk), 1);
}

#[tokio::test]
async fn a_copy_whose_reader_is_gone_goes_on_and_holds_the_barrier_until_it_has_landed() {
    let world = World::at(Rung::TargetFirst);
    seed(&world.source, Some("old"));
    let gate = Gate::new();
    world.target.next(Verb::Put, Fault::Wait(gate.clone()));
    let migrator = world.migrator.clone();
    let read = tokio::spawn(async move { migrator.get_bytes(TENANT, KEY).await });
    gate.reached().await;
    read.abort();
    assert!(read.await.expect_err("aborted").is_cancelled());
    world.go_to(Rung::TargetFirst);
    assert!(!world.quiesced());
    gate.open();
    world.current.operations_ended().await;
    assert!(world.quiesced());
    assert_eq!(world.count(Event::Migrated), 1);
}

#[tokio::test]
async fn a_read_whose_caller_is_gone_ends_at_once() {
    let world = World::at(Rung::TargetFirst);
    let gate = Gate::new();
    world.target.next(Verb::Get, Fault::Wait(gate.clone()));
    let migrator = world.migrator.clone();
    let read = tokio::spawn(async move { migrator.get_bytes(TENANT, KEY).await });
    gate.reached().await;
    read.abort();
    assert!(read.await.expect_err("aborted").is_cancelled());
    world.go_to(Rung::TargetOnly);
    assert!(world.quiesced());
}

#[tokio::test]
async fn a_write_that_routing_has_overtaken_is_not_acknowledged() {
    let world = World::at(Rung::Dual);
    let gate = Gate::new();
    world.target.next(Verb::Put, Fault::Wait(gate.clone()));
    let migrator = world.migrator.clone();
    let write = tokio::spawn(async move { migrator.put_bytes(TENANT, KEY, "one".into()).await });
    gate.reached().await;
    world.go_to(Rung::TargetFirst); // dual must not be live beside it
    gate.open();
    assert_eq!(write.await.expect("no panic"), Err(WriteError::Indeterminate(Cause::Overtaken)));
    assert_eq!(world.count(Event::Indeterminate), 1);
}

#[tokio::test]
async fn a_write_of_an_instance_that_was_given_up_is_not_acknowledged() {
    let world = World::at(Rung::Mirrored);
    let gate = Gate::new();
    world.target.next(Verb::Put, Fault::Wait(gate.clone()));
    let migrator = world.migrator.clone();
    let write = tokio::spawn(async move { migrator.put_bytes(TENANT, KEY, "one".into()).await });
    gate.reached().await;
    world.current.readmitted();
    gate.open();
    assert_eq!(write.await.expect("no panic"), Err(WriteError::Indeterminate(Cause::Overtaken)));
}

#[tokio::test]
async fn a_read_that_routing_has_overtaken_is_made_anew() {
    let world = World::at(Rung::Dual);
    seed(&world.source, Some("stale"));
    let gate = Gate::new();
    world.source.next(Verb::Get, Fault::Wait(gate.clone()));
    let migrator = world.migrator.clone();
    let read = tokio::spawn(async move { migrator.get_bytes(TENANT, KEY).await });
    gate.reached().await;
    world.go_to(Rung::TargetOnly);
    world.put("fresh").await;
    gate.open();
    assert_eq!(read.await.expect("no panic"), Ok(Some("fresh".into())));

    // It does not continue like this for ever.
    let gate = Gate::new();
    world.source.always(Verb::Get, Fault::Wait(gate.clone()));
    world.target.always(Verb::Get, Fault::Wait(gate.clone()));
    let migrator = world.migrator.clone();
    let read = tokio::spawn(async move { migrator.get_bytes(TENANT, KEY).await });
    for n in 0..READS_MAX {
        gate.reached().await;
        world.go_to(if n % 2 == 0 { Rung::Dual } else { Rung::TargetOnly });
        gate.open();
    }
    let overtaken = Unavailable::Overtaken(READS_MAX);
    assert_eq!(read.await.expect("no panic"), Err(overtaken.into()));
    assert_eq!(world.count(Event::Unavailable), 1);
}

/// A controller that was restarted may send an older state than the one that is held.
#[tokio::test]
async fn the_lowest_revision_with_an_operation_is_acknowledged_and_not_the_first_one() {
    let world = World::at(Rung::Dual);
    let go_to = |revision| {
        let mut snapshot = world.current.snapshot().expect("held");
        snapshot.set_revision(revision);
        world.current.replace(snapshot);
        world.current.begin("orders", TENANT).expect("begun")
    };
    let (first, lowest, newest) = (go_to(7), go_to(5), go_to(9));
    assert_eq!(world.current.applied_revision(), 5);
    drop(lowest);
    assert_eq!(world.current.applied_revision(), 7);
    drop(first);
    assert_eq!(world.current.applied_revision(), 9);
    drop(newest);
}
