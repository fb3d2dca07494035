//! Reads of several records, and queries of the application's own.

#[path = "migrator/world.rs"]
mod world;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use cutover_client::{
    migrator::ReadError,
    report::{ErrorClass, Event, StoreRole},
    routing::{Level, Policy, Route, Rung},
    store::{Fault, Gate, Id, Record, Store, StoreError, Verb, Version},
};
use world::{TENANT, World, down};

const ROUTED: [Rung; 5] = [Rung::SourceOnly, Rung::Dual, Rung::Mirrored, Rung::TargetFirst, Rung::TargetOnly];

fn at(key: &str) -> Id {
    Id::new(TENANT, key).expect("valid")
}

/// A record of long ago; always of the same version.
fn old(value: Option<&str>) -> Record {
    let version = Version::new(1_000_000, 0, 9).expect("fits");
    Record { version, value: value.map(Into::into) }
}

async fn many(world: &World, keys: &[&str]) -> Vec<Option<String>> {
    let found = world.migrator.get_many_bytes(TENANT, keys).await.expect("readable");
    found.into_iter().map(|value| value.map(|bytes| String::from_utf8(bytes).expect("text"))).collect()
}

#[tokio::test]
async fn many_records_are_read_at_every_rung_in_the_order_asked_for() {
    for rung in ROUTED {
        let world = World::at(rung);
        for key in ["a", "b", "gone"] {
            world.migrator.put_bytes(TENANT, key, key.into()).await.expect("acknowledged");
        }
        world.migrator.delete(TENANT, "gone").await.expect("acknowledged");
        let found = many(&world, &["b", "never", "a", "gone", "b"]).await;
        let (a, b) = (Some("a".to_owned()), Some("b".to_owned()));
        assert_eq!(found, [b.clone(), None, a, None, b], "{rung:?}");
        assert_eq!(many(&world, &[]).await, Vec::<Option<String>>::new());
    }
}

#[tokio::test]
async fn a_hundred_records_take_one_call() {
    let world = World::at(Rung::SourceOnly);
    let keys: Vec<_> = (0..250).map(|n| format!("key-{n:03}")).collect();
    for key in &keys {
        world.source.inner().insert(at(key), old(Some(key)));
    }
    let found = world.migrator.get_many_bytes(TENANT, &keys).await.expect("readable");
    let expected: Vec<_> = keys.iter().map(|key| Some(key.clone().into_bytes())).collect();
    assert_eq!(found, expected);
    assert_eq!(world.source.take_calls(), [Verb::Get; 3]);
    assert_eq!(world.target.take_calls(), []);
}

#[tokio::test]
async fn what_the_target_lacks_is_copied_before_it_is_returned() {
    let world = World::at(Rung::TargetFirst);
    world.source.inner().insert(at("both"), old(Some("source's")));
    world.target.inner().insert(at("both"), old(Some("target's")));
    world.source.inner().insert(at("missed"), old(Some("missed")));
    world.source.inner().insert(at("deleted"), old(None));
    // In the target a tombstone is an answer: the source is not asked.
    world.source.inner().insert(at("dead"), old(Some("dead")));
    world.target.inner().insert(at("dead"), old(None));
    let found = many(&world, &["both", "missed", "deleted", "dead", "never"]).await;
    assert_eq!(found, [Some("target's".to_owned()), Some("missed".to_owned()), None, None, None]);
    let copied = world.target.inner().dump();
    assert_eq!(copied.get(&at("missed")), Some(&old(Some("missed"))));
    assert_eq!(copied.get(&at("deleted")), Some(&old(None)), "a tombstone stops a late copy");
    assert_eq!(
        [Event::Hit, Event::Miss, Event::NotFound, Event::Migrated].map(|event| world.count(event)),
        [1, 1, 3, 1]
    );

    // A tenant that came back from target-only: what only the source has was deleted long ago.
    world.route(Route { rung: Rung::TargetFirst, no_fallback: true, ..Route::DEFAULT });
    world.source.inner().insert(at("purged"), old(Some("purged")));
    assert_eq!(many(&world, &["purged", "missed"]).await, [None, Some("missed".to_owned())]);
}

#[tokio::test]
async fn confirmed_reads_leave_nothing_that_the_target_lacks() {
    let policy = Policy { shadow_ppm: 0, level: Level::Linearizable, ..Policy::default() };
    let world = World::with(Rung::Mirrored, policy);
    for key in ["a", "b"] {
        world.source.inner().insert(at(key), old(Some(key)));
    }
    world.target.inner().insert(at("a"), old(Some("a")));
    assert_eq!(many(&world, &["a", "b"]).await, [Some("a".to_owned()), Some("b".to_owned())]);
    assert_eq!(world.target.inner().dump(), world.source.inner().dump());

    world.source.inner().insert(at("c"), old(Some("c")));
    world.target.next(Verb::Put, down());
    let error = world.migrator.get_many_bytes(TENANT, &["a", "c"]).await.expect_err("not confirmed");
    assert!(matches!(error, ReadError::Failed { store: StoreRole::Target, .. }), "{error}");
}

