//! Lists of a tenant's records, page by page, while data moves.

#[path = "migrator/adapter.rs"]
mod adapter;
#[path = "migrator_list/failures.rs"]
mod failures;
#[path = "migrator/world.rs"]
mod world;

use std::{sync::Arc, time::Duration};

use adapter::adapter;
use cutover_client::{
    migrator::{LIST_MAX, Listing, ReadError, Unavailable},
    report::{ErrorClass, Event, StoreRole},
    routing::{Level, Policy, Route, Rung},
    store::{Fault, Gate, Id, IdError, KeyRange, MemoryStore, Record, ScanOrder, Verb, Version},
};
use proptest::prelude::*;
use tokio::time::advance;
use world::{TENANT, World, down};

const ROUTED: [Rung; 5] = [Rung::SourceOnly, Rung::Dual, Rung::Mirrored, Rung::TargetFirst, Rung::TargetOnly];

fn at(key: &str) -> Id {
    Id::new(TENANT, key).expect("valid")
}

/// A record of long ago.
fn old(counter: u64, value: Option<&str>) -> Record {
    let version = Version::new(1_000_000 + counter, 0, 9).expect("fits");
    Record { version, value: value.map(Into::into) }
}

/// All pages of a range: the records, and how many pages it took.
async fn pages(world: &World, mut range: KeyRange, limit: usize) -> (Vec<(String, Vec<u8>)>, usize) {
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let Listing { records, next } =
            world.migrator.list_bytes(TENANT, &range, limit).await.expect("readable");
        assert!(records.len() <= limit);
        found.extend(records);
        pages += 1;
        let Some(next) = next else { return (found, pages) };
        range = range.after(&next);
    }
}

async fn keys(world: &World, range: KeyRange, limit: usize) -> Vec<String> {
    pages(world, range, limit).await.0.into_iter().map(|(key, _)| key).collect()
}

