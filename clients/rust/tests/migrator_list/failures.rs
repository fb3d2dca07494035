//! Lists that fail, and how often a page counts.

use cutover_client::{
    migrator::ReadError,
    report::{ErrorClass, Event, StoreRole},
    routing::{Level, Policy, Rung},
    store::{Fault, KeyRange, StoreError, Verb},
};

use super::{
    at, old,
    world::{TENANT, World},
};

/// The operation holds the barrier until the last put has failed.
#[tokio::test]
async fn no_copy_is_made_after_one_has_failed() {
    let linearizable = Policy { shadow_ppm: 0, level: Level::Linearizable, ..Policy::default() };
    for world in [World::at(Rung::TargetFirst), World::with(Rung::Mirrored, linearizable)] {
        let keys: Vec<_> = (0..100).map(|n| format!("key-{n:03}")).collect();
        for key in &keys {
            world.source.inner().insert(at(key), old(1, Some("x")));
        }
        world.target.inner().insert(at("key-000"), old(1, Some("x")));
        let refused = StoreError::Permanent {
            class: ErrorClass::Constraint,
            field: "value".to_owned(),
            what: "it is too long".to_owned(),
        };
        for is_list in [true, false] {
            world.target.next(Verb::Put, Fault::Refuse(refused.clone()));
            world.target.take_calls();
            let error = match is_list {
                true => {
                    world.migrator.list_bytes(TENANT, &KeyRange::all(), 1000).await.expect_err("not copied")
                }
                false => world.migrator.get_many_bytes(TENANT, &keys).await.expect_err("not copied"),
            };
            assert!(matches!(error, ReadError::Failed { store: StoreRole::Target, .. }), "{error}");
            assert_eq!(
                error.to_string(),
                "read failed at the target: value: it is too long (key \"key-001\" of tenant \"acme\")"
            );
            let puts = world.target.take_calls().into_iter().filter(|call| *call == Verb::Put).count();
            assert_eq!((puts, world.target.inner().dump().len()), (1, 1));
        }
        let page = world.migrator.list_bytes(TENANT, &KeyRange::all(), 1000).await.expect("readable");
        assert_eq!((page.records.len(), world.target.inner().dump().len()), (100, 100));
    }
}

/// The rate of misses is one of calls. A thousand records of one page would outweigh all other reads.
#[tokio::test]
async fn a_page_counts_once() {
    let world = World::at(Rung::TargetFirst);
    for n in 0..50 {
        world.source.inner().insert(at(&format!("key-{n:02}")), old(1, Some("x")));
    }
    let mut counted = Vec::new();
    // Nothing, then misses alone, hits alone, both, and nothing but a deleted one.
    for (added, range) in [
        (None, KeyRange::prefix("none")),
        (None, KeyRange::all()),
        (None, KeyRange::all()),
        (Some(("key-25a", Some("x"))), KeyRange::all()),
        (Some(("gone", None)), KeyRange::prefix("gone")),
    ] {
        if let Some((key, value)) = added {
            world.source.inner().insert(at(key), old(1, value));
        }
        world.migrator.list_bytes(TENANT, &range, 1000).await.expect("readable");
        counted.push(
            [Event::Hit, Event::Miss, Event::NotFound, Event::Migrated].map(|event| world.count(event)),
        );
    }
    assert_eq!(counted, [[0, 0, 0, 0], [0, 1, 0, 50], [1, 1, 0, 50], [1, 2, 0, 51], [1, 2, 0, 51]]);
}

#[tokio::test]
async fn a_record_that_does_not_fit_its_type_is_named() {
    let world = World::at(Rung::Dual);
    world.migrator.put_bytes(TENANT, "order-7", "no document".into()).await.expect("acknowledged");
    let error = world.migrator.list::<String>(TENANT, &KeyRange::all(), 9).await.expect_err("no string");
    assert!(matches!(&error, ReadError::ValueOf { key, .. } if key == "order-7"), "{error}");
    assert!(error.to_string().starts_with("record \"order-7\" can't be read as this type: "), "{error}");
}
