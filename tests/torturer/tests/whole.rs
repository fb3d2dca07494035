//! The product survives torture over real servers: from DynamoDB Local to MariaDB, from ledger to ledger, and with three
//! controllers over PostgreSQL. `tests/run` starts them.
#![allow(clippy::unwrap_used)] // A test that panics has failed.

use std::process::Command;

use serde_json::Value;

/// The address of a server, as `tests/run` sets it; without one the test is skipped, with a message.
fn url(variable: &str) -> Option<String> {
    let url = std::env::var(variable).ok();
    if url.is_none() {
        let required = std::env::var("CUTOVER_TEST_SERVERS").is_ok_and(|given| given == "required");
        assert!(!required, "{variable} is not set, and CUTOVER_TEST_SERVERS requires it");
        eprintln!("{variable} is not set: a minute of torture left out; tests/run starts the server");
    }
    if cfg!(not(feature = "servers")) {
        eprintln!("built without the servers: --features servers");
        return None;
    }
    url
}

/// Tortures: nothing may be lost, and each of these has to happen.
fn survives(store: Option<&str>, arguments: &[&str], happened: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover-torture"));
    command.arg("run").args(arguments);
    if let Some(store) = store {
        command.env("TORTURE_STORE", store);
    }
    let ran = command.output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let last = out.lines().last().unwrap_or_else(|| panic!("it ended early: {error}"));
    let told: Value = serde_json::from_str(last).unwrap();
    let number = |name: &str| told[name].as_u64().unwrap_or_else(|| panic!("{name} is missing in {told}"));
    assert_eq!(["lost", "resurrected", "back_in_time"].map(number), [0, 0, 0], "{told}\n{error}");
    assert!(ran.status.success(), "{told}\n{error}");
    for happened in happened {
        assert!(number(happened) > 0, "nothing was tortured without {happened}: {told}");
    }
    eprintln!("{told}");
}

#[test]
fn a_minute_of_torture_loses_nothing() {
    let (Some(source), Some(target)) = (url("CUTOVER_TEST_DYNAMODB"), url("CUTOVER_TEST_MYSQL")) else {
        return;
    };
    let happened = ["acknowledged", "reads", "kills", "cuts", "ramps"];
    survives(None, &["--seconds", "60", "--source", &source, "--target", &target], &happened);
}

/// Entry and row are two things here, which kills and cuts come between.
#[test]
fn torture_from_ledger_to_ledger_loses_nothing() {
    let (Some(source), Some(target)) = (url("CUTOVER_TEST_MYSQL"), url("CUTOVER_TEST_POSTGRES")) else {
        return;
    };
    let [source, target] = [source, target].map(|url| format!("ledger+{url}"));
    let happened = ["acknowledged", "reads", "kills", "cuts", "ramps"];
    survives(None, &["--seconds", "40", "--source", &source, "--target", &target], &happened);
}

/// Leaders are killed, also in the middle of a step, frozen, and cut off from their store.
#[test]
fn a_minute_of_torture_of_three_controllers_loses_nothing() {
    let Some(store) = url("CUTOVER_TEST_POSTGRES") else { return };
    // A controller needs an empty store, and the server may be used again.
    let store = format!("{store}?schema=torture_{}", std::process::id());
    let happened = ["acknowledged", "reads", "kills", "cuts", "ramps", "leader_changes"];
    survives(Some(&store), &["--seconds", "60", "--controllers", "3"], &happened);
}
