//! Metrics: what is documented is exported, alert rules refer only to that, and the values are right.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use cutover::{
    config::Serve,
    domain::{PassKind, plan::PlanStatus},
    telemetry::{
        Gauges, Ingest, LimitsView, PassGauges, PlanGauges, prometheus,
        statsd::{self, Line, Lines},
    },
};
use cutover_proto::v1;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    support::server::{Controller, given},
    tls::Encrypted,
};

/// A time that only an alert compares with the present; the dashboard shows the steps.
const PLAN_STEP_TIME: &str = "cutover_plan_step_timestamp_seconds";

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

/// The families of a scrape, and what kind each is.
fn families(scrape: &str) -> BTreeMap<String, String> {
    let types = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split_once(' ')).map(|(name, kind)| (name.into(), kind.into())).collect()
}

/// The names that queries use.
fn exported(families: &BTreeMap<String, String>) -> BTreeSet<String> {
    let names = |(name, kind): (&String, &String)| match kind.as_str() {
        "counter" => vec![format!("{name}_total")],
        "histogram" => ["bucket", "sum", "count"].map(|part| format!("{name}_{part}")).to_vec(),
        _ => vec![name.clone()],
    };
    families.iter().flat_map(names).collect()
}

/// The queries of the dashboard: of its panels, and of its variables.
fn queries(dashboard: &Value) -> Vec<String> {
    let list = |of: &Value| of.as_array().cloned().unwrap_or_default();
    let panels = list(&dashboard["panels"]).into_iter().flat_map(|panel| list(&panel["targets"]));
    let variables =
        list(&dashboard["templating"]["list"]).into_iter().map(|variable| variable["query"]["query"].clone());
    let all = panels.map(|target| target["expr"].clone()).chain(variables);
    all.filter_map(|query| query.as_str().map(str::to_owned)).collect()
}

/// The names in a text that begin with the prefix of all metrics.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    words.filter(|word| word.starts_with("cutover_")).map(str::to_owned).collect()
}

async fn running(dir: &Path) -> Controller {
    let webhook = vec!["ops=http://127.0.0.1:9/".to_owned()];
    let controller = Controller::start_with(dir, 0, Serve { webhook, ..Serve::default() }).await;
    let create = v1::CreateMigrationRequest {
        key: "orders".to_owned(),
        source: "one".to_owned(),
        target: "other".to_owned(),
        ..Default::default()
    };
    controller.admin().await.create_migration(create).await.unwrap();
    controller
}

/// A scrape in which this metric has such a value.
async fn scraped(controller: &Controller, metric: &str, holds: impl Fn(u64) -> bool) -> String {
    let value = |text: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' ')?.parse().ok());
        value.is_some_and(&holds)
    };
    for _ in 0..400 {
        let text = controller.scrape().await;
        if value(&text) {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{metric} does not come to that:\n{}", controller.scrape().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_metrics_are_documented_and_alerts_refer_only_to_them() {
    let dir = TempDir::new().unwrap();
    let controller = running(dir.path()).await;
    let mut families = families(&controller.scrape().await);
    controller.stop().await;
    let encrypted = Encrypted::start().await;
    families.extend(self::families(&encrypted.scrape().await));
    encrypted.controller.stop().await;
    let view = Ingest::default().view(1);
    let provider =
        prometheus::text(view, Vec::new(), Vec::new(), Vec::new(), LimitsView::default(), None, Some(0));
    families.extend(self::families(&provider));

    // | `cutover_name{label}` | kind | ...
    let docs = read("docs/metrics.md");
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `cutover_"));
    let documented: BTreeMap<String, String> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let name = cells[0].trim_end_matches('`').split('{').next().unwrap();
            let name = name.trim_end_matches("_total");
            (format!("cutover_{name}"), cells[1].to_owned())
        })
        .collect();
    assert_eq!(documented, families, "docs/metrics.md on the left");

    let exported = exported(&families);
    let rules = read("deploy/prometheus/cutover.rules.yaml");
    let expressions: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert_eq!(expressions.len(), rules.matches("- alert: ").count(), "each on one line");
    let asked: BTreeSet<String> = expressions.iter().flat_map(|expression| named(expression)).collect();
    assert!(asked.len() > 8, "{asked:?}");
    let unknown: Vec<&String> = asked.difference(&exported).collect();
    assert!(unknown.is_empty(), "alerts on what is not exported: {unknown:?}");
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/cutover.json")).unwrap();
    let queries = queries(&dashboard);
    let shown: BTreeSet<String> = queries.iter().flat_map(|query| named(query)).collect();
    let unknown: Vec<&String> = shown.difference(&exported).collect();
    assert!(unknown.is_empty(), "the dashboard shows what is not exported: {unknown:?}");
    let hidden: Vec<&String> = asked.difference(&shown).filter(|name| *name != PLAN_STEP_TIME).collect();
    assert!(hidden.is_empty(), "alerts on what the dashboard does not show: {hidden:?}");
    let tested = named(&read("deploy/prometheus/cutover.test.yaml"));
    let untested: Vec<&String> = asked.difference(&tested).collect();
    assert!(untested.is_empty(), "no test of the rules has {untested:?}");
}

