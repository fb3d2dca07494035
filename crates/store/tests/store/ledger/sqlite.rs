//! In SQLite: a lost ledger.

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
