//! Processes that hold a state of another copy of the store.

use cutover::domain::{Change, Confirmation};

use super::*;

/// A restored copy, in which a process was told something, and everything was confirmed.
async fn restored(store: &MemoryStore, history_id: &str) -> (Arc<MemoryStore>, (String, u64, String)) {
    let restored = Arc::new(store.restored(history_id, "backup.db"));
    let controller = Controller::start_on(restored.clone()).await;
    let told = state_of(&controller).await;
    controller.stop().await;
    confirm(&restored).await;
    (restored, told)
}

async fn confirm(store: &MemoryStore) {
    for name in ["customers", "orders"] {
        let revision = store.snapshot().await.unwrap().revision + 1;
        let migration = store.migration(&key(name)).unwrap();
        let confirm = Change::ConfirmRestore(Confirmation::default());
        store.commit(&commit(Some(&migration), &key(name), &confirm, revision)).await.unwrap();
    }
}

fn why_held(store: &MemoryStore, name: &str) -> Option<String> {
    store.migration(&key(name)).unwrap().document.restored.clone()
}

#[tokio::test]
async fn a_file_that_a_restore_left_behind_is_noticed() {
    let (first, _) = copied().await;
    let (second, of_second) = restored(&first, "second").await;
    let (third, of_third) = restored(&second, "third").await;
    assert_eq!([&*of_second.0, &*of_third.0], ["second", "third"]);

    // Whoever comes from an earlier history of this store is told the current state, as after any restore.
    let controller = Controller::start_on(third.clone()).await;
    let (_, revision, seal) = &of_second;
    controller.routing().await.watch(holds("second", *revision, seal)).await.expect("an ancestor");
    // Nor does anybody's word count without a proof.
    for seal in [&*of_second.2, ""] {
        controller
            .routing()
            .await
            .watch(holds("fourth", *revision, seal))
            .await
            .expect("another controller's");
    }
    controller.stop().await;

    // Somebody starts the controller with the second file, which is as it was. With a fence that has passed, or from a
    // file, nobody says where tenants are.
    let (_, revision, seal) = &of_third;
    let silent =
        |history_id: &str| v1::WatchRequest { held: Vec::new(), ..holds(history_id, *revision, seal) };
    for noticed in [holds("third", *revision, seal), silent("third"), silent("before third")] {
        let copy = Arc::new(second.copied());
        let controller = Controller::start_on(copy.clone()).await;
        let refused = controller.routing().await.watch(noticed).await.expect_err("noticed");
        assert!(refused.message().contains("starts anew"), "{refused}");
        assert!(matches!(controller.ended().await, Error::PutBack(_)));
    }
    let controller = Controller::start_on(second.clone()).await;
    controller.routing().await.watch(silent("third")).await.expect_err("noticed");
    controller.ended().await;

    let next = Controller::start_on(second.clone()).await;
    serves(&next).await;
    for name in ["customers", "orders"] {
        let document = second.migration(&key(name)).unwrap().document;
        let why = document.restored.as_ref().expect("it is held");
        assert!(why.contains("either a restore left this one behind") && document.put_back, "{why}");
    }
    // It is held already, so the same says nothing new.
    next.routing().await.watch(holds("third", *revision, seal)).await.expect("it registers");
    next.stop().await;

    // Once it is confirmed, whoever comes late is told the state, unless only the target has its writes.
    confirm(&second).await;
    let controller = Controller::start_on(second.clone()).await;
    controller.routing().await.watch(silent("third")).await.expect("it is known by name");
    controller.routing().await.watch(holds("third", *revision, seal)).await.expect_err("noticed");
    assert!(matches!(controller.ended().await, Error::PutBack(_)));
    let next = Controller::start_on(second.clone()).await;
    serves(&next).await;
    let why = why_held(&second, "customers").expect("it is held");
    assert!(why.contains("tenants of orders with writes in the target alone"), "{why}");
    next.stop().await;
}

/// Somebody starts the controller with a file that a restore has left behind, and it is confirmed. The restored store goes on
/// all the same, and the mistake happens again.
#[tokio::test]
async fn a_history_that_went_on_after_it_was_met_is_noticed_again() {
    let (first, _) = copied().await;
    let (second, (_, revision, seal)) = restored(&first, "second").await;
    let silent =
        |revision, seal: &str| v1::WatchRequest { held: Vec::new(), ..holds("second", revision, seal) };
    let controller = Controller::start_on(first.clone()).await;
    controller.routing().await.watch(silent(revision, &seal)).await.expect_err("noticed");
    controller.ended().await;
    let goes_on = Controller::start_on(second.clone()).await;
    let (_, later, of_later) = state_of(&goes_on).await;
    assert!(later > revision);
    goes_on.stop().await;

    // While everything is on hold, whoever comes says how far that one is now.
    for meets in [false, true] {
        let first = Arc::new(first.copied());
        let held = Controller::start_on(first.clone()).await;
        serves(&held).await;
        if meets {
            held.routing().await.watch(silent(later, &of_later)).await.expect("it registers");
        }
        held.stop().await;
        confirm(&first).await;
        let controller = Controller::start_on(first.clone()).await;
        controller.routing().await.watch(silent(revision, &seal)).await.expect("as far as it was");
        let latecomer = controller.routing().await.watch(silent(later, &of_later)).await;
        assert_eq!(latecomer.is_ok(), meets);
        match meets {
            true => controller.stop().await,
            false => assert!(matches!(controller.ended().await, Error::PutBack(_))),
        }
    }
}

