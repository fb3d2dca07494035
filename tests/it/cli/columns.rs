//! Records that are stored whole in one store and in columns in the other: moved, compared, moved back.

use std::{path::Path, sync::Arc};

use cutover_store::{
    Id, Record, SqliteOptions, SqliteStore, Store, Version,
    document::Document,
    spec::{Missing, Spec},
};
use serde_json::json;
use tempfile::TempDir;

use super::{at, ramp};
use crate::support::server::Controller;

const RECORDS: u64 = 600;

fn id(n: u64) -> Id {
    Id::new(&format!("shop-{}", n % 7), &format!("order-{n}")).unwrap()
}

/// Everything that documents have; some are deleted.
fn record(n: u64) -> Record {
    let digits = "1234567890".repeat(3);
    let json = match n % 6 {
        0 => return Record { version: Version(n + 1), value: None },
        1 => format!(
            r#"{{"n":{{"N":"{n}"}},"total":{{"N":"{n}.0500000001"}},"address":{{"M":{{"city":{{"S":"Bonn"}}}}}}}}"#
        ),
        2 => format!(
            r#"{{"n":{{"N":"{n}"}},"total":{{"N":"-{digits}{n}"}},"sig":{{"B":"AAEC/w=="}},"tags":{{"SS":["a","b"]}}}}"#
        ),
        3 => format!(
            r#"{{"n":{{"N":"{n}"}},"paid":{{"BOOL":true}},"address":{{"M":{{"city":{{"NULL":true}},"zip":{{"S":"5"}}}}}}}}"#
        ),
        4 => format!(
            r#"{{"n":{{"N":"{n}"}},"lines":{{"L":[{{"NS":["1","2.5"]}},{{"M":{{"x":{{"BS":["AA=="]}}}}}}]}},"paid":{{"NULL":true}}}}"#
        ),
        _ => format!(
            r#"{{"n":{{"N":"{n}"}},"paid":{{"BOOL":false}},"sig":{{"B":""}},"name":{{"S":"\u00e4\ud83d\ude80 '\" "}},"items":{{"L":[{}]}}}}"#,
            vec![r#"{"M":{"sku":{"S":"a"},"at":{"N":"1.5"}}},{"M":{}}"#; n as usize % 4].join(",")
        ),
    };
    let document = Document::decode(json.as_bytes()).unwrap();
    Record { version: Version(n + 1), value: Some(document.encode().unwrap()) }
}

async fn source(path: &Path, records: impl Iterator<Item = (Id, Record)>) -> SqliteStore {
    let store = SqliteStore::create(path, "orders", SqliteOptions::default()).await.unwrap();
    store.put_many_if_newer(&records.collect::<Vec<_>>()).await.unwrap();
    store
}

const COLUMNS: &str = r#"
tenant = "shop"
key = "order_no"
version = "v"
deleted = "gone"
overflow = "rest"
columns = [
    { name = "n", type = "bigint", required = true },
    { name = "total", type = "decimal(43,10)" },
    { name = "city", from = "address.city", type = "varchar(40)" },
    { name = "paid", type = "boolean" },
    { name = "sig", type = "blob" },
    { name = "lines", type = "json" },
]
"#;

/// The same, with a table for the items.
fn with_items() -> String {
    format!(
        "{COLUMNS}[[target.children]]\nfrom = \"items\"\ntable = \"items_{}\"\nkey = \"of_order\"\noverflow = \"rest\"\n\
         columns = [{{ name = \"sku\", type = \"varchar(9)\" }}]\n",
        std::process::id()
    )
}

/// Writes the spec of a move from `source.db` to a table of columns; its path, and the spec.
fn spec(dir: &TempDir, target: &str, columns: &str) -> (String, Spec) {
    let text = format!(
        "migration = \"orders\"\nresidual_ms = 0\n[source]\nurl = \"sqlite:{}/source.db\"\ntable = \"orders\"\n\
         [target]\nurl = \"{target}\"\ntable = \"{}_{}\"\n{columns}",
        dir.path().display(),
        if columns.contains("children") { "with_items" } else { "orders" },
        std::process::id()
    );
    let path = dir.path().join("orders.toml");
    std::fs::write(&path, &text).unwrap();
    (path.display().to_string(), text.parse().unwrap())
}

async fn open(spec: &Spec) -> Arc<dyn Store> {
    spec.target.open(Missing::Refuse, |_| None).await.unwrap()
}

async fn is_moved_compared_and_moved_back(target: &str, columns: &str, dir: &TempDir) {
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source one --target other").await.done();
    let whole = source(&dir.path().join("source.db"), (0..RECORDS).map(|n| (id(n), record(n)))).await;
    let (path, spec) = spec(dir, target, columns);

    ramp(url, "--mirrored").await;
    let told = at(url, &format!("backfill {path} --create-tables --dry-run")).await.done();
    assert!(told.contains("checked 600 records of the source: all fit"), "{told}");
    let told = at(url, &format!("backfill {path} --create-tables")).await.done();
    assert!(told.contains("clean: 600 scanned, 600 copied"), "{told}");
    ramp(url, "--target-first").await;
    let told = at(url, &format!("backfill {path}")).await.done();
    assert!(told.contains("nothing to copy, 600 there already"), "{told}");
    let verified = at(url, &format!("verify {path} --json")).await.object();
    assert_eq!((&verified["clean"], &verified["counts"]["scanned"]), (&json!(true), &json!(2 * RECORDS)));

    let mapped = open(&spec).await;
    let ids: Vec<Id> = (0..RECORDS).map(id).collect();
    let stored: Vec<_> = (0..RECORDS).map(|n| Some(record(n))).collect();
    assert_eq!(mapped.get_many(&ids).await.unwrap(), stored, "byte by byte");

    // Services write to the target alone: one record is written, one deleted, one created.
    ramp(url, "--target-only").await;
    let newer = |n: u64, of: u64| Record { version: Version(10_000 + n), ..record(of) };
    let written = [(id(1), newer(1, 2)), (id(2), newer(2, 0)), (id(RECORDS), newer(3, 4))];
    mapped.put_many_if_newer(&written).await.unwrap();
    assert_eq!(at(url, "ramp orders --target-only 0 --wait --timeout 20s").await.code, 0);
    let told = at(url, &format!("reverse {path}")).await.done();
    assert!(told.contains("3 copied"), "{told}");
    for (id, record) in written {
        assert_eq!(whole.get(&id).await.unwrap(), Some(record), "byte by byte");
    }
    let verified = at(url, &format!("verify {path} --json")).await.object();
    assert_eq!(verified["clean"], json!(true), "{verified}");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_move_into_columns_of_a_file_and_back() {
    let dir = TempDir::new().unwrap();
    let target = format!("sqlite:{}/target.db", dir.path().display());
    is_moved_compared_and_moved_back(&target, COLUMNS, &dir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_move_into_child_tables_of_a_file_and_back() {
    let dir = TempDir::new().unwrap();
    let target = format!("sqlite:{}/target.db", dir.path().display());
    is_moved_compared_and_moved_back(&target, &with_items(), &dir).await;
}

#[cfg(feature = "mysql")]
#[tokio::test(flavor = "multi_thread")]
async fn records_move_into_columns_of_mariadb_and_back() {
    let Some(target) = crate::support::server::given("CUTOVER_TEST_MYSQL") else { return };
    is_moved_compared_and_moved_back(&target, COLUMNS, &TempDir::new().unwrap()).await;
}

#[cfg(feature = "mysql")]
#[tokio::test(flavor = "multi_thread")]
async fn records_move_into_child_tables_of_mariadb_and_back() {
    let Some(target) = crate::support::server::given("CUTOVER_TEST_MYSQL") else { return };
    is_moved_compared_and_moved_back(&target, &with_items(), &TempDir::new().unwrap()).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn records_move_into_columns_of_postgresql_and_back() {
    let Some(target) = crate::support::server::given("CUTOVER_TEST_POSTGRES") else { return };
    is_moved_compared_and_moved_back(&target, COLUMNS, &TempDir::new().unwrap()).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn records_move_into_child_tables_of_postgresql_and_back() {
    let Some(target) = crate::support::server::given("CUTOVER_TEST_POSTGRES") else { return };
    is_moved_compared_and_moved_back(&target, &with_items(), &TempDir::new().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_would_not_come_through_and_moves_nothing() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source one --target other").await.done();
    let named = |n: u64, name: &str| {
        let value = format!(r#"{{"name":{{"S":"{name}"}}}}"#).into_bytes();
        (id(n), Record { version: Version(n), value: Some(value) })
    };
    let raw = |n: u64| (id(n), Record { version: Version(n), value: Some(b"secret".to_vec()) });
    let fine = (1..50).map(|n| named(n, "short"));
    let bad = (100..107).map(|n| named(n, "a secret that is long")).chain([raw(200)]);
    source(&dir.path().join("source.db"), fine.chain(bad)).await.close().await;
    let target = format!("sqlite:{}/target.db", dir.path().display());
    let columns = "columns = [{ name = \"name\", type = \"varchar(5)\" }]\n";
    let (path, spec) = spec(&dir, &target, columns);

    let said = at(url, &format!("backfill {path} --create-tables --dry-run")).await;
    assert_eq!((said.code, said.err.as_str()), (1, ""), "{said:?}");
    let told = said.out;
    assert!(told.contains("checked 57 records of the source: 8 do not fit:"), "{told}");
    assert!(told.contains("  7 do not fit the target, the first \"shop-"), "{told}");
    assert!(told.contains(": name: 21 characters where varchar(5) takes 5"), "{told}");
    assert!(told.contains("  1 does not fit the target: \"shop-4\"/\"order-200\": value: "), "{told}");
    assert!(!told.contains("secret"), "{told}");
    let said = at(url, &format!("verify {path} --dry-run --json")).await;
    let told: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &told["checked"], &told["misfits"]), (1, &json!(57), &json!(8)));
    assert_eq!(told["reasons"].as_array().unwrap().len(), 2);
    assert_eq!(open(&spec).await.estimate().await.unwrap().records, Some(0), "nothing moved");
    assert_eq!(at(url, "jobs orders").await.done(), "no pass is under way\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_too_small_is_told_when_the_target_is_opened() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source one --target other").await.done();
    source(&dir.path().join("source.db"), (0..9).map(|n| (id(n), record(n)))).await.close().await;
    let target = format!("sqlite:{}/target.db", dir.path().display());
    let (path, _) = spec(&dir, &target, "columns = [{ name = \"n\", type = \"text\" }]\n");
    at(url, &format!("backfill {path} --create-tables --dry-run")).await;
    let (path, _) =
        spec(&dir, &target, "columns = [{ name = \"n\", type = \"bigint\" }]\noverflow = \"rest\"\n");
    at(url, &format!("backfill {path} --create-tables")).await.fails(&[
        "the target",
        "column n is \"TEXT\" and has to be INTEGER",
        "it has no column rest",
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_nobody_mapped_are_named_before_they_are_left_behind() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source one --target other").await.done();
    let file = dir.path().join("source.db");
    source(&file, (0..9).map(|n| (id(n), record(n)))).await.close().await;
    let target = format!("sqlite:{}/target.db", dir.path().display());
    let (path, _) = spec(&dir, &target, "");
    let said = at(url, &format!("backfill {path} --create-tables --dry-run")).await.done();
    assert!(!said.contains("warning"), "{said}");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&file);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::raw_sql("ALTER TABLE orders ADD COLUMN balance REAL; ALTER TABLE orders ADD COLUMN note TEXT")
        .execute(&pool)
        .await
        .unwrap();
    let part = "columns of the source are not mapped, so they are NOT copied: balance (REAL), note (TEXT)";
    let said = at(url, &format!("backfill {path} --dry-run")).await.done();
    assert!(said.contains(part), "{said}");
    let json: serde_json::Value =
        serde_json::from_str(&at(url, &format!("backfill {path} --dry-run --json")).await.done()).unwrap();
    assert_eq!(json["unmapped"], json!(["balance (REAL)", "note (TEXT)"]));
    let copied = at(url, &format!("backfill {path}")).await;
    assert!(copied.code == 0 && copied.err.contains(part), "{copied:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_could_not_come_back_is_copied_and_named() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source one --target other").await.done();
    let text = |name: &str| {
        let dir = dir.path().display();
        format!(
            "migration = \"orders\"\n[source]\nurl = \"sqlite:{dir}/source.db\"\ntable = \"people\"\n\
             columns = [{{ name = \"name\", type = \"{name}\" }}]\n\
             [target]\nurl = \"sqlite:{dir}/target.db\"\ntable = \"people\"\n"
        )
    };
    let wide: Spec = text("text").parse().unwrap();
    let source = wide.source.open(Missing::Create, |_| None).await.unwrap();
    let named = |name: &str| {
        let document = Document::decode(format!(r#"{{"name":{{"S":"{name}"}}}}"#).as_bytes()).unwrap();
        Record { version: Version(1), value: Some(document.encode().unwrap()) }
    };
    source.put_many_if_newer(&[(id(1), named("Ada")), (id(2), named("Wilhelmine"))]).await.unwrap();
    drop(source);
    let path = dir.path().join("people.toml");
    std::fs::write(&path, text("varchar(5)")).unwrap();
    let path = path.display();
    let dry = at(url, &format!("backfill {path} --create-tables --dry-run")).await;
    assert!(dry.code == 1 && dry.out.contains("1 does not fit the source: "), "{dry:?}");
    let told = at(url, &format!("backfill {path}")).await.done();
    assert!(told.contains(" clean: 2 scanned, 2 copied"), "{told}");
    let why = "\"order-2\" could not come back to the source: name: 10 characters where varchar(5) takes 5";
    assert!(told.contains(why), "{told}");
    controller.stop().await;
}
