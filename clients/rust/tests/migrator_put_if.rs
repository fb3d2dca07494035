//! `put_if` over two stores in memory: what its callers see at every rung, when stores fail and when routing moves on.

#[path = "migrator/world.rs"]
mod world;

use cutover_client::{
    migrator::{Cause, Edit, PutIf, RefusedUntil, WriteError},
    report::{Event, StoreRole},
    routing::{Level, Policy, Route, Rung},
    store::{Fault, Gate, Record, Verb, Version},
};
use world::{KEY, TENANT, World, answer_lost, down, held, id, seed};

const COMPARES: [Rung; 5] =
    [Rung::SourceOnly, Rung::Dual, Rung::Mirrored, Rung::TargetFirst, Rung::TargetOnly];

fn linearizable(rung: Rung) -> World {
    World::with(rung, Policy { shadow_ppm: 0, level: Level::Linearizable, ..Policy::default() })
}

/// While the local guard is on, nobody is at target-only beside target-first.
fn guarded(rung: Rung) -> World {
    World::with(rung, Policy { shadow_ppm: 0, local_guard: true, ..Policy::default() })
}

async fn put_if(world: &World, expected: Option<&str>, new: &str) -> Result<PutIf, WriteError> {
    let expected = expected.map(str::as_bytes);
    world.migrator.put_if_bytes(TENANT, KEY, expected, new.into()).await
}

fn found(content: &str) -> Result<PutIf, WriteError> {
    Ok(PutIf::Mismatch(Some(content.into())))
}

#[tokio::test]
async fn it_writes_what_was_expected_and_nothing_else_at_every_rung() {
    for rung in COMPARES {
        let world = guarded(rung);
        assert_eq!(put_if(&world, Some("one"), "two").await, Ok(PutIf::Mismatch(None)), "{rung:?}");
        assert!(matches!(put_if(&world, None, "one").await, Ok(PutIf::Applied(_))), "{rung:?}");
        assert_eq!(put_if(&world, None, "two").await, found("one"), "{rung:?}");
        assert_eq!(put_if(&world, Some("other"), "two").await, found("one"), "{rung:?}");
        let Ok(PutIf::Applied(version)) = put_if(&world, Some("one"), "two").await else {
            panic!("{rung:?}")
        };
        assert_eq!(world.get().await, Some("two".into()));
        for (store, writes) in
            [(&world.source, rung != Rung::TargetOnly), (&world.target, rung != Rung::SourceOnly)]
        {
            let written = Record { version, value: Some("two".into()) };
            assert_eq!(held(store).await, writes.then_some(written), "{rung:?}");
        }
        world.migrator.delete(TENANT, KEY).await.expect("acknowledged");
        assert_eq!(put_if(&world, Some("two"), "three").await, Ok(PutIf::Mismatch(None)));
        assert!(
            matches!(put_if(&world, None, "three").await, Ok(PutIf::Applied(_))),
            "a tombstone is nothing"
        );
        assert_eq!(world.count(Event::NotApplied), 0, "a mismatch is an answer");
    }
}

#[tokio::test]
async fn at_target_first_it_is_refused_if_somebody_may_be_at_target_only() {
    let unguarded = World::at(Rung::TargetFirst);
    let back = guarded(Rung::TargetFirst);
    back.route(Route { rung: Rung::TargetFirst, no_fallback: true, ..Route::DEFAULT });
    for (world, until, advice) in [
        (unguarded, RefusedUntil::LocalGuard, "cutover guards KEY --local on"),
        (back, RefusedUntil::ReversePass, "cutover reverse SPEC"),
        (
            linearizable(Rung::TargetFirst),
            RefusedUntil::AnotherStage,
            "level linearizable has no local guard",
        ),
    ] {
        let error = put_if(&world, None, "one").await.expect_err("refused");
        assert_eq!(error, WriteError::NotApplied(Cause::BesideTargetOnly(until)));
        assert!(error.to_string().contains(advice), "{error}");
        assert_eq!(world.count(Event::NotApplied), 1, "reports count it");
        assert!(world.source.take_calls().is_empty() && world.target.take_calls().is_empty());
        assert!(world.quiesced());
        world.go_to(Rung::Mirrored);
        assert!(matches!(put_if(&world, None, "one").await, Ok(PutIf::Applied(_))));
    }
}

#[tokio::test]
async fn of_many_with_one_expectation_exactly_one_is_applied() {
    for rung in COMPARES {
        let world = guarded(rung);
        world.put("before").await;
        let all: Vec<_> = (0..8_u8)
            .map(|at| {
                let migrator = world.migrator.clone();
                tokio::spawn(
                    async move { migrator.put_if_bytes(TENANT, KEY, Some(b"before"), vec![at]).await },
                )
            })
            .collect();
        let mut applied = Vec::new();
        for (at, one) in (0..8_u8).zip(all) {
            match one.await.expect("no panic").expect("answered") {
                PutIf::Applied(_) => applied.push(vec![at]),
                PutIf::Mismatch(found) => assert!(found.is_some_and(|found| found != b"before")),
            }
        }
        assert_eq!((applied.len(), world.get().await), (1, applied.pop()), "{rung:?}");
    }
}

#[tokio::test]
async fn a_write_in_between_makes_it_a_mismatch() {
    let world = World::at(Rung::Mirrored);
    world.put("a").await;
    let gate = Gate::new();
    world.source.next(Verb::Put, Fault::Wait(gate.clone()));
    let migrator = world.migrator.clone();
    let waiting =
        tokio::spawn(async move { migrator.put_if_bytes(TENANT, KEY, Some(b"a"), "mine".into()).await });
    gate.reached().await;
    world.put("theirs").await;
    gate.open();
    assert_eq!(waiting.await.expect("no panic"), found("theirs"));
    assert_eq!(world.get().await, Some("theirs".into()));
}

