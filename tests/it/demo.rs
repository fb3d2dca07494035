//! The demo runs all scenes in order, and its proof holds.

use std::process::Command;

/// The scenes, in order.
const STORY: &[&str] = &[
    "seeding 20000 records of 200 tenants",
    "created migration orders",
    "three services read, write and delete at source-only",
    "one tenant goes first",
    "everybody dual",
    "everybody mirrored",
    "the full pass copies the long tail",
    "target-first for 1 %",
    "target-first for 10 %",
    "a worker is killed",
    "target-first for 50 %",
    "the target starts to fail",
    "rolled back to dual",
    "all services follow",
    "mirrored again",
    "target-first for 50 % again",
    "the target fails for tenant-",
    "rolled back to dual",
    "everybody else is where they were",
    "is with the others again",
    "back to 10 %",
    "the controller is killed",
    "up again, target-first for everybody",
    "a second full pass",
    "target-only",
    "proof: ",
];

#[test]
fn the_whole_story_ends_with_a_proof() {
    let bound = ["demo", "--headless", "--seconds", "25"];
    let told = Command::new(env!("CARGO_BIN_EXE_cutover")).args(bound).output().unwrap();
    let story = String::from_utf8(told.stdout).unwrap();
    let errors = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{story}\n{errors}");
    let mut rest = story.as_str();
    for step in STORY {
        let (_, after) = rest.split_once(step).unwrap_or_else(|| panic!("{step:?} is missing in:\n{story}"));
        rest = after;
    }
    let acknowledged: u64 = rest.split(' ').next().unwrap().parse().unwrap();
    assert!(acknowledged > 0, "{story}");
    assert!(rest.contains(" 0 lost, 0 resurrected, 0 back in time"), "{story}");
}

#[test]
fn a_bound_that_is_too_small_is_refused_with_the_smallest() {
    let told = Command::new(env!("CARGO_BIN_EXE_cutover")).args(["demo", "--seconds", "3"]).output().unwrap();
    assert!(!told.status.success());
    let error = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(error.contains("25"), "{error}");
}
