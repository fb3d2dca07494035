//! Stories of writer slots.

use std::collections::BTreeSet;

use super::{
    super::slots::{NoSlot, SHARE, SLOTS, Slots},
    *,
};
use crate::{domain::Credential, store::ALL_FREE_SLOTS};

fn slot(world: &World, who: &Who) -> u16 {
    world.live.members[who].record.writer_slot
}

/// Why it gets none.
fn refused(world: &mut World, asking: Asking) -> NoSlot {
    match world.live.register(asking, world.committed(), world.now) {
        Registering::NoSlot(why) => why,
        Registering::Gone | Registering::Member { .. } => panic!("it has one"),
    }
}

/// A minute is more than the drain of [`asking`]'s records.
const REST: Duration = Duration::from_secs(60);

#[test]
fn a_freed_slot_rests_until_nothing_of_its_last_holder_can_land() {
    let mut world = World::new();
    let (first, ..) = world.register(asking("one", 1));
    let freed = slot(&world, &first);
    assert!(world.live.remove(&first, world.now));
    world.pass(REST - SECOND);
    assert!(world.live.take_due(&world.fences, world.now).rested.is_empty());
    let (second, ..) = world.register(asking("two", 2));
    assert_ne!(slot(&world, &second), freed);
    world.pass(SECOND);
    assert_eq!(world.live.take_due(&world.fences, world.now).rested, [freed]);
    let (third, ..) = world.register(asking("three", 3));
    assert_eq!(slot(&world, &third), freed);
    assert!(world.live.take_due(&world.fences, world.now).rested.is_empty(), "told once");
}

#[test]
fn a_slot_rests_as_long_as_its_holder_s_calls_may_take_and_again_after_a_restart() {
    let mut world = World::new();
    let record = InstanceRecord { drain_ms: 90_000, ..asking("one", 1).record };
    let (first, ..) = world.register(Asking { record, ..Asking::default() });
    let resting = world.live.members[&first].record.resting();
    assert!(resting.is_resting() && resting.label() == "#slot:0", "{resting:?}");
    world.live = Live::new(vec![resting], world.now, world.steady_ms);
    assert!(world.live.members.is_empty(), "it is no member");
    world.pass(89 * SECOND);
    let (second, ..) = world.register(asking("two", 2));
    assert_eq!(slot(&world, &second), 1);
    world.pass(SECOND);
    assert_eq!(world.live.take_due(&world.fences, world.now).rested, [0]);
}

#[test]
fn the_free_slots_of_a_restored_store_rest_again_after_a_restart() {
    let mut world = World::new();
    let resting = InstanceRecord::all_free_slots_rest();
    world.live = Live::new(vec![resting], world.now, world.steady_ms);
    assert!(world.live.members.is_empty(), "it is no member");
    world.pass(REST - SECOND);
    assert!(matches!(refused(&mut world, asking("one", 1)), NoSlot::Restored(left) if left == SECOND));
    world.pass(SECOND);
    assert_eq!(world.live.take_due(&world.fences, world.now).rested, [ALL_FREE_SLOTS]);
    assert!(world.live.take_due(&world.fences, world.now).rested.is_empty(), "told once");
    let (first, ..) = world.register(asking("one", 1));
    assert_eq!(slot(&world, &first), 0);
}

#[test]
fn after_a_restore_whoever_writes_keeps_its_slot_and_newcomers_wait() {
    let mut world = World::new();
    // The backup has one process. Two others have registered since, and write.
    let (first, ..) = world.register(asking("one", 1));
    world.restart();
    world.live.restored(world.now);
    let writing = |id, slot| Asking { held: 7, holds: true, slot: Some(slot), ..asking(id, 1) };
    let (third, ..) = world.register(writing("three", 2));
    assert_eq!(slot(&world, &third), 2);
    let rests = |left| NoSlot::Restored(left);
    assert_eq!(
        refused(&mut world, asking("new", 1)),
        rests(REST),
        "the second may come back with any of them"
    );
    for taken_or_none in [0, 2, SLOTS] {
        assert_eq!(refused(&mut world, writing("four", taken_or_none)), rests(REST), "{taken_or_none}");
    }
    world.pass(REST - SECOND);
    let (second, ..) = world.register(writing("two", 1));
    assert_eq!(slot(&world, &second), 1);
    assert_eq!(refused(&mut world, asking("new", 1)), rests(SECOND));
    assert_eq!(world.live.refuses_new(world.now), SECOND);
    world.pass(SECOND);
    assert_eq!(world.live.refuses_new(world.now), Duration::ZERO);
    let (new, ..) = world.register(asking("new", 1));
    assert_eq!(slot(&world, &new), 3);
    assert_eq!(slot(&world, &first), 0);
}

