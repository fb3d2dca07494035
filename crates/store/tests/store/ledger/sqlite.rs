//! In SQLite: a lost ledger, and triggers.

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

#[tokio::test]
async fn programs_take_part_by_triggers() {
    let (dir, admin) = existing().await;
    let store = create(&dir.path().join("store.db"), refusing::table(Dialect::Sqlite, "orders")).await;
    let admin = tokio::sync::Mutex::new(admin);
    let run = async |text: String| sql(&mut *admin.lock().await, &text).await;
    triggers::programs_take_part(&store, ["orders", "tenant", "key"], run).await;
    // Whatever a statement says about conflicts.
    for verb in ["INSERT OR REPLACE", "INSERT OR IGNORE", "REPLACE"] {
        run(format!("{verb} INTO orders (tenant, key, n) VALUES ('t', '{verb}', 1)")).await;
        let first = store.get_versions(&[id(verb)]).await.expect("read")[0].expect("a record");
        run(format!("{verb} INTO orders (tenant, key, n) VALUES ('t', '{verb}', 2)")).await;
        let second = store.get_versions(&[id(verb)]).await.expect("read")[0].expect("a record");
        assert_eq!(second > first, verb != "INSERT OR IGNORE", "{verb}: {first} {second}");
    }
    let (dir, admin) = existing().await;
    let store =
        create(&dir.path().join("store.db"), children::orders(Dialect::Sqlite, "more", Versions::Ledger))
            .await;
    let admin = tokio::sync::Mutex::new(admin);
    let run = async |text: String| sql(&mut *admin.lock().await, &text).await;
    triggers::lines_stamp_their_record(&store, "more_lines", "more", run).await;
}
