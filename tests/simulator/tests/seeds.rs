//! Seeds that find nothing. tests/run plays more of them, in an optimized build.
#![allow(clippy::unwrap_used)] // A test that panics has failed.

use std::process::Command;

#[test]
fn the_first_seeds_find_nothing() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover-simulator"));
    let ran = command.args(["--seeds", "20", "--swarm"]).output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}{error}");
    assert!(out.contains("20 seeds"), "{out}{error}");
}
