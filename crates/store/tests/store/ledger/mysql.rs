//! A ledger on a MySQL or MariaDB server.

use std::sync::Arc;

use cutover_store::{MySqlStore, mapping::Dialect};
use sqlx::{AssertSqlSafe, MySqlPool};
use tokio::sync::{Mutex, Notify};

use super::{
    super::{
        documents,
        documents::Documents,
        servers::{options, sql, table, waiting},
    },
    *,
};

struct Server(MySqlPool);

impl stories::Admin for Server {
    async fn run(&self, text: String) {
        sql(&self.0, text).await;
    }

    async fn count(&self, text: String) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(&self.0).await.expect("counted")
    }

    async fn kill_waiting(&self, table: &str) -> bool {
        let Some(id) = waiting(&self.0, table).await else { return false };
        // It may have ended by itself.
        let kill = sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}"))).execute(&self.0).await;
        kill.is_ok()
    }

    async fn hold(&self, statements: &[String], begun: &Notify, table: &str) {
        let mut lock = self.0.begin().await.expect("begun");
        for statement in statements {
            sql(&mut *lock, statement.clone()).await;
        }
        begun.notify_one();
        while waiting(&self.0, table).await.is_none() {}
        lock.commit().await.expect("committed");
    }
}

async fn server() -> Option<(String, Server)> {
    let url = super::super::servers::url("MySQL", "CUTOVER_TEST_MYSQL")?;
    let admin = MySqlPool::connect(&url).await.expect("connected");
    Some((url, Server(admin)))
}

async fn create(url: &str, table: SqlTable) -> MySqlStore {
    MySqlStore::create(url, table, options()).await.expect("created")
}

on_a_server!(MySqlStore, Dialect::MySql);

#[tokio::test]
async fn the_faults_of_both_tables_are_told_at_once() {
    let Some((url, admin)) = server().await else { return };
    let name = table("ledger_faults");
    let tables = format!(
        "CREATE TABLE {name} (org varchar(64) NOT NULL, id varbinary(1024) NOT NULL, n bigint NOT NULL, \
         rest longtext CHARACTER SET utf8mb4, PRIMARY KEY (org, id)); CREATE TABLE cutover_ledger_{name} \
         (tenant varbinary(256) NOT NULL, `key` varbinary(100) NOT NULL, version int NOT NULL, \
         PRIMARY KEY (`key`, tenant)) ENGINE = MyISAM"
    );
    sql(&admin.0, tables).await;
    let opened = MySqlStore::open(&url, stories::orders(Dialect::MySql, &name), options()).await;
    let error = opened.expect_err("faults").to_string();
    for fault in [
        "column org is varchar(64)",
        "the engine MyISAM",
        "column key is varbinary(100)",
        "column version is int",
        "its primary key is not (tenant,key)",
    ] {
        assert!(error.contains(fault), "{fault}: {error}");
    }
    sql(&admin.0, format!("DROP TABLE {name}, cutover_ledger_{name}")).await;
}

/// Its value is the statement's LAST_INSERT_ID, too.
#[tokio::test]
async fn a_column_with_auto_increment_harms_nothing() {
    let Some((url, admin)) = server().await else { return };
    let name = table("ledger_serial");
    let of = stories::orders(Dialect::MySql, &name);
    sql(&admin.0, stories::create_orders(Dialect::MySql, &name)).await;
    sql(
        &admin.0,
        format!("DELETE FROM {name}; ALTER TABLE {name} ADD COLUMN serial bigint NOT NULL AUTO_INCREMENT, ADD KEY (serial)"),
    )
    .await;
    let store = create(&url, of).await;
    for (key, record) in [("a", record(7, 1)), ("b", record(0, 1))] {
        assert_eq!(store.put_if_unchanged(&id(key), &record, None).await, Ok(Put::Applied), "{key}");
        assert_eq!(store.get(&id(key)).await, Ok(Some(record)));
    }
    assert_eq!(store.put_if_unchanged(&id("a"), &record(8, 1), None).await, Ok(Put::Stale(Version(7))));
    assert_eq!(store.put_if_unchanged(&id("a"), &tombstone(8), Some(Version(7))).await, Ok(Put::Applied));
    // The generated number hides whether a row of version 0 is new. "Present" has its content compared. A batch looks
    // first, and knows.
    assert_eq!(store.put_if_newer(&id("c"), &record(0, 1)).await, Ok(Put::Present));
    assert_eq!(store.get(&id("c")).await, Ok(Some(record(0, 1))));
    let batch = [(id("c"), record(9, 2)), (id("d"), record(0, 1)), (id("e"), record(9, 1))];
    assert_eq!(store.put_many_if_newer(&batch).await, Ok(vec![Copied::Written; 3]));
    sql(&admin.0, stories::drop_orders(&name)).await;
}

