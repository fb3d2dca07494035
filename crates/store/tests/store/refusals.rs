//! What a server refuses for one record is that record's fault: nothing was written, and its words say why.

use cutover_core::outcome::ErrorClass;
use cutover_store::{
    Copied, MySqlStore, PostgresStore, Put, Record, SqliteOptions, SqliteStore, Store, StoreError, Version,
    mapping::Dialect,
};
use sqlx::{Connection, MySqlPool, PgPool, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    refusing::{Case, REFUSED, of_mariadb, of_postgres, of_sqlite, records, table},
    servers::{options, sql, table as named, url},
};

#[track_caller]
fn is_refused<T: std::fmt::Debug>(put: Result<T, StoreError>, says: &str) {
    let error = put.expect_err(says);
    let of_record = matches!(error, StoreError::Permanent { class: ErrorClass::Constraint, .. });
    assert!(of_record && !error.may_apply() && error.to_string().contains(says), "{says}: {error:?}");
}

/// However it is written, alone or among others, it is refused and nothing is there; the others fit.
async fn one_of_200_is_refused(store: &dyn Store, says: &str, silently: bool) {
    let all = records();
    let (id, record) = all[REFUSED as usize].clone();
    is_refused(store.put_many_if_newer(&all).await, says);
    let ids: Vec<_> = all.iter().map(|(id, _)| id.clone()).collect();
    let there = store.get_versions(&ids).await.expect("asked");
    // A batch that is refused has written nothing. The silent way out leaves the others written.
    assert_eq!(there.iter().flatten().count(), if silently { 199 } else { 0 }, "{says}");
    is_refused(store.put_if_newer(&id, &record).await, says);
    is_refused(store.put_if_unchanged(&id, &record, None).await, says);
    assert_eq!(store.get(&id).await, Ok(None), "{says}");
    let others: Vec<_> = all.into_iter().filter(|(other, _)| *other != id).collect();
    let answer = if silently { Copied::Present } else { Copied::Written };
    assert_eq!(store.put_many_if_newer(&others).await, Ok(vec![answer; 199]), "{says}");
    let newer = Record { version: Version(1000), ..others[5].1.clone() };
    assert_eq!(store.put_if_newer(&others[5].0, &newer).await, Ok(Put::Applied), "{says}");
}

#[tokio::test]
async fn mariadb_refuses_one_of_200() {
    let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL") else { return };
    let admin = MySqlPool::connect(&url).await.expect("connected");
    for Case { name, says, create, drop } in of_mariadb(|reason| named(&format!("refuses_{reason}"))) {
        sql(&admin, create).await;
        let table = table(Dialect::MySql, &named(&format!("refuses_{name}")));
        let store = MySqlStore::open(&url, table, options()).await.expect(name);
        one_of_200_is_refused(&store, says, false).await;
        sql(&admin, drop).await;
    }
}

#[tokio::test]
async fn postgresql_refuses_one_of_200() {
    let Some(url) = url("PostgreSQL", "CUTOVER_TEST_POSTGRES") else { return };
    let admin = PgPool::connect(&url).await.expect("connected");
    let role = named("refuses");
    sql(&admin, format!("CREATE ROLE {role} LOGIN PASSWORD 'cutover'")).await;
    let address = url.rsplit_once('@').expect("a user").1;
    let url = format!("postgres://{role}:cutover@{address}");
    for case in of_postgres(|reason| named(&format!("refuses_{reason}")), &role) {
        sql(&admin, &*case.create).await;
        let table = table(Dialect::Postgres, &named(&format!("refuses_{}", case.name)));
        let store = PostgresStore::open(&url, table, options()).await.expect(case.name);
        one_of_200_is_refused(&store, case.says, case.is_silent()).await;
        store.close().await;
        sql(&admin, case.drop).await;
    }
    sql(&admin, format!("DROP ROLE {role}")).await;
}

#[tokio::test]
async fn a_file_refuses_one_of_200() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("store.db");
    let connect = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut admin = SqliteConnection::connect_with(&connect).await.expect("open");
    for Case { name, says, create, .. } in of_sqlite(|reason| format!("refuses_{reason}")) {
        sql(&mut admin, create).await;
        let table = table(Dialect::Sqlite, &format!("refuses_{name}"));
        let store = SqliteStore::open(&path, table, SqliteOptions::default()).await.expect(name);
        // A file's batch is one transaction, so it leaves nothing in any way.
        one_of_200_is_refused(&store, says, false).await;
    }
}

#[track_caller]
fn is_of_the_table<T: std::fmt::Debug>(put: Result<T, StoreError>, says: &str) {
    let error = put.expect_err(says);
    let of_table = matches!(error, StoreError::Permanent { class: ErrorClass::Other, .. });
    assert!(of_table && error.to_string().contains(says), "{says}: {error:?}");
}

/// However it is written, it ends a pass at once: no record would fit.
async fn the_table_refuses_all(store: &dyn Store, says: &str) {
    let all = records();
    is_of_the_table(store.put_many_if_newer(&all).await, says);
    is_of_the_table(store.put_if_newer(&all[0].0, &all[0].1).await, says);
    is_of_the_table(store.put_if_unchanged(&all[0].0, &all[0].1, None).await, says);
    is_of_the_table(store.put_all_if_newer(&all[..2]).await, says);
}

