//! DynamoDB, on the server that `tests/run` starts.

#[path = "dynamodb/attributes.rs"]
mod attributes;
#[path = "dynamodb/keys.rs"]
mod keys;
#[path = "dynamodb/lookalike.rs"]
mod lookalike;
#[path = "dynamodb/size.rs"]
mod size;
#[path = "dynamodb/slow.rs"]
mod slow;

use std::{num::NonZeroUsize, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::{
    Client,
    config::{Credentials, SharedCredentialsProvider},
    primitives::Blob,
    types::AttributeValue,
};
use cutover_store::{
    Copied, Cursor, DynamoDbOptions, DynamoDbStore, Id, KeyRange, Put, Record, ScanOrder, Scope, Segment,
    Store, StoreError, Version,
    mapping::{Fields, KeyType},
};

use super::{
    documents::Documents,
    proxy::{Proxy, a_lost_answer_is_not_called_unwritten, a_lost_answer_of_several_is_not_called_unwritten},
    servers::scanned,
    suite,
    unreadable::is_gone_past,
};

const VARIABLE: &str = "CUTOVER_TEST_DYNAMODB";
/// The default names of the fields that only the SDK writes.
const VERSION: &str = "cutover_version";
const DELETED: &str = "cutover_deleted";

/// The server's address; `None`: there is none, and a message said so.
fn server() -> Option<String> {
    let url = std::env::var(VARIABLE).ok();
    if url.is_none() {
        let required = std::env::var("CUTOVER_TEST_SERVERS").is_ok_and(|value| value == "required");
        assert!(!required, "{VARIABLE} is not set: run the tests by tests/run");
        eprintln!("left out: a test against DynamoDB; tests/run starts one and sets {VARIABLE}");
    }
    url
}

/// A name that no other test and no other run has.
fn table() -> String {
    static TABLES: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let n = TABLES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("cutover-test-{}-{n}", std::process::id())
}

#[tokio::test]
async fn keys_are_listed_where_the_tenant_is_the_partition_key() {
    let Some(url) = server() else { return };
    suite::lists_in_order(&Documents(create(&url).await)).await;
    let order = async |fields: Fields| {
        let options = DynamoDbOptions { fields, ..patient() };
        let store = DynamoDbStore::create(&url, &table(), options).await.expect("created");
        let ScanOrder::Own(order) = store.key_order() else { panic!("of bytes") };
        store.list("t", &KeyRange::all(), 9, 1 << 20).await.expect_err("refused");
        order
    };
    let alone = Fields { key: "tenant".to_owned(), ..Fields::default() };
    assert!(order(alone).await.contains("its own tenant"));
    let number = Fields { key_type: KeyType::N, ..Fields::default() };
    assert_eq!(order(number).await, "that of a number (N) in key");
}

async fn create(url: &str) -> DynamoDbStore {
    DynamoDbStore::create(url, &table(), patient()).await.expect("created")
}

/// Patient with a busy machine.
fn patient() -> DynamoDbOptions {
    DynamoDbOptions { attempt_timeout: Duration::from_secs(120), ..DynamoDbOptions::default() }
}

/// With names for the fields.
fn fields(tenant: &str, key: &str, version: &str) -> DynamoDbOptions {
    let name = |name: &str| name.to_owned();
    let fields = Fields { tenant: name(tenant), key: name(key), version: name(version), ..Fields::default() };
    DynamoDbOptions { fields, ..patient() }
}

/// The same, but it soon stops retrying.
fn hasty() -> DynamoDbOptions {
    DynamoDbOptions { retry_timeout: Duration::from_millis(300), ..patient() }
}

/// With these credentials, or none.
fn config(url: &str, credentials: Option<Credentials>) -> SdkConfig {
    let endpoint = url.rsplit_once("endpoint=").expect("the script writes it").1;
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint);
    config.set_credentials_provider(credentials.map(SharedCredentialsProvider::new));
    config.build()
}

fn id(key: &str) -> Id {
    Id::new("t", key).expect("valid")
}

