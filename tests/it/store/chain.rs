//! Events are chained by their hashes, through pages, dropped events and a new history.

use cutover::{
    domain::{Chain, Hash},
    store::{ChainState, Expired, Store, Upkeep},
};

use super::Place;
use crate::support::{create, describe, key, make, pin};

/// Follows the chain in pages of `limit`, from what is kept.
pub async fn followed(store: &dyn Store, limit: u32) -> (Chain, Vec<String>, ChainState) {
    let (mut chain, mut histories) = (Chain::default(), Vec::new());
    loop {
        let page = store.chain(chain.revision, limit).await.unwrap();
        if page.state.dropped.through > chain.revision {
            chain = Chain { revision: page.state.dropped.through, hash: page.state.dropped_hash };
        }
        for chained in &page.events {
            assert!(chained.event.rows.is_empty());
            chain.follow(&chained.entry(), &chained.before, chained.hash).unwrap();
            histories.push(chained.history_id.clone());
        }
        if page.events.is_empty() {
            assert_eq!(page.state.revision, chain.revision);
            return (chain, histories, page.state);
        }
    }
}

pub async fn events_are_chained_through_drops_and_new_histories(place: &impl Place) {
    let store = place.open().await;
    let (chain, _, state) = followed(&*store, 10).await;
    assert_eq!((chain, state.dropped_hash), (Chain::default(), Hash::NONE), "an empty one");
    make(&*store, &key("orders"), &create()).await;
    make(&*store, &key("orders"), &pin(["it's".to_owned()], cutover_core::routing::Rung::Dual)).await;
    for n in 3..=8 {
        make(&*store, &key("orders"), &describe(format!("change {n}"))).await;
    }
    let (whole, histories, state) = followed(&*store, 3).await;
    assert_eq!(followed(&*store, 100).await.0, whole, "whatever the pages");
    assert_eq!((whole.revision, state.hashed_through), (8, 0));
    assert!(histories.iter().all(|id| *id == state.history_id));

    let at_5 = store.chain(4, 1).await.unwrap().events[0].hash;
    let expired = Expired { through: 5, below: u64::MAX, limit: 100, now_ms: 1, before_ms: 0 };
    store.compact(&expired).await.unwrap();
    let store = place.open().await;
    let (rest, histories, state) = followed(&*store, 2).await;
    assert_eq!((rest, histories.len(), state.dropped_hash), (whole, 3, at_5), "the rest fits as before");

    let restored = Upkeep { begin_history: Some("put back".to_owned()), ..Upkeep::default() };
    store.keep(&restored).await.unwrap();
    make(&*store, &key("orders"), &describe("goes on")).await;
    let (chain, histories, state) = followed(&*store, 100).await;
    assert_eq!((chain.revision, histories.len()), (9, 4), "the chain goes on");
    assert!(histories[2] != state.history_id && histories[3] == state.history_id, "{histories:?}");
    let at_9 = &store.chain(8, 1).await.unwrap().events[0];
    assert_eq!(at_9.before, whole.hash);
}
