//! One table for each fault: opening it tells that one, and nothing else.

use super::*;

/// A piece of a good table, what is there instead, and what has to be said.
type Fault = (&'static str, &'static str, &'static str);

const IDS_OF_MYSQL: &str = "tenant VARBINARY(256) NOT NULL, `key` VARBINARY(1024) NOT NULL";
const OF_MYSQL: [Fault; 14] = [
    (" n BIGINT,", " n BIGINT AS (1) STORED,", "column n is generated"),
    (" n BIGINT,", " n BIGINT AS (1) VIRTUAL,", "column n is generated"),
    (
        ", PRIMARY KEY (tenant, `key`)) CHARACTER SET utf8mb4",
        // MariaDB gives it a default of its own at first.
        ", changed DATETIME NOT NULL ON UPDATE CURRENT_TIMESTAMP, PRIMARY KEY (tenant, `key`)) CHARACTER SET utf8mb4; \
         ALTER TABLE @ ALTER changed DROP DEFAULT",
        "column changed is NOT NULL and has no default",
    ),
    (", PRIMARY", ", owner INT NOT NULL, PRIMARY", "column owner is NOT NULL and has no default"),
    ("note LONGTEXT", "note JSON", "refuses text that is not JSON"),
    ("paid BOOLEAN", "paid BOOLEAN CHECK (paid IS NOT NULL)", "refuses deleted records"),
    (", PRIMARY", ", UNIQUE u (city), PRIMARY", "u is a second unique index"),
    ("KEY (tenant, `key`)", "KEY (`key`, tenant)", "its primary key is not (tenant,key)"),
    ("VARBINARY(1024)", "DATE", "column key is date and has to be varbinary(1024)"),
    ("price DECIMAL(8,2)", "price DECIMAL(8,1)", "column price is decimal(8,1) and has to be"),
    ("city VARCHAR(20)", "city VARCHAR(20) NOT NULL", "column city has to allow NULL"),
    (", rest LONGTEXT", "", "it has no column rest"),
    (
        "cutover_version BIGINT NOT NULL",
        "cutover_version BIGINT",
        "column cutover_version has to be NOT NULL",
    ),
    ("cutover_deleted BOOLEAN", "cutover_deleted VARCHAR(5)", "column cutover_deleted is varchar(5)"),
];

const OF_POSTGRES: [Fault; 14] = [
    (" n bigint,", " n bigint GENERATED ALWAYS AS (1) STORED,", "column n is generated"),
    (" n bigint,", " n bigint GENERATED ALWAYS AS IDENTITY,", "column n is generated"),
    (", PRIMARY", ", owner int NOT NULL, PRIMARY", "column owner is NOT NULL and has no default"),
    ("paid boolean", "paid boolean CHECK (paid IS NOT NULL)", "refuses deleted records"),
    ("city varchar", "\"City\" varchar", "it has no column city, but City: write it like that"),
    (", PRIMARY KEY (tenant, key)", "", "it has no primary key or unique index on (tenant, key)"),
    ("PRIMARY KEY (tenant, key)", "UNIQUE (tenant, key) DEFERRABLE", "its key on (tenant,key) is DEFERRABLE"),
    ("key text COLLATE \"C\"", "key bytea", "column key is bytea and has to be text COLLATE \"C\""),
    ("price numeric(8,2)", "price int", "column price is integer and has to be numeric(8,2)"),
    ("city varchar(20)", "city varchar(20) NOT NULL", "column city has to allow NULL"),
    (", rest text", "", "it has no column rest"),
    (
        "cutover_version bigint NOT NULL",
        "cutover_version bigint",
        "column cutover_version has to be NOT NULL",
    ),
    ("); --", "); CREATE RULE r AS ON INSERT TO @ WHERE NEW.n = 1 DO ALSO NOTHING; --", "it has the rule r"),
    (
        "PRIMARY KEY (tenant, key)); --",
        "UNIQUE (tenant, key)); CREATE PUBLICATION @_p FOR TABLE @; --",
        "publishes its updates, for which it has no replica identity",
    ),
];

const OF_SQLITE: [Fault; 9] = [
    (" n INTEGER,", " n INTEGER AS (1) STORED,", "column n is generated"),
    (" n INTEGER,", " n INTEGER AS (1) VIRTUAL,", "column n is generated"),
    (", PRIMARY", ", owner INTEGER NOT NULL, PRIMARY", "column owner is NOT NULL and has no default"),
    ("price TEXT", "price DECIMAL(8,2)", "column price is \"DECIMAL(8,2)\" and has to be TEXT"),
    ("city TEXT", "city TEXT NOT NULL", "column city has to allow NULL"),
    (", rest TEXT", "", "it has no column rest"),
    (", PRIMARY KEY (tenant, key)", "", "unique index on (tenant, key)"),
    (
        "cutover_version INTEGER NOT NULL",
        "cutover_version INTEGER",
        "column cutover_version has to be NOT NULL",
    ),
    (
        "); --",
        "); CREATE TRIGGER late AFTER INSERT ON @ BEGIN SELECT RAISE(FAIL, 'too late'); END; --",
        "trigger late uses RAISE(FAIL)",
    ),
];

/// The statements for a table with the fault.
fn with(good: &str, (piece, instead, _): &Fault, name: &str) -> String {
    assert!(good.contains(piece), "{piece:?} is not in {good}");
    good.replacen(piece, instead, 1).replace('@', name)
}

#[track_caller]
fn tells<T: std::fmt::Debug>(opened: Result<T, StoreError>, (_, instead, told): &Fault) {
    let error = opened.expect_err(instead).to_string();
    assert!(error.contains(told) && !error.contains('\n'), "{instead}: {error}");
}

#[tokio::test]
async fn each_fault_of_a_mariadb_table_is_told() {
    let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL") else { return };
    let (admin, name) = (MySqlPool::connect(&url).await.expect("connected"), named("each_fault"));
    let good = format!(
        "CREATE TABLE @ ({IDS_OF_MYSQL}, cutover_version BIGINT NOT NULL, cutover_deleted BOOLEAN NOT NULL, n BIGINT, \
         price DECIMAL(8,2), city VARCHAR(20), note LONGTEXT, paid BOOLEAN, rest LONGTEXT, PRIMARY KEY (tenant, `key`)) \
         CHARACTER SET utf8mb4"
    );
    let open = async || MySqlStore::open(&url, table(Dialect::MySql, &name), options()).await;
    for fault in &OF_MYSQL {
        sql(&admin, with(&good, fault, &name)).await;
        tells(open().await, fault);
        sql(&admin, format!("DROP TABLE {name}")).await;
    }
    sql(&admin, good.replace('@', &name)).await;
    open().await.expect("without a fault");
    sql(&admin, format!("DROP TABLE {name}")).await;
}

#[tokio::test]
async fn each_fault_of_a_postgres_table_is_told() {
    let Some(url) = url("PostgreSQL", "CUTOVER_TEST_POSTGRES") else { return };
    let (admin, name) = (PgPool::connect(&url).await.expect("connected"), named("each_fault"));
    let good = "CREATE TABLE @ (tenant text COLLATE \"C\" NOT NULL, key text COLLATE \"C\" NOT NULL, cutover_version \
                bigint NOT NULL, cutover_deleted boolean NOT NULL, n bigint, price numeric(8,2), city varchar(20), note \
                text, paid boolean, rest text, PRIMARY KEY (tenant, key)); --";
    let open = async || PostgresStore::open(&url, table(Dialect::Postgres, &name), options()).await;
    for fault in &OF_POSTGRES {
        sql(&admin, with(good, fault, &name)).await;
        tells(open().await, fault);
        sql(&admin, format!("DROP PUBLICATION IF EXISTS {name}_p; DROP TABLE {name}")).await;
    }
    sql(&admin, good.replace('@', &name)).await;
    open().await.expect("without a fault");
    sql(&admin, format!("DROP TABLE {name}")).await;
}

#[tokio::test]
async fn each_fault_of_a_file_is_told() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("store.db");
    let connect = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut admin = SqliteConnection::connect_with(&connect).await.expect("open");
    let good = "CREATE TABLE @ (tenant TEXT NOT NULL, key TEXT NOT NULL, cutover_version INTEGER NOT NULL, \
                cutover_deleted INTEGER NOT NULL, n INTEGER, price TEXT, city TEXT, note TEXT, paid INTEGER, rest TEXT, \
                PRIMARY KEY (tenant, key)); --";
    for (at, fault) in OF_SQLITE.iter().enumerate() {
        let name = format!("orders_{at}");
        sql(&mut admin, with(good, fault, &name)).await;
        tells(SqliteStore::open(&path, table(Dialect::Sqlite, &name), SqliteOptions::default()).await, fault);
    }
    sql(&mut admin, good.replace('@', "orders")).await;
    let opened = SqliteStore::open(&path, table(Dialect::Sqlite, "orders"), SqliteOptions::default()).await;
    opened.expect("without a fault");
}
