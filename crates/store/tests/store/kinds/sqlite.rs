//! The same types in SQLite, which has few of its own.

use cutover_store::{SqliteOptions, SqliteStore};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::*;

#[tokio::test]
async fn each_type_comes_back() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("store.db");
    let store = SqliteStore::create(&path, kinds(Dialect::Sqlite, "kinds"), SqliteOptions::default()).await;
    let store = store.expect("created");
    each_comes_back(&store, Dialect::Sqlite).await;
    a_value_that_would_change_is_refused(&store).await;
}

#[tokio::test]
async fn columns_declared_as_elsewhere_hold_the_same() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("store.db");
    let connect = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&connect).await.expect("open");
    let create = |ubig: &str| {
        format!(
            "CREATE TABLE kinds (tenant TEXT NOT NULL, key TEXT NOT NULL, cutover_version INTEGER NOT NULL DEFAULT 0, \
             cutover_deleted INTEGER NOT NULL DEFAULT 0, tiny TINYINT, utiny INT, small SMALLINT, usmall INT, whole \
             INT, uwhole INT, ubig {ubig}, single FLOAT, both DOUBLE, code CHAR(4), guid TEXT, raw BLOB, day DATE, \
             clock TIME, made DATETIME, zoned TIMESTAMP, sent DATETIME, flags INT, bits TEXT, state VARCHAR(9), \
             ref VARCHAR(20), items_0_sku VARCHAR(9), items_1_sku VARCHAR(9), plain TEXT, rest TEXT, PRIMARY KEY (tenant, key))"
        )
    };
    sqlx::raw_sql(AssertSqlSafe(create("INT"))).execute(&mut connection).await.expect("created");
    let open = || SqliteStore::open(&path, kinds(Dialect::Sqlite, "kinds"), SqliteOptions::default());
    let error = open().await.expect_err("too small").to_string();
    assert!(error.contains("column ubig is \"INT\" and has to be TEXT"), "{error}");
    let again = format!("DROP TABLE kinds; {}", create("TEXT"));
    sqlx::raw_sql(AssertSqlSafe(again)).execute(&mut connection).await.expect("created");
    each_comes_back(&open().await.expect("it fits"), Dialect::Sqlite).await;
}
