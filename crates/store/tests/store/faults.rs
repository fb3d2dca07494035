//! Opening a table tells all its faults at once, each with what to do, and warns of what may refuse records.

#[path = "faults/each.rs"]
mod each;

use cutover_store::{
    MySqlStore, PostgresStore, SqliteOptions, SqliteStore, Store, StoreError,
    mapping::{Column, ColumnPath, Dialect, Fields, Mapping, OnMisfit, SqlTable, Versions},
};
use sqlx::{Connection, MySqlPool, PgPool, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    refusing,
    servers::{options, sql, table as named, url},
};

fn table(dialect: Dialect, name: &str) -> SqlTable {
    let column = |name: &str, kind: &str| Column {
        name: name.to_owned(),
        path: ColumnPath::dotted(name).expect("a path"),
        kind: kind.parse().expect("a type"),
        required: false,
        spelling: Default::default(),
        labels: Vec::new(),
        fill: None,
        prefix: None,
        computed: None,
    };
    let columns = vec![
        column("n", "bigint"),
        column("price", "decimal(8,2)"),
        column("city", "varchar(20)"),
        column("note", "text"),
        column("paid", "boolean"),
    ];
    let mapping = Mapping::new(dialect, columns, Some("rest".to_owned()), OnMisfit::Quarantine);
    let fields = Fields::default();
    SqlTable {
        name: name.to_owned(),
        fields,
        mapping: Some(mapping.expect("a mapping")),
        versions: Versions::default(),
    }
}

/// Each fault has a line, and nothing else has one.
#[track_caller]
fn lists(error: &str, faults: &[&str]) {
    let lines: Vec<&str> = error.lines().skip(1).collect();
    for fault in faults {
        assert!(lines.iter().any(|line| line.contains(fault)), "{fault:?} is not in {error}");
    }
    assert_eq!(lines.len(), faults.len(), "{error}");
}

/// The statements that the faults advise.
fn advised(error: &str) -> Vec<String> {
    let statements = error.lines().filter_map(|line| {
        let (_, statement) = line.split_once("Run: ").or_else(|| line.split_once("run: "))?;
        Some(statement.to_owned())
    });
    statements.collect()
}

#[tokio::test]
async fn a_mariadb_table_tells_every_fault_at_once() {
    let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL") else { return };
    let (admin, name) = (MySqlPool::connect(&url).await.expect("connected"), named("faults"));
    sql(
        &admin,
        format!(
            "CREATE TABLE {name} (tenant VARBINARY(256) NOT NULL, `key` VARBINARY(1024) NOT NULL, \
             cutover_version BIGINT NOT NULL, cutover_deleted BOOLEAN NOT NULL, n BIGINT AS (1) STORED, \
             price INT, city VARCHAR(20) CHARACTER SET utf8mb4 NOT NULL, note JSON, paid BOOLEAN, \
             changed DATETIME NOT NULL ON UPDATE CURRENT_TIMESTAMP, made DATETIME NOT NULL DEFAULT now(), \
             owner INT NOT NULL, PRIMARY KEY (tenant, `key`), UNIQUE city (city), \
             CONSTRAINT is_paid CHECK (paid IS NOT NULL)); \
             ALTER TABLE {name} ALTER changed DROP DEFAULT"
        ),
    )
    .await;
    let opened = MySqlStore::open(&url, table(Dialect::MySql, &name), options()).await;
    let error = opened.expect_err("faults").to_string();
    let faults = [
        "column n is generated",
        "column price is int(11) and has to be decimal(8,2)",
        "column city has to allow NULL",
        "it has no column rest",
        "column changed is NOT NULL and has no default",
        "column owner is NOT NULL and has no default",
        "city is a second unique index",
        "refuses text that is not JSON",
        "is_paid, CHECK (`paid` is not null), refuses deleted records",
    ];
    lists(&error, &faults);
    for statement in advised(&error) {
        sql(&admin, statement).await;
    }
    sql(&admin, format!("ALTER TABLE {name} DROP CONSTRAINT is_paid")).await;
    let store = MySqlStore::open(&url, table(Dialect::MySql, &name), options()).await;
    assert_eq!(store.expect("what was advised helps").warnings().await, Ok(Vec::new()));
    sql(&admin, format!("DROP TABLE {name}")).await;
}

