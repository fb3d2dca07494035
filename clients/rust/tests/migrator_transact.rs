//! Transactions over two stores in memory: what their callers see at every rung, when stores fail, when other writers are
//! faster and when routing moves on.

#[path = "migrator/adapter.rs"]
mod adapter;
#[path = "migrator_transact/like_put.rs"]
mod like_put;
#[path = "migrator_transact/refused.rs"]
mod refused;
#[path = "migrator/world.rs"]
mod world;

use std::{sync::Arc, time::Duration};

use cutover_client::{
    migrator::{Cause, WriteError, Writes},
    report::{Event, StoreRole},
    routing::{Policy, Rung},
    store::{Fault, Faulty, Gate, Id, MemoryStore, Record, Store, Verb, Version, now_ms_since_2025},
};
use tokio::time::advance;
use world::{TENANT, World, answer_lost, down};

const ROUTED: [Rung; 5] = [Rung::SourceOnly, Rung::Dual, Rung::Mirrored, Rung::TargetFirst, Rung::TargetOnly];
const KEYS: [&str; 3] = ["a", "b", "gone"];

fn at(key: &str) -> Id {
    Id::new(TENANT, key).expect("valid")
}

/// Puts two records and deletes a third.
fn writes(value: &str) -> Writes {
    Writes::new().put_bytes("b", value.into()).delete("gone").put_bytes("a", value.into())
}

async fn transact(world: &World, value: &str) -> Result<Version, WriteError> {
    world.migrator.transact(TENANT, writes(value)).await
}

/// What a store has of the three.
async fn held(store: &Faulty<MemoryStore>) -> Vec<Option<Record>> {
    store.inner().get_many(&KEYS.map(at)).await.expect("memory does not fail")
}

fn all(version: Version, value: &str) -> Vec<Option<Record>> {
    let put = Some(Record { version, value: Some(value.into()) });
    vec![put.clone(), put, Some(Record { version, value: None })]
}

/// Whether a store has all of these writes, of one version.
async fn has_all(store: &Faulty<MemoryStore>, value: &str) -> bool {
    let held = held(store).await;
    held[0].clone().is_some_and(|first| held == all(first.version, value))
}

async fn has_none(store: &Faulty<MemoryStore>) -> bool {
    held(store).await.iter().all(Option::is_none)
}

/// A record of an hour ago or, later, of one to come.
fn version(later: bool) -> Version {
    let hour = 3_600_000;
    let now = now_ms_since_2025();
    Version::new(if later { now + hour } else { now - hour }, 0, 9).expect("fits")
}

fn seed(store: &Faulty<MemoryStore>, key: &str, version: Version) {
    store.inner().insert(at(key), Record { version, value: Some("seeded".into()) });
}

#[tokio::test]
async fn all_of_it_is_written_with_one_version_at_every_rung() {
    for rung in ROUTED {
        let world = World::at(rung);
        for key in KEYS {
            world.migrator.put_bytes(TENANT, key, "before".into()).await.expect("acknowledged");
        }
        world.source.take_calls();
        world.target.take_calls();
        let version = transact(&world, "one").await.expect("acknowledged");
        let found = world.migrator.get_many_bytes(TENANT, &KEYS).await.expect("readable");
        assert_eq!(found, [Some(b"one".to_vec()), Some(b"one".to_vec()), None], "{rung:?}");
        for (store, writes) in
            [(&world.source, rung != Rung::TargetOnly), (&world.target, rung != Rung::SourceOnly)]
        {
            let expected = if writes { all(version, "one") } else { vec![None; 3] };
            assert_eq!(held(store).await, expected, "{rung:?}");
            let puts = store.take_calls().into_iter().filter(|verb| *verb == Verb::Put).count();
            assert_eq!(puts, usize::from(writes), "one call for all");
        }
        let both = matches!(rung, Rung::Dual | Rung::Mirrored | Rung::TargetFirst);
        // The three puts before it, too.
        assert_eq!(
            world.count(Event::BothOk),
            if both { 4 } else { 0 },
            "{rung:?}: one write for the guards"
        );
    }
}

