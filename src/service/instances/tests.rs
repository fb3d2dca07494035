//! Stories of who is waited for, with a clock that is passed in.

mod credentials;
mod durable;
mod files;
mod lost;
mod newcomers;
mod shared;
mod slots;

use std::time::Duration;

use cutover_clock::Instant;
use cutover_store::Version;

use super::{
    super::lease::{FORGOTTEN, LEASE},
    Acknowledging, Asking, Dead, Fenced, Who,
    live::{Ending, Live, Registering},
};
use crate::{
    domain::{Change, Context, Document, Fleet, Identity, Key, Policy, apply},
    service::registry::Fences,
    store::InstanceRecord,
};

const SECOND: Duration = Duration::from_secs(1);
/// The drain of [`asking`]'s records.
const DRAIN: Duration = Duration::from_secs(20);
const FILE: Duration = Duration::from_secs(600);
/// When nobody can act by such a file any more.
const FILE_OVER: Duration = Duration::from_secs(600 + 30 + 20);

struct World {
    live: Live,
    now: Instant,
    steady_ms: u64,
    fences: Fences,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        Self { live: Live::new(Vec::new(), now, 1), now, steady_ms: 1, fences: Fences::default() }.fenced(3)
    }

    /// Every migration has a fence, the newest since this revision.
    fn fenced(self, since: u64) -> Self {
        Self { fences: Fences { newest: Some(since), harmless: Some(since), deleted: 0 }, ..self }
    }

    /// Another process of the controller goes on with what the store has.
    fn restart(&mut self) {
        let records = self.live.members.values().map(|heard| heard.record.clone()).collect();
        self.live = Live::new(records, self.now, self.steady_ms);
    }

    /// The controller keeps running.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.steady_ms += time.as_millis() as u64;
        while self.now < end {
            self.now = (self.now + SECOND / 4).min(end);
            self.live.listening.look(self.now);
        }
    }

    /// The controller keeps running, and hears one process.
    fn pass_while_reporting(&mut self, time: Duration, who: &Who) {
        let end = self.now + time;
        while self.now < end {
            self.pass(SECOND);
            assert!(self.report(who, 9));
        }
    }

    /// The controller is frozen.
    fn freeze(&mut self, time: Duration) {
        self.now = self.now + time;
        self.steady_ms += time.as_millis() as u64;
        self.live.listening.look(self.now);
    }

    fn committed(&self) -> Fenced {
        Fenced { revision: 7, has_fence: self.fences.newest.is_some() }
    }

    /// Registers with an open stream.
    fn register(&mut self, asking: Asking) -> (Who, bool, bool) {
        match self.live.register(asking, self.committed(), self.now) {
            Registering::Member { who, readmitted, duplicate, put } => {
                put.into_iter().for_each(|(record, change)| self.live.registered(&who, record, change, true));
                self.live.members.get_mut(&who).expect("a member").streams += 1;
                (who, readmitted, duplicate)
            }
            Registering::Gone | Registering::NoSlot(_) => panic!("registered"),
        }
    }

    fn disconnect(&mut self, who: &Who) {
        self.live.members.get_mut(who).expect("a member").streams -= 1;
    }

    fn report(&mut self, who: &Who, applied: u64) -> bool {
        self.live.acknowledge(who, &said(applied), self.now).is_some()
    }

    fn goodbye(&mut self, who: &Who, file: Duration) -> Option<InstanceRecord> {
        self.live.goodbye(who, file.as_millis() as u32, self.now, self.steady_ms)
    }

    fn park(&mut self, who: &Who) -> Option<InstanceRecord> {
        self.live.park(who, self.now, self.steady_ms)
    }

    fn fleet(&self, document: &Document) -> Fleet {
        Fleet::new(self.live.members(Some(document), self.now))
    }

    fn lost(&self, document: &Document) -> usize {
        self.live.members(Some(document), self.now).iter().filter(|member| member.lost).count()
    }

    /// What the controller does after some time.
    fn tick(&mut self) -> (usize, usize) {
        let due = self.live.take_due(&self.fences, self.now);
        for admitted in &due.counted_out {
            let (_, change) = self.live.begin_counting_out(admitted).expect("a member");
            assert!(self.live.counted_out(admitted, change, true));
        }
        let mut removed = 0;
        for admitted in &due.over {
            match self.live.ending(admitted, &self.fences, self.now).expect("an ending") {
                Ending::Remove => {
                    assert!(self.live.remove(&admitted.who, self.now));
                    removed += 1;
                }
                Ending::Park => _ = self.park(&admitted.who).expect("it keeps a file"),
            }
        }
        (due.counted_out.len(), removed)
    }
}

