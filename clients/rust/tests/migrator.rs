//! The migrator over two stores in memory: what its callers see when stores fail, routing moves on and
//! callers go away.

#[path = "migrator/reports.rs"]
mod reports;
#[path = "migrator/world.rs"]
mod world;

use std::time::Duration;

use cutover_client::{
    migrator::{Cause, Edit, ReadError, Unavailable, WriteError},
    report::{Event, StoreRole},
    routing::{Level, Policy, Route, Rung},
    store::{Fault, Gate, Put, Record, Store, StoreError, Verb, Version},
    watch::BeginError,
};
use world::{KEY, TENANT, World, answer_lost, down, held, id, seed};

const ROUTED: [Rung; 5] = [Rung::SourceOnly, Rung::Dual, Rung::Mirrored, Rung::TargetFirst, Rung::TargetOnly];

#[tokio::test]
async fn what_is_written_is_read_at_every_rung_and_all_the_way_up() {
    for rung in ROUTED {
        let world = World::at(rung);
        assert_eq!(world.get().await, None);
        let first = world.put("one").await;
        assert_eq!(world.get().await, Some("one".into()), "{rung:?}");
        let deleted = world.migrator.delete(TENANT, KEY).await.expect("acknowledged");
        assert_eq!(world.get().await, None);
        assert!(world.put("two").await > deleted && deleted > first);
        assert_eq!(world.get().await, Some("two".into()));
        let (source, target) = (held(&world.source).await, held(&world.target).await);
        assert_eq!(source.is_some(), rung != Rung::TargetOnly);
        assert_eq!(target.is_some(), rung != Rung::SourceOnly);
        assert!(source.is_none() || target.is_none() || source == target, "a copy carries all of it");
    }
    let world = World::at(Rung::SourceOnly);
    world.put("kept").await;
    for rung in ROUTED {
        world.go_to(rung);
        assert_eq!(world.get().await, Some("kept".into()), "{rung:?}");
    }
}

#[tokio::test]
async fn a_target_that_fails_is_not_the_callers_problem_in_dual_but_is_in_mirrored() {
    for fault in [down(), answer_lost()] {
        let world = World::at(Rung::Dual);
        world.target.always(Verb::Put, fault);
        world.put("one").await;
        assert_eq!(world.get().await, Some("one".into()));
        assert_eq!((world.count(Event::OnlyTargetFailed), world.count(Event::Indeterminate)), (1, 0));

        world.go_to(Rung::Mirrored);
        let error = world.migrator.put_bytes(TENANT, KEY, "two".into()).await.expect_err("not acknowledged");
        assert!(
            matches!(error, WriteError::Indeterminate(Cause::Store { store: StoreRole::Target, error: _ })),
            "{error}"
        );
        assert_eq!((world.count(Event::OnlyTargetFailed), world.count(Event::Indeterminate)), (2, 1));
        world.target.heal();
        world.put("three").await;
        assert_eq!(world.count(Event::BothOk), 1);
    }
}

#[tokio::test]
async fn a_source_that_fails_keeps_the_target_behind_it() {
    for rung in [Rung::Dual, Rung::Mirrored, Rung::TargetFirst] {
        let world = World::at(rung);
        world.source.next(Verb::Put, down());
        let error = world.migrator.put_bytes(TENANT, KEY, "one".into()).await.expect_err("refused");
        assert!(matches!(error, WriteError::NotApplied(Cause::Store { store: StoreRole::Source, .. })));
        world.source.next(Verb::Put, answer_lost());
        let error = world.migrator.put_bytes(TENANT, KEY, "two".into()).await.expect_err("unknown");
        assert!(matches!(error, WriteError::Indeterminate(_)), "{error}");
        assert_eq!(held(&world.target).await, None, "{rung:?}");
        assert_eq!(world.count(Event::OnlySourceFailed), 2);
        assert_eq!((world.count(Event::NotApplied), world.count(Event::Indeterminate)), (1, 1));
    }
}

#[tokio::test]
async fn a_target_that_cannot_be_read_leaves_the_source_untouched_at_target_first() {
    let world = World::at(Rung::TargetFirst);
    seed(&world.source, Some("old"));
    world.target.always(Verb::Get, down());
    let error = world.migrator.put_bytes(TENANT, KEY, "new".into()).await.expect_err("not applied");
    assert!(matches!(error, WriteError::NotApplied(Cause::Store { store: StoreRole::Target, .. })));
    let error = world.migrator.get_bytes(TENANT, KEY).await.expect_err("no answer");
    assert!(matches!(error, ReadError::Failed { store: StoreRole::Target, .. }), "{error}");
    assert!(world.source.take_calls().is_empty(), "neither is the source read in its place");
}

