//! Servers whose reads may miss acknowledged writes, or that accept none: refused when a store is opened, and
//! when they become such.

use cutover_store::{MySqlStore, PostgresStore, Put, Store, StoreError};
use sqlx::{Connection as _, MySqlPool, PgConnection, PgPool};

use super::servers::{id, options, record, sql, table, url};

/// A call of an open store is refused without a conclusion about the record.
fn refuses(error: &StoreError, told: &str) {
    assert!(matches!(error, StoreError::NotApplied { .. }) && error.to_string().contains(told), "{error}");
}

#[tokio::test]
async fn a_mysql_server_that_is_or_becomes_read_only_is_refused() {
    let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL_SWITCHED") else { return };
    let (admin, table) = (MySqlPool::connect(&url).await.expect("connected"), table("read_only"));
    let store = MySqlStore::create(&url, &table, options()).await.expect("created");
    assert_eq!(store.put_if_newer(&id("k"), &record(1)).await, Ok(Put::Applied));

    sql(&admin, "SET GLOBAL read_only = ON").await;
    let error = MySqlStore::open(&url, &*table, options()).await.expect_err("a replica").to_string();
    assert!(error.starts_with("server: ") && error.contains("read_only is ON"), "{error}");
    assert!(error.contains("SET GLOBAL read_only = OFF"), "the way out: {error}");
    // This user may write anyway, so only a check reveals it. A connection is checked every second.
    let error = until_an_error(async || store.get(&id("k")).await.map(drop)).await;
    refuses(&error, "read_only is ON");
    refuses(&store.put_if_newer(&id("k"), &record(2)).await.expect_err("refused"), "read_only is ON");

    sql(&admin, "SET GLOBAL read_only = OFF").await;
    assert_eq!(store.get(&id("k")).await, Ok(Some(record(1))), "the server is the primary again");
    assert_eq!(store.put_if_newer(&id("k"), &record(2)).await, Ok(Put::Applied));

    sql(&admin, format!("DROP TABLE {table}")).await;
}

#[tokio::test]
async fn a_write_that_is_refused_as_read_only_drops_all_connections() {
    let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL") else { return };
    let (admin, database) = (MySqlPool::connect(&url).await.expect("connected"), table("leaving"));
    // In a separate database, which distinguishes its connections from others.
    sql(&admin, format!("CREATE DATABASE {database}")).await;
    let own = format!("{}/{database}", url.rsplit_once('/').expect("it names a database").0);
    let store = MySqlStore::create(&own, "records", options()).await.expect("created");
    let connections = async || -> i64 {
        let count = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = ?";
        sqlx::query_scalar(count).bind(&database).fetch_one(&admin).await.expect("told")
    };
    for number in [1053, 1290, 1792, 1836] {
        assert_eq!(store.get(&id("k")).await, Ok(None), "over a new one");
        assert!(connections().await > 0);
        let says = format!(
            "CREATE TRIGGER {database}.says BEFORE INSERT ON {database}.records FOR EACH ROW \
             SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'said by the test'"
        );
        sql(&admin, says).await;
        store.put_if_newer(&id("k"), &record(1)).await.expect_err("refused");
        until(async || connections().await == 0).await;
        sql(&admin, format!("DROP TRIGGER {database}.says")).await;
    }
    assert_eq!(store.put_if_newer(&id("k"), &record(1)).await, Ok(Put::Applied), "over a new one");
    sql(&admin, format!("DROP DATABASE {database}")).await;
}

#[tokio::test]
async fn a_postgres_server_that_leaves_has_no_connection_left() {
    let Some(url) = url("PostgreSQL", "CUTOVER_TEST_POSTGRES") else { return };
    let (admin, database) = (PgPool::connect(&url).await.expect("connected"), table("leaving"));
    sql(&admin, format!("CREATE DATABASE {database}")).await;
    let own = format!("{}/{database}", url.rsplit_once('/').expect("it names a database").0);
    let mut inside = PgConnection::connect(&own).await.expect("connected");
    let store = PostgresStore::create(&own, "records", options()).await.expect("created");
    let mine: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut inside).await.expect("told");
    let connections = async || -> i64 {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND pid <> $2";
        sqlx::query_scalar(count).bind(&database).bind(mine).fetch_one(&admin).await.expect("told")
    };
    for code in ["25006", "57P01", "57P02", "57P03"] {
        assert_eq!(store.get(&id("k")).await, Ok(None), "over a new one");
        assert!(connections().await > 0);
        let says = format!(
            "CREATE OR REPLACE FUNCTION says() RETURNS trigger LANGUAGE plpgsql AS $$ \
             BEGIN RAISE EXCEPTION 'said by the test' USING ERRCODE = '{code}'; END $$; \
             CREATE TRIGGER says BEFORE INSERT ON records FOR EACH ROW EXECUTE FUNCTION says()"
        );
        sql(&mut inside, says).await;
        store.put_if_newer(&id("k"), &record(1)).await.expect_err("refused");
        until(async || connections().await == 0).await;
        sql(&mut inside, "DROP TRIGGER says ON records").await;
    }
    assert_eq!(store.put_if_newer(&id("k"), &record(1)).await, Ok(Put::Applied), "over a new one");
    store.close().await;
    inside.close().await.expect("closed");
    sql(&admin, format!("DROP DATABASE {database} WITH (FORCE)")).await;
}

#[tokio::test]
async fn a_postgres_standby_is_refused_until_it_is_promoted() {
    let Some(url) = url("PostgreSQL", "CUTOVER_TEST_POSTGRES_STANDBY") else { return };
    let error = PostgresStore::create(&url, "records", options()).await.expect_err("a standby").to_string();
    assert!(error.starts_with("server: ") && error.contains("is a standby"), "{error}");
    let admin = PgPool::connect(&url).await.expect("connected");
    sql(&admin, "SELECT pg_promote()").await;
    let store = PostgresStore::create(&url, "records", options()).await.expect("the primary now");
    assert_eq!(store.put_if_newer(&id("k"), &record(1)).await, Ok(Put::Applied));

    // The story has its own server, so that no other story is refused meanwhile.
    sql(&admin, "ALTER SYSTEM SET default_transaction_read_only = on; ").await;
    sql(&admin, "SELECT pg_reload_conf()").await;
    let error = until_an_error(async || store.put_if_newer(&id("k"), &record(1)).await.map(drop)).await;
    refuses(&error, "default_transaction_read_only is on");
    let error = PostgresStore::open(&url, "records", options()).await.expect_err("read-only").to_string();
    assert!(error.starts_with("server: ") && error.contains("ALTER ROLE"), "{error}");
}

async fn until_an_error(call: impl AsyncFn() -> Result<(), StoreError>) -> StoreError {
    for _ in 0..100_000 {
        if let Err(error) = call().await {
            return error;
        }
    }
    panic!("it is never refused");
}

async fn until(holds: impl AsyncFn() -> bool) {
    for _ in 0..10_000 {
        if holds().await {
            return;
        }
    }
    panic!("it never holds");
}
