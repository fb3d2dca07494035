//! Tables whose columns leave out what all tenants or keys begin with.

use std::sync::Arc;

use cutover_core::outcome::ErrorClass;
use cutover_store::{
    Copied, Put, Record, Scope, Segment, Store, StoreError, Version,
    mapping::Versions,
    spec::{Missing, Spec},
};
use sqlx::{AssertSqlSafe, SqlitePool};

use super::{BOTH, Keyed, Kind, NUMBERS, Server, UUID, UUIDS, id, record, scanned, suite, table, url};
use crate::columns::record as document;

const TENANT: &str = "TENANT-";
const KEY: &str = "ORG#";
const STRIP: &str = "strip_prefix = \"ORG#\"\nstrip_tenant_prefix = \"TENANT-\"\n";

async fn opened(url: &str, name: &str, versions: Versions, more: &str) -> Arc<dyn Store> {
    let versions = if versions == Versions::Ledger { "versions = \"ledger\"\n" } else { "" };
    let text = format!(
        "migration = \"m\"\n[source]\nurl = \"dynamodb://None?region=eu-west-1\"\n[target]\nurl = {url:?}\ntable = {name:?}\n\
         {versions}{more}"
    );
    let spec: Spec = text.parse().expect("a spec");
    spec.target.open(Missing::Create, |_| None).await.expect("opened")
}

impl Server {
    fn url(&self) -> &str {
        match self {
            Self::MySql(url, _) | Self::Postgres(url, _) => url,
        }
    }
}