#[tokio::test]
async fn a_miss_is_copied_once_and_a_hit_from_then_on() {
    let world = World::at(Rung::TargetFirst);
    seed(&world.source, Some("old"));
    assert_eq!(world.get().await, Some("old".into()));
    assert_eq!(held(&world.target).await, held(&world.source).await);
    world.source.take_calls();
    assert_eq!(world.get().await, Some("old".into()));
    assert!(world.source.take_calls().is_empty());
    let counts = [Event::Miss, Event::Migrated, Event::Hit, Event::NotFound].map(|event| world.count(event));
    assert_eq!(counts, [1, 1, 1, 0]);

    // What can't be copied is not returned either: another reader would not find it.
    let world = World::at(Rung::TargetFirst);
    seed(&world.source, Some("old"));
    world.target.always(Verb::Put, down());
    assert!(matches!(
        world.migrator.get_bytes(TENANT, KEY).await,
        Err(ReadError::Failed { store: StoreRole::Target, .. })
    ));
    assert_eq!(world.count(Event::Miss), 0);
}

#[tokio::test]
async fn a_tombstone_in_the_target_is_the_end_of_the_search() {
    let world = World::at(Rung::TargetFirst);
    seed(&world.target, None);
    world.source.inner().insert(id(), Record { version: Version(1), value: Some("back".into()) });
    assert_eq!(world.get().await, None);
    assert!(world.source.take_calls().is_empty());
    assert_eq!(world.count(Event::NotFound), 1);
}

#[tokio::test]
async fn without_fallback_the_source_is_not_read() {
    let world = World::at(Rung::TargetFirst);
    world.route(Route { rung: Rung::TargetFirst, no_fallback: true, ..Route::DEFAULT });
    seed(&world.source, Some("purged in the target"));
    assert_eq!(world.get().await, None);
    assert!(world.source.take_calls().is_empty());
}

#[tokio::test]
async fn a_late_copy_does_not_bring_the_dead_back() {
    let world = World::at(Rung::TargetFirst);
    seed(&world.source, Some("old"));
    let gate = Gate::new();
    world.target.next(Verb::Put, Fault::Wait(gate.clone()));
    let reader = world.migrator.clone();
    let reading = tokio::spawn(async move { reader.get_bytes(TENANT, KEY).await });
    gate.reached().await;
    // The reader holds the old record; meanwhile somebody deletes it.
    world.migrator.delete(TENANT, KEY).await.expect("acknowledged");
    gate.open();
    assert_eq!(reading.await.expect("no panic"), Ok(None), "stale: the target is read again");
    assert!(held(&world.target).await.expect("a tombstone").is_tombstone());
    assert_eq!(world.count(Event::Migrated), 0);
}

#[tokio::test]
async fn a_write_that_meets_a_newer_version_is_stamped_above_it() {
    for rung in ROUTED {
        let world = World::at(rung);
        // Written by a clock that is an hour ahead of ours.
        let ahead = Version(seed(&world.source, Some("ahead")).0 + ((2 * 3_600_000) << 22));
        let record = Record { version: ahead, value: Some("ahead".into()) };
        for store in [&world.source, &world.target] {
            store.inner().insert(id(), record.clone());
        }
        assert!(world.put("mine").await > ahead, "{rung:?}");
        assert_eq!(world.get().await, Some("mine".into()));
    }
}

#[tokio::test]
async fn a_write_superseded_in_the_target_is_acknowledged_and_not_repeated() {
    let world = World::at(Rung::Mirrored);
    let gate = Gate::new();
    world.target.next(Verb::Put, Fault::Wait(gate.clone()));
    let slow = world.migrator.clone();
    let slow = tokio::spawn(async move { slow.put_bytes(TENANT, KEY, "slow".into()).await });
    gate.reached().await;
    let fast = world.put("fast").await;
    gate.open();
    let slow = slow.await.expect("no panic").expect("acknowledged");
    assert!(slow < fast);
    assert_eq!(held(&world.source).await.expect("there").value, Some("fast".into()));
    assert_eq!(held(&world.target).await, held(&world.source).await);
}

