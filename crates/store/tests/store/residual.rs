//! An abandoned write lands within `ServerOptions::residual`, or never.

use std::time::{Duration, Instant};

use cutover_store::{MySqlStore, PostgresStore, ServerOptions, Store};
use sqlx::{AssertSqlSafe, MySqlPool, PgPool};

use super::{
    proxy::Proxy,
    servers::{id, options, record, sql, table, url},
};

/// Short, so that the story is.
fn limits() -> ServerOptions {
    ServerOptions {
        lock_timeout: Duration::from_secs(1),
        call_timeout: Duration::from_secs(3),
        idle_timeout: Duration::from_secs(2),
        ..options()
    }
}

/// Longer than the caller waits, and shorter than the server.
const CALLER: Duration = Duration::from_millis(300);

#[tokio::test]
async fn behind_a_locked_mysql_table_nothing_lands_late() {
    let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL") else { return };
    let (admin, table) = (MySqlPool::connect(&url).await.expect("connected"), table("locked"));
    let store = MySqlStore::create(&url, &table, limits()).await.expect("created");
    let mut lock = admin.acquire().await.expect("connected");
    sql(&mut *lock, format!("LOCK TABLES {table} WRITE")).await;
    let given_up = tokio::time::timeout(CALLER, store.put_if_newer(&id("k"), &record(1))).await;
    assert!(given_up.is_err(), "the lock holds it");
    let began = Instant::now();
    let waiting = format!(
        "SELECT COUNT(*) + SLEEP(0.02) FROM information_schema.processlist WHERE info LIKE 'INSERT INTO `{table}`%'"
    );
    let still = async || -> bool {
        sqlx::query_scalar::<_, i64>(AssertSqlSafe(waiting.clone())).fetch_one(&admin).await.expect("told")
            > 0
    };
    while still().await {
        assert!(began.elapsed() < limits().residual(), "it still waits for its turn");
    }
    sql(&mut *lock, "UNLOCK TABLES").await;
    assert_eq!(store.get(&id("k")).await, Ok(None), "nothing landed behind the lock");
    sql(&admin, format!("DROP TABLE {table}")).await;
}

#[tokio::test]
async fn behind_a_locked_postgres_table_nothing_lands_late() {
    let Some(url) = url("PostgreSQL", "CUTOVER_TEST_POSTGRES") else { return };
    let (admin, table) = (PgPool::connect(&url).await.expect("connected"), table("locked"));
    let store = PostgresStore::create(&url, &table, limits()).await.expect("created");
    let mut lock = admin.begin().await.expect("begun");
    sql(&mut *lock, format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await;
    let given_up = tokio::time::timeout(CALLER, store.put_if_newer(&id("k"), &record(1))).await;
    assert!(given_up.is_err(), "the lock holds it");
    let began = Instant::now();
    let waiting = format!(
        "SELECT count(*) FROM pg_stat_activity, pg_sleep(0.02) \
         WHERE state = 'active' AND query LIKE 'INSERT INTO %\"{table}\"%'"
    );
    let still = async || -> bool {
        sqlx::query_scalar::<_, i64>(AssertSqlSafe(waiting.clone())).fetch_one(&admin).await.expect("told")
            > 0
    };
    assert!(still().await, "it waits for the lock");
    while still().await {
        assert!(began.elapsed() < limits().residual(), "it still waits for its turn");
    }
    lock.rollback().await.expect("released");
    assert_eq!(store.get(&id("k")).await, Ok(None), "nothing landed behind the lock");
    sql(&admin, format!("DROP TABLE {table}")).await;
}

/// The network holds the statement back, and lets it through when everybody has forgotten it.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_the_network_kept_back_is_not_run() {
    if let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL") {
        let (proxy, far) = Proxy::before(&url).await;
        let table = table("kept_back");
        let near = MySqlStore::create(&url, &table, options()).await.expect("created");
        let far = MySqlStore::open(&far, &*table, limits()).await.expect("opened");
        comes_too_late(&far, &near, &proxy).await;
        let admin = MySqlPool::connect(&url).await.expect("connected");
        sql(&admin, format!("DROP TABLE {table}")).await;
    }
    if let Some(url) = url("PostgreSQL", "CUTOVER_TEST_POSTGRES") {
        let (proxy, far) = Proxy::before(&url).await;
        let table = table("kept_back");
        let near = PostgresStore::create(&url, &table, options()).await.expect("created");
        let far = PostgresStore::open(&far, &*table, limits()).await.expect("opened");
        comes_too_late(&far, &near, &proxy).await;
        let admin = PgPool::connect(&url).await.expect("connected");
        sql(&admin, format!("DROP TABLE {table}")).await;
    }
}

async fn comes_too_late(far: &dyn Store, near: &dyn Store, proxy: &Proxy) {
    far.put_if_newer(&id("before"), &record(1)).await.expect("written, and prepared");
    proxy.keep_back();
    let given_up = tokio::time::timeout(CALLER, far.put_if_newer(&id("k"), &record(1))).await;
    assert!(given_up.is_err(), "it is kept back");
    proxy.servers_hung_up().await;
    proxy.let_through().await;
    assert_eq!(near.get(&id("k")).await, Ok(None), "the server had hung up before it came");
    far.put_if_newer(&id("k"), &record(1)).await.expect("over a new connection");
}
