//! A target that refuses one record of 200: the others are moved, and that one is kept with the server's words. One that
//! refuses all of them ends the pass.

use cutover_store::{MySqlStore, PostgresStore, ServerOptions, SqliteOptions, SqliteStore, mapping::Dialect};
use sqlx::{AssertSqlSafe, Connection, MySqlPool, PgPool, SqliteConnection, sqlite::SqliteConnectOptions};

use super::*;
use crate::support::server::given;

#[path = "../../../crates/store/tests/store/refusing.rs"]
mod refusing;

use refusing::{Case, of_mariadb, of_postgres, of_sqlite, records, table};

fn name(reason: &str) -> String {
    format!("pass_refuses_{reason}_{}", std::process::id())
}

async fn moves_all_but_one(case: &Case, target: Arc<dyn Store>) {
    let (_dir, controller) = started().await;
    let world = World::new();
    records().into_iter().for_each(|(id, record)| world.source.insert(id, record));
    let stores = Stores { target: target.clone(), ..world.stores() };
    let began = std::time::Instant::now();
    let evidence = run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap();
    let took = began.elapsed();
    let done = counts(&evidence);
    assert_eq!((done.scanned, done.quarantined), (200, 1), "{}: {evidence:?}", case.name);
    // Of a batch without an error it is not known which part of it has just been written.
    let copied = if case.is_silent() { done.copied + done.present } else { done.copied };
    assert_eq!(copied, 199, "{}: {done:?}", case.name);
    assert!(!evidence.clean, "{}: no gate accepts it", case.name);
    let told = evidence.samples.join("\n");
    assert!(told.contains("\"u\"/\"key-077\"") && told.contains(case.says), "{}: {told}", case.name);
    assert!(took < Duration::from_secs(20), "{}: {took:?}, without retries in vain", case.name);
    let kept = world.quarantine.dump();
    let kept: Vec<_> = kept.into_iter().filter(|(_, row)| row.value.is_some()).collect();
    let [(place, row)] = kept.as_slice() else { panic!("{}: {kept:?}", case.name) };
    let row = String::from_utf8_lossy(row.value.as_ref().unwrap()).into_owned();
    assert!(place.key == "\"u\"/\"key-077\"" && row.contains(case.says), "{}: {row}", case.name);
    for (id, record) in records() {
        let expected = (id.tenant != "u").then_some(record);
        assert_eq!(target.get(&id).await, Ok(expected), "{}", case.name);
    }
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_refuses_one_record_and_takes_the_others() {
    let Some(url) = given("CUTOVER_TEST_MYSQL") else { return };
    let admin = MySqlPool::connect(&url).await.unwrap();
    for case in of_mariadb(name) {
        sqlx::raw_sql(AssertSqlSafe(case.create.clone())).execute(&admin).await.unwrap();
        let table = table(Dialect::MySql, &name(case.name));
        let target = MySqlStore::open(&url, table, ServerOptions::default()).await.unwrap();
        moves_all_but_one(&case, Arc::new(target)).await;
        sqlx::raw_sql(AssertSqlSafe(case.drop)).execute(&admin).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_refuses_one_record_and_takes_the_others() {
    let Some(url) = given("CUTOVER_TEST_POSTGRES") else { return };
    let admin = PgPool::connect(&url).await.unwrap();
    let role = name("role");
    let sql = async |sql: String| {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&admin).await.unwrap();
    };
    sql(format!("CREATE ROLE {role} LOGIN PASSWORD 'cutover'")).await;
    let address = url.rsplit_once('@').unwrap().1;
    let url = format!("postgres://{role}:cutover@{address}");
    for case in of_postgres(name, &role) {
        sql(case.create.clone()).await;
        let table = table(Dialect::Postgres, &name(case.name));
        let target = Arc::new(PostgresStore::open(&url, table, ServerOptions::default()).await.unwrap());
        moves_all_but_one(&case, target.clone()).await;
        target.close().await;
        sql(case.drop).await;
    }
    sql(format!("DROP ROLE {role}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_refuses_one_record_and_takes_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("target.db");
    let connect = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut admin = SqliteConnection::connect_with(&connect).await.unwrap();
    for case in of_sqlite(name) {
        sqlx::raw_sql(AssertSqlSafe(case.create.clone())).execute(&mut admin).await.unwrap();
        let table = table(Dialect::Sqlite, &name(case.name));
        let target = SqliteStore::open(&path, table, SqliteOptions::default()).await.unwrap();
        moves_all_but_one(&case, Arc::new(target)).await;
    }
}

/// A routine that a trigger calls is gone, for every record of each tenant.
async fn ends_the_pass(target: Arc<dyn Store>, says: &str) {
    let (_dir, controller) = started().await;
    let world = World::new();
    for (at, (id, record)) in records().into_iter().enumerate() {
        world.source.insert(Id::new(&format!("tenant-{}", at % 5), &id.key).unwrap(), record);
    }
    let stores = Stores { target, ..world.stores() };
    let error = run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap_err().to_string();
    assert!(error.contains("100 records in a row were refused") && error.contains(says), "{error}");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_routine_that_is_gone_in_mariadb_ends_the_pass() {
    let Some(url) = given("CUTOVER_TEST_MYSQL") else { return };
    let admin = MySqlPool::connect(&url).await.unwrap();
    let case = of_mariadb(|_| name("gone")).swap_remove(0);
    let (before, _) = case.create.split_once("IF NEW.n").unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("{before} CALL gone_{}()", name("p"))))
        .execute(&admin)
        .await
        .unwrap();
    let table = table(Dialect::MySql, &name("gone"));
    let target = MySqlStore::open(&url, table, ServerOptions::default()).await.unwrap();
    ends_the_pass(Arc::new(target), "(error 1305)").await;
    sqlx::raw_sql(AssertSqlSafe(case.drop)).execute(&admin).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_routine_that_is_gone_in_postgresql_ends_the_pass() {
    let Some(url) = given("CUTOVER_TEST_POSTGRES") else { return };
    let admin = PgPool::connect(&url).await.unwrap();
    let case = of_postgres(|_| name("gone"), "CURRENT_USER").swap_remove(0);
    let create = case.create.replace("RAISE EXCEPTION 'not this one'; END IF", "END IF; PERFORM gone()");
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&admin).await.unwrap();
    let table = table(Dialect::Postgres, &name("gone"));
    let target = PostgresStore::open(&url, table, ServerOptions::default()).await.unwrap();
    ends_the_pass(Arc::new(target), "(error 42883)").await;
    sqlx::raw_sql(AssertSqlSafe(case.drop)).execute(&admin).await.unwrap();
}
