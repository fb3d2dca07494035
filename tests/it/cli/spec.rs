//! `cutover spec`: a spec's mistakes, and triggers for programs without the SDK.

use cutover_store::{SqliteOptions, SqliteStore, Store, Version, spec::Spec};
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use super::run;

fn written(text: &str) -> (TempDir, String) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("orders.toml");
    let text = text.replace("DIR", &dir.path().display().to_string());
    std::fs::write(&path, text).unwrap();
    (dir, path.display().to_string())
}

const FINE: &str = "migration = \"orders\"\n[source]\nurl = \"sqlite:DIR/s.db\"\ntable = \"orders\"\n\
                    versions = \"ledger\"\n[target]\nurl = \"sqlite:DIR/t.db\"\ntable = \"orders\"\n";

#[tokio::test]
async fn lint_lists_all_mistakes_by_line() {
    let (_dir, fine) = written(FINE);
    let said = run(["spec", "lint", &fine]).await.done();
    assert!(said.contains("has no mistakes (migration orders)"), "{said}");
    let (_dir, wrong) =
        written(&format!("{}[limts]\nworkers = 0\n", FINE.replace("\"orders\"\n[s", "\"Orders\"\n[s")));
    let said = run(["spec", "lint", &wrong]).await;
    assert_eq!(said.code, 65, "{said:?}");
    for part in ["2 mistakes", "line 1, column 13: migration", "line 9, column 2: unknown \"limts\""] {
        assert!(said.err.contains(part), "{said:?}");
    }
}

#[tokio::test]
async fn triggers_are_printed_as_statements_that_run() {
    let (dir, spec) = written(FINE);
    let path = dir.path().join("s.db");
    let source = Spec::read(&std::fs::read_to_string(&spec).unwrap()).unwrap().source.sql_table().unwrap();
    let store = SqliteStore::create(&path, source, SqliteOptions::default()).await.unwrap();
    let printed = run(["spec", "triggers", &spec]).await.done();
    assert!(printed.starts_with("-- The source: sqlite:") && !printed.contains("The target"), "{printed}");
    let mut admin =
        SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&path)).await.unwrap();
    let outside = format!("{printed}\nINSERT INTO orders VALUES ('t', 'k', x'00')");
    sqlx::raw_sql(AssertSqlSafe(outside)).execute(&mut admin).await.unwrap();
    let id = cutover_store::Id::new("t", "k").unwrap();
    let version = store.get(&id).await.unwrap().unwrap().version;
    assert_eq!(version.slot(), Version::SOURCE_TRIGGERS, "{version}");

    let (_dir, columns) = written(&FINE.replace("versions = \"ledger\"\n", ""));
    let said = run(["spec", "triggers", &columns]).await;
    assert!(said.code == 65 && said.err.contains("versions = \"ledger\""), "{said:?}");
}
