//! What a page needs before it acts: dry runs, the whole way, who is waited for, and changes of any age.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{get, post};
use crate::support::{instance::Instance, server::Controller};

async fn with_orders(dir: &TempDir) -> Controller {
    let controller = Controller::start(dir.path(), 0).await;
    let request = json!({ "key": "orders", "source": "old", "target": "new", "mutation": by("the first") });
    done(&controller, "CreateMigration", &request).await;
    controller
}

fn by(reason: &str) -> Value {
    json!({ "actor": "operator:ada", "reason": reason })
}

async fn done(controller: &Controller, method: &str, request: &Value) -> Value {
    let (status, answer) = post(controller.http, &format!("/api/v1/{method}"), request).await;
    assert_eq!(status, StatusCode::OK, "{method}: {answer}");
    answer
}

async fn status(controller: &Controller) -> Value {
    get(controller.http, "/api/v1/GetStatus?key=orders").await.1
}

/// Until a share of the tenants stands at a rung.
async fn reaches(controller: &Controller, rung: &str, ppm: u32) {
    loop {
        let status = status(controller).await;
        let shares = status["shares"].as_array().unwrap();
        let is_there = |share: &Value| share["rung"] == rung && share["ppm"] == ppm;
        if shares.iter().any(is_there) && status["migration"]["state"] != "STATE_RAMPING" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_dry_run_of_a_rollback_says_the_whole_way_of_each_group() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let up = |shares: Value| {
        let mut request = json!({ "key": "orders", "wait": true, "override_gates": ["full-pass"], "mutation": by("a test") });
        request.as_object_mut().unwrap().extend(shares.as_object().unwrap().clone());
        request
    };
    done(&controller, "SetRollout", &up(json!({ "mirrored_ppm": 1_000_000, "override_gates": [] }))).await;
    reaches(&controller, "RUNG_MIRRORED", 1_000_000).await;
    let ramped = done(&controller, "SetRollout", &up(json!({ "target_first_ppm": 250_000 }))).await;
    assert_eq!(ramped["ways"], json!(["25 % of the tenants: mirrored -> target-first"]), "{ramped}");
    reaches(&controller, "RUNG_TARGET_FIRST", 250_000).await;

    let rollback = |dry_run: bool, tenant: &str| json!({ "key": "orders", "tenant": tenant, "mutation": { "dry_run": dry_run, "reason": "a test" } });
    let dry = done(&controller, "Rollback", &rollback(true, "")).await;
    let (steps, ways) = (dry["changes"].to_string(), &dry["ways"]);
    assert!(steps.contains("25 % of the tenants: target-first -> mirrored\""), "the first step: {steps}");
    let first = "25 % of the tenants: target-first -> mirrored -> dual";
    assert_eq!(ways[0], first, "{dry}");
    assert!(ways[1].as_str().unwrap().ends_with(": mirrored -> dual"), "{dry}");
    let says = dry["consequences"].to_string();
    for part in
        ["until all are at dual or lower", "nothing is lost: the source has every", "cutover ack orders"]
    {
        assert!(says.contains(part), "{part}: {says}");
    }
    let real = done(&controller, "Rollback", &rollback(false, "")).await;
    let of = |answer: &Value| ["ways", "changes", "consequences"].map(|field| answer[field].clone());
    assert_eq!(of(&real), of(&dry), "it does what it said");
    reaches(&controller, "RUNG_DUAL", 1_000_000).await;
    let again = done(&controller, "Rollback", &rollback(true, "acme")).await;
    assert_eq!(again["ways"], json!(["tenant acme: dual -> source-only"]), "{again}");
    let end = again["consequences"][0].as_str().unwrap();
    assert_eq!(end, "the controller takes tenant acme to source-only step by step");
    controller.stop().await;
}

#[tokio::test]
async fn a_rollback_that_some_do_not_follow_does_not_promise_that_nothing_is_lost_without_them() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    for (first, only) in [(1_000_000, 0), (1_000_000, 100_000), (1_000_000, 0)] {
        let ramp = json!({
            "key": "orders", "target_first_ppm": first, "target_only_ppm": only, "wait": true,
            "override_gates": ["full-pass", "soak"], "mutation": by("a test"),
        });
        done(&controller, "SetRollout", &ramp).await;
        let (rung, ppm) = if only > 0 { ("RUNG_TARGET_ONLY", only) } else { ("RUNG_TARGET_FIRST", first) };
        reaches(&controller, rung, ppm).await;
    }
    let rollback = json!({ "key": "orders", "mutation": { "dry_run": true, "reason": "a test" } });
    let dry = done(&controller, "Rollback", &rollback).await;
    assert_eq!(dry["waiting"][0]["gate"], "floor", "{dry}");
    let says = &dry["consequences"];
    assert!(says[0].as_str().unwrap().contains("until all but those that have to stay are at dual"), "{dry}");
    assert!(says[1].as_str().unwrap().starts_with("nothing is lost as long as they stay"), "{dry}");
    controller.stop().await;
}

#[tokio::test]
async fn a_dry_run_of_an_eviction_names_who_would_go_and_evicts_nobody() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let _instance = Instance::register(&controller.url, "api-1", 7).await;
    let evict = |dry_run: bool| json!({ "instance_id": "api-1", "reason": "burnt down", "force": true, "dry_run": dry_run });
    let dry = done(&controller, "EvictInstance", &evict(true)).await;
    assert_eq!((&dry["evicted"], &dry["dry_run"]), (&json!(["api-1"]), &json!(true)), "{dry}");
    let change = dry["changes"][0].as_str().unwrap();
    assert!(change.starts_with("evicted instance api-1 of ") && change.contains("silent for"), "{dry}");
    let instances = async || get(controller.http, "/api/v1/ListInstances").await.1["instances"].clone();
    assert_eq!(instances().await.as_array().unwrap().len(), 1, "nobody was evicted");
    let (_, history) = get(controller.http, "/api/v1/ListHistory?key=orders&change=evict").await;
    assert_eq!(history["events"], json!([]), "nothing was recorded");
    for wrong in
        [json!({ "instance_id": "api-1", "dry_run": true }), json!({ "reason": "x", "dry_run": true })]
    {
        let (status, refused) = post(controller.http, "/api/v1/EvictInstance", &wrong).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "it refuses what it would refuse: {refused}");
    }
    done(&controller, "EvictInstance", &evict(false)).await;
    assert_eq!(instances().await, json!([]));
    controller.stop().await;
}