#[tokio::test]
async fn a_linearizable_read_in_mirrored_repairs_the_target_first() {
    let policy = Policy { level: Level::Linearizable, shadow_ppm: 0, ..Policy::default() };
    let world = World::with(Rung::Mirrored, policy);
    seed(&world.source, Some("old"));
    assert_eq!(world.get().await, Some("old".into()));
    assert_eq!((world.count(Event::Miss), world.count(Event::Migrated)), (1, 1));
    assert_eq!(held(&world.target).await, held(&world.source).await);
    world.target.next(Verb::Put, down());
    assert!(world.migrator.put_bytes(TENANT, KEY, "new".into()).await.is_err());
    world.target.next(Verb::Put, down());
    assert!(world.migrator.get_bytes(TENANT, KEY).await.is_err(), "not confirmed, not told");
    assert_eq!(world.get().await, Some("new".into()));
    assert_eq!(world.count(Event::Repaired), 1);
    assert_eq!(held(&world.target).await, held(&world.source).await);
}

#[tokio::test]
async fn mutations_of_one_record_all_count() {
    for rung in ROUTED {
        let world = World::at(rung);
        let writers: Vec<_> = (0..8)
            .map(|_| {
                let migrator = world.migrator.clone();
                tokio::spawn(async move {
                    let add = |old: Option<&[u8]>| Edit::Put(vec![old.map_or(0, |old| old[0]) + 1]);
                    migrator.mutate_bytes(TENANT, KEY, add).await
                })
            })
            .collect();
        for writer in writers {
            writer.await.expect("no panic").expect("acknowledged");
        }
        assert_eq!(world.get().await, Some(vec![8]), "{rung:?}");
        let keep = world.migrator.mutate_bytes(TENANT, KEY, |_| Edit::Keep).await;
        assert_eq!(keep, Ok(None));
        let gone = world.migrator.mutate_bytes(TENANT, KEY, |_| Edit::Delete).await.expect("acknowledged");
        assert!(gone.is_some());
        assert_eq!(world.get().await, None);
    }
}

#[tokio::test]
async fn a_mutation_sees_the_write_that_came_between() {
    let world = World::at(Rung::Mirrored);
    world.put("a").await;
    let gate = Gate::new();
    world.source.next(Verb::Put, Fault::Wait(gate.clone()));
    let migrator = world.migrator.clone();
    let mutation = tokio::spawn(async move {
        let append = |old: Option<&[u8]>| Edit::Put([old.unwrap_or_default(), b"+"].concat());
        migrator.mutate_bytes(TENANT, KEY, append).await
    });
    gate.reached().await;
    world.put("b").await;
    gate.open();
    mutation.await.expect("no panic").expect("acknowledged");
    assert_eq!(world.get().await, Some("b+".into()));
}

#[tokio::test(start_paused = true)]
async fn a_put_that_gets_no_answer_in_time_is_indeterminate() {
    let world = World::at(Rung::Mirrored);
    world.target.next(Verb::Put, Fault::Wait(Gate::new()));
    let error = world.migrator.put_bytes(TENANT, KEY, "one".into()).await.expect_err("no answer");
    let WriteError::Indeterminate(Cause::Store { store: StoreRole::Target, error }) = error else {
        panic!("{error}")
    };
    assert!(error.may_apply() && error.to_string().contains("5000 ms"), "{error}");
    world.source.next(Verb::Get, Fault::Wait(Gate::new()));
    let error = world.migrator.get_bytes(TENANT, KEY).await.expect_err("no answer");
    let ReadError::Failed { error: StoreError::NotApplied { .. }, .. } = error else { panic!("{error}") };
}

