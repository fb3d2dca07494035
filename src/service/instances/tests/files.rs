//! Stories of processes that leave a snapshot file, and of those that take it over.

use super::*;

/// Of a process that has taken over the file of these.
fn succeeding(incarnation: u64, predecessors: &[&Who]) -> Asking {
    let succeeds = predecessors.iter().map(|who| (*who).clone()).collect();
    Asking { succeeds, ..asking("orders-api-1", incarnation) }
}

#[test]
fn a_successor_releases_its_predecessor_once_it_has_rewritten_the_file() {
    let (mut world, unfenced) = (World::new(), document(0));
    let (first, ..) = world.register(succeeding(1, &[]));
    assert!(world.report(&first, 7));
    world.goodbye(&first, FILE).expect("it leaves a file");
    let (second, ..) = world.register(succeeding(2, &[&first]));
    assert_eq!(world.tick(), (0, 0), "whoever starts from the file now acts by what the first one left");
    assert!(world.report(&second, 0));
    assert_eq!(world.tick(), (0, 0), "its file is not written yet");
    assert!(world.report(&second, 9));
    assert_eq!(world.fleet(&unfenced).settled(99), 7);
    assert_eq!(world.tick(), (0, 1));
    assert_eq!(world.fleet(&unfenced).settled(99), 9);
}

#[test]
fn a_process_that_was_killed_is_succeeded_even_if_its_stream_seems_open() {
    let (mut world, unfenced) = (World::new(), document(0));
    let (first, ..) = world.register(succeeding(1, &[]));
    assert!(world.report(&first, 7));
    let (second, ..) = world.register(succeeding(2, &[&first]));
    assert!(world.report(&second, 9));
    assert_eq!(world.tick(), (0, 1));
    assert_eq!(world.fleet(&unfenced).settled(99), 9);
    // A registration of the first one that was under way.
    world.register(succeeding(1, &[]));
    assert_eq!(world.tick(), (0, 1), "it has ended");
}

#[test]
fn two_successors_in_a_row_release_all_before_them() {
    let (mut world, unfenced) = (World::new(), document(0));
    let (first, ..) = world.register(succeeding(1, &[]));
    assert!(world.report(&first, 7));
    // Killed before it has written the file.
    let (second, ..) = world.register(succeeding(2, &[&first]));
    let (third, ..) = world.register(succeeding(3, &[&first, &second]));
    world.pass(LEASE + SECOND);
    assert_eq!((world.tick(), world.fleet(&unfenced).settled(99)), ((0, 0), 0));
    assert!(world.report(&third, 9));
    assert_eq!((world.tick(), world.fleet(&unfenced).settled(99)), ((0, 2), 9));
}

#[test]
fn a_succession_outlives_a_restart_of_the_controller() {
    let (mut world, unfenced) = (World::new(), document(0));
    let (first, ..) = world.register(succeeding(1, &[]));
    let (second, ..) = world.register(succeeding(2, &[&first]));
    assert!(world.report(&second, 9));
    world.restart();
    assert_eq!(world.tick(), (0, 0), "nobody has said it to this process");
    let held = Asking { held: 9, holds: true, ..succeeding(2, &[&first]) };
    assert!(!world.register(held).1, "it is a member");
    assert_eq!(world.tick(), (0, 0));
    assert!(world.report(&second, 9));
    assert_eq!((world.tick(), world.fleet(&unfenced).settled(99)), ((0, 1), 9));
}

#[test]
fn a_process_without_a_file_succeeds_nobody_and_nobody_succeeds_itself() {
    let mut world = World::new();
    let (first, ..) = world.register(succeeding(1, &[]));
    let asking = succeeding(2, &[&first]);
    let record = InstanceRecord { file_valid_ms: 0, ..asking.record };
    let (second, ..) = world.register(Asking { record, ..asking });
    assert!(world.report(&second, 9));
    let (third, ..) = world.register(succeeding(3, &[&Who { incarnation: 3, ..first.clone() }]));
    assert!(world.report(&third, 9));
    assert_eq!(world.tick(), (0, 0));
}

#[test]
fn a_file_ages_over_restarts_of_the_controller_but_not_by_time_that_no_clock_measured() {
    let (mut world, unfenced) = (World::new(), document(0));
    let (one, ..) = world.register(asking("one", 1));
    world.goodbye(&one, FILE).expect("it stays");
    world.pass(FILE / 2);
    world.restart();
    let left = FILE_OVER - FILE / 2;
    // A day of downtime, and the last reading of the clock was lost.
    world.now = world.now + 86_400 * SECOND;
    world.steady_ms -= 10_000;
    world.restart();
    world.pass(left + 9 * SECOND);
    assert_eq!(world.tick(), (1, 0), "its fence has passed; its file is still good");
    let waited = world.live.members(Some(&unfenced), world.now)[0].waited_for;
    assert_eq!(waited, Some(SECOND));
    world.pass(SECOND);
    assert_eq!(world.tick(), (0, 1));
}

#[test]
fn a_goodbye_repeated_after_a_restart_makes_no_file_older() {
    let mut world = World::new();
    let (one, ..) = world.register(asking("one", 1));
    world.goodbye(&one, FILE).expect("it stays");
    world.pass(FILE / 2);
    world.restart();
    world.goodbye(&one, FILE).expect("it stays");
    world.pass(FILE_OVER - SECOND);
    assert_eq!(world.tick().1, 0);
    world.pass(SECOND);
    assert_eq!(world.tick().1, 1);
}

#[test]
fn a_file_expires_although_the_controller_was_frozen_meanwhile() {
    let mut world = World::new();
    let (one, ..) = world.register(asking("one", 1));
    world.goodbye(&one, FILE).expect("it stays");
    world.freeze(FILE_OVER);
    assert_eq!(world.tick(), (0, 1), "a file expires whether or not the controller listens");
}
