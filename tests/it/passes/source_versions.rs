//! The scan of the target skips look-ups for records that the scan of the source has already read.

use std::sync::atomic::Ordering::SeqCst;

use cutover_store::{Estimate, Fault, Faulty, Gate, Segment, Verb};

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

/// The pass under way.
async fn running(controller: &Controller) -> v1::Job {
    let listed = v1::ListJobsRequest { migration: KEY.to_owned() };
    controller.jobs().await.list_jobs(listed).await.unwrap().into_inner().jobs.remove(0)
}

/// Its worker is believed to be dead.
async fn evict(controller: &Controller, job: &v1::Job) {
    let evict = v1::EvictInstanceRequest {
        instance_id: job.claims[0].instance_id.clone(),
        reason: "the machine burnt down".to_owned(),
        force: true,
        ..Default::default()
    };
    controller.admin().await.evict_instance(evict).await.unwrap();
}

/// A program without an SDK replaces a record that the first segment of the source has.
fn replace(world: &World) {
    let first = Segment { index: 0, of: 2 };
    let id = (0..500).map(id).find(|id| first.contains(id)).unwrap();
    world.source.insert(id, record(0));
}

fn is_found(evidence: &v1::Evidence, kind: v1::PassKind) {
    let ahead = v1::Differences { ahead: 1, ..Default::default() };
    assert_eq!((evidence.clean, found(evidence)), (false, ahead), "{kind:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_ends_between_the_halves_leaves_no_versions_to_the_next_one() {
    for plan in plans() {
        let (_dir, controller) = started().await;
        let (world, gate) = (equal(500), Gate::new());
        let target = Faulty::new(world.target.clone());
        target.next(Verb::Scan, Fault::Wait(gate.clone()));
        let stores = Stores { target: Arc::new(target), ..world.stores() };
        tokio::select! {
            evidence = run(&controller, &stores, &plan) => panic!("it ended: {evidence:?}"),
            () = gate.reached() => {}
        }
        let job = running(&controller).await;
        assert_eq!(job.segments_done, 2, "those of the source");
        evict(&controller, &job).await;
        replace(&world);
        let (asked, evidence) = asked(&controller, &world, &plan).await;
        assert!(asked > 0);
        is_found(&evidence, plan.kind);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_loses_a_claim_looks_everything_up() {
    for mut plan in plans() {
        let (_dir, controller) = started().await;
        // A segment of the source is one page. The first one arrives, and the second one does not.
        plan.limits.chunk_bytes = 1 << 20;
        let (world, gates) = (equal(500), [Gate::new(), Gate::new()]);
        gates[0].open();
        let source = Faulty::new(world.source.clone());
        gates.iter().for_each(|gate| source.next(Verb::Scan, Fault::Wait(gate.clone())));
        let stores = Stores { source: Arc::new(source), ..world.stores() };
        let lose = async {
            gates[1].reached().await;
            let job = running(&controller).await;
            assert_eq!(job.segments_done, 1);
            evict(&controller, &job).await;
            let claim = v1::ClaimSegmentRequest {
                id: job.id.clone(),
                instance_id: "heir".to_owned(),
                prefer_from: 2,
                ..Default::default()
            };
            let mut jobs = controller.jobs().await;
            let claimed = jobs.claim_segment(claim).await.unwrap().into_inner().segment.unwrap();
            assert_eq!(claimed.index, 3, "the one that was lost");
            let checkpoint = v1::CheckpointRequest {
                id: job.id.clone(),
                instance_id: "heir".to_owned(),
                segment: claimed.index,
                claim: claimed.claim,
                done: true,
                ..Default::default()
            };
            assert!(!jobs.checkpoint(checkpoint).await.unwrap().into_inner().lost);
            replace(&world);
        };
        let (evidence, ()) = tokio::join!(run(&controller, &stores, &plan), lose);
        is_found(&evidence.unwrap(), plan.kind);
    }
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