/// Found by a review: it got the one in the backup, which another process had by then.
#[test]
fn after_a_restore_nobody_goes_back_to_the_slot_that_the_backup_knows() {
    let mut world = World::new();
    let (first, ..) = world.register(asking("one", 1));
    assert_eq!(slot(&world, &first), 0);
    // After the backup it was forgotten and came back with slot 5. The second process has registered with slot 0.
    let writing = |id, slot| Asking { held: 7, holds: true, slot: Some(slot), ..asking(id, 1) };
    world.restart();
    world.live.restored(world.now);
    let (_, is_told, _) = world.register(writing("one", 5));
    assert!(is_told && slot(&world, &first) == 5, "it was given up since the backup");
    let (_, is_told, _) = world.register(writing("one", 5));
    assert!(!is_told && slot(&world, &first) == 5, "once");
    assert_eq!(
        refused(&mut world, writing("two", 0)),
        NoSlot::Restored(REST),
        "the backup can't tell whose it is"
    );
    world.pass(REST);
    assert_eq!(world.live.take_due(&world.fences, world.now).rested, [0, ALL_FREE_SLOTS]);
    let (second, ..) = world.register(writing("two", 0));
    assert_eq!(slot(&world, &second), 0);
}

#[test]
fn after_a_restore_who_writes_with_a_slot_of_another_gets_neither_that_nor_its_earlier_one() {
    let mut world = World::new();
    let (first, ..) = world.register(asking("one", 1));
    let (second, ..) = world.register(asking("two", 1));
    assert_eq!((slot(&world, &first), slot(&world, &second)), (0, 1));
    let writing = |id, slot| Asking { held: 7, holds: true, slot: Some(slot), ..asking(id, 1) };
    world.register(writing("one", 1));
    assert_eq!(slot(&world, &first), 0, "a store that was not restored knows better");
    world.restart();
    world.live.restored(world.now);
    assert_eq!(refused(&mut world, writing("one", 1)), NoSlot::Restored(REST));
    world.pass(REST);
    assert_eq!(world.live.take_due(&world.fences, world.now).rested, [ALL_FREE_SLOTS]);
    let (_, is_told, _) = world.register(writing("one", 1));
    assert!(is_told && slot(&world, &first) == 2);
    world.register(writing("two", 1));
    assert_eq!(slot(&world, &second), 1);
}

#[test]
fn a_slot_that_rests_for_another_process_is_not_kept() {
    let mut world = World::new();
    let (first, ..) = world.register(asking("one", 1));
    assert!(world.live.remove(&first, world.now));
    let (second, ..) = world.register(Asking { slot: Some(0), holds: true, ..asking("two", 1) });
    assert_eq!(slot(&world, &second), 1);
}

#[test]
fn every_slot_is_given_once() {
    let mut slots = Slots::new(&[], &[], Instant::now());
    let record = |id: u64| InstanceRecord { service: format!("service-{}", id % 2), ..asking("a", 1).record };
    let given: BTreeSet<u16> = (0..u64::from(SLOTS))
        .map(|id| slots.take(&record(id), None, Instant::now()).expect("one for each process"))
        .collect();
    assert_eq!(given.len(), usize::from(SLOTS));
    assert_eq!(slots.take(&record(0), None, Instant::now()), Err(NoSlot::Taken));
}

/// A process of an earlier SDK, with 10 bits of counter and 12 of slot.
fn earlier(id: &str) -> Asking {
    let record = InstanceRecord { version_layout: 0, ..asking(id, 1).record };
    Asking { record, ..Asking::default() }
}

