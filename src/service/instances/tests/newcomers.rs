//! Stories of processes that die before their first report.

use super::*;

fn without_file(id: &str, incarnation: u64) -> Asking {
    let asking = asking(id, incarnation);
    Asking { record: InstanceRecord { file_valid_ms: 0, ..asking.record }, ..asking }
}

fn waited_for(world: &World, document: &Document) -> Option<Duration> {
    world.live.members(Some(document), world.now)[0].waited_for
}

#[test]
fn who_dies_before_its_first_report_is_counted_out_under_a_fence_that_was_there_before() {
    for restarts in [false, true] {
        let (mut world, fenced, unfenced) = (World::new(), document(5_000), document(0));
        world.register(without_file("one", 1));
        if restarts {
            world.restart();
        }
        world.pass(LEASE + DRAIN - SECOND);
        assert_eq!(world.tick(), (0, 0));
        assert_eq!(waited_for(&world, &fenced), Some(SECOND), "status says until when");
        assert_eq!(waited_for(&world, &unfenced), None, "it may have received a state without a fence");
        world.pass(SECOND);
        assert_eq!(world.tick(), (1, 0));
        assert_eq!(world.fleet(&fenced).settled(99), 99);
        world.pass(FORGOTTEN);
        assert_eq!(world.tick(), (0, 1), "its writer slot is free again");
    }
}

#[test]
fn a_fence_that_came_later_does_not_count_out_who_may_not_have_received_it() {
    let (mut world, mut document) = (World::new(), document(5_000));
    document.fenced_since = 8;
    world.register(without_file("one", 1));
    world.pass(LEASE + DRAIN + SECOND);
    assert_eq!(world.tick(), (1, 0));
    assert_eq!((waited_for(&world, &document), world.fleet(&document).settled(99)), (None, 7));
}

#[test]
fn nor_does_one_whose_older_operation_had_not_ended() {
    let (mut world, document) = (World::new(), document(5_000));
    let (one, ..) = world.register(Asking { held: 2, holds: true, ..without_file("one", 1) });
    let admission = world.live.members[&one].record.admission;
    let received = Acknowledging { received: 7, applied: 2, admission, fences: 3 };
    assert!(world.live.acknowledge(&one, &received, world.now).is_some());
    world.pass(LEASE + DRAIN + SECOND);
    assert_eq!(world.tick(), (1, 0));
    assert_eq!(waited_for(&world, &document), None, "it does not end by itself, so status names evict");
}

#[test]
fn the_file_of_who_dies_before_its_first_report_may_be_older_than_the_fence() {
    let (mut world, document) = (World::new(), document(5_000));
    world.register(asking("one", 1));
    world.pass(LEASE + DRAIN + SECOND);
    assert_eq!(world.tick(), (1, 0));
    let left = FILE_OVER - LEASE - DRAIN - SECOND;
    assert_eq!(waited_for(&world, &document), Some(left), "somebody may start from it");
    world.pass(left);
    assert_eq!(world.fleet(&document).settled(99), 99);
}

#[test]
fn evicting_a_fenced_process_that_keeps_a_file_makes_nobody_wait_longer() {
    let (mut world, fenced, unfenced) = (World::new(), document(5_000), document(0));
    let (one, ..) = world.register(asking("one", 1));
    assert!(world.report(&one, 7));
    world.pass(LEASE + SECOND);
    let named = Dead::Named { name: "one".to_owned(), force: false };
    let dead = world.live.dead(&named, world.now);
    dead.iter().for_each(|admitted| world.live.give_up(admitted));
    assert!(world.park(&one).is_some());
    assert!(!world.report(&one, 7), "if it lives it has to register, and is told");
    world.pass(DRAIN - SECOND);
    assert_eq!(world.tick(), (1, 0));
    assert_eq!(world.fleet(&fenced).settled(99), 99, "the fence is enough");
    assert_eq!(world.fleet(&unfenced).settled(99), 7);
    world.pass(FILE_OVER);
    world.tick();
    assert_eq!(world.fleet(&unfenced).settled(99), 99);
}

#[test]
fn whoever_says_goodbye_while_it_registers_stays_parked() {
    let (mut world, unfenced) = (World::new(), document(0));
    let (one, ..) = world.register(asking("one", 1));
    let admission = world.live.members[&one].record.admission;
    world.pass(LEASE + DRAIN);
    assert_eq!(world.tick(), (1, 0));
    let again = Asking { held: 7, holds: true, admission, ..asking("one", 1) };
    let registering = world.live.register(again, world.committed(), world.now);
    let Registering::Member { put: Some((record, change)), .. } = registering else {
        panic!("it was counted out, so the store has to know that it is back")
    };
    assert!(world.goodbye(&one, FILE).is_some_and(|record| record.parked));
    // The store answers the registration only now.
    world.live.registered(&one, record, change, true);
    assert!(world.live.members[&one].record.parked);
    world.pass(FILE_OVER);
    assert_eq!((world.tick().1, world.fleet(&unfenced).settled(99)), (1, 99), "its file is all that is left");
}

#[test]
fn who_keeps_a_file_has_acknowledged_nothing_by_registering() {
    let (mut world, document) = (World::new(), document(0));
    world.register(asking("one", 1));
    assert_eq!(world.fleet(&document).settled(99), 0, "its file may be older than what it will hear");
    let record = InstanceRecord { file_valid_ms: 0, ..asking("two", 2).record };
    let (mut world, document) = (World::new(), document);
    world.register(Asking { record, ..Asking::default() });
    assert_eq!(world.fleet(&document).settled(99), 7);
}
