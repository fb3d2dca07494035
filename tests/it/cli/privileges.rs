//! A user who may not do everything hears so before anything moves.

use cutover_store::{
    Id, Record, Version,
    spec::{Missing, Spec},
};
use sqlx::{AssertSqlSafe, PgPool};
use tempfile::TempDir;

use super::at;
use crate::support::server::{Controller, given};

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_privilege_is_told_before_anything_moves() {
    let Some(target) = given("CUTOVER_TEST_POSTGRES") else { return };
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source one --target other").await.done();
    let name = format!("privileges_{}", std::process::id());
    let admin = PgPool::connect(&target).await.unwrap();
    let sql = async |sql: String| {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&admin).await.unwrap();
    };
    let text = |target: &str| {
        format!(
            "migration = \"orders\"\nquarantine_table = \"{name}_q\"\n\
             [source]\nurl = \"sqlite:{}/source.db\"\ntable = \"orders\"\n\
             [target]\nurl = \"{target}\"\ntable = \"{name}\"\n",
            dir.path().display()
        )
    };
    let spec: Spec = text(&target).parse().unwrap();
    let source = spec.source.open(Missing::Create, |_| None).await.unwrap();
    let record = Record { version: Version(1), value: Some(b"x".to_vec()) };
    let id = Id::new("t", "k").unwrap();
    source.put_if_newer(&id, &record).await.unwrap();
    let copy = spec.target.open(Missing::Create, |_| None).await.unwrap();
    spec.open_quarantine(Missing::Create, |_| None).await.unwrap();
    sql(format!(
        "CREATE ROLE {name} LOGIN PASSWORD 'cutover'; GRANT SELECT, INSERT ON {name} TO {name}; \
         GRANT SELECT, UPDATE ON {name}_q TO {name}"
    ))
    .await;
    let theirs = format!("postgres://{name}:cutover@{}", target.rsplit_once('@').unwrap().1);
    let path = dir.path().join("orders.toml");
    std::fs::write(&path, text(&theirs)).unwrap();
    let path = path.display();
    for verb in ["backfill", "backfill --dry-run", "verify --repair"] {
        let said = at(url, &format!("{verb} {path}")).await;
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{verb}: {said:?}");
        for part in [
            "nothing was written, because privileges are missing",
            "- the target: the user lacks UPDATE on",
            &format!("GRANT SELECT, INSERT, UPDATE ON \"{name}\" TO"),
            "- the quarantine: the user lacks INSERT on",
            &format!("ON \"{name}_q\" TO"),
        ] {
            assert!(said.err.contains(part), "{verb}: {part}: {said:?}");
        }
    }
    assert_eq!(at(url, "jobs orders").await.done().trim(), "no pass is under way");
    assert_eq!(copy.get(&id).await, Ok(None));
    // A comparison only reads.
    let said = at(url, &format!("verify {path}")).await;
    assert!(
        said.out.contains("missing") && said.err.contains("warning: a service could not write"),
        "{said:?}"
    );
    // No statement sets the columns of the id.
    sql(format!(
        "GRANT UPDATE (cutover_version, value) ON {name} TO {name}; GRANT INSERT ON {name}_q TO {name}"
    ))
    .await;
    let said = at(url, &format!("backfill {path}")).await.done();
    assert!(said.contains("1 copied"), "{said}");
    sql(format!("DROP TABLE {name}, {name}_q; DROP ROLE {name}")).await;
}
