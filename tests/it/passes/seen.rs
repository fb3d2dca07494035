//! What the scan of the source has seen, the scan of the target does not look up.

use std::sync::atomic::Ordering::SeqCst;

use super::{hooked::Hooked, *};

/// Comparisons, and a full pass that looks into the target: one segment at a time.
fn plans() -> [Plan; 3] {
    [v1::PassKind::Verify, v1::PassKind::Sample, v1::PassKind::Full].map(|kind| Plan {
        on_target: 2,
        parallel: 1,
        fingerprint: format!("{kind:?}"),
        ..plan(kind)
    })
}

/// How often the source was asked for records by a clean pass, and what the pass found.
async fn asked(controller: &Controller, world: &World, plan: &Plan) -> (usize, v1::Evidence) {
    let source = Arc::new(Hooked::new(&world.source));
    let stores = Stores { source: source.clone(), ..world.stores() };
    let evidence = run(controller, &stores, plan).await.unwrap();
    (source.reads.load(SeqCst), evidence)
}

/// Both stores have these records.
fn equal(records: u64) -> World {
    let world = World::new();
    for n in 0..records {
        world.source.insert(id(n), record(n + 1));
        world.target.insert(id(n), record(n + 1));
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_source_was_seen_to_have_is_not_looked_up_again() {
    let (_dir, controller) = started().await;
    for plan in plans() {
        let (asked, evidence) = asked(&controller, &equal(500), &plan).await;
        assert!(evidence.clean, "{evidence:?}");
        assert_eq!(asked, 0, "{:?}", plan.kind);
        let read = counts(&evidence).scanned + counts(&evidence).checked;
        assert_eq!(read, 1_000, "each store was read");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_has_alone_or_newer_is_found_all_the_same() {
    let (_dir, controller) = started().await;
    for plan in plans() {
        let world = equal(500);
        world.target.insert(id(600), record(1));
        world.target.insert(id(7), record(1_000));
        let (asked, evidence) = asked(&controller, &world, &plan).await;
        assert!(asked > 0 && !evidence.clean, "{evidence:?}");
        let both = v1::Differences { extra: 1, ahead: 1, ..Default::default() };
        assert_eq!(found(&evidence), both, "{:?}", plan.kind);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_a_version_is_looked_up() {
    let (_dir, controller) = started().await;
    for plan in plans() {
        let world = World::new();
        for n in 0..100 {
            world.source.insert(id(n), record(0));
            world.target.insert(id(n), record(0));
        }
        let (asked, evidence) = asked(&controller, &world, &plan).await;
        assert!(asked > 0 && evidence.clean, "{evidence:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_still_to_be_filled_is_scanned_first() {
    let (_dir, controller) = started().await;
    let world = equal(500);
    for n in 100..500 {
        world.target.remove(&id(n));
    }
    let [.., full] = plans();
    let (asked, evidence) = asked(&controller, &world, &full).await;
    assert!(asked > 0 && evidence.clean, "{evidence:?}");
    assert_eq!(counts(&evidence).copied, 400);
    assert_eq!(counts(&evidence).checked, 100, "and not what the pass itself has copied");
}
