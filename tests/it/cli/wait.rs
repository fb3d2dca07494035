//! `ramp --wait`: what its exit codes tell a script. 0 arrived, 1 failed, 2 tripped, 3 timeout, 4 held.

use std::process::Stdio;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{at, binary};
use crate::support::server::Controller;

async fn orders(dir: &TempDir) -> Controller {
    let controller = Controller::start(dir.path(), 0).await;
    at(&controller.url, "create orders --source ddb --target mysql").await.done();
    controller
}

#[tokio::test(flavor = "multi_thread")]
async fn it_arrives_or_is_not_there_in_time() {
    let dir = TempDir::new().unwrap();
    let controller = orders(&dir).await;
    let url = controller.url.as_str();
    assert_eq!(at(url, "ramp orders --mirrored 100 --wait").await.code, 0);
    assert_eq!(at(url, "show orders --json").await.object()["rollout"]["mirrored_ppm"], 1_000_000);
    // Nobody makes the pass that this needs.
    let late = at(url, "ramp orders --target-first 1 --wait --timeout 300ms").await;
    assert_eq!(late.code, 3, "{late:?}");
    assert!(late.err.contains("[full-pass]") && late.err.contains("the controller continues"), "{late:?}");
    at(url, "ramp nope --dual 1 --wait").await.fails(&["nope"]);
    assert_eq!(
        at(url, "wait orders --for settled --timeout 1").await.code,
        3,
        "nor is it for who comes later"
    );
    at(url, "ramp orders --target-first 0").await.done();
    assert_eq!(at(url, "wait orders --for settled --timeout 20").await.code, 0);
    at(url, "pause orders").await.done();
    assert_eq!(at(url, "wait orders").await.code, 4);
    at(url, "wait nope").await.fails(&["nope"]);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_the_wait_and_the_request_stands() {
    let dir = TempDir::new().unwrap();
    let controller = orders(&dir).await;
    let url = controller.url.as_str();
    let args = ["--server", url, "ramp", "orders", "--target-first", "1", "--wait"];
    let mut command = binary();
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut complained = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut lines = Vec::new();
    while !lines.iter().any(|line: &String| line.contains("full-pass")) {
        lines.push(complained.next_line().await.unwrap().expect("it says what it waits for"));
    }
    kill(Pid::from_raw(child.id().unwrap().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(130));
    while let Some(line) = complained.next_line().await.unwrap() {
        lines.push(line);
    }
    assert!(lines.last().unwrap().contains("the request stands"), "{lines:?}");
    assert_eq!(at(url, "show orders --json").await.object()["goal"]["target_first_ppm"], 10_000);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_override_is_for_the_tenants_of_its_request() {
    let dir = TempDir::new().unwrap();
    let controller = orders(&dir).await;
    let url = controller.url.as_str();
    at(url, "ramp orders --mirrored 100 --wait").await;
    assert_eq!(at(url, "ramp orders --target-first 100 --wait --timeout 100ms").await.code, 3);
    at(url, "pin orders acme target-first --override full-pass").await.fails(&["override needs a reason"]);
    let pinned = at(url, "pin orders acme target-first --override full-pass --reason empty").await.done();
    assert!(pinned.contains("OVERRIDE of gate full-pass by operator:ada: empty"), "{pinned}");
    assert_eq!(at(url, "explain orders acme --json").await.object()["rung"], "target-first");
    let shown = at(url, "show orders --json").await.object();
    assert_eq!(shown["state"], "ramping", "everybody else waits for the pass: {shown}");
    assert_eq!(at(url, "explain orders zeta --json").await.object()["rung"], "mirrored");
    let again = at(url, "ramp orders --target-first 100 --wait --override full-pass --reason sure").await;
    assert_eq!(again.code, 0, "asked again with an override of their own, the others go on: {again:?}");
    assert_eq!(at(url, "explain orders zeta --json").await.object()["rung"], "target-first");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_when_somebody_holds_it_or_takes_it_back() {
    let dir = TempDir::new().unwrap();
    let controller = orders(&dir).await;
    let url = controller.url.as_str();
    at(url, "ramp orders --mirrored 100 --wait").await;
    for (verb, code, part) in [("pause", 4, "cutover resume orders"), ("rollback", 2, "cutover ack orders")] {
        let mut waits = binary();
        waits.args(["ramp", "orders", "--target-first", "1", "--wait", "--server", url]);
        let mut waits = waits.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(waits.stderr.take().unwrap()).lines();
        let first = told.next_line().await.unwrap().unwrap();
        assert!(first.contains("[full-pass]"), "{first}");
        at(url, &format!("{verb} orders --reason why")).await.done();
        let last = told.next_line().await.unwrap().unwrap();
        assert!(last.contains(part), "{last}");
        assert_eq!(waits.wait().await.unwrap().code(), Some(code));
        if verb == "pause" {
            assert_eq!(at(url, "ramp orders --target-first 2 --wait").await.code, 4, "held from the start");
            at(url, "resume orders").await.done();
        }
    }
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_on_while_the_controller_restarts() {
    let dir = TempDir::new().unwrap();
    let controller = orders(&dir).await;
    let url = controller.url.clone();
    let port = url.rsplit(':').next().unwrap().parse().unwrap();
    let waits = |timeout: &str| {
        let mut waits = binary();
        let line =
            ["ramp", "orders", "--target-first", "1", "--wait", "--timeout", timeout, "--server", &url];
        let mut waits = waits.args(line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let told = BufReader::new(waits.stderr.take().unwrap()).lines();
        (waits, told)
    };
    let (mut waiting, mut told) = waits("1m");
    assert!(told.next_line().await.unwrap().unwrap().contains("waiting"));
    controller.stop().await;
    let away = told.next_line().await.unwrap().unwrap();
    assert!(away.contains("does not answer"), "{away}");
    let controller = Controller::start(dir.path(), port).await;
    at(&url, "pause orders --reason why").await.done();
    while let Some(line) = told.next_line().await.unwrap() {
        assert!(!line.contains("does not answer"), "said once: {line}");
    }
    assert_eq!(waiting.wait().await.unwrap().code(), Some(4), "it has seen the pause");

    at(&url, "resume orders").await.done();
    let (mut waiting, mut told) = waits("3s");
    assert!(told.next_line().await.unwrap().unwrap().contains("waiting"));
    controller.stop().await;
    let mut last = String::new();
    while let Some(line) = told.next_line().await.unwrap() {
        last = line;
    }
    assert!(last.contains("timed out") && last.contains("continues when it is back"), "{last}");
    assert_eq!(waiting.wait().await.unwrap().code(), Some(69));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ramp_that_waits_for_an_earlier_request_too_says_how_to_withdraw_that() {
    let dir = TempDir::new().unwrap();
    let controller = orders(&dir).await;
    let url = controller.url.as_str();
    at(url, "ramp orders --mirrored 100 --wait").await.done();
    assert_eq!(at(url, "ramp orders --target-first 50 --wait --timeout 1").await.code, 3);
    let again = at(url, "ramp orders --mirrored 100 --wait --timeout 1").await;
    assert_eq!(again.code, 3, "{again:?}");
    let earlier = "this also waits for target-first 50 %, which was asked for earlier. To withdraw that: cutover ramp \
                   orders --target-first 0\n";
    assert!(again.err.starts_with(earlier), "{again:?}");
    at(url, "ramp orders --target-first 0").await.done();
    let settled = at(url, "ramp orders --mirrored 100 --wait").await;
    assert!(settled.code == 0 && !settled.err.contains("earlier"), "{settled:?}");
    controller.stop().await;
}
