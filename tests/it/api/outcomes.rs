//! What callers without an SDK count reaches guards and charts, each count once.

use std::time::{Duration, Instant};

use cutover_proto::v1::{RecordOutcomesRequest, telemetry_service_client::TelemetryServiceClient};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Code;

use super::client::{get, post};
use crate::support::server::Controller;

fn cell(revision: u64, calls: u64, failed: u64) -> Value {
    json!({
        "migration": "orders", "revision": revision, "hit": 3, "miss": 1,
        "stores": [{
            "store": "STORE_ROLE_TARGET", "operation": "OPERATION_WRITE", "calls": calls,
            "errors": { "server": failed },
        }],
    })
}

#[tokio::test]
async fn outcomes_are_counted_once_and_shown_as_an_sdks() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let at = controller.http;
    let request = json!({ "key": "orders", "source": "old", "target": "new" });
    let (_, created) = post(at, "/api/v1/CreateMigration", &request).await;
    let revision = created["migration"]["revision"].as_u64().unwrap();

    let record = json!({ "reporter": "php-1", "sequence": 1, "cells": [cell(revision, 10, 4), cell(revision + 9, 1, 0)] });
    let (_, first) = post(at, "/api/v1/RecordOutcomes", &record).await;
    assert_eq!(first, json!({ "sequence": 1, "repeated": false, "left_out": [1] }), "of no revision yet");
    let (_, again) = post(at, "/api/v1/outcomes", &record).await;
    assert_eq!((&again["sequence"], &again["repeated"]), (&json!(1), &json!(true)), "{again}");

    let (_, status) = get(at, "/api/v1/GetStatus?key=orders").await;
    assert_eq!((&status["totals"]["hit"], &status["totals"]["miss"]), (&json!(3), &json!(1)), "{status}");
    assert_eq!(status["instances"], json!([]), "who counts is no member of the barrier");
    let (_, series) = get(at, "/api/v1/GetSeries?key=orders").await;
    let point = &series["points"][0];
    assert_eq!((&point["hit"], &point["stores"][0]["calls"]), (&json!(3), &json!(10)), "{series}");
    assert_eq!(point["stores"][0]["errors"], 4, "{series}");
    assert_eq!(status["rates"][0]["errors_per_s"], 0.4, "{status}");

    for (wrong, field) in [
        (json!({ "reporter": "php 1", "sequence": 2 }), "reporter"),
        (json!({ "reporter": "n".repeat(1 << 20), "sequence": 2 }), "reporter"),
        (json!({ "reporter": "php-1" }), "sequence"),
        (json!({ "reporter": "php-1", "sequence": 2, "cells": vec![json!({}); 1001] }), "cells"),
        (json!({ "reporter": "php-1", "sequence": 2, "cells": [cell(0, 1, 0)] }), "cells[0].revision"),
    ] {
        let (status, refused) = post(at, "/api/v1/RecordOutcomes", &wrong).await;
        assert!(status == 400 && refused["fields"][0]["field"] == field, "{refused}");
        assert!(refused.to_string().len() < 2000, "it repeats little of what was sent: {refused}");
    }
    controller.stop().await;
}

/// As an SDK's report would.
#[tokio::test]
async fn failing_writes_of_such_a_caller_trip_a_guard() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let at = controller.http;
    post(at, "/api/v1/CreateMigration", &json!({ "key": "orders", "source": "old", "target": "new" })).await;
    let ramp = json!({ "key": "orders", "dual_ppm": 1_000_000 });
    let (_, ramped) = post(at, "/api/v1/SetRollout", &ramp).await;
    let revision = ramped["migration"]["revision"].as_u64().unwrap();
    let (mut sequence, began) = (0, Instant::now());
    loop {
        sequence += 1;
        let cells = json!([{
            "migration": "orders", "revision": revision, "both_ok": 70, "only_target_failed": 30,
            "stores": [
                { "store": "STORE_ROLE_SOURCE", "operation": "OPERATION_WRITE", "calls": 100 },
                { "store": "STORE_ROLE_TARGET", "operation": "OPERATION_WRITE", "calls": 100, "errors": { "server": 30 } },
            ],
        }]);
        let record =
            json!({ "reporter": format!("php-{}", sequence % 3), "sequence": sequence, "cells": cells });
        post(at, "/api/v1/RecordOutcomes", &record).await;
        let (_, migration) = get(at, "/api/v1/GetMigration?key=orders").await;
        if let Some(trip) = migration["trips"].as_array().unwrap().first() {
            // At dual the source has everything: the guard only stops steps up.
            assert_eq!(
                (&trip["outcome"], &trip["operation"]),
                (&json!("TRIP_OUTCOME_HELD"), &json!("OPERATION_WRITE"))
            );
            assert!(trip["instances"][0].as_str().unwrap().starts_with("outcomes/php-"), "{trip}");
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no guard has tripped: {migration}");
    }
    let (_, series) = get(at, "/api/v1/GetSeries?key=orders").await;
    let kinds: Vec<_> = series["marks"].as_array().unwrap().iter().map(|mark| &mark["kind"]).collect();
    assert!(kinds.contains(&&json!("hold")) && kinds.contains(&&json!("rollout")), "{series}");
    controller.stop().await;
}

#[tokio::test]
async fn strangers_with_ever_new_names_are_refused_and_those_known_are_still_counted() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let mut telemetry = TelemetryServiceClient::connect(controller.url.clone()).await.unwrap();
    let mut record = async |at: u32, sequence| {
        let reporter = format!("stranger-{at}");
        telemetry.record_outcomes(RecordOutcomesRequest { reporter, sequence, cells: Vec::new() }).await
    };
    for at in 0..1024 {
        record(at, 1).await.unwrap();
    }
    let refused = record(1024, 1).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(
        refused.message().contains("1024 others") && refused.message().contains("keep one name"),
        "{refused}"
    );
    assert!(!record(0, 2).await.unwrap().into_inner().repeated);
    let metrics = controller.scrape().await;
    assert!(metrics.contains("cutover_refused_reports_total{reason=\"reporters\"} 1"), "{metrics}");
    controller.stop().await;
}