/// Otherwise the caller learns of a write that a later read does not find.
#[tokio::test]
async fn what_only_the_source_has_is_copied_before_it_is_told() {
    let mirrored = [World::at(Rung::Mirrored), linearizable(Rung::Mirrored)];
    for world in mirrored.into_iter().chain([guarded(Rung::TargetFirst)]) {
        world.target.inner().insert(id(), Record { version: Version(1), value: Some("old".into()) });
        seed(&world.source, Some("newer"));
        world.target.next(Verb::Put, down());
        let error = put_if(&world, Some("old"), "mine").await.expect_err("not confirmed");
        let expected = matches!(error, WriteError::NotApplied(Cause::Store { store: StoreRole::Target, .. }));
        assert!(expected, "{error}");
        assert_eq!(put_if(&world, Some("old"), "mine").await, found("newer"));
        assert_eq!(held(&world.target).await, held(&world.source).await);
        assert_eq!(world.get().await, Some("newer".into()));
    }
}

#[tokio::test]
async fn after_an_unknown_outcome_a_second_call_finds_what_the_first_wrote() {
    let world = World::at(Rung::Mirrored);
    world.put("a").await;
    world.source.next(Verb::Put, answer_lost());
    let error = put_if(&world, Some("a"), "b").await.expect_err("unknown");
    assert!(matches!(error, WriteError::Indeterminate(_)), "{error}");
    assert_eq!(put_if(&world, Some("a"), "b").await, found("b"));
    world.source.next(Verb::Put, down());
    let error = put_if(&world, Some("b"), "c").await.expect_err("refused");
    assert!(
        matches!(error, WriteError::NotApplied(Cause::Store { store: StoreRole::Source, .. })),
        "{error}"
    );
    assert!(matches!(put_if(&world, Some("b"), "c").await, Ok(PutIf::Applied(_))));
}

/// Its caller has reported success by then, and target-first reads the target.
#[tokio::test]
async fn what_a_retry_at_mirrored_finds_stays_at_target_first() {
    for by_put_if in [true, false] {
        let world = World::at(Rung::Mirrored);
        world.put("old").await;
        world.target.next(Verb::Put, down());
        let error = put_if(&world, Some("old"), "new").await.expect_err("the target lacks it");
        assert!(
            matches!(error, WriteError::Indeterminate(Cause::Store { store: StoreRole::Target, .. })),
            "{error}"
        );
        if by_put_if {
            assert_eq!(put_if(&world, Some("old"), "new").await, found("new"));
        } else {
            let kept = world.migrator.mutate_bytes(TENANT, KEY, |old| {
                assert_eq!(old, Some(&b"new"[..]));
                Edit::Keep
            });
            assert_eq!(kept.await, Ok(None));
        }
        world.go_to(Rung::TargetFirst);
        assert_eq!(world.get().await, Some("new".into()));
    }
}

#[tokio::test]
async fn a_rollback_half_way_leaves_its_outcome_open_and_a_mismatch_unanswered() {
    for (expected, verb) in [(Some("a"), Verb::Put), (Some("other"), Verb::Get)] {
        let world = guarded(Rung::TargetFirst);
        world.put("a").await;
        let gate = Gate::new();
        world.source.next(verb, Fault::Wait(gate.clone()));
        let migrator = world.migrator.clone();
        let waiting = tokio::spawn(async move {
            migrator.put_if_bytes(TENANT, KEY, expected.map(str::as_bytes), "b".into()).await
        });
        gate.reached().await;
        world.go_to(Rung::Mirrored);
        world.go_to(Rung::Dual);
        assert!(!world.quiesced());
        gate.open();
        let error = waiting.await.expect("no panic").expect_err("overtaken");
        if verb == Verb::Put {
            assert_eq!(error, WriteError::Indeterminate(Cause::Overtaken));
            assert_eq!(put_if(&world, Some("a"), "c").await, found("b"));
        } else {
            assert_eq!(error, WriteError::NotApplied(Cause::Overtaken));
            assert!(matches!(put_if(&world, Some("a"), "c").await, Ok(PutIf::Applied(_))));
        }
        assert!(world.quiesced());
    }
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Order {
    items: u32,
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct MarkedOrder {
    items: u32,
    #[serde(skip_deserializing)]
    is_new: bool,
}

#[tokio::test]
async fn values_are_compared_by_what_their_type_knows_and_the_rest_stays() {
    let world = World::at(Rung::Dual);
    let stored = |items| format!(r#"{{"items":{{"N":"{items}"}},"region":{{"S":"eu"}}}}"#);
    world.put(&stored(3)).await;
    let orders = &world.migrator;
    let found = orders.put_if(TENANT, KEY, None, &Order { items: 9 }).await;
    assert_eq!(found, Ok(PutIf::Mismatch(Some(Order { items: 3 }))));
    let applied = orders.put_if(TENANT, KEY, Some(&Order { items: 3 }), &Order { items: 4 }).await;
    assert!(matches!(applied, Ok(PutIf::Applied(_))), "{applied:?}");
    assert_eq!(world.get().await, Some(stored(4).into()));
    let marked = MarkedOrder { items: 4, is_new: true };
    let applied = orders.put_if(TENANT, KEY, Some(&marked), &marked).await;
    assert!(
        matches!(applied, Ok(PutIf::Applied(_))),
        "what a type does not read is not compared: {applied:?}"
    );
    world.put("no document").await;
    let error = orders.put_if(TENANT, KEY, None, &Order { items: 9 }).await.expect_err("unreadable");
    assert!(matches!(error, WriteError::Value(_)), "{error}");
}
