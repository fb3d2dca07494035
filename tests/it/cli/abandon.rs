//! The way out after a rollback, as somebody finds it who tries to delete first.

use tempfile::TempDir;

use super::at;
use crate::support::server::Controller;

#[tokio::test(flavor = "multi_thread")]
async fn delete_leads_to_abandon_and_abandon_to_delete() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    at(url, "ramp orders --dual 100").await.done();
    at(url, "delete orders").await.refused(&["services still ask for it", "cutover abandon orders --reason"]);
    at(url, "abandon orders --reason slow").await.refused(&["not everybody is at source-only", "--dual 0"]);
    at(url, "rollback orders --reason slow").await.done();
    at(url, "abandon orders").await.misused(&["--reason"]);
    let service = controller.sdk("one").await;
    let dry = at(url, "abandon orders --reason slow --dry-run").await;
    // It may not have acknowledged yet; then it is named.
    assert!(dry.code == 0 || dry.err.contains("one"), "{dry:?}");
    at(url, "ack orders --reason seen").await.done();
    assert_eq!(at(url, "wait orders --timeout 20").await.code, 0);
    let told = at(url, "abandon orders --reason slow").await.done();
    assert!(told.contains("abandoned: everybody stays at source-only"), "{told}");
    assert!(told.contains("the target (mysql) keeps what it has"), "{told}");
    assert!(at(url, "status orders").await.done().starts_with("orders is abandoned: "));
    assert_eq!(at(url, "show orders --json").await.object()["state"], "abandoned");
    at(url, "ramp orders --dual 1").await.refused(&["abandoned", "cutover delete orders"]);
    at(url, "abandon orders --reason again").await.refused(&["abandoned"]);
    assert!(at(url, "history orders --limit 1").await.done().contains("because slow"));
    drop(service);
    assert_eq!(at(url, "delete orders").await.done(), "deleted migration orders\n");
    controller.stop().await;
}
