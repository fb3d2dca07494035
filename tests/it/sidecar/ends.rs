//! Operations whose store calls the caller makes: who waits for them, and how they end.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::time::sleep;

use super::client::{Place, is_ready, until};

#[tokio::test]
async fn a_step_waits_for_an_operation_until_it_is_ended() {
    let place = Place::new(1_000).await;
    let sidecar = place.sidecar(&[]).await;
    let begun = sidecar.begin_write().await;
    assert_eq!((&begun["rung"], &begun["finish_within_ms"]), (&json!("RUNG_SOURCE_ONLY"), &json!(10_000)));
    let version: u64 = begun["version"].as_str().unwrap().parse().unwrap();
    let above = sidecar.ok("Stamp", &json!({ "id": begun["id"], "above": version + 1_000_000 })).await;
    assert!(above["version"].as_str().unwrap().parse::<u64>().unwrap() > version + 1_000_000, "{above}");

    place.ask(1_000_000, 1_000_000).await;
    sleep(Duration::from_secs(1)).await;
    assert!(!place.is_mirrored().await, "an operation from before dual is in flight");
    let calls = json!([
        { "store": "STORE_ROLE_SOURCE", "operation": "OPERATION_WRITE", "latency_us": 900 },
    ]);
    let end = json!({ "id": begun["id"], "outcome": "OPERATION_OUTCOME_DONE", "calls": calls });
    let ended = sidecar.ok("End", &end).await;
    assert_eq!((&ended["outcome"], &ended["why"]), (&json!("OPERATION_OUTCOME_DONE"), &json!("")));
    place.until_mirrored().await;
    let again = sidecar.ok("End", &end).await;
    assert_eq!(again["outcome"], "OPERATION_OUTCOME_INDETERMINATE", "it was ended: {again}");

    let read = sidecar.ok("Begin", &json!({ "tenant": "acme", "operation": "OPERATION_READ" })).await;
    assert_eq!((&read["rung"], &read["version"]), (&json!("RUNG_MIRRORED"), &json!(0)));
    let (status, refused) = sidecar.json("Stamp", &json!({ "id": read["id"] })).await;
    assert_eq!(status, 400, "{refused}");
    assert_eq!(sidecar.end(&read).await, "OPERATION_OUTCOME_DONE");
    sidecar.stop().await;
    place.controller.stop().await;
}

#[tokio::test]
async fn a_caller_that_dies_delays_a_step_until_its_deadline_and_residual_time() {
    let place = Place::new(2_000).await;
    let sidecar = place.sidecar(&[]).await;
    let began = Instant::now();
    let (lost, late) = (sidecar.begin_write().await, sidecar.begin_write().await);
    place.ask(1_000_000, 1_000_000).await;
    until("it is overdue", || async { sidecar.ok("GetSidecar", &json!({})).await["overdue"] == 2 }).await;
    assert!(began.elapsed() >= Duration::from_secs(10), "{:?}", began.elapsed());
    let (status, refused) = sidecar.json("Stamp", &json!({ "id": late["id"] })).await;
    assert_eq!(status, 400, "no version after the deadline: {refused}");
    let ended = sidecar.ok("End", &json!({ "id": late["id"], "outcome": "OPERATION_OUTCOME_DONE" })).await;
    assert_eq!(ended["outcome"], "OPERATION_OUTCOME_INDETERMINATE", "{ended}");
    assert!(ended["why"].as_str().unwrap().contains("deadline"), "{ended}");
    assert!(!place.is_mirrored().await, "a put that was sent in time may still land");

    place.until_mirrored().await;
    assert!(began.elapsed() >= Duration::from_secs(12), "{:?}", began.elapsed());
    let state = sidecar.ok("GetSidecar", &json!({})).await;
    assert_eq!((&state["operations"], &state["abandoned"]), (&json!(0), &json!(1)), "{state}");
    assert_eq!(sidecar.end(&lost).await, "OPERATION_OUTCOME_INDETERMINATE");
    sidecar.stop().await;
    place.controller.stop().await;
}

#[tokio::test]
async fn a_fence_shortens_the_deadline() {
    let place = Place::new(1_000).await;
    let policy = cutover_proto::v1::UpdateMigrationRequest {
        key: "orders".to_owned(),
        policy: Some(cutover_proto::v1::Policy { fence_after_ms: 4_000, ..Default::default() }),
        mutation: Some(cutover_proto::v1::Mutation { reason: "a test".to_owned(), ..Default::default() }),
        ..Default::default()
    };
    place.controller.admin().await.update_migration(policy).await.unwrap();
    let sidecar = place.sidecar(&[]).await;
    let begun = sidecar.begin_write().await;
    let within_ms = begun["finish_within_ms"].as_u64().unwrap();
    assert!((1..=4_000).contains(&within_ms), "{begun}");
    assert_eq!(sidecar.end(&begun).await, "OPERATION_OUTCOME_DONE");

    // Frozen for longer than the fence, it acknowledges nothing that was begun before.
    let begun = sidecar.begin_write().await;
    sidecar.signal(Signal::SIGSTOP);
    sleep(Duration::from_millis(4_500)).await;
    sidecar.signal(Signal::SIGCONT);
    assert_eq!(sidecar.end(&begun).await, "OPERATION_OUTCOME_INDETERMINATE");
    sidecar.stop().await;
    place.controller.stop().await;
}

#[tokio::test]
async fn stopping_waits_for_operations_in_flight() {
    let place = Place::new(1_000).await;
    let sidecar = place.sidecar(&[]).await;
    let begun = sidecar.begin_write().await;
    sidecar.signal(Signal::SIGTERM);
    until("it is not ready", || async { !is_ready(&sidecar.socket).await }).await;
    let (status, refused) = sidecar.json("Get", &json!({ "tenant": "acme", "key": "a" })).await;
    assert_eq!((status, &refused["reason"]), (503, &json!("NOT_APPLIED")), "{refused}");
    assert_eq!(sidecar.end(&begun).await, "OPERATION_OUTCOME_DONE");
    assert_eq!(sidecar.ended().await, Some(0));
    let instances = place.controller.admin().await;
    let instances = { instances }
        .list_instances(cutover_proto::v1::ListInstancesRequest::default())
        .await
        .unwrap()
        .into_inner()
        .instances;
    assert!(instances.is_empty(), "it has said goodbye: {instances:?}");
    place.controller.stop().await;
}
