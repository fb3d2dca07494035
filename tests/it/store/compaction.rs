//! Old events are dropped from the beginning, and never what somebody still needs.

use cutover::store::{Compacted, CursorRecord, Dropped, Error, Expired, HistoryQuery, Store, Upkeep};

use super::Place;
use crate::support::{create, describe, key, make, plain, replay};

const NOW_MS: u64 = 1_800_000_000_000;

/// Times of events are from here on, one millisecond for each revision.
const BEGAN_MS: u64 = 1_700_000_000_000;

fn expired(through: u64, before_ms: u64) -> Expired {
    Expired { through, before_ms, below: u64::MAX, limit: 100, now_ms: NOW_MS }
}

async fn with_events(place: &impl Place, events: u64) -> std::sync::Arc<dyn Store> {
    let store = place.open().await;
    make(&*store, &key("orders"), &create()).await;
    for n in 2..=events {
        make(&*store, &key("orders"), &describe(format!("change {n}"))).await;
    }
    store
}

async fn kept(store: &dyn Store) -> Vec<u64> {
    let all = HistoryQuery { limit: 1_000, ..HistoryQuery::default() };
    let mut kept: Vec<_> = store.history(&all).await.unwrap().iter().map(|event| event.revision).collect();
    kept.reverse();
    kept
}

fn dropped(events: u32, through: u64) -> Compacted {
    Compacted { events, through, held_by: None }
}

pub async fn old_events_are_dropped_and_the_rest_is_as_before(place: &impl Place) {
    let store = with_events(place, 20).await;
    let before = store.snapshot().await.unwrap();
    let mut events = store.changes(0, 100).await.unwrap();
    assert_eq!(store.compact(&expired(0, 0)).await.unwrap(), Compacted::default(), "none has expired");
    assert_eq!(store.dropped().await.unwrap(), Dropped::default());

    assert_eq!(store.compact(&expired(5, 0)).await.unwrap(), dropped(5, 5), "by number");
    assert_eq!(store.compact(&expired(3, BEGAN_MS + 9)).await.unwrap(), dropped(3, 8), "by age");
    let part = Expired { limit: 2, ..expired(15, 0) };
    assert_eq!(store.compact(&part).await.unwrap(), dropped(2, 10), "a bounded part");
    let needed = Expired { below: 13, ..expired(15, 0) };
    assert_eq!(store.compact(&needed).await.unwrap(), dropped(2, 12), "what is needed stays");

    let store = place.open().await;
    assert_eq!(store.dropped().await.unwrap(), Dropped { through: 12, at_ms: NOW_MS });
    assert_eq!(kept(&*store).await, (13..=20).collect::<Vec<_>>());
    for since in [0, 11] {
        assert!(matches!(store.changes(since, 5).await, Err(Error::Dropped(12))), "no silent hole");
    }
    assert_eq!(store.changes(12, 100).await.unwrap(), events.split_off(12));
    let after = store.snapshot().await.unwrap();
    assert_eq!((after.revision, plain(&after.migrations)), (20, plain(&before.migrations)));

    assert_eq!(store.compact(&expired(u64::MAX, u64::MAX)).await.unwrap(), dropped(7, 19));
    let store = place.open().await;
    assert_eq!(kept(&*store).await, [20], "the newest always stays");
    make(&*store, &key("orders"), &describe("later")).await;
    assert_eq!(store.snapshot().await.unwrap().revision, 21);
    assert_eq!(store.changes(20, 100).await.unwrap().len(), 1);
}

pub async fn what_an_endpoint_was_not_told_is_kept(place: &impl Place) {
    let store = with_events(place, 20).await;
    let cursor = |endpoint: &str, revision| CursorRecord { endpoint: endpoint.to_owned(), revision };
    let told = async |cursors: Vec<CursorRecord>| {
        store.keep(&Upkeep { put_cursors: cursors, ..Upkeep::default() }).await.unwrap();
    };
    told(vec![cursor("fast", u64::MAX), cursor("slow", 7)]).await;
    let all = expired(15, u64::MAX);
    let held = |events, through, at| Compacted { events, through, held_by: Some(cursor("slow", at)) };
    assert_eq!(store.compact(&all).await.unwrap(), held(7, 7, 7));
    let store = place.open().await;
    assert_eq!(store.compact(&all).await.unwrap(), held(0, 0, 7), "after a restart as well");
    assert_eq!(store.changes(7, 1).await.unwrap()[0].revision, 8, "the next one to be told");
    told(vec![cursor("slow", 9)]).await;
    assert_eq!(store.compact(&all).await.unwrap(), held(2, 9, 9));
    let remove_cursors = vec!["slow".to_owned()];
    store.keep(&Upkeep { remove_cursors, ..Upkeep::default() }).await.unwrap();
    assert_eq!(store.compact(&all).await.unwrap(), dropped(10, 19), "nobody asks for them any more");
}

pub async fn a_clock_that_was_wrong_leaves_no_hole(place: &impl Place) {
    let store = place.open().await;
    make(&*store, &key("orders"), &create()).await;
    // A clock that was two years ahead, and right again: what came later waits for it.
    for (revision, at_ms) in [(2, BEGAN_MS + 2), (3, NOW_MS), (4, BEGAN_MS + 4), (5, BEGAN_MS + 5)] {
        let state = store.snapshot().await.unwrap();
        let change = describe(format!("change {revision}"));
        let mut commit =
            crate::support::commit(Some(&state.migrations[0]), &key("orders"), &change, revision);
        commit.event.at_ms = at_ms;
        store.commit(&commit).await.unwrap();
    }
    assert_eq!(store.compact(&expired(0, NOW_MS)).await.unwrap(), dropped(2, 2));
    assert_eq!(kept(&*store).await, [3, 4, 5]);
    assert_eq!(store.compact(&expired(4, NOW_MS)).await.unwrap(), dropped(2, 4), "numbers need no clock");
    assert_eq!(replay(&store.changes(4, 9).await.unwrap()).len(), 1);
}
