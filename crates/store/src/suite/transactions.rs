//! Several records at once.

use std::sync::Arc;

use tokio::time::sleep;

use crate::{Id, Put, PutAll, Record, Store, StoreError, Version};

use super::{id, record, tombstone};

pub(super) async fn several_records_are_written_together_or_not_at_all<S: Store>(store: S) {
    let [a, b, c, new] = ["key-1", "key-2", "key-3", "key-4"].map(|key| id("t", key));
    if store.check_all(&[a.clone(), b.clone()]).is_err() {
        return;
    }
    let refused = |all: &[(usize, u64)]| {
        Ok(PutAll::Refused(all.iter().map(|(place, version)| (*place, Version(*version))).collect()))
    };
    let all = |version| {
        vec![
            (c.clone(), record(version, b"")),
            (a.clone(), record(version, b"a")),
            (b.clone(), tombstone(version)),
        ]
    };
    assert_eq!(store.put_if_newer(&b, &record(0, b"without a version")).await, Ok(Put::Applied));
    assert_eq!(store.put_all_if_newer(&all(5)).await, Ok(PutAll::Applied));
    for (id, record) in all(5) {
        assert_eq!(store.get(&id).await, Ok(Some(record)), "{id:?}");
    }
    assert_eq!(store.put_all_if_newer(&all(5)).await, refused(&[(0, 5), (1, 5), (2, 5)]), "given again");
    assert_eq!(store.put_all_if_newer(&all(4)).await, refused(&[(0, 5), (1, 5), (2, 5)]));

    // One that is not newer keeps all others out, whether they were there or not.
    for newer in [record(9, b"of another writer"), tombstone(10)] {
        assert_eq!(store.put_if_newer(&a, &newer).await, Ok(Put::Applied));
        let mut four = all(7);
        four.push((new.clone(), record(7, b"new")));
        assert_eq!(store.put_all_if_newer(&four).await, refused(&[(1, newer.version.0)]));
        assert_eq!(store.get(&new).await, Ok(None), "an insert is undone");
        assert_eq!(store.get(&c).await, Ok(Some(record(5, b""))), "and so is a change");
        assert_eq!(store.get(&b).await, Ok(Some(tombstone(5))));
        assert_eq!(store.get(&a).await, Ok(Some(newer)));
    }
    assert_eq!(store.put_if_newer(&b, &record(12, b"back")).await, Ok(Put::Applied));
    assert_eq!(store.put_all_if_newer(&all(11)).await, refused(&[(2, 12)]), "a delete is too old");
    assert_eq!(store.get(&a).await, Ok(Some(tombstone(10))));
    assert_eq!(store.get(&b).await, Ok(Some(record(12, b"back"))));
    let mut three = all(11);
    three.remove(2);
    assert_eq!(store.put_all_if_newer(&three).await, Ok(PutAll::Applied), "without the delete");
    assert_eq!(store.get(&a).await, Ok(Some(record(11, b"a"))), "a tombstone is replaced");

    a_hundred(&store).await;
    many_writers(store).await;
}

async fn a_hundred(store: &impl Store) {
    let ids: Vec<Id> = (0..100).map(|n| id("many", &format!("key-{n}"))).collect();
    let all = |version| -> Vec<(Id, Record)> {
        let of = |at: usize| if at % 4 == 3 { tombstone(version) } else { record(version, &[b'x'; 2000]) };
        ids.iter().enumerate().map(|(at, id)| (id.clone(), of(at))).collect()
    };
    assert_eq!(store.put_all_if_newer(&all(1)).await, Ok(PutAll::Applied));
    assert_eq!(store.get_versions(&ids).await, Ok(vec![Some(Version(1)); 100]));
    assert_eq!(store.put_if_newer(&ids[98], &record(3, b"newer")).await, Ok(Put::Applied));
    assert_eq!(store.put_all_if_newer(&all(2)).await, Ok(PutAll::Refused(vec![(98, Version(3))])));
    let versions = (0..100).map(|at| Some(Version(if at == 98 { 3 } else { 1 }))).collect();
    assert_eq!(store.get_versions(&ids).await, Ok(versions), "nothing was written");
    assert_eq!(store.put_all_if_newer(&all(4)).await, Ok(PutAll::Applied));
    let written = all(4).into_iter().map(|(_, record)| Some(record)).collect();
    assert_eq!(store.get_many(&ids).await, Ok(written));
}

/// Each writes the same records in another order.
async fn many_writers<S: Store>(store: S) {
    const WRITERS: u64 = 4;
    const ROUNDS: u64 = 10;
    let store = Arc::new(store);
    let keys = ["key-5", "key-6", "key-7"];
    let writers = (1..=WRITERS).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                let version = 100 + round * WRITERS + writer;
                let mut all = keys.map(|key| {
                    (
                        id("t", key),
                        if key == "key-6" && writer % 2 == 0 {
                            tombstone(version)
                        } else {
                            record(version, b"v")
                        },
                    )
                });
                all.rotate_left(writer as usize % keys.len());
                // Nothing was written if the server ended it for another one.
                let answered = loop {
                    match store.put_all_if_newer(&all).await {
                        Err(StoreError::Throttled { retry_after, .. }) => sleep(retry_after).await,
                        answered => break answered.expect("answered"),
                    }
                };
                match answered {
                    PutAll::Applied => {}
                    PutAll::Refused(refused) => {
                        assert!(!refused.is_empty() && refused.iter().all(|(_, newer)| newer.0 > version));
                    }
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("no panic");
    }
    let highest = Version(100 + ROUNDS * WRITERS);
    let versions = store.get_versions(&keys.map(|key| id("t", key))).await;
    assert_eq!(versions, Ok(vec![Some(highest); keys.len()]), "of one writer");
}
