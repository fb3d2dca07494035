//! OpenFeature's remote evaluation, by requests as its specification has them.

use std::time::Duration;

use cutover_proto::v1::{WatchRequest, watch_response::Kind};
use hyper::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{get, json as read, post, send};
use crate::support::server::Controller;

const ONE: &str = "/ofrep/v1/evaluate/flags/orders";
const ALL: &str = "/ofrep/v1/evaluate/flags";

pub async fn with_orders(dir: &TempDir) -> Controller {
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

/// A page that asks for everything must not wait for one migration on hold; who asks for that one flag does.
#[tokio::test]
async fn all_flags_are_answered_at_once_while_one_is_on_hold() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let at = controller.http;
    let policy = json!({ "hold_timeout_ms": 30_000 });
    let orders = json!({ "key": "orders", "source": "a", "target": "b", "policy": policy });
    post(at, "/api/v1/CreateMigration", &orders).await;
    hold_everybody(&controller).await;
    post(at, "/api/v1/CreateMigration", &json!({ "key": "payments", "source": "a", "target": "b" })).await;

    let alone = tokio::spawn(async move { post(at, ONE, &context("acme")).await });
    let (status, all) = post(at, ALL, &context("acme")).await;
    assert_eq!(status, StatusCode::OK, "{all}");
    let flags = all["flags"].as_array().unwrap();
    assert_eq!(flags.len(), 2, "{all}");
    assert_eq!((&flags[0]["key"], &flags[0]["errorCode"]), (&json!("orders"), &json!("PROVIDER_NOT_READY")));
    assert_eq!((&flags[1]["key"], &flags[1]["value"]), (&json!("payments"), &json!("source-only")), "{all}");
    assert!(!alone.is_finished(), "the flag alone is waited for");
    alone.abort();
    controller.stop().await;
}

/// An instance that knows more than the store: it looks restored, so nobody is routed until an operator confirms.
async fn hold_everybody(controller: &Controller) {
    let mut routing = controller.routing().await;
    let watch = |last_revision, history_id| WatchRequest {
        instance_id: "a".to_owned(),
        service: "orders-api".to_owned(),
        incarnation: 1,
        last_revision,
        history_id,
        ..Default::default()
    };
    let mut first = routing.watch(watch(0, String::new())).await.unwrap().into_inner();
    let Some(Kind::Registered(registered)) = first.message().await.unwrap().unwrap().kind else {
        panic!("it is registered first")
    };
    routing.watch(watch(40, registered.history_id)).await.unwrap_err();
    let is_held = async || {
        let (_, status) = get(controller.http, "/api/v1/GetStatus?key=orders").await;
        status["waiting"].to_string().contains("restored")
    };
    while !is_held().await {
        tokio::task::yield_now().await;
    }
}
