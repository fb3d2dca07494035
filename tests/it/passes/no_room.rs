//! A target whose disk becomes full in the middle of a backfill.

use cutover_core::outcome::ErrorClass;
use cutover_store::StoreError;

use super::{filled, hooked::Hooked, *};

/// The error that the adapters of all databases report; how it comes about is in their own stories.
fn full(records: &[(Id, Record)]) -> Option<StoreError> {
    // There is no more space for the last ones.
    records.iter().any(|(id, _)| id.tenant.as_str() > "shop-4").then(|| StoreError::NotApplied {
        class: ErrorClass::Server,
        what: "the disk is full: free space".to_owned(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_waits_for_space_then_says_so_and_goes_on_once_there_is_some() {
    let (_dir, controller) = started().await;
    let world = filled();
    let crammed =
        Stores { target: Arc::new(Hooked { refuses: full, ..Hooked::new(&world.target) }), ..world.stores() };
    let limits = Limits { chunk_bytes: 2_000, patience: Duration::from_secs(4), ..Limits::default() };
    let plan = Plan { limits, ..plan(v1::PassKind::Full) };
    // The next heartbeat shows what workers wait for.
    let waits = async {
        loop {
            let listed = v1::ListJobsRequest { migration: KEY.to_owned() };
            let listed = controller.jobs().await.list_jobs(listed).await.unwrap().into_inner().jobs;
            if let Some(job) = listed.iter().find(|job| format!("{job:?}").contains("the disk is full")) {
                break job.id.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waits = tokio::time::timeout(Duration::from_secs(60), waits);
    let (failed, job) = tokio::join!(run(&controller, &crammed, &plan), waits);
    let job = job.expect("told while it waited");
    let failed = failed.unwrap_err().to_string();
    for part in
        ["the target: nothing was written", "the disk is full: free space", "run it again to continue"]
    {
        assert!(failed.contains(part), "{part}: {failed}");
    }
    let there = world.target.dump();
    assert!(!there.is_empty() && there.len() < RECORDS as usize, "{} of them", there.len());
    assert_eq!(world.quarantine.dump().len(), 0, "no record is at fault");

    // Meanwhile a service writes; then there is space.
    world.source.insert(id(7), record(1_000_000));
    world.target.insert(id(7), record(1_000_000));
    let evidence = run(&controller, &world.stores(), &plan).await.unwrap();
    assert_eq!(evidence.job, job, "gone on with, not begun anew");
    let done = counts(&evidence);
    assert!(evidence.clean && done.scanned == RECORDS, "each once: {evidence:?}");
    assert_eq!(get(&world.target, 7).await, Some(record(1_000_000)), "newer is never overwritten");
    for n in 0..RECORDS {
        assert_eq!(get(&world.target, n).await, get(&world.source, n).await, "{n}");
    }
}
