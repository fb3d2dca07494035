//! `cutover progress`: what people pipe, what scripts read, and invalid arguments.

use cutover_proto::v1;
use serde_json::json;
use tempfile::TempDir;

use super::{at, has};
use crate::support::{instance::Instance, server::Controller};

fn cell() -> v1::Cell {
    let calls = |store: v1::StoreRole, operation: v1::Operation, calls, timeout| v1::StoreCalls {
        store: store.into(),
        operation: operation.into(),
        calls,
        errors: Some(v1::ErrorCounts { timeout, ..Default::default() }),
        latency_us: Some(v1::Histogram { index: vec![8, 80], count: vec![calls - 3, 3] }),
        ..Default::default()
    };
    v1::Cell {
        migration: "orders".to_owned(),
        revision: 1,
        hit: 75,
        miss: 25,
        migrated: 20,
        backfill: 7,
        stores: vec![
            calls(v1::StoreRole::Target, v1::Operation::Read, 100, 10),
            calls(v1::StoreRole::Target, v1::Operation::Write, 100, 0),
            calls(v1::StoreRole::Source, v1::Operation::Read, 25, 0),
        ],
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_reported_is_shown_over_time() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    let told = at(url, "progress orders").await.done();
    assert!(told.starts_with("nothing was reported of orders in the last day: do"), "{told}");
    for (since, span) in [("36h", "1 day 12h"), ("7d", "7 days"), ("59d", "59 days"), ("90m", "1h 30m")] {
        let told = at(url, &format!("progress orders --since {since}")).await.done();
        assert!(
            told.starts_with(&format!("nothing was reported of orders in the last {span}: do")),
            "{told}"
        );
    }
    assert!(at(url, "progress orders --json").await.objects().is_empty());

    let mut instance = Instance::register(url, "a", 1).await;
    instance.report(vec![cell(), cell()]).await;
    let points = at(url, "progress orders --since 30d --rows 1 --json").await.objects();
    has(&points[0], &["migration", "at_ms", "width_ms", "revision", "rollout", "stores", "not_found"]);
    let counts = ["hit", "miss", "migrated", "backfill", "mismatch"].map(|name| points[0][name].clone());
    assert_eq!(counts, [json!(150), json!(50), json!(40), json!(14), json!(0)]);
    let store = |store: &str, operation: &str| {
        let stores = points[0]["stores"].as_array().unwrap();
        let found = stores.iter().find(|of| of["store"] == store && of["operation"] == operation);
        found.unwrap_or_else(|| panic!("no {store} {operation} in {points:?}")).clone()
    };
    let all = store("target", "all");
    assert_eq!((&all["calls"], &all["errors"]), (&json!(400), &json!(20)));
    assert!(all["p50_us"].as_u64() < all["p99_us"].as_u64(), "{all}");
    assert_eq!(store("target", "read")["errors"], 20);
    assert_eq!(store("source", "all")["calls"], 50);

    let line = at(url, "progress orders --since 5m").await.done();
    let rows: Vec<&str> = line.lines().collect();
    assert!(rows[0].starts_with("orders, 10s a row") && rows[2].starts_with("time "), "{line}");
    let cells: Vec<&str> = rows[3].split_whitespace().skip(1).collect();
    let told = ["r1", "············", "75.00", "50", "40", "14", "0", "50", "0.00"];
    assert_eq!(cells[..told.len()], told, "{line}");
    controller.stop().await;
    let controller = Controller::start(dir.path(), 0).await;
    let again = at(&controller.url, "progress orders --since 5m").await.done();
    assert_eq!(again, line, "the same after a restart");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_that_makes_no_sense() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "progress nope").await.fails(&["nope"]);
    at(url, "create orders --source ddb --target mysql").await.done();
    for (since, part) in [("91d", "90d"), ("0s", "1s at least"), ("yesterday", "5m")] {
        at(url, &format!("progress orders --since {since}")).await.fails(&[part]);
    }
    at(url, "progress orders --rows 0").await.fails(&["--rows"]);
    let future =
        v1::GetProgressRequest { key: "orders".to_owned(), since_ms: u64::MAX, ..Default::default() };
    let refused = controller.admin().await.get_progress(future).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    controller.stop().await;
}
