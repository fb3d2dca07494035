//! `cutover plan simulate` with a controller's recording, or with a file of it.

use cutover_proto::v1;
use tempfile::TempDir;

use super::{at, has, run, run_with};
use crate::support::{instance::Instance, server::Controller};

const PLAN: &str = "steps:\n- { stage: dual, percent: 100, bake: 5s, evidence: none }\n";

fn cell() -> v1::Cell {
    let calls = |operation: v1::Operation| v1::StoreCalls {
        store: v1::StoreRole::Source.into(),
        operation: operation.into(),
        calls: 100,
        latency_us: Some(v1::Histogram { index: vec![8], count: vec![100] }),
        ..Default::default()
    };
    let stores = vec![calls(v1::Operation::Read), calls(v1::Operation::Write)];
    v1::Cell { migration: "orders".to_owned(), revision: 1, stores, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_tried_against_what_the_controller_kept_and_against_a_file_of_it() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    let (plan, file) = (dir.path().join("ramp.yaml"), dir.path().join("week.jsonl"));
    std::fs::write(&plan, PLAN).unwrap();
    let (plan, file) = (plan.display().to_string(), file.display().to_string());
    at(url, "create orders --source ddb --target mysql").await.done();
    let simulate = format!("plan simulate {plan} --recorded orders --since 5m");
    at(url, &simulate).await.fails(&["nothing was reported of orders in the last 5m"]);
    at(url, &format!("plan simulate {plan} --recorded nope")).await.fails(&["nope"]);

    Instance::register(url, "a", 1).await.report(vec![cell()]).await;
    let told = at(url, &simulate).await.done();
    assert!(told.starts_with("1s of orders from 20"), "{told}");
    assert!(
        told.contains(", 200.0 to 200.0 calls a second\ntaken as given: the target was not read"),
        "{told}"
    );
    assert!(told.ends_with("\nwould have needed 5s\n"), "{told}");

    std::fs::write(&file, at(url, "progress orders --since 5m --rows 1000 --json").await.done()).unwrap();
    controller.stop().await;
    let again = run(["plan", "simulate", &plan, "--recording", &file, "--json"]).await.object();
    has(&again, &["outcome", "waited", "lasted_ms", "recorded"]);
    assert_eq!((&again["outcome"], &again["lasted_ms"]), (&"done".into(), &5_000.into()));
    has(&again["recorded"], &["of", "from_ms", "period_ms", "calls_per_s", "assumed"]);
    let fault =
        ["plan", "simulate", &plan, "--recording", &file, "--fault", "target-errors", "--after", "1s"];
    let told = run(fault).await.done();
    assert!(told.contains("target-errors=100 % would have tripped after "), "{told}");
}

#[tokio::test]
async fn what_is_no_recording_is_told_by_its_line() {
    let dir = TempDir::new().unwrap();
    let plan = dir.path().join("ramp.yaml").display().to_string();
    std::fs::write(&plan, PLAN).unwrap();
    let read = async |text: &str| run_with(["plan", "simulate", &plan, "--recording", "-"], text).await;
    let row = |at_ms: u64, stores: &str| {
        format!("{{\"at_ms\":{at_ms},\"width_ms\":1000,\"hit\":0,\"stores\":[{stores}]}}\n")
    };
    let calls = |calls: u64| {
        format!("{{\"store\":\"source\",\"operation\":\"read\",\"calls\":{calls},\"errors\":0}}")
    };
    read("").await.fails(&["can't be played: nothing was reported in it"]);
    read("step 1\n").await.fails(&["line 1 is not a row of `cutover progress KEY --json`"]);
    let second = row(1_000, &calls(1)) + "{\"at_ms\":2000}\n";
    read(&second).await.fails(&["line 2", "missing field"]);
    let store = calls(1).replace("source", "other");
    read(&row(1_000, &store)).await.fails(&["line 1", "unknown variant `other`"]);
    let latency = calls(1).replace("\"errors\"", "\"latency_us\":{\"index\":[7],\"count\":[]},\"errors\"");
    read(&row(1_000, &latency)).await.fails(&["line 1", "1 indices and 0 counts"]);
    read(&row(1_000, &calls(0))).await.fails(&["no call to any store"]);
    read(&row(1_000, &calls(u64::MAX))).await.fails(&["over a million calls a second"]);
    read(&(row(2_000, &calls(1)) + &row(1_000, &calls(1)) + &row(9_000, &calls(1))))
        .await
        .fails(&["window 2 begins before"]);

    run_with(["plan", "simulate", "-", "--recording", "-"], PLAN).await.fails(&["can't both be -"]);
    run(["plan", "simulate", &plan, "--recording", "/no/such"]).await.fails(&["can't read /no/such"]);
    run(["plan", "simulate", &plan, "--since", "7d"]).await.fails(&["--recorded"]);
    let both = ["plan", "simulate", &plan, "--recorded", "orders", "--calls-per-s", "5"];
    run(both).await.fails(&["give --recorded <KEY> or --calls-per-s", "not both"]);
}