fn said(applied: u64) -> Acknowledging {
    Acknowledging { received: applied, applied, admission: 0, fences: 3 }
}

fn asking(id: &str, incarnation: u64) -> Asking {
    let record = InstanceRecord {
        instance_id: id.to_owned(),
        service: "orders-api".to_owned(),
        incarnation,
        version_layout: Version::LAYOUT,
        drain_ms: DRAIN.as_millis() as u32,
        file_valid_ms: FILE.as_millis() as u32,
        ..InstanceRecord::default()
    };
    Asking { record, ..Asking::default() }
}

fn document(fence_after_ms: u32) -> Document {
    let key = Key::parse("orders").expect("a key");
    let policy = Policy { fence_after_ms, ..Policy::default() };
    let [salt, description, confirm] = [const { String::new() }; 3];
    let [source, target] = ["a", "b"].map(str::to_owned);
    let change = Change::Create { salt, source, target, description, policy, confirm };
    let fleet = Fleet::default();
    let (actor, identity) = ("operator:ada", &Identity::Unproven);
    let context =
        Context { revision: 3, now_ms: 1, steady_ms: 1, actor, identity, reason: "", fleet: &fleet };
    apply(None, &key, &change, &context).expect("legal").document.expect("a migration")
}

#[test]
fn a_frozen_controller_calls_nobody_lost() {
    let (mut world, document) = (World::new(), document(0));
    let (one, ..) = world.register(asking("one", 1));
    assert!(world.report(&one, 7));
    world.freeze(12 * SECOND);
    assert_eq!(world.lost(&document), 0, "nobody listened");
    world.pass(LEASE - SECOND);
    assert_eq!(world.lost(&document), 0);
    world.pass(2 * SECOND);
    assert_eq!(world.lost(&document), 1, "it was listened to, and nothing was heard");
}

#[test]
fn with_a_fence_whoever_stays_silent_is_counted_out_once_it_can_do_nothing_any_more() {
    let (mut world, fenced, unfenced) = (World::new(), document(5_000), document(0));
    let (one, ..) = world.register(asking("one", 1));
    assert!(world.report(&one, 7), "it has heard of the fence, which revision 3 set");
    world.pass(LEASE + DRAIN - SECOND);
    assert_eq!(world.tick(), (0, 0));
    let waited = world.live.members(Some(&fenced), world.now)[0].waited_for;
    assert_eq!(waited, Some(SECOND), "status says until when");
    world.pass(SECOND);
    assert_eq!(world.tick(), (1, 0));
    assert_eq!(world.fleet(&fenced).settled(99), 99, "nobody is waited for");
    assert_eq!(world.fleet(&unfenced).settled(99), 7, "where the right never expires it is");
    assert!(!world.report(&one, 7), "its report renews nothing: it has to register, and is told");
    let held = Asking { held: 7, holds: true, ..asking("one", 1) };
    assert!(world.register(held).1);
    assert!(world.report(&one, 7));
    assert_eq!(world.fleet(&fenced).settled(99), 7);
}

#[test]
fn who_has_not_heard_of_a_fence_is_not_counted_out_by_it() {
    let (mut world, mut document) = (World::new(), document(5_000));
    document.fenced_since = 8;
    let (one, ..) = world.register(asking("one", 1));
    assert!(world.report(&one, 7));
    world.pass(LEASE + DRAIN + SECOND);
    assert_eq!(world.tick(), (1, 0));
    assert_eq!(world.fleet(&document).settled(99), 7, "it does not know that it may not act");
}

#[test]
fn a_restarted_controller_knows_who_has_heard_of_a_fence() {
    let (mut world, document) = (World::new(), document(5_000));
    let (one, ..) = world.register(asking("one", 1));
    let acknowledged = world.live.acknowledge(&one, &said(7), world.now).expect("a member");
    let record = acknowledged.put.into_iter().next().expect("to be made durable");
    assert!(world.live.acknowledge(&one, &said(7), world.now).expect("a member").put.is_empty(), "once");
    world.live = Live::new(vec![record], world.now, world.steady_ms);
    assert_eq!(world.fleet(&document).settled(99), 0, "nothing is acknowledged yet");
    world.pass(LEASE + DRAIN);
    assert_eq!(world.tick(), (1, 0));
    assert_eq!(world.fleet(&document).settled(99), 99);
    assert!(!world.report(&one, 7), "it was given up by the restarted one, too");
}

