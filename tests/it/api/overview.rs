//! The overview, and what charts are drawn from.

use serde_json::json;
use tempfile::TempDir;

use super::client::{EVENTS, event, get, post, send};
use crate::support::server::Controller;

async fn with(dir: &TempDir, keys: &[&str]) -> Controller {
    let controller = Controller::start(dir.path(), 0).await;
    for key in keys {
        let request = json!({ "key": key, "source": "old", "target": "new" });
        post(controller.http, "/api/v1/CreateMigration", &request).await;
    }
    controller
}

#[tokio::test]
async fn a_viewer_gets_every_migration_again_and_again() {
    let dir = TempDir::new().unwrap();
    let controller = with(&dir, &["orders", "payments"]).await;
    let at = controller.http;
    let (mut stream, mut buffer) =
        (send(at, "GET", "/api/v1/WatchOverview", &[EVENTS], "").await.into_body(), String::new());
    let (_, first) = event(&mut stream, &mut buffer).await;
    let keys: Vec<_> = first["rows"].as_array().unwrap().iter().map(|row| &row["key"]).collect();
    assert_eq!(keys, ["orders", "payments"], "{first}");
    let row = &first["rows"][0];
    assert_eq!(row["shares"], json!([{ "rung": "RUNG_SOURCE_ONLY", "ppm": 1_000_000 }]), "{row}");
    assert!(row["gist"]["what"].as_str().unwrap().starts_with("orders is idle"), "{row}");

    let mutation = json!({ "actor": "operator:ada", "reason": "incident" });
    post(at, "/api/v1/Pause", &json!({ "key": "payments", "mutation": mutation })).await;
    let gist = loop {
        let (_, next) = event(&mut stream, &mut buffer).await;
        if next["rows"][1]["state"] == "STATE_PAUSED" {
            break next["rows"][1]["gist"].clone();
        }
    };
    assert_eq!(gist["urgency"], "URGENCY_WAITING", "{gist}");
    // `status` begins with the same words.
    let (_, status) = get(at, "/api/v1/GetStatus?key=payments").await;
    assert_eq!(status["gist"]["next"], gist["next"]);
    assert!(gist["what"].as_str().unwrap().contains("paused by operator:ada"), "{gist}");
    controller.stop().await;
}

#[tokio::test]
async fn a_chart_has_the_changes_of_its_time() {
    let dir = TempDir::new().unwrap();
    let controller = with(&dir, &["orders"]).await;
    let at = controller.http;
    for (method, reason) in [("Pause", "incident"), ("Resume", "over")] {
        let mutation = json!({ "actor": "operator:ada", "reason": reason });
        post(at, &format!("/api/v1/{method}"), &json!({ "key": "orders", "mutation": mutation })).await;
    }
    let (_, series) = get(at, "/api/v1/GetSeries?key=orders").await;
    let marks: Vec<_> = series["marks"].as_array().unwrap().iter().map(|mark| &mark["kind"]).collect();
    assert_eq!(marks, ["pause", "resume"], "{series}");
    assert_eq!(series["marks"][0]["actor"], "operator:ada", "{series}");
    assert_eq!((&series["width_ms"], &series["points"]), (&json!(1000), &json!([])), "{series}");

    let before = series["marks"][0]["at_ms"].as_u64().unwrap() - 1;
    let earlier = format!("/api/v1/GetSeries?key=orders&since_ms={}&until_ms={before}", before - 60_000);
    assert_eq!(get(at, &earlier).await.1["marks"], json!([]), "of its time only");
    controller.stop().await;
}