#[tokio::test]
async fn what_the_first_store_refuses_is_nowhere_and_an_unknown_outcome_is_all_or_none() {
    for rung in ROUTED {
        let world = World::at(rung);
        let (first, other) = match rung {
            Rung::TargetOnly => (&world.target, &world.source),
            _ => (&world.source, &world.target),
        };
        first.next(Verb::Put, down());
        let error = transact(&world, "one").await.expect_err("refused");
        assert!(matches!(error, WriteError::NotApplied(Cause::Store { .. })), "{rung:?} {error}");
        assert!(has_none(first).await && has_none(other).await);
        first.next(Verb::Put, answer_lost());
        let error = transact(&world, "one").await.expect_err("unknown");
        assert!(matches!(error, WriteError::Indeterminate(Cause::Store { .. })), "{rung:?} {error}");
        assert!(has_all(first, "one").await && has_none(other).await, "{rung:?}");
        assert_eq!((world.count(Event::NotApplied), world.count(Event::Indeterminate)), (1, 1));
    }
}

#[tokio::test]
async fn what_the_second_store_refuses_is_as_with_a_put() {
    for rung in [Rung::Dual, Rung::Mirrored, Rung::TargetFirst] {
        for fault in [down(), answer_lost()] {
            let world = World::at(rung);
            world.target.next(Verb::Put, fault);
            let answer = transact(&world, "one").await;
            match (rung, answer) {
                (Rung::Dual, Ok(_)) => {}
                (
                    Rung::Mirrored | Rung::TargetFirst,
                    Err(WriteError::Indeterminate(Cause::Store { store: StoreRole::Target, .. })),
                ) => {}
                (_, answer) => panic!("{rung:?} {answer:?}"),
            }
            assert!(has_all(&world.source, "one").await, "nobody undoes it");
            assert!(has_none(&world.target).await || has_all(&world.target, "one").await);
            assert_eq!(world.count(Event::OnlyTargetFailed), 1);
        }
    }
}

#[tokio::test]
async fn all_is_stamped_above_what_is_newer_in_the_first_store() {
    for rung in ROUTED {
        let world = World::at(rung);
        let first = if rung == Rung::TargetOnly { &world.target } else { &world.source };
        let newer = version(true);
        seed(first, "b", newer);
        let version = transact(&world, "one").await.expect("acknowledged");
        assert!(version > newer, "{rung:?}");
        assert_eq!(held(first).await, all(version, "one"), "{rung:?}");
    }
}

#[tokio::test]
async fn at_target_first_it_is_stamped_above_every_version_of_the_target() {
    let world = World::at(Rung::TargetFirst);
    let newer = version(true);
    seed(&world.target, "gone", newer);
    let version = transact(&world, "one").await.expect("acknowledged");
    assert!(version > newer);
    for store in [&world.source, &world.target] {
        assert_eq!(held(store).await, all(version, "one"));
    }
    world.target.next(Verb::Get, down());
    let error = transact(&world, "two").await.expect_err("refused");
    assert!(
        matches!(error, WriteError::NotApplied(Cause::Store { store: StoreRole::Target, .. })),
        "{error}"
    );
    assert!(has_all(&world.source, "one").await);
}

/// A faster writer's records stay, and all others are written by one call.
#[tokio::test]
async fn what_a_later_write_has_replaced_in_the_second_store_is_left_out() {
    for rung in [Rung::Dual, Rung::Mirrored, Rung::TargetFirst] {
        for replaced in [&["b"][..], &["a", "gone"], &KEYS] {
            let world = World::at(rung);
            let gate = Gate::new();
            world.target.next(Verb::Put, Fault::Wait(gate.clone()));
            let migrator = world.migrator.clone();
            let writing = tokio::spawn(async move { migrator.transact(TENANT, writes("one")).await });
            gate.reached().await;
            let newer = version(true);
            replaced.iter().for_each(|key| seed(&world.target, key, newer));
            world.target.take_calls();
            gate.open();
            let version = writing.await.expect("no panic").expect("acknowledged");
            let mut expected = all(version, "one");
            for (key, record) in KEYS.iter().zip(&mut expected) {
                if replaced.contains(key) {
                    *record = Some(Record { version: newer, value: Some("seeded".into()) });
                }
            }
            assert_eq!(held(&world.target).await, expected, "{rung:?} {replaced:?}");
            assert_eq!(held(&world.source).await, all(version, "one"), "it is not stamped again");
            let again = usize::from(replaced.len() < KEYS.len());
            assert_eq!(world.target.take_calls(), vec![Verb::Put; again], "one more call for all others");
            assert_eq!(world.count(Event::BothOk), 1);
        }
    }
}

