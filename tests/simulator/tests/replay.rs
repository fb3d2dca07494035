//! One seed is one run: the same events at the same times, in whatever process it is played.
#![allow(clippy::unwrap_used)] // A test that panics has failed.

use std::process::Command;

/// The last line that a seed's run prints, with the hash of its trace.
fn play(seed: &str) -> String {
    play_about(seed, &[])
}

/// With a theme.
fn play_about(seed: &str, theme: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover-simulator"));
    let ran = command.args(["--one", seed, "--swarm"]).args(theme).output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}{error}");
    out.lines().last().unwrap().to_owned()
}

#[test]
fn a_seed_is_replayed_exactly() {
    for seed in ["1", "2", "3"] {
        let (first, second) = (play(seed), play(seed));
        assert_eq!(first, second);
        assert!(first.contains(" trace ") && !first.contains(" 0 acknowledged"), "{first}");
    }
    let of_replicas = || play_about("1", &["--theme", "replicas"]);
    let first = of_replicas();
    assert!(first.contains("Replicas") && first == of_replicas(), "{first}");
    assert_ne!(play("1").split("trace").last(), play("2").split("trace").last());
}