#[tokio::test]
async fn a_postgres_table_tells_every_fault_at_once() {
    let Some(url) = url("PostgreSQL", "CUTOVER_TEST_POSTGRES") else { return };
    let (admin, name) = (PgPool::connect(&url).await.expect("connected"), named("faults"));
    sql(
        &admin,
        format!(
            "CREATE UNLOGGED TABLE {name} (tenant text COLLATE \"C\" NOT NULL, key text COLLATE \"C\" NOT NULL, \
             cutover_version bigint NOT NULL, cutover_deleted boolean NOT NULL, \
             n bigint GENERATED ALWAYS AS IDENTITY, price int, \"City\" text, note text NOT NULL, \
             paid boolean CONSTRAINT is_paid CHECK (paid IS NOT NULL), owner int NOT NULL, rest text); \
             CREATE RULE quiet AS ON INSERT TO {name} WHERE NEW.n = 1 DO ALSO NOTHING"
        ),
    )
    .await;
    let opened = PostgresStore::open(&url, table(Dialect::Postgres, &name), options()).await;
    let error = opened.expect_err("faults").to_string();
    let faults = [
        "is UNLOGGED",
        "column n is generated",
        "column price is integer and has to be numeric(8,2)",
        "it has no column city, but City: write it like that",
        "column note has to allow NULL",
        "column owner is NOT NULL and has no default",
        "it has no primary key or unique index on (tenant, key)",
        "it has the rule quiet",
        "is_paid, CHECK ((paid IS NOT NULL)), refuses deleted records",
    ];
    // An identity column is NOT NULL, too, which goes with it.
    lists(&error, &faults);
    for statement in advised(&error) {
        sql(&admin, statement).await;
    }
    sql(
        &admin,
        format!(
            "ALTER TABLE {name} RENAME \"City\" TO city; ALTER TABLE {name} ALTER n DROP NOT NULL; \
             CREATE PUBLICATION {name} FOR TABLE {name}"
        ),
    )
    .await;
    let open = async || PostgresStore::open(&url, table(Dialect::Postgres, &name), options()).await;
    let error = open().await.expect_err("published").to_string();
    assert!(error.contains("publishes its updates, for which it has no replica identity"), "{error}");
    for statement in advised(&error) {
        sql(&admin, statement).await;
    }
    assert_eq!(open().await.expect("what was advised helps").warnings().await, Ok(Vec::new()));
    let upper = table(Dialect::Postgres, &name.to_uppercase());
    let error = PostgresStore::open(&url, upper, options()).await.expect_err("another case");
    assert!(error.is_no_table() && error.to_string().contains(&format!("but {name:?}: write it")), "{error}");
    sql(&admin, format!("DROP PUBLICATION {name}; DROP TABLE {name}")).await;
}

#[tokio::test]
async fn a_file_tells_every_fault_at_once() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("store.db");
    let connect = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut admin = SqliteConnection::connect_with(&connect).await.expect("open");
    sql(
        &mut admin,
        "CREATE TABLE orders (tenant TEXT NOT NULL, key TEXT NOT NULL, cutover_version INTEGER NOT NULL, \
         cutover_deleted INTEGER NOT NULL, n INTEGER AS (1) STORED, price REAL, city TEXT NOT NULL, note TEXT, \
         paid INTEGER, owner INTEGER NOT NULL); \
         CREATE TRIGGER late AFTER INSERT ON orders BEGIN SELECT RAISE ( FAIL, 'too late'); END; \
         CREATE VIEW seen AS SELECT * FROM orders",
    )
    .await;
    let open = async |name: &str| {
        SqliteStore::open(&path, table(Dialect::Sqlite, name), SqliteOptions::default()).await
    };
    let error = open("orders").await.expect_err("faults").to_string();
    let faults = [
        "column n is generated",
        "column price is \"REAL\" and has to be TEXT",
        "column city has to allow NULL",
        "it has no column rest. Run: ALTER TABLE",
        "column owner is NOT NULL and has no default",
        "unique index on (tenant, key)",
        "trigger late uses RAISE(FAIL)",
    ];
    lists(&error, &faults);
    let error = open("seen").await.expect_err("a view").to_string();
    assert!(error.contains("it is a view: name the table behind it"), "{error}");
}