fn record(version: u64) -> Record {
    document(version, &format!(r#"{{"n":{{"N":"{version}"}}}}"#))
}

fn document(version: u64, json: &str) -> Record {
    Record { version: Version(version), value: Some(json.as_bytes().to_vec()) }
}

fn many(of: u64) -> Vec<(Id, Record)> {
    (1..=of).map(|n| (id(&format!("key-{n}")), record(n))).collect()
}

#[tokio::test]
async fn passes_the_suite() {
    let Some(url) = server() else { return };
    let mut stores = Vec::new();
    for _ in 0..suite::STORES {
        stores.push(Documents(create(&url).await));
    }
    super::has_transactions(&stores[0]);
    suite::run(|| stores.pop().expect("one for each story")).await;
}

#[tokio::test]
async fn a_table_is_told_from_others_and_from_the_one_before_it() {
    let Some(url) = server() else { return };
    let name = table();
    let open = async || DynamoDbStore::create(&url, &name, patient()).await.expect("created");
    let one = open().await;
    suite::tables_have_identities(&one, &open().await, &create(&url).await).await;
    let before = one.identity().await.expect("asked").expect("known");
    assert!(before.place.contains(":table/") && before.place.contains("us-east-1"), "{before}");
    let credentials = Credentials::new("test", "test", None, None, "test");
    let client = Client::new(&config(&url, Some(credentials)));
    client.delete_table().table_name(&name).send().await.expect("deleted");
    let anew = open().await.identity().await.expect("asked").expect("known");
    assert_ne!(before.id, anew.id, "made anew under the same name");
}

#[tokio::test]
async fn a_scan_up_to_a_place_is_refused() {
    let Some(url) = server() else { return };
    let store = create(&url).await;
    let scope = Scope::UpTo(Cursor::after_record(&id("k")));
    let refused = store.scan(&scope, Segment::ALL, None, 1).await.expect_err("hashes are in no such order");
    assert!(matches!(&refused, StoreError::Permanent { field, .. } if field == "scope"), "{refused}");
}

#[tokio::test]
async fn the_sort_key_may_be_the_tenant() {
    let Some(url) = server() else { return };
    let table = table();
    let turned = fields("key", "tenant", VERSION);
    DynamoDbStore::create(&url, &table, patient()).await.expect("created");
    let store = DynamoDbStore::open(&url, &table, turned).await.expect("the key fits");
    for (id, record) in many(30) {
        assert_eq!(store.put_if_newer(&id, &record).await, Ok(Put::Applied));
        let other = Id::new("other", &id.key).expect("valid");
        assert_eq!(store.put_if_newer(&other, &record).await, Ok(Put::Applied));
    }
    let found = scanned(&store, &Scope::Tenant("t".to_owned()), Segment::ALL, 100).await;
    assert!(found.iter().all(|(id, _)| id.tenant == "t"));
    assert_eq!(found.len(), 30);
}

#[tokio::test]
async fn a_record_may_be_a_tenant_of_its_own() {
    let Some(url) = server() else { return };
    let options = fields("id", "id", VERSION);
    let store = DynamoDbStore::create(&url, &table(), options).await.expect("created");
    let own = Id::new("a", "a").expect("valid");
    let batch = [(own.clone(), record(1))];
    assert_eq!(store.put_many_if_newer(&batch).await, Ok(vec![Copied::Written]));
    assert_eq!(store.put_many_if_newer(&batch).await, Ok(vec![Copied::Present]));
    assert_eq!(store.get(&own).await, Ok(Some(record(1))));
    let error = store.get(&id("k")).await.expect_err("two names").to_string();
    assert!(error.starts_with("tenant: ") && error.contains("must be equal"), "{error}");
}

#[tokio::test]
async fn items_of_others_count_as_old_and_unreadable_ones_are_named() {
    let Some(url) = server() else { return };
    let table = table();
    let store = DynamoDbStore::create(&url, &table, patient()).await.expect("created");
    let credentials = Credentials::new("test", "test", None, None, "test");
    let client = Client::new(&config(&url, Some(credentials)));
    let put = async |tenant: &str, key: &str, attributes: &[(&str, AttributeValue)]| {
        let mut request = client
            .put_item()
            .table_name(&table)
            .item("tenant", AttributeValue::S(tenant.to_owned()))
            .item("key", AttributeValue::S(key.to_owned()));
        for (name, value) in attributes {
            request = request.item(*name, value.clone());
        }
        request.send().await.expect("written");
    };
    let value = ("value", AttributeValue::B(Blob::new(*b"old")));
    let of_value = |bytes: &str| document(0, &format!(r#"{{"value":{{"B":"{bytes}"}}}}"#));
    let marked = |mark: bool| (DELETED, AttributeValue::Bool(mark));
    let number = |digits: &str| (VERSION, AttributeValue::N(digits.to_owned()));

    put("t", "unversioned", std::slice::from_ref(&value)).await;
    let (old, new) = (of_value("b2xk"), of_value("bmV3"));
    assert_eq!(store.get(&id("unversioned")).await, Ok(Some(old.clone())));
    assert_eq!(store.put_if_newer(&id("unversioned"), &new).await, Ok(Put::Present), "equal");
    assert_eq!(store.get(&id("unversioned")).await, Ok(Some(old)), "and so not written");
    let unchanged = store.put_if_unchanged(&id("unversioned"), &record(2), Some(Version::ZERO)).await;
    assert_eq!(unchanged, Ok(Put::Applied));

    let mut wrong = Vec::new();
    for (key, attributes, field) in [
        (
            "null is not absent",
            vec![(VERSION, AttributeValue::Null(true)), value.clone()],
            "cutover_version: ",
        ),
        (
            "too long",
            vec![number("99999999999999999999999999999999999999"), value.clone()],
            "cutover_version: ",
        ),
        ("no whole number", vec![number("1.5"), value.clone()], "cutover_version: "),
        ("text", vec![(VERSION, AttributeValue::S("1".to_owned())), value.clone()], "cutover_version: "),
        ("a word", vec![value.clone(), (DELETED, AttributeValue::S("no".to_owned()))], "cutover_deleted: "),
        ("negative", vec![number("-1"), value.clone()], "cutover_version: -1 is negative"),
        ("nanoseconds", vec![number("1790000000000000000"), value.clone()], "cutover_version: 17900"),
        ("not deleted", vec![number("5"), marked(false)], "cutover_deleted: an item has false"),
        (
            "the application's mark",
            vec![value.clone(), marked(true)],
            "cutover_deleted: the record is marked",
        ),
        ("a mark beside content", vec![number("5"), value.clone(), marked(true)], "cutover_deleted: the rec"),
    ] {
        put("t", key, &attributes).await;
        wrong.push(("t", key, field));
        let error = store.get(&id(key)).await.expect_err(key);
        assert!(matches!(error, StoreError::Permanent { .. }), "{error}");
        assert!(error.to_string().starts_with(field), "{key}: {error}");
    }
    // It is not replaced either, except where no condition can distinguish it from ours.
    let replaceable = ["a mark beside content", "no whole number"];
    for (_, key, field) in wrong.iter().filter(|(_, key, _)| !replaceable.contains(key)) {
        let id = id(key);
        for put in [
            store.put_if_newer(&id, &record(9)).await,
            store.put_if_unchanged(&id, &record(9), Some(Version::ZERO)).await,
        ] {
            let error = put.expect_err(key).to_string();
            assert!(error.starts_with(field), "{key}: {error}");
        }
        let error = store.put_many_if_newer(&[(id, record(9))]).await.expect_err(key).to_string();
        assert!(error.starts_with(field), "{key}: {error}");
    }
    put("a\nb", "k", &[number("1"), value]).await;
    wrong.push(("a\\nb", "k", "tenant: "));
    is_gone_past(&store, &[(id("unversioned"), record(2))], &wrong).await;
}

#[tokio::test]
async fn what_cannot_be_opened_says_what_to_do() {
    let Some(url) = server() else { return };
    let there = table();
    let options = patient;
    DynamoDbStore::create(&url, &there, options()).await.expect("created");
    let nobody = config(&url, None);
    let other = fields("tenant", "id", VERSION);
    let twice = fields("tenant", "key", "key");
    let closed = "dynamodb://?region=us-east-1&endpoint=http://127.0.0.1:1";
    let open = async |url: &str, table: &str, options| DynamoDbStore::open(url, table, options).await;
    let cases = [
        (open(&url, "missing", options()).await, "table: ", "create it"),
        (open(&url, "no name!", options()).await, "table: ", "between 3 and 255"),
        (open(&url, &there, other).await, "table: ", "sort key \"key\""),
        (open(&url, &there, twice).await, "fields: ", "\"key\" names two different things"),
        (open(closed, &there, hasty()).await, "nothing was written, retry: ", "check endpoint"),
        (open("dynamodb://?regoin=x", &there, options()).await, "url: ", "regoin"),
        (open("dynamodb://?endpoint=localhost", &there, options()).await, "url: ", "http://"),
        (open("mysql://x", &there, options()).await, "url: ", "dynamodb://"),
        (DynamoDbStore::open_with(&nobody, &there, options()).await, "credentials: ", "AWS_ACCESS_KEY_ID"),
    ];
    for (result, field, advice) in cases {
        let error = result.expect_err(advice).to_string();
        assert!(error.starts_with(field) && error.contains(advice), "{field}{advice}: {error}");
    }
}

#[tokio::test]
async fn an_item_over_400_kb_is_refused_and_its_neighbours_are_not() {
    let Some(url) = server() else { return };
    let store = create(&url).await;
    let of_bytes = |bytes: usize| document(1, &format!(r#"{{"a":{{"S":"{}"}}}}"#, "x".repeat(bytes)));
    let big = of_bytes(400 * 1024);
    let error = store.put_if_newer(&id("big"), &big).await.expect_err("too big").to_string();
    assert!(error.starts_with("value: 400 KB is the most"), "{error}");
    assert_eq!(store.get(&id("big")).await, Ok(None));
}

#[tokio::test]
async fn a_get_of_more_than_one_answer_holds_is_whole() {
    let Some(url) = server() else { return };
    let store = create(&url).await;
    // 20 MB: DynamoDB omits what is beyond 16.
    let value = |n: u64| document(n, &format!(r#"{{"a":{{"S":"{n}{}"}}}}"#, "x".repeat(380 * 1024)));
    let records: Vec<_> = (1..=55).map(|n| (id(&n.to_string()), value(n))).collect();
    assert_eq!(store.put_many_if_newer(&records).await, Ok(vec![Copied::Written; 55]));
    let ids: Vec<_> = records.iter().map(|(id, _)| id.clone()).collect();
    let all = store.get_many(&ids).await.expect("read");
    assert!(all.into_iter().eq(records.into_iter().map(|(_, record)| Some(record))), "in their order");
}

#[tokio::test]
async fn a_server_that_goes_away_in_mid_batch_loses_nothing() {
    let Some(url) = server() else { return };
    let (proxy, far) = Proxy::before(&url).await;
    let table = table();
    let options = DynamoDbOptions { concurrency: NonZeroUsize::new(8).expect("not 0"), ..hasty() };
    let store = DynamoDbStore::create(&far, &table, options).await.expect("created");
    let records = many(300);
    proxy.cut_after_requests(80);
    let error = store.put_many_if_newer(&records).await.expect_err("cut off");
    assert!(matches!(error, StoreError::Indeterminate { .. } | StoreError::NotApplied { .. }), "{error}");
    let error = store.get(&id("key-1")).await.expect_err("still away");
    assert!(matches!(error, StoreError::NotApplied { .. }), "{error}");

    proxy.mend();
    let answers = store.put_many_if_newer(&records).await.expect("it is back");
    assert!(answers.contains(&Copied::Present), "what was written before the cut");
    assert!(answers.contains(&Copied::Written), "and what was not");
    let direct = DynamoDbStore::open(&url, &table, patient()).await.expect("opened");
    for (id, record) in records {
        assert_eq!(direct.get(&id).await, Ok(Some(record)));
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_called_unwritten() {
    let Some(url) = server() else { return };
    let (proxy, far) = Proxy::before(&url).await;
    let table = table();
    let far = DynamoDbStore::create(&far, &table, hasty()).await.expect("created");
    let near = DynamoDbStore::open(&url, &table, patient()).await.expect("opened");
    a_lost_answer_is_not_called_unwritten(&far, &near, &proxy).await;
    proxy.mend();
    a_lost_answer_of_several_is_not_called_unwritten(&far, &near, &proxy, "several-1").await;
}

#[tokio::test]
async fn a_table_that_removes_items_on_its_own_is_told() {
    let Some(url) = server() else { return };
    let name = table();
    let store = DynamoDbStore::create(&url, &name, patient()).await.expect("created");
    assert_eq!(store.removes_by().await, Ok(None));
    let ttl = aws_sdk_dynamodb::types::TimeToLiveSpecification::builder()
        .attribute_name("expires_at")
        .enabled(true)
        .build()
        .expect("whole");
    let credentials = Credentials::new("test", "test", None, None, "test");
    let client = Client::new(&config(&url, Some(credentials)));
    client.update_time_to_live().table_name(name).time_to_live_specification(ttl).send().await.expect("set");
    assert_eq!(store.removes_by().await, Ok(Some("expires_at".to_owned())));
    assert_eq!(store.warnings().await, Ok(Vec::new()));
}
