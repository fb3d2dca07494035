//! What OpenFeature's doors have in common: answers are remote decisions, and the providers of others understand them.

use std::{process::Stdio, time::Duration};

use cutover_proto::flagd::v2::{ResolveAllRequest, ResolveStringRequest, service_client::ServiceClient};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use super::{
    client::{get, post},
    flagd::context,
    ofrep::with_orders,
};
use crate::support::server::{Controller, given};

/// Whoever asked may still act on the answer, so the next step waits until it has expired: as after `Decide`.
#[tokio::test]
async fn a_step_waits_for_answers_that_may_still_be_used() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let at = controller.http;
    let acme = json!({ "context": { "targetingKey": "acme" } });
    let create = async |key: &str| {
        post(at, "/api/v1/CreateMigration", &json!({ "key": key, "source": "a", "target": "b" })).await;
    };
    let is_waited_for = async |key: &str| {
        post(at, "/api/v1/SetRollout", &json!({ "key": key, "dual_ppm": 1_000_000 })).await;
        let (_, status) = get(at, &format!("/api/v1/GetStatus?key={key}")).await;
        let waits = status["waiting"].to_string().contains("Decide");
        assert_eq!(status["settled"], !waits, "{key}: {status}");
        waits
    };
    let mut client = ServiceClient::connect(controller.url.clone()).await.unwrap();
    let string = |key: &str| ResolveStringRequest { flag_key: key.to_owned(), context: context("acme") };

    for key in ["unasked", "by-grpc", "by-connect", "mistyped"] {
        create(key).await;
    }
    post(at, "/ofrep/v1/evaluate/flags/orders", &acme).await;
    client.resolve_string(string("by-grpc")).await.unwrap();
    let mut request = acme.clone();
    for (key, method) in [("by-connect", "ResolveObject"), ("mistyped", "ResolveBoolean")] {
        request["flagKey"] = json!(key);
        post(at, &format!("/flagd.evaluation.v2.Service/{method}"), &request).await;
    }
    for (key, waits) in
        [("orders", true), ("by-grpc", true), ("by-connect", true), ("unasked", false), ("mistyped", false)]
    {
        assert_eq!(is_waited_for(key).await, waits, "{key}");
    }
    create("by-all").await;
    client.resolve_all(ResolveAllRequest { context: context("acme") }).await.unwrap();
    assert!(is_waited_for("by-all").await);
    controller.stop().await;
}

#[tokio::test]
async fn pythons_providers_evaluate_and_report_their_own_errors() {
    let Some(installed) = given("CUTOVER_TEST_OPENFEATURE") else { return };
    let python = format!("{installed}/python/bin/python");
    let said = providers(&[&python, "tests/openfeature/providers.py"]).await;
    // flagd's provider for Python drops the metadata, so it has to be asked for an object.
    assert_eq!(
        (&said["ofrep"][0][4]["rung"], &said["flagd"][0][4]),
        (&json!("source-only"), &json!({})),
        "{said}"
    );
    assert_eq!(said["ofrep"][2][3], "TARGETING_KEY_MISSING", "{said}");
}

#[tokio::test]
async fn nodes_providers_evaluate_and_report_their_own_errors() {
    let Some(installed) = given("CUTOVER_TEST_OPENFEATURE") else { return };
    let packages = format!("{installed}/node");
    let said = providers(&["node", "tests/openfeature/providers.mjs", &packages]).await;
    for provider in ["ofrep", "flagd"] {
        assert_eq!(said[provider][0][4]["valid_for_ms"], 5000, "{said}");
    }
    assert_eq!(said["ofrep"][2][3], "TARGETING_KEY_MISSING", "{said}");
}

#[tokio::test]
async fn javas_providers_evaluate_and_report_their_own_errors() {
    let Some(installed) = given("CUTOVER_TEST_OPENFEATURE") else { return };
    let libraries = format!("{installed}/java/*");
    let said = providers(&["java", "-cp", &libraries, "tests/openfeature/Providers.java"]).await;
    for provider in ["ofrep", "flagd"] {
        assert_eq!(said[provider][0][4]["rung"], "source-only", "{said}");
    }
    // The provider for OFREP says the same of each 400.
    assert_eq!(said["ofrep"][2][3], "INVALID_CONTEXT", "{said}");
}

/// Runs one of the scripts in tests/openfeature, checks what all of them say, and returns it.
async fn providers(command: &[&str]) -> Value {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let mut script = Command::new(command[0])
        .args(&command[1..])
        .args([controller.port().to_string(), format!("http://{}", controller.http)])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
    let said = lines.next_line().await.unwrap().expect("the script says why it ended");
    let said: Value = serde_json::from_str(&said).unwrap();
    for provider in ["ofrep", "flagd"] {
        let said = &said[provider];
        assert_eq!(
            said[0].as_array().unwrap()[..4],
            [json!("source-only"), json!("source-only"), json!("SPLIT"), Value::Null],
            "{said}"
        );
        assert_eq!((&said[1][0], &said[1][3]), (&json!("none"), &json!("FLAG_NOT_FOUND")), "{said}");
        assert_eq!((&said[2][0], &said[2][2]), (&json!("none"), &json!("ERROR")), "{said}");
        assert_eq!(said[3][3], "TYPE_MISMATCH", "{said}");
    }
    // flagd has no code for a missing tenant.
    assert_eq!(said["flagd"][2][3], "GENERAL", "{said}");
    let object = &said["object"][0];
    assert_eq!(
        (&object["stage"], object["valid_for_ms"].as_f64()),
        (&json!("source-only"), Some(5000.0)),
        "{said}"
    );

    pin(&controller, "RUNG_DUAL").await;
    let changed = lines.next_line().await.unwrap().expect("the provider has seen the change");
    assert_eq!(serde_json::from_str::<Value>(&changed).unwrap(), json!(["orders"]));
    assert!(script.wait().await.unwrap().success());
    controller.stop().await;
    said
}

/// Pins the tenant acme, and waits until it is there.
async fn pin(controller: &Controller, rung: &str) {
    let at = controller.http;
    let mutation = json!({ "actor": "operator:ada", "reason": "a test" });
    let pin = json!({ "key": "orders", "tenant": "acme", "rung": rung, "wait": true, "mutation": mutation });
    let (status, answer) = post(at, "/api/v1/SetPin", &pin).await;
    assert_eq!(status, 200, "{answer}");
    loop {
        let (_, explained) = get(at, "/api/v1/Explain?key=orders&tenant=acme").await;
        if explained["rung"] == rung {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
