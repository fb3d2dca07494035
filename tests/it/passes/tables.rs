//! All workers of a pass have the same tables: one with another region or account is refused by name.

use std::sync::atomic::Ordering::SeqCst;

use cutover::jobs::side::Side;
use tonic::Code;

use super::{filled, hooked::Hooked, source_wins::ramp, *};

const HERE: &str = "arn:aws:dynamodb:us-east-1:111122223333:table/Orders";
const THERE: &str = "arn:aws:dynamodb:eu-west-1:111122223333:table/Orders";

fn identity(id: &str) -> Option<v1::StoreIdentity> {
    Some(v1::StoreIdentity { id: id.to_owned(), place: format!("table {id}"), ledger: String::new() })
}

fn table(store: &Arc<MemoryStore>, name: &'static str) -> Arc<Hooked> {
    Arc::new(Hooked { table: Some(name), ..Hooked::new(store) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_has_an_empty_table_of_the_same_name_reads_nothing() {
    let (_dir, controller) = started().await;
    let (world, elsewhere) = (filled(), World::new());
    let stores = Stores { source: table(&world.source, HERE), ..world.stores() };
    let slow = v1::Tuning { records_per_s: 400, ..Default::default() };
    let plan = Plan { tuning: slow, ..plan(v1::PassKind::Full) };
    run_until(&controller, &stores, &plan, |job| job.counts.is_some_and(|counts| counts.scanned > 0)).await;

    let empty = table(&elsewhere.source, THERE);
    let other = Stores { source: empty.clone(), ..world.stores() };
    let refused = run(&controller, &other, &plan).await.unwrap_err();
    let jobs::Error::OtherTable { job, .. } = &refused else { panic!("{refused:?}") };
    let told = format!("scans table {HERE}, but this worker has table {THERE}");
    assert!(refused.to_string().contains(&told), "{refused}");
    assert_eq!(empty.scans.load(SeqCst), 0, "nothing was read");

    // The controller does not give it a segment either, whatever the worker believes.
    let claim = v1::ClaimSegmentRequest {
        id: job.clone(),
        instance_id: "b".to_owned(),
        source: identity(THERE),
        ..Default::default()
    };
    let refused = controller.jobs().await.claim_segment(claim.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let told = format!("worker b scans table {THERE}, this pass scans table {HERE}");
    assert!(refused.message().contains(&told), "{refused}");
    let unknown = v1::ClaimSegmentRequest { source: None, ..claim };
    let refused = controller.jobs().await.claim_segment(unknown).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");

    let unlimited =
        v1::TuneJobRequest { id: job.clone(), tuning: Some(v1::Tuning::default()), ..Default::default() };
    controller.jobs().await.tune_job(unlimited).await.unwrap();
    let evidence = run(&controller, &stores, &plan).await.unwrap();
    assert!(evidence.clean && counts(&evidence).scanned == RECORDS, "{evidence:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_table_as_source_and_target_is_refused() {
    let (_dir, controller) = started().await;
    let world = filled();
    let (source, target) = (table(&world.source, HERE), table(&world.target, HERE));
    let stores = Stores { source, target, ..world.stores() };
    let refused = run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap_err();
    assert!(
        matches!(&refused, jobs::Error::SameTable { of_target, .. } if of_target.contains(HERE)),
        "{refused}"
    );
}

/// Everybody has settled at mirrored.
async fn at_mirrored(controller: &Controller) {
    ramp(controller, v1::SetRolloutRequest { mirrored_ppm: Some(1_000_000), ..Default::default() }).await;
}

/// Whether the gate before target-first is open.
async fn target_first(controller: &Controller) -> Result<(), String> {
    let mutation = Some(v1::Mutation { dry_run: true, ..Default::default() });
    let request = v1::SetRolloutRequest {
        mutation,
        key: KEY.to_owned(),
        target_first_ppm: Some(1_000_000),
        ..Default::default()
    };
    let asked = controller.admin().await.set_rollout(request).await;
    asked.map(drop).map_err(|refused| refused.message().to_owned())
}

async fn running_jobs(controller: &Controller) -> usize {
    let listed = v1::ListJobsRequest { migration: KEY.to_owned() };
    controller.jobs().await.list_jobs(listed).await.unwrap().into_inner().jobs.len()
}

/// The right tables, and the same with an empty source of the same name.
fn right_and_wrong() -> (Stores, Stores, Arc<Hooked>) {
    let (world, elsewhere) = (filled(), World::new());
    let target = table(&world.target, "target");
    let right = Stores { source: table(&world.source, HERE), target: target.clone(), ..world.stores() };
    let empty = table(&elsewhere.source, THERE);
    let wrong = Stores { source: empty.clone(), target, ..world.stores() };
    (right, wrong, empty)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_pass_of_another_source_is_refused_before_it_begins() {
    let (dir, controller) = started().await;
    at_mirrored(&controller).await;
    let (right, wrong, empty) = right_and_wrong();
    // It is canceled, so the gate waits for another one.
    let slow = v1::Tuning { records_per_s: 400, ..Default::default() };
    let canceled = Plan { tuning: slow, ..plan(v1::PassKind::Full) };
    run_until(&controller, &right, &canceled, |job| job.counts.is_some_and(|counts| counts.scanned > 0))
        .await;
    let listed = v1::ListJobsRequest { migration: KEY.to_owned() };
    let id = controller.jobs().await.list_jobs(listed).await.unwrap().into_inner().jobs.remove(0).id;
    let cancel = v1::FinishJobRequest { id, ..Default::default() };
    controller.jobs().await.finish_job(cancel).await.unwrap();
    // Another controller knows it, too.
    controller.stop().await;
    let controller = Controller::start(dir.path(), 0).await;
    for kind in [v1::PassKind::Full, v1::PassKind::Verify, v1::PassKind::Sample] {
        let refused = run(&controller, &wrong, &plan(kind)).await.unwrap_err().to_string();
        let told = format!("this pass has the source table {THERE}, earlier passes had table {HERE}");
        assert!(refused.contains(&told), "{kind:?}: {refused}");
    }
    // Nor does it get a segment, if it does not say its tables before.
    let request = v1::CreateJobRequest { source: None, target: None, ..plan(v1::PassKind::Full).request() };
    let id = controller.jobs().await.create_job(request).await.unwrap().into_inner().id;
    let claim = v1::ClaimSegmentRequest {
        id: id.clone(),
        instance_id: "b".to_owned(),
        source: identity(THERE),
        target: identity("target"),
        prefer_from: 0,
    };
    for claim in [claim.clone(), v1::ClaimSegmentRequest { source: None, ..claim }] {
        let refused = controller.jobs().await.claim_segment(claim).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
        assert!(refused.message().contains(&format!("earlier passes had table {HERE}")), "{refused:?}");
    }
    assert_eq!(empty.scans.load(SeqCst), 0, "nothing was read");
    target_first(&controller).await.unwrap_err();
    // The pass goes on with the right one.
    let evidence = run(&controller, &right, &plan(v1::PassKind::Full)).await.unwrap();
    assert!(evidence.clean && evidence.job == id && counts(&evidence).scanned == RECORDS, "{evidence:?}");
    assert_eq!(target_first(&controller).await, Ok(()));
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_moved_is_accepted_on_an_operators_word_and_earlier_passes_count_no_more() {
    let (_dir, controller) = started().await;
    at_mirrored(&controller).await;
    let (before, _, _) = right_and_wrong();
    let full = plan(v1::PassKind::Full);
    assert!(run(&controller, &before, &full).await.unwrap().clean);
    assert_eq!(target_first(&controller).await, Ok(()));
    let world = filled();
    let after = Stores {
        source: table(&world.source, "replica"),
        target: before.target.clone(),
        quarantine: before.quarantine.clone(),
    };
    let silent = Plan { new_tables: vec![Side::Source], ..full.clone() };
    let refused = run(&controller, &after, &silent).await.unwrap_err().to_string();
    assert!(refused.contains("reason"), "{refused}");
    let moved = Plan { reason: "db-2 took over".to_owned(), ..silent };
    // While another pass is under way, its result would be about the old one.
    let slow =
        Plan { tuning: v1::Tuning { paused: true, ..Default::default() }, ..plan(v1::PassKind::Verify) };
    run_until(&controller, &before, &slow, |job| !job.claims.is_empty()).await;
    let listed = v1::ListJobsRequest { migration: KEY.to_owned() };
    let verify = controller.jobs().await.list_jobs(listed).await.unwrap().into_inner().jobs.remove(0).id;
    let refused = run(&controller, &after, &moved).await.unwrap_err();
    let jobs::Error::Controller(refused) = refused else { panic!("{refused:?}") };
    assert_eq!(running_jobs(&controller).await, 1, "it has not begun: {refused:?}");
    // It does not join one that began without that either, even if its tables are the same.
    let again = Plan { kind: v1::PassKind::Verify, ..moved.clone() };
    let refused = run(&controller, &before, &again).await.unwrap_err().to_string();
    assert!(refused.contains(&format!("{verify} is under way")), "{refused}");
    let cancel = v1::FinishJobRequest { id: verify, ..Default::default() };
    controller.jobs().await.finish_job(cancel).await.unwrap();
    assert_eq!(target_first(&controller).await, Ok(()));

    let begun = Plan { tuning: v1::Tuning { paused: true, ..Default::default() }, ..moved.clone() };
    run_until(&controller, &after, &begun, |job| !job.claims.is_empty()).await;
    let closed = target_first(&controller).await.unwrap_err();
    assert!(closed.contains("was canceled"), "{closed}");
    let refused = run(&controller, &before, &plan(v1::PassKind::Verify)).await.unwrap_err().to_string();
    assert!(
        refused.contains(&format!("this pass has the source table {HERE}, earlier passes had table replica")),
        "{refused}"
    );
    let listed = v1::ListJobsRequest { migration: KEY.to_owned() };
    let id = controller.jobs().await.list_jobs(listed).await.unwrap().into_inner().jobs.remove(0).id;
    let tune = v1::TuneJobRequest { id, tuning: Some(v1::Tuning::default()), ..Default::default() };
    controller.jobs().await.tune_job(tune).await.unwrap();
    assert!(run(&controller, &after, &full).await.unwrap().clean);
    assert_eq!(target_first(&controller).await, Ok(()));
    let history = v1::ListHistoryRequest { key: KEY.to_owned(), ..Default::default() };
    let events = controller.admin().await.list_history(history).await.unwrap().into_inner().events;
    let told = events.iter().find(|event| event.reason == "db-2 took over").expect("it is in the history");
    let summary = &told.summary;
    assert!(summary.contains("passes work with source table replica, target table target"), "{summary}");
    assert!(summary.contains("earlier passes open no gate any more"), "{summary}");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_everybody_is_at_source_only_the_next_pass_may_have_other_tables_and_no_two_at_once() {
    let (_dir, controller) = started().await;
    let (right, wrong, _) = right_and_wrong();
    let evidence = run(&controller, &wrong, &plan(v1::PassKind::Full)).await.unwrap();
    assert!(evidence.clean && counts(&evidence).scanned == 0, "{evidence:?}");
    let slow = Plan { tuning: v1::Tuning { paused: true, ..Default::default() }, ..plan(v1::PassKind::Full) };
    run_until(&controller, &right, &slow, |job| !job.claims.is_empty()).await;
    let refused = run(&controller, &wrong, &plan(v1::PassKind::Verify)).await.unwrap_err().to_string();
    assert!(refused.contains(&format!("earlier passes had table {HERE}")), "{refused}");
    assert_eq!(running_jobs(&controller).await, 1);
    controller.stop().await;
}
