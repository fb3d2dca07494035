//! The scan of the target skips look-ups for records that the scan of the source has already read.

use std::sync::atomic::Ordering::SeqCst;

use cutover_store::Estimate;

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
async fn what_the_scan_of_the_source_has_met_is_not_looked_up_again() {
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
async fn what_the_target_has_alone_or_newer_is_still_found() {
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
    let full = world.stores().measured(full).await;
    assert_eq!((full.expected, full.source_first), (Some(500 + 100), false));
    let (asked, evidence) = asked(&controller, &world, &full).await;
    assert!(asked > 0 && evidence.clean, "{evidence:?}");
    assert_eq!(counts(&evidence).copied, 400);
    assert_eq!(counts(&evidence).checked, 100, "and not what the pass itself has copied");
}

/// The plan for a source of 500 records, of which the target has all, or 10 that fit into a page.
async fn measured(kind: v1::PassKind, estimates: [Option<u64>; 2], is_filled: bool) -> Plan {
    let world = equal(500);
    if !is_filled {
        (10..500).for_each(|n| world.target.remove(&id(n)));
    }
    let [source, target] = [&world.source, &world.target].map(Hooked::new);
    let [source, target] = [(source, estimates[0]), (target, estimates[1])].map(|(store, records)| {
        Arc::new(Hooked { estimate: Some(Estimate { records, bytes: None }), ..store })
    });
    let stores = Stores { source, target, ..world.stores() };
    let mut plan = Plan { on_target: 2, ..plan(kind) };
    plan.limits.chunk_bytes = 10_000;
    stores.measured(plan).await
}

#[tokio::test]
async fn an_unknown_or_old_estimate_neither_hides_nor_halves_what_a_pass_reads() {
    for kind in [v1::PassKind::Full, v1::PassKind::Verify] {
        for estimates in [[Some(500), None], [Some(500), Some(0)], [None, Some(500)], [Some(0), Some(500)]] {
            let plan = measured(kind, estimates, true).await;
            assert_eq!((plan.expected, plan.source_first), (Some(1_000), true), "{kind:?} {estimates:?}");
        }
        let plan = measured(kind, [None, None], true).await;
        assert_eq!((plan.expected, plan.source_first), (None, true), "nobody knows");
        for old in [None, Some(0), Some(500)] {
            let plan = measured(kind, [Some(500), old], false).await;
            let is_comparison = kind == v1::PassKind::Verify;
            assert_eq!((plan.expected, plan.source_first), (Some(510), is_comparison), "{kind:?} {old:?}");
        }
    }
}
