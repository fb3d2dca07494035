//! `plan`: the steps of a file, every mistake on one line, and a ramp by one; and what `wait` tells a script.

use tempfile::TempDir;

use super::{Said, at, has, run_with};
use crate::{plan::service::Service, support::server::Controller};

#[tokio::test]
async fn lists_expand_to_a_step_each() {
    let text = r#"
        [[steps]]
        stage = "dual"
        percent = [1, 12.5, "100"]
        bake = "10m"
        evidence = "none"

        [[steps]]
        stage = "mirrored"
        percent = 100.0
        approval = true
    "#;
    let steps = run_with(["plan", "lint", "-", "--json"], text).await.objects();
    let shares: Vec<_> = steps.iter().map(|step| step["share_ppm"].as_u64().unwrap()).collect();
    assert_eq!(shares, [10_000, 125_000, 1_000_000, 1_000_000]);
    assert_eq!((&steps[2]["bake_ms"], &steps[2]["evidence"]), (&600_000.into(), &"none".into()));
    assert_eq!((&steps[3]["stage"], &steps[3]["approval"]), (&"mirrored".into(), &true.into()));
    assert_eq!((&steps[3]["bake_ms"], &steps[3]["evidence"]), (&0.into(), &"guards".into()));
    let told = run_with(["plan", "lint", "-"], text).await.done();
    assert_eq!(told.lines().count(), 5, "{told}");
    assert!(told.ends_with("no mistakes: 4 steps, taken at any time\n"), "{told}");
}

#[tokio::test]
async fn yaml_says_the_same_as_toml() {
    let toml = r#"
        time_zone = "Europe/Vienna"
        on_trip = "end"
        when_blind = "pause"
        windows = [{ days = ["mon-wed", "sat"], from = "09:00", to = "16:30" }]
        [[steps]]
        stage = "dual"
        tenants = ["acme", "17"]
        [[steps]]
        stage = "dual"
        percent = [0.5, 100]
        bake = "1h 30m"
    "#;
    let yaml = r#"
time_zone: Europe/Vienna
on_trip: end
when_blind: pause
windows:
  - { days: [mon-wed, sat], from: 09:00, to: 16:30 }
steps:
  - stage: dual
    tenants: [acme, 17]
  - stage: dual
    percent: [0.5, 100.0]
    bake: 1h 30m
"#;
    let read = run_with(["plan", "lint", "-", "--json"], toml).await.objects();
    assert_eq!(run_with(["plan", "lint", "-", "--json"], yaml).await.objects(), read);
    assert_eq!(read.len(), 3);
    assert_eq!(
        (&read[0]["tenants"], &read[1]["share_ppm"]),
        (&serde_json::json!(["acme", "17"]), &5_000.into())
    );
    assert_eq!(read[2]["bake_ms"], 5_400_000);
}

