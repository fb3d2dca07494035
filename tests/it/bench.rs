//! `cutover bench`: each bench measures something, prints it with units, and leaves nothing behind.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

/// Runs a bench whose temporary files go to a directory of their own.
fn bench(tmp: &Path, args: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.arg("bench").args(args.split_whitespace()).env("TMPDIR", tmp);
    command.output().expect("the binary runs")
}

/// The object that a bench prints.
fn figures(args: &str) -> Value {
    let tmp = tempfile::tempdir().unwrap();
    let ran = bench(tmp.path(), &format!("{args} --json"));
    assert!(ran.status.success(), "{args}: {}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(tmp.path().read_dir().unwrap().count(), 0, "{args} leaves nothing behind");
    let printed = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(printed.lines().count(), 1, "one object: {printed}");
    serde_json::from_str(&printed).unwrap()
}

/// A number that was actually measured.
fn measured(figures: &Value, name: &str) -> f64 {
    let value = figures[name].as_f64().unwrap_or_else(|| panic!("{name} is missing in {figures}"));
    assert!(value > 0.0, "{name} in {figures}");
    value
}

fn close(one: f64, other: f64) -> bool {
    (one / other - 1.0).abs() < 0.02
}

#[test]
fn decisions_are_timed_with_and_without_overrides() {
    let figures = figures("decide --overrides 1000");
    assert_eq!((&figures["bench"], &figures["overrides"]), (&"decide".into(), &1000.into()));
    for (ns, per_s) in [("none_ns", "none_per_s"), ("overrides_ns", "overrides_per_s")] {
        assert!(close(measured(&figures, per_s), 1e9 / measured(&figures, ns)), "{figures}");
    }
    measured(&figures, "bare_load_ns");
    measured(&figures, "bare_murmur3_ns");
    let overhead = measured(&figures, "overhead_bytes_per_override");
    assert!(overhead <= 64.0, "{overhead} bytes an override beyond its tenant");
}

#[test]
fn a_call_is_measured_in_the_servers_own_cpu() {
    let figures = figures("grpc --seconds 0.6 --connections 2 --concurrency 4");
    assert_eq!(figures["bench"], "grpc");
    for side in ["", "bare_"] {
        let calls = measured(&figures, &format!("{side}calls"));
        assert!(calls >= 7.0 * 8.0, "each of 7 rounds has a call of everybody: {figures}");
        measured(&figures, &format!("{side}calls_per_s"));
        let cpu_us = measured(&figures, &format!("{side}cpu_us_per_call"));
        assert!((1.0..50_000.0).contains(&cpu_us), "{figures}");
    }
    measured(&figures, "ratio");
    measured(&figures, "request_bytes");
    assert_eq!(figures["response_bytes"], figures["bare_response_bytes"], "the echo is of the same size");
}

#[test]
fn a_change_is_followed_to_the_last_stream() {
    for connections in [1, 5] {
        let figures = figures(&format!("fanout --streams 5 --changes 3 --connections {connections}"));
        assert_eq!((&figures["streams"], &figures["changes"]), (&5.into(), &3.into()));
        assert_eq!(figures["connections"], connections);
        let (p50, p99) = (measured(&figures, "with_commit_p50_ms"), measured(&figures, "with_commit_p99_ms"));
        assert!(p50 <= p99, "{figures}");
        measured(&figures, "commit_ms");
        let number = |name: &str| figures[name].as_f64().unwrap();
        assert!((number("p50_ms")..=p99).contains(&number("p99_ms")), "{figures}");
        assert!(number("bare_p50_ms") <= number("bare_p99_ms"), "{figures}");
        assert!(figures["rss_per_watcher_bytes"].is_number(), "{figures}");
        assert!(figures["bare_rss_per_watcher_bytes"].is_number(), "{figures}");
    }
}

#[test]
fn reports_are_counted_and_judged_in_process() {
    let figures = figures("report --seconds 0.2 --instances 8 --cells 2");
    assert_eq!((&figures["instances"], &figures["cells"]), (&8.into(), &2.into()));
    assert!(close(measured(&figures, "reports_per_s"), 1e6 / measured(&figures, "report_us")), "{figures}");
    measured(&figures, "bare_decode_us");
    let parts = measured(&figures, "count_us") + measured(&figures, "judge_us");
    assert!(close(measured(&figures, "report_us"), parts), "{figures}");
    assert!(measured(&figures, "judge_us_per_cell") < measured(&figures, "judge_us"), "{figures}");
    assert!(measured(&figures, "report_bytes") > 500.0, "a realistic report: {figures}");
}

#[test]
fn a_backfill_is_measured_beside_its_stores() {
    let figures = figures("backfill --records 3000");
    assert_eq!((&figures["source"], &figures["target"]), (&"sqlite".into(), &"sqlite".into()));
    let slower = measured(&figures, "scan_per_s").min(measured(&figures, "upsert_per_s"));
    let backfill = measured(&figures, "backfill_per_s");
    assert!(close(measured(&figures, "ratio"), backfill / slower), "{figures}");
    for (rate, ratio) in [("second_run_per_s", "second_run_ratio"), ("verify_per_s", "verify_ratio")] {
        assert!(close(measured(&figures, ratio), measured(&figures, rate) / backfill), "{figures}");
    }
    measured(&figures, "peak_rss_mib");
}

#[test]
fn a_backfill_into_columns_is_measured_alike() {
    let figures = figures("backfill --records 3000 --columns");
    assert_eq!((&figures["columns"], &figures["value_bytes"]), (&true.into(), &200.into()));
    for rate in ["backfill_per_s", "second_run_per_s", "verify_per_s"] {
        measured(&figures, rate);
    }
}

#[test]
fn a_table_with_a_ledger_is_measured_beside_one_without() {
    let figures = figures("backfill --records 3000 --ledger");
    let (ledger, without) =
        (measured(&figures, "ledger_backfill_per_s"), measured(&figures, "backfill_per_s"));
    assert!(close(measured(&figures, "ledger_ratio"), ledger / without), "{figures}");
    measured(&figures, "get_us");
    measured(&figures, "ledger_get_us");
    let tmp = tempfile::tempdir().unwrap();
    let refused = bench(tmp.path(), "backfill --ledger --target dynamodb:");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--ledger: DynamoDB has items"), "{refused:?}");
}

#[test]
fn a_rollback_is_measured_from_the_onset_of_the_targets_errors() {
    let figures = figures(
        "rollback --instances 4 --calls-per-s 400 --share 80 --errors 90.5 --background 0.1 --warm-up 0.1 --migrations 2 --trials 3",
    );
    assert_eq!((&figures["trials"], &figures["migrations"]), (&3.into(), &2.into()));
    assert_eq!((&figures["errors_percent"], &figures["background_percent"]), (&90.5.into(), &0.1.into()));
    let (p50, max) = (measured(&figures, "p50_ms"), measured(&figures, "max_ms"));
    assert!(p50 <= measured(&figures, "p95_ms") && p50 <= max, "{figures}");
    assert!(measured(&figures, "deciding_p50_ms") < max, "{figures}");
    let guards = figures["guards"].as_object().unwrap();
    assert!(guards.keys().all(|guard| guard.starts_with("error_")), "its errors and nothing else: {figures}");
    assert_eq!(guards.values().filter_map(Value::as_u64).sum::<u64>(), 3, "{figures}");
}

#[test]
fn a_start_is_measured_on_a_new_store_and_on_the_same_one() {
    let figures = figures("start --starts 3");
    assert_eq!((&figures["bench"], &figures["starts"]), (&"start".into(), &3.into()));
    for store in ["new", "same"] {
        let p50 = measured(&figures, &format!("{store}_store_p50_ms"));
        assert!(p50 <= measured(&figures, &format!("{store}_store_max_ms")), "{figures}");
    }
}

#[test]
fn people_read_a_table_with_the_bare_baseline_and_the_ratio() {
    let tmp = tempfile::tempdir().unwrap();
    let ran = bench(tmp.path(), "decide --overrides 100");
    let table = String::from_utf8(ran.stdout).unwrap();
    let mut lines = table.lines();
    assert!(lines.next().unwrap().starts_with("decide: "), "{table}");
    let columns: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(columns, ["cutover", "bare", "ratio", "unit"]);
    assert_eq!(lines.filter(|line| line.ends_with("ns")).count(), 2, "{table}");
}

#[test]
fn what_can_not_be_measured_is_refused() {
    let tmp = tempfile::tempdir().unwrap();
    for (args, why) in [
        ("decide --overrides 0", "--overrides"),
        ("decide --overrides many", "--overrides"),
        ("grpc --seconds 0", "above 0 and up to 60"),
        ("grpc --seconds NaN", "above 0 and up to 60"),
        ("grpc --seconds 1e9", "above 0 and up to 60"),
        ("grpc --concurrency 101", "--concurrency"),
        ("report --cells 0", "--cells"),
        ("fanout --changes 501", "--changes"),
        ("fanout --streams 500 --connections 2", "give --connections 3 or more"),
        ("rollback --errors 101", "no percentage: give 0 to 100"),
        ("rollback --share few", "no percentage: give 0 to 100"),
        ("rollback --errors 1 --background 1", "give --errors above --background"),
        ("rollback --share 0", "--share above 0"),
        ("backfill --records 10", "--records"),
        ("backfill --records 1000 --source nonsense", "not the url of a store"),
        ("backfill --columns --target dynamodb://?region=here", "give a --target that is SQL"),
        ("nonsense", "nonsense"),
    ] {
        let ran = bench(tmp.path(), args);
        let said = String::from_utf8(ran.stderr).unwrap();
        // What the command line itself can't be says so by its exit code.
        let code = if said.contains("see cutover help") { 64 } else { 1 };
        assert_eq!((ran.status.code(), ran.stdout.len()), (Some(code), 0), "{args}: {said}");
        assert!(said.lines().next().unwrap().contains(why), "{args}: {said}");
    }
}

#[test]
fn guards_are_timed_and_the_same_seed_gives_the_same_trips() {
    let run = || figures("guards --days 1 --noise iid-1% --noise ramp-steps --trials 2 --seed 5");
    let (one, other) = (run(), run());
    measured(&one, "report_ns");
    let delays = one["delays"].as_array().unwrap();
    assert_eq!(delays.len(), 10);
    delays.iter().for_each(|delay| assert!(measured(delay, "mean_s") >= 1.0));
    let noises: Vec<&str> =
        one["noises"].as_array().unwrap().iter().map(|noise| noise["noise"].as_str().unwrap()).collect();
    assert_eq!(noises, ["iid-1%", "ramp-steps"]);
    assert_eq!(
        (&one["days"], &one["rollbacks"]),
        (&2.into(), &0.into()),
        "a day of each, and no false trip: {one}"
    );
    assert_eq!((&one["delays"], &one["noises"]), (&other["delays"], &other["noises"]));
}

#[test]
fn the_web_side_is_measured_in_the_servers_own_cpu() {
    let figures = figures("web --seconds 0.7 --migrations 3 --instances 20 --viewers 2 --streams 20");
    assert_eq!((&figures["bench"], &figures["streams"]), (&"web".into(), &20.into()));
    for name in
        ["overview_bytes", "update_p50_ms", "ofrep_cpu_us", "bare_cpu_us", "ofrep_cost", "events_rss_mib"]
    {
        measured(&figures, name);
    }
    assert!(measured(&figures, "ofrep_calls") >= 7.0 * 32.0, "each round has a call of everybody: {figures}");
    assert!(measured(&figures, "update_max_ms") < 1_500.0, "a viewer is never this far behind: {figures}");
}

#[test]
fn a_sidecar_is_measured_beside_the_process_and_an_echo() {
    let figures = figures("sidecar --seconds 0.7");
    assert_eq!(figures["bench"], "sidecar");
    for name in ["get_in_process_us", "get_grpc_us", "get_json_us", "gets", "decisions", "ratio"] {
        measured(&figures, name);
    }
    for (cpu_us, per_s) in [("decide_cpu_us", "decisions_per_s"), ("bare_cpu_us", "bare_per_s")] {
        assert!(close(measured(&figures, per_s), 1e6 / measured(&figures, cpu_us)), "{figures}");
    }
}
