//! What every store must do, as tests for adapters. Enable the feature `suite` in `[dev-dependencies]`.
//!
//! ```
//! use cutover_store::{MemoryStore, suite};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! suite::run(MemoryStore::new).await;
//! suite::scans_in_order(&MemoryStore::new()).await; // if your store scans in order of tenant and key
//! suite::lists_in_order(&MemoryStore::new()).await; // if it has only the keys of each tenant in order
//! # });
//! ```
//!
//! Each function panics at the first promise that the store breaks. If creating a store is asynchronous, create
//! [`STORES`] of them first and hand them out one by one. Wrap a store that takes only documents in
//! [`Documents`]. If your store has identities, also run [`tables_have_identities`].
//!
//! The suite can't cut connections or kill a server. What a store answers then is up to tests of your own;
//! [`Store`] says what it may answer.

mod batches;
mod documents;
mod lists;
mod ranges;
mod transactions;

use std::collections::BTreeMap;

use crate::{Copied, Cursor, Id, Put, Record, Scope, Segment, Store, Version};

pub use documents::Documents;
pub use lists::lists_in_order;
pub use ranges::{ranges_have_their_own, scans_in_order};

/// How many stores [`run`] asks for.
pub const STORES: usize = 12;

/// Stamped in 2034. Stores take versions in the far future for the application's own numbers.
const HIGHEST: Version = Version((315_000_000_000 << 22) | 0x3f_ffff);

/// Tests a store's reads, writes, batches and scans, and its transactions if [`Store::check_all`] says that it has any.
/// `empty` returns a new empty store.
///
/// # Panics
/// If the store breaks a promise.
pub async fn run<S: Store>(mut empty: impl FnMut() -> S) {
    the_newest_version_wins_in_any_order(&empty()).await;
    a_tombstone_is_a_record_like_any_other(&empty()).await;
    a_record_without_a_version_is_older_than_any(&empty()).await;
    a_compare_and_put_sees_every_other_write(&empty()).await;
    one_record_without_a_version_replaces_another(&empty()).await;
    ids_are_told_apart_byte_by_byte(&empty()).await;
    a_scan_finds_everything_once(&empty()).await;
    batches::a_batch_is_answered_one_by_one(&empty()).await;
    batches::an_id_twice_in_a_batch_harms_nothing(&empty()).await;
    batches::values_of_any_bytes_and_size_come_back(&empty()).await;
    batches::many_writers_end_with_the_highest_version(empty()).await;
    transactions::several_records_are_written_together_or_not_at_all(empty()).await;
}

/// Tests the identities of two connections to one table, and of another table.
///
/// # Panics
/// If the first two differ, or the third does not.
pub async fn tables_have_identities(one: &dyn Store, same: &dyn Store, other: &dyn Store) {
    let identity = async |store: &dyn Store| store.identity().await.expect("asked").expect("it can tell");
    let one = identity(one).await;
    assert_eq!(one.id, identity(same).await.id, "{one}");
    assert_ne!(one.id, identity(other).await.id, "{one}");
    assert!(one.id.len() < 1000 && one.place.len() < 1000, "{one:?}");
}

fn id(tenant: &str, key: &str) -> Id {
    Id::new(tenant, key).expect("valid")
}

fn record(version: u64, value: &[u8]) -> Record {
    Record { version: Version(version), value: Some(value.to_vec()) }
}

fn tombstone(version: u64) -> Record {
    Record { version: Version(version), value: None }
}