#[test]
fn whoever_holds_a_snapshot_and_is_unknown_is_told_until_it_says_that_it_was() {
    let mut world = World::new();
    let held = || Asking { held: 7, holds: true, ..asking("one", 1) };
    assert!(world.register(held()).1, "whatever was forgotten of it");
    let admission = world.live.members.values().next().expect("a member").record.admission;
    let lost = Asking { admission: admission ^ 1, ..held() };
    assert!(world.register(lost).1, "the answer was lost: it still believes in an earlier membership");
    let admission = world.live.members.values().next().expect("a member").record.admission;
    let told = Asking { admission, ..held() };
    assert!(!world.register(told).1);
    assert!(!world.register(asking("two", 2)).1, "who never held one has nothing to end");
}

#[test]
fn two_processes_with_one_id_are_two_members_with_two_slots() {
    let (mut world, document) = (World::new(), document(0));
    let (first, _, duplicate) = world.register(asking("one", 1));
    assert!(!duplicate);
    let (second, _, duplicate) = world.register(asking("one", 2));
    assert!(duplicate && world.live.is_duplicate(&first));
    let slots: Vec<u16> = world.live.members.values().map(|heard| heard.record.writer_slot).collect();
    assert!(slots[0] != slots[1], "{slots:?}");
    assert!(world.report(&first, 7) && world.report(&second, 9));
    assert_eq!(world.fleet(&document).settled(99), 7, "neither acknowledges for the other");
    assert_eq!(world.live.who("one", 0), None, "a report that does not say which is refused");
    assert_eq!(world.live.who("one", 2), Some(second));
}

#[test]
fn a_process_that_follows_another_under_its_id_replaces_it_once_that_is_not_connected() {
    let (mut world, document) = (World::new(), document(0));
    let record = InstanceRecord { file_valid_ms: 0, ..asking("one", 1).record };
    let (first, ..) = world.register(Asking { record, ..Asking::default() });
    assert!(world.report(&first, 7));
    world.disconnect(&first);
    let (second, _, duplicate) = world.register(asking("one", 2));
    assert!(!duplicate && world.report(&second, 9));
    assert_eq!(world.fleet(&document).settled(99), 7, "a moment without a stream is no death");
    world.pass_while_reporting(LEASE + SECOND, &second);
    assert_eq!(world.tick().1, 1);
    assert_eq!(world.fleet(&document).settled(99), 9);
    // A goodbye of the first process that was in flight says nothing about the second.
    assert_eq!(world.live.who("one", 1), None);
}

#[test]
fn a_replaced_process_that_left_a_file_is_waited_for_until_that_has_expired() {
    let (mut world, document) = (World::new(), document(0));
    world.fences = Fences::default();
    let (first, ..) = world.register(asking("one", 1));
    assert!(world.report(&first, 7));
    world.disconnect(&first);
    let (second, ..) = world.register(asking("one", 2));
    world.pass_while_reporting(LEASE + SECOND, &second);
    assert_eq!(world.tick(), (0, 0));
    assert_eq!(world.fleet(&document).settled(99), 7, "somebody may start from its file");
    world.pass_while_reporting(FILE_OVER - LEASE - 2 * SECOND, &second);
    assert_eq!(world.tick(), (0, 0));
    world.pass(SECOND);
    assert_eq!(world.tick(), (0, 1));
    assert_eq!(world.fleet(&document).settled(99), 9);
}

#[test]
fn who_has_said_goodbye_does_not_come_back_by_a_registration_that_was_under_way() {
    let mut world = World::new();
    let (one, ..) = world.register(asking("one", 1));
    assert!(world.goodbye(&one, Duration::ZERO).is_none());
    assert!(world.live.remove(&one, world.now));
    assert!(matches!(world.live.register(asking("one", 1), world.committed(), world.now), Registering::Gone));
    assert!(matches!(
        world.live.register(asking("one", 2), world.committed(), world.now),
        Registering::Member { .. }
    ));
}

