//! Tables whose keys are texts of the application, of a length of its own.

use cutover_store::{
    MySqlStore, PostgresStore, Store,
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
        Versions::Ledger => format!("value {blob} NOT NULL"),
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
    // Case, accents, or blanks at the end do not count there.
    let name = table("loose_keys");
    for loose in ["utf8mb4_general_ci", "utf8mb4_bin"] {
        let create = format!("CREATE TABLE {name} ({}, {ids})", content(Versions::Columns, "LONGBLOB"));
        sql(&admin, create.replace(&collation, loose)).await;
        let error = MySqlStore::open(&url, &*name, options()).await.expect_err(loose).to_string();
        assert!(error.contains("column tenant is varchar(256) and has to be varbinary(256)"), "{error}");
        sql(&admin, format!("DROP TABLE {name}")).await;
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
