//! A pass is continued only by workers that scan in its order and divide the stores as it does.

use std::sync::atomic::Ordering::SeqCst;

use super::{filled, hooked::Hooked, *};

fn ordered(store: &Arc<MemoryStore>, order: Option<&'static str>) -> Arc<Hooked> {
    Arc::new(Hooked { order, ..Hooked::new(store) })
}

fn slow(kind: v1::PassKind) -> Plan {
    let tuning = v1::Tuning { records_per_s: 400, ..Default::default() };
    let (segments, on_target) = if kind == v1::PassKind::Verify { (1, 0) } else { (4, 0) };
    Plan { tuning, segments, on_target, ..plan(kind) }
}

/// Half of a verification, then other collations: the cursors mean other places now.
#[tokio::test(flavor = "multi_thread")]
async fn a_pass_is_not_continued_in_another_order() {
    let world = filled();
    for kind in [v1::PassKind::Verify, v1::PassKind::Full] {
        let (_dir, controller) = started().await;
        let first: [Option<&'static str>; 2] = [Some("a collation"), None];
        let stores_of = |[source, target]: [Option<&'static str>; 2]| {
            let source = ordered(&world.source, source);
            (
                Stores { source: source.clone(), target: ordered(&world.target, target), ..world.stores() },
                source,
            )
        };
        let (stores, _) = stores_of(first);
        let begun = slow(kind).for_stores(&stores);
        run_until(&controller, &stores, &begun, |job| job.counts.is_some_and(|counts| counts.scanned > 0))
            .await;
        for other in
            [[None, None], [Some("another one"), None], [first[0], Some("a collation")], [None, first[0]]]
        {
            let (stores, source) = stores_of(other);
            let refused =
                run(&controller, &stores, &slow(kind).for_stores(&stores)).await.unwrap_err().to_string();
            assert!(
                refused.contains(
                    "is under way, with other stores or options, another order of keys or another version"
                ),
                "{other:?}: {refused}"
            );
            assert!(refused.contains("cutover cancel"), "{refused}");
            assert_eq!(source.scans.load(SeqCst), 0, "{other:?}: nothing was read");
        }
        // In the same order it goes on.
        let (stores, _) = stores_of(first);
        let fast = Plan { tuning: v1::Tuning::default(), ..slow(kind).for_stores(&stores) };
        assert_eq!(fast.fingerprint, begun.fingerprint);
        for job in controller
            .jobs()
            .await
            .list_jobs(v1::ListJobsRequest { migration: KEY.to_owned() })
            .await
            .unwrap()
            .into_inner()
            .jobs
        {
            let tuning = Some(v1::Tuning::default());
            let request = v1::TuneJobRequest { id: job.id, tuning, ..Default::default() };
            controller.jobs().await.tune_job(request).await.unwrap();
        }
        run(&controller, &stores, &fast).await.unwrap();
    }
}

/// A collation that is changed while a worker is in the middle of its only segment, and changed back before the next one joins.
#[tokio::test(flavor = "multi_thread")]
async fn no_checkpoint_is_made_in_another_order() {
    let (_dir, controller) = started().await;
    let world = filled();
    let source = ordered(&world.source, None);
    let stores = Stores { source: source.clone(), ..world.stores() };
    let plan = Plan { parallel: 1, ..slow(v1::PassKind::Verify) };
    let scanned = |job: &v1::Job| job.counts.map_or(0, |counts| counts.scanned);
    let reordered = source.clone();
    let told = move |job: &v1::Job| {
        if scanned(job) > 0 {
            reordered.is_reordered.store(true, SeqCst);
        }
    };
    let ended = worker::run(&controller.url, &stores, &plan, told, std::future::pending()).await;
    let Err(jobs::Error::Store { store: "source", error }) = &ended else { panic!("{ended:?}") };
    assert!(error.to_string().contains("another order"), "{error}");
    let of = v1::ListJobsRequest { migration: KEY.to_owned() };
    let jobs = controller.jobs().await.list_jobs(of).await.unwrap().into_inner().jobs;
    let [job] = jobs.as_slice() else { panic!("{jobs:?}") };
    assert!((1..RECORDS).contains(&scanned(job)), "it stopped before the end: {job:?}");

    let kept = scanned(job);
    let again = worker::run(&controller.url, &stores, &plan, |_| {}, std::future::pending()).await;
    assert!(matches!(again, Err(jobs::Error::Store { .. })), "{again:?}");
    let jobs = controller.jobs().await.list_jobs(v1::ListJobsRequest { migration: KEY.to_owned() }).await;
    assert_eq!(jobs.unwrap().into_inner().jobs.iter().map(scanned).sum::<u64>(), kept, "the cursor stays");
}

#[test]
fn orders_and_segments_are_in_the_fingerprint_of_every_kind_of_pass() {
    let world = World::new();
    let fingerprint = |plan: Plan, orders: [Option<&'static str>; 2]| {
        let [source, target] = orders;
        let (source, target) = (ordered(&world.source, source), ordered(&world.target, target));
        plan.for_stores(&Stores { source, target, quarantine: None }).fingerprint
    };
    use v1::PassKind::{Full, Reverse, Sample, Sweep, Verify};
    for kind in [Full, Reverse, Sweep, Verify, Sample] {
        let of = |segments, on_target| Plan { segments, on_target, ..plan(kind) };
        let mut all = Vec::new();
        for orders in
            [[None, None], [Some("a"), None], [None, Some("a")], [Some("a"), Some("b")], [Some(""), None]]
        {
            all.push(fingerprint(of(4, 2), orders));
            assert_eq!(all.last(), Some(&fingerprint(of(4, 2), orders)), "it is the same for each worker");
        }
        all.extend(
            [(4, 1), (5, 2)].map(|(segments, on_target)| fingerprint(of(segments, on_target), [None, None])),
        );
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "{kind:?}");
    }
}

/// Two versions of cutover that divide the same stores in different ways.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_another_number_of_segments_is_refused() {
    let (_dir, controller) = started().await;
    let world = filled();
    let source = ordered(&world.source, None);
    let (stores, begun) = (world.stores(), slow(v1::PassKind::Full));
    run_until(&controller, &stores, &begun, |job| job.counts.is_some_and(|counts| counts.scanned > 0)).await;
    let stores = Stores { source: source.clone(), ..stores };
    let refused =
        run(&controller, &stores, &Plan { segments: 5, ..begun.clone() }).await.unwrap_err().to_string();
    assert!(refused.contains("has 4 segments, and this worker would divide the stores into 5"), "{refused}");
    assert!(refused.contains("the same version of cutover, or cutover cancel orders/pass-"), "{refused}");
    assert_eq!(source.scans.load(SeqCst), 0, "nothing was read");
}
