//! DynamoDB items written by applications without an SDK: moved to MariaDB, compared, moved back.

use std::sync::Arc;

use cutover_store::{
    Id, Record, Scope, Segment, Store, Version,
    document::{Attribute, Document},
    spec::{Missing, Spec},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{at, ramp};
use crate::support::server::{Controller, given};

const ITEMS: u64 = 60;

/// Talks to DynamoDB directly, so that none of our code stands between a story and an item.
pub(super) struct Raw {
    pub(super) address: String,
    pub(super) table: String,
    pub(super) keys: Keys,
}

/// The types of an item's key.
#[derive(Clone, Copy)]
pub(super) enum Keys {
    Texts,
    /// Bytes and a number.
    Typed,
}

impl Keys {
    /// The types of customer and order.
    fn types(self) -> [&'static str; 2] {
        match self {
            Self::Texts => ["S", "S"],
            Self::Typed => ["B", "N"],
        }
    }

    fn id(self, n: u64) -> Id {
        let (customer, order) = match self {
            Self::Texts => (format!("customer-{}", n % 5), format!("order-{n}")),
            Self::Typed => {
                (["AA==", "AQ==", "+/8=", "Aw==", "BAUG"][n as usize % 5].to_owned(), format!("-{n}.25"))
            }
        };
        Id::new(&customer, &order).unwrap()
    }

    /// DynamoDB writes bytes as ids do.
    fn of(self, id: &Id) -> Value {
        let [customer, order] = self.types();
        json!({ "customer": { customer: id.tenant }, "order_id": { order: id.key } })
    }

    /// An item in the form in which DynamoDB returns it: numbers and sets are already in its own order and
    /// notation.
    fn item(self, n: u64) -> Value {
        let mut item = self.of(&self.id(n));
        item["n"] = json!({ "N": n.to_string() });
        let more = match n % 5 {
            0 => {
                json!({ "total": { "N": format!("{n}.0500000001") }, "digits": { "N": format!("1234567890123456789012345678901234567{}", n % 9 + 1) } })
            }
            1 => {
                json!({ "sig": { "B": "AAEC/w==" }, "tags": { "SS": ["a", "b"] }, "sizes": { "NS": ["-1", "2.5"] } })
            }
            2 => {
                json!({ "address": { "M": { "city": { "S": "Bonn" }, "zip": { "NULL": true } } }, "paid": { "NULL": true } })
            }
            3 => {
                json!({ "lines": { "L": [{ "M": { "x": { "BS": ["AA=="] } } }, { "N": "-0.5" }, { "L": [] }] }, "paid": { "BOOL": false } })
            }
            _ => {
                json!({ "name": { "S": "\u{e4}\u{1f680} \u{0} '\" " }, "sig": { "B": "" }, "none": { "S": "" }, "map": { "M": {} } })
            }
        };
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        item
    }
}

impl Raw {
    pub(super) async fn call(&self, verb: &str, mut request: Value) -> Value {
        request["TableName"] = json!(self.table);
        let body = request.to_string();
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let head = format!(
            "POST / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nx-amz-target: DynamoDB_20120810.{verb}\r\n\
             content-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\nauthorization: AWS4-HMAC-SHA256 \
             Credential=test/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{verb}: {answer}");
        let (from, upto) = (answer.find("\r\n\r\n").unwrap(), answer.rfind('}').unwrap());
        let body = &answer[from..=upto];
        serde_json::from_str(&body[body.find('{').unwrap()..]).unwrap()
    }

    async fn create(&self) {
        let key = |name: &str, role: &str| json!({ "AttributeName": name, "KeyType": role });
        let typed = |name: &str, kind: &str| json!({ "AttributeName": name, "AttributeType": kind });
        let [customer, order] = self.keys.types();
        let request = json!({
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [key("customer", "HASH"), key("order_id", "RANGE")],
            "AttributeDefinitions": [typed("customer", customer), typed("order_id", order)],
        });
        self.call("CreateTable", request).await;
    }

    async fn put(&self, item: Value) {
        self.call("PutItem", json!({ "Item": item })).await;
    }

    async fn get(&self, id: &Id) -> Value {
        let request = json!({ "Key": self.keys.of(id), "ConsistentRead": true });
        self.call("GetItem", request).await["Item"].take()
    }
}

/// Sets have no order.
fn sorted(mut value: Value) -> Value {
    match &mut value {
        Value::Array(them) => them.iter_mut().for_each(|it| *it = sorted(it.take())),
        Value::Object(them) => {
            for (name, it) in them.iter_mut() {
                *it = sorted(it.take());
                if let ("SS" | "NS" | "BS", Value::Array(them)) = (name.as_str(), it) {
                    them.sort_by_key(Value::to_string);
                }
            }
        }
        _ => {}
    }
    value
}

const COLUMNS: &str = r#"
tenant = "shop"
key = "order_no"
overflow = "rest"
columns = [
    { name = "n", type = "bigint", required = true },
    { name = "total", type = "decimal(43,10)" },
    { name = "city", from = "address.city", type = "varchar(6)" },
    { name = "paid", type = "boolean" },
    { name = "sig", type = "blob" },
    { name = "rows_of", from = "lines", type = "json" },
]
"#;

/// A table of items, a spec that moves it to MariaDB, and its path; `None`: there are no servers.
async fn world(dir: &TempDir, story: &str, keys: Keys, columns: &str) -> Option<(Raw, Spec, String)> {
    let (source, target) = (given("CUTOVER_TEST_DYNAMODB")?, given("CUTOVER_TEST_MYSQL")?);
    let name = format!("documents_{story}_{}", std::process::id());
    let address = source.rsplit_once("http://").unwrap().1.to_owned();
    let raw = Raw { address, table: name.clone(), keys };
    raw.create().await;
    for n in 0..ITEMS {
        raw.put(keys.item(n)).await;
    }
    let [customer, order] = keys.types();
    let text = format!(
        "migration = \"orders\"\nresidual_ms = 0\nquarantine_table = \"{name}_q\"\n\
         [source]\nurl = \"{}\"\ntenant = \"customer\"\nkey = \"order_id\"\nversion = \"_version\"\n\
         deleted = \"_deleted\"\ntenant_type = \"{customer}\"\nkey_type = \"{order}\"\n[target]\nurl = \"{target}\"\ntable = \"{name}\"\n{columns}",
        source.replace("dynamodb://", &format!("dynamodb://{name}"))
    );
    let path = dir.path().join("orders.toml");
    std::fs::write(&path, &text).unwrap();
    Some((raw, text.parse().unwrap(), path.display().to_string()))
}

async fn items_move_there_and_back(story: &str, keys: Keys, columns: &str) {
    let dir = TempDir::new().unwrap();
    let Some((raw, spec, path)) = world(&dir, story, keys, columns).await else { return };
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source one --target other").await.done();
    ramp(url, "--mirrored").await;
    let told = at(url, &format!("backfill {path} --create-tables --dry-run")).await.done();
    assert!(told.contains("checked 60 records of the source: all fit"), "{told}");
    // 60 items of less than 400 bytes are at most 6 units of 4 KB.
    let units = told.lines().find_map(|line| line.strip_prefix("estimate: DynamoDB source, at most "));
    let (reads, rest) = units.and_then(|units| units.split_once(' ')).expect(&told);
    assert!((1..=6).contains(&reads.parse::<u64>().unwrap()), "{told}");
    assert_eq!(rest, "read units (strongly consistent) and 0 write units");
    let told = at(url, &format!("backfill {path} --create-tables")).await.done();
    assert!(told.contains("clean: 60 scanned, 60 copied"), "{told}");
    let told = at(url, &format!("verify {path} --json")).await.object();
    assert_eq!((&told["clean"], &told["counts"]["scanned"]), (&json!(true), &json!(2 * ITEMS)));
    ramp(url, "--target-first").await;
    let told = at(url, &format!("backfill {path}")).await.done();
    assert!(told.contains("nothing to copy, 60 there already"), "{told}");
    ramp(url, "--target-only").await;

    // Services write to the target alone: one item is replaced, one deleted, one created.
    let target: Arc<dyn Store> = spec.target.open(Missing::Refuse, |_| None).await.unwrap();
    let content = |n: u64| {
        let mut content = keys.item(n);
        let attributes = content.as_object_mut().unwrap();
        attributes.retain(|name, _| name != "customer" && name != "order_id");
        Document::decode(content.to_string().as_bytes()).unwrap().encode().unwrap()
    };
    let record = |value| Record { version: Version(77), value };
    let written = [
        (keys.id(1), record(Some(content(7)))),
        (keys.id(2), record(None)),
        (keys.id(ITEMS), record(Some(content(ITEMS)))),
    ];
    target.put_many_if_newer(&written).await.unwrap();
    assert_eq!(at(url, "ramp orders --target-only 0 --wait --timeout 20s").await.code, 0);
    let told = at(url, &format!("reverse {path}")).await.done();
    assert!(told.contains("3 copied"), "{told}");

    let versioned = |id: &Id, mut item: Value| {
        item["_version"] = json!({ "N": "77" });
        item.as_object_mut().unwrap().extend(keys.of(id).as_object().unwrap().clone());
        item
    };
    for n in (0..ITEMS).filter(|n| ![1, 2].contains(n)) {
        assert_eq!(sorted(raw.get(&keys.id(n)).await), sorted(keys.item(n)), "as it was, to the last digit");
    }
    assert_eq!(
        sorted(raw.get(&keys.id(1)).await),
        versioned(&keys.id(1), keys.item(7)),
        "what the value lacks is gone"
    );
    assert_eq!(raw.get(&keys.id(2)).await, versioned(&keys.id(2), json!({ "_deleted": { "BOOL": true } })));
    assert_eq!(sorted(raw.get(&keys.id(ITEMS)).await), versioned(&keys.id(ITEMS), keys.item(ITEMS)));
    let told = at(url, &format!("verify {path} --json")).await.object();
    assert_eq!(told["clean"], json!(true), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn items_move_whole_to_mariadb_and_back() {
    items_move_there_and_back("whole", Keys::Texts, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn items_move_into_columns_of_mariadb_and_back() {
    items_move_there_and_back("columns", Keys::Texts, COLUMNS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn items_with_numbers_and_bytes_as_keys_move_to_mariadb_and_back() {
    items_move_there_and_back("keys", Keys::Typed, COLUMNS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_move_is_named_and_blocks_the_gate_until_it_does() {
    let dir = TempDir::new().unwrap();
    let Some((raw, spec, path)) = world(&dir, "misfits", Keys::Texts, COLUMNS).await else { return };
    let city = |city: &str| {
        let mut long = Keys::Texts.item(2);
        long["address"]["M"]["city"]["S"] = json!(city);
        long
    };
    raw.put(city("Rotterdam")).await;
    let mut odd = Keys::Texts.item(3);
    odd["_version"] = json!({ "S": "three" });
    raw.put(odd).await;
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source one --target other").await.done();
    ramp(url, "--mirrored").await;
    let said = at(url, &format!("backfill {path} --create-tables")).await;
    assert_eq!(said.code, 1, "{said:?}");
    for part in [
        "58 copied",
        "QUARANTINED",
        "quarantined \"customer-2\"/\"order-2\": city: attribute address.city: 9 characters",
        "quarantined \"customer-3\"/\"order-3\", which can't be read: _version: an item has a string",
        "not clean",
    ] {
        assert!(said.out.contains(part), "{part} in {}", said.out);
    }
    at(url, "ramp orders --target-first 100").await.fails(&["was not clean"]);

    let quarantine = spec.open_quarantine(Missing::Refuse, |_| None).await.unwrap().unwrap();
    let rows = async || {
        let scope = Scope::Tenant("orders".to_owned());
        let page = quarantine.scan(&scope, Segment::ALL, None, 1 << 20).await.unwrap();
        let documents = page.records.into_iter().filter_map(|(_, row)| row.value);
        documents.map(|value| Document::decode(&value).unwrap()).collect::<Vec<_>>()
    };
    let kept = rows().await;
    let [long, odd] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!(long.0["key"], Attribute::S("order-2".to_owned()));
    let Attribute::M(value) = &long.0["value"] else { panic!("{long:?}") };
    let Attribute::M(address) = &value["address"] else { panic!("{value:?}") };
    assert_eq!(address["city"], Attribute::S("Rotterdam".to_owned()), "the value itself, as it was");
    assert_eq!((&odd.0["key"], odd.0.get("value")), (&Attribute::S("order-3".to_owned()), None));

    // Corrected in place.
    raw.put(city("Bonn")).await;
    raw.put(Keys::Texts.item(3)).await;
    let told = at(url, &format!("backfill {path}")).await.done();
    assert!(told.contains("clean: 60 scanned, 2 copied"), "{told}");
    assert_eq!(rows().await, Vec::new(), "and out of quarantine");
    ramp(url, "--target-first").await;
}
