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
        suite,
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
        stores.push(Documents(
            create(&url, with_ledger(documents::table(Dialect::Postgres, &tables[n]))).await,
        ));
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
    sql(&admin.0, stories::create_orders(Dialect::Postgres, &name)).await;
    let of = || stories::orders(Dialect::Postgres, &name);
    let error = PostgresStore::open(&url, of(), options()).await.expect_err("without its ledger");
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
    sql(&admin.0, stories::create_orders(Dialect::Postgres, &name)).await;
    sql(&admin.0, format!("DELETE FROM {name}")).await;
    let store = Arc::new(create(&url, stories::orders(Dialect::Postgres, &name)).await);
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
    sql(&admin.0, format!("TRUNCATE {name}, ledger_{name}")).await;
    stories::pages_show_all_once(&*store).await;
    sql(&admin.0, stories::drop_orders(&name)).await;
}

#[tokio::test]
async fn a_trigger_that_drops_a_row_leaves_no_entry() {
    let Some((url, admin)) = server().await else { return };
    let name = table("ledger_dropped");
    sql(&admin.0, stories::create_orders(Dialect::Postgres, &name)).await;
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
        "CREATE TABLE {name} (org text NOT NULL, id text COLLATE \"C\" NOT NULL, n bigint NOT NULL, rest text, \
         PRIMARY KEY (org, id)); CREATE UNLOGGED TABLE ledger_{name} (tenant text COLLATE \"C\" NOT NULL, \
         key text COLLATE \"C\" NOT NULL, version int NOT NULL, PRIMARY KEY (key, tenant))"
    );
    sql(&admin.0, tables).await;
    let opened = PostgresStore::open(&url, stories::orders(Dialect::Postgres, &name), options()).await;
    let error = opened.expect_err("faults").to_string();
    for fault in [
        "column org is text COLLATE \"default\"",
        "UNLOGGED",
        "column version is integer and has to be bigint",
        "no primary key or unique index on (tenant, key)",
    ] {
        assert!(error.contains(fault), "{fault}: {error}");
    }
    sql(&admin.0, format!("DROP TABLE {name}, ledger_{name}")).await;
}
