//! OpenFeature's remote evaluation, by requests as its specification has them, and by a provider of others.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{get, json as read, post, send};
use crate::support::server::{Controller, given};

const ONE: &str = "/ofrep/v1/evaluate/flags/orders";
const ALL: &str = "/ofrep/v1/evaluate/flags";

async fn with_orders(dir: &TempDir) -> Controller {
    let controller = Controller::start(dir.path(), 0).await;
    let request = json!({ "key": "orders", "source": "old", "target": "new" });
    post(controller.http, "/api/v1/CreateMigration", &request).await;
    controller
}

fn context(tenant: &str) -> Value {
    json!({ "context": { "targetingKey": tenant, "region": "eu" } })
}

#[tokio::test]
async fn a_migration_is_a_flag_whose_value_is_the_stage() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let at = controller.http;
    let (status, flag) = post(at, ONE, &context("acme")).await;
    assert_eq!(
        (status, &flag["value"], &flag["variant"]),
        (StatusCode::OK, &json!("source-only"), &json!("source-only"))
    );
    assert_eq!((&flag["reason"], &flag["key"]), (&json!("SPLIT"), &json!("orders")), "{flag}");
    let (_, decided) = post(at, "/api/v1/Decide", &json!({ "migration": "orders", "tenant": "acme" })).await;
    for field in ["revision", "valid_for_ms", "finish_within_ms", "no_fallback"] {
        assert_eq!(flag["metadata"][field], decided[field], "{field} as Decide says it");
    }

    let mut sent = json!({ "key": "orders", "tenant": "acme", "rung": "RUNG_DUAL", "wait": true });
    sent["mutation"] = json!({ "actor": "operator:ada" });
    post(at, "/api/v1/SetPin", &sent).await;
    let pinned = loop {
        let (_, flag) = post(at, ONE, &context("acme")).await;
        if flag["value"] == "dual" {
            break flag;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(
        (&pinned["reason"], &pinned["metadata"]["reason"]),
        (&json!("TARGETING_MATCH"), &json!("pin"))
    );
    controller.stop().await;
}

#[tokio::test]
async fn mistakes_are_told_by_the_codes_of_the_protocol() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let at = controller.http;
    let long = "t".repeat(300);
    for (path, request, status, code) in [
        ("/ofrep/v1/evaluate/flags/payments", context("acme"), 404, "FLAG_NOT_FOUND"),
        ("/ofrep/v1/evaluate/flags/Not%20a%20key", context("acme"), 404, "FLAG_NOT_FOUND"),
        (ONE, json!({}), 400, "TARGETING_KEY_MISSING"),
        (ONE, json!({ "context": { "region": "eu" } }), 400, "TARGETING_KEY_MISSING"),
        (ONE, context(""), 400, "TARGETING_KEY_MISSING"),
        (ONE, json!({ "context": { "targetingKey": 7 } }), 400, "INVALID_CONTEXT"),
        (ONE, context(&long), 400, "INVALID_CONTEXT"),
        (ONE, json!([]), 400, "PARSE_ERROR"),
        (ALL, json!({ "context": {} }), 400, "TARGETING_KEY_MISSING"),
    ] {
        let (told, failure) = post(at, path, &request).await;
        assert!(told == status && failure["errorCode"] == code, "{path} {request}: {told} {failure}");
        assert!(!failure["errorDetails"].as_str().unwrap().is_empty(), "{failure}");
    }
    controller.stop().await;
}

#[tokio::test]
async fn all_flags_of_a_tenant_have_a_tag_that_changes_with_them() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let at = controller.http;
    let json = ("content-type", "application/json");
    let ask = async |tag: &str| {
        let headers = [json, ("if-none-match", tag)];
        send(at, "POST", ALL, &headers, context("acme").to_string()).await
    };
    let first = ask("\"none\"").await;
    assert_eq!(first.headers()["cache-control"], "no-store", "an answer must not outlive its validity");
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    let (_, all) = read(first).await;
    assert_eq!(all["flags"][0]["key"], "orders", "{all}");
    let same = ask(&tag).await;
    assert_eq!((same.status(), same.headers()["etag"].to_str().unwrap()), (StatusCode::NOT_MODIFIED, &*tag));
    post(at, "/api/v1/CreateMigration", &json!({ "key": "payments", "source": "a", "target": "b" })).await;
    let (status, both) = read(ask(&tag).await).await;
    assert_eq!((status, both["flags"].as_array().unwrap().len()), (StatusCode::OK, 2), "{both}");
    let (_, configuration) = get(at, "/ofrep/v1/configuration").await;
    assert_eq!(configuration["capabilities"]["caching"]["enabled"], false, "{configuration}");
    controller.stop().await;
}

/// Whoever asked may still act on the answer, so the next step waits until it has expired: as after `Decide`.
#[tokio::test]
async fn a_step_waits_for_answers_that_may_still_be_used() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let at = controller.http;
    post(at, "/api/v1/CreateMigration", &json!({ "key": "payments", "source": "a", "target": "b" })).await;
    post(at, ONE, &context("acme")).await;
    for (key, is_settled) in [("payments", true), ("orders", false)] {
        post(at, "/api/v1/SetRollout", &json!({ "key": key, "dual_ppm": 1_000_000 })).await;
        let (_, status) = get(at, &format!("/api/v1/GetStatus?key={key}")).await;
        assert_eq!(status["settled"], is_settled, "{key}: {status}");
        assert_eq!(status["waiting"].to_string().contains("Decide"), !is_settled, "{key}: {status}");
    }
    controller.stop().await;
}

#[tokio::test]
async fn pythons_provider_evaluates_and_reports_its_own_errors() {
    let Some(python) = given("CUTOVER_TEST_OPENFEATURE") else { return };
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let script = r#"
import json, sys
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
api.set_provider(OFREPProvider(sys.argv[1]))
client = api.get_client()
def ask(flag, context, call=client.get_string_details, default="none"):
    found = call(flag, default, context)
    code = found.error_code and found.error_code.value
    return [found.value, found.variant, str(getattr(found.reason, "value", found.reason)), code, dict(found.flag_metadata)]
acme = EvaluationContext(targeting_key="acme")
print(json.dumps([
    ask("orders", acme),
    ask("payments", acme),
    ask("orders", EvaluationContext()),
    ask("orders", acme, client.get_boolean_details, False),
]))
"#;
    let ran = tokio::process::Command::new(python)
        .args(["-c", script, &format!("http://{}", controller.http)])
        .output()
        .await
        .unwrap();
    let said: Value = serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&ran.stderr)));
    let found = said[0].as_array().unwrap();
    assert_eq!(found[..3], ["source-only", "source-only", "SPLIT"], "{said}");
    assert_eq!((&said[0][3], &said[0][4]["rung"]), (&Value::Null, &json!("source-only")), "{said}");
    assert_eq!((&said[1][0], &said[1][3]), (&json!("none"), &json!("FLAG_NOT_FOUND")), "{said}");
    assert_eq!(said[2][3], "TARGETING_KEY_MISSING", "{said}");
    assert_eq!(said[3][3], "TYPE_MISMATCH", "{said}");
    controller.stop().await;
}