/// Every version of one millisecond that a process of a layout can stamp, without the time.
fn versions(slot: u16, layout: u32) -> BTreeSet<u32> {
    let (counter_bits, slot_bits) = if layout == 0 { (10, 12) } else { (8, 14) };
    (0..1 << counter_bits).map(|counter| counter << slot_bits | u32::from(slot)).collect()
}

#[test]
fn processes_with_different_layouts_never_stamp_one_version() {
    let (mut world, used) =
        (World::new(), |id, slot| Asking { slot: Some(slot), holds: true, ..asking(id, 1) });
    let mut given = Vec::new();
    // Those that come back with a slot of the other layout, too.
    for asks in [earlier("a"), asking("b", 1), used("c", 4_096), earlier("d"), used("e", 4_100), earlier("f")]
    {
        let layout = asks.record.version_layout;
        let (who, ..) = world.register(asks);
        given.push(versions(slot(&world, &who), layout));
    }
    let all: BTreeSet<u32> = given.iter().flatten().copied().collect();
    assert_eq!(all.len(), given.iter().map(BTreeSet::len).sum::<usize>(), "no version is of two");
    let slots = ["a", "b", "c", "d", "e", "f"].map(|id| slot(&world, &Who::new(id.to_owned(), 1)));
    assert_eq!(slots, [0, 1, 2, 3, 4_100, 5], "4 has the lower bits of 4100");
}

#[test]
fn no_process_has_the_slot_of_triggers_or_stamps_their_versions() {
    let now = Instant::now();
    let record = |asks: Asking, at: usize| InstanceRecord { service: format!("s{}", at % 2), ..asks.record };
    let of_triggers = versions(Version::TRIGGER_SLOT, Version::LAYOUT);
    // Whatever slot a process says that it has.
    for used in [None, Some(Version::TRIGGER_SLOT), Some(4_095)] {
        let mut slots = Slots::new(&[], &[], now);
        for at in 0..4_095 {
            let slot = slots.take(&record(earlier("a"), at), used, now).expect("there is one");
            assert!(slot < 4_095, "{slot} with {used:?}");
            assert!(at % 256 > 0 || versions(slot, 0).is_disjoint(&of_triggers));
        }
        assert_eq!(slots.take(&record(earlier("a"), 0), used, now), Err(NoSlot::Taken));
        // The other three that have the lower bits of triggers.
        let mut left =
            [(); 3].map(|()| slots.take(&record(asking("b", 1), 0), used, now).expect("one is left"));
        assert!(left.iter().all(|slot| versions(*slot, Version::LAYOUT).is_disjoint(&of_triggers)));
        left.sort_unstable();
        assert_eq!(left, [4_095, 8_191, 12_287]);
        assert_eq!(slots.take(&record(asking("b", 1), 0), used, now), Err(NoSlot::Taken));
    }
}

#[test]
fn the_slot_of_triggers_that_an_earlier_build_gave_does_not_become_free() {
    let now = Instant::now();
    let had = |asks: Asking, writer_slot| InstanceRecord { writer_slot, ..asks.record };
    for member in [had(earlier("one"), 4_095), had(asking("one", 1), Version::TRIGGER_SLOT)] {
        let mut slots = Slots::new(std::slice::from_ref(&member), &[], now);
        slots.free(&member, now);
        assert!(slots.rested(now + REST).contains(&Version::TRIGGER_SLOT), "its record is removed");
        let mut restarted = Slots::new(&[], &[member.resting()], now);
        assert!(restarted.rested(now + REST).contains(&Version::TRIGGER_SLOT));
        let mut taken = Slots::new(std::slice::from_ref(&member), &[], now);
        taken.give_back(&member);
        for slots in [&mut slots, &mut restarted, &mut taken] {
            let used = slots.take(&asking("two", 1).record, Some(Version::TRIGGER_SLOT), now);
            assert_eq!(used, Ok(0), "it gets another one");
            assert_eq!(slots.take(&earlier("three").record, Some(4_095), now), Ok(1));
            assert_eq!(slots.take(&asking("four", 1).record, Some(4_095), now), Ok(4_095));
        }
    }
}

