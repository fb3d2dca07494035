//! What a restarted controller would find, at every moment, whatever is decided in between.

use std::collections::{BTreeMap, VecDeque};

use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::{super::member::Admitted, *};

/// A change on its way to the store, and what has to be told once it is there.
#[derive(Clone, Debug)]
enum Pending {
    Registration { who: Who, record: InstanceRecord, change: u64, sent: Instant },
    CountOut { admitted: Admitted, record: InstanceRecord, change: u64 },
    Removal { admitted: Admitted, change: u64 },
    Put(InstanceRecord),
}

/// What a process knows of itself.
#[derive(Clone, Debug, Default)]
struct Process {
    admission: u64,
    /// Its last contact that was answered, since which it may act. `None`: it may not.
    acts_since: Option<Instant>,
    slot: u16,
    has_ended: bool,
}

struct Play {
    world: World,
    random: SmallRng,
    processes: BTreeMap<Who, Process>,
    store: BTreeMap<String, InstanceRecord>,
    /// In the order in which they were decided.
    queue: VecDeque<Pending>,
    /// In the store, or not, and not told yet.
    answers: Vec<(Pending, bool)>,
    due: Vec<(Admitted, bool)>,
    evicting: Vec<Admitted>,
    story: Vec<String>,
}

impl Play {
    fn new(seed: u64) -> Self {
        Self {
            world: World::new(),
            random: SmallRng::seed_from_u64(seed),
            processes: (1..=3)
                .map(|n| (Who { instance_id: format!("p{}", n % 2), incarnation: n }, Process::default()))
                .collect(),
            store: BTreeMap::new(),
            queue: VecDeque::new(),
            answers: Vec::new(),
            due: Vec::new(),
            evicting: Vec::new(),
            story: Vec::new(),
        }
    }

    fn step(&mut self) {
        let all: Vec<Who> = self.processes.keys().cloned().collect();
        let who = all.choose(&mut self.random).expect("one").clone();
        let what = self.random.random_range(0..12);
        self.story.push(format!("{what} {who:?}: {:?}", self.processes[&who]));
        match what {
            0 | 1 => self.register(&who),
            2 | 3 => self.report(&who),
            4 => self.world.pass(SECOND * self.random.random_range(1..20)),
            5 => {
                let due = self.world.live.take_due(&self.world.fences, self.world.now);
                self.due.extend(due.counted_out.into_iter().map(|admitted| (admitted, true)));
                self.due.extend(due.over.into_iter().map(|admitted| (admitted, false)));
            }
            6 => self.conclude(),
            7 => {
                let named = Dead::Named { name: who.instance_id.clone(), force: true };
                let dead = self.world.live.dead(&named, self.world.now);
                for admitted in dead {
                    self.world.live.give_up(&admitted);
                    // The operator asserts that it is dead, so nobody has to wait for it.
                    self.processes.get_mut(&admitted.who).expect("one").acts_since = None;
                    self.evicting.push(admitted);
                }
            }
            8 => self.evict(),
            9 if self.random.random_bool(0.2) => self.goodbye(&who),
            _ => self.store_one(),
        }
    }

    fn register(&mut self, who: &Who) {
        let process = &self.processes[who];
        let asking = Asking {
            admission: process.admission,
            holds: process.admission > 0,
            held: if process.admission > 0 { 7 } else { 0 },
            ..asking(&who.instance_id, who.incarnation)
        };
        if process.has_ended {
            return;
        }
        let Registering::Member { who, put, readmitted, .. } =
            self.world.live.register(asking, self.world.committed(), self.world.now)
        else {
            return;
        };
        match put {
            Some((record, change)) => {
                self.queue.push_back(Pending::Registration { who, record, change, sent: self.world.now })
            }
            None if !readmitted => self.told(&who, self.world.now),
            None => {}
        }
    }

    /// The registration is answered. Its right to act counts from when it was sent.
    fn told(&mut self, who: &Who, sent: Instant) {
        let heard = self.world.live.members.get(who).filter(|heard| !heard.has_been_given_up());
        // As in `Instances::register`.
        let Some(heard) = heard else { return };
        let process = self.processes.get_mut(who).expect("one");
        (process.admission, process.slot) = (heard.record.admission, heard.record.writer_slot);
        process.acts_since = process.acts_since.max(Some(sent));
    }

    fn report(&mut self, who: &Who) {
        let process = self.processes.get_mut(who).expect("one");
        if process.admission == 0 || process.has_ended {
            return;
        }
        let said = Acknowledging { admission: process.admission, ..said(7) };
        match self.world.live.acknowledge(who, &said, self.world.now) {
            Some(acknowledged) => {
                process.acts_since = Some(self.world.now);
                self.queue.extend(acknowledged.put.into_iter().map(Pending::Put));
            }
            // It registers again, and does nothing until that is answered.
            None => process.acts_since = None,
        }
    }

