//! Child tables of a SQLite file.

use std::path::Path;

use cutover_store::{SqliteOptions, SqliteStore};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{super::servers::sql, *};

async fn create(path: &Path, table: SqlTable) -> SqliteStore {
    SqliteStore::create(path, table, SqliteOptions::default()).await.expect("created")
}

async fn admin(path: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.expect("connected")
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite() {
    for versions in [Versions::Columns, Versions::Ledger] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("store.db");
        let names = of_suite("children");
        passes(Dialect::Sqlite, versions, &names, async |table| create(&path, table).await).await;
        let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(parts_of(&names)));
        let rows: i64 = rows.fetch_one(&mut admin(&path).await).await.expect("counted");
        assert!(rows > 0, "the lists are rows");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_promises_of_lists() {
    for versions in [Versions::Columns, Versions::Ledger] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = |part: &str| dir.path().join(part);
        let made = async |part: &str| create(&path(part), orders(Dialect::Sqlite, "orders", versions)).await;
        every_kind_of_element_comes_back(&made("1").await).await;
        what_is_not_newer_touches_no_row(&made("2").await).await;
        racing_writers_leave_whole_lists(Arc::new(made("3").await)).await;
        let run = async |text: String| sql(&mut admin(&path("4")).await, text).await;
        rows_of_others_are_read_or_refused(&made("4").await, "orders", run).await;
    }
}

#[tokio::test]
async fn every_fault_of_a_child_table_is_told_at_once() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("store.db");
    let of = || orders(Dialect::Sqlite, "orders", Versions::Ledger);
    let open = async || SqliteStore::open(&path, of(), SqliteOptions::default()).await;
    let store = create(&path, of()).await;
    assert_eq!(store.warnings().await, Ok(Vec::new()), "its own foreign keys are none");
    let mut admin = admin(&path).await;
    let lines = "sku TEXT, price TEXT, ratio TEXT, gift INTEGER, photo BLOB, at_shelf TEXT, due TEXT, id TEXT, \
                 more TEXT, price_of_two TEXT AS (price * 2)";
    sql(
        &mut admin,
        format!(
            "DROP TABLE orders_lines; CREATE TABLE orders_lines (tenant TEXT COLLATE NOCASE NOT NULL, \"of\" TEXT, \
             position INTEGER NOT NULL, {}, note TEXT, weight INTEGER NOT NULL)",
            lines.replace("price TEXT", "price NUMERIC")
        ),
    )
    .await;
    let told = open().await.expect_err("many faults").to_string();
    for fault in [
        "\"orders_lines\" in ",
        "column of has to be NOT NULL",
        "column price is \"NUMERIC\" and has to be TEXT",
        "it has no column n. Run: ALTER TABLE",
        "column note is not mapped, and each write of a record deletes its rows here",
        "column weight is not mapped",
        "it has no primary key or unique index on (tenant, of, position)",
        "column tenant has another collation than BINARY",
    ] {
        assert!(told.contains(fault), "{fault}: {told}");
    }
    sql(
        &mut admin,
        format!(
            "DROP TABLE orders_lines; CREATE TABLE orders_lines (tenant TEXT NOT NULL, \"of\" TEXT NOT NULL, \
             position INTEGER NOT NULL, n INTEGER, {lines}, PRIMARY KEY (tenant, \"of\", position)); \
             CREATE TRIGGER dropped BEFORE INSERT ON orders_lines WHEN NEW.sku = '1-1' BEGIN SELECT RAISE(IGNORE); END"
        ),
    )
    .await;
    let store = open().await.expect("mended");
    let warnings = store.warnings().await.expect("asked").join("\n");
    assert!(warnings.contains("orders_lines has no foreign key to orders"), "{warnings}");
    assert!(warnings.contains("orders_lines: trigger dropped runs"), "{warnings}");
    assert_eq!(store.unmapped().await, Ok(vec!["orders_lines.price_of_two (TEXT)".to_owned()]));
    // A row that is dropped takes the whole record with it.
    let refused = store.put_if_newer(&id("k"), &numbered(1, 3)).await.expect_err("a trigger drops a line");
    assert!(refused.to_string().contains("accepted this write and wrote nothing"), "{refused}");
    assert_eq!(store.get(&id("k")).await, Ok(None));
    assert_eq!(store.put_if_newer(&id("k"), &numbered(2, 3)).await, Ok(Put::Applied));
    sql(&mut admin, "DROP TABLE orders_tags").await;
    for opened in [open().await, SqliteStore::create(&path, of(), SqliteOptions::default()).await] {
        let told = opened.expect_err("there are orders, and no tags");
        assert!(
            told.is_no_table() && told.to_string().contains("without it every record lacks tags"),
            "{told}"
        );
    }
}