#[tokio::test]
async fn a_dry_run_of_a_limit_says_it_and_sets_nothing() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let mut jobs = controller.jobs().await;
    let begin = cutover_proto::v1::CreateJobRequest {
        migration: "orders".to_owned(),
        segments: 4,
        ..Default::default()
    };
    let id = jobs.create_job(begin).await.unwrap().into_inner().id;
    let tune = |dry_run: bool| json!({ "id": id, "tuning": { "paused": true, "records_per_s": 7 }, "reason": "lunch", "dry_run": dry_run });
    let tuning = async || status(&controller).await["jobs"][0]["tuning"].clone();
    let before = tuning().await;
    let dry = done(&controller, "TuneJob", &tune(true)).await;
    assert_eq!(dry["tuning"]["records_per_s"], 7, "{dry}");
    assert_eq!(tuning().await, before, "nothing is set");
    let real = done(&controller, "TuneJob", &tune(false)).await;
    assert_eq!((&real["tuning"], &tuning().await), (&dry["tuning"], &dry["tuning"]), "it does what it said");
    controller.stop().await;
}

#[tokio::test]
async fn callers_without_an_sdk_are_in_the_status_until_their_answers_expire() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    assert_eq!(status(&controller).await["callers"], Value::Null, "nobody has asked");
    done(&controller, "SetRollout", &json!({ "key": "orders", "dual_ppm": 1_000_000 })).await;
    reaches(&controller, "RUNG_DUAL", 1_000_000).await;
    let ask = json!({ "context": { "targetingKey": "acme" } });
    let (code, _) = post(controller.http, "/ofrep/v1/evaluate/flags/orders", &ask).await;
    assert_eq!(code, StatusCode::OK);
    let step = json!({ "key": "orders", "mirrored_ppm": 1_000_000, "wait": true });
    let revision = done(&controller, "SetRollout", &step).await["migration"]["revision"].as_u64().unwrap();
    let waiting = status(&controller).await;
    let callers = &waiting["callers"];
    assert_eq!((&callers["settled"], &waiting["settled"]), (&json!(false), &json!(false)), "{waiting}");
    assert!(callers["applied_revision"].as_u64().unwrap() < revision, "{callers}");
    assert!((1..=11_000).contains(&callers["waited_for_ms"].as_u64().unwrap()), "{callers}");
    assert!(callers["asked_ms"].as_u64().unwrap() < 11_000, "{callers}");
    let said = waiting["gist"]["what"].as_str().unwrap();
    assert!(said.contains("cached answers of Decide or OpenFeature from before revision"), "{said}");
    let rolled_back = done(&controller, "Rollback", &json!({ "key": "orders" })).await;
    assert_eq!(rolled_back["ways"], json!(["100 % of the tenants: dual -> source-only"]), "{rolled_back}");
    let tripped = status(&controller).await;
    let said = tripped["gist"]["what"].as_str().unwrap();
    assert!(said.contains("(callers without an SDK follow within 11 s)"), "{said}");
    let settled = loop {
        let now = status(&controller).await;
        if now["settled"] == true {
            break now;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(settled["callers"], Value::Null, "their answers have expired: {}", settled["callers"]);
    controller.stop().await;
}

#[tokio::test]
async fn a_search_of_the_history_finds_old_changes_page_by_page() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    for at in 0..300 {
        let method = if at % 2 == 0 { "Pause" } else { "Resume" };
        let reason = if at % 100 == 0 { format!("ROUND {at}") } else { format!("noise {at}") };
        done(&controller, method, &json!({ "key": "orders", "mutation": by(&reason) })).await;
    }
    let list =
        async |query: &str| get(controller.http, &format!("/api/v1/ListHistory?key=orders&{query}")).await.1;
    let reasons = |page: &Value| -> Vec<String> {
        page["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["reason"].as_str().unwrap().to_owned())
            .collect()
    };
    let page = list("").await;
    assert_eq!(page["events"].as_array().unwrap().len(), 100);
    assert_eq!(reasons(&list("find=the+FIRST").await), ["the first"], "far behind the first page");
    assert_eq!(reasons(&list("change=create&by=operator:ada").await), ["the first"]);
    let first = list("find=round+&page_size=2").await;
    assert_eq!(reasons(&first), ["ROUND 200", "ROUND 100"]);
    let second = list(&format!("find=round+&page_size=2&before={}", first["next"])).await;
    assert_eq!((reasons(&second), &second["next"]), (vec!["ROUND 0".to_owned()], &json!(0)));
    let none = list("by=operator:nobody").await;
    assert_eq!((&none["events"], &none["next"]), (&json!([]), &json!(0)));
    let oldest = list("oldest_first=true&find=round+&page_size=2").await;
    assert_eq!(reasons(&oldest), ["ROUND 0", "ROUND 100"]);
    let rest = list(&format!("oldest_first=true&find=round+&after={}", oldest["next"])).await;
    assert_eq!((reasons(&rest), &rest["next"]), (vec!["ROUND 200".to_owned()], &json!(0)));
    controller.stop().await;
}
