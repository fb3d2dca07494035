//! A ledger on a PostgreSQL server.

use std::sync::Arc;

use cutover_store::{PostgresStore, Put, Store, StoreError, mapping::Dialect};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::sync::{Mutex, Notify};

use super::{
    super::{
        documents,
        documents::Documents,
        servers::{options, sql, table},
    },
    *,
};

struct Server(PgPool);

impl stories::Admin for Server {
    async fn run(&self, text: String) {
        sql(&self.0, text).await;
    }

    async fn count(&self, text: String) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(&self.0).await.expect("counted")
    }

    async fn kill_waiting(&self, table: &str) -> bool {
        self.count(format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE wait_event_type = 'Lock' AND query LIKE '%\"{table}\"%'"
        ))
        .await
            > 0
    }

    async fn hold(&self, statements: &[String], begun: &Notify, table: &str) {
        let mut lock = self.0.begin().await.expect("begun");
        for statement in statements {
            sql(&mut *lock, statement.clone()).await;
        }
        begun.notify_one();
        let waiting = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%\"{table}\"%'"
        );
        while self.count(waiting.clone()).await == 0 {}
        lock.commit().await.expect("committed");
    }
}

async fn server() -> Option<(String, Server)> {
    let url = super::super::servers::url("PostgreSQL", "CUTOVER_TEST_POSTGRES")?;
    let admin = PgPool::connect(&url).await.expect("connected");
    Some((url, Server(admin)))
}

async fn create(url: &str, table: SqlTable) -> PostgresStore {
    PostgresStore::create(url, table, options()).await.expect("created")
}

on_a_server!(PostgresStore, Dialect::Postgres);

#[tokio::test]
async fn a_trigger_that_drops_a_row_leaves_no_entry() {
    let Some((url, admin)) = server().await else { return };
    let name = table("ledger_dropped");
    sql(&admin.0, stories::create_orders(Dialect::Postgres, &name)).await;
    let its_id = format!("INSERT INTO cutover_ledger_{name} VALUES ('', '', 4711, FALSE)");
    sql(&admin.0, format!("{}; {its_id}", stories::create_ledger(Dialect::Postgres, &name))).await;
    let store = create(&url, stories::orders(Dialect::Postgres, &name)).await;
    let function = format!(
        "CREATE FUNCTION {name}_drops() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
         CREATE TRIGGER drops BEFORE INSERT OR DELETE ON {name} FOR EACH ROW EXECUTE FUNCTION {name}_drops()"
    );
    sql(&admin.0, function).await;
    for record in [record(7, 1), tombstone(7)] {
        for put in [
            store.put_if_newer(&id("a"), &record).await.map(drop),
            store.put_if_unchanged(&id("a"), &record, Some(Version::ZERO)).await.map(drop),
            store.put_many_if_newer(&[(id("z"), self::record(1, 1)), (id("a"), record)]).await.map(drop),
        ] {
            assert!(matches!(&put, Err(StoreError::Permanent { .. })), "{put:?}");
            assert!(put.expect_err("refused").to_string().contains("see which trigger"));
        }
    }
    assert_eq!(store.get_many(&[id("a"), id("z")]).await, Ok(vec![Some(record(0, 1)), None]));
    let warnings = store.warnings().await.expect("told").join("\n");
    assert!(warnings.contains("trigger drops runs"), "{warnings}");
    sql(&admin.0, format!("DROP TRIGGER drops ON {name}; DROP FUNCTION {name}_drops")).await;
    assert_eq!(store.put_if_newer(&id("a"), &tombstone(7)).await, Ok(Put::Applied));
    sql(&admin.0, stories::drop_orders(&name)).await;
}

#[tokio::test]
async fn the_faults_of_both_tables_are_told_at_once() {
    let Some((url, admin)) = server().await else { return };
    let name = table("ledger_faults");
    let tables = format!(
        "CREATE TABLE {name} (org date NOT NULL, id text COLLATE \"C\" NOT NULL, n bigint NOT NULL, rest text, \
         PRIMARY KEY (org, id)); CREATE UNLOGGED TABLE cutover_ledger_{name} (tenant text COLLATE \"C\" NOT NULL, \
         key text COLLATE \"C\" NOT NULL, version int NOT NULL, PRIMARY KEY (key, tenant))"
    );
    sql(&admin.0, tables).await;
    let opened = PostgresStore::open(&url, stories::orders(Dialect::Postgres, &name), options()).await;
    let error = opened.expect_err("faults").to_string();
    for fault in [
        "column org is date and has to be text COLLATE \"C\"",
        "UNLOGGED",
        "column version is integer and has to be bigint",
        "no primary key or unique index on (tenant, key)",
    ] {
        assert!(error.contains(fault), "{fault}: {error}");
    }
    sql(&admin.0, format!("DROP TABLE {name}, cutover_ledger_{name}")).await;
}

/// Two shops have a table of the same name, and a search path that begins with a schema of both.
#[tokio::test]
async fn a_ledger_is_beside_its_table_whatever_the_search_path() {
    let Some((url, admin)) = server().await else { return };
    let name = table("ledger_path");
    let [common, one, other] = ["common", "one", "other"].map(|schema| format!("{name}_{schema}"));
    for schema in [&common, &one, &other] {
        sql(&admin.0, format!("CREATE SCHEMA {schema}")).await;
    }
    for schema in [&one, &other] {
        let rest = stories::create_orders(Dialect::Postgres, &name);
        sql(&admin.0, format!("SET search_path TO {schema}; {rest}; DELETE FROM {name}; RESET search_path"))
            .await;
    }
    let by =
        |path: &str| format!("{url}{}options[search_path]={path}", if url.contains('?') { '&' } else { '?' });
    let of = || stories::orders(Dialect::Postgres, &name);
    let first = create(&by(&format!("{common},{one}")), of()).await;
    let second = create(&by(&format!("{common},{other}")), of()).await;
    // Another user's path finds the same ledger.
    let again =
        PostgresStore::open(&by(&format!("{one},{common}")), of(), options()).await.expect("it is there");
    assert_eq!(first.put_if_newer(&id("a"), &record(7, 1)).await, Ok(Put::Applied));
    assert_eq!(again.get(&id("a")).await, Ok(Some(record(7, 1))));
    assert_eq!(
        second.put_if_newer(&id("a"), &record(5, 1)).await,
        Ok(Put::Applied),
        "another table's version"
    );
    for (schema, tables) in [(&common, 0), (&one, 1), (&other, 1)] {
        let count = format!(
            "SELECT count(*) FROM pg_tables WHERE schemaname = '{schema}' AND tablename = 'cutover_ledger_{name}'"
        );
        assert_eq!(stories::Admin::count(&admin, count).await, tables, "{schema}");
    }
    let identity =
        async |store: &PostgresStore| store.identity().await.expect("asked").expect("it has one").id;
    let before = identity(&first).await;
    assert_eq!(before, identity(&again).await);
    sql(&admin.0, format!("TRUNCATE {one}.cutover_ledger_{name}")).await;
    sql(&admin.0, format!("ALTER TABLE {one}.cutover_ledger_{name} RENAME TO lost")).await;
    let ledger =
        stories::create_ledger(Dialect::Postgres, &name).replace("\"cutover", &format!("{one}.\"cutover"));
    let its_id = format!("INSERT INTO {one}.cutover_ledger_{name} VALUES ('', '', 4711, FALSE)");
    sql(&admin.0, format!("{ledger}; {its_id}")).await;
    assert_ne!(before, identity(&first).await, "another ledger");
    sql(&admin.0, format!("DROP SCHEMA {common}, {one}, {other} CASCADE")).await;
}
