//! What would not come through is told before anything moves.

use cutover_client::{
    spec::{Missing, Spec},
    store::{Id, Record, Version},
};
use tempfile::TempDir;

use super::at;
use crate::support::server::{Controller, given};

/// DynamoDB and a file, either way round: a record that is too large for an item is named.
async fn is_too_large_for_an_item(verb: &str, of: &str) {
    let Some(url) = given("CUTOVER_TEST_DYNAMODB") else { return };
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let file = format!("url = \"sqlite:{}/orders.db?table=orders\"", dir.path().display());
    let table = format!("Orders-{verb}-{}", std::process::id());
    let items = format!("url = \"{}\"", url.replace("dynamodb://", &format!("dynamodb://{table}")));
    let (source, target) = if of == "target" { (&items, &file) } else { (&file, &items) };
    let text = format!("migration = \"orders\"\n[source]\n{source}\n[target]\n{target}\n");
    let path = dir.path().join("orders.toml");
    std::fs::write(&path, &text).unwrap();
    let spec: Spec = text.parse().unwrap();
    spec.source.open(Missing::Create, |_| None).await.unwrap();
    spec.target.open(Missing::Create, |_| None).await.unwrap();

    let scanned = if of == "target" { &spec.target } else { &spec.source };
    let records = [("small", 100), ("large", 400 << 10)].map(|(key, bytes)| {
        let value = format!(r#"{{"a":{{"S":"{}"}}}}"#, "x".repeat(bytes)).into_bytes();
        (Id::new("t", key).unwrap(), Record { version: Version(1), value: Some(value) })
    });
    let store = scanned.open(Missing::Refuse, |_| None).await.unwrap();
    store.put_many_if_newer(&records).await.unwrap();
    let said = at(&controller.url, &format!("{verb} {} --dry-run", path.display())).await;
    assert_eq!((said.code, said.err.as_str()), (1, ""), "{said:?}");
    // The largest version has 19 digits, in 11 bytes.
    let bytes = ["tenant", "t", "key", "large", "version", "a"].concat().len() + 11 + (400 << 10);
    for part in [
        format!("checked 2 records of the {of}: 1 do not fit:"),
        format!("the first \"t\"/\"large\": value: an item of {bytes} bytes"),
        "409600 (400 KB) is the most".to_owned(),
    ] {
        assert!(said.out.contains(&part), "{part}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_too_large_for_dynamodb_is_named_before_a_backfill() {
    is_too_large_for_an_item("backfill", "source").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_too_large_for_dynamodb_is_named_before_it_is_to_go_back() {
    is_too_large_for_an_item("reverse", "target").await;
}
