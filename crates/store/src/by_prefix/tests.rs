use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{MemoryStore, suite};

fn of(prefixes: &[&str]) -> (ByPrefix, Vec<Arc<MemoryStore>>) {
    let stores: Vec<Arc<MemoryStore>> = prefixes.iter().map(|_| Arc::new(MemoryStore::new())).collect();
    let types = prefixes.iter().zip(&stores);
    let types =
        types.map(|(prefix, store)| Type { prefix: (*prefix).to_owned(), store: store.clone(), place: 0 });
    (ByPrefix::new(types.collect()), stores)
}

fn record(version: u64) -> Record {
    Record { version: Version(version), value: Some(b"value".to_vec()) }
}

/// A type for each character that the suite's keys may begin with.
fn of_letters() -> ByPrefix {
    let letters: Vec<String> = (' '..='~').chain(['\u{20ac}']).map(String::from).collect();
    of(&letters.iter().map(String::as_str).collect::<Vec<_>>()).0
}

#[tokio::test]
async fn it_passes_the_suite() {
    suite::run(of_letters).await;
    suite::scans_in_order(&of_letters()).await;
    suite::scans_in_order(
        &of(&["key-1", "key-0", "key-8", "key-2", "key-3", "key-4", "key-5", "key-6", "key-7"]).0,
    )
    .await;
}

/// A method with a default would answer for none of the tables.
#[test]
fn every_method_of_a_store_is_routed() {
    let methods = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().map(|line| line.trim_start().trim_start_matches("async "));
        lines.filter_map(|line| line.strip_prefix("fn ")?.split('(').next().map(str::to_owned)).collect()
    };
    let part = |text: &'static str, from: &str| {
        let (_, rest) = text.split_once(from).expect("it is there");
        rest.split_once("\n}\n").expect("it ends").0
    };
    let of_trait = methods(part(include_str!("../lib.rs"), "pub trait Store: "));
    let routed = methods(part(include_str!("../by_prefix.rs"), "impl Store for ByPrefix {"));
    assert!(of_trait.contains("get_many") && of_trait.contains("scan_order"), "{of_trait:?}");
    assert_eq!(of_trait, routed);
}

#[tokio::test]
async fn a_key_of_no_type_is_refused_by_name() {
    let (store, inner) = of(&["ORDER#", "USER#"]);
    let (none, order) = (Id::new("t", "INVOICE#1").expect("valid"), Id::new("t", "ORDER#1").expect("valid"));
    let told = store.put_if_newer(&none, &record(1)).await.expect_err("no type").to_string();
    let expected = "key: no record type takes it: it begins with none of \"ORDER#\", \"USER#\". Add its type to the spec";
    assert_eq!(told, expected);
    assert!(store.put_if_unchanged(&none, &record(1), None).await.is_err());
    let both = [(order.clone(), record(1)), (none.clone(), record(1))];
    assert!(store.put_many_if_newer(&both).await.is_err());
    assert!(inner.iter().all(|store| store.dump().is_empty()), "nothing was written");
    let told = store.get(&none).await.expect_err("another process may have written it").to_string();
    assert_eq!(told, expected);
    assert_eq!(store.check_id(&none).expect_err("no type").to_string(), expected);
    assert_eq!(store.check_id(&order), Ok(()));
    assert_eq!(store.put_if_newer(&order, &record(2)).await, Ok(Put::Applied));
    let both = [none, order];
    assert_eq!(store.get_many(&both).await.expect_err("no type").to_string(), expected);
    assert_eq!(store.get_versions(&both).await.expect_err("no type").to_string(), expected);
    assert_eq!(store.get_versions(&both[1..]).await, Ok(vec![Some(Version(2))]));
}

/// A transaction of several stores in memory there is not.
#[tokio::test]
async fn several_types_are_written_together_in_sql_only() {
    let (store, inner) = of(&["ORDER#", "USER#"]);
    let [order, other, user] =
        ["ORDER#1", "ORDER#2", "USER#1"].map(|key| (Id::new("t", key).expect("valid"), record(1)));
    let ids = [order.0.clone(), user.0.clone()];
    let expected = "store: the tables of its record types are not in one SQL database, so transact can't write several \
                    records at once: write them one by one";
    assert_eq!(store.check_all(&ids).expect_err("refused").to_string(), expected);
    let both = [order.clone(), user];
    assert_eq!(store.put_all_if_newer(&both).await.expect_err("refused").to_string(), expected);
    assert!(inner.iter().all(|store| store.dump().is_empty()), "nothing was written");
    assert_eq!(store.check_all(&ids[..1]), Ok(()));
    assert_eq!(store.put_all_if_newer(&[order, other]).await, Ok(PutAll::Applied), "they are of one type");
}

