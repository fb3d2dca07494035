//! Calls, refusals and event streams.

use hyper::StatusCode;
use serde_json::json;
use tempfile::TempDir;

use super::client::{EVENTS, event, get, post, send};
use crate::support::server::Controller;

async fn with_orders(dir: &TempDir) -> Controller {
    let controller = Controller::start(dir.path(), 0).await;
    let request =
        json!({ "key": "orders", "source": "old", "target": "new", "mutation": { "actor": "operator:ada" } });
    let (status, created) = post(controller.http, "/api/v1/CreateMigration", &request).await;
    assert_eq!(status, StatusCode::OK, "{created}");
    assert_eq!(created["migration"]["state"], "STATE_IDLE", "{created}");
    controller
}

#[tokio::test]
async fn a_script_creates_ramps_and_reads_as_the_command_line_does() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let at = controller.http;

    let ramp = json!({ "key": "orders", "dual_ppm": 250000, "mutation": { "actor": "operator:ada", "request_id": "r1" } });
    let (status, ramped) = post(at, "/api/v1/SetRollout", &ramp).await;
    assert_eq!((status, &ramped["repeated"]), (StatusCode::OK, &json!(false)), "{ramped}");
    let (_, again) = post(at, "/api/v1/SetRollout", &ramp).await;
    assert_eq!(again["repeated"], true, "a request id is one request: {again}");

    let (status, got) = get(at, "/api/v1/GetMigration?key=orders").await;
    assert_eq!((status, &got["rollout"]["dual_ppm"]), (StatusCode::OK, &json!(250_000)), "{got}");
    assert_eq!(got["description"], "", "defaults are written out: {got}");
    let (_, same) = post(at, "/api/v1/GetMigration", &json!({ "key": "orders" })).await;
    assert_eq!(got, same);

    let (_, history) = get(at, "/api/v1/ListHistory?key=orders&page_size=1").await;
    assert_eq!(history["events"][0]["actor"], "operator:ada", "{history}");
    let (_, decided) = post(at, "/api/v1/Decide", &json!({ "migration": "orders", "tenant": "t" })).await;
    assert!(decided["stage"].as_str().unwrap().starts_with("STAGE_"), "{decided}");
    let pins = json!({ "head": { "key": "orders" }, "pins": [{ "tenant": "acme", "rung": "RUNG_DUAL" }] });
    let (_, imported) = post(at, "/api/v1/ImportPins", &pins).await;
    assert_eq!(imported["imported"], 1, "{imported}");
    controller.stop().await;
}

#[tokio::test]
async fn a_refusal_lists_what_the_command_line_lists() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let ramp = json!({ "key": "orders", "target_first_ppm": 1_000_000, "mutation": { "dry_run": true } });
    let (status, refused) = post(controller.http, "/api/v1/SetRollout", &ramp).await;
    assert_eq!((status, &refused["code"]), (StatusCode::BAD_REQUEST, &json!("FAILED_PRECONDITION")));
    let reasons = refused["refusals"].as_array().unwrap();
    assert!(refused["message"].as_str().unwrap().starts_with("refused: "), "{refused}");
    assert!(reasons.iter().any(|reason| reason["gate"] == "full-pass"), "{refused}");

    let cli = tokio::process::Command::new(env!("CARGO_BIN_EXE_cutover"))
        .args(["ramp", "orders", "--target-first", "100", "--dry-run", "--json", "--server", &controller.url])
        .output()
        .await
        .unwrap();
    let said: serde_json::Value = serde_json::from_slice(&cli.stderr).unwrap();
    assert_eq!(said["reasons"], refused["refusals"]);
    assert_eq!(said["message"], refused["message"]);
    controller.stop().await;
}