#[test]
fn what_an_earlier_sdk_had_rests_and_stays_taken_over_restarts() {
    let mut world = World::new();
    let (first, ..) = world.register(earlier("one"));
    let back = |id: &str, slot| Asking { slot: Some(slot), holds: true, ..asking(id, 1) };
    world.restart();
    let (second, ..) = world.register(back("two", 8_192));
    assert_eq!([&first, &second].map(|who| slot(&world, who)), [0, 1], "it stamps as with 8192");
    let resting = world.live.members[&first].record.resting();
    assert!(world.live.remove(&first, world.now));
    let (third, ..) = world.register(back("three", 4_096));
    assert_eq!(slot(&world, &third), 2);
    let mut restarted = Slots::new(&[], &[resting], world.now);
    assert_eq!(restarted.take(&asking("three", 1).record, Some(4_096), world.now), Ok(1));
    world.pass(REST);
    assert_eq!(world.live.take_due(&world.fences, world.now).rested, [0, 4_096, 8_192, 12_288]);
    let (fourth, ..) = world.register(back("four", 12_288));
    assert_eq!(slot(&world, &fourth), 12_288);
    let mut full = Slots::new(&[world.live.members[&second].record.clone()], &[], world.now);
    assert_eq!(full.take(&earlier("five").record, Some(1), world.now), Ok(0), "its lower bits are another's");
    assert_eq!(full.take(&earlier("six").record, Some(4_098), world.now), Ok(2), "it has 12 bits of slot");
}

#[test]
fn a_process_that_an_earlier_controller_registered_keeps_all_that_it_had() {
    let mut world = World::new();
    let (one, ..) = world.register(earlier("one"));
    // An earlier controller stored no layout. Now the process says that it has the newest one.
    world.register(asking("one", 1));
    assert_eq!(world.live.members[&one].record.version_layout, 0);
    assert!(world.live.remove(&one, world.now));
    world.pass(REST);
    assert_eq!(world.live.take_due(&world.fences, world.now).rested.len(), 4, "none is lost");
}

#[test]
fn a_slot_that_two_members_have_is_free_when_both_have_gone() {
    let [one, two] = ["one", "two"].map(|id| asking(id, 1).record);
    let now = Instant::now();
    // The store had failed, and has both, and that the slot rests.
    let mut slots = Slots::new(&[one.clone(), two.clone()], &[one.resting()], now);
    assert_eq!(slots.rested(now + REST), [0]);
    slots.free(&one, now);
    assert!(slots.rested(now + 2 * REST).is_empty());
    assert_eq!(slots.take(&asking("three", 1).record, Some(0), now), Ok(1), "the second still has it");
    slots.free(&two, now);
    assert_eq!(slots.rested(now + 2 * REST), [0]);
    assert_eq!(slots.take(&asking("four", 1).record, None, now), Ok(0));
}

#[test]
fn crashed_instances_that_may_act_nowhere_give_their_slots_back() {
    let mut world = World::new();
    for incarnation in 1..=u64::from(SLOTS) {
        let service = format!("service-{}", incarnation % 2);
        let id = if incarnation == 1 { "one".to_owned() } else { format!("instance-{incarnation}") };
        let record = InstanceRecord { service, ..asking(&id, incarnation).record };
        let (who, ..) = world.register(Asking { record, ..Asking::default() });
        world.disconnect(&who);
        assert!(world.report(&who, 7), "it has the fence");
    }
    let more = || asking("two", 1);
    assert_eq!(refused(&mut world, more()), NoSlot::Taken);
    world.pass(LEASE + DRAIN);
    assert_eq!(world.tick(), (SLOTS.into(), 0));
    world.pass(FORGOTTEN - LEASE - DRAIN - SECOND);
    assert_eq!(world.tick(), (0, 0), "operators see for a while who has gone");
    world.pass(SECOND);
    assert_eq!(world.tick(), (0, SLOTS.into()));
    assert_eq!(refused(&mut world, more()), NoSlot::Resting(REST));
    world.pass(REST);
    assert_eq!(world.live.take_due(&world.fences, world.now).rested.len(), usize::from(SLOTS));
    world.register(more());
    // It was only cut off, and is back.
    let held = Asking { held: 7, holds: true, ..asking("one", 1) };
    let (one, is_told, _) = world.register(held);
    assert!(is_told && slot(&world, &one) == 1, "it writes with another slot");
}

