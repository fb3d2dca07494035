//! Records moved from the command line, and what prevents it.

use std::{path::Path, process::Stdio, time::Duration};

use cutover_store::{Id, Record, SqliteOptions, SqliteStore, Store as _, Version};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use tempfile::TempDir;

use super::{at, binary, has};
use crate::support::server::Controller;

const RECORDS: u64 = 8_000;

async fn table(path: &Path, records: u64) -> SqliteStore {
    let store = SqliteStore::create(path, "orders", SqliteOptions::default()).await.unwrap();
    let record = |n| Record { version: Version(n), value: Some(vec![b'x'; 300]) };
    let all: Vec<_> =
        (0..records).map(|n| (Id::new("acme", &format!("order-{n}")).unwrap(), record(n))).collect();
    store.put_many_if_newer(&all).await.unwrap();
    store
}

/// A controller with a migration, a full source, and a spec that names it.
async fn world(dir: &TempDir, limits: &str) -> (Controller, String) {
    let controller = Controller::start(dir.path(), 0).await;
    at(&controller.url, "create orders --source one --target other").await.done();
    table(&dir.path().join("source.db"), RECORDS).await.close().await;
    let store = |side: &str| {
        format!("[{side}]\nurl = \"sqlite:{}/{side}.db\"\ntable = \"orders\"\n", dir.path().display())
    };
    let (source, target) = (store("source"), store("target"));
    let spec = dir.path().join("orders.toml");
    let text = format!("migration = \"orders\"\n{source}{target}[limits]\n{limits}");
    std::fs::write(&spec, text).unwrap();
    (controller, spec.display().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_is_run_verified_and_run_again() {
    let dir = TempDir::new().unwrap();
    let (controller, spec) = world(&dir, "").await;
    let url = controller.url.as_str();
    at(url, &format!("backfill {spec}")).await.fails(&["the target", "--create-tables"]);
    let told = at(url, &format!("backfill {spec} --create-tables --dry-run")).await.done();
    assert!(told.contains("about 8000 records") && told.contains("nothing was copied"), "{told}");
    assert!(told.contains("estimate: 8000 records scanned, "), "{told}");
    assert!(told.contains(", reading as fast as this check did; writing may take longer"), "{told}");
    let told = at(url, &format!("backfill {spec} --create-tables")).await.done();
    assert!(told.contains("clean: 8000 scanned, 8000 copied"), "{told}");
    let told = at(url, &format!("backfill {spec}")).await.done();
    assert!(told.contains("nothing to copy, 8000 there already"), "{told}");
    let verified = at(url, &format!("verify {spec} --json")).await.object();
    has(&verified, &["job", "kind", "clean", "settled", "counts", "samples"]);
    assert_eq!((&verified["clean"], &verified["counts"]["scanned"]), (&json!(true), &json!(2 * RECORDS)));
    at(url, &format!("verify {spec} --sample 0")).await.fails(&["--sample", "more than 0"]);
    at(url, &format!("reverse {spec}")).await.fails(&["none of these tenants"]);
    assert_eq!(at(url, "jobs orders").await.done(), "no pass is under way\n");
    at(url, "tune orders/pass-1 --pause").await.fails(&["not under way", "cutover jobs orders"]);
    at(url, "cancel orders/pass-1").await.fails(&["not under way", "cutover jobs orders"]);
    at(url, "jobs nope").await.fails(&["migration nope does not exist"]);
    let history = at(url, "history orders").await.done();
    assert!(history.contains("full pass") && history.contains("ended clean"), "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_comparison_finds_is_no_read_that_differed() {
    let dir = TempDir::new().unwrap();
    let (controller, spec) = world(&dir, "").await;
    let url = controller.url.as_str();
    let told = at(url, &format!("verify {spec} --create-tables --repair")).await.done();
    assert!(told.contains("8000 missing"), "{told}");
    let totals = &at(url, "status orders --json").await.object()["totals"];
    let counted = ["repaired", "mismatch", "compared"].map(|name| totals[name].clone());
    assert_eq!(counted, [json!(RECORDS), json!(0), json!(0)], "{totals}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_is_replaced_where_it_was() {
    let dir = TempDir::new().unwrap();
    let limits = "rows_per_s = 2_000\nchunk_bytes = 100_000\nworkers = 1\n";
    let (controller, spec) = world(&dir, limits).await;
    let url = controller.url.as_str();
    let backfill = ["--server", url, "backfill", &spec, "--create-tables"];
    let mut killed = binary().args(backfill).stderr(Stdio::null()).spawn().unwrap();
    let job = loop {
        let jobs = at(url, "jobs orders --json").await.objects();
        match jobs.into_iter().find(|job| job["counts"]["scanned"].as_u64() > Some(1_000)) {
            Some(job) => break job,
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    killed.kill().await.unwrap();
    let id = job["job"].as_str().unwrap();
    let paused = at(url, &format!("tune {id} --pause --json")).await.object();
    assert_eq!((&paused["paused"], &paused["limit_records_per_s"]), (&json!(true), &json!(2_000)));
    let resumed = at(url, &format!("tune {id} --resume --records-per-s 0")).await.done();
    assert!(!resumed.contains("PAUSED") && !resumed.contains("at most"), "{resumed}");
    let history = at(url, "history orders --export").await.objects();
    let tuned: Vec<_> = history.iter().filter(|event| event["change"] == "job-tune").collect();
    let summaries: Vec<_> = tuned.iter().map(|event| event["summary"].to_string()).collect();
    assert!(
        summaries[0].contains(&format!("limits of {id}: paused, records per second: 2000")),
        "{summaries:?}"
    );
    assert!(summaries[1].contains("running, records per second: no limit"), "{summaries:?}");
    assert!(tuned.iter().all(|event| event["actor"] == "operator:ada"), "{tuned:?}");
    // The pass began before this, so it does not count, and the dead worker keeps the next one from counting.
    at(url, "ramp orders --mirrored 100").await.done();
    // Its claim ends after 15 s of silence, and it is lost after 10.
    let done = at(url, &format!("backfill {spec} --json")).await;
    assert_eq!(done.code, 0, "{done:?}");
    let evidence: serde_json::Value = serde_json::from_str(done.out.lines().last().unwrap()).unwrap();
    assert_eq!(evidence["job"], json!(id), "the same job");
    assert_eq!(evidence["counts"]["scanned"], json!(RECORDS), "gone on with, not begun anew");
    let why = evidence["warning"].as_str().unwrap();
    assert!(why.contains("began before everybody had acknowledged mirrored (revision "), "{why}");
    assert!(why.contains("(LOST, a worker of a pass)"), "{why}");
    let dead = &job["claims"][0]["instance"].as_str().unwrap();
    let remedy = format!("once its process has certainly ended: cutover evict {dead} --lost --reason ..");
    let told: Vec<serde_json::Value> =
        done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(told.iter().any(|job| job["warning_action"] == json!(remedy)), "{done:?}");
    let status = at(url, "status orders --json").await.object();
    let said = ["standing", "next"].map(|field| status[field].as_str().unwrap());
    assert_eq!(said, ["blocked", remedy.as_str()], "{status}");
    assert!(at(url, "list").await.done().contains("orders    blocked "), "and the list says so");
    at(url, &format!("evict {dead} --lost --reason killed")).await.done();
    let early = at(url, &format!("backfill {spec}")).await;
    assert!(!early.err.contains("warning"), "now one counts: {early:?}");
    let copied = evidence["counts"]["copied"].as_u64().unwrap();
    let chunk = 100_000 / 300 + 1;
    assert!(copied >= RECORDS - chunk, "{copied} copied: at most a chunk was written and not told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_asked_to_stop_says_goodbye_and_is_gone_on_from() {
    let dir = TempDir::new().unwrap();
    let (controller, spec) = world(&dir, "rows_per_s = 50\nworkers = 1\n").await;
    let url = controller.url.as_str();
    let (mut before, mut is_first) = (0, true);
    // Ctrl-C, and the signal of service managers and Kubernetes.
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let backfill = ["--server", url, "backfill", &spec, "--create-tables"];
        let worker = binary().args(backfill).stderr(Stdio::piped()).spawn().unwrap();
        let more = async {
            loop {
                let jobs = at(url, "jobs orders --json").await.objects();
                let copied = jobs.first().and_then(|job| job["counts"]["copied"].as_u64()).unwrap_or(0);
                if copied > before {
                    break copied;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        before = tokio::time::timeout(Duration::from_secs(60), more).await.expect("it copies on");
        kill(Pid::from_raw(worker.id().unwrap().cast_signed()), signal).unwrap();
        let ended = worker.wait_with_output().await.unwrap();
        let told = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(130), "{told}");
        assert!(told.ends_with("cutover: stopped; run it again to continue where it stopped\n"), "{told}");
        let joins = told.contains("joins orders/pass-")
            && told.contains(" ago, limited to 50 records/s: cutover tune orders/pass-");
        assert_eq!(joins, !std::mem::take(&mut is_first), "{told}");
        assert!(!told.contains("slow: ") || told.contains("slow: at its limit of 50 records/s"), "{told}");
        let there = at(url, "instances orders").await.done();
        assert!(!there.contains("cutover-full"), "nobody waits for it: {there}");
        // It may have copied more before it heard: the next worker has to copy on from there.
        let jobs = at(url, "jobs orders --json").await.objects();
        before = jobs.first().and_then(|job| job["counts"]["copied"].as_u64()).unwrap_or(before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spec_with_a_mistake_is_told_with_its_place() {
    let dir = TempDir::new().unwrap();
    let (controller, spec) = world(&dir, "wrokers = 2\n").await;
    let url = controller.url.as_str();
    at(url, &format!("backfill {spec}")).await.fails(&["orders.toml", "line 9", "\"wrokers\"", "workers"]);
    at(url, "backfill nowhere.toml").await.fails(&["can't read nowhere.toml"]);
    let text = std::fs::read_to_string(&spec).unwrap().replace("wrokers", "workers");
    std::fs::write(&spec, text.replace("\"orders\"\n[source]", "\"oders\"\n[source]")).unwrap();
    at(url, &format!("backfill {spec} --create-tables")).await.fails(&["oders", "does not exist"]);
    std::fs::write(&spec, text.replace("source.db", "none.db")).unwrap();
    at(url, &format!("backfill {spec}")).await.fails(&["the source", "none.db"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantine_is_a_table_of_its_own_or_there_is_none() {
    let dir = TempDir::new().unwrap();
    let (controller, spec) = world(&dir, "").await;
    let url = controller.url.as_str();
    // Another program's table is in the way.
    let target = dir.path().join("target.db");
    for table in ["orders", "cutover_quarantine"] {
        SqliteStore::create(&target, table, SqliteOptions::default()).await.unwrap().close().await;
    }
    for verb in ["backfill", "verify", "backfill --create-tables"] {
        at(url, &format!("{verb} {spec}")).await.fails(&[
            "the quarantine \"cutover_quarantine\"",
            "it has no column reason",
            "set quarantine_table",
        ]);
    }
    let text = std::fs::read_to_string(&spec).unwrap();
    std::fs::write(&spec, format!("quarantine_table = \"kept_apart\"\n{text}")).unwrap();
    let said = at(url, &format!("backfill {spec}")).await;
    let warning = "warning: there is no quarantine table \"kept_apart\", so the first record that does not fit ends the pass";
    assert!(said.code == 0 && said.err.starts_with(warning), "{said:?}");
    assert!(said.out.contains("clean: 8000 scanned, 8000 copied"), "none is needed: {said:?}");
}

/// A backfill whose only worker dies as soon as something is copied; returns its id.
async fn killed_once_it_copies(url: &str, spec: &str) -> String {
    let backfill = ["--server", url, "backfill", spec, "--create-tables"];
    let mut killed = binary().args(backfill).stderr(Stdio::null()).spawn().unwrap();
    let job = loop {
        let jobs = at(url, "jobs orders --json").await.objects();
        match jobs.into_iter().find(|job| job["counts"]["copied"].as_u64() > Some(0)) {
            Some(job) => break job["job"].as_str().unwrap().to_owned(),
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    killed.kill().await.unwrap();
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_spec_began_is_not_gone_on_with() {
    let dir = TempDir::new().unwrap();
    let (controller, spec) = world(&dir, "rows_per_s = 500\nchunk_bytes = 100_000\nworkers = 1\n").await;
    let url = controller.url.as_str();
    let job = killed_once_it_copies(url, &spec).await;
    let text = std::fs::read_to_string(&spec).unwrap();
    let other = dir.path().join("other.toml");
    std::fs::write(&other, text.replace("target.db", "elsewhere.db")).unwrap();
    let other = other.display().to_string();
    at(url, &format!("backfill {other} --create-tables")).await.fails(&[&job, "other stores or options"]);
    let elsewhere = dir.path().join("elsewhere.db");
    let copied = SqliteStore::open(&elsewhere, "orders", SqliteOptions::default()).await.unwrap();
    assert_eq!(copied.estimate().await.unwrap().records, Some(0), "nothing was copied there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_does_not_go_on_in_a_target_that_was_made_anew() {
    let dir = TempDir::new().unwrap();
    let (controller, spec) = world(&dir, "rows_per_s = 500\nchunk_bytes = 100_000\nworkers = 1\n").await;
    let url = controller.url.as_str();
    let job = killed_once_it_copies(url, &spec).await;
    for file in ["target.db", "target.db-wal", "target.db-shm"] {
        let _ = std::fs::remove_file(dir.path().join(file));
    }
    let backfill = format!("backfill {spec} --create-tables");
    let told = [&job, "writes table orders of ", "but this worker has", &format!("cutover cancel {job}")];
    at(url, &backfill).await.fails(&told);
    // Services have written to it too.
    let target = dir.path().join("target.db");
    let target = SqliteStore::open(&target, "orders", SqliteOptions::default()).await.unwrap();
    let new = Record { version: Version(1_000_000), value: Some(b"new".to_vec()) };
    target.put_if_newer(&Id::new("acme", "order-new").unwrap(), &new).await.unwrap();
    target.close().await;
    at(url, &backfill).await.fails(&told);
    let canceled = at(url, &format!("cancel {job} --force")).await;
    assert_eq!(canceled.code, 0, "that is what was asked for: {canceled:?}");
    assert!(canceled.out.contains(" canceled: "), "{canceled:?}");
    assert!(canceled.out.ends_with("no gate accepts it; what it did stays\n"), "{canceled:?}");
    let limits = std::fs::read_to_string(&spec).unwrap().replace("rows_per_s = 500", "");
    std::fs::write(&spec, limits).unwrap();
    let anew = at(url, &backfill).await;
    assert!(anew.out.contains("NOT clean: 8000 scanned, 8000 copied, 1 EXTRA in the target"), "{anew:?}");
    assert!(anew.out.contains("1 record is in the target alone"), "what the service wrote: {anew:?}");
}

#[cfg(feature = "mysql")]
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_refuses_the_password_is_told_without_the_password() {
    let Some(server) = crate::support::server::given("CUTOVER_TEST_MYSQL") else { return };
    let dir = TempDir::new().unwrap();
    let (controller, spec) = world(&dir, "").await;
    let text = std::fs::read_to_string(&spec).unwrap();
    let target = format!("sqlite:{}/target.db", dir.path().display());
    let url = controller.url.as_str();
    let mistaken = |server: &str| std::fs::write(&spec, text.replace(&target, server)).unwrap();
    mistaken(&server.replacen(":cutover@", ":not-the-word@", 1));
    let told = at(url, &format!("backfill {spec} --create-tables")).await;
    assert!(!told.err.contains("not-the-word"), "{told:?}");
    told.fails(&["the target", "cutover"]);
    mistaken(&server);
    at(url, &format!("backfill {spec}")).await.fails(&["the target", "orders", "--create-tables"]);
}