#[tokio::test]
async fn records_are_listed_at_every_rung_in_the_order_of_their_keys() {
    for rung in ROUTED {
        let world = World::at(rung);
        for key in ["b", "a", "user-1", "order-2", "order-10", "order-1", "gone"] {
            world.migrator.put_bytes(TENANT, key, key.into()).await.expect("acknowledged");
        }
        world.migrator.put_bytes("another", "order-3", "x".into()).await.expect("acknowledged");
        world.migrator.delete(TENANT, "gone").await.expect("acknowledged");
        let all = ["a", "b", "order-1", "order-10", "order-2", "user-1"];
        for limit in [1, 2, 100] {
            assert_eq!(keys(&world, KeyRange::all(), limit).await, all, "{rung:?}");
            assert_eq!(keys(&world, KeyRange::prefix("order-"), limit).await, all[2..5], "{rung:?}");
        }
        let between = KeyRange::all().at_least("b").below("order-2");
        assert_eq!(keys(&world, between, 9).await, all[1..4], "{rung:?}");
        assert_eq!(keys(&world, KeyRange::all().at_least("c").below("b"), 9).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_page_is_one_call_to_each_store_that_is_read() {
    for rung in ROUTED {
        let world = World::at(rung);
        for n in 0..250 {
            for store in [&world.source, &world.target] {
                store.inner().insert(at(&format!("key-{n:03}")), old(1, Some("x")));
            }
        }
        assert_eq!(pages(&world, KeyRange::all(), usize::MAX).await.0.len(), 250);
        let (reads_source, reads_target) = (rung < Rung::TargetOnly, rung >= Rung::TargetFirst);
        assert_eq!(world.source.take_calls(), vec![Verb::Scan; reads_source.into()], "{rung:?}");
        assert_eq!(world.target.take_calls(), vec![Verb::Scan; reads_target.into()], "{rung:?}");
        assert_eq!(world.count(Event::Hit), u64::from(reads_target), "{rung:?}");
    }
    let world = World::at(Rung::SourceOnly);
    for n in 0..LIST_MAX + 9 {
        world.source.inner().insert(at(&format!("key-{n:05}")), old(1, Some("x")));
    }
    let page = world.migrator.list_bytes(TENANT, &KeyRange::all(), usize::MAX).await.expect("readable");
    assert_eq!((page.records.len(), page.next.as_deref()), (LIST_MAX, Some("key-00999")));
}

#[tokio::test]
async fn what_the_target_lacks_is_copied_before_it_is_returned() {
    let world = World::at(Rung::TargetFirst);
    world.source.inner().insert(at("both"), old(2, Some("source's, of nobody who was answered")));
    world.target.inner().insert(at("both"), old(1, Some("target's")));
    world.source.inner().insert(at("missed"), old(1, Some("missed")));
    world.source.inner().insert(at("deleted"), old(1, None));
    world.source.inner().insert(at("dead"), old(1, Some("dead")));
    world.target.inner().insert(at("dead"), old(2, None));
    world.target.inner().insert(at("ahead"), old(1, Some("written at target-only")));
    let (found, _) = pages(&world, KeyRange::all(), 2).await;
    let expected = [("ahead", "written at target-only"), ("both", "target's"), ("missed", "missed")];
    assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value.into())));
    let copied = world.target.inner().dump();
    assert_eq!(copied.get(&at("missed")), Some(&old(1, Some("missed"))));
    assert_eq!(copied.get(&at("deleted")), Some(&old(1, None)), "a tombstone stops a late copy");
    let counted = [Event::Hit, Event::Miss, Event::NotFound, Event::Migrated].map(|event| world.count(event));
    assert_eq!(counted, [1, 1, 0, 1], "two pages; nobody asked for the deleted ones");

    // A tenant that came back from target-only: what only the source has was deleted long ago.
    world.route(Route { rung: Rung::TargetFirst, no_fallback: true, ..Route::DEFAULT });
    world.source.inner().insert(at("purged"), old(1, Some("purged")));
    world.source.take_calls();
    assert_eq!(keys(&world, KeyRange::all(), 9).await, ["ahead", "both", "missed"]);
    assert_eq!(world.source.take_calls(), []);
}

#[tokio::test]
async fn a_page_copies_a_hundred_records_and_no_more() {
    let linearizable = Policy { shadow_ppm: 0, level: Level::Linearizable, ..Policy::default() };
    for world in [World::at(Rung::TargetFirst), World::with(Rung::Mirrored, linearizable)] {
        for n in 0..250 {
            world.source.inner().insert(at(&format!("key-{n:03}")), old(1, Some("x")));
        }
        let page = world.migrator.list_bytes(TENANT, &KeyRange::all(), 1000).await.expect("readable");
        assert_eq!((page.records.len(), page.next.as_deref()), (100, Some("key-099")));
        assert_eq!(world.target.inner().dump().len(), 100);
        assert_eq!(pages(&world, KeyRange::all(), 1000).await.0.len(), 250);
        assert_eq!(world.target.inner().dump(), world.source.inner().dump());
    }
}

#[tokio::test]
async fn a_page_of_tombstones_only_is_empty_and_has_a_next_one() {
    for rung in ROUTED {
        let world = World::at(rung);
        for n in 0..30 {
            for store in [&world.source, &world.target] {
                store.inner().insert(at(&format!("key-{n:02}")), old(1, None));
            }
        }
        let page = world.migrator.list_bytes(TENANT, &KeyRange::all(), 10).await.expect("readable");
        assert_eq!((page.records, page.next.as_deref()), (Vec::new(), Some("key-09")), "{rung:?}");
        assert_eq!(pages(&world, KeyRange::all(), 10).await, (Vec::new(), 3), "{rung:?}");
    }
}

