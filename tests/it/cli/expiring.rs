//! Records that expire: what commands say about the spec's `ttl` and the tables' own settings.

use cutover_store::{
    Id, Record, Store, Version,
    spec::{Missing, Spec},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{at, run};
use crate::support::server::{Controller, given};

/// Turns TTL on for a table of DynamoDB Local, which looks at no signature.
async fn turn_on(url: &str, table: &str, attribute: &str) {
    let host = url.split("endpoint=http://").nth(1).expect("DynamoDB Local");
    let body = format!(
        r#"{{"TableName":"{table}","TimeToLiveSpecification":{{"AttributeName":"{attribute}","Enabled":true}}}}"#
    );
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.0\r\n\
         x-amz-target: DynamoDB_20120810.UpdateTimeToLive\r\nauthorization: AWS4-HMAC-SHA256 \
         Credential=test/20261130/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Only a first pass makes tables.
fn made(verb: &str) -> &'static str {
    if verb == "backfill" { "--create-tables" } else { "" }
}

async fn opened(text: &str) -> std::sync::Arc<dyn Store> {
    text.parse::<Spec>().unwrap().source.open(Missing::Create, |_| None).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spec_and_the_tables_agree_on_what_expires() {
    let Some(url) = given("CUTOVER_TEST_DYNAMODB") else { return };
    let name = format!("expiring_{}", std::process::id());
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let controller = controller.url.as_str();
    let source = url.replacen("dynamodb://", &format!("dynamodb://{name}"), 1);
    let target = format!("sqlite:{}/target.db", dir.path().display());
    let spec = |ttl: &str| {
        format!(
            "migration = \"orders\"\n{ttl}[source]\nurl = \"{source}\"\n[target]\nurl = \"{target}\"\n\
             table = \"orders\"\ncolumns = [{{ name = \"expires_at\", type = \"bigint\" }}]\n"
        )
    };
    let store = opened(&spec("")).await;
    turn_on(&url, &name, "expires_at").await;
    let now_s = cutover_client::clock::now_ms() as i64 / 1000;
    let record = |key: &str, expires: i64| {
        let value = format!(r#"{{"expires_at":{{"N":"{}"}}}}"#, now_s + expires);
        (Id::new("t", key).unwrap(), Record { version: Version::ZERO, value: Some(value.into_bytes()) })
    };
    store.put_many_if_newer(&[record("over", -1), record("live", 3_600)]).await.unwrap();

    let said = run(["spec", "init", "--source", &source, "--target", &target]).await;
    let draft = said.done();
    assert!(draft.contains("TTL is on for this attribute.\nttl = \"expires_at\"\n\n[source]"), "{draft}");
    assert!(draft.contains("{ name = \"expires_at\", type = \"bigint\" }"), "{draft}");

    let path = dir.path().join("orders.toml");
    let file = path.display();
    at(controller, "create orders --source one --target other").await.done();
    for (ttl, refusal) in [
        ("", "the source: TTL is on (attribute expires_at)"),
        ("ttl = \"other\"\n", "the source: TTL is on for the attribute expires_at, but the spec has"),
    ] {
        std::fs::write(&path, spec(ttl)).unwrap();
        for verb in ["backfill --dry-run", "backfill", "verify", "reverse", "quarantine retry"] {
            let said = at(controller, &format!("{verb} {file} {}", made(verb))).await;
            assert!(said.code == 65 && said.err.contains(refusal), "{verb}: {said:?}");
        }
        let failed = format!("  failed   {refusal}");
        let said = at(controller, &format!("doctor {file}")).await;
        assert!(said.out.contains(&failed), "{said:?}");
    }
    std::fs::write(&path, spec("ttl = \"expires_at\"\n")).unwrap();
    let said = at(controller, &format!("backfill {file} --create-tables --dry-run")).await;
    let line =
        "records expire by expires_at: the source removes records by expires_at; the target removes none";
    assert!(said.code == 0 && said.err.is_empty() && said.out.contains(line), "{said:?}");
    let json = at(controller, &format!("backfill {file} --create-tables --dry-run --json")).await.object();
    assert_eq!(
        json["expires"],
        serde_json::json!({ "ttl": "expires_at", "source": "expires_at", "target": null })
    );

    let said = at(controller, &format!("backfill {file} --create-tables")).await;
    assert!(said.code == 0 && said.out.contains("1 copied"), "what has expired stays away: {said:?}");
    let said = at(controller, &format!("verify {file}")).await;
    assert_eq!(said.code, 0, "{said:?}");
    let said = at(controller, &format!("verify {file} --sweep")).await;
    assert!(said.code != 0 && said.err.contains("a sweep is refused while records expire"), "{said:?}");
}
