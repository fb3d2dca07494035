//! Tables whose keys are texts of the application, of a length of its own.

use cutover_store::{
    Id, MySqlStore, PostgresStore, Put, Record, Store, StoreError, Version,
    mapping::{SqlTable, Versions},
};
use sqlx::{AssertSqlSafe, MySqlPool, PgPool};

use super::{
    servers::{id, options, record, sql, table, url},
    suite,
};

fn of(name: &str, versions: Versions) -> SqlTable {
    SqlTable { versions, ..SqlTable::from(name) }
}

/// The content of a table that has its versions there.
fn content(versions: Versions, blob: &str) -> String {
    match versions {
        Versions::Columns => format!("cutover_version BIGINT NOT NULL DEFAULT 0, value {blob}"),
        Versions::Ledger | Versions::Absent => format!("value {blob} NOT NULL"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_mysql_compares_byte_by_byte_are_keys() {
    let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL") else { return };
    let admin = MySqlPool::connect(&url).await.expect("connected");
    let collations = "SELECT collation_name FROM information_schema.collations \
                      WHERE collation_name IN ('utf8mb4_0900_bin', 'utf8mb4_nopad_bin')";
    let collation: String = sqlx::query_scalar(collations).fetch_one(&admin).await.expect("one of them");
    let ids = format!(
        "tenant VARCHAR(256) COLLATE {collation} NOT NULL, `key` VARCHAR(512) COLLATE {collation} NOT NULL, \
         PRIMARY KEY (tenant, `key`)"
    );
    for versions in [Versions::Columns, Versions::Ledger] {
        let mut stores = Vec::new();
        for n in 0..=suite::STORES {
            let name = table(&format!("text_keys_{n}"));
            let create = format!(
                "DROP TABLE IF EXISTS cutover_ledger_{name}, {name}; CREATE TABLE {name} ({}, {ids}) CHARACTER SET utf8mb4",
                content(versions, "LONGBLOB")
            );
            sql(&admin, create).await;
            stores.push(MySqlStore::create(&url, of(&name, versions), options()).await.expect("it fits"));
        }
        let ordered = stores.pop().expect("one more");
        suite::scans_in_order(&ordered).await;
        let too_long = ordered.put_if_newer(&id(&"k".repeat(513)), &record(9)).await;
        assert!(too_long.expect_err("513 characters").to_string().contains("Data too long"));
        suite::run(|| stores.pop().expect("one for each story")).await;
    }
    for n in 0..=suite::STORES {
        let name = table(&format!("text_keys_{n}"));
        sql(&admin, format!("DROP TABLE cutover_ledger_{name}, {name}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_a_length_that_postgresql_compares_byte_by_byte_are_keys() {
    let Some(url) = url("PostgreSQL", "CUTOVER_TEST_POSTGRES") else { return };
    let admin = PgPool::connect(&url).await.expect("connected");
    let ids = "tenant VARCHAR(256) COLLATE \"C\" NOT NULL, key VARCHAR COLLATE \"C\" NOT NULL, PRIMARY KEY (tenant, key)";
    for versions in [Versions::Columns, Versions::Ledger] {
        let mut stores = Vec::new();
        for n in 0..=suite::STORES {
            let name = table(&format!("text_keys_{n}"));
            let create = format!(
                "DROP TABLE IF EXISTS cutover_ledger_{name}, {name}; CREATE TABLE {name} ({}, {ids})",
                content(versions, "BYTEA")
            );
            sql(&admin, create).await;
            stores.push(PostgresStore::create(&url, of(&name, versions), options()).await.expect("it fits"));
        }
        suite::scans_in_order(&stores.pop().expect("one more")).await;
        suite::run(|| stores.pop().expect("one for each story")).await;
    }
    for n in 0..=suite::STORES {
        let name = table(&format!("text_keys_{n}"));
        sqlx::raw_sql(AssertSqlSafe(format!("DROP TABLE cutover_ledger_{name}, {name}")))
            .execute(&admin)
            .await
            .expect("dropped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_cuts_no_blanks_of_ids() {
    let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL") else { return };
    let admin = MySqlPool::connect(&url).await.expect("connected");
    let collations = "SELECT collation_name FROM information_schema.collations \
                      WHERE collation_name IN ('utf8mb4_0900_bin', 'utf8mb4_nopad_bin')";
    let collation: String = sqlx::query_scalar(collations).fetch_one(&admin).await.expect("one of them");
    let name = table("cut_keys");
    for versions in [Versions::Columns, Versions::Ledger] {
        let create = format!(
            "DROP TABLE IF EXISTS cutover_ledger_{name}, {name}; CREATE TABLE {name} ({}, tenant VARCHAR(5) NOT NULL, \
             `key` VARCHAR(5) NOT NULL, PRIMARY KEY (tenant, `key`)) CHARACTER SET utf8mb4 COLLATE {collation}",
            content(versions, "LONGBLOB")
        );
        sql(&admin, create).await;
        let open = async || MySqlStore::create(&url, of(&name, versions), options()).await.expect("it fits");
        let alter = async |length| {
            let kind = format!("VARCHAR({length}) COLLATE {collation} NOT NULL");
            sql(&admin, format!("ALTER TABLE {name} MODIFY `key` {kind}")).await;
        };
        keeps_blanks(open, alter).await;
    }
    sql(&admin, format!("DROP TABLE cutover_ledger_{name}, {name}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_cuts_no_blanks_of_ids() {
    let Some(url) = url("PostgreSQL", "CUTOVER_TEST_POSTGRES") else { return };
    let admin = PgPool::connect(&url).await.expect("connected");
    let name = table("cut_keys");
    for versions in [Versions::Columns, Versions::Ledger] {
        let create = format!(
            "DROP TABLE IF EXISTS cutover_ledger_{name}, {name}; CREATE TABLE {name} ({}, \
             tenant VARCHAR(5) COLLATE \"C\" NOT NULL, key VARCHAR(5) COLLATE \"C\" NOT NULL, PRIMARY KEY (tenant, key))",
            content(versions, "BYTEA")
        );
        sql(&admin, create).await;
        let open =
            async || PostgresStore::create(&url, of(&name, versions), options()).await.expect("it fits");
        let alter = async |length| {
            sql(&admin, format!("ALTER TABLE {name} ALTER key TYPE VARCHAR({length}) COLLATE \"C\"")).await;
        };
        keeps_blanks(open, alter).await;
    }
    sql(&admin, format!("DROP TABLE cutover_ledger_{name}, {name}")).await;
}

/// Servers cut blanks at the end without an error. Tenant and key take 5 characters; `alter` changes that of the key.
async fn keeps_blanks<S: Store>(open: impl AsyncFn() -> S, alter: impl AsyncFn(usize)) {
    let store = open().await;
    let id = |tenant: &str, key: &str| Id::new(tenant, key).expect("valid");
    let cut = id("ttttt", "kükük");
    assert_eq!(store.put_if_newer(&cut, &record(1)).await, Ok(Put::Applied));
    let deleted = Record { value: None, ..record(9) };
    for (long, column) in [
        (id("ttttt", "kükük "), "key"),
        (id("ttttt", "kükü   "), "key"),
        (id("ttttt ", "kükük"), "tenant"),
        (id("ttttt   ", "kükük "), "tenant"),
    ] {
        for record in [record(9), deleted.clone()] {
            let batch = [(id("t", "one"), record.clone()), (long.clone(), record.clone())];
            for error in [
                store.put_if_newer(&long, &record).await.expect_err("it would be cut"),
                store.put_if_unchanged(&long, &record, None).await.expect_err("it would be cut"),
                store.put_if_unchanged(&long, &record, Some(Version(1))).await.expect_err("it would be cut"),
                store.put_many_if_newer(&batch).await.expect_err("it would be cut"),
            ] {
                assert!(matches!(&error, StoreError::Permanent { field, .. } if field == column), "{error}");
                let what = format!("characters where column {column} of ");
                assert!(error.to_string().contains(&what), "{error}");
            }
        }
        assert_eq!(store.get_many(&[long, id("t", "one")]).await, Ok(vec![None, None]));
    }
    assert_eq!(store.get(&cut).await, Ok(Some(record(1))));
    store.put_if_newer(&id("t", "no cut"), &record(2)).await.expect_err("the server refuses other texts");

    // The column counts as it is now, not as it was when the store was opened.
    let (short, long) = (id("t", "k   "), id("t", "kkkkkk "));
    assert_eq!(store.put_if_newer(&short, &record(2)).await, Ok(Put::Applied));
    alter(7).await;
    assert_eq!(store.put_if_newer(&long, &record(3)).await, Ok(Put::Applied));
    let both = vec![Some(record(2)), Some(record(3))];
    // PostgreSQL answers no read that it prepared before.
    assert_eq!(open().await.get_many(&[short, long]).await, Ok(both));
    alter(9).await;
    alter(7).await;
    store.put_if_newer(&id("t", "kkkkkk  "), &record(4)).await.expect_err("it would be cut");
    assert_eq!(open().await.get(&cut).await, Ok(Some(record(1))));
}