#[tokio::test]
async fn two_pages_together_have_no_more_than_was_asked_for() {
    let world = World::at(Rung::TargetFirst);
    world.source.inner().insert(at("a"), old(1, Some("a")));
    for key in ["b", "c"] {
        world.target.inner().insert(at(key), old(1, Some(key)));
    }
    let page = world.migrator.list_bytes(TENANT, &KeyRange::all(), 1).await.expect("readable");
    assert_eq!((page.records.len(), page.next.as_deref()), (1, Some("a")));
    assert_eq!(keys(&world, KeyRange::all(), 1).await, ["a", "b", "c"]);
}

/// Another operation may have put something newer there, between the page and the copy.
#[tokio::test]
async fn a_copy_that_comes_too_late_is_read_again() {
    let world = Arc::new(World::at(Rung::TargetFirst));
    world.source.inner().insert(at("a"), old(1, Some("older")));
    let gate = Gate::new();
    world.target.next(Verb::Put, Fault::Wait(gate.clone()));
    let listing = tokio::spawn({
        let world = world.clone();
        async move { pages(&world, KeyRange::all(), 9).await.0 }
    });
    gate.reached().await;
    world.target.inner().insert(at("a"), old(2, Some("newer")));
    gate.open();
    assert_eq!(listing.await.expect("no panic"), [("a".to_owned(), b"newer".to_vec())]);
    assert_eq!(world.target.inner().dump().get(&at("a")), Some(&old(2, Some("newer"))));
}

#[tokio::test]
async fn the_source_does_not_answer_for_a_target_that_failed() {
    let world = World::at(Rung::TargetFirst);
    world.source.inner().insert(at("a"), old(1, Some("a")));
    for (store, faulty) in [(StoreRole::Target, &world.target), (StoreRole::Source, &world.source)] {
        faulty.next(Verb::Scan, down());
        let error = world.migrator.list_bytes(TENANT, &KeyRange::all(), 9).await.expect_err("refused");
        assert!(matches!(&error, ReadError::Failed { store: of, .. } if *of == store), "{error}");
        world.source.take_calls();
    }
    assert_eq!(world.count(Event::ReadOnlySourceFailed), 1);
    world.target.next(Verb::Put, down());
    let error = world.migrator.list_bytes(TENANT, &KeyRange::all(), 9).await.expect_err("not copied");
    assert!(matches!(error, ReadError::Failed { store: StoreRole::Target, .. }), "{error}");
}

#[tokio::test]
async fn a_list_holds_the_barrier_and_is_repeated_if_routing_overtakes_it() {
    let world = Arc::new(World::at(Rung::SourceOnly));
    world.source.inner().insert(at("a"), old(1, Some("old")));
    let gate = Gate::new();
    world.source.next(Verb::Scan, Fault::Wait(gate.clone()));
    let listing = tokio::spawn({
        let world = world.clone();
        async move { pages(&world, KeyRange::all(), 9).await.0 }
    });
    gate.reached().await;
    world.go_to(Rung::TargetOnly);
    assert!(!world.quiesced(), "the list holds the barrier");
    world.target.inner().insert(at("b"), old(2, Some("new")));
    gate.open();
    assert_eq!(listing.await.expect("no panic"), [("b".to_owned(), b"new".to_vec())]);
    assert!(world.quiesced());
}

#[tokio::test(start_paused = true)]
async fn a_list_past_the_lease_is_refused() {
    let fence = Duration::from_secs(3);
    let policy = Policy { fence_after_ms: 3_000, shadow_ppm: 0, ..Policy::default() };
    let world = World::with(Rung::Dual, policy);
    let gate = Gate::new();
    world.source.next(Verb::Scan, Fault::Wait(gate.clone()));
    let migrator = world.migrator.clone();
    let listing = tokio::spawn(async move { migrator.list_bytes(TENANT, &KeyRange::all(), 9).await });
    gate.reached().await;
    advance(fence).await;
    gate.open();
    let error = listing.await.expect("no panic").expect_err("refused");
    assert!(matches!(error, ReadError::Unavailable(Unavailable::Begin(_))), "{error}");
}

