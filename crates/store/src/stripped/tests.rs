use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{MemoryStore, Unreadable, suite};
use cutover_core::outcome::ErrorClass;

fn prefixes(tenant: &str, key: &str) -> StripPrefixes {
    StripPrefixes { tenant: tenant.to_owned(), key: key.to_owned() }
}

fn of(tenant: &str, key: &str) -> (Arc<dyn Store>, Arc<MemoryStore>) {
    let table = Arc::new(MemoryStore::new());
    (Stripped::of(table.clone(), &prefixes(tenant, key)), table)
}

fn id(tenant: &str, key: &str) -> Id {
    Id::new(tenant, key).expect("valid")
}

fn record(version: u64) -> Record {
    Record { version: Version(version), value: Some(b"value".to_vec()) }
}

/// All keys of these stories begin so.
#[tokio::test]
async fn ranges_and_lists_are_the_same_without_the_prefix() {
    suite::scans_in_order(&*of("", "key-").0).await;
    suite::scans_in_order(&*of("", "k").0).await;
}

/// A method with a default would answer for the rows instead of the records. The default of `list` asks `scan`.
#[test]
fn every_method_of_a_store_is_translated() {
    let methods = |text: &str, from: &str| -> BTreeSet<String> {
        let (_, rest) = text.split_once(from).expect("it is there");
        let body = rest.split_once("\n}\n").expect("it ends").0;
        let lines = body.lines().map(|line| line.trim_start().trim_start_matches("async "));
        lines.filter_map(|line| line.strip_prefix("fn ")?.split('(').next().map(str::to_owned)).collect()
    };
    let mut of_trait = methods(include_str!("../lib.rs"), "pub trait Store: ");
    let translated = methods(include_str!("../stripped.rs"), "impl Store for Stripped {");
    assert!(of_trait.remove("list") && of_trait.contains("get_many"), "{of_trait:?}");
    assert_eq!(of_trait, translated);
}

#[tokio::test]
async fn an_id_without_the_prefix_is_refused_and_reads_as_missing() {
    let (store, table) = of("ORG#", "USER#");
    let fine = id("ORG#1", "USER#2");
    assert_eq!(store.put_if_newer(&fine, &record(1)).await, Ok(Put::Applied));
    assert_eq!(table.dump().into_keys().collect::<Vec<_>>(), [id("1", "2")]);
    for (other, told) in [
        (id("ORG#1", "2"), "key: \"2\" does not begin with \"USER#\", which the spec leaves out of each key"),
        (id("ORG#1", "user#2"), "key: \"user#2\" does not begin with"),
        (id("ORG#1", "USER#"), "key: \"USER#\" has nothing after \"USER#\""),
        (id("1", "USER#2"), "tenant: \"1\" does not begin with \"ORG#\""),
        (id("ORG#", "USER#2"), "tenant: \"ORG#\" has nothing after"),
    ] {
        let record = record(9);
        assert_eq!(store.get(&other).await, Ok(None));
        let refusals = [
            store.put_if_newer(&other, &record).await.map(drop),
            store.put_if_unchanged(&other, &record, None).await.map(drop),
            store
                .put_many_if_newer(&[(fine.clone(), record.clone()), (other.clone(), record.clone())])
                .await
                .map(drop),
            store
                .put_all_if_newer(&[(fine.clone(), record.clone()), (other.clone(), record.clone())])
                .await
                .map(drop),
            store.check_id(&other),
        ];
        for refused in refusals {
            let error = refused.expect_err("refused");
            assert!(error.to_string().starts_with(told), "{error}");
            assert!(error.to_string().contains("delete the old one in the store itself"), "{error}");
            assert!(matches!(error, StoreError::Permanent { class, .. } if class == ErrorClass::Constraint));
        }
        let both = [other, fine.clone()];
        assert_eq!(store.get_many(&both).await, Ok(vec![None, Some(self::record(1))]));
        assert_eq!(store.get_versions(&both).await, Ok(vec![None, Some(Version(1))]));
        assert_eq!(store.check_all(&both), Ok(()), "the put refuses it, where it writes");
    }
    assert_eq!(table.dump().len(), 1);
}

