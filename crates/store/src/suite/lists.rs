//! Lists of one tenant's keys.

use std::collections::BTreeMap;

use crate::{Id, KeyRange, Record, ScanOrder, Store};

use super::{id, record, tombstone};

/// All begin with `key-` and a number. The last two have another order in UTF-16.
const KEYS: [&str; 14] = [
    "key-0",
    "key-0 ",
    "key-0\u{1}",
    "key-00",
    "key-0z",
    "key-0\u{e9}",
    "key-1",
    "key-1'; --",
    "key-10",
    "key-2B",
    "key-2a",
    "key-8",
    "key-8\u{ff5e}",
    "key-8\u{10348}",
];

/// Tests a store whose keys are ordered by their bytes: a list has every record of its range once, in order, however its pages
/// are cut. No other test may have used its tenants.
///
/// # Panics
/// If a record is missing, or is where it does not belong.
pub async fn lists_in_order(store: &dyn Store) {
    assert_eq!(store.key_order(), ScanOrder::Bytes);
    let mut all = BTreeMap::new();
    for (n, key) in KEYS.iter().enumerate() {
        let written = if n % 3 == 0 { tombstone(5) } else { record(5, &[b'x'; 30]) };
        for tenant in ["lis", "list", "list "] {
            store.put_if_newer(&id(tenant, key), &written).await.expect("written");
        }
        all.insert(id("list", key), written);
    }
    let ends = ["", "key-0", "key-0 ", "key-0a", "key-10", "key-3", "key-8\u{ff5e}", "key-9"];
    let mut ranges = vec![KeyRange::all(), KeyRange::prefix("key-0"), KeyRange::prefix("none")];
    for end in ends {
        ranges.extend([
            KeyRange::all().at_least(end),
            KeyRange::all().after(end),
            KeyRange::all().below(end),
        ]);
        for other in ends {
            ranges.extend([
                KeyRange::all().at_least(end).below(other),
                KeyRange::all().after(end).below(other),
            ]);
        }
    }
    if store.check_range(&KeyRange::all()).is_err() {
        let parts =
            |range: &KeyRange| ["key-0", "key-8"].map(|prefix| KeyRange::prefix(prefix).within(range));
        ranges = ranges.iter().flat_map(parts).chain(ranges.clone()).collect();
    }
    for range in &ranges {
        if store.check_range(range).is_err() {
            store.list("list", range, 9, 1 << 20).await.expect_err("refused");
            continue;
        }
        for (most, limit_bytes) in [(1, 1 << 20), (3, 1 << 20), (100, 1), (1000, 1 << 20)] {
            let expected: Vec<_> = all.iter().filter(|(id, _)| range.contains(&id.key)).collect();
            let found = listed(store, range, most, limit_bytes).await;
            let found: Vec<_> = found.iter().map(|(id, record)| (id, record)).collect();
            assert_eq!(found, expected, "{range:?}, pages of {most} records or {limit_bytes} bytes");
        }
    }
    assert!(
        store
            .list("nobody", &KeyRange::prefix("key-1"), 9, 1 << 20)
            .await
            .expect("listed")
            .records
            .is_empty()
    );
    only_tombstones_are_passed(store).await;
}

/// The key that a page ended at may be gone, or be written again, before the next one is asked for.
async fn only_tombstones_are_passed(store: &dyn Store) {
    let keys: Vec<_> = (0..30).map(|n| id("list of none", &format!("key-1{n:02}"))).collect();
    for id in &keys {
        store.put_if_newer(id, &tombstone(1)).await.expect("written");
    }
    let page = store.list("list of none", &KeyRange::prefix("key-1"), 10, 1 << 20).await.expect("listed");
    let last = page.next.expect("there are more");
    assert!(last.as_str() <= "key-109" && page.records.iter().all(|(_, record)| record.is_tombstone()));
    store.put_if_newer(&keys[0], &record(2, b"behind")).await.expect("written");
    store.put_if_newer(&keys[29], &record(2, b"before")).await.expect("written");
    let mut range = KeyRange::prefix("key-1").after(&last);
    let mut live = Vec::new();
    loop {
        let page = store.list("list of none", &range, 10, 1 << 20).await.expect("listed");
        live.extend(page.records.into_iter().filter(|(_, record)| !record.is_tombstone()));
        let Some(next) = page.next else { break };
        range = range.after(&next);
    }
    assert_eq!(live, [(keys[29].clone(), record(2, b"before"))]);
}

/// All pages of a list of the tenant `list`.
async fn listed(store: &dyn Store, range: &KeyRange, most: usize, limit_bytes: usize) -> Vec<(Id, Record)> {
    let (mut range, mut found) = (range.clone(), Vec::new());
    loop {
        let page = store.list("list", &range, most, limit_bytes).await.expect("listed");
        let bytes: usize = page.records.iter().map(|(id, record)| id.bytes() + record.bytes()).sum();
        assert!(page.records.len() <= most && bytes < limit_bytes + 100, "{} of {most}", page.records.len());
        found.extend(page.records);
        let Some(next) = page.next else { return found };
        assert!(range.contains(&next), "each page gets further");
        range = range.after(&next);
    }
}
