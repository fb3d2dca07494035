//! The promises of every store. A backend runs the suite by naming a [`Place`].

pub mod chain;
mod compaction;
#[cfg(all(feature = "dynamodb", feature = "mysql", feature = "postgres"))]
mod dynamodb;
#[cfg(all(feature = "dynamodb", feature = "mysql", feature = "postgres"))]
mod failover;
mod lease;
mod memory;
#[cfg(all(feature = "dynamodb", feature = "mysql", feature = "postgres"))]
mod mysql;
#[cfg(all(feature = "dynamodb", feature = "mysql", feature = "postgres"))]
mod postgres;
#[cfg(all(feature = "dynamodb", feature = "mysql", feature = "postgres"))]
pub mod proxy;
#[cfg(all(feature = "dynamodb", feature = "mysql", feature = "postgres"))]
pub mod schema;
#[cfg(all(feature = "dynamodb", feature = "mysql", feature = "postgres"))]
mod servers;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(all(feature = "dynamodb", feature = "mysql", feature = "postgres"))]
pub mod table;
#[cfg(all(feature = "dynamodb", feature = "mysql", feature = "postgres"))]
mod waits;
mod windows;

use std::sync::Arc;

use async_trait::async_trait;
use cutover::{
    domain::{Change, Deletion, Event},
    store::{CursorRecord, Error, HistoryQuery, InstanceRecord, PassRecord, SegmentRecord, Store, Upkeep},
};
use cutover_core::routing::Rung;
use tokio::sync::Barrier;

use crate::support::{commit, create, describe, key, make, pin, plain, replay, tenant};

/// A place that is empty at first, and can be opened repeatedly, also several times at once.
#[async_trait]
pub trait Place: Send + Sync {
    async fn open(&self) -> Arc<dyn Store>;
}

/// One test for each promise. `None`: the server is left out.
macro_rules! suite {
    ($fresh:expr) => {
        $crate::store::suite!($fresh;
            an_empty_store_is_at_revision_0, what_is_created_is_read_back, a_change_needs_the_revision_it_was_made_from,
            a_revision_is_claimed_once, five_writers_race_and_one_wins_each_round, changes_come_in_pages,
            history_is_found_by_key_and_request, a_request_is_made_once, instances_and_passes_are_kept,
            a_deleted_migration_is_gone_with_its_rows, ten_thousand_rows_in_one_commit,
            replaying_all_events_gives_the_live_state, reopened_it_is_the_same,
            a_snapshot_is_of_one_revision, counts_are_added_to_what_is_kept,
            who_was_heard_is_kept_with_the_counts, windows_are_bounded_and_go_with_their_migration,
            old_events_are_dropped_and_the_rest_is_as_before, what_an_endpoint_was_not_told_is_kept,
            a_clock_that_was_wrong_leaves_no_hole, events_are_chained_through_drops_and_new_histories);
    };
    ($fresh:expr; $($story:ident),*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $story() {
            if let Some(place) = $fresh {
                $crate::store::$story(&place).await;
            }
        }
    )*};
}
pub use chain::events_are_chained_through_drops_and_new_histories;
pub use compaction::{
    a_clock_that_was_wrong_leaves_no_hole, old_events_are_dropped_and_the_rest_is_as_before,
    what_an_endpoint_was_not_told_is_kept,
};
pub(crate) use suite;
pub use windows::{
    counts_are_added_to_what_is_kept, who_was_heard_is_kept_with_the_counts,
    windows_are_bounded_and_go_with_their_migration,
};

async fn all_changes(store: &dyn Store) -> Vec<Event> {
    store.changes(0, u32::MAX).await.unwrap()
}

pub async fn an_empty_store_is_at_revision_0(place: &impl Place) {
    let store = place.open().await;
    store.ping().await.unwrap();
    let state = store.snapshot().await.unwrap();
    assert_eq!(state.revision, 0);
    assert!(!state.history_id.is_empty());
    assert!(state.migrations.is_empty() && state.instances.is_empty());
    assert!(all_changes(&*store).await.is_empty());
    assert!(store.history(&HistoryQuery { limit: 10, ..Default::default() }).await.unwrap().is_empty());
}

