//! A store whose files were put back by hand is noticed by what instances hold, however often that is interrupted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
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

mod histories;

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

/// What every process says.
fn process(instance_id: &str) -> v1::WatchRequest {
    v1::WatchRequest {
        instance_id: instance_id.to_owned(),
        service: "orders-api".to_owned(),
        incarnation: 1,
        ..Default::default()
    }
}

/// An instance registers with one revision more than the controller has.
async fn register(controller: &Controller, history_id: &str) -> String {
    let request = v1::WatchRequest { last_revision: 3, history_id: history_id.to_owned(), ..process("a") };
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

/// What a process says that routes a migration as the controller told it.
fn holds(history_id: &str, revision: u64, seal: &str) -> v1::WatchRequest {
    let (rung, reason) = (v1::Rung::TargetOnly.into(), v1::Reason::Rollout.into());
    let route = v1::TableBand { upto_ppm: 1_000_000, rung, reason, ..Default::default() };
    let held = v1::HeldTable {
        migration: "orders".to_owned(),
        salt: "orders".to_owned(),
        bands: vec![route],
        ..Default::default()
    };
    v1::WatchRequest {
        holds_snapshot: true,
        held_revision: revision,
        last_revision: revision,
        writer_slot: Some(2),
        history_id: history_id.to_owned(),
        held_seal: seal.to_owned(),
        held: vec![held],
        version_layout: 1,
        ..process("a")
    }
}

/// The newest state of a controller: its history, its revision and the proof of both.
async fn state_of(controller: &Controller) -> (String, u64, String) {
    // Soon after a restore only those register that have a slot.
    let who = v1::WatchRequest {
        holds_snapshot: true,
        writer_slot: Some(1),
        version_layout: 1,
        ..process("looks")
    };
    let mut stream = controller.routing().await.watch(who).await.unwrap().into_inner();
    let mut history = String::new();
    loop {
        match stream.message().await.unwrap().unwrap().kind.unwrap() {
            v1::watch_response::Kind::Registered(registered) => history = registered.history_id,
            v1::watch_response::Kind::Snapshot(part) if part.last => {
                return (history, part.revision, part.seal);
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_store_that_lacks_a_migration_in_use_does_not_begin_it_anew_by_accident() {
    let controller = Controller::start_on(Arc::new(MemoryStore::new("empty"))).await;
    let create = |confirm: &str| v1::CreateMigrationRequest {
        key: "orders".to_owned(),
        source: "a".to_owned(),
        target: "b".to_owned(),
        confirm: confirm.to_owned(),
        ..Default::default()
    };
    let mut admin = controller.admin().await;
    controller.routing().await.watch(holds("lost", 7, "")).await.expect("it registers");
    let refused = admin.create_migration(create("")).await.expect_err("refused");
    let said = refused.message();
    assert!(
        said.contains(
            "instance a had tenants of a migration orders on hold, at target-first or at target-only"
        ),
        "{said}"
    );
    let unrelated = v1::CreateMigrationRequest { key: "customers".to_owned(), ..create("") };
    admin.create_migration(unrelated).await.expect("nobody routes it");
    admin.create_migration(create("orders")).await.expect("it is meant");
    controller.stop().await;
}