async fn the_newest_version_wins_in_any_order(store: &dyn Store) {
    let id = id("t", "k");
    assert_eq!(store.get(&id).await, Ok(None));
    assert_eq!(store.put_if_newer(&id, &record(5, b"five")).await, Ok(Put::Applied));
    assert_eq!(store.put_if_newer(&id, &record(3, b"late")).await, Ok(Put::Stale(Version(5))));
    assert_eq!(store.get(&id).await, Ok(Some(record(5, b"five"))));
    assert_eq!(store.put_if_newer(&id, &record(5, b"five")).await, Ok(Put::Present), "given again");
    let others = record(5, b"of another writer");
    assert_eq!(store.put_if_newer(&id, &others).await, Ok(Put::Present), "not written");
    assert_eq!(store.get(&id).await, Ok(Some(record(5, b"five"))));
    assert_eq!(store.put_if_newer(&id, &record(HIGHEST.0, b"max")).await, Ok(Put::Applied));
    assert_eq!(store.get(&id).await, Ok(Some(record(HIGHEST.0, b"max"))));
    assert_eq!(store.put_if_newer(&id, &record(9, b"")).await, Ok(Put::Stale(HIGHEST)));

    let other = self::id("t", "other");
    let many = [(id.clone(), record(8, b"old")), (other.clone(), record(1, b""))];
    let answers = store.put_many_if_newer(&many).await;
    assert_eq!(answers, Ok(vec![Copied::Stale(HIGHEST), Copied::Written]), "each on its own");
    assert_eq!(store.get(&other).await, Ok(Some(record(1, b""))), "an empty value is not a tombstone");
    assert_eq!(store.put_many_if_newer(&[]).await, Ok(Vec::new()));
    let again = [(other.clone(), record(1, b"")), (id.clone(), record(HIGHEST.0, b"max"))];
    assert_eq!(store.put_many_if_newer(&again).await, Ok(vec![Copied::Present; 2]), "nothing to write");

    let ids = [other.clone(), self::id("t", "none"), id.clone()];
    let records = vec![Some(record(1, b"")), None, Some(record(HIGHEST.0, b"max"))];
    assert_eq!(store.get_many(&ids).await, Ok(records), "in their order");
    let versions = vec![Some(Version(1)), None, Some(HIGHEST)];
    assert_eq!(store.get_versions(&ids).await, Ok(versions), "likewise");
    assert_eq!(store.get_many(&[]).await, Ok(Vec::new()));
    assert_eq!(store.get_versions(&[]).await, Ok(Vec::new()));
    store.estimate().await.expect("told");
    store.pressure().await.expect("told");
}

async fn a_tombstone_is_a_record_like_any_other(store: &dyn Store) {
    let id = id("t", "k");
    assert_eq!(store.put_if_newer(&id, &record(1, b"one")).await, Ok(Put::Applied));
    assert_eq!(store.put_if_newer(&id, &tombstone(3)).await, Ok(Put::Applied));
    assert_eq!(store.put_if_newer(&id, &record(2, b"late")).await, Ok(Put::Stale(Version(3))));
    assert_eq!(store.get(&id).await, Ok(Some(tombstone(3))), "the dead stay dead");
    let page = store.scan(&Scope::All, Segment::ALL, None, 1 << 20).await.expect("scanned");
    assert_eq!(page.records, [(id.clone(), tombstone(3))]);
    assert_eq!(store.put_if_newer(&id, &record(4, b"four")).await, Ok(Put::Applied));
    assert_eq!(store.get(&id).await, Ok(Some(record(4, b"four"))));
}

async fn a_record_without_a_version_is_older_than_any(store: &dyn Store) {
    let id = id("t", "k");
    assert_eq!(store.put_if_newer(&id, &record(0, b"old")).await, Ok(Put::Applied), "there was none");
    assert_eq!(store.put_if_newer(&id, &record(0, b"old")).await, Ok(Put::Present), "copied already");
    assert_eq!(store.put_if_newer(&id, &record(1, b"one")).await, Ok(Put::Applied));
    assert_eq!(store.put_if_newer(&id, &record(0, b"old")).await, Ok(Put::Stale(Version(1))));
    assert_eq!(store.get(&id).await, Ok(Some(record(1, b"one"))));
}

async fn a_compare_and_put_sees_every_other_write(store: &dyn Store) {
    let id = id("t", "k");
    let put = |version, expected: Option<u64>| {
        let id = &id;
        async move { store.put_if_unchanged(id, &record(version, b"v"), expected.map(Version)).await }
    };
    assert_eq!(put(2, Some(1)).await, Ok(Put::Stale(Version::ZERO)), "there is none");
    assert_eq!(put(2, None).await, Ok(Put::Applied));
    assert_eq!(put(2, None).await, Ok(Put::Present), "given again");
    assert_eq!(put(3, None).await, Ok(Put::Stale(Version(2))));
    assert_eq!(put(9, Some(1)).await, Ok(Put::Stale(Version(2))), "newer does not help");
    assert_eq!(put(9, Some(2)).await, Ok(Put::Applied));
    assert_eq!(put(9, Some(2)).await, Ok(Put::Present), "given again");
    assert_eq!(store.get(&id).await, Ok(Some(record(9, b"v"))));

    let old = self::id("t", "unversioned");
    assert_eq!(store.put_if_newer(&old, &record(0, b"old")).await, Ok(Put::Applied));
    let new = record(1, b"new");
    assert_eq!(store.put_if_unchanged(&old, &new, None).await, Ok(Put::Stale(Version::ZERO)));
    assert_eq!(store.put_if_unchanged(&old, &new, Some(Version::ZERO)).await, Ok(Put::Applied));
}

