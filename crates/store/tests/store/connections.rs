//! Connections as people have them: sockets, poolers, few connections, users who may not do everything.

use cutover_store::{
    MySqlStore, PostgresStore, Put, PutAll, ServerOptions, Store, Version,
    mapping::Dialect,
    spec::{Missing, Spec},
};
use sqlx::{AssertSqlSafe, MySqlPool, PgPool};
use std::sync::Arc;

use super::{
    refusing,
    servers::{id, options, record, sql, table, url},
};

/// The target of a spec with these lines in its section. `ORDERS_PASSWORD` is `cutover`.
async fn opened(lines: &str) -> Result<Arc<dyn Store>, String> {
    let text = format!(
        "migration = \"orders\"\n[source]\nurl = \"sqlite:unused.db\"\ntable = \"orders\"\n[target]\n{lines}\n"
    );
    let spec = Spec::read(&text).map_err(|mistakes| format!("{mistakes:?}"))?;
    let lookup = |name: &str| (name == "ORDERS_PASSWORD").then(|| "cutover".to_owned());
    spec.target.open(Missing::Create, lookup).await.map_err(|error| error.to_string())
}

/// Each url leads to the same table.
async fn all_lead_there(urls: &[String], table: &str) {
    for (version, url) in (1..).zip(urls) {
        let password = if url.contains(":cutover@") { "" } else { "\npassword_env = \"ORDERS_PASSWORD\"" };
        let store = opened(&format!("url = \"{url}\"\ntable = \"{table}\"{password}")).await;
        let store = store.unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(store.put_if_newer(&id("k"), &record(version)).await, Ok(Put::Applied), "{url}");
    }
}

#[tokio::test]
async fn sockets_take_users_and_passwords_in_every_form() {
    let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL") else { return };
    let (admin, name) = (MySqlPool::connect(&url).await.expect("connected"), table("socket"));
    let socket: String = sqlx::query_scalar("SELECT @@socket").fetch_one(&admin).await.expect("asked");
    sql(
        &admin,
        format!(
            "CREATE USER {name}@localhost IDENTIFIED BY 'cutover'; GRANT ALL ON cutover.* TO {name}@localhost"
        ),
    )
    .await;
    let urls = [
        format!("mysql://{name}:cutover@localhost/cutover?socket={socket}"),
        format!("mysql://{name}@localhost:3306/cutover?socket={socket}"),
        format!("mariadb://{name}@/cutover?socket={socket}"),
    ];
    all_lead_there(&urls, &name).await;
    sql(&admin, format!("DROP TABLE {name}; DROP USER {name}@localhost")).await;

    let Some(url) = super::servers::url("PostgreSQL", "CUTOVER_TEST_POSTGRES") else { return };
    let admin = PgPool::connect(&url).await.expect("connected");
    let shown = async |what: &str| -> String {
        sqlx::query_scalar(AssertSqlSafe(format!("SHOW {what}"))).fetch_one(&admin).await.expect("shown")
    };
    let (directory, port) = (shown("unix_socket_directories").await, shown("port").await);
    let escaped = directory.replace('/', "%2F");
    let urls = [
        format!("postgres://cutover:cutover@/postgres?host={directory}&port={port}"),
        format!("postgres://cutover@/postgres?host={directory}&port={port}"),
        format!("postgres:///postgres?host={directory}&port={port}&user=cutover"),
        format!("postgresql://cutover@localhost:{port}/postgres?host={directory}"),
        format!("postgresql://cutover@{escaped}:{port}/postgres"),
        format!("postgres://cutover@/postgres?host=127.0.0.1&port={port}"),
    ];
    all_lead_there(&urls, &name).await;
    sql(&admin, format!("DROP TABLE {name}")).await;
}

#[tokio::test]
async fn a_store_shows_no_password() {
    let secret = "cutover:cutover@";
    if let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL") {
        let (admin, name) = (MySqlPool::connect(&url).await.expect("connected"), table("shown"));
        let store = MySqlStore::create(&url, &name, options()).await.expect("created");
        let shown = format!("{store:?}");
        assert!(!shown.contains(secret) && !shown.contains("password"), "{shown}");
        sql(&admin, format!("DROP TABLE {name}")).await;
    }
    if let Some(url) = url("PostgreSQL", "CUTOVER_TEST_POSTGRES") {
        let (admin, name) = (PgPool::connect(&url).await.expect("connected"), table("shown"));
        let store = PostgresStore::create(&url, &*name, options()).await.expect("created");
        let shown = format!("{store:?}");
        assert!(!shown.contains(secret) && !shown.contains("password"), "{shown}");
        sql(&admin, format!("DROP TABLE {name}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spec_limits_connections_and_names_the_application() {
    let Some(url) = url("PostgreSQL", "CUTOVER_TEST_POSTGRES") else { return };
    let (admin, name) = (PgPool::connect(&url).await.expect("connected"), table("few"));
    let lines = format!("url = \"{url}?application_name={name}\"\ntable = \"{name}\"\nconnections = 2");
    let store = opened(&lines).await.expect("opened");
    let calls = (0..32).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.put_if_newer(&id(&format!("{n}")), &record(1)).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.expect("ended"), Ok(Put::Applied));
    }
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
    let open: i64 = sqlx::query_scalar(count).bind(&name).fetch_one(&admin).await.expect("counted");
    assert!((1..=2).contains(&open), "{open} connections");
    sql(&admin, format!("DROP TABLE {name}")).await;
}