/// Somebody else wrote it, and with the prefix it is too long.
#[tokio::test]
async fn a_row_that_can_not_be_a_record_is_unreadable() {
    let (store, table) = of("", "ORG#");
    let long = "k".repeat(1024);
    table.insert(id("t", &long), record(1));
    table.insert(id("t", "z"), record(1));
    let page = store.scan(&Scope::All, Segment::ALL, None, 1 << 20).await.expect("scanned");
    assert_eq!(page.records, [(id("t", "ORG#z"), record(1))]);
    let [found] = page.unreadable.as_slice() else { panic!("{:?}", page.unreadable) };
    assert_eq!(found.key, format!("ORG#{long}"));
    assert_eq!(
        found.error.to_string(),
        "key: with the prefix that the spec leaves out: key has 1028 bytes: give 1 to 1024"
    );
}

/// Somebody else wrote it. With the prefix alone its name would be an id, under which nothing is found: a retry would take it for
/// gone.
#[test]
fn a_row_with_an_empty_key_is_not_called_by_an_id() {
    let error = StoreError::Permanent {
        class: ErrorClass::Constraint,
        field: "key".to_owned(),
        what: "it is empty".to_owned(),
    };
    let named = |tenant: &str, key: &str| {
        let row = Unreadable { tenant: tenant.to_owned(), key: key.to_owned(), error: error.clone() };
        let page = Page { unreadable: vec![row], ..Page::default() };
        let mut page = prefixes("ORG#", "ORDER#").page(page).expect("a page");
        let Unreadable { tenant, key, .. } = page.unreadable.remove(0);
        (tenant, key)
    };
    let texts = |tenant: &str, key: &str| (tenant.to_owned(), key.to_owned());
    assert_eq!(named("7", ""), texts("ORG#7", ""));
    assert_eq!(named("", "1"), texts("", "ORDER#1"));
    assert_eq!(named("7", "x\\xff"), texts("ORG#7", "ORDER#x\\xff"));
}

