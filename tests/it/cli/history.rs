//! `cutover history` finds a change as the API and the console do.

use std::sync::Arc;

use cutover::{
    store::{Store as _, memory::MemoryStore},
    telemetry::now_ms,
};
use cutover_proto::v1;
use serde_json::json;
use tempfile::TempDir;

use super::at;
use crate::support::{commit, create, describe, key, server::Controller};

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_found_by_text_actor_kind_and_revision_however_old() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    at(url, "pin orders Acme dual --reason INC-7 --actor operator:bob").await.done();
    for _ in 0..3 {
        at(url, "pause orders --reason lunch").await.done();
        at(url, "resume orders").await.done();
    }
    let found = async |flags: &str| {
        let found = at(url, &format!("history orders --json {flags}")).await.objects();
        found.iter().map(|event| event["change"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for flags in
        ["--find acme", "--find inc-7", "--by operator:bob", "--change pin", "--by operator:bob --find r2"]
    {
        assert_eq!(found(flags).await, ["pin"], "{flags}");
    }
    assert_eq!(found("--change pause --limit 2").await, ["pause"; 2]);
    assert_eq!(found("--before 3").await, ["pin", "create"]);
    assert_eq!(found("--find acme --by operator:ada").await, [""; 0]);
    let exported = at(url, "history --export --change pause").await.objects();
    assert_eq!((exported.len(), &exported[0]["reason"]), (3, &json!("lunch")));
    let none = at(url, "history orders --find nothing-like-it").await.done();
    assert_eq!(none, "no change matches: cutover history shows all\n");
    controller.stop().await;
}

/// One answer of the controller searches a bounded part of the history: the command asks on.
#[tokio::test(flavor = "multi_thread")]
async fn a_search_goes_through_a_history_of_any_length() {
    let store = Arc::new(MemoryStore::default());
    let mut created = commit(None, &key("orders"), &create(), 1);
    created.event.at_ms = now_ms();
    store.commit(&created).await.unwrap();
    for revision in 2..=5_100 {
        let orders = store.migration(&key("orders")).unwrap();
        let mut described = commit(Some(&orders), &key("orders"), &describe(revision.to_string()), revision);
        // Young enough to be kept.
        described.event.at_ms = now_ms();
        store.commit(&described).await.unwrap();
    }
    let controller = Controller::start_on(store).await;
    let request = v1::ListHistoryRequest { change: "create".to_owned(), ..Default::default() };
    let first = controller.admin().await.list_history(request).await.unwrap().into_inner();
    assert!(first.events.is_empty() && first.next > 0, "{first:?}");
    let found = at(&controller.url, "history orders --change create --json").await.objects();
    assert_eq!(found.len(), 1, "{found:?}");
    controller.stop().await;
}