#[tokio::test]
async fn what_every_record_meets_is_the_fault_of_the_table() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("store.db");
    for (at, change) in
        ["ALTER TABLE # DROP COLUMN n", "CREATE TRIGGER t# BEFORE INSERT ON # BEGIN SELECT gone; END"]
            .iter()
            .enumerate()
    {
        let name = format!("changed_{at}");
        let (of, options) = (table(Dialect::Sqlite, &name), SqliteOptions::default());
        let store = SqliteStore::create(&path, of, options).await.expect("created");
        let connect = SqliteConnectOptions::new().filename(&path);
        let mut admin = SqliteConnection::connect_with(&connect).await.expect("open");
        sql(&mut admin, change.replace('#', &name)).await;
        the_table_refuses_all(&store, "no ").await;
    }

    let name = named("refuses_all");
    if let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL") {
        let admin = MySqlPool::connect(&url).await.expect("connected");
        for (change, says) in
            [("DROP COLUMN n", "Unknown column"), ("ADD COLUMN m INT NOT NULL", "doesn't have a default")]
        {
            let store = MySqlStore::create(&url, table(Dialect::MySql, &name), options()).await;
            let store = store.expect("created");
            sql(&admin, format!("ALTER TABLE {name} {change}")).await;
            the_table_refuses_all(&store, says).await;
            sql(&admin, format!("DROP TABLE {name}")).await;
        }
    }
    let Some(url) = url("PostgreSQL", "CUTOVER_TEST_POSTGRES") else { return };
    let admin = PgPool::connect(&url).await.expect("connected");
    let role = named("refuses_all_role");
    sql(&admin, format!("CREATE ROLE {role} LOGIN PASSWORD 'cutover'")).await;
    let own = format!("postgres://{role}:cutover@{}", url.rsplit_once('@').expect("a user").1);
    for (change, says) in
        [("ALTER TABLE # DROP COLUMN n", "column"), ("REVOKE INSERT ON # FROM @", "permission denied")]
    {
        let created = PostgresStore::create(&url, table(Dialect::Postgres, &name), options()).await;
        created.expect("created").close().await;
        sql(&admin, format!("GRANT SELECT, INSERT, UPDATE ON {name} TO {role}")).await;
        let store = PostgresStore::open(&own, table(Dialect::Postgres, &name), options()).await;
        let store = store.expect("opened");
        sql(&admin, change.replace('#', &name).replace('@', &role)).await;
        the_table_refuses_all(&store, says).await;
        store.close().await;
        sql(&admin, format!("DROP TABLE {name}")).await;
    }
    sql(&admin, format!("DROP ROLE {role}")).await;
}

/// Columns that were made generated after the table was opened, and policies on rows that are there already.
#[tokio::test]
async fn what_changes_after_opening_is_told_by_the_write() {
    let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL") else { return };
    let (admin, name) = (MySqlPool::connect(&url).await.expect("connected"), named("refuses_later"));
    let store = MySqlStore::create(&url, table(Dialect::MySql, &name), options()).await.expect("created");
    sql(&admin, format!("ALTER TABLE {name} DROP COLUMN n, ADD COLUMN n BIGINT AS (1) STORED")).await;
    let (id, record) = records().swap_remove(0);
    is_refused(store.put_if_newer(&id, &record).await, "the column is generated");
    sql(&admin, format!("DROP TABLE {name}")).await;

    let Some(url) = super::servers::url("PostgreSQL", "CUTOVER_TEST_POSTGRES") else { return };
    let admin = PgPool::connect(&url).await.expect("connected");
    let store =
        PostgresStore::create(&url, table(Dialect::Postgres, &name), options()).await.expect("created");
    let swallow = format!(
        "CREATE FUNCTION {name}_f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
         CREATE TRIGGER t BEFORE UPDATE ON {name} FOR EACH ROW EXECUTE FUNCTION {name}_f()"
    );
    assert_eq!(store.put_if_newer(&id, &record).await, Ok(Put::Applied));
    sql(&admin, swallow).await;
    let newer = Record { version: Version(2), ..record.clone() };
    is_refused(store.put_if_newer(&id, &newer).await, "wrote nothing");
    is_refused(store.put_if_unchanged(&id, &newer, Some(Version(1))).await, "wrote nothing");
    let stale = store.put_if_unchanged(&id, &newer, None).await;
    assert_eq!(stale, Ok(Put::Stale(Version(1))), "the condition does not hold");
    assert_eq!(store.get(&id).await, Ok(Some(record.clone())));
    sql(&admin, format!("DROP TRIGGER t ON {name}; ALTER TABLE {name} DROP COLUMN n")).await;
    sql(&admin, format!("ALTER TABLE {name} ADD COLUMN n bigint GENERATED ALWAYS AS (1) STORED")).await;
    let other = records().swap_remove(1);
    is_refused(store.put_if_newer(&other.0, &other.1).await, "the column is generated");
    sql(&admin, format!("DROP TABLE {name}; DROP FUNCTION {name}_f")).await;
}
