//! `cutover spec init` from SQL tables as they are, and to tables that are there.

mod admin;

pub use admin::{Admin, for_source};
use tempfile::TempDir;

use super::{Said, at, run};
use crate::support::server::{Controller, given};

/// The draft, in a file and with passwords.
fn written(dir: &TempDir, said: &str, urls: [&str; 2]) -> String {
    let mut text = said.to_owned();
    for (url, name) in urls.into_iter().zip(["SOURCE", "TARGET"]) {
        text = text.replace(&format!("password_env = \"CUTOVER_{name}_PASSWORD\"\n"), "");
        text = text.replace(&url.replacen(":cutover@", "@", 1), url);
    }
    let path = dir.path().join("draft.toml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

async fn init(source: &str, table: &str, target: &str, migration: &str) -> Said {
    let source = format!("{source}?table={table}");
    super::draft::init(&source, target, &["--migration", migration]).await
}

/// A draft has these parts, and with it the 200 rows move to a file.
async fn moves_as_it_is(admin: &Admin, url: &str, table: &str, create: String, parts: &[&str]) {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    admin.sql(create).await;
    let target = format!("sqlite:{}/target.db", dir.path().display());
    let said = init(url, table, &target, "as-it-is").await;
    let draft = said.done();
    for part in
        parts.iter().chain(&["versions = \"ledger\"", "# A draft from 200 records", "# All of them fit"])
    {
        assert!(draft.contains(part), "{part}: {draft}");
    }
    assert!(!draft.contains(":cutover@"), "{draft}");
    let path = written(&dir, &draft, [url, &target]);
    run(["spec", "lint", &path]).await.done();
    admin.sql(for_source(&draft)).await;
    let controller = controller.url.as_str();
    at(controller, "create as-it-is --source one --target other").await.done();
    let said = at(controller, &format!("backfill {path} --create-tables")).await;
    assert!(said.code == 0 && said.out.contains("200 copied"), "{said:?}");
    // Once more: now both are there.
    let again = init(url, table, &target, "as-it-is").await;
    let again = again.done();
    assert!(again.contains("# The source's table can be used as it is."), "{again}");
    assert!(again.contains("# The target has this table, and it fits."), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_a_file_moves_as_it_is() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("shop.db");
    let admin = Admin::connect(&format!("sqlite:{}", file.display())).await;
    let create = "CREATE TABLE customers (id TEXT PRIMARY KEY); \
         CREATE TABLE orders (customer TEXT NOT NULL REFERENCES customers (id), id TEXT NOT NULL, total REAL NOT NULL, \
         placed DATETIME, born DATE, paid BOOLEAN, made TIMESTAMP, note VARCHAR(4), \"order date\" TEXT, \
         twice REAL AS (total * 2), PRIMARY KEY (customer, id)); \
         INSERT INTO customers VALUES ('c0'), ('c1'), ('c2'); \
         INSERT INTO orders (customer, id, total, placed, born, paid, made, note) \
         WITH n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 200) \
         SELECT 'c' || (n % 3), 'order-' || n, n + 0.5, printf('2026-11-28 07:05:00.%03d', n), '2001-02-03', n % 2, \
         1700000000 + n, iif(n = 7, 'longer than that', NULL) FROM n";
    let parts = [
        "tenant = \"customer\"\nkey = \"id\"",
        "{ name = \"total\", type = \"double\" }",
        "{ name = \"placed\", type = \"datetime(3)\" }",
        "{ name = \"born\", type = \"date\" }",
        "{ name = \"paid\", type = \"boolean\" }",
        "{ name = \"made\", type = \"bigint\" }",
        "# VARCHAR(4); in 0.5 % of 200\n    { name = \"note\", type = \"text\" }",
        "# NOT DECIDED: order date is no name that a spec takes: rename the column, so it is NOT copied",
        "# NOT DECIDED: twice is generated and takes no value",
        "# Foreign key: orders (customer) references customers (id)",
        "# 2 things are for you to decide",
    ];
    moves_as_it_is(&admin, &format!("sqlite:{}", file.display()), "orders", create.to_owned(), &parts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_mariadb_moves_as_it_is() {
    let Some(url) = given("CUTOVER_TEST_MYSQL") else { return };
    let admin = Admin::connect(&url).await;
    let table = format!("as_it_is_{}", std::process::id());
    let id = "VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL";
    let create = format!(
        "CREATE TABLE {table}_customers (id {id} PRIMARY KEY); \
         CREATE TABLE {table} (customer {id}, id {id}, status ENUM('open', 'it''s') CHARACTER SET utf8mb4 NOT NULL, \
         total DECIMAL(10,2) NOT NULL, small MEDIUMINT UNSIGNED, note TEXT CHARACTER SET utf8mb4, \
         payload JSON, placed DATETIME(3), paid TINYINT(1) NOT NULL DEFAULT 0, `order date` DATE, area POLYGON, \
         twice DECIMAL(11,2) AS (total * 2) STORED, PRIMARY KEY (customer, id), \
         FOREIGN KEY (customer) REFERENCES {table}_customers (id)); \
         INSERT INTO {table}_customers SELECT CONCAT('c', seq) FROM seq_0_to_2; \
         INSERT INTO {table} (customer, id, status, total, small, note, payload, placed, paid) \
         SELECT CONCAT('c', seq % 3), CONCAT('order-', seq), IF(seq % 2, 'open', 'it''s'), seq + 0.5, 16777215, \
         REPEAT('x', seq), '{{\"n\": 1.5, \"list\": [true, null]}}', '2026-11-28 07:05:00.125', seq % 2 FROM seq_1_to_200"
    );
    let foreign = format!("# Foreign key: {table} (customer) references {table}_customers (id)");
    let parts = [
        "{ name = \"status\", type = \"enum\", labels = [\"open\", \"it's\"] }",
        "{ name = \"total\", type = \"decimal(10,2)\" }",
        "{ name = \"small\", type = \"mediumint unsigned\" }",
        "{ name = \"payload\", type = \"jsonb\" }",
        "{ name = \"placed\", type = \"datetime(3)\" }",
        "{ name = \"paid\", type = \"boolean\" }",
        "# NOT DECIDED: order date is no name that a spec takes",
        "# NOT DECIDED: no type of a spec holds area, so it is NOT copied",
        "# NOT DECIDED: twice is generated",
        foreign.as_str(),
    ];
    moves_as_it_is(&admin, &url, &table, create, &parts).await;
    admin.sql(format!("DROP TABLE {table}, {table}_customers, cutover_ledger_{table}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_postgresql_moves_as_it_is() {
    let Some(url) = given("CUTOVER_TEST_POSTGRES") else { return };
    let admin = Admin::connect(&url).await;
    let table = format!("as_it_is_{}", std::process::id());
    let create = format!(
        "CREATE TYPE {table}_mood AS ENUM ('fine', 'it''s'); \
         CREATE TABLE {table}_customers (id TEXT COLLATE \"C\" PRIMARY KEY); \
         CREATE TABLE {table} (customer TEXT COLLATE \"C\" NOT NULL REFERENCES {table}_customers, id UUID NOT NULL, \
         mood {table}_mood NOT NULL, total NUMERIC(10,2) NOT NULL, amount NUMERIC, tags TEXT[], payload JSONB, \
         placed TIMESTAMPTZ NOT NULL, host INET, PRIMARY KEY (customer, id)); \
         INSERT INTO {table}_customers SELECT 'c' || n FROM generate_series(0, 2) AS n; \
         INSERT INTO {table} SELECT 'c' || n % 3, ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'fine', \
         n + 0.5, n * 1000.125, ARRAY['a', NULL], '{{\"n\": 1.5}}', '2026-11-28 07:05:00.125+02', '127.0.0.1' \
         FROM generate_series(1, 200) AS n"
    );
    let foreign = format!("# Foreign key: {table} (customer) references {table}_customers(id)");
    let mood =
        format!("# {table}_mood NOT NULL; in 100 % of 200\n    {{ name = \"mood\", type = \"enum\", labels");
    let parts = [
        mood.as_str(),
        "{ name = \"total\", type = \"decimal(10,2)\" }",
        "{ name = \"amount\", type = \"decimal(65,30)\" }",
        // Of the target, where the sample gives the size.
        "{ name = \"amount\", type = \"decimal(13,3)\" }",
        "{ name = \"tags\", type = \"text[]\" }",
        "{ name = \"tags\", type = \"jsonb\" }",
        "{ name = \"placed\", type = \"timestamptz(6)\" }",
        "# NOT DECIDED: no type of a spec holds host, so it is NOT copied",
        foreign.as_str(),
    ];
    moves_as_it_is(&admin, &url, &table, create, &parts).await;
    let drop =
        format!("DROP TABLE {table}, {table}_customers, cutover_ledger_{table}; DROP TYPE {table}_mood");
    admin.sql(drop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_a_target_are_matched_by_name_and_its_faults_are_told() {
    let (Some(url), Some(target)) = (given("CUTOVER_TEST_MYSQL"), given("CUTOVER_TEST_POSTGRES")) else {
        return;
    };
    let admin = Admin::connect(&url).await;
    let of_target = Admin::connect(&target).await;
    let table = format!("matched_{}", std::process::id());
    admin
        .sql(format!(
            "CREATE TABLE {table} (id VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, \
             createdAt DATETIME(0), name VARCHAR(100) CHARACTER SET utf8mb4, extra INT); \
             INSERT INTO {table} SELECT CONCAT('k', seq), '2026-11-28 07:05:00', CONCAT('n', seq), seq FROM seq_1_to_20"
        ))
        .await;
    of_target
        .sql(format!(
            "CREATE TABLE {table} (id TEXT COLLATE \"C\" PRIMARY KEY, created_at TIMESTAMP(3), name VARCHAR(50), \
             must TEXT NOT NULL)"
        ))
        .await;
    let said = init(&url, &table, &target, "matched").await;
    let draft = said.done();
    for part in [
        "# NOT DECIDED: different texts are equal in id (varchar(40) COLLATE utf8mb4_general_ci), so the table can't",
        "# each record is a tenant of its own",
        // The digits are part of how a document writes it.
        "{ name = \"created_at\", from = \"createdAt\", type = \"datetime(0)\" }",
        "# NOT DECIDED: the records have varchar(100), of which this column may not hold everything\n    { name = \"name\", \
         type = \"varchar(50)\" }",
        "#   extra: int",
        "# NOT DECIDED: the table has no column for the attributes below",
        "# Column must (text COLLATE \"default\"): NOT DECIDED: it is NOT NULL, and no attribute has this name",
        "it has no column rest. Run: ALTER TABLE",
        "column must is NOT NULL and has no default",
        "it has no column cutover_version",
    ] {
        assert!(draft.contains(part), "{part}: {draft}");
    }
    let dir = TempDir::new().unwrap();
    run(["spec", "lint", &written(&dir, &draft, [&url, &target])]).await.done();
    admin.sql(format!("DROP TABLE {table}")).await;
    of_target.sql(format!("DROP TABLE {table}")).await;
}