pub async fn what_is_created_is_read_back(place: &impl Place) {
    let store = place.open().await;
    let created = make(&*store, &key("orders"), &create()).await;
    let odd = ["acme", "\u{1f980} \"quoted\" \\ 'it''s'", "%_[]{}", "null", "1"];
    let pinned = make(&*store, &key("orders"), &pin(odd.map(String::from), Rung::Mirrored)).await;
    let state = store.snapshot().await.unwrap();
    assert_eq!(state.revision, 2);
    let [migration] = &state.migrations[..] else { panic!("one migration") };
    assert_eq!(migration.revision, 2);
    assert_eq!(Some(&*migration.document), pinned.document.as_ref());
    assert_eq!(migration.tenants.len(), odd.len());
    for name in odd {
        assert_eq!(migration.tenants[&tenant(name)].pin, Some(Rung::Mirrored));
    }
    assert_eq!(all_changes(&*store).await, [created, pinned]);
}

pub async fn a_change_needs_the_revision_it_was_made_from(place: &impl Place) {
    let store = place.open().await;
    let orders = key("orders");
    let twice = commit(None, &orders, &create(), 2);
    make(&*store, &orders, &create()).await;
    assert!(matches!(store.commit(&twice).await, Err(Error::Conflict)), "created twice");

    let read = store.snapshot().await.unwrap().migrations[0].clone();
    make(&*store, &orders, &describe("somebody else's")).await;
    let late = commit(Some(&read), &orders, &describe("mine"), 3);
    assert!(matches!(store.commit(&late).await, Err(Error::Conflict)), "made from an old revision");
    let late = commit(Some(&read), &orders, &Change::Delete(Deletion::default()), 3);
    assert!(matches!(store.commit(&late).await, Err(Error::Conflict)), "deleted from an old revision");
    let mut stranger = commit(Some(&read), &orders, &describe("mine"), 3);
    stranger.event.key = key("customers");
    assert!(matches!(store.commit(&stranger).await, Err(Error::Conflict)), "there is no such migration");

    let state = store.snapshot().await.unwrap();
    assert_eq!((state.revision, state.migrations.len()), (2, 1));
    assert_eq!(state.migrations[0].document.description, "somebody else's");
    assert_eq!(all_changes(&*store).await.len(), 2);
}

pub async fn a_revision_is_claimed_once(place: &impl Place) {
    let store = place.open().await;
    make(&*store, &key("orders"), &create()).await;
    for revision in [0, 1, 3, u64::MAX] {
        let other = commit(None, &key("customers"), &create(), revision);
        assert!(matches!(store.commit(&other).await, Err(Error::Conflict)), "revision {revision}");
    }
    store.commit(&commit(None, &key("customers"), &create(), 2)).await.unwrap();
    assert_eq!(store.snapshot().await.unwrap().revision, 2);
}

pub async fn five_writers_race_and_one_wins_each_round(place: &impl Place) {
    const WRITERS: usize = 5;
    const ROUNDS: usize = 20;
    let first = place.open().await;
    let orders = key("orders");
    make(&*first, &orders, &create()).await;

    let barrier = Arc::new(Barrier::new(WRITERS));
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        // Two share a store object; the others have their own, as other processes do.
        let store = if writer < 2 { first.clone() } else { place.open().await };
        let (barrier, orders) = (barrier.clone(), orders.clone());
        writers.push(tokio::spawn(async move {
            let mut won = Vec::new();
            for round in 0..ROUNDS {
                let state = store.snapshot().await.unwrap();
                let change = describe(format!("round {round}, writer {writer}"));
                let mine = commit(Some(&state.migrations[0]), &orders, &change, state.revision + 1);
                barrier.wait().await;
                match store.commit(&mine).await {
                    Ok(()) => won.push(round),
                    Err(Error::Conflict) => {}
                    Err(error) => panic!("{error}"),
                }
                barrier.wait().await;
            }
            won
        }));
    }
    let mut won = Vec::new();
    for writer in writers {
        won.extend(writer.await.unwrap());
    }
    won.sort_unstable();
    assert_eq!(won, (0..ROUNDS).collect::<Vec<_>>(), "one winner each round");

    let events = all_changes(&*first).await;
    let revisions: Vec<_> = events.iter().map(|event| event.revision).collect();
    assert_eq!(revisions, (1..=ROUNDS as u64 + 1).collect::<Vec<_>>(), "no holes");
    assert_eq!(replay(&events), plain(&first.snapshot().await.unwrap().migrations));
}