    /// The controller acts on one of the things that were due some time ago.
    fn conclude(&mut self) {
        if self.due.is_empty() {
            return;
        }
        let (admitted, is_count_out) = self.due.remove(0);
        if is_count_out {
            if let Some((record, change)) = self.world.live.begin_counting_out(&admitted) {
                self.queue.push_back(Pending::CountOut { admitted, record, change });
            }
            return;
        }
        match self.world.live.ending(&admitted, &self.world.fences, self.world.now) {
            Some(Ending::Remove) => self.begin_removal(admitted),
            Some(Ending::Park) => {
                let parked = self.world.park(&admitted.who);
                self.queue.extend(parked.map(Pending::Put));
            }
            None => {}
        }
    }

    fn begin_removal(&mut self, admitted: Admitted) {
        if let Some((_, change)) = self.world.live.begin_removal(&admitted) {
            self.queue.push_back(Pending::Removal { admitted, change });
        }
    }

    /// The history has the eviction, or a commit failed.
    fn evict(&mut self) {
        let Some(admitted) = self.evicting.pop() else { return };
        if self.random.random_bool(0.3) {
            self.world.live.keep_on(&admitted);
        } else if self.world.live.is_same(&admitted) {
            match self.world.park(&admitted.who) {
                Some(record) => self.queue.push_back(Pending::Put(record)),
                None => self.begin_removal(admitted),
            }
        }
    }

    fn goodbye(&mut self, who: &Who) {
        let process = self.processes.get_mut(who).expect("one");
        (process.has_ended, process.acts_since) = (true, None);
        if !self.world.live.members.contains_key(who) {
            return;
        }
        match self.world.goodbye(who, if self.random.random_bool(0.5) { FILE } else { Duration::ZERO }) {
            Some(record) => self.queue.push_back(Pending::Put(record)),
            None => self.begin_removal(self.world.live.members[who].admitted()),
        }
    }

    /// The store takes the next change, or answers an earlier one.
    fn store_one(&mut self) {
        if !self.answers.is_empty() && self.random.random_bool(0.5) {
            let at = self.random.random_range(0..self.answers.len());
            let (pending, is_durable) = self.answers.swap_remove(at);
            return self.answer(pending, is_durable);
        }
        let Some(pending) = self.queue.pop_front() else { return };
        self.story.push(format!("  taken: {pending:?}"));
        let (is_kept, is_told) = match self.random.random_range(0..20) {
            0 => (false, false),
            1 => (true, false),
            _ => (true, true),
        };
        if is_kept {
            match &pending {
                Pending::Registration { record, .. }
                | Pending::CountOut { record, .. }
                | Pending::Put(record) => {
                    _ = self.store.insert(record.label(), record.clone());
                }
                Pending::Removal { admitted, .. } => _ = self.store.remove(&admitted.who.label()),
            }
        }
        self.answers.push((pending, is_told));
    }

    fn answer(&mut self, pending: Pending, is_durable: bool) {
        self.story.push(format!("  answered {is_durable}: {pending:?}"));
        let Self { world, .. } = self;
        match pending {
            Pending::Registration { who, record, change, sent } => {
                world.live.registered(&who, record, change, is_durable);
                if is_durable && !self.processes[&who].has_ended {
                    self.told(&who, sent);
                }
            }
            Pending::CountOut { admitted, change, .. } => {
                _ = world.live.counted_out(&admitted, change, is_durable);
            }
            Pending::Removal { admitted, change } => {
                _ = world.live.removed(&admitted, change, is_durable, world.now);
            }
            Pending::Put(_) => {}
        }
    }

    /// Whoever may act is known after a restart, is waited for, and has a slot of its own.
    fn check(&self) -> usize {
        let mut slots = BTreeMap::new();
        for (who, process) in &self.processes {
            let Some(since) = process.acts_since else { continue };
            if self.world.now.saturating_duration_since(since) >= LEASE {
                continue;
            }
            let heard = self.world.live.members.get(who);
            let heard = heard.unwrap_or_else(|| panic!("{who:?} acts, and the controller does not know"));
            assert!(!heard.record.counted_out, "{who:?} acts, and is counted out");
            let stored = self.store.get(&who.label());
            let stored = stored.unwrap_or_else(|| panic!("{who:?} acts, and is forgotten after a restart"));
            assert!(!stored.counted_out, "{who:?} acts, and is counted out after a restart: {stored:?}");
            assert_eq!(stored.writer_slot, process.slot, "{who:?} writes with a slot that nobody knows");
            assert_eq!(slots.insert(process.slot, who), None, "two write with one slot");
        }
        slots.len()
    }
}

#[test]
fn whoever_may_act_is_known_after_a_restart_at_every_moment() {
    let mut acted = 0;
    for seed in 0..3_000 {
        let mut play = Play::new(seed);
        for step in 0..120 {
            play.step();
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play.check()));
            acted += checked.as_ref().map_or(0, |acting| *acting);
            assert!(checked.is_ok(), "seed {seed}, step {step}\n{}", play.story.join("\n"));
        }
    }
    assert!(acted > 10_000, "it was checked {acted} times of a process that acts");
}