async fn one_record_without_a_version_replaces_another(store: &dyn Store) {
    let (id, none) = (id("t", "k"), self::id("t", "none"));
    let zero = Some(Version::ZERO);
    assert_eq!(store.put_if_newer(&id, &record(0, b"early")).await, Ok(Put::Applied));
    assert_eq!(store.put_many_if_newer(&[(id.clone(), record(0, b"late"))]).await, Ok(vec![Copied::Present]));
    assert_eq!(store.get(&id).await, Ok(Some(record(0, b"early"))), "not newer");
    assert_eq!(store.put_if_unchanged(&id, &record(0, b"late"), zero).await, Ok(Put::Applied));
    assert_eq!(store.get(&id).await, Ok(Some(record(0, b"late"))));
    assert_eq!(store.put_if_unchanged(&id, &record(0, b"late"), zero).await, Ok(Put::Applied), "repeated");
    let other = store.put_if_unchanged(&id, &record(0, b"other"), None).await;
    assert_eq!(other, Ok(Put::Stale(Version::ZERO)), "an equal version is not this very write");
    let other = store.put_if_unchanged(&none, &record(0, b"other"), zero).await;
    assert_eq!(other, Ok(Put::Stale(Version::ZERO)), "there is none to replace");
    assert_eq!(store.put_if_newer(&id, &record(7, b"stamped")).await, Ok(Put::Applied));
    let late = store.put_if_unchanged(&id, &record(0, b"late"), zero).await;
    assert_eq!(late, Ok(Put::Stale(Version(7))));
    assert_eq!(store.get(&id).await, Ok(Some(record(7, b"stamped"))));
    assert_eq!(store.get(&none).await, Ok(None));
}

async fn ids_are_told_apart_byte_by_byte(store: &dyn Store) {
    let ids = [
        id("t", "key"),
        id("t", "Key"),
        id("t", "key "),
        id("T", "key"),
        id("t", "ke\u{301}y"),
        id("t", "k\u{e9}y"),
        id("t", "key'\"; --\n"),
        id("tk", "ey"),
        id("t ", "key"),
    ];
    for (n, id) in ids.iter().enumerate() {
        let put = store.put_if_newer(id, &record(n as u64 + 1, &[n as u8])).await;
        assert_eq!(put, Ok(Put::Applied), "{id:?}");
    }
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(store.get(id).await, Ok(Some(record(n as u64 + 1, &[n as u8]))), "{id:?}");
    }
}

async fn a_scan_finds_everything_once(store: &dyn Store) {
    let mut all = BTreeMap::new();
    for tenant in ["a", "b", "bb"] {
        for n in 0..40_u64 {
            let id = id(tenant, &format!("key-{n}"));
            let record = if n % 7 == 0 { tombstone(n + 1) } else { record(n, &[b'x'; 50]) };
            store.put_if_newer(&id, &record).await.expect("written");
            all.insert(id, record);
        }
    }
    // A store may split by tenant alone, so many are needed for a segment to have any.
    for n in 0..40_u64 {
        let id = id(&format!("small-{n}"), "key");
        store.put_if_newer(&id, &record(1, b"")).await.expect("written");
        all.insert(id, record(1, b""));
    }
    for of in [1, 3] {
        let mut found = Vec::new();
        for segment in Segment::split(of) {
            let part = pages(store, &Scope::All, segment, 400).await;
            assert!(!part.is_empty(), "{segment:?}");
            found.extend(part);
        }
        assert_eq!(found.len(), all.len(), "each once");
        assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), all);
    }
    let of_b = pages(store, &Scope::Tenant("b".to_owned()), Segment::ALL, 1).await;
    assert_eq!(of_b.len(), 40);
    assert!(of_b.iter().all(|(id, _)| id.tenant == "b"));
    assert!(pages(store, &Scope::Tenant("none".to_owned()), Segment::ALL, 1).await.is_empty());
}

/// All pages of a scan.
async fn pages(store: &dyn Store, scope: &Scope, segment: Segment, limit_bytes: usize) -> Vec<(Id, Record)> {
    let mut found = Vec::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let page = store.scan(scope, segment, cursor.as_ref(), limit_bytes).await.expect("scanned");
        let bytes: usize = page.records.iter().map(|(id, record)| id.bytes() + record.bytes()).sum();
        assert!(bytes < limit_bytes + 200, "about as much as was asked for, and one record");
        found.extend(page.records);
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}
