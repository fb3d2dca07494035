//! Mapped columns of a SQLite file.

use std::path::{Path, PathBuf};

use cutover_store::mapping::SqlTable;
use cutover_store::{SqliteOptions, SqliteStore};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    super::{documents, documents::Documents, suite},
    *,
};

struct File(tempfile::TempDir);

impl File {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("store.db")
    }

    async fn create(&self, table: SqlTable) -> SqliteStore {
        SqliteStore::create(&self.path(), table, SqliteOptions::default()).await.expect("created")
    }

    async fn sql(&self, sql: &str) {
        sql_on(&self.path(), sql).await;
    }
}

async fn sql_on(path: &Path, sql: &str) {
    let connect = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&connect).await.expect("open");
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await;
    done.expect("a statement of the test");
}

#[tokio::test]
async fn passes_the_suite_in_columns() {
    let file = File::new();
    let mut stores = Vec::new();
    for n in 0..suite::STORES {
        let table = documents::table(Dialect::Sqlite, &format!("documents_{n}"));
        stores.push(Documents(file.create(table).await));
    }
    suite::run(|| stores.pop().expect("one for each story")).await;
}

#[tokio::test]
async fn keeps_the_promises_of_columns() {
    let file = File::new();
    let strict = |name: &str| orders(Dialect::Sqlite, name, OnMisfit::Quarantine);
    documents_come_back_byte_by_byte(&file.create(strict("a")).await).await;
    a_record_that_does_not_fit_is_refused_and_its_column_named(&file.create(strict("b")).await).await;
    let lenient = file.create(orders(Dialect::Sqlite, "c", OnMisfit::Overflow)).await;
    a_misfit_goes_to_the_overflow_if_that_is_asked_for(&lenient).await;
    a_record_can_be_a_tenant_of_its_own(&file.create(own_tenants(Dialect::Sqlite, "d")).await).await;
}

#[tokio::test]
async fn a_row_of_a_foreign_writer_is_read_or_refused_and_never_guessed_at() {
    let file = File::new();
    let store = file.create(orders(Dialect::Sqlite, "orders", OnMisfit::Quarantine)).await;
    file.sql(
        "INSERT INTO orders (tenant, key, id, price, name, paid) VALUES ('t', 'k', 1, '9.90', 'by hand', 1); \
         INSERT INTO orders (tenant, key, id, name, cutover_deleted) VALUES ('t', 'gone', 1, 'kept', 1); \
         INSERT INTO orders (tenant, key, id, name, cutover_version, cutover_deleted) \
         VALUES ('t', 'ghost', 1, 'kept', 3, 1); \
         INSERT INTO orders (tenant, key, id, cutover_version) VALUES ('t', 'minus', 1, -1); \
         INSERT INTO orders (tenant, key, id, paid) VALUES ('t', 'paid', 1, 7); \
         INSERT INTO orders (tenant, key, id, price) VALUES ('t', 'price', 1, 'dear'); \
         INSERT INTO orders (tenant, key, id, rest) VALUES ('t', 'rest', 1, '{'); \
         INSERT INTO orders (tenant, key, id, rest) VALUES ('t', 'both', 1, '{\"id\":{\"N\":\"2\"}}'); \
         INSERT INTO orders (tenant, key, id) VALUES ('t', 'float', 1.5); \
         INSERT INTO orders (tenant, key, id, note) VALUES ('t', 'note', 1, CAST(x'ff' AS TEXT)); \
         INSERT INTO orders (tenant, key, name) VALUES ('t', 'id', 'none')",
    )
    .await;
    let by_hand = r#"{"id":{"N":"1"},"price":{"N":"9.9"},"name":{"S":"by hand"},"paid":{"BOOL":true}}"#;
    assert_eq!(store.get(&id("k")).await, Ok(Some(record(0, by_hand))));
    let unreadable = [
        ("gone", "cutover_deleted", "marked as deleted but has no version"),
        ("ghost", "cutover_deleted", "marked as deleted but has content"),
        ("minus", "cutover_version", "-1 is negative"),
        ("paid", "paid", "can't be read as boolean"),
        ("price", "price", "can't be read as decimal"),
        ("rest", "rest", "no typed JSON"),
        ("both", "id", "both its column and the overflow"),
        ("float", "id", "floating point"),
        ("note", "note", "not valid UTF-8"),
        ("id", "id", "it is missing"),
    ];
    is_unreadable_until_it_is_mended(&store, &unreadable).await;
}

