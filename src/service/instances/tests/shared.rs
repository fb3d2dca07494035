//! Processes that have one id by mistake.

use super::*;

/// A process without a file, which could be waited for.
fn without_file(incarnation: u64) -> Asking {
    let record = InstanceRecord { file_valid_ms: 0, ..asking("one", incarnation).record };
    Asking { record, ..Asking::default() }
}

/// Two processes with one id, which have both reported.
fn two() -> (World, Who, Who) {
    let mut world = World::new();
    world.fences = Fences::default();
    let (first, ..) = world.register(without_file(1));
    let (second, ..) = world.register(without_file(2));
    for _ in 0..2 {
        world.pass(SECOND);
        assert!(world.report(&first, 7) && world.report(&second, 7));
    }
    (world, first, second)
}

#[test]
fn a_silent_process_that_shares_its_id_has_not_ended_because_the_other_is_connected() {
    let (mut world, first, second) = two();
    world.disconnect(&second);
    world.pass_while_reporting(LEASE + SECOND, &first);
    assert_eq!(world.tick(), (0, 0));
    assert_eq!(world.fleet(&document(0)).settled(99), 7, "steps up wait for it");

    // Nor because another one has followed the first, also after a restart of the controller.
    world.disconnect(&first);
    let (third, ..) = world.register(without_file(3));
    world.pass_while_reporting(LEASE + SECOND, &third);
    assert_eq!(world.tick(), (0, 0));
    world.restart();
    let (fourth, ..) = world.register(without_file(4));
    world.pass_while_reporting(LEASE + SECOND, &fourth);
    assert_eq!(world.tick(), (0, 1), "the third was alone when it was heard");
    assert_eq!(world.live.members.keys().map(|who| who.incarnation).collect::<Vec<_>>(), [1, 2, 4]);
}

#[test]
fn both_are_known_to_share_the_id_and_once() {
    let mut world = World::new();
    let (first, ..) = world.register(without_file(1));
    let (second, ..) = world.register(without_file(2));
    let put = |world: &mut World, who: &Who| {
        world.pass(SECOND);
        let put = world.live.acknowledge(who, &Acknowledging::default(), world.now).expect("a member").put;
        put.into_iter().map(|record| record.incarnation).collect::<Vec<_>>()
    };
    assert_eq!(put(&mut world, &second), [0; 0], "the first may have ended right after it registered");
    assert_eq!(put(&mut world, &first), [1, 2], "it has not");
    assert_eq!(put(&mut world, &second), [1, 2], "until the store has it");
    let stored: Vec<_> = world.live.members.values().map(|heard| heard.record.clone()).collect();
    stored.iter().for_each(|record| world.live.stored(record));
    assert_eq!((put(&mut world, &second), put(&mut world, &first)), (vec![], vec![]));
    let (first, ..) = world.register(without_file(1));
    assert!(world.live.members[&first].record.shares_id, "also when it registers again");
}

#[test]
fn a_restarted_controller_does_not_take_who_registered_before_for_a_follower() {
    let mut world = World::new();
    world.fences = Fences::default();
    world.register(without_file(1));
    let (second, ..) = world.register(without_file(2));
    world.restart();
    assert_eq!(world.register(without_file(2)).0, second);
    world.pass_while_reporting(LEASE + SECOND, &second);
    assert_eq!(world.tick(), (0, 0), "it does not know which of them was first");
}

#[test]
fn one_that_comes_back_unknown_does_not_follow_anybody() {
    let mut world = World::new();
    world.fences = Fences::default();
    // It was a member before, and a restored store has forgotten it.
    let (first, second) = (Asking { admission: 9, ..without_file(1) }, without_file(2));
    world.register(second);
    world.pass(SECOND);
    let (first, ..) = world.register(first);
    world.pass_while_reporting(LEASE + SECOND, &first);
    assert_eq!(world.tick(), (0, 0), "the second may run all the same");
}

#[test]
fn one_that_comes_back_unknown_is_still_known_to_share_its_id() {
    let (mut world, first, _) = two();
    world.live.members.remove(&first);
    world.register(Asking { admission: 9, ..without_file(1) });
    world.register(without_file(3));
    let shares_id =
        |incarnation| world.live.members[&Who::new("one".to_owned(), incarnation)].record.shares_id;
    assert_eq!([1, 2, 3].map(shares_id), [true, true, false], "the third begins now");
}
