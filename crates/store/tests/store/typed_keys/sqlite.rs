//! Numbers as keys of a SQLite file.

use std::path::Path;

use cutover_core::outcome::ErrorClass;
use cutover_store::{
    Copied, KeyRange, SqliteOptions, SqliteStore,
    mapping::{Dialect, Fields, Mapping, OnMisfit},
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    super::columns::{column, record as of, refused},
    *,
};

async fn admin(path: &Path) -> SqliteConnection {
    let connect = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    SqliteConnection::connect_with(&connect).await.expect("open")
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_pass_the_suite() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("store.db");
    let mut admin = admin(&path).await;
    for (n, (types, kinds)) in [
        (["INTEGER", "BIGINT"], [Kind::Number(64), Kind::Number(64)]),
        (["TEXT", "INTEGER"], [Kind::Text, Kind::Number(64)]),
        (["INT", "TEXT"], [Kind::Number(64), Kind::Text]),
    ]
    .into_iter()
    .enumerate()
    {
        for versions in BOTH {
            let mut stores = Vec::new();
            for at in 0..suite::STORES {
                let name = format!("typed_{n}_{at}_{}", versions == Versions::Ledger);
                let content = match versions {
                    Versions::Columns => "cutover_version INTEGER NOT NULL DEFAULT 0, value BLOB",
                    Versions::Ledger | Versions::Absent => "value BLOB NOT NULL",
                };
                let [tenant, key] = types;
                let create = format!(
                    "CREATE TABLE {name} ({content}, tenant {tenant} NOT NULL, key {key} NOT NULL, PRIMARY KEY (tenant, key))"
                );
                sql(&mut admin, create).await;
                let options = SqliteOptions { durable: false, ..SqliteOptions::default() };
                let store = SqliteStore::create(&path, super::of(&name, versions), options).await;
                let store: Box<dyn Store> = Box::new(store.expect("it fits"));
                assert!(store.scan_order() != ScanOrder::Bytes, "{types:?}");
                stores.push(Keyed::new(store, kinds));
            }
            suite::run(|| stores.pop().expect("one for each story")).await;
        }
    }
}

