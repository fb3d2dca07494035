//! Foreign items as documents, and back: every attribute, and nothing else.

use std::collections::HashMap;

use super::*;

/// Reads and writes items like an application that knows nothing of documents.
struct Raw {
    client: Client,
    table: String,
}

type Item = HashMap<String, AttributeValue>;

impl Raw {
    fn new(url: &str, table: &str) -> Self {
        let credentials = Credentials::new("test", "test", None, None, "test");
        Self { client: Client::new(&config(url, Some(credentials))), table: table.to_owned() }
    }

    async fn put(&self, item: &Item) {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item.clone()));
        put.send().await.expect("written");
    }

    async fn get(&self, key: &str) -> Item {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let get = get.key("customer", s("t")).key("order_id", s(key));
        get.send().await.expect("read").item.expect("it is there")
    }
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(digits: &str) -> AttributeValue {
    AttributeValue::N(digits.to_owned())
}

fn named() -> DynamoDbOptions {
    let name = |name: &str| name.to_owned();
    let fields = Fields {
        tenant: name("customer"),
        key: name("order_id"),
        version: name("_version"),
        deleted: name("_deleted"),
        ..Fields::default()
    };
    DynamoDbOptions { fields, ..patient() }
}

/// What DynamoDB has, including what is easily lost: 38 digits, the order of a set, a null, empty things.
fn everything() -> Item {
    let b = |bytes: &[u8]| AttributeValue::B(Blob::new(bytes));
    let strings = |them: &[&str]| AttributeValue::Ss(them.iter().map(|it| (*it).to_owned()).collect());
    let inner = HashMap::from([
        ("null".to_owned(), AttributeValue::Null(true)),
        ("list".to_owned(), AttributeValue::L(vec![n("-0.5"), s(""), AttributeValue::L(Vec::new())])),
        ("map".to_owned(), AttributeValue::M(HashMap::new())),
    ]);
    [
        ("digits", n("12345678901234567890123456789012345678")),
        ("small", n("1.5E-120")),
        ("price", n("9.90")),
        ("sig", b(&[0, 255, 1])),
        ("none", b(&[])),
        ("empty", s("")),
        ("text", s("NUL \0, \u{e4} and \u{1f680}, \"quotes\"")),
        ("paid", AttributeValue::Bool(false)),
        ("null", AttributeValue::Null(true)),
        ("tags", strings(&["z", "a", ""])),
        ("sizes", AttributeValue::Ns(vec!["10".to_owned(), "9".to_owned(), "-1".to_owned()])),
        ("keys", AttributeValue::Bs(vec![Blob::new([2]), Blob::new([1])])),
        ("inner", AttributeValue::M(inner)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The same items, whatever the order of their sets and the zeros of their numbers.
fn same(one: &Item, other: &Item) -> bool {
    fn plain(value: &AttributeValue) -> AttributeValue {
        match value {
            AttributeValue::Ss(them) => {
                let mut them = them.clone();
                them.sort();
                AttributeValue::Ss(them)
            }
            AttributeValue::Ns(them) => {
                let mut them = them.clone();
                them.sort();
                AttributeValue::Ns(them)
            }
            AttributeValue::Bs(them) => {
                let mut them = them.clone();
                them.sort_by(|one, other| one.as_ref().cmp(other.as_ref()));
                AttributeValue::Bs(them)
            }
            other => other.clone(),
        }
    }
    let all = |item: &Item| item.iter().map(|(name, it)| (name.clone(), plain(it))).collect::<Item>();
    all(one) == all(other)
}

#[tokio::test]
async fn every_attribute_of_an_item_comes_back_as_it_was() {
    let Some(url) = server() else { return };
    let table = table();
    let store = DynamoDbStore::create(&url, &table, named()).await.expect("created");
    let raw = Raw::new(&url, &table);
    let mut item = everything();
    item.extend([("customer".to_owned(), s("t")), ("order_id".to_owned(), s("one"))]);
    raw.put(&item).await;
    let found = store.get(&id("one")).await.expect("read").expect("there");
    assert_eq!(found.version, Version::ZERO, "an item of those who know no versions");
    let text = String::from_utf8(found.value.clone().expect("no tombstone")).expect("typed JSON");
    for part in [
        r#""digits":{"N":"12345678901234567890123456789012345678"}"#,
        r#""null":{"NULL":true}"#,
        r#""price":{"N":"9.9"}"#,
        r#""sizes":{"NS":["-1","9","10"]}"#,
        r#""tags":{"SS":["","a","z"]}"#,
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("order_id") && !text.contains("customer"), "fields are no content: {text}");

    // A copy that is carried back, over an item that has more than it.
    let mut more = HashMap::from([("late".to_owned(), s("gone after the put"))]);
    more.extend([("customer".to_owned(), s("t")), ("order_id".to_owned(), s("two"))]);
    raw.put(&more).await;
    let copy = Record { version: Version(7), ..found };
    assert_eq!(store.put_if_newer(&id("two"), &copy).await, Ok(Put::Applied));
    let mut back = raw.get("two").await;
    assert_eq!(back.remove("_version"), Some(n("7")));
    item.insert("order_id".to_owned(), s("two"));
    assert!(same(&back, &raw_numbers(item)), "{back:?}");
    assert_eq!(store.get(&id("two")).await, Ok(Some(copy)));
}

/// Numbers as DynamoDB returns them.
fn raw_numbers(mut item: Item) -> Item {
    item.insert("price".to_owned(), n("9.9"));
    item.insert("small".to_owned(), n(&format!("0.{}15", "0".repeat(119))));
    item
}

#[tokio::test]
async fn a_tombstone_has_no_content_and_a_value_that_no_item_takes_is_refused() {
    let Some(url) = server() else { return };
    let table = table();
    let store = DynamoDbStore::create(&url, &table, named()).await.expect("created");
    let raw = Raw::new(&url, &table);
    store.put_if_newer(&id("k"), &record(1)).await.expect("written");
    let gone = Record { version: Version(2), value: None };
    assert_eq!(store.put_if_newer(&id("k"), &gone).await, Ok(Put::Applied));
    let item = raw.get("k").await;
    assert_eq!(item.get("_deleted"), Some(&AttributeValue::Bool(true)));
    assert_eq!(item.len(), 4, "tenant, key, version and that: {item:?}");
    assert_eq!(store.put_if_newer(&id("k"), &document(3, "{}")).await, Ok(Put::Applied));
    assert_eq!(store.get(&id("k")).await, Ok(Some(document(3, "{}"))), "nothing is not a tombstone");

    let deep = format!("{}{}{}", r#"{"a":{"L":["#, r#"{"L":["#.repeat(33), "]}".repeat(34) + "}");
    for (json, begin) in [
        ("no JSON", "value: the record: no typed JSON"),
        (r#"{"n":{"N":"1.0"}}"#, "value: the record: it is not written in the one way"),
        (r#"{"b":{"S":""},"a":{"S":""}}"#, "value: the record: it is not written in the one way"),
        (r#"{"tags":{"SS":[]}}"#, "value: tags: an empty set: leave the attribute out"),
        (r#"{"_version":{"N":"1"}}"#, "_version: a field of the store has the same name"),
        (r#"{"order_id":{"S":"k"}}"#, "order_id: a field of the store has the same name"),
        (r#"{"n":{"N":"123456789012345678901234567890123456789"}}"#, "value: n: a number of 39"),
        (deep.as_str(), "value: a[0]"),
    ] {
        for error in [
            store.put_if_newer(&id("k"), &document(9, json)).await.expect_err(begin),
            store.put_many_if_newer(&[(id("k"), document(9, json))]).await.expect_err(begin),
        ] {
            assert!(error.to_string().starts_with(begin), "{error}");
            assert_eq!(error.class(), cutover_core::outcome::ErrorClass::Constraint);
        }
    }
    assert_eq!(store.get(&id("k")).await, Ok(Some(document(3, "{}"))), "nothing was written");
}

#[tokio::test]
async fn a_key_that_is_not_as_the_fields_say_is_named() {
    let Some(url) = server() else { return };
    let there = table();
    DynamoDbStore::create(&url, &there, named()).await.expect("created");
    for (tenant, key, told) in [
        (
            "customer",
            "order",
            "sort key \"order_id\", but the tenant is to be in \"customer\" and the key in \"order\"",
        ),
        ("customer", "customer", "sort key \"order_id\""),
        ("tenant", "key", "partition key \"customer\""),
    ] {
        let error =
            DynamoDbStore::open(&url, &there, fields(tenant, key, super::VERSION)).await.expect_err(told);
        assert!(error.to_string().starts_with("table: ") && error.to_string().contains(told), "{error}");
    }
}