#[tokio::test]
async fn what_may_refuse_single_records_is_told_and_no_reason_not_to_open() {
    let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL") else { return };
    let admin = MySqlPool::connect(&url).await.expect("connected");
    let of_mariadb = [
        ("trigger", "runs BEFORE INSERT"),
        ("partition", "PARTITION BY LIST COLUMNS: no partition takes everything"),
        ("foreign_key", "a record without its row in"),
        ("checked", "CHECK (`n` <> 77): a record that it refuses"),
    ];
    let address = url.rsplit_once('@').expect("a user").1;
    let user = named("warned");
    sql(&admin, format!("CREATE USER {user}@'127.0.0.1' IDENTIFIED BY 'cutover'")).await;
    for case in refusing::of_mariadb(|reason| named(&format!("warned_{reason}"))) {
        let Some((_, told)) = of_mariadb.iter().find(|(name, _)| *name == case.name) else { continue };
        sql(&admin, &*case.create).await;
        let name = named(&format!("warned_{}", case.name));
        let open = async |url: &str| {
            let table = refusing::table(Dialect::MySql, &name);
            MySqlStore::open(url, table, options()).await.expect(case.name)
        };
        let store = open(&url).await;
        assert_eq!(store.missing_privileges().await, Ok(Vec::new()));
        let warnings = store.warnings().await.expect("told");
        assert!(warnings.len() == 1 && warnings[0].contains(told), "{}: {warnings:?}", case.name);
        sql(&admin, format!("GRANT SELECT ON {name} TO {user}@'127.0.0.1'")).await;
        let store = open(&format!("mysql://{user}:cutover@{address}")).await;
        let missing = store.missing_privileges().await.expect("asked").join("\n");
        let denied = ["INSERT command denied", "UPDATE command denied"].map(|it| missing.contains(it));
        assert_eq!(denied, [true; 2], "{missing}");
        sql(&admin, case.drop).await;
    }
    sql(&admin, format!("DROP USER {user}@'127.0.0.1'")).await;

    let Some(url) = super::servers::url("PostgreSQL", "CUTOVER_TEST_POSTGRES") else { return };
    let admin = PgPool::connect(&url).await.expect("connected");
    let of_postgres = [
        ("trigger", "trigger t runs on"),
        ("partition", "takes everything, and a record that none takes"),
        ("foreign_key", "FOREIGN KEY (n) REFERENCES"),
        ("checked", "CHECK ((n <> 77)): a record that it refuses"),
        ("row_security", "row-level security applies to this user"),
    ];
    let address = url.rsplit_once('@').expect("a user").1;
    sql(&admin, format!("CREATE ROLE {user} LOGIN PASSWORD 'cutover'")).await;
    for case in refusing::of_postgres(|reason| named(&format!("warned_{reason}")), &user) {
        let Some((_, told)) = of_postgres.iter().find(|(name, _)| *name == case.name) else { continue };
        sql(&admin, &*case.create).await;
        let name = named(&format!("warned_{}", case.name));
        let url = format!("postgres://{user}:cutover@{address}");
        let table = refusing::table(Dialect::Postgres, &name);
        let store = PostgresStore::open(&url, table, options()).await.expect(case.name);
        let warnings = store.warnings().await.expect("told");
        assert!(warnings.len() == 1 && warnings[0].contains(told), "{}: {warnings:?}", case.name);
        assert_eq!(store.missing_privileges().await, Ok(Vec::new()));
        sql(&admin, format!("REVOKE INSERT, UPDATE ON {name} FROM {user}")).await;
        let missing = store.missing_privileges().await.expect("asked").join("\n");
        assert!(missing.contains("lacks INSERT on") && missing.contains("lacks UPDATE on"), "{missing}");
        store.close().await;
        sql(&admin, case.drop).await;
    }
    sql(&admin, format!("DROP ROLE {user}")).await;
}