/// As nearly every application has it.
#[tokio::test]
async fn a_table_with_an_integer_primary_key_takes_part_as_it_is() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("store.db");
    let mut admin = admin(&path).await;
    sql(
        &mut admin,
        "CREATE TABLE tracks (id INTEGER PRIMARY KEY, name TEXT NOT NULL); \
         INSERT INTO tracks (name) VALUES ('one'), ('two'); INSERT INTO tracks VALUES (-5, 'below'), (10, 'ten')",
    )
    .await;
    let table = || {
        let mapping = Mapping::new(Dialect::Sqlite, vec![column("name", "text")], None, OnMisfit::Quarantine);
        let fields = Fields { tenant: "id".to_owned(), key: "id".to_owned(), ..Fields::default() };
        SqlTable {
            fields,
            versions: Versions::Ledger,
            mapping: Some(mapping.expect("a mapping")),
            ..SqlTable::from("tracks")
        }
    };
    let error =
        SqliteStore::create(&path, table(), SqliteOptions::default()).await.expect_err("rows are there");
    let error = error.to_string();
    let at = error.find("CREATE TABLE").unwrap_or_else(|| panic!("{error}"));
    assert!(error[at..].contains("\"tenant\" INTEGER NOT NULL"), "{error}");
    sql(&mut admin, error[at..].to_owned()).await;
    let store = SqliteStore::open(&path, table(), SqliteOptions::default()).await.expect("as advised");

    let id = |id: &str| Id::new(id, id).expect("valid");
    let json = |name: &str| format!(r#"{{"name":{{"S":"{name}"}}}}"#);
    let page = store.scan(&Scope::All, Segment::ALL, None, usize::MAX).await.expect("scanned");
    assert!(page.unreadable.is_empty(), "{:?}", page.unreadable);
    let found: Vec<_> = page.records.iter().map(|(id, _)| id.key.as_str()).collect();
    assert_eq!(found, ["-5", "1", "2", "10"], "in the order of the numbers");
    let mut read = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.scan(&Scope::All, Segment::ALL, cursor.as_ref(), 1).await.expect("scanned");
        read.extend(page.records.into_iter().map(|(id, _)| id.key));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(read, found, "page by page");

    let new = of(7, &json("new"));
    let put = [(id("10"), new.clone()), (id("42"), new.clone())];
    assert_eq!(store.put_many_if_newer(&put).await, Ok(vec![Copied::Written; 2]));
    assert_eq!(
        store.get_many(&[id("42"), id("042"), id("x")]).await,
        Ok(vec![Some(new.clone()), None, None])
    );
    let tombstone = Record { version: Version(8), value: None };
    assert_eq!(store.put_if_newer(&id("1"), &tombstone).await, Ok(Put::Applied));
    assert_eq!(store.get(&id("1")).await, Ok(Some(tombstone)));
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tracks").fetch_one(&mut admin).await.expect("asked");
    assert_eq!(count, 4, "one new row, one really deleted");
    for (wrong, why) in [
        ("042", "back as 42"),
        ("x", "whole numbers"),
        ("9223372036854775808", "the column takes"),
        ("-9223372036854775808", "the ledger's own id"),
    ] {
        let (_, told) = refused(store.put_if_newer(&id(wrong), &new).await, ErrorClass::Constraint);
        assert!(told.contains(why), "{told}");
        refused(store.check_id(&id(wrong)), ErrorClass::Constraint);
        refused(store.check(&id(wrong), &new), ErrorClass::Constraint);
        assert_eq!(store.get(&id(wrong)).await, Ok(None), "{wrong}");
    }
    assert!(store.list("42", &KeyRange::all(), 10, 1000).await.is_err(), "numbers are not in byte order");
    // Only somebody who writes without the SDK can give a record the ledger's own id.
    sql(&mut admin, "INSERT INTO tracks VALUES (-9223372036854775808, 'least')").await;
    let page = store.scan(&Scope::All, Segment::ALL, None, usize::MAX).await.expect("scanned");
    assert_eq!((page.records.len(), page.unreadable.len()), (5, 1), "{:?}", page.unreadable);
}

/// SQLite has such columns filled with NULL, or not at all, although their type is that of one that numbers itself.
#[tokio::test]
async fn an_integer_primary_key_that_does_not_number_itself_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("store.db");
    let mut admin = admin(&path).await;
    let versions = "cutover_version INTEGER NOT NULL, cutover_deleted INTEGER NOT NULL, value BLOB";
    for (name, key, create, why) in [
        ("descending", "id", format!("id INTEGER PRIMARY KEY DESC, {versions})"), "id has to be NOT NULL"),
        (
            "without_rowid",
            "key",
            format!("id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, {versions}) WITHOUT ROWID"),
            "column id ",
        ),
    ] {
        sql(&mut admin, format!("CREATE TABLE {name} ({create}")).await;
        let fields = Fields { tenant: key.to_owned(), key: key.to_owned(), ..Fields::default() };
        let mapping =
            Mapping::new(Dialect::Sqlite, vec![column("value", "blob")], None, OnMisfit::Quarantine);
        let table = SqlTable { fields, mapping: Some(mapping.expect("a mapping")), ..SqlTable::from(name) };
        let error =
            SqliteStore::open(&path, table, SqliteOptions::default()).await.expect_err(name).to_string();
        assert!(error.contains(why), "{error}");
    }
    #[cfg(feature = "spec")]
    for (name, fills_itself) in [("descending", false), ("without_rowid", false), ("ordinary", true)] {
        sql(&mut admin, "CREATE TABLE IF NOT EXISTS ordinary (id INTEGER PRIMARY KEY)").await;
        let found = SqliteStore::describe(&path, name).await.expect("read").expect("it is there");
        let id = found.columns.iter().find(|column| column.name == "id").expect("it has one");
        assert_eq!(id.fills_itself, fills_itself, "{name}");
    }
}