pub async fn changes_come_in_pages(place: &impl Place) {
    let store = place.open().await;
    make(&*store, &key("orders"), &create()).await;
    for n in 2..=7 {
        make(&*store, &key("orders"), &describe(format!("change {n}"))).await;
    }
    let mut since = 0;
    let mut pages = Vec::new();
    loop {
        let page = store.changes(since, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        since = last.revision;
        pages.push(page.len());
    }
    assert_eq!((pages, since), (vec![3, 3, 1], 7));
    assert!(store.changes(100, 3).await.unwrap().is_empty());
    assert!(store.changes(u64::MAX, 3).await.unwrap().is_empty());
}

pub async fn history_is_found_by_key_and_request(place: &impl Place) {
    let store = place.open().await;
    let (orders, customers) = (key("orders"), key("customers"));
    make(&*store, &orders, &create()).await;
    make(&*store, &customers, &create()).await;
    let read = store.snapshot().await.unwrap();
    let read = read.migrations.iter().find(|m| *m.key() == orders).unwrap();
    let mut asked = commit(Some(read), &orders, &pin(["acme".to_owned()], Rung::Dual), 3);
    asked.event.request_id = "r-1".to_owned();
    store.commit(&asked).await.unwrap();
    make(&*store, &orders, &describe("later")).await;

    let found = async |query: HistoryQuery| -> Vec<u64> {
        let events = store.history(&query).await.unwrap();
        assert!(events.iter().all(|event| event.rows.is_empty()), "history is without rows");
        events.iter().map(|event| event.revision).collect()
    };
    let all = || HistoryQuery { limit: 100, ..Default::default() };
    assert_eq!(found(all()).await, [4, 3, 2, 1]);
    assert_eq!(found(HistoryQuery { key: Some(orders.clone()), ..all() }).await, [4, 3, 1]);
    assert_eq!(found(HistoryQuery { key: Some(orders), before: Some(4), limit: 1, ..all() }).await, [3]);
    assert_eq!(found(HistoryQuery { before: Some(1), ..all() }).await, [0_u64; 0]);
    assert_eq!(found(HistoryQuery { request_id: Some("r-1".into()), ..all() }).await, [3]);
    let both = HistoryQuery { request_id: Some("r-1".into()), key: Some(customers), ..all() };
    assert_eq!(found(both).await, [0_u64; 0]);
    assert_eq!(found(HistoryQuery { request_id: Some("r-2".into()), ..all() }).await, [0_u64; 0]);
    assert_eq!(found(HistoryQuery { request_id: Some(String::new()), ..all() }).await, [0_u64; 0]);
    assert_eq!(found(HistoryQuery { limit: 0, ..all() }).await, [0_u64; 0]);
}

pub async fn a_request_is_made_once(place: &impl Place) {
    let store = place.open().await;
    let mut asked = commit(None, &key("orders"), &create(), 1);
    asked.event.request_id = "r-1".to_owned();
    store.commit(&asked).await.unwrap();
    let mut again = commit(None, &key("customers"), &create(), 2);
    again.event.request_id = "r-1".to_owned();
    assert!(matches!(store.commit(&again).await, Err(Error::Conflict)), "find the first answer instead");
    again.event.request_id = "r-2".to_owned();
    store.commit(&again).await.unwrap();
    assert_eq!(store.snapshot().await.unwrap().revision, 2);
}

pub async fn instances_and_passes_are_kept(place: &impl Place) {
    let store = place.open().await;
    let instance = |id: &str, writer_slot| InstanceRecord {
        instance_id: id.to_owned(),
        service: "orders-api".to_owned(),
        sdk: "rust/0.1".to_owned(),
        writer_slot,
        ..InstanceRecord::default()
    };
    let (a, b, c) = (instance("a", 0), instance("b", 1), instance("c", 16_383));
    let put = |instances: &[&InstanceRecord], remove: &[&str]| Upkeep {
        put_instances: instances.iter().map(|record| (*record).clone()).collect(),
        remove_instances: remove.iter().map(|id| (*id).to_owned()).collect(),
        ..Upkeep::default()
    };
    store.keep(&put(&[&b, &a], &[])).await.unwrap();
    let b = InstanceRecord { worker: true, ..b };
    store.keep(&put(&[&c, &b], &["a", "never seen"])).await.unwrap();
    // Processes of one id are several instances.
    let twin = InstanceRecord { incarnation: 7, ..instance("b", 2) };
    store.keep(&put(&[&twin], &[])).await.unwrap();
    assert_eq!(store.snapshot().await.unwrap().instances.len(), 3);
    store.keep(&put(&[], &[&twin.label()])).await.unwrap();
    let remove_instances = (0..=16_383).map(cutover::store::resting_slot).collect(); // All may rest at once.
    store.keep(&Upkeep { remove_instances, ..Upkeep::default() }).await.unwrap();
    store.keep(&Upkeep::default()).await.unwrap();
    let pass = |id: &str, cursor: &[u8]| PassRecord {
        id: id.to_owned(),
        segments: vec![SegmentRecord { cursor: cursor.to_vec(), done: true, ..Default::default() }],
        ..Default::default()
    };
    let put_passes = vec![pass("orders/a", b"1"), pass("orders/b", b"")];
    store.keep(&Upkeep { put_passes, ..Upkeep::default() }).await.unwrap();
    let on = pass("orders/a", &[0, 255]);
    let put_passes = vec![on.clone()];
    let remove_passes = vec!["orders/b".to_owned()];
    store.keep(&Upkeep { put_passes, remove_passes, ..Upkeep::default() }).await.unwrap();
    let cursor = |endpoint: &str, revision| CursorRecord { endpoint: endpoint.to_owned(), revision };
    let put_cursors = vec![cursor("ops", 7), cursor("old", 1)];
    store.keep(&Upkeep { put_cursors, ..Upkeep::default() }).await.unwrap();
    let put_cursors = vec![cursor("ops", u64::MAX)];
    let remove_cursors = vec!["old".to_owned()];
    store.keep(&Upkeep { put_cursors, remove_cursors, ..Upkeep::default() }).await.unwrap();
    let state = place.open().await.snapshot().await.unwrap();
    assert_eq!((state.instances, state.passes), (vec![b, c], vec![on]));
    assert_eq!(state.cursors, vec![cursor("ops", u64::MAX)]);
    for (shown, kept) in [(7_000, 7_000), (6_000, 7_000), (9_000, 9_000)] {
        store.keep(&Upkeep { steady_ms: Some(shown), ..Upkeep::default() }).await.unwrap();
        assert_eq!(place.open().await.snapshot().await.unwrap().steady_ms, kept);
    }
    assert_eq!(store.snapshot().await.unwrap().revision, 0, "they are no change of a migration");
}

pub async fn a_deleted_migration_is_gone_with_its_rows(place: &impl Place) {
    let store = place.open().await;
    let orders = key("orders");
    // Pinned to where it stands: a row, and a migration that never started.
    make(&*store, &orders, &create()).await;
    make(&*store, &orders, &pin(["acme".to_owned()], Rung::SourceOnly)).await;
    make(&*store, &key("customers"), &create()).await;
    assert_eq!(store.snapshot().await.unwrap().migrations.len(), 2);
    let deleted = make(&*store, &orders, &Change::Delete(Deletion::default())).await;
    assert_eq!(deleted.document, None);
    let state = store.snapshot().await.unwrap();
    assert_eq!(state.migrations.len(), 1);
    assert_eq!(state.revision, 4);
    make(&*store, &orders, &create()).await;
    let state = store.snapshot().await.unwrap();
    let again = state.migrations.iter().find(|migration| *migration.key() == orders).unwrap();
    assert!(again.tenants.is_empty(), "the name's next migration has none of the old rows");
    assert_eq!(replay(&all_changes(&*store).await), plain(&state.migrations));
}

pub async fn ten_thousand_rows_in_one_commit(place: &impl Place) {
    let store = place.open().await;
    let orders = key("orders");
    make(&*store, &orders, &create()).await;
    for rung in [Rung::Mirrored, Rung::Dual, Rung::SourceOnly] {
        let read = store.snapshot().await.unwrap();
        let tenants = (0..10_000).map(|n| format!("tenant-{n}"));
        let pins = commit(Some(&read.migrations[0]), &orders, &pin(tenants, rung), read.revision + 1);
        assert_eq!(pins.event.rows.len(), 10_000);
        store.commit(&pins).await.unwrap();
    }
    let state = store.snapshot().await.unwrap();
    assert_eq!(state.migrations[0].tenants.len(), 10_000);
    assert_eq!(replay(&all_changes(&*store).await), plain(&state.migrations));
}

pub async fn replaying_all_events_gives_the_live_state(place: &impl Place) {
    let store = place.open().await;
    let ask = cutover::domain::Ask { wait: true, overrides: Vec::new() };
    for (name, change) in [
        ("orders", create()),
        ("orders", pin(["a", "b", "c"].map(String::from), Rung::Mirrored)),
        ("customers", create()),
        ("customers", pin(["a"].map(String::from), Rung::Dual)),
        ("orders", pin(["b"].map(String::from), Rung::TargetFirst)),
        ("customers", pin(["b"].map(String::from), Rung::SourceOnly)),
        ("customers", Change::ClearPin { tenant: tenant("b"), ask: ask.clone() }),
        ("orders", Change::ClearPin { tenant: tenant("c"), ask: ask.clone() }),
        ("orders", Change::Step),
        ("orders", Change::ClearPin { tenant: tenant("a"), ask }),
        ("orders", Change::Rollback { tenant: None }),
        ("carts", create()),
        ("carts", Change::Delete(Deletion::default())),
        ("orders", Change::Acknowledge),
    ] {
        make(&*store, &key(name), &change).await;
    }
    let events = all_changes(&*store).await;
    assert_eq!(events.len(), 14);
    assert!(events.iter().any(|event| event.rows.iter().any(|(_, row)| row.is_none())), "a row was removed");
    assert_eq!(replay(&events), plain(&store.snapshot().await.unwrap().migrations));
}

pub async fn reopened_it_is_the_same(place: &impl Place) {
    let store = place.open().await;
    make(&*store, &key("orders"), &create()).await;
    make(&*store, &key("orders"), &pin(["acme".to_owned()], Rung::Mirrored)).await;
    let before = store.snapshot().await.unwrap();
    drop(store);
    let store = place.open().await;
    let after = store.snapshot().await.unwrap();
    assert_eq!((after.revision, &after.history_id), (before.revision, &before.history_id));
    assert_eq!(plain(&after.migrations), plain(&before.migrations));
    make(&*store, &key("orders"), &describe("goes on")).await;
    assert_eq!(store.snapshot().await.unwrap().revision, 3);
}

pub async fn a_snapshot_is_of_one_revision(place: &impl Place) {
    let store = place.open().await;
    let (orders, writer) = (key("orders"), place.open().await);
    make(&*store, &orders, &create()).await;
    let writing = tokio::spawn(async move {
        for n in 0..100 {
            make(&*writer, &key("orders"), &pin([format!("tenant-{n}")], Rung::Mirrored)).await;
        }
    });
    while !writing.is_finished() {
        let state = store.snapshot().await.unwrap();
        let migration = &state.migrations[0];
        // One row per revision: neither the counter nor the rows run ahead of the document.
        assert_eq!(migration.revision, state.revision);
        assert_eq!(migration.tenants.len() as u64 + 1, state.revision);
        assert_eq!(migration.document.pins + 1, state.revision);
    }
    writing.await.unwrap();
}
