//! A pass continues, and ends, only in the store that has what it left there.

use cutover_proto::v1::Witness;
use tonic::Code;

use super::{filled, hooked::Hooked, *};

/// Restores an old state.
fn restore(store: &MemoryStore) {
    let all = store.dump().into_iter();
    all.for_each(|(id, record)| store.insert(id, Record { version: Version::ZERO, ..record }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_replaced_under_a_worker_is_told_before_the_pass_is_evidence() {
    let (_dir, controller) = started().await;
    let world = filled();
    // The first read of a copy checks for what it left.
    let before_read = |store: &MemoryStore, n: usize| {
        if n == 1 {
            restore(store)
        }
    };
    let target = Arc::new(Hooked { before_read, ..Hooked::new(&world.target) });
    let stores = Stores { target, ..world.stores() };
    let plan = plan(v1::PassKind::Full);
    let failed = run(&controller, &stores, &plan).await.unwrap_err();
    let jobs::Error::Replaced { job, store: "target", .. } = &failed else { panic!("{failed:?}") };
    let told = failed.to_string();
    assert!(told.contains("in the target, which lacks it") && told.contains("made anew"), "{told}");
    assert!(told.contains(&format!("cutover cancel {job}")), "{told}");
    // Nobody else ends it either.
    let failed = run(&controller, &world.stores(), &plan).await.unwrap_err();
    assert!(matches!(failed, jobs::Error::Replaced { .. }), "{failed:?}");

    let cancel = v1::FinishJobRequest { id: job.clone(), ..Default::default() };
    controller.jobs().await.finish_job(cancel).await.unwrap();
    let evidence = run(&controller, &world.stores(), &plan).await.unwrap();
    assert!(evidence.clean, "{evidence:?}");
    assert_eq!(get(&world.target, 1).await, Some(record(2)), "everything is copied anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_is_not_gone_on_with_in_another_target() {
    let (_dir, controller) = started().await;
    let world = filled();
    run(&controller, &world.stores(), &plan(v1::PassKind::Full)).await.unwrap();
    // A pass that has seen a part.
    let tuning = v1::Tuning { records_per_s: 400, ..Default::default() };
    let verify = Plan { tuning, ..plan(v1::PassKind::Verify) };
    run_until(&controller, &world.stores(), &verify, |job| !job.witnesses.is_empty()).await;

    let anew = World::new();
    let stores = Stores { target: anew.target.clone(), ..world.stores() };
    anew.target.insert(Id::new("shop-1", "order-new").unwrap(), record(1_000_000));
    let failed = run(&controller, &stores, &verify).await.unwrap_err();
    assert!(matches!(failed, jobs::Error::Replaced { store: "target", .. }), "{failed:?}");
    let limits = plan(v1::PassKind::Verify);
    let listed = v1::ListJobsRequest { migration: KEY.to_owned() };
    let job = controller.jobs().await.list_jobs(listed).await.unwrap().into_inner().jobs.remove(0);
    let tune = v1::TuneJobRequest { id: job.id, tuning: Some(limits.tuning), ..Default::default() };
    controller.jobs().await.tune_job(tune).await.unwrap();
    let evidence = run(&controller, &world.stores(), &limits).await.unwrap();
    assert!(evidence.clean, "in its own it is: {evidence:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn some_witnesses_are_kept_and_what_names_no_record_is_refused() {
    let (_dir, controller) = started().await;
    let mut jobs = controller.jobs().await;
    let request = v1::CreateJobRequest {
        migration: KEY.to_owned(),
        segments: 1,
        fingerprint: "f".to_owned(),
        ..Default::default()
    };
    let id = jobs.create_job(request.clone()).await.unwrap().into_inner().id;
    let claim = v1::ClaimSegmentRequest { id: id.clone(), instance_id: "w".to_owned(), ..Default::default() };
    let claim = jobs.claim_segment(claim).await.unwrap().into_inner().segment.unwrap().claim;
    let mut say = async |tenant: &str, key: &str, version| {
        let witness = Some(Witness { tenant: tenant.to_owned(), key: key.to_owned(), version });
        let checkpoint = v1::CheckpointRequest {
            id: id.clone(),
            instance_id: "w".to_owned(),
            claim,
            witness,
            ..Default::default()
        };
        jobs.checkpoint(checkpoint).await
    };
    for version in 1..=3 {
        say("acme", "again", version).await.unwrap();
    }
    let kept = controller.jobs().await.create_job(request.clone()).await.unwrap().into_inner().witnesses;
    assert_eq!(kept.len(), 1, "the newest of a record: {kept:?}");
    assert_eq!(kept[0].version, 3);
    for n in 0..100 {
        say("acme", &format!("order-{n}"), 1).await.unwrap();
    }
    for (tenant, key) in [("", "order"), ("acme", ""), ("acme", &"x".repeat(2_000))] {
        let refused = say(tenant, key, 1).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains("witness"), "{refused}");
    }
    let kept = controller.jobs().await.create_job(request).await.unwrap().into_inner().witnesses;
    assert_eq!(kept.len(), 16, "{kept:?}");
}