/// COMMIT and ROLLBACK begin a transaction there, unless a session says otherwise.
#[tokio::test]
async fn a_write_after_a_transaction_is_kept_where_the_server_chains_them() {
    let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL_PRIMARY") else { return };
    let (admin, name) = (MySqlPool::connect(&url).await.expect("connected"), table("chained"));
    let alone = ServerOptions { connections: 1, ..options() };
    sql(&admin, "SET GLOBAL completion_type = 'CHAIN'").await;
    let store = MySqlStore::create(&url, &*name, alone).await;
    sql(&admin, "SET GLOBAL completion_type = 'NO_CHAIN'").await;
    let store = store.expect("created");
    let other = MySqlStore::open(&url, &*name, alone).await.expect("opened");
    let both = [(id("a"), record(1)), (id("b"), record(1))];
    for (version, put) in [(2, PutAll::Applied), (3, PutAll::Refused(vec![(0, Version(2)), (1, Version(1))]))]
    {
        assert_eq!(store.put_all_if_newer(&both).await, Ok(put));
        assert_eq!(store.put_if_newer(&id("a"), &record(version)).await, Ok(Put::Applied));
        assert_eq!(other.get(&id("a")).await, Ok(Some(record(version))), "another session sees it");
    }
    sql(&admin, format!("DROP TABLE {name}")).await;
}

#[tokio::test]
async fn a_pooler_works_in_session_mode_and_is_refused_in_transaction_mode() {
    let Some(session) = url("PgBouncer", "CUTOVER_TEST_PGBOUNCER_SESSION") else { return };
    let Some(transaction) = url("PgBouncer", "CUTOVER_TEST_PGBOUNCER_TRANSACTION") else { return };
    let name = table("pooled");
    let store = PostgresStore::create(&session, &*name, options()).await.expect("session mode");
    for version in 1..=20 {
        assert_eq!(store.put_if_newer(&id("k"), &record(version)).await, Ok(Put::Applied));
    }
    store.close().await;
    let error = PostgresStore::open(&transaction, &*name, options()).await.expect_err("refused").to_string();
    assert!(error.contains("set the pooler to session mode") && !error.contains('\n'), "{error}");
    let admin =
        PgPool::connect(&url("PostgreSQL", "CUTOVER_TEST_POSTGRES").expect("it is behind them")).await;
    sql(&admin.expect("connected"), format!("DROP TABLE {name}")).await;
}

#[tokio::test]
async fn a_table_is_not_created_beside_one_whose_name_differs_in_case() {
    let lower = table("case");
    let upper = lower.to_uppercase();
    let told = |error: String| {
        let there = format!("there is no table {lower:?}, but {upper:?}, and names that differ only in case");
        assert!(error.contains(&there) && error.contains("write it like that"), "{error}");
    };
    if let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL") {
        let admin = MySqlPool::connect(&url).await.expect("connected");
        sql(&admin, format!("CREATE TABLE {upper} (n INT)")).await;
        told(MySqlStore::create(&url, &lower, options()).await.expect_err("refused").to_string());
        sql(&admin, format!("DROP TABLE {upper}")).await;
    }
    if let Some(url) = url("PostgreSQL", "CUTOVER_TEST_POSTGRES") {
        let admin = PgPool::connect(&url).await.expect("connected");
        sql(&admin, format!("CREATE TABLE \"{upper}\" (n INT)")).await;
        told(PostgresStore::create(&url, &lower, options()).await.expect_err("refused").to_string());
        sql(&admin, format!("DROP TABLE \"{upper}\"")).await;
    }
}

#[tokio::test]
async fn a_mysql_user_needs_no_right_to_create_what_is_there_and_hears_which_he_lacks() {
    let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL") else { return };
    let (admin, name) = (MySqlPool::connect(&url).await.expect("connected"), table("rights"));
    let of_table = || refusing::table(Dialect::MySql, &name);
    MySqlStore::create(&url, of_table(), options()).await.expect("created");
    let address = url.rsplit_once('@').expect("a user").1;
    let theirs = format!("mysql://{name}:cutover@{address}");
    sql(&admin, format!("CREATE USER {name}@'127.0.0.1' IDENTIFIED BY 'cutover'; GRANT USAGE ON *.* TO {name}@'127.0.0.1'; CREATE TABLE {name}_other (n INT); GRANT SELECT ON {name}_other TO {name}@'127.0.0.1'")).await;
    let error = MySqlStore::open(&theirs, of_table(), options()).await.expect_err("it may not even be read");
    assert!(!error.is_no_table() && error.to_string().contains("SELECT command denied"), "{error}");
    sql(&admin, format!("GRANT SELECT, INSERT ON {name} TO {name}@'127.0.0.1'")).await;
    let store = MySqlStore::create(&theirs, of_table(), options()).await.expect("it is there");
    let missing = store.missing_privileges().await.expect("asked");
    assert!(missing.len() == 1 && missing[0].contains("UPDATE command denied"), "{missing:?}");
    sql(&admin, format!("GRANT UPDATE ON {name} TO {name}@'127.0.0.1'")).await;
    let store = MySqlStore::open(&theirs, of_table(), options()).await.expect("opened");
    assert_eq!(store.missing_privileges().await, Ok(Vec::new()));
    sql(&admin, format!("DROP TABLE {name}, {name}_other; DROP USER {name}@'127.0.0.1'")).await;
}
