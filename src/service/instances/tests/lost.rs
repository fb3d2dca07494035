//! Who was lost, and is heard again.

use super::*;

#[test]
fn who_was_lost_with_a_fence_begins_nothing_by_what_it_had() {
    let mut world = World::new();
    let (one, ..) = world.register(asking("one", 1));
    let (two, ..) = world.register(asking("two", 2));
    assert!(world.report(&one, 7), "it has heard of the fence");
    assert!(world.report(&two, 2), "it has not: nothing of its has expired");
    assert_eq!(world.live.who("one", 0), None, "a report without an incarnation does not speak for it");
    let held = |world: &World, who: &Who| Asking {
        admission: world.live.members[who].record.admission,
        held: 2,
        holds: true,
        ..asking(&who.instance_id, who.incarnation)
    };
    world.pass(LEASE);
    assert!(world.report(&one, 7), "steps down wait for it until now");
    world.pass(LEASE + SECOND);
    assert!(!world.report(&one, 7), "a step down may have been taken without it");
    assert!(world.register(held(&world, &one)).1, "so it is told, and waits for the current state");
    assert!(world.report(&one, 7));
    assert!(!world.register(held(&world, &two)).1);
    assert!(world.report(&two, 2));
}

#[test]
fn nobody_speaks_for_a_member_of_an_older_store_that_has_no_incarnation() {
    let mut world = World::new();
    let record = InstanceRecord { incarnation: 0, ..asking("one", 1).record };
    world.live = Live::new(vec![record], world.now, world.steady_ms);
    assert_eq!(world.live.who("one", 0), None, "two processes may report so");
    world.pass(LEASE + SECOND);
    assert_eq!(world.lost(&document(0)), 1, "it is waited for until somebody evicts it");
}

#[test]
fn who_was_counted_out_before_a_migration_was_created_does_not_block_it() {
    let mut world = World::new();
    let (one, ..) = world.register(asking("one", 1));
    assert!(world.report(&one, 7));
    world.disconnect(&one);
    world.pass(LEASE + DRAIN + SECOND);
    assert_eq!(world.tick(), (1, 0));
    // Created with a fence at revision 9. A migration with its key may have been deleted at 8, and at 6 for certain.
    let created =
        |key_free_since| Document { created_revision: 9, fenced_since: 9, key_free_since, ..document(5_000) };
    for blocks in [created(None), created(Some(8)), Document { fenced_since: 10, ..created(Some(6)) }] {
        assert_eq!(
            world.fleet(&blocks).settled(99),
            7,
            "it may have an old table of this key without a fence"
        );
    }
    assert_eq!(world.fleet(&created(Some(6))).settled(99), 99, "it never had a table of this migration");
    world.fences = Fences { newest: Some(9), harmless: created(Some(6)).harmless_since(), deleted: 6 };
    world.pass(FORGOTTEN);
    assert_eq!(world.tick(), (0, 1), "forgotten");
}

#[test]
fn the_dead_are_chosen_by_how_long_they_are_silent_and_by_their_service() {
    let mut world = World::new();
    let (old, ..) = world.register(asking("old", 1));
    world.pass(60 * SECOND);
    let (new, ..) = world.register(asking("new", 2));
    let record = InstanceRecord { service: "billing".to_owned(), ..asking("other", 3).record };
    let (other, ..) = world.register(Asking { record, ..Asking::default() });
    world.pass(LEASE);
    let (running, ..) = world.register(asking("running", 4));
    world.pass(SECOND);
    let dead = |older_than: Duration, service: &str| {
        let dead = Dead::Lost { instance_id: String::new(), older_than, service: service.to_owned() };
        let dead = world.live.dead(&dead, world.now);
        dead.into_iter().map(|admitted| admitted.who).collect::<Vec<_>>()
    };
    assert_eq!(dead(Duration::ZERO, ""), [new.clone(), old.clone(), other.clone()]);
    assert!(!dead(Duration::ZERO, "").contains(&running));
    let only_old = std::slice::from_ref(&old);
    assert_eq!(dead(60 * SECOND, ""), only_old);
    assert_eq!(dead(LEASE + 61 * SECOND, ""), only_old, "to the second");
    assert_eq!(dead(LEASE + 62 * SECOND, ""), []);
    assert_eq!(dead(Duration::ZERO, "billing"), [other]);
    assert_eq!(dead(LEASE, "orders-api"), [new, old]);
}
