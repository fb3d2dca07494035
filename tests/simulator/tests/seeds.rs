//! Seeds that find nothing. Callers of `Decide` are left out until a step waits for all of their answers.
#![allow(clippy::unwrap_used)] // A test that panics has failed.

use std::process::Command;

#[test]
fn sixty_seeds_find_nothing() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover-simulator"));
    let ran = command.args(["--seeds", "60", "--swarm", "--callers", "0"]).output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}{error}");
    assert!(out.contains("60 seeds"), "{out}{error}");
}
