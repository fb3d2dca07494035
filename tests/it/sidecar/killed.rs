//! A sidecar is killed while a caller has an operation in flight.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::time::sleep;

use super::client::{Place, is_ready, until};

#[tokio::test]
async fn a_sidecar_that_was_killed_is_succeeded_when_its_callers_operations_have_ended() {
    let place = Place::new(1_000).await;
    let flags = ["--persist", "orders.snapshot"];
    let sidecar = place.sidecar(&flags).await;
    let begun = sidecar.begin_write().await;
    let beside = place.refused(&["--socket", "other.sock", "--persist", "orders.snapshot"]).await;
    let said = String::from_utf8_lossy(&beside.stderr).into_owned();
    assert!(
        said.contains("another sidecar keeps its snapshot in orders.snapshot"),
        "it can't wait yet: {said}"
    );
    sidecar.signal(Signal::SIGKILL);
    assert_eq!(sidecar.ended().await, None);
    let died = Instant::now();
    place.ask(1_000_000, 1_000_000).await;

    // It takes over the socket at once, but is no instance before the caller's deadline.
    let next = place.starting(&flags);
    until("it answers", || async { next.socket.exists() && !is_ready(&next.socket).await }).await;
    sleep(Duration::from_secs(2)).await;
    assert!(!place.is_mirrored().await, "the caller may still write by the rung it was told");
    let end = json!({ "id": begun["id"], "outcome": "OPERATION_OUTCOME_DONE" });
    let ended = next.ok("End", &end).await;
    assert_eq!(
        ended["outcome"], "OPERATION_OUTCOME_INDETERMINATE",
        "the write may have taken effect: {ended}"
    );
    next.until_ready().await;
    assert!(died.elapsed() >= Duration::from_secs(10), "{:?}", died.elapsed());
    place.until_mirrored().await;

    let ended = next.ok("End", &end).await;
    assert_eq!(ended["outcome"], "OPERATION_OUTCOME_INDETERMINATE", "{ended}");
    assert!(ended["why"].as_str().unwrap().contains("started again"), "{ended}");
    let (status, refused) = next.json("Stamp", &json!({ "id": begun["id"] })).await;
    assert_eq!(status, 404, "{refused}");
    next.stop().await;

    // After a clean end nobody has to wait.
    let began = Instant::now();
    let last = place.sidecar(&flags).await;
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    last.stop().await;
    place.controller.stop().await;
}

#[tokio::test]
async fn one_that_was_killed_and_is_not_succeeded_blocks_a_step() {
    let place = Place::new(1_000).await;
    let sidecar = place.sidecar(&[]).await;
    sidecar.begin_write().await;
    sidecar.signal(Signal::SIGKILL);
    assert_eq!(sidecar.ended().await, None);
    let next = place.sidecar(&[]).await;
    place.ask(1_000_000, 1_000_000).await;
    sleep(Duration::from_secs(2)).await;
    assert!(!place.is_mirrored().await, "the first one is lost, and nobody has said that it is dead");
    next.stop().await;
    place.controller.stop().await;
}
