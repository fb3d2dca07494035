//! A single-table design: a DynamoDB table whose keys begin with the type of a record moves to a table for each type, with
//! numbers and UUIDs as keys, and back.

use std::{collections::BTreeMap, sync::Arc};

use cutover_store::{
    Id, Record, Scope, Segment, Store, Version,
    spec::{Missing, Spec},
};
use serde_json::json;
use tempfile::TempDir;

use super::{
    at,
    documents::{Keys, Raw},
    draft_sql::Admin,
    ramp,
};
use crate::support::server::{Controller, given};

fn order(version: u64, total: u64) -> Record {
    let value = format!(r#"{{"total":{{"N":"{total}"}}}}"#);
    Record { version: Version(version), value: Some(value.into_bytes()) }
}

fn user(version: u64, name: &str) -> Record {
    let value = format!(r#"{{"name":{{"S":"{name}"}}}}"#);
    Record { version: Version(version), value: Some(value.into_bytes()) }
}

fn id(org: u64, key: &str) -> Id {
    Id::new(&format!("ORG#{org}"), key).unwrap()
}

fn user_key(n: u64) -> String {
    format!("USER#00000000-0000-4000-8000-{n:012x}")
}

/// 4 organizations with 30 orders and 10 users each. Their numbers are in another order than their texts.
fn records() -> BTreeMap<Id, Record> {
    let orders = (1..=120_u64).map(|n| (id(n % 4 * 7, &format!("ORDER#{}", n * n)), order(n, n)));
    let users = (1..=40_u64).map(|n| (id(n % 4 * 7, &user_key(n * 77)), user(n, &format!("user {n}"))));
    orders.chain(users).collect()
}

async fn all(store: &dyn Store) -> BTreeMap<Id, Record> {
    let (mut all, mut cursor) = (BTreeMap::new(), None);
    loop {
        let page = store.scan(&Scope::All, Segment::ALL, cursor.as_ref(), 1 << 20).await.unwrap();
        assert_eq!(page.unreadable, []);
        for (id, record) in page.records {
            assert_eq!(all.insert(id, record), None, "each once");
        }
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

async fn moves_to_tables_of_numbers_and_back(admin: Admin, target: &str, uuid: &str, story: &str) {
    let Some(source) = given("CUTOVER_TEST_DYNAMODB") else { return };
    let dir = TempDir::new().unwrap();
    let name = format!("single_{story}_{}", std::process::id());
    let (orders, users) = (format!("{name}_orders"), format!("{name}_users"));
    let text = if matches!(admin, Admin::MySql(_)) { "CHARACTER SET utf8mb4" } else { "" };
    for (table, key, content) in [
        (&orders, "BIGINT", "total BIGINT NOT NULL".to_owned()),
        (&users, uuid, format!("name VARCHAR(40) {text} NOT NULL")),
    ] {
        admin.sql(format!("DROP TABLE IF EXISTS {table}, cutover_ledger_{table}")).await;
        admin
            .sql(format!(
                "CREATE TABLE {table} (org INT NOT NULL, id {key} NOT NULL, {content}, PRIMARY KEY (org, id))"
            ))
            .await;
    }
    let of_type = |prefix: &str, table: &str, column: &str| {
        format!(
            "[[target.types]]\nkey_prefix = \"{prefix}#\"\nstrip_prefix = \"{prefix}#\"\nstrip_tenant_prefix = \"ORG#\"\n\
             table = \"{table}\"\ntenant = \"org\"\nkey = \"id\"\nversions = \"ledger\"\ncolumns = [{column}]\n"
        )
    };
    let text = format!(
        "migration = \"orders\"\nresidual_ms = 0\nquarantine_table = \"{name}_q\"\n[source]\nurl = \"{}\"\n\
         tenant = \"PK\"\nkey = \"SK\"\n[target]\nurl = \"{target}\"\n{}{}[limits]\nchunk_bytes = 1000\nsegments = 3\n",
        source.replace("dynamodb://", &format!("dynamodb://{name}")),
        of_type("ORDER", &orders, "{ name = \"total\", type = \"bigint\", required = true }"),
        of_type("USER", &users, "{ name = \"name\", type = \"varchar(40)\", required = true }"),
    );
    let path = dir.path().join("shop.toml");
    std::fs::write(&path, &text).unwrap();
    let (path, spec) = (path.display().to_string(), text.parse::<Spec>().unwrap());
    let items: Arc<dyn Store> = spec.source.open(Missing::Create, |_| None).await.unwrap();
    let mut expected = records();
    items.put_many_if_newer(&expected.clone().into_iter().collect::<Vec<_>>()).await.unwrap();
    // `ORDER#1` is there as well: in a BIGINT both would be one row.
    let misfits = [
        (id(7, "ORDER#01"), order(1, 1), "the column would give it back as 1"),
        (id(7, &user_key(77).replace("4d", "4D")), user(1, "x"), "which is another id"),
        (id(7, "ORDER#"), order(1, 1), "has nothing after"),
        (Id::new("acme", "ORDER#1").unwrap(), order(1, 1), "does not begin with \"ORG#\""),
        (id(7, "INVOICE#1"), order(1, 1), "no record type takes it"),
    ];
    for (id, record, _) in &misfits {
        items.put_if_newer(id, record).await.unwrap();
    }

    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source one --target other").await.done();
    let dry = at(url, &format!("backfill {path} --dry-run --full --create-tables")).await;
    assert!(dry.code == 1 && dry.out.contains("checked 165 records of the source: 5 do not fit"), "{dry:?}");
    ramp(url, "--mirrored").await;
    let said = at(url, &format!("backfill {path} --create-tables")).await;
    let told = format!("{}{}", said.out, said.err);
    assert!(said.code != 0 && told.contains("160 copied"), "{told}");
    for (misfit, _, why) in &misfits {
        let place = format!("{:?}/{:?}", misfit.tenant, misfit.key);
        assert!(
            dry.out.contains(why) && told.contains(why) && told.contains(&place),
            "{place} {why}: {told}"
        );
    }
    let stored: Arc<dyn Store> = spec.target.open(Missing::Refuse, |_| None).await.unwrap();
    assert_eq!(all(&*stored).await, expected);
    for (table, rows) in [(&orders, 120), (&users, 40)] {
        assert_eq!(admin.count(format!("SELECT COUNT(*) FROM {table}")).await, rows);
    }
    assert_eq!(admin.count(format!("SELECT COUNT(*) FROM {orders} WHERE org = 7 AND id = 25")).await, 1);

    // Outright: a tombstone would still have an id that does not fit.
    let address = source.rsplit_once("http://").unwrap().1.to_owned();
    let raw = Raw { address, table: name.clone(), keys: Keys::Texts };
    for (misfit, ..) in &misfits {
        let key = json!({ "PK": { "S": misfit.tenant }, "SK": { "S": misfit.key } });
        raw.call("DeleteItem", json!({ "Key": key })).await;
        assert_eq!(items.get(misfit).await.unwrap(), None);
    }
    at(url, &format!("quarantine retry {path}")).await;
    let told = at(url, &format!("backfill {path}")).await.done();
    assert!(told.contains("nothing to copy, 160 there already"), "{told}");
    let verified = at(url, &format!("verify {path} --json")).await.object();
    assert_eq!(
        (&verified["clean"], &verified["counts"]["compared"]),
        (&json!(true), &json!(160)),
        "{verified}"
    );
    ramp(url, "--target-first").await;
    let told = at(url, &format!("backfill {path}")).await.done();
    assert!(told.contains("nothing to copy, 160 there already"), "{told}");
    ramp(url, "--target-only").await;

    // Services write to the target alone.
    let written = [
        (id(7, "ORDER#25"), order(900, 9)),
        (id(0, "ORDER#16"), Record { version: Version(901), value: None }),
        (id(21, "ORDER#1000000"), order(902, 1)),
        (id(28, &user_key(1)), user(903, "new")),
    ];
    stored.put_many_if_newer(&written).await.unwrap();
    expected.extend(written);
    assert_eq!(at(url, "ramp orders --target-only 0 --wait --timeout 20s").await.code, 0);
    let told = at(url, &format!("reverse {path}")).await.done();
    assert!(told.contains("4 copied"), "{told}");
    assert_eq!(all(&*items).await, expected);
    let verified = at(url, &format!("verify {path} --json")).await.object();
    assert_eq!(verified["clean"], json!(true), "{verified}");

    // The same rows are other records with another spec, so it is another table for the controller.
    let other = text.replace("strip_tenant_prefix = \"ORG#\"", "strip_tenant_prefix = \"OR\"");
    std::fs::write(&path, other).unwrap();
    let said = at(url, &format!("verify {path}")).await;
    assert!(said.code != 0 && format!("{}{}", said.out, said.err).contains("without"), "{said:?}");
    for table in [&orders, &users] {
        admin.sql(format!("DROP TABLE {table}, cutover_ledger_{table}")).await;
    }
    admin.sql(format!("DROP TABLE {name}_q")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_table_moves_to_tables_of_numbers_in_mariadb() {
    let Some(url) = given("CUTOVER_TEST_MYSQL") else { return };
    let admin = Admin::connect(&url).await;
    moves_to_tables_of_numbers_and_back(admin, &url, "BINARY(16)", "my").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_table_moves_to_tables_of_numbers_in_postgresql() {
    let Some(url) = given("CUTOVER_TEST_POSTGRES") else { return };
    let admin = Admin::connect(&url).await;
    moves_to_tables_of_numbers_and_back(admin, &url, "UUID", "pg").await;
}
