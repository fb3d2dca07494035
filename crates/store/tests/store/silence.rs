//! Connections that stay open and go silent: a middlebox forgot them, or a network is cut.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cutover_store::{MySqlStore, PostgresStore, Put, ServerOptions, Store, StoreError};
use futures::future::join_all;
use sqlx::{AssertSqlSafe, MySqlPool, PgPool};

use super::{
    proxy::Proxy,
    servers::{id, options, record, sql, table, url},
};

/// The longest wait for a caller once the network is back.
const SOON: Duration = Duration::from_secs(5);

fn limits() -> ServerOptions {
    ServerOptions { connections: 16, call_timeout: Duration::from_secs(3), ..options() }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_sixteen_calls_in_silence_mysql_works_again() {
    let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL") else { return };
    let (admin, table) = (MySqlPool::connect(&url).await.expect("connected"), table("silent"));
    let (proxy, far) = Proxy::before(&url).await;
    let store = Arc::new(MySqlStore::create(&far, &table, limits()).await.expect("created"));
    store.put_if_newer(&id("locked"), &record(1)).await.expect("written");
    let mut lock = admin.begin().await.expect("begun");
    sql(&mut *lock, format!("SELECT tenant FROM {table} WHERE (tenant, `key`) = ('t', 'locked') FOR UPDATE"))
        .await;
    let waiting = format!(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'INSERT INTO `{table}`%'"
    );
    let waiting = async || -> i64 {
        sqlx::query_scalar(AssertSqlSafe(waiting.clone())).fetch_one(&admin).await.expect("told")
    };
    sixteen_calls_go_silent(store.clone(), waiting, &proxy).await;
    works_again(&*store).await;
    lock.rollback().await.expect("released");
    sql(&admin, format!("DROP TABLE {table}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_sixteen_calls_in_silence_postgres_works_again() {
    let Some(url) = url("PostgreSQL", "CUTOVER_TEST_POSTGRES") else { return };
    let (admin, table) = (PgPool::connect(&url).await.expect("connected"), table("silent"));
    let (proxy, far) = Proxy::before(&url).await;
    let store = Arc::new(PostgresStore::create(&far, &table, limits()).await.expect("created"));
    store.put_if_newer(&id("locked"), &record(1)).await.expect("written");
    let mut lock = admin.begin().await.expect("begun");
    sql(&mut *lock, format!("SELECT tenant FROM {table} FOR UPDATE")).await;
    let waiting = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO %\"{table}\"%'"
    );
    let waiting = async || -> i64 {
        sqlx::query_scalar(AssertSqlSafe(waiting.clone())).fetch_one(&admin).await.expect("told")
    };
    sixteen_calls_go_silent(store.clone(), waiting, &proxy).await;
    works_again(&*store).await;
    lock.rollback().await.expect("released");
    sql(&admin, format!("DROP TABLE {table}")).await;
}

/// Half of them are abandoned by their caller, as the migrator does; the others by the store.
async fn sixteen_calls_go_silent(store: Arc<dyn Store>, waiting: impl AsyncFn() -> i64, proxy: &Proxy) {
    let call = |_| {
        let store = store.clone();
        tokio::spawn(async move {
            loop {
                match store.put_if_newer(&id("locked"), &record(2)).await {
                    // The server ended it, before all the others had arrived.
                    Err(error) if !error.may_apply() => {}
                    put => return put,
                }
            }
        })
    };
    let mut given_up: Vec<_> = (0..16).map(call).collect();
    while waiting().await < 16 {}
    proxy.keep_back();
    let by_the_store = given_up.split_off(8);
    given_up.iter().for_each(tokio::task::JoinHandle::abort);
    for call in join_all(by_the_store).await {
        let error = call.expect("no panic").expect_err("silence");
        assert!(error.may_apply() && error.to_string().contains("did not answer INSERT within"), "{error}");
    }
}

/// Written now, or through an earlier store.
fn is_there(put: Result<Put, StoreError>) {
    assert!(matches!(put, Ok(Put::Applied | Put::Present)), "{put:?}");
}

async fn works_again(store: &dyn Store) {
    let began = Instant::now();
    is_there(store.put_if_newer(&id("free"), &record(1)).await);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

async fn idle_connections_are_forgotten(store: &dyn Store, proxy: &Proxy, time_passes: impl AsyncFnOnce()) {
    is_there(store.put_if_newer(&id("before"), &record(1)).await);
    proxy.keep_back();
    time_passes().await;
    works_again(store).await;
}

/// `open` gives a store of one table over a way to the server; `a_moment` lasts a little over a second.
async fn connections_that_were_forgotten_are_replaced<S: Store>(
    url: &str,
    open: impl AsyncFn(&str, ServerOptions) -> S,
    a_moment: impl AsyncFnOnce(),
) {
    // Idle for a short time: it is asked, and does not answer.
    let (proxy, far) = Proxy::before(url).await;
    let store = open(&far, options()).await;
    idle_connections_are_forgotten(&store, &proxy, a_moment).await;
    // Idle for a long time: it was closed meanwhile.
    let (proxy, far) = Proxy::before(url).await;
    let options = ServerOptions { idle_timeout: Duration::from_secs(2), ..options() };
    let store = open(&far, options).await;
    idle_connections_are_forgotten(&store, &proxy, async || proxy.clients_hung_up().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mysql_connection_that_a_middlebox_forgot_is_replaced() {
    let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL") else { return };
    let (admin, table) = (MySqlPool::connect(&url).await.expect("connected"), table("forgotten"));
    let open = async |far: &str, options| MySqlStore::create(far, &table, options).await.expect("created");
    let a_moment = async || sql(&admin, "SELECT SLEEP(1.1)").await;
    connections_that_were_forgotten_are_replaced(&url, open, a_moment).await;
    sql(&admin, format!("DROP TABLE {table}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_connection_that_a_middlebox_forgot_is_replaced() {
    let Some(url) = url("PostgreSQL", "CUTOVER_TEST_POSTGRES") else { return };
    let (admin, table) = (PgPool::connect(&url).await.expect("connected"), table("forgotten"));
    let open = async |far: &str, options| PostgresStore::create(far, &table, options).await.expect("created");
    let a_moment = async || sql(&admin, "SELECT pg_sleep(1.1)").await;
    connections_that_were_forgotten_are_replaced(&url, open, a_moment).await;
    sql(&admin, format!("DROP TABLE {table}")).await;
}