/// Between two types a process with a newer spec may have a third one.
#[tokio::test]
async fn a_list_is_of_one_type() {
    let (store, _) = of(&["USER#", "ORDER#"]);
    let id = |key: &str| Id::new("t", key).expect("valid");
    for key in ["USER#1", "ORDER#1", "ORDER#2"] {
        store.put_if_newer(&id(key), &record(1)).await.expect("written");
    }
    let orders = KeyRange::prefix("ORDER#");
    for (range, keys) in [
        (orders.clone(), &["ORDER#1", "ORDER#2"][..]),
        (orders.clone().after("ORDER#1"), &["ORDER#2"][..]),
        (KeyRange::prefix("USER#1"), &["USER#1"][..]),
        (KeyRange::all().at_least("ORDER#").below("ORDER#2"), &["ORDER#1"][..]),
        (orders.clone().below("A"), &[][..]),
    ] {
        assert_eq!(store.check_range(&range), Ok(()));
        let page = store.list("t", &range, 9, 1 << 20).await.expect("listed");
        assert_eq!(page.records.iter().map(|(id, _)| id.key.as_str()).collect::<Vec<_>>(), keys, "{range:?}");
        assert_eq!(page.next, None);
    }
    let several = "key: the range is not within one record type, and another instance may know more of them: list each \
                   type on its own, from KeyRange::prefix of \"USER#\" or \"ORDER#\"";
    let none = "key: no record type takes it: it begins with none of \"USER#\", \"ORDER#\". Add its type to the spec";
    for (range, told) in [
        (KeyRange::all(), several),
        (KeyRange::all().at_least("ORDER#1"), several),
        (KeyRange::all().at_least("ORDER#").below("USER#2"), several),
        (KeyRange::prefix("O"), several),
        (KeyRange::prefix("INVOICE#"), none),
    ] {
        assert_eq!(store.check_range(&range).expect_err("refused").to_string(), told, "{range:?}");
        assert_eq!(store.list("t", &range, 9, 1 << 20).await.expect_err("refused").to_string(), told);
    }
}

#[tokio::test]
async fn a_record_in_the_table_of_another_type_can_not_be_read() {
    let (store, inner) = of(&["ORDER#", "USER#"]);
    let id = |key: &str| Id::new("t", key).expect("valid");
    inner[0].insert(id("USER#1"), record(1));
    inner[0].insert(id("ORDER#1"), record(1));
    inner[1].insert(id("USER#1"), record(2));
    for scope in [Scope::All, Scope::Tenant("t".to_owned()), Scope::UpTo(Cursor::after_record(&id("z")))] {
        let (mut cursor, mut records, mut unreadable) = (None, Vec::new(), Vec::new());
        loop {
            let page = store.scan(&scope, Segment::ALL, cursor.as_ref(), 1).await.expect("scanned");
            records.extend(page.records);
            unreadable.extend(page.unreadable);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(records, [(id("ORDER#1"), record(1)), (id("USER#1"), record(2))], "{scope:?}");
        assert_eq!(unreadable.len(), 1);
        assert_eq!(unreadable[0].key, "USER#1");
        assert!(unreadable[0].error.to_string().contains("does not begin with \"ORDER#\""));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn several_tables_are_scanned_as_one(
        ids in proptest::collection::btree_set(("[ab]", "[xyz][a-c]{0,2}"), 0..40),
        limit_bytes in 1_usize..200,
        of_segments in 1_u32..4,
        until in proptest::option::of(("[ab]", "[xyz][a-c]{0,2}")),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (typed, _) = of(&["z", "x", "y"]);
            let whole = MemoryStore::new();
            let id = |(tenant, key): &(String, String)| Id::new(tenant, key).expect("valid");
            for (n, at) in ids.iter().enumerate() {
                let record = record(n as u64 + 1);
                whole.put_if_newer(&id(at), &record).await.expect("written");
                typed.put_if_newer(&id(at), &record).await.expect("written");
            }
            let up_to = until.iter().map(|until| Scope::UpTo(Cursor::after_record(&id(until))));
            for scope in up_to.chain([Scope::All, Scope::Tenant("a".to_owned())]) {
                let mut parts = BTreeSet::new();
                for segment in Segment::split(of_segments) {
                    let mut found = Vec::new();
                    let mut cursor = None;
                    loop {
                        let page = typed.scan(&scope, segment, cursor.as_ref(), limit_bytes).await.expect("scanned");
                        if let (false, Some(next)) = (matches!(scope, Scope::Tenant(_)), &page.next) {
                            let is_past = page.records.iter().all(|(id, _)| next.is_past(id).expect("a place"));
                            assert!(is_past, "a page ends after its records");
                        }
                        found.extend(page.records);
                        cursor = page.next;
                        if cursor.is_none() {
                            break;
                        }
                    }
                    if !matches!(scope, Scope::Tenant(_)) {
                        assert!(found.is_sorted_by(|(one, _), (other, _)| one < other));
                    }
                    let expected = whole.scan(&scope, segment, None, usize::MAX).await.expect("scanned").records;
                    assert_eq!(found.len(), expected.len(), "each once");
                    found.sort_by(|(one, _), (other, _)| one.cmp(other));
                    assert_eq!(&found, &expected);
                    parts.extend(found.into_iter().map(|(id, _)| id));
                }
            }
        });
    }
}
