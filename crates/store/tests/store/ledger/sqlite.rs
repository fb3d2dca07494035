//! In SQLite: a lost ledger, and programs without the SDK.

use super::*;

#[tokio::test]
async fn a_lost_ledger_is_refused() {
    let (dir, admin) = existing().await;
    let path = dir.path().join("store.db");
    let table = || with_ledger(refusing::table(Dialect::Sqlite, "orders"));
    let store = create(&path, table()).await;
    let admin = tokio::sync::Mutex::new(admin);
    let run = async |text: String| sql(&mut *admin.lock().await, &text).await;
    let open = || SqliteStore::open(&path, table(), SqliteOptions::default());
    let ledger = ledger_sql(Dialect::Sqlite, &table());
    foreign::a_lost_ledger_is_refused(&store, ["orders", &ledger], run, open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_without_the_sdk_take_part_by_triggers() {
    let (dir, mut admin) = existing().await;
    sql(&mut admin, "PRAGMA busy_timeout = 5000; DELETE FROM orders").await;
    let table = refusing::table(Dialect::Sqlite, "orders");
    let store = std::sync::Arc::new(create(&dir.path().join("store.db"), table.clone()).await);
    let admin = tokio::sync::Mutex::new(admin);
    let run = async |text: String| sql(&mut *admin.lock().await, &text).await;
    triggers::installed(Dialect::Sqlite, &with_ledger(table), run).await;
    assert_eq!(store.warnings().await, Ok(Vec::new()));
    triggers::outside_writes_have_versions(&store, ["orders", "tenant", "key"], run).await;
    let run = async |text: String| {
        sql(&mut *admin.lock().await, &text).await;
        true
    };
    triggers::a_pass_overwrites_nobody(&store, ["orders", "key"], run).await;
}
