//! Many dead instances at once, and several live ones with one id.

use std::time::Duration;

use cutover_proto::v1::{self, telemetry_service_client::TelemetryServiceClient};
use tempfile::TempDir;
use tonic::Code;

use super::at;
use crate::support::{instance::Instance, server::Controller};

#[tokio::test(flavor = "multi_thread")]
async fn all_lost_instances_are_evicted_by_one_event_for_each_migration() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    for key in ["orders", "users"] {
        at(url, &format!("create {key} --source ddb --target mysql")).await.done();
    }
    let ids = ["pod-1", "pod-2", "pod-3"];
    for (at, id) in ids.into_iter().enumerate() {
        drop(Instance::register(url, id, at as u64 + 1).await);
    }
    let mut alive = Instance::register(url, "alive", 9).await;
    let lost = async {
        loop {
            alive.report(Vec::new()).await;
            let listed = at(url, "instances --json").await.objects();
            if listed.iter().filter(|instance| instance["lost"] == true).count() == ids.len() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(40), lost).await.expect("after 10 s");
    at(url, "ramp orders --dual 100").await.done();
    let status = at(url, "status orders").await.done();
    assert!(status.contains("cutover evict --lost --reason .."), "{status}");
    for nobody in ["--older-than 1h", "--service billing"] {
        let told = at(url, &format!("evict --lost {nobody} --reason fire")).await.done();
        let flag = nobody.split(' ').next().unwrap();
        let matches = format!("nobody was evicted: no lost instance matches {flag}: ");
        assert!(told.starts_with(&matches), "{told}");
    }
    let told = at(url, "evict --lost --older-than 1s --service orders-api --reason fire").await.done();
    assert_eq!(told, "evicted pod-1\nevicted pod-2\nevicted pod-3\n");
    for key in ["orders", "users"] {
        let history = at(url, &format!("history {key} --export")).await.objects();
        let evictions: Vec<_> = history.iter().filter(|event| event["change"] == "evict").collect();
        assert_eq!(evictions.len(), 1, "{key}: {evictions:?}");
        let summary = evictions[0]["summary"].to_string();
        assert!(ids.iter().all(|id| summary.contains(id)) && evictions[0]["reason"] == "fire", "{summary}");
    }
    let left = at(url, "instances --json").await.objects();
    assert_eq!(left.len(), 1, "{left:?}");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_live_processes_with_one_id_are_shown_as_such() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    let one = Instance::register(url, "pod", 1).await;
    let alone = at(url, "instances").await.done();
    assert!(!alone.contains("DUPLICATE"), "{alone}");
    let other = Instance::register(url, "pod", 2).await;
    for shown in ["instances", "status orders"] {
        let shown = at(url, shown).await.done();
        assert_eq!(shown.matches("DUPLICATE ID").count(), 2, "{shown}");
        assert!(shown.contains("pod#1 ") && shown.contains("pod#2 "), "{shown}");
    }
    drop((one, other));
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_say_no_incarnation_are_refused_before_one_could_speak_for_another() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let request = v1::WatchRequest {
        instance_id: "a".to_owned(),
        service: "orders-api".to_owned(),
        ..Default::default()
    };
    for _ in 0..2 {
        let refused = controller.routing().await.watch(request.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
        let told = "incarnation: 0 does not identify a process: draw a random number from 1 to 2^64-1";
        assert!(refused.message().contains(told), "{refused:?}");
    }
    let mut with_one = Instance::register(&controller.url, "a", 7).await;
    let report = v1::ReportRequest { instance_id: "a".to_owned(), sequence: 1, ..Default::default() };
    let mut telemetry = TelemetryServiceClient::connect(controller.url.clone()).await.unwrap();
    let unknown = telemetry.report(report).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound, "{unknown:?}");
    with_one.report(Vec::new()).await;
    assert_eq!(at(&controller.url, "instances --json").await.objects().len(), 1);
    controller.stop().await;
}
