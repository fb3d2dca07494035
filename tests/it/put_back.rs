//! A store whose files were put back by hand is noticed by what instances hold, however often that is interrupted.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
};

use cutover::{
    server::Error,
    store::{
        Store,
        memory::{Call, Fault, MemoryStore},
    },
};
use cutover_proto::v1;

use crate::support::{commit, create, key, server::Controller};

/// A copy of a store with two migrations, and the history's id. An instance of the original can hold one revision more
/// than the copy has, so that any commit of the copy would hide the difference.
async fn copied() -> (Arc<MemoryStore>, String) {
    let store = MemoryStore::new("first");
    for (at, name) in ["customers", "orders"].into_iter().enumerate() {
        store.commit(&commit(None, &key(name), &create(), at as u64 + 1)).await.unwrap();
    }
    let history_id = store.snapshot().await.unwrap().history_id;
    (Arc::new(store.copied()), history_id)
}

async fn serves(controller: &Controller) {
    controller.admin().await.list_migrations(v1::ListMigrationsRequest::default()).await.unwrap();
}

/// An instance registers with one revision more than the controller has.
async fn register(controller: &Controller, history_id: &str) -> String {
    let request = v1::WatchRequest {
        instance_id: "a".to_owned(),
        service: "orders-api".to_owned(),
        incarnation: 1,
        last_revision: 3,
        history_id: history_id.to_owned(),
        ..Default::default()
    };
    let refused = controller.routing().await.watch(request).await.expect_err("refused");
    refused.message().to_owned()
}

/// The next controller on the store holds both migrations before it serves anybody.
async fn both_are_held(store: Arc<MemoryStore>) {
    let next = Controller::start_on(store.clone()).await;
    serves(&next).await;
    for name in ["customers", "orders"] {
        let document = store.migration(&key(name)).unwrap().document;
        let why = document.restored.as_ref().expect("it is held");
        assert!(why.contains("instance a holds revision 3, this store is at 2"), "{why}");
        assert!(document.put_back, "nobody keeps what the store itself has said");
    }
    let state = store.snapshot().await.unwrap();
    assert!(state.restored.is_none() && !state.put_back, "told once");
    assert_ne!(state.history_id, "first");
    let resting = state.instances.iter().filter(|record| record.is_resting()).count();
    assert_eq!(resting, 1, "the free slots rest, also once it is confirmed");
    next.stop().await;
}

#[tokio::test]
async fn a_failure_of_the_store_hides_nothing() {
    let (store, history_id) = copied().await;
    let is_down = Arc::new(AtomicBool::new(false));
    let fails = is_down.clone();
    store.fail_by(move |_| fails.load(SeqCst).then_some(Fault::Before));
    let controller = Controller::start_on(store.clone()).await;
    serves(&controller).await;
    is_down.store(true, SeqCst);
    let refused = register(&controller, &history_id).await;
    assert!(!refused.contains("starts anew"), "{refused}");
    is_down.store(false, SeqCst);
    let state = store.snapshot().await.unwrap();
    assert_eq!(state.revision, 2, "no commit brings the store to where the instance is");
    let refused = register(&controller, &history_id).await;
    assert!(refused.contains("starts anew"), "{refused}");
    assert!(matches!(controller.ended().await, Error::PutBack(_)));
    both_are_held(store).await;
}

#[tokio::test]
async fn a_lost_answer_of_the_store_hides_nothing() {
    let (store, history_id) = copied().await;
    let controller = Controller::start_on(store.clone()).await;
    store.fail_by(|call| (call == Call::Keep).then_some(Fault::After));
    let refused = register(&controller, &history_id).await;
    assert!(refused.contains("starts anew"), "{refused}");
    assert!(matches!(controller.ended().await, Error::PutBack(_)));
    store.fail_by(|_| None);
    both_are_held(store).await;
}

#[tokio::test]
async fn a_restart_in_between_hides_nothing() {
    let (store, history_id) = copied().await;
    let controller = Controller::start_on(store.clone()).await;
    register(&controller, &history_id).await;
    controller.ended().await;
    // The next process dies with one of the two held.
    let commits = AtomicU32::new(0);
    store.fail_by(move |call| {
        (call == Call::Commit && commits.fetch_add(1, SeqCst) == 1).then_some(Fault::Before)
    });
    let next = Controller::start_on(store.clone()).await;
    assert!(matches!(next.ended().await, Error::Restored(_)));
    store.fail_by(|_| None);
    both_are_held(store).await;
}
