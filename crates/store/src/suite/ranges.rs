//! Scans up to a place, for stores that scan in order.

use crate::{Cursor, Id, Scope, Segment, Store};

use super::{id, record};

/// Tests a store that scans in order of tenant and key, byte by byte: wherever a scan is cut, each record is in
/// exactly one range, and its keys can be listed. The store must be empty.
///
/// # Panics
/// If a record is missing, or found where it does not belong.
pub async fn scans_in_order(store: &dyn Store) {
    let mut all = Vec::new();
    for tenant in ["a", "b", "b ", "bb", "bé", "c"] {
        all.extend((0..9).map(|n| id(tenant, &format!("key-{n}"))));
    }
    for id in &all {
        store.put_if_newer(id, &record(1, b"0123456789")).await.expect("written");
    }
    // Places of records, between them, before the first and after the last.
    let places = [("0", "z"), ("a", "key-3"), ("a", "key-3a"), ("b", "key-8"), ("bb", "key-0"), ("x", "y")];
    let places = places.map(|(tenant, key)| id(tenant, key));
    ranges_have_their_own(store, &places, &all).await;
    for from in &places {
        let (before, after): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|id| id <= from);
        assert_eq!(range(store, None, Some(from)).await, before, "to {from:?}");
        assert_eq!(range(store, Some(from), None).await, after, "from {from:?}");
    }
    super::lists_in_order(store).await;
}

/// Tests every range between two of `places`. `all`: every record of the store, in order.
///
/// # Panics
/// If a record is missing, or found where it does not belong.
pub async fn ranges_have_their_own(store: &dyn Store, places: &[Id], all: &[Id]) {
    for from in places {
        for to in places {
            let expected: Vec<_> = all.iter().filter(|id| *id > from && *id <= to).cloned().collect();
            assert_eq!(range(store, Some(from), Some(to)).await, expected, "{from:?} to {to:?}");
        }
    }
}

async fn range(store: &dyn Store, from: Option<&Id>, to: Option<&Id>) -> Vec<Id> {
    let scope = to.map_or(Scope::All, |to| Scope::UpTo(Cursor::after_record(to)));
    let mut found = Vec::new();
    let mut cursor = from.map(Cursor::after_record);
    loop {
        let page = store.scan(&scope, Segment::ALL, cursor.as_ref(), 100).await.expect("scanned");
        found.extend(page.records.into_iter().map(|(id, _)| id));
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}
