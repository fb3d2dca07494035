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
