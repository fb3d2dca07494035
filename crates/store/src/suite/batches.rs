//! Batches, large values, and many writers at once.

use std::sync::Arc;

use crate::{Copied, Id, Put, Record, Store, Version};

use super::{HIGHEST, id, record, tombstone};

const MANY: u64 = 1000;

fn batch(version: u64) -> Vec<(Id, Record)> {
    (0..MANY)
        .map(|n| {
            let id = id(&format!("t{}", n % 7), &format!("key-{n}"));
            let record = match n % 5 {
                0 => tombstone(version + n),
                1 => record(version + n, b""),
                _ => record(version + n, format!("value {n} of {version}").as_bytes()),
            };
            (id, record)
        })
        .collect()
}

pub(super) async fn a_batch_is_answered_one_by_one(store: &dyn Store) {
    let (old, new) = (batch(1), batch(10_000));
    let ids: Vec<_> = old.iter().map(|(id, _)| id.clone()).collect();
    let stored = |batch: &[(Id, Record)]| batch.iter().map(|(_, record)| Some(record.clone())).collect();
    assert_eq!(store.put_many_if_newer(&old).await, Ok(vec![Copied::Written; old.len()]));
    assert_eq!(store.get_many(&ids).await, Ok(stored(&old)), "tombstones and empty values among them");
    assert_eq!(store.put_many_if_newer(&old).await, Ok(vec![Copied::Present; old.len()]));
    let half: Vec<_> =
        new.iter().enumerate().map(|(n, new)| if n % 2 == 0 { new } else { &old[n] }).cloned().collect();
    let answers = (0..half.len()).map(|n| if n % 2 == 0 { Copied::Written } else { Copied::Present });
    assert_eq!(store.put_many_if_newer(&half).await, Ok(answers.collect()));
    assert_eq!(store.get_many(&ids).await, Ok(stored(&half)));
    let versions = half.iter().map(|(_, record)| Some(record.version)).collect();
    assert_eq!(store.get_versions(&ids).await, Ok(versions), "of tombstones too");
    let answers =
        (0..old.len()).map(|n| if n % 2 == 0 { Copied::Stale(new[n].1.version) } else { Copied::Present });
    assert_eq!(store.put_many_if_newer(&old).await, Ok(answers.collect()));
    assert_eq!(store.get_many(&ids).await, Ok(stored(&half)), "nothing old came back");

    // Some of many that are close together, and one among them that does not exist.
    let some: Vec<_> = half.iter().step_by(9).cloned().collect();
    let mut ids: Vec<_> = some.iter().map(|(id, _)| id.clone()).collect();
    ids.insert(50, id("t3", "key-5"));
    let mut records: Vec<_> = some.into_iter().map(|(_, record)| Some(record)).collect();
    records.insert(50, None);
    let versions = records.iter().map(|record| record.as_ref().map(|record| record.version)).collect();
    assert_eq!(store.get_versions(&ids).await, Ok(versions));
    assert_eq!(store.get_many(&ids).await, Ok(records));
}

pub(super) async fn an_id_twice_in_a_batch_harms_nothing(store: &dyn Store) {
    let (one, other) = (id("t", "k"), id("t", "other"));
    let twice = [
        (one.clone(), record(2, b"two")),
        (other.clone(), record(1, b"")),
        (one.clone(), record(3, b"three")),
    ];
    let answer = store.put_many_if_newer(&twice).await;
    if answer.is_ok() {
        assert_eq!(store.get(&one).await, Ok(Some(record(3, b"three"))), "{answer:?}");
        assert_eq!(store.get(&other).await, Ok(Some(record(1, b""))));
    }
    let put = if answer.is_ok() { Put::Present } else { Put::Applied };
    assert_eq!(store.put_if_newer(&one, &record(3, b"three")).await, Ok(put));
    assert_eq!(store.put_if_newer(&one, &record(2, b"two")).await, Ok(Put::Stale(Version(3))));
    assert_eq!(store.get(&one).await, Ok(Some(record(3, b"three"))));
}

pub(super) async fn values_of_any_bytes_and_size_come_back(store: &dyn Store) {
    let every_byte: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> = every_byte.iter().copied().cycle().take(390_000).collect();
    let long_key = "\u{20ac}".repeat(341) + "k";
    let records = [
        (id("t", "empty"), record(HIGHEST.0, b"")),
        (id("t", "every byte"), record(HIGHEST.0 - 1, &every_byte)),
        (id("t", "large"), record(1, &large)),
        (id(&"t".repeat(256), &long_key), record(1, b"'\\\0\x1a\xff")),
    ];
    for (id, record) in &records {
        assert_eq!(store.put_if_newer(id, record).await, Ok(Put::Applied));
        assert_eq!(store.get(id).await.as_ref(), Ok(&Some(record.clone())));
    }
    let again: Vec<_> = (0..30).map(|n| (id("many", &format!("{n}")), record(n + 1, &large))).collect();
    assert_eq!(store.put_many_if_newer(&again).await, Ok(vec![Copied::Written; 30]), "11 MB");
    let ids: Vec<_> = again.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(store.get_many(&ids).await, Ok(again.into_iter().map(|(_, record)| Some(record)).collect()));
}

pub(super) async fn many_writers_end_with_the_highest_version<S: Store>(store: S) {
    const WRITERS: u64 = 5;
    const ROUNDS: u64 = 20;
    let store = Arc::new(store);
    let writers: Vec<_> = (1..=WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    let version = round * WRITERS + writer;
                    let value = version.to_be_bytes();
                    // Each in its own order.
                    let mut all: Vec<_> =
                        (0..20).map(|n| (id("t", &format!("{n}")), record(version, &value))).collect();
                    all.rotate_left(writer as usize * 4);
                    let answers = store.put_many_if_newer(&all).await.expect("written");
                    for answer in answers {
                        let stale = matches!(answer, Copied::Stale(newer) if newer.0 > version);
                        assert!(answer == Copied::Written || stale, "{answer:?} of {version}");
                    }
                    let single = store.put_if_newer(&id("t", "single"), &record(version, &value)).await;
                    single.expect("written");
                    let seen = store.get(&id("t", "raced")).await.expect("read").map(|seen| seen.version);
                    let next = record(seen.unwrap_or_default().0 + 1 + writer, &value);
                    store.put_if_unchanged(&id("t", "raced"), &next, seen).await.expect("answered");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("no panic");
    }
    let highest = WRITERS * ROUNDS;
    for key in (0..20).map(|n| format!("{n}")).chain(["single".to_owned()]) {
        let stored = store.get(&id("t", &key)).await;
        assert_eq!(stored, Ok(Some(record(highest, &highest.to_be_bytes()))), "{key}");
    }
}
