//! What waits for what on each server, and for how long: other writes, dead connections, slow networks.

use std::time::Duration;

use cutover::{
    domain::{Change, Counts, Deletion, Scale, WindowId},
    store::{CALL, Counted, Error, HeardRecord, InstanceRecord, Upkeep, WindowQuery},
};
use cutover_core::routing::Rung;
use tokio::time::{Instant, sleep};

use super::{
    Place as _,
    schema::{Kind, Schema, on_each_server},
};
use crate::support::{commit, create, describe, key, make, pin};

on_each_server!(
    commits_do_not_wait_for_telemetry_and_a_deletion_leaves_none_of_it,
    what_is_published_does_not_wait_for_what_people_read,
    connections_that_hang_are_replaced,
    calls_end_with_the_term,
    a_large_change_may_take_long_to_arrive,
);

fn counted() -> Counted {
    let id = WindowId { key: key("orders"), scale: Scale::Minute, at: 60 };
    let heard = HeardRecord { instance_id: "a".to_owned(), ..HeardRecord::default() };
    let windows = vec![(id, Counts { revision: 1, ..Counts::default() })];
    Counted { windows, heard: vec![heard], ..Counted::default() }
}

pub fn put(record: &InstanceRecord) -> Upkeep {
    Upkeep { put_instances: vec![record.clone()], ..Upkeep::default() }
}

async fn commits_do_not_wait_for_telemetry_and_a_deletion_leaves_none_of_it(kind: Kind) {
    let Some(schema) = Schema::fresh(kind).await else { return };
    let store = schema.open().await;
    make(&*store, &key("orders"), &create()).await;
    let mut holds = schema.holding("INSERT INTO heard (id, record) VALUES ('a', '{}')").await;
    let counting = tokio::spawn({
        let store = store.clone();
        async move { store.count(&counted()).await }
    });
    sleep(Duration::from_millis(500)).await;
    let deletion = Change::Delete(Deletion::default());
    let state = store.snapshot().await.unwrap();
    let delete = commit(Some(&state.migrations[0]), &key("orders"), &deletion, 3);
    let deleting = tokio::spawn({
        let store = store.clone();
        async move { store.commit(&delete).await }
    });
    let began = Instant::now();
    make(&*store, &key("carts"), &create()).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(!counting.is_finished() && !deleting.is_finished());
    holds.execute("ROLLBACK").await.unwrap();
    counting.await.unwrap().unwrap();
    deleting.await.unwrap().unwrap();
    let query = WindowQuery { key: key("orders"), scale: Scale::Minute, from: 0, before: u64::MAX };
    assert_eq!(store.windows(&query).await.unwrap(), [], "they went with the migration");
}

async fn what_is_published_does_not_wait_for_what_people_read(kind: Kind) {
    let Some(schema) = Schema::fresh(kind).await else { return };
    let store = schema.open().await;
    make(&*store, &key("orders"), &create()).await;
    let blocks = schema.blocking(&["token_events"]).await;
    let reads = futures::future::join_all((0..8).map(|_| store.token_events(u64::MAX, 1)));
    let published = async {
        sleep(Duration::from_millis(500)).await;
        let began = Instant::now();
        assert_eq!(store.changes(0, 10).await.unwrap().len(), 1);
        store.ping().await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        schema.unblock(blocks).await;
    };
    let (read, ()) = tokio::join!(reads, published);
    assert!(read.iter().all(Result::is_ok), "{read:?}");
}

async fn connections_that_hang_are_replaced(kind: Kind) {
    let Some(schema) = Schema::fresh(kind).await else { return };
    let (first, proxy, store) = schema.behind_proxy().await;
    let state = store.snapshot().await.unwrap();
    // Every connection is open.
    let read = futures::future::join_all((0..8).map(|_| store.snapshot())).await;
    assert!(read.iter().all(Result::is_ok));
    store.count(&counted()).await.unwrap();
    let record = InstanceRecord::callers(&key("orders"));
    store.keep(&put(&record)).await.unwrap();
    let change = commit(Some(&state.migrations[0]), &key("orders"), &describe("before"), 2);
    store.commit(&change).await.unwrap();
    // As after a network device forgot them: nobody is told.
    proxy.freeze();
    let began = Instant::now();
    let (telemetry, records) = (counted(), put(&record));
    let (read, counted, kept) = (
        futures::future::join_all((0..8).map(|_| store.snapshot())),
        store.count(&telemetry),
        store.keep(&records),
    );
    let (read, counted, kept, made) = tokio::join!(read, counted, kept, async {
        let state = first.snapshot().await.unwrap();
        store.commit(&commit(Some(&state.migrations[0]), &key("orders"), &describe("after"), 3)).await
    });
    assert!(read.iter().all(Result::is_ok), "{read:?}");
    counted.unwrap();
    kept.unwrap();
    made.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

async fn calls_end_with_the_term(kind: Kind) {
    let Some(schema) = Schema::fresh(kind).await else { return };
    let store = schema.open().await;
    make(&*store, &key("orders"), &create()).await;
    let read = store.snapshot().await.unwrap();
    let blocks = schema.blocking(&["counter", "events"]).await;
    let change = commit(Some(&read.migrations[0]), &key("orders"), &describe("waits"), 2);
    let calls = async { tokio::join!(store.commit(&change), store.changes(0, 10)) };
    let ends = async {
        sleep(Duration::from_secs(1)).await;
        let lease = store.lease().unwrap();
        lease.depose(&lease.term().unwrap());
        Instant::now()
    };
    let ((committed, changes), ended) = tokio::join!(calls, ends);
    assert!(matches!(committed, Err(Error::Unavailable(_))), "{committed:?}");
    assert!(matches!(changes, Err(Error::Unavailable(_))), "{changes:?}");
    assert!(ended.elapsed() < Duration::from_millis(500), "{:?}", ended.elapsed());
    // What is asked in no term ends soon as well.
    let began = Instant::now();
    let refused = store.changes(0, 10).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert!(began.elapsed() < CALL + Duration::from_millis(500), "{:?}", began.elapsed());
    schema.unblock(blocks).await;
}

async fn a_large_change_may_take_long_to_arrive(kind: Kind) {
    let Some(schema) = Schema::fresh(kind).await else { return };
    let (_first, proxy, store) = schema.behind_proxy().await;
    let read = store.snapshot().await.unwrap();
    let tenants = (0..20_000).map(|at| format!("{at:0>200}"));
    let change = commit(Some(&read.migrations[0]), &key("orders"), &pin(tenants, Rung::Dual), 2);
    proxy.slow(2_500);
    let began = Instant::now();
    store.commit(&change).await.unwrap();
    // Longer than an idle transaction may last.
    assert!(began.elapsed() > Duration::from_secs(3), "{:?}", began.elapsed());
}
