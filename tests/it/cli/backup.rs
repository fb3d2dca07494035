//! A backup of a running controller, and what a restored one does before it is confirmed.

use cutover_proto::v1;
use tempfile::TempDir;

use super::{at, ramp, run};
use crate::support::server::Controller;

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_store_moves_nobody_until_somebody_has_looked() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    ramp(url, "--mirrored").await;
    let file = dir.path().join("backup.db");
    let backup = format!("backup {}", file.display());
    assert!(at(url, &backup).await.done().contains("backup.db"));
    at(url, &backup).await.fails(&["backup.db exists", "another name"]);
    at(url, "pause orders").await.done();

    let elsewhere = TempDir::new().unwrap();
    let store = format!("sqlite:{}", elsewhere.path().join("cutover.db").display());
    let there = format!("sqlite:{}", dir.path().join("cutover.db").display());
    let file = file.display().to_string();
    run(["restore", &file, "--store", &there]).await.fails(&["in use by another controller"]);
    let restored = run(["restore", &file, "--store", &store]).await.done();
    assert!(restored.contains("cutover confirm"), "{restored}");
    run(["restore", &file, "--store", &store]).await.fails(&["exists", "mv "]);
    controller.stop().await;

    let restored = Controller::start(elsewhere.path(), 0).await;
    let url = restored.url.as_str();
    let status = at(url, "ramp orders --dual 0 --wait --timeout 200ms").await;
    assert_eq!(status.code, 3, "not even down: {status:?}");
    assert!(status.err.contains("[restored]") && status.err.contains("cutover confirm orders"), "{status:?}");
    at(url, "confirm orders --target-only 10").await.fails(&["--reason"]);
    at(url, "confirm orders --target-only 10 --reason log").await.done();
    let tenth = at(url, "decide orders tenant-1 --json").await.object();
    let shown = at(url, "show orders --json").await.object();
    assert_eq!(shown["rollout"]["target_first_ppm"], 100_000, "what may be in the target alone: {shown}");
    assert_ne!(tenth["rung"], "target-only");
    let history = at(url, "history orders --export").await.objects();
    let changes: Vec<_> = history.iter().map(|event| event["change"].as_str().unwrap().to_owned()).collect();
    assert_eq!(changes[0], "create", "oldest first");
    assert!(
        changes.contains(&"restored".to_owned()) && changes.contains(&"confirm".to_owned()),
        "{changes:?}"
    );
    at(url, "confirm orders --target-only 0 --reason log").await.fails(&["nothing to confirm"]);
    restored.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_from_the_future_holds_every_migration() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    let watch = |last_revision, history_id: String| v1::WatchRequest {
        instance_id: "a".to_owned(),
        service: "orders-api".to_owned(),
        last_revision,
        history_id,
        ..Default::default()
    };
    let mut routing = controller.routing().await;
    let mut first = routing.watch(watch(0, String::new())).await.unwrap().into_inner();
    let Some(v1::watch_response::Kind::Registered(registered)) = first.message().await.unwrap().unwrap().kind
    else {
        panic!("it is registered first");
    };
    drop(routing.watch(watch(40, "of another store".to_owned())).await.unwrap());
    assert_eq!(at(url, "history orders --export").await.objects().len(), 1, "another history is no future");
    drop(routing.watch(watch(40, registered.history_id)).await.unwrap());
    let history = at(url, "history orders").await.done();
    assert!(
        history.contains("instance a holds revision 40, this store is at 1: was it restored?"),
        "{history}"
    );
    controller.stop().await;
}