// In memory, with an order of its own, or with that of bytes and no range that it could list.
adapter! {
    Other(ScanOrder);
    fn scan_order(&self) -> ScanOrder {
        self.1.clone()
    }

    fn check_range(&self, _range: &KeyRange) -> Result<(), StoreError> {
        match &self.1 {
            ScanOrder::Own(_) => Ok(()),
            ScanOrder::Bytes => Err(StoreError::Permanent {
                class: ErrorClass::Constraint,
                field: "key".to_owned(),
                what: "of two types".to_owned(),
            }),
        }
    }
}

#[tokio::test]
async fn stores_that_can_not_list_are_refused_at_every_rung() {
    let number = ScanOrder::Own("number of column id, bigint".to_owned());
    for (rung, order) in
        ROUTED.into_iter().flat_map(|rung| [(rung, number.clone()), (rung, ScanOrder::Bytes)])
    {
        let world = World::at(rung);
        let expected = match order {
            ScanOrder::Own(_) => "list is refused, because the target does not order keys by their bytes",
            ScanOrder::Bytes => "read failed at the target: key: of two types",
        };
        let migrator = world.to(Arc::new(Other(MemoryStore::new(), order)));
        let error = migrator.list_bytes(TENANT, &KeyRange::all(), 9).await.expect_err("refused");
        assert!(error.to_string().starts_with(expected), "{error}");
        assert!(world.source.take_calls().is_empty());
    }
    let world = World::at(Rung::Dual);
    let error = world.migrator.list_bytes(TENANT, &KeyRange::prefix("a\0"), 9).await;
    assert_eq!(error, Err(ReadError::Invalid(IdError::KeyNul)));
}

/// What a store has of a key: nothing, or a version and whether it is deleted.
fn held() -> impl Strategy<Value = Option<(u64, bool)>> {
    prop_oneof![2 => Just(None), 3 => (1..4_u64, any::<bool>()).prop_map(Some)]
}

proptest! {
    /// A list returns what a `get` of every key would, and leaves the same behind.
    #[test]
    fn a_list_is_as_many_gets(
        stores in prop::collection::vec((held(), held()), 1..12),
        rung in prop::sample::select(ROUTED.to_vec()),
        no_fallback: bool,
        is_linearizable: bool,
        limit in 1..14_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let level = if is_linearizable { Level::Linearizable } else { Level::Acknowledged };
            let worlds = [0, 1].map(|_| {
                let world = World::with(rung, Policy { shadow_ppm: 0, level, ..Policy::default() });
                let no_fallback = no_fallback && rung == Rung::TargetFirst;
                world.route(Route { rung, no_fallback, ..Route::DEFAULT });
                for (n, (source, target)) in stores.iter().enumerate() {
                    for (store, held, of) in [(&world.source, source, "s"), (&world.target, target, "t")] {
                        if let Some((version, is_deleted)) = held {
                            let value = format!("{of} {version}");
                            let record = old(*version, (!is_deleted).then_some(value.as_str()));
                            store.inner().insert(at(&format!("key-{n:02}")), record);
                        }
                    }
                }
                world
            });
            let [lists, gets] = &worlds;
            let (listed, _) = pages(lists, KeyRange::all(), limit).await;
            let mut expected = Vec::new();
            for n in 0..stores.len() {
                let key = format!("key-{n:02}");
                if let Some(value) = gets.migrator.get_bytes(TENANT, &key).await.expect("readable") {
                    expected.push((key, value));
                }
            }
            assert_eq!(listed, expected);
            assert_eq!(lists.target.inner().dump(), gets.target.inner().dump());
            for event in [Event::Migrated, Event::Repaired] {
                assert_eq!(lists.count(event), gets.count(event), "{event:?}");
            }
        });
    }
}