/// The spec says which rows are which records, so it is a part of what a pass calls its table.
#[tokio::test]
async fn tables_with_other_prefixes_are_other_tables_that_are_shared() {
    let identity = Identity::of_table("id".to_owned(), "place".to_owned());
    let with = |tenant: &str, key: &str| identity.clone().without(&prefixes(tenant, key).to_string());
    let one = with("", "ORG#");
    assert_eq!(
        (one.id.as_str(), one.place.as_str()),
        (r#"id without "ORG#" of keys"#, r#"place without "ORG#" of keys"#)
    );
    let ids = [identity.clone(), one.clone(), with("ORG#", ""), with("ORG#", "ORG#"), with("", "ORG")];
    assert_eq!(ids.iter().map(|it| &it.id).collect::<BTreeSet<_>>().len(), ids.len());
    assert!(ids.iter().all(|it| it.shares_table(&identity)));
}

#[test]
fn an_error_names_the_record_and_not_the_row() {
    let error = |what: &str| StoreError::Permanent {
        class: ErrorClass::Constraint,
        field: "name".to_owned(),
        what: what.to_owned(),
    };
    let (row, order, user) = (id("t", "1"), id("t", "ORDER#1"), id("t", "USER#1"));
    let of_row = error("it is too long").of_record("t", "1");
    let renamed = of_row.clone().renamed([(&row, &order)].into_iter());
    assert_eq!(renamed, error("it is too long").of_record("t", "ORDER#1"));
    let told = of_row.renamed([(&row, &order), (&row, &user)].into_iter()).to_string();
    assert_eq!(told, r#"name: it is too long (key "ORDER#1" of tenant "t") or (key "USER#1" of tenant "t")"#);
    let other = error("it is too long").of_record("t", "11");
    assert_eq!(other.clone().renamed([(&row, &order)].into_iter()), other);
}

/// Nobody finds `"1"` with the SDK.
#[test]
fn an_error_about_a_row_says_what_its_id_lacks() {
    let error = |what: &str| StoreError::Permanent {
        class: ErrorClass::Constraint,
        field: "id".to_owned(),
        what: what.to_owned(),
    };
    let (row, prefixes) = (id("7", "a"), prefixes("ORG#", "ORDER#"));
    let note = "(ids as the table has them, without \"ORG#\" of tenants and \"ORDER#\" of keys)";
    for what in [r#""a" is no id for column id"#, r#""7"/"a" is equal to "7"/"A", which is there"#] {
        assert_eq!(prefixes.explained(&row, error(what)), error(&format!("{what} {note}")));
    }
    for what in ["it is too long", r#""b" is another"#] {
        assert_eq!(prefixes.explained(&row, error(what)), error(what));
    }
}

/// Characters around those of the prefixes.
const TENANTS: &str = "(a|B|B#|B#[!a~]|B\\$|c)";
const KEYS: &str = "(K|J~|K#|K#[!a~é]{1,2}|K\\$|L)";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Wherever a scan or a list begins or ends, it has the records that a table with whole ids would have there.
    #[test]
    fn a_table_is_read_as_one_that_has_whole_ids(
        ids in proptest::collection::btree_set(("B#[!a~]", "K#[!a~é]{1,2}"), 0..30),
        from in proptest::option::of((TENANTS, KEYS)),
        to in proptest::option::of((TENANTS, KEYS)),
        segment_of in 1_u32..3,
        limit_bytes in 1_usize..100,
        most in 1_usize..5,
        which in 0_usize..4,
    ) {
        // With both prefixes, with one, and with none.
        let [tenant, key] = [[ "B#", "K#"], ["", "K#"], ["B#", ""], ["", ""]][which];
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let ((store, table), whole) = (of(tenant, key), MemoryStore::new());
            for (n, (tenant, key)) in ids.iter().enumerate() {
                let (id, record) = (id(tenant, key), record(n as u64 + 1));
                assert_eq!(store.put_if_newer(&id, &record).await, Ok(Put::Applied));
                whole.insert(id, record);
            }
            assert_eq!(table.dump().len(), ids.len(), "no two records are one row");
            let place = |at: &Option<(String, String)>| at.as_ref().map(|(tenant, key)| Cursor::after_record(&id(tenant, key)));
            let of_tenant = to.as_ref().map_or("B#a", |(tenant, _)| tenant);
            let scopes = [Scope::All, Scope::Tenant(of_tenant.to_owned())];
            for scope in scopes.into_iter().chain(place(&to).map(Scope::UpTo)) {
                // A cursor of a tenant's scan is one of its places.
                let from = place(&from).filter(|_| !matches!(scope, Scope::Tenant(_)));
                let all = whole.scan(&scope, Segment::ALL, from.as_ref(), usize::MAX).await.expect("scanned");
                let mut found = Vec::new();
                for segment in Segment::split(segment_of) {
                    let mut cursor = from.clone();
                    loop {
                        let page = store.scan(&scope, segment, cursor.as_ref(), limit_bytes).await.expect("scanned");
                        found.extend(page.records);
                        cursor = page.next;
                        if cursor.is_none() {
                            break;
                        }
                    }
                }
                found.sort_by(|one, other| one.0.cmp(&other.0));
                assert_eq!(found, all.records, "{scope:?} from {from:?}");
            }
            let keys = |at: &Option<(String, String)>| at.as_ref().map(|(_, key)| key.clone());
            let mut range = keys(&to).into_iter().fold(KeyRange::all(), |range, to| range.below(&to));
            range = keys(&from).into_iter().fold(range, |range, from| if most % 2 == 0 { range.after(&from) } else { range.at_least(&from) });
            assert_eq!(store.check_range(&range), Ok(()));
            let all = whole.list(of_tenant, &range, usize::MAX, usize::MAX).await.expect("listed").records;
            let mut found = Vec::new();
            loop {
                let page = store.list(of_tenant, &range, most, limit_bytes).await.expect("listed");
                found.extend(page.records);
                let Some(next) = page.next else { break };
                range = range.after(&next);
            }
            assert_eq!(found, all);
            let spread = store.spread(3).await.expect("asked");
            assert_eq!(spread, None, "memory has segments");
        });
    }
}