#[tokio::test]
async fn every_mistake_is_listed_with_where_it_is() {
    let text = r#"
        step = 1
        [[steps]]
        stage = "duel"
        percnt = 5
        bake = "soon"
        evidence = "hope"
        approval = "yes"
        [[steps]]
        stage = "mirrored"
        percent = [5, 101]
    "#;
    let parts = [
        "8 mistakes",
        "line 2: there is no field \"step\", did you mean steps?",
        "line 4: unknown stage \"duel\": did you mean dual?",
        "line 5: there is no field \"percnt\", did you mean percent?",
        "line 3: percent is missing",
        "line 6: bake: \"soon\" is not a duration",
        "line 7: evidence: unknown \"hope\": give guards or none",
        "line 8: approval: give true or false",
        "line 11: percent: 101 is over 100 %",
    ];
    run_with(["plan", "lint", "-"], text).await.fails(&parts);
    let yaml = "on_trip: retry\ntime_zone: [1]\nwindows:\n- days: [mon, funday]\n  from: 25:00\n- 7\nsteps:\n- stage: dual\n  percent: 1\n  tenants: [a]\n- percent: []\n  stage: dual\n";
    let parts = [
        "8 mistakes",
        "line 1: on_trip: unknown \"retry\": give stop or end",
        "line 2: time_zone must be a text",
        "line 4: days: unknown day \"funday\"",
        "line 5: \"25:00\" is not a time of day",
        "line 6: a window must be a table",
        "line 10: tenants beside percent",
        "line 11: percent is empty",
    ];
    run_with(["plan", "lint", "-"], yaml).await.fails(&parts[1..]);

    let jumps =
        "[[steps]]\nstage = 'dual'\npercent = [50, 20]\n[[steps]]\nstage = 'target-first'\npercent = 1";
    let parts =
        ["2 mistakes", "line 1: dual goes down", "line 4: target-first 1 % is more than mirrored 0 %"];
    run_with(["plan", "lint", "-"], jumps).await.fails(&parts);
    // What can be read is looked at, too.
    let all =
        "time_zone: Europe/Wien\nsteps:\n- stage: dual\n  percent: [10, 5]\n- stage: duel\n  percent: 1\n";
    let parts = ["3 mistakes", "line 1: time_zone", "line 3: dual goes down", "line 5: unknown stage"];
    run_with(["plan", "lint", "-"], all).await.fails(&parts);
    // A share that falls is wrong, whatever the step before it is.
    let falls =
        "steps:\n- stage: dual\n  percent: 10\n- stage: duel\n  percent: 1\n- { stage: dual, percent: 5 }\n";
    let parts = ["2 mistakes", "line 4: unknown stage", "line 6: dual goes down, from 10 % to 5 %"];
    run_with(["plan", "lint", "-"], falls).await.fails(&parts);
    let zone = "time_zone: Europe/Wien\nsteps:\n- stage: dual\n  percent: 1\n";
    run_with(["plan", "lint", "-"], zone)
        .await
        .fails(&["line 1: time_zone: \"Europe/Wien\" is no time zone"]);
    run_with(["plan", "lint", "-"], "").await.fails(&["steps: give at least one"]);
    run_with(["plan", "lint", "-"], "steps = [[").await.fails(&["1 mistake", "line 1"]);
    run_with(["plan", "lint", "-"], "steps: [").await.fails(&["1 mistake", "line "]);
    run_with(["plan", "lint", "-"], "a: 1\n---\nb: 1\n").await.fails(&["second document"]);
    run_with(["plan", "lint", "-"], "a: &a [*a]\n").await.fails(&["2 mistakes", "no field \"a\""]);
    run_with(["plan", "lint", "/no/such"], "").await.fails(&["can't read /no/such"]);
}

