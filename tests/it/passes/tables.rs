//! All workers of a pass have the same tables: one with another region or account is refused by name.

use std::sync::atomic::Ordering::SeqCst;

use tonic::Code;

use super::{filled, hooked::Hooked, *};

const HERE: &str = "arn:aws:dynamodb:us-east-1:111122223333:table/Orders";
const THERE: &str = "arn:aws:dynamodb:eu-west-1:111122223333:table/Orders";

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
    let identity =
        |id: &str| Some(v1::StoreIdentity { id: id.to_owned(), place: id.to_owned(), ledger: String::new() });
    let claim = v1::ClaimSegmentRequest {
        id: job.clone(),
        instance_id: "b".to_owned(),
        source: identity(THERE),
        target: None,
    };
    let refused = controller.jobs().await.claim_segment(claim.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let told = format!("worker b scans {THERE}, this pass scans table {HERE}");
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
