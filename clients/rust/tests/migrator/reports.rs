//! What reads and writes report: which store answered, and what touched both stores.

use std::time::Duration;

use cutover_client::{
    report::Event,
    routing::{Level, Policy, Rung},
    store::Verb,
};
use cutover_proto::v1;

use crate::world::{World, down, seed};

/// Answers and not-founds of the source and of the target.
type Answers = [(u64, u64); 2];

fn drained(world: &World) -> (Answers, v1::Cell) {
    let cells = world.recorder.drain().cells;
    let reads = |store: v1::StoreRole| {
        let reads = cells.iter().flat_map(|cell| &cell.stores);
        let mut reads = reads.filter(|c| c.store() == store && c.operation() == v1::Operation::Read);
        reads.next().map_or((0, 0), |calls| (calls.answered, calls.not_found))
    };
    let answers = [reads(v1::StoreRole::Source), reads(v1::StoreRole::Target)];
    (answers, cells.into_iter().next().expect("something was counted"))
}

fn pairs(cell: &v1::Cell) -> (u64, u64, u64, u64) {
    let pairs = cell.read_pairs.unwrap_or_default();
    (pairs.calls, pairs.only_target_failed, pairs.only_source_failed, pairs.both_failed)
}

#[tokio::test]
async fn the_store_whose_answer_the_caller_got_has_answered() {
    let linearizable = Policy { level: Level::Linearizable, shadow_ppm: 0, ..Policy::default() };
    let relaxed = Policy { level: Level::Acknowledged, ..linearizable };
    let (source, target) = ([(1, 0), (0, 0)], [(0, 0), (1, 0)]);
    let (no_source, no_target) = ([(1, 1), (0, 0)], [(0, 0), (1, 1)]);
    // Rung, policy, the records in source and target, which store answered, reads of both.
    let some = Some(Some("here"));
    let deleted = Some(None);
    let cases = [
        (Rung::SourceOnly, relaxed, some, None, source, 0),
        (Rung::SourceOnly, relaxed, None, None, no_source, 0),
        (Rung::Dual, relaxed, deleted, None, no_source, 0),
        (Rung::Mirrored, relaxed, some, some, source, 0),
        (Rung::Mirrored, linearizable, some, some, source, 1),
        // Confirmed by a copy first: the answer is still the source's.
        (Rung::Mirrored, linearizable, some, None, source, 1),
        (Rung::Mirrored, linearizable, None, None, no_source, 0),
        (Rung::TargetFirst, relaxed, some, some, target, 0),
        // The source was asked as well, so the answer counts for neither store: a miss, or nothing in either.
        (Rung::TargetFirst, relaxed, some, None, [(0, 0), (0, 0)], 1),
        (Rung::TargetFirst, relaxed, None, None, [(0, 0), (0, 0)], 1),
        (Rung::TargetFirst, relaxed, deleted, None, [(0, 0), (0, 0)], 1),
        (Rung::TargetFirst, relaxed, None, deleted, no_target, 0),
        (Rung::TargetOnly, relaxed, some, None, no_target, 0),
        (Rung::TargetOnly, relaxed, None, some, target, 0),
    ];
    for (rung, policy, in_source, in_target, expected, both) in cases {
        let world = World::with(rung, policy);
        for (store, has) in [(&world.source, in_source), (&world.target, in_target)] {
            if let Some(value) = has {
                seed(store, value);
            }
        }
        world.get().await;
        let (answers, cell) = drained(&world);
        assert_eq!(answers, expected, "{rung:?} {in_source:?} {in_target:?}");
        assert_eq!(pairs(&cell), (both, 0, 0, 0), "{rung:?} {in_source:?} {in_target:?}");
    }
}

#[tokio::test]
async fn a_read_of_both_stores_tells_which_of_them_failed() {
    let policy = Policy { level: Level::Linearizable, shadow_ppm: 0, ..Policy::default() };
    let world = World::with(Rung::Mirrored, policy);
    seed(&world.source, Some("here"));
    world.target.next(Verb::Get, down());
    world.migrator.get_bytes(crate::TENANT, crate::KEY).await.expect_err("not confirmed");
    let (answers, cell) = drained(&world);
    assert_eq!((answers, pairs(&cell)), ([(0, 0), (0, 0)], (1, 1, 0, 0)));

    world.go_to(Rung::TargetFirst);
    world.source.next(Verb::Get, down());
    world.migrator.get_bytes(crate::TENANT, crate::KEY).await.expect_err("nobody can tell");
    let (answers, cell) = drained(&world);
    assert_eq!((answers, pairs(&cell)), ([(0, 0), (0, 0)], (1, 0, 1, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_shadow_read_answers_nobody_and_tells_what_the_target_lacks() {
    let world = World::with(Rung::Dual, Policy { shadow_ppm: 1_000_000, ..Policy::default() });
    let read = async || {
        world.get().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    // Neither has it: nothing is lacking.
    read().await;
    assert_eq!((world.count(Event::Compared), world.count(Event::Lacking)), (1, 0));
    seed(&world.source, Some("not migrated"));
    read().await;
    assert_eq!((world.count(Event::Compared), world.count(Event::Lacking)), (2, 1));
    world.target.next(Verb::Get, down());
    read().await;
    assert_eq!((world.count(Event::Compared), world.count(Event::Lacking)), (2, 1));
    let (answers, cell) = drained(&world);
    assert_eq!(answers, [(3, 1), (0, 0)]);
    assert_eq!(pairs(&cell), (3, 1, 0, 0));
}

#[tokio::test]
async fn calls_are_told_by_tenant_once_the_target_has_failed_it() {
    let world = World::at(Rung::TargetOnly);
    world.target.next(Verb::Get, down());
    world.migrator.get_bytes(crate::TENANT, crate::KEY).await.expect_err("down");
    world.get().await;
    let cells = world.recorder.drain().cells;
    let tenants: Vec<_> = cells.iter().map(|cell| cell.tenant.as_str()).collect();
    assert_eq!(tenants, ["", crate::TENANT]);
    assert_eq!((cells[0].stores[0].answered, cells[1].stores[0].answered), (0, 1));
}