/// A verb that reads a plan.
async fn with_plan(url: &str, line: &str, text: &str) -> Said {
    run_with(["--server", url].into_iter().chain(line.split_whitespace()), text).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_by_its_verbs_and_what_wait_tells_a_script() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    at(url, "plan show orders").await.fails(&["has no plan", "cutover plan apply orders FILE"]);
    at(url, "wait orders --for done").await.fails(&["has no plan"]);
    at(url, "wait orders --for step=0").await.fails(&["settled, step=N or done"]);
    at(url, "plan skip orders --reason why").await.fails(&["there is no plan"]);

    let text = "steps:\n- { stage: dual, percent: 10, evidence: none }\n- { stage: dual, percent: [50, 100], approval: true, bake: 1h }\n";
    let would = with_plan(url, "plan apply orders - --dry-run", text).await.done();
    assert!(would.ends_with("\ndry run: applied a plan of 3 steps\n"), "{would}");
    assert_eq!(would.lines().count(), 4, "the steps: {would}");
    let applied = with_plan(url, "plan apply orders - --reason go --json", text).await.object();
    has(&applied, &["migration", "changes", "dry_run", "repeated"]);
    with_plan(url, "plan apply orders -", "steps: 3").await.fails(&["a step must be a table"]);

    let timeout = at(url, "wait orders --for step=1 --timeout 3").await;
    assert_eq!(timeout.code, 3, "{timeout:?}");
    assert!(timeout.err.contains("waiting: step 1: the approval of step 2"), "{timeout:?}");
    at(url, "plan approve orders --step 3").await.fails(&["the next step that needs an approval is 2"]);
    at(url, "plan approve orders").await.done();
    let done = at(url, "wait orders --for step=1 --timeout 20").await;
    assert_eq!(done.code, 0, "{done:?}");
    at(url, "wait orders --for step=4").await.fails(&["the plan has 3 steps"]);

    let shown = at(url, "plan show orders").await.done();
    for part in
        ["is running, 2 of 3 steps taken", "done       1  dual", "running    2", "to come    3", "waits for "]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown = at(url, "plan show orders --json").await.object();
    has(&shown, &["migration", "revision", "status", "steps", "missing", "held", "taken"]);
    let status = at(url, "status orders").await.done();
    let of_plan: Vec<_> = status.lines().filter_map(|line| line.strip_prefix("  plan   ")).collect();
    assert!(
        of_plan[0].starts_with("running, at step 2 of 3: dual 50 %, bake 1h, evidence guards"),
        "{status}"
    );
    assert!(
        of_plan[1].starts_with("waits for ") && of_plan[1].contains(" of its bake time (until 20"),
        "{status}"
    );
    let status = at(url, "status orders --json").await.object();
    assert_eq!((&status["plan"]["steps"], &status["plan"]["taken"]), (&shown["steps"], &2.into()));
    assert!(status["plan"]["missing"][0]["until_ms"].as_u64() > Some(0), "{status}");
    assert_eq!(
        (&shown["steps"][1]["state"], &shown["steps"][2]["state"]),
        (&"running".into(), &"to_come".into())
    );

    at(url, "plan skip orders").await.fails(&["reason"]);
    at(url, "pause orders").await.done();
    assert!(at(url, "status orders").await.done().contains("  plan   held: it is paused"));
    let held = at(url, "wait orders --for done").await;
    assert!(held.code == 4 && held.err.contains("held: it is paused"), "{held:?}");
    at(url, "resume orders").await.done();
    at(url, "rollback orders --reason why").await.done();
    let tripped = at(url, "wait orders --for done").await;
    assert!(tripped.code == 2 && tripped.err.contains("cutover ack"), "{tripped:?}");
    at(url, "ack orders --reason fine").await.done();
    assert_eq!(at(url, "wait orders --for step=3").await.code, 2, "it is not resumed");

    let _service = Service::start(url, "one", 5_000).await;
    let quick = "[[steps]]\nstage = 'dual'\npercent = [50, 100]\n";
    with_plan(url, "plan apply orders -", quick).await.done();
    let done = at(url, "wait orders --for done --timeout 20").await;
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(at(url, "wait orders --for step=2").await.code, 0);
    at(url, "plan stop orders").await.done();

    // A step that waits for its gate is not taken later, by whoever runs the pass.
    let gated = "steps:\n- { stage: dual, percent: 100, evidence: none }\n- { stage: mirrored, percent: 100, evidence: \
                 none }\n- { stage: target-first, percent: 1 }\n";
    with_plan(url, "plan apply orders -", gated).await.done();
    assert_eq!(at(url, "wait orders --for step=2 --timeout 30").await.code, 0);
    let waits = at(url, "wait orders --for done --timeout 3").await;
    assert!(waits.code == 3 && waits.err.contains("[full-pass]"), "{waits:?}");
    let stopped = at(url, "plan stop orders").await.done();
    assert_eq!(
        stopped,
        "the plan has ended; everybody stays where they are\nwithdrawn: target-first 1 %, not reached yet\n"
    );
    assert_eq!(
        at(url, "wait orders --for settled --timeout 20").await.code,
        0,
        "nothing is asked for any more"
    );
    controller.stop().await;
}

#[tokio::test]
async fn a_rehearsal_says_when_it_would_have_tripped() {
    let text =
        "steps:\n- { stage: dual, percent: 100 }\n- { stage: mirrored, percent: [50, 100], bake: 1h }\n";
    let args = |rest: &'static str| ["plan", "simulate", "-"].into_iter().chain(rest.split_whitespace());
    let well = run_with(args(""), text).await.done();
    assert!(well.ends_with("\nwould be done\n") && well.contains("step   3 taken after 1h"), "{well}");
    let fault = "--fault target-writes=20% --at-step 2";
    let told = run_with(args(fault), text).await.done();
    assert!(
        told.contains("target-writes=20 % would have tripped after ") && told.contains("at step 2"),
        "{told}"
    );
    let json = run_with(args("--fault target-writes=20% --at-step 2 --json"), text).await.object();
    has(&json, &["outcome", "step", "after_ms", "told", "taken_ms", "fault", "seed"]);
    assert_eq!((&json["outcome"], &json["step"]), (&"tripped".into(), &2.into()));
    let short = "steps:\n- { stage: dual, percent: 100, bake: 2s, evidence: none }\n";
    let told = run_with(args("--fault target-writes=20%"), short).await.done();
    assert!(
        told.contains("would be done before target-writes=20 % begins: give a shorter --after"),
        "{told}"
    );
    run_with(args("--fault fire"), text).await.fails(&["is no fault"]);
    run_with(args("--fault misses=101"), text).await.fails(&["has no percentage"]);
    run_with(args("--at-step 4"), text).await.fails(&["the plan has steps 1 to 3"]);
    run_with(args("--instances 0"), text).await.fails(&["1 to 1000"]);
    run_with(args("--calls-per-s NaN"), text).await.fails(&["0 to 1000000"]);
}