#[tokio::test(start_paused = true)]
async fn a_difference_between_the_stores_counts_when_it_persists() {
    let world = World::with(Rung::Dual, Policy { shadow_ppm: 1_000_000, ..Policy::default() });
    let compared = |n| async move { tokio::time::sleep(Duration::from_millis(n)).await };
    // Not migrated yet: that is not a difference.
    seed(&world.source, Some("old"));
    world.get().await;
    compared(200).await;
    assert_eq!((world.count(Event::Compared), world.count(Event::Mismatch)), (1, 0));
    // The same.
    world.put("new").await;
    world.get().await;
    compared(200).await;
    assert_eq!((world.count(Event::Compared), world.count(Event::Mismatch)), (2, 0));
    // The target did not get it, but gets it before it is read again.
    world.target.next(Verb::Put, down());
    world.put("newer").await;
    world.get().await;
    compared(50).await;
    let newer = held(&world.source).await.expect("there");
    assert_eq!(world.target.inner().put_if_newer(&id(), &newer).await, Ok(Put::Applied));
    compared(200).await;
    assert_eq!((world.count(Event::Compared), world.count(Event::Mismatch)), (3, 0));
    // It never gets it: as if it had not been migrated yet, for example after a stay at source-only.
    world.target.next(Verb::Put, down());
    world.put("newest").await;
    world.get().await;
    compared(200).await;
    assert_eq!((world.count(Event::Compared), world.count(Event::Mismatch)), (4, 0));
    assert_eq!(world.count(Event::Lacking), 2);
    // It has something else at that version.
    let newest = held(&world.source).await.expect("there");
    let other = Record { value: Some("other".into()), ..newest };
    assert_eq!(world.target.inner().put_if_newer(&id(), &other).await, Ok(Put::Applied));
    world.get().await;
    compared(200).await;
    assert_eq!((world.count(Event::Compared), world.count(Event::Mismatch)), (5, 1));
    // Routing moves on meanwhile: what is found then has no meaning.
    world.get().await;
    compared(50).await;
    world.go_to(Rung::Mirrored);
    compared(200).await;
    assert_eq!((world.count(Event::Compared), world.count(Event::Mismatch)), (5, 1));
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_is_touched() {
    let world = World::at(Rung::Mirrored);
    for (tenant, key) in [("", "k"), ("a\nb", "k"), (TENANT, ""), (TENANT, "\0")] {
        assert!(matches!(world.migrator.get_bytes(tenant, key).await, Err(ReadError::Invalid(_))));
        assert!(matches!(world.migrator.put_bytes(tenant, key, vec![]).await, Err(WriteError::Invalid(_))));
    }
    let world = World::at(Rung::Mirrored);
    let mut snapshot = world.current.snapshot().expect("there is one");
    snapshot.remove("orders");
    world.current.replace(snapshot);
    let Err(ReadError::Unavailable(error)) = world.migrator.get_bytes(TENANT, KEY).await else {
        panic!("refused")
    };
    assert!(error.is_unknown_migration() && matches!(error, Unavailable::Begin(BeginError::Routing(_))));
    assert!(world.source.take_calls().is_empty() && world.target.take_calls().is_empty());
}

#[tokio::test]
async fn a_write_that_never_gets_its_turn_is_not_applied() {
    let world = World::at(Rung::Mirrored);
    // Another writer is faster every time.
    let (source, mut version) = (world.source.inner().clone(), 0);
    let unlucky = move |_: Option<&[u8]>| {
        version += 1;
        source.insert(id(), Record { version: Version(version), value: Some("theirs".into()) });
        Edit::Put("mine".into())
    };
    let error = world.migrator.mutate_bytes(TENANT, KEY, unlucky).await.expect_err("not applied");
    assert!(matches!(error, WriteError::NotApplied(Cause::Contended(_))), "{error}");

    // Nothing can be written above the last of all versions.
    world.source.inner().insert(id(), Record { version: Version::MAX, value: None });
    let error = world.migrator.put_bytes(TENANT, KEY, "mine".into()).await.expect_err("not applied");
    assert!(matches!(error, WriteError::NotApplied(Cause::Stamp(_))), "{error}");
    assert_eq!(held(&world.target).await, None);
    assert_eq!(world.count(Event::NotApplied), 2);
}

#[tokio::test]
async fn an_instance_that_is_cut_off_refuses_when_the_policy_says_so() {
    let policy = Policy { fence_after_ms: 1, ..Policy::default() };
    let world = World::with(Rung::Mirrored, policy);
    while world.current.silent_ms() < 1 {
        std::hint::spin_loop();
    }
    let error = world.migrator.put_bytes(TENANT, KEY, "one".into()).await.expect_err("fenced");
    assert!(
        matches!(error, WriteError::Unavailable(Unavailable::Begin(BeginError::Fenced { .. }))),
        "{error}"
    );
    assert_eq!(world.count(Event::Unavailable), 1);
}
