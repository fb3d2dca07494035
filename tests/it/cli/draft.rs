//! `cutover spec init`: a draft from a real table moves its records as it is.

use cutover_store::{
    Id, Record, Version,
    spec::{Missing, Spec},
};
use sqlx::{AssertSqlSafe, MySqlPool};
use tempfile::TempDir;

use super::{Said, at, run, run_with_env};
use crate::support::server::{Controller, given};

/// `spec init`, with the passwords of the urls in the environment.
pub(super) async fn init(source: &str, target: &str, more: &[&str]) -> Said {
    let [from, to] = [source, target].map(|url| url.replacen(":cutover@", "@", 1));
    let args = [&["spec", "init", "--source", &from, "--target", &to], more].concat();
    let passwords = [("CUTOVER_SOURCE_PASSWORD", source, &from), ("CUTOVER_TARGET_PASSWORD", target, &to)];
    let passwords = passwords.iter().filter(|(_, url, shown)| url != shown);
    run_with_env(args, &passwords.map(|(name, ..)| (*name, "cutover")).collect::<Vec<_>>()).await
}

/// The source's url, with 300 orders of three tenants.
async fn filled(url: &str, name: &str) -> String {
    let source = url.replacen("dynamodb://", &format!("dynamodb://{name}"), 1);
    let text = format!(
        "migration = \"m\"\n[source]\nurl = \"{source}\"\ntenant = \"customer\"\nkey = \"order id\"\nkey_type = \"N\"\n\
         [target]\nurl = \"sqlite:unused.db\"\ntable = \"t\"\n"
    );
    let store = text.parse::<Spec>().unwrap().source.open(Missing::Create, |_| None).await.unwrap();
    let order = |n: u32| {
        let status = if n.is_multiple_of(3) { r#"{"N":"3"}"# } else { r#"{"S":"paid"}"# };
        let value = format!(
            r#"{{"address":{{"M":{{"city":{{"S":"Ulm"}}}}}},"placed":{{"S":"2026-11-28T07:05:00.{n:03}Z"}},"status":{status},"total":{{"N":"{n}.5"}}}}"#
        );
        let id = Id::new(&format!("tenant-{}", n % 3), &n.to_string()).unwrap();
        (id, Record { version: Version(1), value: Some(value.into_bytes()) })
    };
    store.put_many_if_newer(&(1..=300).map(order).collect::<Vec<_>>()).await.unwrap();
    source
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_moves_a_real_table() {
    let (Some(url), Some(mysql)) = (given("CUTOVER_TEST_DYNAMODB"), given("CUTOVER_TEST_MYSQL")) else {
        return;
    };
    let name = format!("draft_{}", std::process::id());
    let source = filled(&url, &name).await;
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let controller = controller.url.as_str();
    let path = dir.path().join("orders.toml");
    let path = path.display();
    let file = format!("sqlite:{}/target.db", dir.path().display());
    for (target, migration) in [(file.as_str(), "to-file"), (mysql.as_str(), "to-server")] {
        let said = init(&source, target, &["--migration", migration]).await;
        let draft = said.done();
        for part in [
            "# A draft from 300 records of the source",
            "# All of them fit and come back as they are.",
            "# 1 thing is for you to decide",
            "tenant = \"customer\"\nkey = \"order id\"\nkey_type = \"N\"",
            "key = \"order_id\"",
            "# in 100 % of 300; at most 3 characters\n    { name = \"address_city\", from = \"address.city\", type = \"varchar(16)\" }",
            "{ name = \"placed\", type = \"datetime(3)\" }",
            "{ name = \"total\", type = \"decimal(8,1)\" }",
            "#   status: in 100 % of 300; NOT DECIDED: it has several types: text (S) in 200, a number (N) in 100",
            "CREATE TABLE IF NOT EXISTS",
        ] {
            assert!(draft.contains(part), "{part}: {draft}");
        }
        assert!(!draft.contains(":cutover@"), "no password: {draft}");
        // What is printed has the password's variable; a test sets none.
        let text = draft.replace("password_env = \"CUTOVER_TARGET_PASSWORD\"\n", "");
        let without = mysql.replacen(":cutover@", "@", 1);
        std::fs::write(dir.path().join("orders.toml"), text.replace(&without, &mysql)).unwrap();
        run(["spec", "lint", &path.to_string()]).await.done();
        at(controller, &format!("create {migration} --source one --target other")).await.done();
        let said = at(controller, &format!("backfill {path} --create-tables")).await;
        assert!(said.code == 0 && said.out.contains("300 copied"), "{said:?}");
        let again = init(&source, target, &["--migration", migration]).await;
        assert!(again.done().contains("# The target has this table, and it fits."));
    }
    let said = run(["spec", "init", "--source", &source, "--target", &file, "--json"]).await.object();
    assert_eq!((&said["sampled"], &said["undecided"], &said["misfits"]), (&300.into(), &1.into(), &0.into()));
    let admin = MySqlPool::connect(&mysql).await.unwrap();
    let drop = format!("DROP TABLE {name}; DROP TABLE cutover_quarantine");
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(&admin).await.unwrap();
}

#[tokio::test]
async fn what_can_not_be_drafted_from_is_said() {
    let said = run(["spec", "init", "--source", "sqlite:a.db", "--target", "sqlite:b.db"]).await;
    said.misused(&["--source: name the table: add ?table=NAME"]);
    let said = run(["spec", "init", "--source", "sqlite:a.db?table=t", "--target", "sqlite:b.db"]).await;
    assert!(said.code == 65 && said.err.contains("there is no table \"t\" in sqlite:a.db"), "{said:?}");
    let said = run(["spec", "init", "--source", "dynamodb://T?regoin=x", "--target", "sqlite:b.db"]).await;
    said.misused(&["--source: unknown parameter", "region"]);
}

#[tokio::test]
async fn a_password_on_the_command_line_is_refused() {
    let (with, without) = ("mysql://ada:s3cret@127.0.0.1:1/db?table=t", "sqlite:b.db?table=t");
    for (source, target, says) in [
        (with, without, ["--source: everybody on this machine can read", "CUTOVER_SOURCE_PASSWORD"]),
        (without, with, ["--target: everybody on this machine can read", "CUTOVER_TARGET_PASSWORD"]),
    ] {
        let said = run(["spec", "init", "--source", source, "--target", target]).await;
        assert!(!said.err.contains("s3cret"), "{said:?}");
        said.misused(&says);
    }
}
