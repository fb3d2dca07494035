//! `cutover spec init` from DynamoDB to tables that are there: keys without a prefix, and lists with a table.

use cutover_store::{
    Id, Record, Version,
    spec::{Missing, Spec},
};
use tempfile::TempDir;

use super::{at, draft_sql::Admin};
use crate::support::server::{Controller, given};

/// A table of 100 orders with two lines each; returns its url.
async fn orders(url: &str, name: &str) -> String {
    let source = url.replacen("dynamodb://", &format!("dynamodb://{name}"), 1);
    let text = format!(
        "migration = \"m\"\n[source]\nurl = \"{source}\"\ntenant = \"customer\"\nkey = \"id\"\n\
         [target]\nurl = \"sqlite:unused.db\"\ntable = \"t\"\n"
    );
    let store = text.parse::<Spec>().unwrap().source.open(Missing::Create, |_| None).await.unwrap();
    let order = |n: u32| {
        let line = |sku: &str| format!(r#"{{"M":{{"amount":{{"N":"{n}"}},"sku":{{"S":"{sku}"}}}}}}"#);
        let value = format!(
            r#"{{"lines":{{"L":[{},{}]}},"placed":{{"S":"2026-11-{:02}"}}}}"#,
            line("a"),
            line("b"),
            n % 28 + 1
        );
        let id = Id::new(&format!("c{}", n % 3), &format!("ORDER#{n}")).unwrap();
        (id, Record { version: Version(1), value: Some(value.into_bytes()) })
    };
    store.put_many_if_newer(&(1..=100).map(order).collect::<Vec<_>>()).await.unwrap();
    source
}

async fn draft(source: &str, target: &str, table: &str) -> String {
    super::draft::init(source, target, &["--table", table, "--migration", "m"]).await.done()
}

/// Drafts a spec for a table that is there, finds these parts in it, and moves all orders with it.
async fn moves(source: &str, target: &str, table: &str, parts: &[&str]) {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let draft = draft(source, target, table).await;
    for part in parts {
        assert!(draft.contains(part), "{part}: {draft}");
    }
    assert!(draft.contains("# All of them fit and come back as they are."), "{draft}");
    let text = draft.replace("password_env = \"CUTOVER_TARGET_PASSWORD\"\n", "");
    let text = text.replace(&target.replacen(":cutover@", "@", 1), target);
    let path = dir.path().join("draft.toml");
    std::fs::write(&path, text).unwrap();
    let (path, url) = (path.display().to_string(), controller.url.as_str());
    at(url, "create m --source one --target other").await.done();
    let said = at(url, &format!("backfill {path} --create-tables")).await;
    assert!(said.code == 0 && said.out.contains("100 copied"), "{said:?}\n{draft}");
    let verified = at(url, &format!("verify {path} --json")).await.object();
    assert_eq!(verified["clean"], serde_json::json!(true), "{verified}");
}

const LIST: &str = "[[target.children]]\n# in 100 % of 100, 200 elements\nfrom = \"lines\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_for_tables_that_are_there_leaves_out_prefixes_and_has_child_tables() {
    let (Some(dynamodb), Some(postgres)) = (given("CUTOVER_TEST_DYNAMODB"), given("CUTOVER_TEST_POSTGRES"))
    else {
        return;
    };
    let name = format!("there_{}", std::process::id());
    let source = orders(&dynamodb, &name).await;
    let dir = TempDir::new().unwrap();
    let file = format!("sqlite:{}/target.db", dir.path().display());
    for (url, text) in [(&file, "TEXT"), (&postgres, "TEXT COLLATE \"C\"")] {
        let admin = Admin::connect(url).await;
        admin
            .sql(format!(
                "CREATE TABLE {name} (customer {text} NOT NULL, id {text} NOT NULL, placed DATE, rest TEXT, \
                 PRIMARY KEY (customer, id)); \
                 CREATE TABLE {name}_lines (customer {text} NOT NULL, order_id {text} NOT NULL, \"no\" INT NOT NULL, \
                 sku VARCHAR(20) NOT NULL, amount BIGINT, PRIMARY KEY (customer, order_id, \"no\"), \
                 FOREIGN KEY (customer, order_id) REFERENCES {name} (customer, id) ON DELETE CASCADE)"
            ))
            .await;
        let table = format!("table = \"{name}_lines\"\nkey = \"order_id\"\nposition = \"no\"\n");
        let prefix = "# All 100 sampled keys begin with \"ORDER#\". To leave that out of the column: strip_prefix = \"ORDER#\"";
        let replaces = format!(
            "# NOT DECIDED: each write of a record replaces all its rows in {name}_lines, also of a record without"
        );
        let parts = [LIST, table.as_str(), prefix, replaces.as_str()];
        assert!(!draft(&source, url, &name).await.contains("The table has rows."));
        moves(&source, url, &name, &parts).await;
        assert!(draft(&source, url, &name).await.contains("The table has rows."));
    }
    let admin = Admin::connect(&postgres).await;
    let numbers = format!("{name}_numbers");
    admin
        .sql(format!(
            "CREATE TABLE {numbers} (customer TEXT COLLATE \"C\" NOT NULL, id BIGINT NOT NULL, placed DATE NOT NULL, \
             lines JSONB NOT NULL, PRIMARY KEY (customer, id))"
        ))
        .await;
    let parts = [
        "and id is bigint, which takes the rest of each.\n# A record whose key begins otherwise is refused.\n\
         strip_prefix = \"ORDER#\"\n",
        "versions = \"ledger\"",
    ];
    moves(&source, &postgres, &numbers, &parts).await;
    admin
        .sql(format!(
            "DROP TABLE {numbers}, cutover_ledger_{numbers}, {name}_lines, {name}, cutover_ledger_{name}"
        ))
        .await;
}