/// The store from which another one was restored is in use again afterwards.
#[tokio::test]
async fn an_earlier_history_that_went_on_elsewhere_is_noticed() {
    let (first, _) = copied().await;
    let (second, (_, known, of_known)) = restored(&first, "second").await;
    let (third, _) = restored(&second, "third").await;
    let goes_on = Controller::start_on(second.clone()).await;
    let (_, later, of_later) = state_of(&goes_on).await;
    goes_on.stop().await;
    let further = second.snapshot().await.unwrap().revision + 1;
    let orders = second.migration(&key("orders")).unwrap();
    let pause = Change::Pause;
    second.commit(&commit(Some(&orders), &key("orders"), &pause, further)).await.unwrap();
    let goes_on = Controller::start_on(second.clone()).await;
    let (_, further, of_further) = state_of(&goes_on).await;
    goes_on.stop().await;
    assert!(known < later && later < further);

    let silent =
        |revision, seal: &str| v1::WatchRequest { held: Vec::new(), ..holds("second", revision, seal) };
    for (revision, seal) in [(known, &of_known), (later, &of_later)] {
        let controller = Controller::start_on(third.clone()).await;
        controller.routing().await.watch(silent(revision, seal)).await.expect("the store has been there");
        controller.stop().await;
    }
    let controller = Controller::start_on(third.clone()).await;
    let refused = controller.routing().await.watch(silent(further, &of_further)).await.expect_err("noticed");
    assert!(refused.message().contains("starts anew"), "{refused}");
    assert!(matches!(controller.ended().await, Error::PutBack(_)));
    let held = Controller::start_on(third.clone()).await;
    serves(&held).await;
    held.stop().await;
    let why = why_held(&third, "customers").expect("it is held");
    assert!(why.contains("the other was in use for a while"), "{why}");
}

#[tokio::test]
async fn a_confirm_while_somebody_registers_hides_nothing() {
    let (first, _) = copied().await;
    let (second, (_, revision, seal)) = restored(&first, "second").await;
    let noticed = v1::WatchRequest { held: Vec::new(), ..holds("second", revision, &seal) };
    let controller = Controller::start_on(first.clone()).await;
    controller.routing().await.watch(noticed).await.expect_err("noticed");
    controller.ended().await;
    let goes_on = Controller::start_on(second.clone()).await;
    let (_, later, of_later) = state_of(&goes_on).await;
    goes_on.stop().await;

    // Everything is on hold when it comes, but not any more once the store knows of it.
    let held = Controller::start_on(first.clone()).await;
    serves(&held).await;
    first.fail_by(|call| (call == Call::Keep).then_some(Fault::Slow(Duration::from_secs(3))));
    let mut routing = held.routing().await;
    let registers =
        tokio::spawn(async move { routing.watch(holds("second", later, &of_later)).await.map(drop) });
    confirm(&first).await;
    let refused = registers.await.unwrap().expect_err("noticed");
    assert!(refused.message().contains("starts anew"), "{refused}");
    assert!(matches!(held.ended().await, Error::PutBack(_)));
    let why = first.snapshot().await.unwrap().restored.expect("it will be held");
    assert!(why.contains("tenants of orders with writes in the target alone"), "{why}");
}

/// There is nothing that anybody could confirm.
#[tokio::test]
async fn a_store_without_migrations_meets_nobody() {
    let empty = MemoryStore::new("first");
    let second = Arc::new(empty.restored("second", "backup.db"));
    second.commit(&commit(None, &key("orders"), &create(), 1)).await.unwrap();
    let goes_on = Controller::start_on(second.clone()).await;
    let (history_id, revision, seal) = state_of(&goes_on).await;
    goes_on.stop().await;
    let first = Arc::new(empty);
    let silent = || v1::WatchRequest { held: Vec::new(), ..holds(&history_id, revision, &seal) };
    let controller = Controller::start_on(first.clone()).await;
    controller.routing().await.watch(silent()).await.expect("there is nothing to hold");
    controller.stop().await;
    first.commit(&commit(None, &key("orders"), &create(), 1)).await.unwrap();
    let controller = Controller::start_on(first.clone()).await;
    controller.routing().await.watch(silent()).await.expect_err("noticed");
    assert!(matches!(controller.ended().await, Error::PutBack(_)));
}

#[tokio::test]
async fn a_history_of_which_nothing_was_committed_is_known_all_the_same() {
    let (store, history_id) = copied().await;
    let controller = Controller::start_on(store.clone()).await;
    register(&controller, &history_id).await;
    controller.ended().await;
    let held = Controller::start_on(store.clone()).await;
    let (begun, revision, seal) = state_of(&held).await;
    held.stop().await;
    // Everything is on hold when the next history begins, and the one after that.
    for _ in 0..2 {
        let controller = Controller::start_on(store.clone()).await;
        let (history_id, ..) = state_of(&controller).await;
        let claims = v1::WatchRequest { last_revision: 99, history_id, ..process("a") };
        controller.routing().await.watch(claims).await.expect_err("noticed");
        controller.ended().await;
        let next = Controller::start_on(store.clone()).await;
        serves(&next).await;
        next.stop().await;
    }
    confirm(&store).await;
    let controller = Controller::start_on(store.clone()).await;
    let told = v1::WatchRequest { held: Vec::new(), ..holds(&begun, revision, &seal) };
    controller.routing().await.watch(told).await.expect("it is one of this store's");
    assert_eq!(why_held(&store, "orders"), None);
    controller.stop().await;
}