#[test]
fn goodbye_with_a_file_is_waited_for_until_the_file_has_expired() {
    let (mut world, fenced, unfenced) = (World::new(), document(5_000), document(0));
    world.fences.harmless = None;
    let (one, ..) = world.register(asking("one", 1));
    assert!(world.report(&one, 7));
    let parked = world.goodbye(&one, FILE).expect("it stays");
    assert!(parked.parked);
    assert_eq!((world.lost(&unfenced), world.fleet(&unfenced).settled(99)), (0, 7));
    world.pass(LEASE + DRAIN);
    assert_eq!(world.lost(&unfenced), 1);
    assert_eq!(world.tick(), (1, 0), "with a fence its file is of no use after that");
    assert_eq!((world.fleet(&fenced).settled(99), world.fleet(&unfenced).settled(99)), (99, 7));
    world.pass(FILE_OVER - LEASE - DRAIN - SECOND);
    assert_eq!(world.tick(), (0, 0));
    world.pass(SECOND);
    assert_eq!(world.tick(), (0, 1));
    assert_eq!(world.fleet(&unfenced).settled(99), 99);
}

#[test]
fn an_evicted_instance_that_keeps_a_file_is_waited_for_until_that_has_expired() {
    let (mut world, unfenced) = (World::new(), document(0));
    let (one, ..) = world.register(asking("one", 1));
    assert!(world.report(&one, 7));
    assert!(world.park(&one).is_some_and(|record| record.parked));
    assert!(!world.report(&one, 8), "if it lives it has to register, and is told");
    assert!(world.park(&one).is_none(), "evicted again, it is gone");
    world.pass(FILE_OVER);
    assert_eq!(world.fleet(&unfenced).settled(99), 7);
    assert_eq!(world.tick(), (0, 1));
    assert_eq!(world.fleet(&unfenced).settled(99), 99);
}

#[test]
fn of_two_processes_with_one_id_the_lost_one_can_be_evicted_although_it_left_a_file() {
    let mut world = World::new();
    let (ended, ..) = world.register(asking("one", 1));
    let (running, ..) = world.register(asking("one", 2));
    world.goodbye(&ended, FILE).expect("it stays");
    world.pass(LEASE + SECOND);
    assert!(world.report(&running, 7));
    let lost = |id: &str| Dead::Lost {
        instance_id: id.to_owned(),
        older_than: Duration::ZERO,
        service: String::new(),
    };
    let dead = |dead: &Dead| -> Vec<Who> {
        world.live.dead(dead, world.now).into_iter().map(|admitted| admitted.who).collect()
    };
    assert_eq!(dead(&lost("")), [], "its file has not expired");
    assert_eq!(dead(&lost("one")), std::slice::from_ref(&ended));
    assert_eq!(dead(&lost("two")), []);
    let named = |force| Dead::Named { name: "one".to_owned(), force };
    assert_eq!(dead(&named(false)), std::slice::from_ref(&ended), "the other one is alive");
    assert_eq!(dead(&named(true)), [ended, running]);
}

#[test]
fn a_report_of_a_membership_that_was_given_up_renews_nothing() {
    let mut world = World::new();
    let (one, ..) = world.register(asking("one", 1));
    let first = world.live.members[&one].record.admission;
    assert!(world.report(&one, 7));
    world.pass(LEASE + DRAIN);
    assert_eq!(world.tick(), (1, 0));
    assert!(world.register(Asking { admission: first, holds: true, held: 7, ..asking("one", 1) }).1);
    let late = Acknowledging { admission: first, ..said(7) };
    assert!(world.live.acknowledge(&one, &late, world.now).is_none(), "its answer has not been heard yet");
    let told = Acknowledging { admission: world.live.members[&one].record.admission, ..said(7) };
    assert!(world.live.acknowledge(&one, &told, world.now).is_some());
}

#[test]
fn who_is_about_to_be_counted_out_renews_nothing_and_who_comes_back_meanwhile_is_told() {
    let (mut world, document) = (World::new(), document(5_000));
    let (one, ..) = world.register(asking("one", 1));
    let admission = world.live.members[&one].record.admission;
    assert!(world.report(&one, 7));
    world.pass(LEASE + DRAIN);
    let due = world.live.take_due(&world.fences, world.now);
    assert_eq!(due.counted_out.len(), 1);
    // The store is slow.
    assert!(!world.report(&one, 7));
    assert_eq!(world.fleet(&document).settled(99), 7, "it is waited for until it is counted out");
    assert!(world.register(Asking { admission, holds: true, held: 7, ..asking("one", 1) }).1);
    assert!(world.live.begin_counting_out(&due.counted_out[0]).is_none(), "too late");
    assert!(!world.live.counted_out(&due.counted_out[0], 2, true));
    assert_eq!(world.fleet(&document).settled(99), 0, "it is a member, and has acknowledged nothing");
}
