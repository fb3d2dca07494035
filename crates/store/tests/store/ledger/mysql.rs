//! A ledger on a MySQL or MariaDB server.

use std::sync::Arc;

use cutover_store::{MySqlStore, mapping::Dialect};
use sqlx::{AssertSqlSafe, MySqlPool, Row};
use tokio::sync::{Mutex, Notify};

use super::{
    super::{
        documents,
        documents::Documents,
        servers::{options, sql, table},
        suite,
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

/// The connection of a transaction that waits for a lock in a statement about this table. From the monitor:
/// `information_schema.innodb_trx` is a cache that whoever reads it in a loop keeps from being renewed.
async fn waiting(admin: &MySqlPool, table: &str) -> Option<u64> {
    let monitor = sqlx::raw_sql("SHOW ENGINE INNODB STATUS").fetch_one(admin).await.expect("shown");
    let text: String = monitor.get("Status");
    text.split("---TRANSACTION ").filter(|of| of.contains("LOCK WAIT")).find_map(|of| {
        let (_, id) = of.split_once("thread id ").filter(|_| of.contains(&format!("`{table}`")))?;
        id.split(',').next()?.parse().ok()
    })
}

async fn server() -> Option<(String, Server)> {
    let url = super::super::servers::url("MySQL", "CUTOVER_TEST_MYSQL")?;
    let admin = MySqlPool::connect(&url).await.expect("connected");
    Some((url, Server(admin)))
}

async fn create(url: &str, table: SqlTable) -> MySqlStore {
    MySqlStore::create(url, table, options()).await.expect("created")
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite() {
    let Some((url, admin)) = server().await else { return };
    let (mut stores, mut tables) = (Vec::new(), Vec::new());
    for n in 0..=suite::STORES {
        tables.push(table(&format!("ledger_{n}")));
        stores.push(create(&url, with_ledger(tables[n].as_str().into())).await);
    }
    suite::scans_in_order(&stores.pop().expect("one more")).await;
    suite::run(|| stores.pop().expect("one for each story")).await;
    sql(
        &admin.0,
        format!("DROP TABLE {0}, cutover_ledger_{1}", tables.join(","), tables.join(", cutover_ledger_")),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite_in_columns() {
    let Some((url, admin)) = server().await else { return };
    let (mut stores, mut tables) = (Vec::new(), Vec::new());
    for n in 0..=suite::STORES {
        tables.push(table(&format!("ledger_documents_{n}")));
        stores.push(Documents(create(&url, with_ledger(documents::table(Dialect::MySql, &tables[n]))).await));
    }
    suite::scans_in_order(&stores.pop().expect("one more")).await;
    suite::run(|| stores.pop().expect("one for each story")).await;
    sql(
        &admin.0,
        format!("DROP TABLE {0}, cutover_ledger_{1}", tables.join(","), tables.join(", cutover_ledger_")),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_table_takes_part() {
    let Some((url, admin)) = server().await else { return };
    let name = table("ledger_orders");
    sql(&admin.0, stories::create_orders(Dialect::MySql, &name)).await;
    let of = || stories::orders(Dialect::MySql, &name);
    let error = MySqlStore::open(&url, of(), options()).await.expect_err("without its ledger");
    assert!(error.is_no_table() && error.to_string().contains(&format!("ledger_{name}")), "{error}");
    let store = Arc::new(create(&url, of()).await);
    stories::takes_part_as_it_is(&*store, &admin, &name).await;
    stories::a_tombstone_meets_an_insert(&store, &admin, &name).await;
    stories::writers_of_the_same_records_agree(&store).await;
    sql(&admin.0, stories::drop_orders(&name)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_connection_and_pages() {
    let Some((url, admin)) = server().await else { return };
    let name = table("ledger_killed");
    sql(&admin.0, stories::create_orders(Dialect::MySql, &name)).await;
    sql(&admin.0, format!("DELETE FROM {name}")).await;
    let store = Arc::new(create(&url, stories::orders(Dialect::MySql, &name)).await);
    let held = Mutex::new(None);
    let lock = async || {
        let mut lock = admin.0.begin().await.expect("begun");
        sql(&mut *lock, format!("SELECT n FROM {name} WHERE id = 'killed' FOR UPDATE")).await;
        *held.lock().await = Some(lock);
    };
    let release = async || {
        held.lock().await.take().expect("locked").rollback().await.expect("released");
    };
    stories::a_connection_killed_between_entry_and_row_leaves_neither(&store, &admin, &name, lock, release)
        .await;
    sql(&admin.0, format!("DELETE FROM {name}; DELETE FROM ledger_{name}")).await;
    stories::pages_show_all_once(&*store).await;
    sql(&admin.0, stories::drop_orders(&name)).await;
}

#[tokio::test]
async fn the_faults_of_both_tables_are_told_at_once() {
    let Some((url, admin)) = server().await else { return };
    let name = table("ledger_faults");
    let tables = format!(
        "CREATE TABLE {name} (org varchar(64) NOT NULL, id varbinary(1024) NOT NULL, n bigint NOT NULL, \
         rest longtext CHARACTER SET utf8mb4, PRIMARY KEY (org, id)); CREATE TABLE ledger_{name} \
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
    sql(&admin.0, format!("DROP TABLE {name}, ledger_{name}")).await;
}
