//! Stores that were restored or put back, where services have tokens.

use std::sync::Arc;

use cutover::{
    server::Error,
    store::{Store, memory::MemoryStore},
};
use cutover_proto::v1::{
    self, Role, admin_service_client::AdminServiceClient, routing_service_client::RoutingServiceClient,
    watch_response::Kind,
};
use tonic::Code;

use super::{channel, create, first_in, watching};
use crate::support::{commit, create as created, key, server::Controller};

/// A store with a migration and two tokens: the admin's, and a service's.
async fn store() -> (Arc<MemoryStore>, String, String) {
    let store = Arc::new(MemoryStore::new("first"));
    store.commit(&commit(None, &key("orders"), &created(), 1)).await.unwrap();
    let root = first_in(store.clone()).await;
    let controller = Controller::start_on(store.clone()).await;
    let shop = create(&controller.url, &root, "shop", &[v1::Role::Sdk], &[]).await;
    controller.stop().await;
    (store, root, shop)
}

async fn watch(
    controller: &Controller,
    token: &str,
    request: v1::WatchRequest,
) -> Result<Vec<Kind>, tonic::Status> {
    let mut routing = RoutingServiceClient::new(channel(&controller.url, token).await);
    let mut stream = routing.watch(request).await?.into_inner();
    let mut first = Vec::new();
    for _ in 0..2 {
        first.extend(stream.message().await?.and_then(|message| message.kind));
    }
    Ok(first)
}

#[tokio::test]
async fn a_number_that_a_service_made_up_begins_no_new_history_and_a_state_that_was_sent_does() {
    let (store, root, shop) = store().await;
    let copy = Arc::new(store.copied());
    let original = Controller::start_on(store.clone()).await;
    let mut admin = AdminServiceClient::new(channel(&original.url, &root).await);
    admin.pause(v1::PauseRequest { key: "orders".to_owned(), ..Default::default() }).await.unwrap();
    let got = watch(&original, &shop, watching("shop-1")).await.unwrap();
    let [Kind::Registered(registered), Kind::Snapshot(snapshot)] = &got[..] else { panic!("{got:?}") };
    assert_eq!(snapshot.revision, 2);
    original.stop().await;

    let put_back = Controller::start_on(copy.clone()).await;
    let claims = |revision: u64, seal: &str| v1::WatchRequest {
        last_revision: revision,
        held_revision: revision,
        history_id: registered.history_id.clone(),
        held_seal: seal.to_owned(),
        ..watching("shop-2")
    };
    let of_1 = watch(&put_back, &shop, watching("shop-3")).await.unwrap();
    let Some(Kind::Snapshot(of_1)) = of_1.last() else { panic!("{of_1:?}") };
    for (token, revision, seal) in [
        (&shop, 2, ""),
        (&shop, 900, snapshot.seal.as_str()),
        (&shop, 2, of_1.seal.as_str()),
        (&root, 2, "x.y"),
    ] {
        let refused = watch(&put_back, token, claims(revision, seal)).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
        assert!(refused.message().contains("can't prove that"), "{refused:?}");
    }
    assert_eq!(copy.snapshot().await.unwrap().history_id, "first", "nobody was put on hold");
    // Who was refused lives, and may write by what it holds.
    let mut admin = AdminServiceClient::new(channel(&put_back.url, &root).await);
    let (reason, lost) = ("a test".to_owned(), true);
    let lost = v1::EvictInstanceRequest { reason, lost, ..Default::default() };
    let refused = admin.evict_instance(lost).await.unwrap_err();
    assert!(refused.message().contains("ago: it claims to hold revision"), "{refused:?}");
    let genuine = watch(&put_back, &shop, claims(2, &snapshot.seal)).await.unwrap_err();
    assert!(genuine.message().contains("starts anew"), "{genuine:?}");
    assert!(matches!(put_back.ended().await, Error::PutBack(_)));
    assert_ne!(copy.snapshot().await.unwrap().history_id, "first");
}

#[tokio::test]
async fn a_confirmation_is_not_blind_to_processes_whose_tokens_are_newer_than_the_backup() {
    let (store, root, _) = store().await;
    let backup = Arc::new(store.restored("second", "a test"));
    let later = Controller::start_on(store.clone()).await;
    let newer = create(&later.url, &root, "newer", &[Role::Sdk], &[]).await;
    let viewer = create(&later.url, &root, "vic", &[Role::Viewer], &[]).await;
    later.stop().await;

    for refused in [newer.as_str(), "", "x", &viewer] {
        let controller = Controller::start_on(Arc::new(backup.copied())).await;
        let confirm = async |refused_ended| {
            let request = v1::ConfirmRestoreRequest {
                mutation: Some(v1::Mutation { reason: "a test".to_owned(), ..Default::default() }),
                key: "orders".to_owned(),
                refused_ended,
                ..Default::default()
            };
            let mut admin = AdminServiceClient::new(channel(&controller.url, &root).await);
            let refused = admin.confirm_restore(request).await.unwrap_err();
            format!("{refused:?}")
        };
        assert!(confirm(false).await.contains("the controller has listened for"), "only that is missing");
        watch(&controller, refused, watching("shop-2")).await.unwrap_err();
        let told = confirm(false).await;
        assert!(
            told.contains("It can't say what it routes by") && told.contains("--refused-ended"),
            "{told}"
        );
        assert!(confirm(true).await.contains("the controller has listened for"));
        controller.stop().await;
    }
}