#[tokio::test]
async fn a_write_that_others_always_overtake_gives_up() {
    let world = World::at(Rung::SourceOnly);
    let newest = Version(i64::MAX.cast_unsigned() - 1);
    seed(&world.source, "b", newest);
    let error = transact(&world, "one").await.expect_err("no version is left");
    assert!(matches!(error, WriteError::NotApplied(Cause::Stamp(_))), "{error}");
    assert_eq!(held(&world.source).await[0], None, "nothing was written");
}

#[tokio::test]
async fn it_is_one_operation_that_holds_the_barrier_to_its_end() {
    let world = World::at(Rung::Mirrored);
    let gate = Gate::new();
    world.target.next(Verb::Put, Fault::Wait(gate.clone()));
    let migrator = world.migrator.clone();
    let writing = tokio::spawn(async move { migrator.transact(TENANT, writes("one")).await });
    gate.reached().await;
    writing.abort();
    assert!(writing.await.expect_err("aborted").is_cancelled());
    world.go_to(Rung::TargetFirst);
    assert!(!world.quiesced(), "it continues without its caller");
    gate.open();
    world.current.operations_ended().await;
    assert!(world.quiesced() && has_all(&world.target, "one").await);

    let world = World::at(Rung::Dual);
    world.target.next(Verb::Put, Fault::Wait(gate.clone()));
    let migrator = world.migrator.clone();
    let writing = tokio::spawn(async move { migrator.transact(TENANT, writes("one")).await });
    gate.reached().await;
    world.go_to(Rung::TargetFirst); // dual must not be live beside it
    gate.open();
    assert_eq!(writing.await.expect("no panic"), Err(WriteError::Indeterminate(Cause::Overtaken)));
}

#[tokio::test(start_paused = true)]
async fn past_the_lease_it_is_indeterminate_and_no_further_store_is_called() {
    const FENCE: Duration = Duration::from_millis(3_000);
    let policy = Policy { fence_after_ms: 3_000, shadow_ppm: 0, ..Policy::default() };
    for frozen_at in [StoreRole::Source, StoreRole::Target] {
        let world = World::with(Rung::Mirrored, policy);
        let gate = Gate::new();
        let store = match frozen_at {
            StoreRole::Source => &world.source,
            StoreRole::Target => &world.target,
        };
        store.next(Verb::Put, Fault::Wait(gate.clone()));
        let migrator = world.migrator.clone();
        let writing = tokio::spawn(async move { migrator.transact(TENANT, writes("late")).await });
        gate.reached().await;
        advance(FENCE).await;
        gate.open();
        let error = writing.await.expect("no panic").expect_err("not acknowledged");
        assert!(matches!(error, WriteError::Indeterminate(_)), "{error}");
        assert!(has_none(&world.target).await);
        let is_written = frozen_at == StoreRole::Target;
        assert_eq!(has_all(&world.source, "late").await, is_written, "all or none of it");
        assert_eq!(has_none(&world.source).await, !is_written);
    }
}

/// A snapshot of the store that is written first never shows a part.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_snapshot_of_the_first_store_has_all_or_none() {
    for rung in ROUTED {
        let world = Arc::new(World::at(rung));
        let first = if rung == Rung::TargetOnly { world.target.clone() } else { world.source.clone() };
        transact(&world, "0").await.expect("acknowledged");
        let writers: Vec<_> = (1..4_u32)
            .map(|writer| {
                let world = world.clone();
                tokio::spawn(async move {
                    for n in 0..50 {
                        transact(&world, &format!("{writer}-{n}")).await.expect("acknowledged");
                    }
                })
            })
            .collect();
        while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
            let dump = first.inner().dump();
            let versions: Vec<_> = dump.values().map(|record| record.version).collect();
            assert_eq!(versions, [versions[0]; 3], "{rung:?}: {dump:?}");
            tokio::task::yield_now().await;
        }
        for writer in writers {
            writer.await.expect("no panic");
        }
    }
}
