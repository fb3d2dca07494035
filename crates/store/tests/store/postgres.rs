//! A real PostgreSQL server, and what can be wrong with it.

use std::{sync::Arc, time::Duration};

use cutover_store::{Copied, PostgresStore, Put, Record, ServerOptions, Store, StoreError, Version};
use sqlx::{AssertSqlSafe, PgPool};

use super::{
    proxy::{Proxy, a_lost_answer_is_not_called_unwritten, a_lost_answer_of_several_is_not_called_unwritten},
    servers::{batch, id, is_written_when_given_again, options, record, sql, table},
    suite,
    unreadable::is_gone_past,
};

fn url() -> Option<String> {
    super::servers::url("PostgreSQL", "CUTOVER_TEST_POSTGRES")
}

async fn create(url: &str, table: &str) -> PostgresStore {
    PostgresStore::create(url, table, options()).await.expect("created")
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite() {
    let Some(url) = url() else { return };
    let (mut stores, mut tables) = (Vec::new(), Vec::new());
    for n in 0..=suite::STORES {
        tables.push(table(&format!("suite_{n}")));
        stores.push(create(&url, &tables[n]).await);
    }
    let same = create(&url, &tables[0]).await;
    suite::tables_have_identities(&stores[0], &same, &stores[1]).await;
    super::has_transactions(&same);
    suite::scans_in_order(&stores.pop().expect("one more")).await;
    suite::run(|| stores.pop().expect("one for each story")).await;
    let admin = PgPool::connect(&url).await.expect("connected");
    sql(&admin, format!("DROP TABLE {}", tables.join(","))).await;
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_called_unwritten() {
    let Some(url) = url() else { return };
    let (admin, table) = (PgPool::connect(&url).await.expect("connected"), table("answers"));
    let (proxy, far) = Proxy::before(&url).await;
    let near = create(&url, &table).await;
    let far = PostgresStore::open(&far, &*table, options()).await.expect("opened");
    a_lost_answer_is_not_called_unwritten(&far, &near, &proxy).await;
    proxy.mend();
    a_lost_answer_of_several_is_not_called_unwritten(&far, &near, &proxy, "COMMIT").await;
    sql(&admin, format!("DROP TABLE {table}")).await;
}

#[tokio::test]
async fn a_server_that_cannot_be_used_says_what_to_do() {
    let Some(url) = url() else { return };
    let (scheme, rest) = url.split_once("://").expect("a url");
    let (login, place) = rest.split_once('@').expect("with a user");
    let (user, password) = login.split_once(':').expect("and a password");
    let (address, database) = place.split_once('/').expect("and a database");
    let cases = [
        (format!("{scheme}://{user}:not{password}@{place}"), "records", "user: ", "check user and password"),
        (
            format!("{scheme}://{login}@127.0.0.1:1/{database}"),
            "records",
            "nothing was written",
            "is the server up",
        ),
        (
            format!("{scheme}://{login}@no.such.host.invalid/{database}"),
            "records",
            "nothing was written",
            "address right",
        ),
        (format!("{scheme}://{login}@{address}/no_such_database"), "records", "database: ", "create it"),
        ("no url".to_owned(), "records", "url: ", "give postgres://"),
        (url.clone(), "no_such_table", "table: ", "create it"),
        (url.clone(), "x; DROP", "table: ", "no name"),
    ];
    for (url, table, field, advice) in cases {
        let error = PostgresStore::open(&url, table, options()).await.expect_err(advice).to_string();
        assert!(error.starts_with(field) && error.contains(advice), "{error}");
        assert!(!error.contains(password) || user == password, "no password in {error}");
    }
}

#[tokio::test]
async fn a_table_that_does_not_fit_is_told_before_anything_is_written() {
    let Some(url) = url() else { return };
    let admin = PgPool::connect(&url).await.expect("connected");
    let table = table("fit");
    let good = "tenant text COLLATE \"C\" NOT NULL, key text COLLATE \"C\" NOT NULL, cutover_version bigint NOT NULL, \
                value bytea, PRIMARY KEY (tenant, key)";
    let cases = [
        (good.replace("key text COLLATE \"C\"", "key bytea"), "column key is bytea"),
        (good.replacen("text COLLATE \"C\"", "date", 1), "column tenant is date"),
        (good.replace("bigint", "int"), "column cutover_version is integer"),
        (good.replace("bytea", "text"), "column value is text"),
        (good.replace("bytea", "bytea NOT NULL"), "has to allow NULL"),
        (good.replace("value bytea", "content bytea"), "it has no column value"),
        (good.replace("(tenant, key)", "(key, tenant)"), "no primary key or unique index"),
        (format!("{good}, owner int NOT NULL"), "column owner is NOT NULL and has no default"),
    ];
    for (columns, told) in cases {
        sql(&admin, format!("CREATE TABLE {table} ({columns})")).await;
        let error = PostgresStore::create(&url, &table, options()).await.expect_err(told).to_string();
        assert!(error.starts_with("table: ") && error.contains(told), "{error}");
        sql(&admin, format!("DROP TABLE {table}")).await;
    }
    sql(&admin, format!("CREATE TABLE {table} ({good}, note int, made timestamp NOT NULL DEFAULT now())"))
        .await;
    assert!(
        PostgresStore::open(&url, &table, options()).await.is_ok(),
        "columns that fill themselves do no harm"
    );
    sql(&admin, format!("DROP TABLE {table}")).await;
}

#[tokio::test]
async fn a_table_that_a_crash_empties_or_that_lies_elsewhere_is_refused() {
    let Some(url) = url() else { return };
    let (admin, table) = (PgPool::connect(&url).await.expect("connected"), table("kind"));
    let columns = "tenant text COLLATE \"C\" NOT NULL, key text COLLATE \"C\" NOT NULL, cutover_version bigint NOT NULL, \
                   value bytea, PRIMARY KEY (tenant, key)";
    let cases = [
        (
            format!("CREATE UNLOGGED TABLE {table} ({columns})"),
            format!("is UNLOGGED, and a crash empties it. Run: ALTER TABLE {table} SET LOGGED"),
            "TABLE",
        ),
        (
            format!(
                "CREATE TABLE {table} ({columns}) PARTITION BY HASH (tenant); CREATE UNLOGGED TABLE {table}_0 \
                 PARTITION OF {table} FOR VALUES WITH (MODULUS 1, REMAINDER 0)"
            ),
            format!("ALTER TABLE {table}_0 SET LOGGED"),
            "TABLE",
        ),
        (
            format!("CREATE TABLE {table} ({columns}); CREATE TABLE {table}_old () INHERITS ({table})"),
            format!("other tables inherit from {table}"),
            "TABLE",
        ),
        (format!("CREATE VIEW {table} AS SELECT 1 AS tenant"), "is a view".to_owned(), "VIEW"),
    ];
    for (create, told, kind) in cases {
        sql(&admin, create).await;
        let error = PostgresStore::open(&url, &*table, options()).await.expect_err(&told).to_string();
        assert!(error.starts_with("table: ") && error.contains(&told), "{error}");
        sql(&admin, format!("DROP {kind} {table} CASCADE")).await;
    }
}

#[tokio::test]
async fn columns_that_are_left_out_are_named() {
    let Some(url) = url() else { return };
    let (admin, table) = (PgPool::connect(&url).await.expect("connected"), table("unmapped"));
    let store = create(&url, &table).await;
    assert_eq!(store.unmapped().await, Ok(Vec::new()));
    sql(&admin, format!("ALTER TABLE {table} ADD COLUMN note varchar(9)")).await;
    assert_eq!(store.unmapped().await, Ok(vec!["note (character varying(9))".to_owned()]));
    sql(&admin, format!("DROP TABLE {table}")).await;
}

#[tokio::test]
async fn a_scan_goes_past_what_others_wrote_and_nobody_can_read() {
    let Some(url) = url() else { return };
    let (admin, table) = (PgPool::connect(&url).await.expect("connected"), table("unreadable"));
    let store = create(&url, &table).await;
    let good = batch(1);
    store.put_many_if_newer(&good).await.expect("written");
    sql(
        &admin,
        format!(
            "INSERT INTO {table} (tenant, key, cutover_version, value) \
         VALUES ('', '', 1, ''), ('', 'k', 1, ''), (E'a\\nb', 'k', 1, ''), ('t', '', 1, ''), ('t', repeat('x', 1025), 1, '')"
        ),
    )
    .await;
    let long = "x".repeat(1025);
    let wrong = [
        ("", "", "tenant: "),
        ("", "k", "tenant: "),
        ("a\\nb", "k", "tenant: "),
        ("t", "", "key: "),
        ("t", long.as_str(), "key: key has 1025 bytes"),
    ];
    is_gone_past(&store, &good, &wrong).await;
    sql(&admin, format!("DROP TABLE {table}")).await;
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_refused() {
    let Some(url) = url() else { return };
    let (admin, table) = (PgPool::connect(&url).await.expect("connected"), table("cut"));
    let store = create(&url, &table).await;
    assert_eq!(store.put_if_newer(&id("k"), &record(1)).await, Ok(Put::Applied));
    sql(&admin, format!("ALTER TABLE {table} ADD CHECK (length(value) < 100)")).await;
    let large = Record { version: Version(2), value: Some(vec![7; 300]) };
    for error in [
        store.put_if_newer(&id("k"), &large).await.expect_err("too long"),
        store.put_if_unchanged(&id("k"), &large, Some(Version(1))).await.expect_err("too long"),
        store.put_many_if_newer(&[(id("k"), large)]).await.expect_err("too long"),
    ] {
        assert!(matches!(error, StoreError::Permanent { .. }), "{error}");
        assert!(error.to_string().contains("a constraint of the table"), "{error}");
    }
    assert_eq!(store.get(&id("k")).await, Ok(Some(record(1))));
    sql(&admin, format!("DROP TABLE {table}")).await;
    let error = store.put_if_newer(&id("k"), &record(3)).await.expect_err("gone");
    assert!(error.to_string().starts_with("table: "), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_killed_in_mid_batch_loses_nothing() {
    let Some(url) = url() else { return };
    let (admin, table) = (PgPool::connect(&url).await.expect("connected"), table("killed"));
    let store = Arc::new(create(&url, &table).await);
    store.put_many_if_newer(&batch(1)).await.expect("written");
    for kills in [1, 3] {
        let version = kills + 1;
        let mut lock = admin.begin().await.expect("begun");
        let held = format!("SELECT cutover_version FROM {table} WHERE key = 'key-50' FOR UPDATE");
        sqlx::raw_sql(AssertSqlSafe(held)).execute(&mut *lock).await.expect("locked");
        let writing = store.clone();
        let writing = tokio::spawn(async move { writing.put_many_if_newer(&batch(version)).await });
        for _ in 0..kills {
            kill_writer(&admin, &table).await;
        }
        lock.rollback().await.expect("released");
        match writing.await.expect("no panic") {
            Ok(answers) => assert_eq!(answers, vec![Copied::Written; 100]),
            Err(error) => assert!(!matches!(error, StoreError::Permanent { .. }), "{error}"),
        }
        is_written_when_given_again(&*store, &batch(version)).await;
    }
    sql(&admin, format!("DROP TABLE {table}")).await;
}

/// Waits until a write to the table waits for its lock, and ends its connection; gives up when
/// nobody writes any more.
async fn kill_writer(admin: &PgPool, table: &str) {
    for _ in 0..2000 {
        let waiting = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO %\"{table}\"%'"
        );
        let ended: i64 = sqlx::query_scalar(AssertSqlSafe(waiting)).fetch_one(admin).await.expect("told");
        if ended > 0 {
            return;
        }
    }
}

#[tokio::test]
async fn a_lock_that_is_not_released_is_told_as_throttling() {
    let Some(url) = url() else { return };
    let (admin, table) = (PgPool::connect(&url).await.expect("connected"), table("lock"));
    let options = ServerOptions { lock_timeout: Duration::from_secs(1), ..options() };
    let store = PostgresStore::create(&url, &table, options).await.expect("created");
    store.put_if_newer(&id("k"), &record(1)).await.expect("written");
    let mut lock = admin.begin().await.expect("begun");
    let held = format!("SELECT cutover_version FROM {table} FOR UPDATE");
    sqlx::raw_sql(AssertSqlSafe(held)).execute(&mut *lock).await.expect("locked");
    let error = store.put_if_newer(&id("k"), &record(2)).await.expect_err("locked");
    assert!(matches!(error, StoreError::Throttled { .. }), "{error}");
    assert_eq!(store.get(&id("k")).await, Ok(Some(record(1))), "reads do not wait, and nothing was written");
    lock.rollback().await.expect("released");
    assert_eq!(store.put_if_newer(&id("k"), &record(2)).await, Ok(Put::Applied));
    store.close().await;
    assert!(matches!(store.get(&id("k")).await, Err(StoreError::NotApplied { .. })));
    sql(&admin, format!("DROP TABLE {table}")).await;
}

/// What can't be provoked here, such as a full disk, is simulated by a trigger with the same message.
#[tokio::test]
async fn what_the_server_says_is_told_apart() {
    let Some(url) = url() else { return };
    let (admin, table) = (PgPool::connect(&url).await.expect("connected"), table("says"));
    let store = create(&url, &table).await;
    let cases = [
        ("53100", "nothing was written, retry", "free space"),
        ("53200", "nothing was written, retry", "out of memory"),
        ("25006", "nothing was written, retry", "takes writes"),
        ("57014", "nothing was written, retry", "retry"),
        ("53300", "the store is overloaded", "raise max_connections"),
        ("40P01", "the store is overloaded", "said by the test"),
        // The table is complete, so it comes from the trigger.
        ("42501", "trigger: ", "a trigger or function that this record sets off fails"),
        ("42P01", "trigger: ", "a trigger or function that this record sets off fails"),
        ("42883", "trigger: ", "create it"),
        ("P0001", "trigger: ", "a trigger or function of the database"),
        ("28P01", "user: ", "check user and password"),
        ("22021", "record: ", "no NUL in text"),
        ("54000", "record: ", "make the column larger"),
        ("23503", "record: ", "a constraint of the table"),
        ("57P01", "it is not known whether", "said by the test"),
        ("XX000", "it is not known whether", "said by the test"),
    ];
    for (code, start, part) in cases {
        sql(
            &admin,
            format!(
                "CREATE OR REPLACE FUNCTION {table}_says() RETURNS trigger LANGUAGE plpgsql AS $$ \
                 BEGIN RAISE EXCEPTION 'said by the test' USING ERRCODE = '{code}'; END $$; \
                 CREATE TRIGGER says BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_says()"
            ),
        )
        .await;
        let error = store.put_if_newer(&id("k"), &record(1)).await.expect_err(part).to_string();
        assert!(error.starts_with(start) && error.contains(part), "{code}: {error}");
        sql(&admin, format!("DROP TRIGGER says ON {table}")).await;
    }
    assert_eq!(store.get(&id("k")).await, Ok(None));
    assert_eq!(store.put_if_newer(&id("k"), &record(1)).await, Ok(Put::Applied), "when it is over");
    sql(&admin, format!("DROP TABLE {table}; DROP FUNCTION {table}_says")).await;
}
