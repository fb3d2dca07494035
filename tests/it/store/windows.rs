//! What was reported is added to what is stored, limited, and removed with its migration.

use cutover::{
    domain::{Calls, Change, Counts, Deletion, Latency, Scale, WindowId},
    store::{Counted, HeardRecord, Store, WindowQuery},
};

use super::Place;
use crate::support::{create, key, make};

const NOW_S: u64 = 1_764_244_800;

fn window(name: &str, scale: Scale, at: u64) -> (WindowId, Counts) {
    let mut counts = Counts { revision: 1, ..Counts::default() };
    counts.events.hit = 1;
    counts.calls[0] = Calls { calls: 2, errors: 1, latency: Latency::of(&[0, 3, 0, 1]) };
    (WindowId { key: key(name), scale, at }, counts)
}

fn counted(windows: Vec<(WindowId, Counts)>) -> Counted {
    Counted { windows, now_s: NOW_S, ..Counted::default() }
}

async fn kept(store: &dyn Store, scale: Scale) -> Vec<(u64, Counts)> {
    let query = WindowQuery { key: key("orders"), scale, from: 0, before: u64::MAX };
    store.windows(&query).await.unwrap()
}

pub async fn counts_are_added_to_what_is_kept(place: &impl Place) {
    let store = place.open().await;
    make(&*store, &key("orders"), &create()).await;
    let minute = |at| window("orders", Scale::Minute, at);
    let news = counted(vec![minute(NOW_S), minute(NOW_S - 60), window("nobody", Scale::Minute, NOW_S)]);
    store.count(&news).await.unwrap();
    store.count(&counted(vec![minute(NOW_S)])).await.unwrap();
    let store = place.open().await;
    let mut twice = minute(NOW_S).1;
    twice.merge(&minute(NOW_S).1);
    assert_eq!(kept(&*store, Scale::Minute).await, [(NOW_S - 60, minute(0).1), (NOW_S, twice)]);
    assert!(kept(&*store, Scale::Second).await.is_empty());
    let part = WindowQuery { key: key("orders"), scale: Scale::Minute, from: NOW_S - 60, before: NOW_S };
    assert_eq!(store.windows(&part).await.unwrap().len(), 1);
    let nobody = WindowQuery { key: key("nobody"), ..part };
    assert!(store.windows(&nobody).await.unwrap().is_empty(), "there is no such migration");
}

pub async fn who_was_heard_is_kept_with_the_counts(place: &impl Place) {
    let store = place.open().await;
    let heard = |id: &str, sequence| HeardRecord {
        instance_id: id.to_owned(),
        incarnation: u64::MAX,
        sequence,
        dropped_cells: 3,
    };
    let news = |heard, forgotten: &[&str]| Counted {
        heard,
        forgotten: forgotten.iter().map(|id| (*id).to_owned()).collect(),
        ..Counted::default()
    };
    store.count(&news(vec![heard("a", 1), heard("b", 1)], &[])).await.unwrap();
    store.count(&news(vec![heard("a", u64::MAX)], &["b", "never heard"])).await.unwrap();
    assert_eq!(place.open().await.snapshot().await.unwrap().heard, [heard("a", u64::MAX)]);
}

pub async fn windows_are_bounded_and_go_with_their_migration(place: &impl Place) {
    let store = place.open().await;
    make(&*store, &key("orders"), &create()).await;
    make(&*store, &key("users"), &create()).await;
    for scale in Scale::OF_TIME {
        let age = scale.kept_s().unwrap() + scale.width_s();
        let windows = vec![
            window("orders", scale, NOW_S - age - 1),
            window("orders", scale, NOW_S - age),
            window("users", scale, NOW_S),
        ];
        store.count(&counted(windows)).await.unwrap();
        assert_eq!(kept(&*store, scale).await.len(), 1, "the older one of {scale:?} is gone");
    }
    let most = Scale::REVISIONS_MAX as u64;
    let revisions = (1..=most + 20).map(|revision| window("orders", Scale::Revision, revision));
    store.count(&counted(revisions.collect())).await.unwrap();
    let revisions = kept(&*store, Scale::Revision).await;
    assert_eq!((revisions.len() as u64, revisions[0].0), (most, 21), "the newest");

    make(&*store, &key("orders"), &Change::Delete(Deletion::default())).await;
    store.count(&counted(vec![window("orders", Scale::Minute, NOW_S)])).await.unwrap();
    for scale in Scale::ALL {
        assert!(kept(&*store, scale).await.is_empty(), "{scale:?}");
    }
    let users = WindowQuery { key: key("users"), scale: Scale::Minute, from: 0, before: u64::MAX };
    assert_eq!(store.windows(&users).await.unwrap().len(), 1, "the other's stay");
}