/// A user's trigger runs in the SDK's transaction, and writes a table with another ledger.
#[tokio::test]
async fn what_a_users_trigger_writes_is_stamped() {
    let Some((url, admin)) = server().await else { return };
    let [orders, customers] = ["ledger_from", "ledger_to"].map(table);
    let mut stores = Vec::new();
    for name in [&orders, &customers] {
        sql(&admin.0, stories::create_orders(Dialect::MySql, name)).await;
        sql(&admin.0, format!("DELETE FROM {name}")).await;
        let store = create(&url, stories::orders(Dialect::MySql, name)).await;
        sql(&admin.0, format!("INSERT INTO {name} (org, id, n) VALUES ('t', 'a', 1), ('t', 'b', 2)")).await;
        for trigger in store.triggers() {
            sql(&admin.0, trigger.create).await;
        }
        stores.push(store);
    }
    sql(
        &admin.0,
        format!("CREATE TRIGGER user_{orders} AFTER UPDATE ON {orders} FOR EACH ROW UPDATE {customers} SET n = 3 WHERE id = 'a'"),
    )
    .await;
    assert_eq!(stores[0].put_if_newer(&id("b"), &record(7, 10)).await, Ok(Put::Applied));
    let versions = [&stores[0], &stores[1]]
        .map(|store| async { store.get_versions(&[id("a"), id("b")]).await.expect("read") });
    let [of_orders, of_customers] = versions;
    assert_eq!(of_orders.await, [Some(Version(0)), Some(Version(7))], "the SDK's own version");
    let stamp = of_customers.await[0].expect("a record");
    assert_eq!(stamp.slot(), Version::TRIGGER_SLOT, "{stamp}");
    for name in [orders, customers] {
        sql(&admin.0, stories::drop_orders(&name)).await;
    }
}

/// So ends a copy by gh-ost.
#[tokio::test]
async fn a_table_that_was_copied_and_renamed_has_no_triggers() {
    let Some((url, admin)) = server().await else { return };
    let name = table("ledger_renamed");
    sql(&admin.0, stories::create_orders(Dialect::MySql, &name)).await;
    sql(&admin.0, format!("DELETE FROM {name}")).await;
    let store = create(&url, stories::orders(Dialect::MySql, &name)).await;
    for trigger in store.triggers() {
        sql(&admin.0, trigger.create).await;
    }
    assert_eq!(store.created_triggers().await.expect("asked").len(), store.triggers().len());
    sql(&admin.0, format!("CREATE TABLE {name}_new LIKE {name}")).await;
    sql(&admin.0, format!("RENAME TABLE {name} TO {name}_old, {name}_new TO {name}")).await;
    assert_eq!(store.created_triggers().await, Ok(vec![]), "they are those of the old table");
    sql(&admin.0, format!("DROP TABLE {name}_old")).await;
    sql(&admin.0, stories::drop_orders(&name)).await;
}

/// The server neither refuses the statement, nor is there an entry that nobody could read.
#[tokio::test]
async fn a_row_whose_id_is_no_text_gets_no_entry() {
    let Some((url, admin)) = server().await else { return };
    let name = table("ledger_bytes");
    sql(&admin.0, stories::create_orders(Dialect::MySql, &name)).await;
    sql(&admin.0, format!("DELETE FROM {name}")).await;
    let store = create(&url, stories::orders(Dialect::MySql, &name)).await;
    for trigger in store.triggers() {
        sql(&admin.0, trigger.create).await;
    }
    sql(&admin.0, format!("INSERT INTO {name} (org, id, n) VALUES ('t', x'61ff', 1), ('t', 'ä', 1)")).await;
    sql(&admin.0, format!("UPDATE {name} SET n = 2")).await;
    assert!(store.get_versions(&[id("ä")]).await.expect("read")[0].is_some_and(|it| it > Version::ZERO));
    sql(&admin.0, format!("DELETE FROM {name}")).await;
    let page = store.scan(&Scope::All, Segment::ALL, None, 1 << 20).await.expect("scanned");
    assert!(page.unreadable.is_empty(), "{:?}", page.unreadable);
    assert_eq!(page.records.len(), 1, "a tombstone of the other");
    sql(&admin.0, stories::drop_orders(&name)).await;
}
