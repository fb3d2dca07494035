//! A pass that is ended early, and one that nobody will accept: who is told what.

use std::{path::Path, process::Stdio, time::Duration};

use cutover_store::{Id, Record, SqliteOptions, SqliteStore, Store as _, Version};
use serde_json::json;
use tempfile::TempDir;

use super::{at, binary};
use crate::support::server::Controller;

async fn table(path: &Path, records: u64) {
    let store = SqliteStore::create(path, "orders", SqliteOptions::default()).await.unwrap();
    let record = |n| Record { version: Version(n), value: Some(vec![b'x'; 300]) };
    let all: Vec<_> =
        (0..records).map(|n| (Id::new("acme", &format!("order-{n}")).unwrap(), record(n + 1))).collect();
    store.put_many_if_newer(&all).await.unwrap();
    store.close().await;
}

async fn world(dir: &TempDir, limits: &str, records: u64) -> (Controller, String) {
    let controller = Controller::start(dir.path(), 0).await;
    at(&controller.url, "create orders --source one --target other").await.done();
    table(&dir.path().join("source.db"), records).await;
    let store = |side: &str| {
        format!("[{side}]\nurl = \"sqlite:{}/{side}.db\"\ntable = \"orders\"\n", dir.path().display())
    };
    let (source, target) = (store("source"), store("target"));
    let spec = dir.path().join("orders.toml");
    std::fs::write(&spec, format!("migration = \"orders\"\n{source}{target}[limits]\n{limits}")).unwrap();
    (controller, spec.display().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_worker_is_not_cut_off_unless_that_is_forced_and_then_says_why_it_ends() {
    let dir = TempDir::new().unwrap();
    let (controller, spec) =
        world(&dir, "rows_per_s = 200\nchunk_bytes = 30_000\nworkers = 1\n", 8_000).await;
    let url = controller.url.as_str();
    let backfill = ["--server", url, "backfill", &spec, "--create-tables"];
    let worker = binary().args(backfill).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = loop {
        let jobs = at(url, "jobs orders --json").await.objects();
        match jobs.first().filter(|job| !job["claims"].as_array().unwrap().is_empty()) {
            Some(job) => break job["job"].as_str().unwrap().to_owned(),
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let list = at(url, "list").await.done();
    assert!(list.contains("full "), "{list}");
    at(url, &format!("cancel {id}")).await.refused(&["is being worked on by cutover-full-", "--force"]);
    let canceled = at(url, &format!("cancel {id} --force --reason mistake --json")).await.object();
    let history = at(url, "history orders --export").await.objects();
    let last = history.last().unwrap();
    assert_eq!((&last["actor"], &last["reason"]), (&json!("operator:ada"), &json!("mistake")), "{last}");
    assert!(last["summary"].to_string().contains(&format!("full pass {id} was canceled")), "{last}");
    assert_eq!((&canceled["clean"], &canceled["canceled_by"]["reason"]), (&json!(false), &json!("mistake")));
    let ended =
        tokio::time::timeout(Duration::from_secs(30), worker.wait_with_output()).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8(ended.stdout).unwrap(), String::from_utf8(ended.stderr).unwrap());
    assert_eq!(ended.status.code(), Some(1), "{out} {err}");
    assert!(out.contains("canceled by operator:ada: mistake; what it did stays"), "{out} {err}");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_that_no_gate_will_take_warns_at_both_ends_and_one_that_waits_does_not() {
    let dir = TempDir::new().unwrap();
    let (controller, spec) = world(&dir, "", 50).await;
    let url = controller.url.as_str();
    let early = at(url, &format!("backfill {spec} --create-tables")).await;
    let warnings: Vec<&str> =
        early.err.lines().filter(|line| line.starts_with("warning: no gate ")).collect();
    assert_eq!((early.code, warnings.len()), (0, 2), "at the start and at the end: {early:?}");
    assert!(warnings[0].contains("nobody is at mirrored"), "{early:?}");
    assert!(
        early.err.contains(" for one that counts: cutover ramp orders --mirrored")
            && early.err.contains("--wait-settled"),
        "{early:?}"
    );
    let compared = at(url, &format!("verify {spec}")).await;
    assert!(
        compared.code == 0 && compared.out.contains("\nno gate accepts this pass: nobody is"),
        "{compared:?}"
    );
    let json = at(url, &format!("backfill {spec} --json")).await;
    let last: serde_json::Value = serde_json::from_str(json.out.lines().last().unwrap()).unwrap();
    assert!(last["warning"].as_str().unwrap().contains("nobody is at mirrored"), "{last}");
    at(url, &format!("backfill {spec} --wait-settled")).await.refused(&["cutover ramp orders --mirrored"]);
    at(url, "ramp orders --mirrored 100").await;
    let taken = at(url, &format!("backfill {spec} --wait-settled")).await;
    assert!(taken.code == 0 && !taken.err.contains("warning"), "{taken:?}");
    at(url, "ramp orders --target-first 100").await.done();
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_adds_up_and_a_sample_is_the_share_that_was_asked_for() {
    let dir = TempDir::new().unwrap();
    let (controller, spec) = world(&dir, "", 4_000).await;
    let url = controller.url.as_str();
    at(url, &format!("backfill {spec} --create-tables")).await.done();
    let target = dir.path().join("target.db");
    let target = SqliteStore::open(&target, "orders", SqliteOptions::default()).await.unwrap();
    let put = async |key: &str, version, value: &[u8]| {
        let record = Record { version: Version(version), value: Some(value.to_vec()) };
        target.put_if_newer(&Id::new("acme", key).unwrap(), &record).await.unwrap();
    };
    put("order-7", 1_000_000, b"ahead").await;
    put("extra", 5, b"extra").await;
    target.close().await;
    let told = at(url, &format!("verify {spec}")).await;
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.out.contains("NOT clean: 4001 compared: 3999 the same, 1 ahead, 1 extra"), "{told:?}");
    for percent in [60_u64, 40, 26, 100] {
        let told = at(url, &format!("verify {spec} --sample {percent} --json")).await;
        let object: serde_json::Value = serde_json::from_str(told.out.lines().last().unwrap()).unwrap();
        let compared = object["counts"]["compared"].as_u64().unwrap();
        let expected = 4_001 * percent / 100;
        assert!(compared.abs_diff(expected) < 100, "{percent} %: {compared} compared, not about {expected}");
        // Two records of 4,001 differ; the sample may have met neither.
        let bound = object["differ_at_most"].as_f64().unwrap();
        assert!(bound > 2.0 / 4_001.0 && bound < 10.0 / compared as f64, "{percent} %: {bound}");
    }
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_is_never_called_clean() {
    let dir = TempDir::new().unwrap();
    let (controller, spec) = world(&dir, "", 100).await;
    let url = controller.url.as_str();
    at(url, &format!("backfill {spec} --create-tables")).await.done();
    let told = at(url, &format!("verify {spec} --sample 50")).await.done();
    assert!(told.contains("found no difference: ") && !told.contains("clean"), "{told}");
    assert!(told.contains(" % of all records differ (95 % confidence)"), "{told}");
    let history = at(url, "history orders --limit 1").await.done();
    assert!(history.contains("ended without a difference") && !history.contains("clean"), "{history}");
    controller.stop().await;
}