#[test]
fn promtool_accepts_the_rules_and_their_tests() {
    let Some(promtool) = given("CUTOVER_TEST_PROMTOOL") else { return };
    let run = |arguments: &[&str]| {
        let ran = Command::new(&promtool).args(arguments).current_dir(repository()).output().unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{said}");
        said
    };
    let checked = run(&["check", "rules", "deploy/prometheus/cutover.rules.yaml"]);
    let alerts = read("deploy/prometheus/cutover.rules.yaml").matches("- alert: ").count();
    assert!(checked.contains(&format!("{alerts} rules found")), "{checked}");
    run(&["test", "rules", "deploy/prometheus/cutover.test.yaml"]);

    // As rules, the queries of the dashboard's panels are parsed as well.
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/cutover.json")).unwrap();
    let is_query = |text: &String| !text.starts_with("label_values(");
    let texts: Vec<String> = queries(&dashboard).into_iter().filter(is_query).collect();
    let rules: Vec<Value> = texts
        .iter()
        .map(|text| text.replace("$__rate_interval", "1m").replace("$migration", ".*"))
        .enumerate()
        .map(|(at, text)| json!({ "record": format!("panel:{at}"), "expr": text }))
        .collect();
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("panels.yaml");
    std::fs::write(&file, json!({ "groups": [{ "name": "panels", "rules": rules }] }).to_string()).unwrap();
    let checked = run(&["check", "rules", file.to_str().unwrap()]);
    assert!(checked.contains(&format!("{} rules found", texts.len())) && texts.len() > 20, "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_a_plan_a_lost_acknowledgement_and_a_dead_endpoint_are_in_a_scrape() {
    let dir = TempDir::new().unwrap();
    let controller = running(dir.path()).await;
    let mut admin = controller.admin().await;
    let why = || Some(v1::Mutation { reason: "a test".to_owned(), ..Default::default() });
    let step = |ppm| v1::PlanStep {
        rung: v1::Rung::Dual.into(),
        share_ppm: Some(ppm),
        bake_ms: 3_600_000,
        ..Default::default()
    };
    let plan = v1::Plan { steps: vec![step(100_000), step(1_000_000)], ..Default::default() };
    let start = v1::StartPlanRequest { mutation: why(), key: "orders".to_owned(), plan: Some(plan) };
    admin.start_plan(start).await.unwrap();
    let text =
        scraped(&controller, r#"cutover_plan_steps_taken{migration="orders"}"#, |value| value == 1).await;
    for line in [
        r#"cutover_plan_steps{migration="orders"} 2"#,
        r#"cutover_plan_state{migration="orders",state="running"} 1"#,
        r#"cutover_plan_state{migration="orders",state="stopped"} 0"#,
        r#"cutover_paused{migration="orders"} 0"#,
        r#"cutover_acknowledgement_lag_seconds{migration="orders"} 0"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }

    // Callers of Decide hold the answer before: the next step is not acknowledged yet.
    let asked =
        v1::DecideRequest { migration: "orders".to_owned(), tenant: "acme".to_owned(), ..Default::default() };
    controller.routing().await.decide(asked).await.unwrap();
    let pause = v1::PauseRequest { mutation: why(), key: "orders".to_owned() };
    admin.pause(pause).await.unwrap();
    scraped(&controller, r#"cutover_paused{migration="orders"}"#, |value| value == 1).await;
    let rollback = v1::RollbackRequest { mutation: why(), key: "orders".to_owned(), ..Default::default() };
    admin.rollback(rollback).await.unwrap();
    let text =
        scraped(&controller, r#"cutover_plan_state{migration="orders",state="stopped"}"#, |value| value == 1)
            .await;
    assert!(text.contains("cutover_tripped{migration=\"orders\"} 1\n"), "{text}");
    scraped(&controller, r#"cutover_unsettled{migration="orders"}"#, |value| value == 1).await;
    scraped(&controller, r#"cutover_acknowledgement_lag_seconds{migration="orders"}"#, |value| value >= 2)
        .await;
    scraped(&controller, r#"cutover_notifications_failing_seconds{endpoint="ops"}"#, |value| value > 0).await;
    let status = v1::GetStatusRequest { key: "orders".to_owned() };
    let status = admin.get_status(status).await.unwrap().into_inner();
    assert_eq!((status.endpoints.len(), &*status.endpoints[0].answer), (1, "no answer"), "{status:?}");
    controller.stop().await;
}

#[test]
fn plans_and_passes_are_gauges_in_both_formats() {
    let plan = PlanGauges {
        status: PlanStatus::Stopped,
        steps: 5,
        steps_taken: 3,
        step_timestamp_seconds: 1_764_201_600,
    };
    let verify = PassGauges { quarantined_records: 7, workers: 2, ..PassGauges::none(PassKind::Verify) };
    let gauges = vec![
        Gauges {
            migration: "orders".to_owned(),
            lost_instances: 2,
            acknowledgement_lag_seconds: 90,
            paused: true,
            plan: Some(plan),
            passes: vec![verify],
            ..Default::default()
        },
        Gauges { migration: "users".to_owned(), tripped: true, ..Default::default() },
    ];
    let (ingest, now_ms) = (Ingest::default(), 1_764_201_600_000);
    let text = prometheus::text(
        ingest.view(now_ms),
        gauges.clone(),
        Vec::new(),
        Vec::new(),
        LimitsView::default(),
        None,
        None,
    );
    for line in [
        r#"cutover_lost_instances{migration="orders"} 2"#,
        r#"cutover_acknowledgement_lag_seconds{migration="orders"} 90"#,
        r#"cutover_paused{migration="orders"} 1"#,
        r#"cutover_tripped{migration="orders"} 0"#,
        r#"cutover_tripped{migration="users"} 1"#,
        r#"cutover_plan_state{migration="orders",state="stopped"} 1"#,
        r#"cutover_plan_step_timestamp_seconds{migration="orders"} 1764201600"#,
        r#"cutover_pass_workers{migration="orders",kind="verify"} 2"#,
        r#"cutover_pass_quarantined_records{migration="orders",kind="verify"} 7"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains(r#"cutover_plan_steps{migration="users"}"#), "it has no plan");
    let lines = Lines::default().next(&ingest.view(now_ms), &gauges);
    for (name, value) in [
        ("orders.lost_instances", 2),
        ("orders.acknowledgement_lag_seconds", 90),
        ("orders.paused", 1),
        ("users.tripped", 1),
        ("orders.plan_state.stopped", 1),
        ("orders.plan_state.running", 0),
        ("orders.plan_steps_taken", 3),
        ("orders.pass_quarantined_records.verify", 7),
    ] {
        let line = Line { name: name.to_owned(), value: statsd::Value::Gauge(value) };
        assert!(lines.contains(&line), "{line:?} is not in {lines:?}");
    }
}