async fn pass_the_suite(server: &Server, types: [&str; 2], kinds: [Kind; 2]) {
    for versions in BOTH {
        let names: Vec<String> = (0..suite::STORES).map(|at| table(&format!("stripped_{at}"))).collect();
        let mut stores = Vec::new();
        for name in &names {
            server.create(name, versions, types).await;
            let store = opened(server.url(), name, versions, STRIP).await;
            stores.push(Keyed::prefixed(store, kinds, [TENANT, KEY]));
        }
        suite::run(|| stores.pop().expect("one for each story")).await;
        for name in &names {
            server.drop(name).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_without_prefixes_pass_the_suite_in_mysql() {
    let Some(server) = Server::mysql().await else { return };
    pass_the_suite(&server, ["VARBINARY(256)", "BIGINT"], [Kind::Text, Kind::Number(64)]).await;
    pass_the_suite(&server, ["INT", "BINARY(16)"], [Kind::Number(32), Kind::Uuid]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_without_prefixes_pass_the_suite_in_postgresql() {
    let Some(server) = Server::postgres().await else { return };
    pass_the_suite(&server, ["TEXT COLLATE \"C\"", "BIGINT"], [Kind::Text, Kind::Number(64)]).await;
    pass_the_suite(&server, ["INT", "UUID"], [Kind::Number(32), Kind::Uuid]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_without_prefixes_pass_the_suite_in_sqlite() {
    for versions in BOTH {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let url = format!("sqlite:{}", dir.path().join("store.db").display());
        let mut stores = Vec::new();
        for at in 0..suite::STORES {
            let store = opened(&url, &format!("stripped_{at}"), versions, STRIP).await;
            stores.push(Keyed::prefixed(store, [Kind::Text; 2], [TENANT, KEY]));
        }
        suite::run(|| stores.pop().expect("one for each story")).await;
    }
}

/// Ranges that begin and end at keys with the prefix and at others.
async fn are_read_in_order(url: &str) {
    for (versions, story) in BOTH.into_iter().zip(["columns", "ledger"]) {
        let name = table(&format!("stripped_order_{story}"));
        let store = opened(url, &name, versions, "strip_prefix = \"key-\"\n").await;
        suite::scans_in_order(&*store).await;
        let whole = opened(url, &name, versions, "").await;
        let (one, other) = (store.identity().await, whole.identity().await);
        let [one, other] = [one, other].map(|it| it.expect("asked").expect("it can tell"));
        assert!(one.id != other.id && one.shares_table(&other), "{one:?} {other:?}");
        let found = scanned(&*whole, &Scope::All, Segment::ALL, 1 << 20).await;
        let row = |key: &str| found.iter().any(|(at, _)| *at == id("a", key));
        assert!(row("0") && !row("key-0"), "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn places_of_other_stores_mean_the_same_without_the_prefix() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    are_read_in_order(&format!("sqlite:{}", dir.path().join("store.db").display())).await;
    for (server, variable) in [("MySQL", "CUTOVER_TEST_MYSQL"), ("PostgreSQL", "CUTOVER_TEST_POSTGRES")] {
        if let Some(url) = url(server, variable) {
            are_read_in_order(&url).await;
        }
    }
}

/// Of several ids of one value only the one that the column gives back is a record's.
async fn keep_one_spelling(server: &Server, kind: &str, fine: &str, others: &[&str]) {
    for versions in BOTH {
        let name = table("stripped_spelled");
        let text = if matches!(server, Server::MySql(..)) { "VARBINARY(256)" } else { "TEXT COLLATE \"C\"" };
        server.create(&name, versions, [text, kind]).await;
        let store = opened(server.url(), &name, versions, "strip_prefix = \"ORG#\"\n").await;
        let at = id("t", &format!("ORG#{fine}"));
        assert_eq!(store.check_id(&at), Ok(()));
        assert_eq!(store.put_many_if_newer(&[(at.clone(), record(1))]).await, Ok(vec![Copied::Written]));
        let wrong = others.iter().map(|other| format!("ORG#{other}"));
        for key in wrong.chain([
            fine.to_owned(),
            format!("org#{fine}"),
            format!("ORG#ORG#{fine}"),
            "ORG#".to_owned(),
        ]) {
            let other = id("t", &key);
            assert!(store.check_id(&other).is_err(), "{key}");
            let refusals = [
                store.put_if_newer(&other, &record(9)).await.map(drop),
                store.put_many_if_newer(&[(other.clone(), record(9))]).await.map(drop),
            ];
            for refused in refusals {
                let is_of_record =
                    matches!(&refused, Err(StoreError::Permanent { class: ErrorClass::Constraint, .. }));
                assert!(is_of_record, "{key}: {refused:?}");
            }
            assert_eq!(store.get(&other).await, Ok(None), "{key}");
        }
        assert_eq!(scanned(&*store, &Scope::All, Segment::ALL, 1 << 20).await, [(at.clone(), record(1))]);
        assert_eq!(server.count(format!("SELECT COUNT(*) FROM {name}")).await, 1);
        server.drop(&name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_spellings_after_a_prefix_are_never_one_row() {
    for server in [Server::mysql().await, Server::postgres().await].into_iter().flatten() {
        let uuid = if matches!(server, Server::MySql(..)) { "BINARY(16)" } else { "UUID" };
        keep_one_spelling(&server, "BIGINT", "42", &["042", "+42", "42 ", "4.2e1"]).await;
        keep_one_spelling(&server, "BIGINT", "7", &NUMBERS).await;
        keep_one_spelling(&server, uuid, UUID, &UUIDS).await;
    }
}

/// Rows of all tables of a record have the same key: its own, the ledger's entry, the elements of its lists.
async fn keep_one_key_everywhere(url: &str, story: &str, count: impl AsyncFn(String) -> i64) {
    let [name, lines] = ["orders", "lines"].map(|of| table(&format!("{story}_{of}")));
    let more = format!(
        "{STRIP}overflow = \"rest\"\nkey = \"id\"\n[[target.children]]\nfrom = \"lines\"\ntable = {lines:?}\nkey = \"parent\"\n\
         columns = [{{ name = \"sku\", type = \"varchar(9)\" }}]\n"
    );
    let store = opened(url, &name, Versions::Ledger, &more).await;
    let at = id("TENANT-acme", "ORG#42");
    let written = document(5, r#"{"lines":{"L":[{"M":{"sku":{"S":"a"}}},{"M":{"sku":{"S":"b"}}}]}}"#);
    assert_eq!(store.put_if_newer(&at, &written).await, Ok(Put::Applied));
    let ledger = format!("cutover_ledger_{name}");
    let rows = async |table: &str, key: &str| {
        count(format!("SELECT COUNT(*) FROM {table} WHERE {key} = '42' AND tenant = 'acme'")).await
    };
    assert_eq!(
        (rows(&name, "id").await, rows(&ledger, "\"key\"").await, rows(&lines, "parent").await),
        (1, 1, 2)
    );
    assert_eq!(store.get(&at).await, Ok(Some(written.clone())));
    assert_eq!(scanned(&*store, &Scope::All, Segment::ALL, 1).await, [(at.clone(), written)]);
    let gone = Record { version: Version(6), value: None };
    assert_eq!(store.put_if_newer(&at, &gone).await, Ok(Put::Applied));
    assert_eq!(
        (rows(&name, "id").await, rows(&ledger, "\"key\"").await, rows(&lines, "parent").await),
        (0, 1, 0)
    );
    assert_eq!(store.get(&at).await, Ok(Some(gone.clone())));
    assert_eq!(scanned(&*store, &Scope::All, Segment::ALL, 1).await, [(at, gone)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ledger_and_child_tables_have_the_key_of_the_row() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let url = format!("sqlite:{}", dir.path().join("store.db").display());
    let admin = SqlitePool::connect(&format!("{url}?mode=rwc")).await.expect("connected");
    keep_one_key_everywhere(&url, "stripped", async |sql| {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&admin).await.expect("counted")
    })
    .await;
    if let Some(server) = Server::postgres().await {
        keep_one_key_everywhere(server.url(), "stripped", async |sql| server.count(sql).await).await;
    }
}
