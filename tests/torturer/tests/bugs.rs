//! A check must be shown to fail: the scenario made for each bug catches it, over two SQLite files; without
//! the bug the same scenario finds nothing.
#![allow(clippy::unwrap_used)] // A test that panics has failed.

use std::process::Command;

use serde_json::Value;

/// Runs a scenario; returns its last line, and whether the run passed.
fn play(flag: &str, bug: &str, seconds: u32) -> (Value, bool) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover-torture"));
    command.args(["run", "--seed", "1", "--seconds", &seconds.to_string(), flag, bug]);
    let ran = command.args(["--keep", &dir.path().display().to_string()]).output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let last = out.lines().last().unwrap_or_else(|| panic!("{bug}: {error}"));
    (serde_json::from_str(last).unwrap(), ran.status.success())
}

fn is_caught(bug: &str) {
    // It ends as soon as the bug is caught.
    let (told, whole) = play("--bug", bug, 60);
    let found = |name: &str| told[name].as_u64().unwrap();
    assert!(found("lost") + found("resurrected") + found("back_in_time") > 0, "{bug} was not caught: {told}");
    assert!(!whole, "it fails: {told}");
}

macro_rules! caught {
    ($($name:ident: $bug:literal)*) => {
        $(#[test] fn $name() { is_caught($bug) })*
    };
}

caught! {
    no_barrier_is_caught: "no-barrier"
    acknowledging_on_receipt_is_caught: "acknowledge-on-receipt"
    a_jump_between_dual_and_target_first_is_caught: "jump-dual-target-first"
    an_emergency_in_one_revision_is_caught: "one-revision-emergency"
    a_full_pass_that_is_skipped_is_caught: "full-pass-skipped"
    a_full_pass_begun_too_early_is_caught: "full-pass-early"
    a_reverse_pass_that_is_skipped_is_caught: "reverse-skipped"
    an_unconditional_mirror_is_caught: "unconditional-mirror"
    an_unconditional_copy_is_caught: "unconditional-copy"
    no_tombstones_are_caught: "no-tombstones"
}

#[test]
fn the_scenarios_of_bugs_find_nothing_without_them() {
    for bug in ["acknowledge-on-receipt", "unconditional-mirror"] {
        let (told, whole) = play("--directed", bug, 3);
        assert!(whole, "{bug}: {told}");
        assert!(told["acknowledged"].as_u64().unwrap() > 0 && told["reads"].as_u64().unwrap() > 0, "{told}");
    }
}