#[tokio::test]
async fn a_mistake_is_answered_with_what_is_expected() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let at = controller.http;
    for (path, code, said) in [
        ("/api/v1/GetStatus?kee=orders", 400, "GetStatusRequest has: key"),
        ("/api/v1/GetStatus?key=a&key=b", 400, "given twice"),
        ("/api/v1/GetStatus?key=payments", 404, "payments"),
        ("/api/v1/GetStatu?key=orders", 404, "GET /api/v1 lists the methods"),
        ("/api/v1/Watch", 404, "no method"),
        ("/api/v2/GetStatus", 404, "GET /api/v1 lists the methods"),
        ("/api/v1/Pause?key=orders", 405, "use POST"),
        ("/api/v1/ListHistory?page_size=many", 400, "is a number"),
        ("/api/v1/ListHistory?oldest_first=1", 400, "is true or false"),
    ] {
        let (status, failure) = get(at, path).await;
        let message = failure["message"].as_str().unwrap();
        assert!(status == code && message.contains(said), "{path}: {status} {failure}");
        assert!(failure["code"].is_string(), "{failure}");
    }
    for (request, said) in [
        ("{", "line 1"),
        (r#"{"key":"orders"} x"#, "trailing"),
        (r#"{"key":"orders","wat":1}"#, "PauseRequest has: mutation, key"),
        (r#"{"key":7}"#, "string"),
        (r#"{"key":"orders","mutation":{"dry_run":"yes"}}"#, "PauseRequest has"),
    ] {
        let json = [("content-type", "application/json; charset=utf-8")];
        let answer = send(at, "POST", "/api/v1/Pause", &json, request.to_owned()).await;
        let (status, failure) = super::client::json(answer).await;
        let message = failure["message"].as_str().unwrap();
        assert!(status == 400 && message.contains(said), "{request}: {status} {failure}");
    }
    let (_, field) = post(at, "/api/v1/Pause", &json!({ "key": "Not A Key" })).await;
    assert_eq!(field["fields"][0]["field"], "key", "{field}");
    controller.stop().await;
}

#[tokio::test]
async fn live_data_is_a_stream_of_events_that_ends_with_an_error() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let answer = send(controller.http, "GET", "/api/v1/WatchStatus?key=orders", &[EVENTS], "").await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let (mut stream, mut buffer) = (answer.into_body(), String::new());
    let (name, first) = event(&mut stream, &mut buffer).await;
    assert_eq!((name.as_str(), &first["migration"]["paused"]), ("", &json!(false)), "{first}");

    post(controller.http, "/api/v1/Pause", &json!({ "key": "orders" })).await;
    while event(&mut stream, &mut buffer).await.1["migration"]["paused"] != true {}
    post(controller.http, "/api/v1/DeleteMigration", &json!({ "key": "orders" })).await;
    let last = loop {
        let (name, last) = event(&mut stream, &mut buffer).await;
        if name == "error" {
            break last;
        }
    };
    assert_eq!(last["code"], "NOT_FOUND", "{last}");
    controller.stop().await;
}

/// Where a browser does not say which site asks, an image of a stranger's page must not hold one of the streams.
#[tokio::test]
async fn an_event_stream_is_opened_only_for_who_asks_for_events() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let (image, any) = ("image/avif,image/webp,*/*;q=0.8", "*/*");
    for accept in [Some(image), Some(any), Some(""), None] {
        let headers: Vec<_> = accept.map(|accept| ("accept", accept)).into_iter().collect();
        for path in ["/api/v1/WatchStatus?key=orders", "/api/v1/WatchOverview"] {
            let (status, failure) =
                super::client::json(send(controller.http, "GET", path, &headers, "").await).await;
            assert_eq!(status, StatusCode::NOT_ACCEPTABLE, "{accept:?}: {failure}");
            assert!(failure["message"].as_str().unwrap().contains("accept: text/event-stream"), "{failure}");
        }
    }
    let both = [("accept", "application/json, TEXT/event-stream;q=1")];
    let answer = send(controller.http, "GET", "/api/v1/WatchOverview", &both, "").await;
    assert_eq!(answer.status(), StatusCode::OK);
    controller.stop().await;
}

#[tokio::test]
async fn event_streams_are_bounded_and_a_closed_one_makes_room() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let watch = async || send(controller.http, "GET", "/api/v1/WatchStatus?key=orders", &[EVENTS], "").await;
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(watch().await);
    }
    assert!(open.iter().all(|answer| answer.status() == StatusCode::OK));
    let (status, failure) = super::client::json(watch().await).await;
    assert_eq!((status, &failure["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!("RESOURCE_EXHAUSTED")));
    open.clear();
    while watch().await.status() != StatusCode::OK {
        tokio::task::yield_now().await;
    }
    controller.stop().await;
}

#[tokio::test]
async fn it_documents_itself() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let (_, all) = get(controller.http, "/api/v1").await;
    let methods = all["methods"].as_array().unwrap();
    let ramp = methods.iter().find(|method| method["name"] == "SetRollout").unwrap();
    assert_eq!((&ramp["verbs"], &ramp["request"]), (&json!(["POST"]), &json!("SetRolloutRequest")));
    assert!(ramp["comment"].as_str().unwrap().starts_with("Asks for shares."), "{ramp}");
    let fields = all["messages"]["SetRolloutRequest"].as_array().unwrap();
    let wait = fields.iter().find(|field| field["name"] == "wait").unwrap();
    assert_eq!(wait["type"], "bool", "{wait}");
    assert!(all["messages"]["Mutation"].is_array() && all["enums"]["Rung"].is_array());
    controller.stop().await;
}
