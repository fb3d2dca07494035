//! The product survives a minute of torture over real servers, from DynamoDB Local to MariaDB and from ledger to ledger:
//! `tests/run` starts them.
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
    url
}

#[test]
fn a_minute_of_torture_loses_nothing() {
    let (Some(source), Some(target)) = (url("CUTOVER_TEST_DYNAMODB"), url("CUTOVER_TEST_MYSQL")) else {
        return;
    };
    loses_nothing(&source, &target, "60");
}

/// Entry and row are two things here, which kills and cuts come between.
#[test]
fn torture_from_ledger_to_ledger_loses_nothing() {
    let (Some(source), Some(target)) = (url("CUTOVER_TEST_MYSQL"), url("CUTOVER_TEST_POSTGRES")) else {
        return;
    };
    loses_nothing(&format!("ledger+{source}"), &format!("ledger+{target}"), "40");
}

fn loses_nothing(source: &str, target: &str, seconds: &str) {
    if cfg!(not(feature = "servers")) {
        eprintln!("built without the servers: --features servers");
        return;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover-torture"));
    command.args(["run", "--seconds", seconds, "--source", source, "--target", target]);
    let ran = command.output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let last = out.lines().last().unwrap_or_else(|| panic!("it ended early: {error}"));
    let told: Value = serde_json::from_str(last).unwrap();
    let number = |name: &str| told[name].as_u64().unwrap_or_else(|| panic!("{name} is missing in {told}"));
    assert_eq!(["lost", "resurrected", "back_in_time"].map(number), [0, 0, 0], "{told}\n{error}");
    assert!(ran.status.success(), "{told}\n{error}");
    for happened in ["acknowledged", "reads", "kills", "cuts", "ramps"] {
        assert!(number(happened) > 0, "nothing was tortured without {happened}: {told}");
    }
}