/// Each write of a record replaces its rows.
#[tokio::test]
async fn foreign_keys_to_rows_are_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("store.db");
    let of = || orders(Dialect::Sqlite, "orders", Versions::Columns);
    let open = async || SqliteStore::open(&path, of(), SqliteOptions::default()).await;
    let refused = async || open().await.expect_err("refused").to_string();
    create(&path, of()).await.close().await;
    let mut admin = admin(&path).await;
    for action in ["CASCADE", "SET NULL", "NO ACTION"] {
        sql(
            &mut admin,
            format!(
                "CREATE TABLE shipments (tenant TEXT, line TEXT, place INTEGER, FOREIGN KEY (tenant, line, place) \
                 REFERENCES orders_lines ON DELETE {action})"
            ),
        )
        .await;
        let fault = format!("of shipments refers to this child table with ON DELETE {action}");
        let told = refused().await;
        assert!(told.contains(&fault), "{told}");
        sql(&mut admin, "DROP TABLE shipments").await;
    }
    let tags = |action: &str| {
        format!(
            "DROP TABLE orders_tags; CREATE TABLE orders_tags (tenant TEXT NOT NULL, \"of\" TEXT NOT NULL, \
             position INTEGER NOT NULL, tag TEXT, PRIMARY KEY (tenant, \"of\", position), \
             FOREIGN KEY (tenant, \"of\", position) REFERENCES orders_lines {action})"
        )
    };
    sql(&mut admin, tags("ON DELETE CASCADE")).await;
    let told = refused().await;
    assert!(told.contains("of orders_tags refers to this child table with ON DELETE CASCADE"), "{told}");
    sql(&mut admin, tags("")).await;
    let store = open().await.expect("a later list refers to an earlier one");
    for record in [numbered(1, 5), numbered(2, 3), numbered(3, 6), tombstone(4)] {
        assert_eq!(store.put_if_newer(&id("k"), &record).await, Ok(Put::Applied));
        assert_eq!(store.get(&id("k")).await, Ok(Some(record)));
    }
}

#[tokio::test]
async fn lists_that_do_not_begin_at_0_are_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("store.db");
    let of = || orders(Dialect::Sqlite, "orders", Versions::Columns);
    let store = create(&path, of()).await;
    for key in ["a", "b", "c"] {
        assert_eq!(store.put_if_newer(&id(key), &numbered(1, 2)).await, Ok(Put::Applied));
    }
    let mut admin = admin(&path).await;
    sql(&mut admin, "UPDATE orders_lines SET position = position + 10").await;
    let told =
        SqliteStore::open(&path, of(), SqliteOptions::default()).await.expect_err("refused").to_string();
    assert!(told.contains("column position is never 0 in the rows of the first 3 records"), "{told}");
    sql(&mut admin, "UPDATE orders_lines SET position = position - 10 WHERE \"of\" = 'b'").await;
    SqliteStore::open(&path, of(), SqliteOptions::default()).await.expect("a gap of some records");
}

/// The statements name a row of a child table by an alias.
#[tokio::test]
async fn no_name_of_a_table_mixes_up_records() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for name in ["c", "t", "l", "record", "asked"] {
        for versions in [Versions::Columns, Versions::Ledger] {
            let path = dir.path().join(format!("{name}_{versions:?}"));
            let store = create(&path, orders(Dialect::Sqlite, name, versions)).await;
            let records = [(id("a"), numbered(1, 2)), (id("b"), numbered(2, 5)), (id("c"), numbered(3, 0))];
            assert_eq!(store.put_many_if_newer(&records).await, Ok(vec![Copied::Written; 3]));
            for (id, record) in &records {
                assert_eq!(store.get(id).await.as_ref(), Ok(&Some(record.clone())), "{name}");
            }
            assert_eq!(scanned(&store, &Scope::All, Segment::ALL, 1 << 20).await, records, "{name}");
        }
    }
}

#[tokio::test]
async fn the_order_of_lists_in_the_spec_makes_no_other_store() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("store.db");
    let table = orders(Dialect::Sqlite, "orders", Versions::Columns);
    let mapping = table.mapping.clone().expect("a mapping");
    let reversed = mapping.children().iter().rev().cloned().collect();
    let mapping = Some(mapping.with_children(reversed).expect("a mapping"));
    let (one, other) =
        (create(&path, table.clone()).await, create(&path, SqlTable { mapping, ..table }).await);
    let (one, other) = (one.identity().await.expect("asked"), other.identity().await.expect("asked"));
    assert_eq!(one.expect("known").id, other.expect("known").id);
}