#[tokio::test]
async fn a_table_that_does_not_fit_is_told_before_anything_is_written() {
    let file = File::new();
    let good = "tenant TEXT NOT NULL, key TEXT NOT NULL, cutover_version INTEGER NOT NULL, cutover_deleted BOOLEAN NOT NULL, \
                id BIGINT, price TEXT, name VARCHAR(5), note TEXT, paid BOOLEAN, sig BLOB, photo, at_city TEXT, \
                lines TEXT, rest TEXT, PRIMARY KEY (tenant, key)";
    let cases = [
        (
            good.replace("price TEXT", "price DECIMAL(38,10)"),
            "column price is \"DECIMAL(38,10)\" and has to be TEXT",
        ),
        (good.replace("id BIGINT", "id REAL"), "column id is \"REAL\" and has to be INTEGER"),
        (good.replace("sig BLOB", "sig TEXT"), "column sig is \"TEXT\" and has to be BLOB"),
        (good.replace("at_city TEXT", "at_city TEXT NOT NULL"), "column at_city has to allow NULL"),
        (
            good.replace("deleted BOOLEAN NOT NULL", "deleted BOOLEAN"),
            "column cutover_deleted has to be NOT NULL",
        ),
        (good.replace(" rest TEXT,", ""), "it has no column rest"),
        (good.replace("(tenant, key)", "(key, tenant)"), "unique index on (tenant, key)"),
        (good.replace("key TEXT", "key TEXT COLLATE NOCASE"), "with the collation BINARY"),
        (format!("owner INT NOT NULL, {good}"), "column owner is NOT NULL and has no default"),
    ];
    let table = || orders(Dialect::Sqlite, "orders", OnMisfit::Quarantine);
    for (columns, told) in &cases {
        file.sql(&format!("CREATE TABLE orders ({columns})")).await;
        let opened = SqliteStore::create(&file.path(), table(), SqliteOptions::default()).await;
        let error = opened.expect_err(told).to_string();
        assert!(error.starts_with("table: ") && error.contains(told), "{error}");
        file.sql("DROP TABLE orders").await;
    }
    let other = tempfile::tempdir().expect("a temporary directory");
    let other = other.path().join("store.db");
    sql_on(&other, &format!("PRAGMA encoding = 'UTF-16le'; CREATE TABLE orders ({good})")).await;
    let error =
        SqliteStore::open(&other, table(), SqliteOptions::default()).await.expect_err("another order");
    assert!(error.to_string().contains("in UTF-16le and needs them in UTF-8"), "{error}");
    // SQLite does not mind how a collation is written.
    let lower = good.replace("key TEXT", "key TEXT COLLATE binary");
    file.sql(&format!("CREATE TABLE orders ({lower})")).await;
    SqliteStore::open(&file.path(), table(), SqliteOptions::default()).await.expect("it fits");
    file.sql("DROP TABLE orders").await;
    let all = good.replace("price TEXT", "price REAL").replace(" rest TEXT,", "");
    file.sql(&format!("CREATE TABLE orders ({all})")).await;
    let error =
        SqliteStore::open(&file.path(), table(), SqliteOptions::default()).await.expect_err("two faults");
    assert!(
        error.to_string().contains("price") && error.to_string().contains("rest"),
        "every fault: {error}"
    );
    file.sql(&format!("DROP TABLE orders; CREATE TABLE orders (note_of_us TEXT, {good})")).await;
    let store = SqliteStore::open(&file.path(), table(), SqliteOptions::default()).await.expect("it fits");
    documents_come_back_byte_by_byte(&store).await;
}