#[test]
fn who_may_still_act_somewhere_keeps_its_slot() {
    for fences in [
        Fences { newest: Some(3), harmless: None, deleted: 0 },
        Fences { newest: Some(8), harmless: Some(8), deleted: 0 },
        Fences { newest: Some(3), harmless: Some(3), deleted: 8 },
    ] {
        let mut world = World { fences, ..World::new() };
        let (one, ..) = world.register(asking("one", 1));
        assert!(world.report(&one, 7), "it has the fence of revision 3");
        world.pass(FORGOTTEN + SECOND);
        assert_eq!(world.tick(), (1, 0));
        assert_eq!(world.tick(), (0, 0), "{fences:?}");
    }
}

/// A service in a crash loop, or whoever has its token, shuts only itself out.
#[test]
fn one_token_or_service_gets_a_part_of_the_slots() {
    let of = |token: Option<&str>, service: &str, id: &str, incarnation| {
        let credential = |token: &str| Credential { token: token.to_owned(), hash: token.to_owned() };
        let record = InstanceRecord {
            service: service.to_owned(),
            credential: token.map(credential),
            ..asking(id, incarnation).record
        };
        Asking { record, ..Asking::default() }
    };
    for (token, holder) in [(Some("orders"), "token orders"), (None, "service a")] {
        let mut world = World::new();
        let member = |at: u64| of(token, "a", &format!("a-{at}"), 1);
        let members: Vec<Who> = (1..=SHARE as u64).map(|at| world.register(member(at)).0).collect();
        // With a token, the name of the service is anybody's choice.
        let service = if token.is_some() { "b" } else { "a" };
        let more = || of(token, service, "b", 1);
        assert_eq!(refused(&mut world, more()), NoSlot::Share(holder.to_owned()));
        world.register(member(2)); // It has its slot.
        world.register(of(token.map(|_| "users"), "users", "c", 1));
        assert!(world.live.remove(&members[0], world.now));
        assert_eq!(refused(&mut world, more()), NoSlot::Share(holder.to_owned()), "a slot that rests counts");
        world.pass(REST);
        assert_eq!(world.live.take_due(&world.fences, world.now).rested, [0]);
        world.register(more());
        assert_eq!(refused(&mut world, of(token, "a", "d", 1)), NoSlot::Share(holder.to_owned()));
        // Another controller leads. It knows whose the slots are that rest.
        let resting = world.live.members[&members[1]].record.resting();
        assert!(world.live.remove(&members[1], world.now));
        let records = world.live.members.values().map(|heard| heard.record.clone()).chain([resting]);
        world.live = Live::new(records.collect(), world.now, world.steady_ms);
        assert_eq!(refused(&mut world, of(token, "a", "d", 1)), NoSlot::Share(holder.to_owned()));
    }
}

#[test]
fn a_process_with_another_token_counts_for_that() {
    let mut world = World::new();
    let by = |token: &str, at: usize| {
        let credential = Some(Credential { token: token.to_owned(), hash: token.to_owned() });
        let record = InstanceRecord { credential, ..asking(&format!("a-{at}"), 1).record };
        Asking { record, ..Asking::default() }
    };
    (0..SHARE).for_each(|at| _ = world.register(asking(&format!("a-{at}"), 1)));
    assert_eq!(refused(&mut world, asking("b", 1)), NoSlot::Share("service orders-api".to_owned()));
    // Tokens are introduced.
    (0..SHARE).for_each(|at| _ = world.register(by("orders", at)));
    assert_eq!(refused(&mut world, by("orders", SHARE)), NoSlot::Share("token orders".to_owned()));
    world.register(asking("b", 1));
}
