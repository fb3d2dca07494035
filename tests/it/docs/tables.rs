//! The statements that docs/guides/existing-tables.md shows for PostgreSQL and SQLite make a table fit.

use sqlx::{AssertSqlSafe, Connection as _};
use tempfile::TempDir;

use crate::{cli::run, support::server::Controller};

const GUIDE: &str = include_str!("../../../docs/guides/existing-tables.md");

/// The SQL blocks of a chapter, in order.
fn blocks(chapter: &str) -> Vec<&'static str> {
    let heading = format!("\n## {chapter}\n");
    let (_, text) = GUIDE.split_once(heading.as_str()).expect("the guide has the chapter");
    let text = text.split("\n## ").next().unwrap_or_default();
    text.split("```sql\n").skip(1).filter_map(|block| Some(block.split_once("```")?.0)).collect()
}

/// A dry run with the table as the source: what it prints, and its exit code.
async fn tried(source: &str, dir: &TempDir) -> (i32, String) {
    let controller = Controller::start(dir.path(), 0).await;
    let spec = format!(
        "migration = \"orders\"\n[source]\nurl = \"{source}\"\ntable = \"existing_orders\"\n\
         tenant = \"customer\"\nkey = \"order_id\"\ncolumns = [\n\
         {{ name = \"status\", type = \"varchar(20)\" }},\n{{ name = \"total\", type = \"decimal(12,2)\" }},\n]\n\
         [target]\nurl = \"sqlite:{}/copy.db\"\ntable = \"orders\"\n",
        dir.path().display()
    );
    let path = dir.path().join("existing.toml");
    std::fs::write(&path, spec).unwrap();
    let path = path.display().to_string();
    let said = run(["--server", &controller.url, "backfill", &path, "--create-tables", "--dry-run"]).await;
    controller.stop().await;
    (said.code, format!("{}{}", said.out, said.err))
}

fn fits((code, said): (i32, String)) {
    assert!(code == 0 && said.contains("checked 1 record of the source: all fit"), "{code}: {said}");
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn an_existing_table_of_postgresql_becomes_fit() {
    let Some(url) = crate::support::server::given("CUTOVER_TEST_POSTGRES") else { return };
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    let mut run = async |sql: &str| {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    };
    let [create, add] = blocks("PostgreSQL")[..] else { panic!("{:?}", blocks("PostgreSQL")) };
    run("DROP TABLE IF EXISTS existing_orders").await;
    run(create).await;
    let (code, said) = tried(&url, &TempDir::new().unwrap()).await;
    assert!(code == 1 && said.contains("cutover_version"), "it is not fit before: {code}: {said}");
    run(add).await;
    fits(tried(&url, &TempDir::new().unwrap()).await);
    run("DROP TABLE existing_orders").await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread")]
async fn an_existing_table_of_sqlite_becomes_fit() {
    let [create, add, copy] = blocks("SQLite")[..] else { panic!("{:?}", blocks("SQLite")) };
    let nullable = create.replace("status TEXT NOT NULL, total TEXT NOT NULL", "status TEXT, total TEXT");
    assert_ne!(nullable, create);
    for (create, change) in [(nullable.as_str(), add), (create, copy)] {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("shop.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        let mut run = async |sql: &str| {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        };
        run(create).await;
        let url = format!("sqlite:{}", file.display());
        let (code, said) = tried(&url, &dir).await;
        assert!(code == 1 && said.contains("cutover_version"), "it is not fit before: {code}: {said}");
        run(change).await;
        fits(tried(&url, &dir).await);
    }
}