#[tokio::test]
async fn the_source_is_not_read_because_the_target_failed() {
    let world = World::at(Rung::TargetFirst);
    world.source.inner().insert(at("a"), old(Some("a")));
    world.target.next(Verb::Get, down());
    let error = world.migrator.get_many_bytes(TENANT, &["a", "b"]).await.expect_err("refused");
    assert!(matches!(error, ReadError::Failed { store: StoreRole::Target, .. }), "{error}");
    assert_eq!(world.source.take_calls(), []);
    world.source.next(Verb::Get, down());
    let error = world.migrator.get_many_bytes(TENANT, &["a", "b"]).await.expect_err("refused");
    assert!(matches!(error, ReadError::Failed { store: StoreRole::Source, .. }), "{error}");
}

#[tokio::test]
async fn a_read_that_routing_overtakes_is_repeated() {
    let world = Arc::new(World::at(Rung::SourceOnly));
    world.source.inner().insert(at("a"), old(Some("old")));
    let gate = Gate::new();
    world.source.next(Verb::Get, Fault::Wait(gate.clone()));
    let reading = tokio::spawn({
        let world = world.clone();
        async move { many(&world, &["a"]).await }
    });
    gate.reached().await;
    assert!(world.quiesced());
    world.go_to(Rung::TargetOnly);
    assert!(!world.quiesced(), "the read holds the barrier");
    world.target.inner().insert(at("a"), old(Some("new")));
    gate.open();
    assert_eq!(reading.await.expect("no panic"), [Some("new".to_owned())]);
    assert!(world.quiesced());
}

#[tokio::test]
async fn a_dropped_read_ends_unless_it_copies() {
    let world = Arc::new(World::at(Rung::TargetFirst));
    world.source.inner().insert(at("a"), old(Some("a")));
    let gate = Gate::new();
    world.target.next(Verb::Put, Fault::Wait(gate.clone()));
    let reading = tokio::spawn({
        let world = world.clone();
        async move { many(&world, &["a"]).await }
    });
    gate.reached().await;
    reading.abort();
    assert!(reading.await.expect_err("aborted").is_cancelled());
    world.go_to(Rung::TargetOnly);
    assert!(!world.quiesced(), "the copy is still under way");
    gate.open();
    while !world.quiesced() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(world.target.inner().dump().get(&at("a")), Some(&old(Some("a"))));
}

#[tokio::test]
async fn a_query_runs_at_the_store_that_has_every_acknowledged_write() {
    for rung in ROUTED {
        let world = World::at(rung);
        world.put("one").await;
        let asked =
            world.migrator.query(TENANT, async |side, store| Ok((side, store.get(&world::id()).await?)));
        let (side, found) = asked.await.expect("answered");
        let expected = if rung >= Rung::TargetFirst { StoreRole::Target } else { StoreRole::Source };
        assert_eq!((side, found.and_then(|record| record.value)), (expected, Some("one".into())), "{rung:?}");
    }
}

/// Another process is one step ahead and writes the target alone.
#[tokio::test]
async fn a_query_sees_what_was_written_a_step_ahead() {
    let world = World::at(Rung::TargetOnly);
    world.put("one").await;
    world.go_to(Rung::TargetFirst);
    let asked = world.migrator.query(TENANT, async |_, store| store.get(&world::id()).await);
    assert!(asked.await.expect("answered").is_some());
}

#[tokio::test]
async fn a_query_holds_the_barrier_and_is_repeated_if_routing_overtakes_it() {
    let world = Arc::new(World::at(Rung::SourceOnly));
    let (gate, runs) = (Gate::new(), Arc::new(AtomicU32::new(0)));
    world.source.next(Verb::Get, Fault::Wait(gate.clone()));
    let asking = tokio::spawn({
        let (world, runs) = (world.clone(), runs.clone());
        async move {
            let ask = |side, store: Arc<dyn Store>| {
                runs.fetch_add(1, Ordering::Relaxed);
                async move { store.get(&world::id()).await.map(|_| side) }
            };
            world.migrator.query(TENANT, ask).await
        }
    });
    gate.reached().await;
    world.go_to(Rung::TargetOnly);
    assert!(!world.quiesced());
    gate.open();
    assert_eq!(asking.await.expect("no panic"), Ok(StoreRole::Target));
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_query_that_fails_is_counted_as_the_stores_failure() {
    let world = World::at(Rung::TargetOnly);
    let failed = StoreError::NotApplied { class: ErrorClass::Server, what: "broken".to_owned() };
    let error =
        world.migrator.query::<(), _>(TENANT, async |_, _| Err(failed.clone())).await.expect_err("failed");
    assert_eq!(error, ReadError::Failed { store: StoreRole::Target, error: failed });
    let error = world.migrator.query("", async |_, _| Ok(())).await.expect_err("no tenant");
    assert!(matches!(error, ReadError::Invalid(_)), "{error}");
}
