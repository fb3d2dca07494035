//! One record, two clients and a worker that copies, moving up and down the ladder. Every choice (who moves,
//! what the store answers, which version a stamp gets) comes from outside.

use std::collections::HashSet;

use cutover_client::{
    migrator::rules::{
        Answer, Condition, OperationStep, Read, ReadCall, ReadEnd, Seen, Write, WriteCall, WriteEnd,
        WriteOutcome,
    },
    report::StoreRole::{self, Source, Target},
    routing::{Level, Rung, coexist},
    store::{Put, Version},
};

/// What the controller leaves out, to see that it is noticed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Careless {
    /// Steps up do not wait for operations of the rung before.
    pub(crate) no_barrier: bool,
    /// No pass before target-first.
    pub(crate) no_pass: bool,
    /// No reverse pass on the way down from target-only.
    pub(crate) no_reverse: bool,
}

type Held = Option<Seen>;

/// A put that may still land.
#[derive(Clone, Copy)]
struct Late {
    store: StoreRole,
    record: Seen,
    condition: Condition,
    /// Made in target-only: the way down waits for it.
    target_only: bool,
}

enum Doing {
    Read { state: Read, call: ReadCall },
    Write { state: Write, call: WriteCall, record: Seen },
}

struct Running {
    rung: Rung,
    doing: Doing,
    source: Held,
    target: Held,
    /// Highest version acknowledged, and highest one read, when it began.
    acknowledged: u64,
    read: u64,
}

pub(crate) struct Simulation<C> {
    choices: C,
    careless: Careless,
    level: Level,
    rung: Rung,
    no_fallback: bool,
    /// Came down from target-only, and the source has not caught up yet.
    floor: bool,
    source: Held,
    target: Held,
    clients: [Option<Running>; 2],
    late: Vec<Late>,
    stamps: HashSet<u64>,
    acknowledged: u64,
    read: u64,
    /// What the run reached, so that a test can check that it reached everything.
    pub(crate) visited: HashSet<&'static str>,
}

const LADDER: [Rung; 5] = [Rung::SourceOnly, Rung::Dual, Rung::Mirrored, Rung::TargetFirst, Rung::TargetOnly];

impl<C: Iterator<Item = u8>> Simulation<C> {
    pub(crate) fn new(choices: C, level: Level, careless: Careless) -> Self {
        Self {
            choices,
            careless,
            level,
            rung: Rung::SourceOnly,
            no_fallback: false,
            floor: false,
            // From before the migration: no version.
            source: Some(Seen { version: Version::ZERO, tombstone: false }),
            target: None,
            clients: [None, None],
            late: Vec::new(),
            stamps: HashSet::new(),
            acknowledged: 0,
            read: 0,
            visited: HashSet::new(),
        }
    }

    /// Runs until the choices are used up; returns the first broken promise.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        while let Some(choice) = self.choices.next() {
            match choice % 16 {
                0..=11 => {
                    let client = usize::from(choice % 2);
                    match self.clients[client].take() {
                        Some(running) => self.advance(client, running)?,
                        None => self.begin(client),
                    }
                }
                12 | 13 => self.step_up(),
                14 => self.step_down(),
                _ => self.land_one(),
            }
        }
        Ok(())
    }

    fn pick(&mut self, of: u8) -> u8 {
        self.choices.next().unwrap_or(0) % of
    }

    fn begin(&mut self, client: usize) {
        let kind = self.pick(5);
        let doing = if kind < 2 {
            match Read::begin(self.rung, self.no_fallback, self.level) {
                Some(OperationStep::Call(state, call)) => Doing::Read { state, call },
                _ => return,
            }
        } else {
            match Write::begin(self.rung, self.no_fallback, kind == 2) {
                Some(OperationStep::Call(state, call)) => {
                    let record = Seen { version: Version::ZERO, tombstone: kind == 3 };
                    Doing::Write { state, call, record }
                }
                _ => return,
            }
        };
        let (acknowledged, read) = (self.acknowledged, self.read);
        self.clients[client] =
            Some(Running { rung: self.rung, doing, source: None, target: None, acknowledged, read });
    }

    fn advance(&mut self, client: usize, mut running: Running) -> Result<(), String> {
        match running.doing {
            Doing::Read { state, call } => {
                let answer = match call {
                    ReadCall::Get(store) => self.get(&mut running, store),
                    ReadCall::Copy => {
                        let record = running.source.expect("was read");
                        self.put(running.rung, Target, record, Condition::Newer)
                    }
                };
                match state.step(answer) {
                    OperationStep::Call(state, call) => running.doing = Doing::Read { state, call },
                    OperationStep::End(end) => return self.end_read(&running, end),
                }
            }
            Doing::Write { state, call, mut record } => {
                let answer = match call {
                    WriteCall::Get(store) => self.get(&mut running, store),
                    WriteCall::Put { store, above, condition } => {
                        record.version = self.stamp(above);
                        self.put(running.rung, store, record, condition)
                    }
                    WriteCall::Copy => unreachable!("only a mutation that writes nothing copies"),
                    WriteCall::Mirror => self.put(running.rung, Target, record, Condition::Newer),
                };
                match state.step(answer) {
                    OperationStep::Call(state, call) => running.doing = Doing::Write { state, call, record },
                    OperationStep::End(end) => return self.end_write(&running, end, record),
                }
            }
        }
        self.clients[client] = Some(running);
        Ok(())
    }

    fn end_read(&mut self, running: &Running, end: ReadEnd) -> Result<(), String> {
        let ReadEnd::Return(from, _) = end else { return Ok(()) };
        if !coexist(running.rung, self.rung) {
            self.visited.insert("read overtaken");
            return Ok(());
        }
        let held = match from {
            Some(Source) => running.source,
            Some(Target) => running.target,
            None => None,
        };
        let version = held.map_or(0, |held| held.version.0);
        self.visited.insert("read");
        if version < running.acknowledged {
            return Err(format!(
                "read {version} at {:?}, {} was acknowledged",
                running.rung, running.acknowledged
            ));
        }
        if self.level == Level::Linearizable && version < running.read {
            return Err(format!("read {version} at {:?}, {} was read before", running.rung, running.read));
        }
        self.read = self.read.max(version);
        Ok(())
    }

    fn end_write(&mut self, running: &Running, end: WriteEnd, record: Seen) -> Result<(), String> {
        let overtaken = !coexist(running.rung, self.rung);
        let outcome = if overtaken { end.outcome.overtaken() } else { end.outcome };
        let version = record.version.0;
        if outcome != WriteOutcome::Acknowledged {
            self.visited.insert(if overtaken { "write overtaken" } else { "write failed" });
            return Ok(());
        }
        self.visited.insert("acknowledged");
        if version <= running.acknowledged {
            return Err(format!("wrote {version} at {:?} after {}", running.rung, running.acknowledged));
        }
        self.acknowledged = self.acknowledged.max(version);
        Ok(())
    }

    fn get(&mut self, running: &mut Running, store: StoreRole) -> Answer {
        if self.pick(16) == 0 {
            return Answer::NotApplied;
        }
        let held = *self.held(store);
        match store {
            Source => running.source = held,
            Target => running.target = held,
        }
        Answer::Got(held)
    }

    fn put(&mut self, rung: Rung, store: StoreRole, record: Seen, condition: Condition) -> Answer {
        let late = Late { store, record, condition, target_only: rung == Rung::TargetOnly };
        match self.pick(12) {
            0 => Answer::NotApplied,
            1 => {
                self.land(late);
                Answer::Indeterminate
            }
            2 => {
                self.late.push(late);
                Answer::Indeterminate
            }
            _ => Answer::Put(self.land(late)),
        }
    }

    fn land(&mut self, put: Late) -> Put {
        let held = self.held(put.store);
        let current = held.map(|held| held.version);
        let applies = match put.condition {
            Condition::Newer => current.is_none_or(|current| put.record.version > current),
            Condition::Unchanged { expected, .. } => current == expected,
        };
        if applies {
            *held = Some(put.record);
        }
        match current {
            Some(current) if !applies && current != put.record.version => Put::Stale(current),
            Some(_) if !applies => Put::Present,
            None if !applies => Put::Stale(Version::ZERO),
            _ => Put::Applied,
        }
    }

    fn land_one(&mut self) {
        if !self.late.is_empty() {
            let at = usize::from(self.pick(self.late.len() as u8));
            let late = self.late.remove(at);
            self.land(late);
            self.visited.insert("landed late");
        }
    }

    /// Any unused version above `above`; clocks are not to be trusted.
    fn stamp(&mut self, above: Version) -> Version {
        let mut version = above.0 + 1 + u64::from(self.pick(4));
        while !self.stamps.insert(version) {
            version += 1;
        }
        Version(version)
    }

    fn quiesced(&self) -> bool {
        self.careless.no_barrier || self.clients.iter().flatten().all(|running| running.rung == self.rung)
    }

    /// One rung up, past its gates.
    fn step_up(&mut self) {
        let at = LADDER.iter().position(|rung| *rung == self.rung).expect("on the ladder");
        let Some(next) = LADDER.get(at + 1) else { return };
        if !self.quiesced() {
            return;
        }
        if matches!(next, Rung::TargetFirst | Rung::TargetOnly) && !self.careless.no_pass {
            // The whole pass at once; what is in flight continues after it.
            let Some(record) = self.source else { return };
            let pass = Late { store: Target, record, condition: Condition::Newer, target_only: false };
            self.land(pass);
        }
        self.rung = *next;
        match next {
            Rung::TargetOnly => (self.no_fallback, self.floor) = (true, true),
            Rung::TargetFirst => self.no_fallback = false,
            _ => {}
        }
        self.visited.insert(next.name());
    }

    fn step_down(&mut self) {
        let at = LADDER.iter().position(|rung| *rung == self.rung).expect("on the ladder");
        let Some(below) = at.checked_sub(1) else { return };
        match self.rung {
            Rung::TargetOnly if !self.quiesced() => return,
            Rung::TargetFirst if self.floor => {
                if !self.careless.no_reverse {
                    let waits = self.late.iter().any(|late| late.target_only);
                    if !self.quiesced() || waits {
                        return;
                    }
                    if let Some(record) = self.target {
                        let condition = Condition::Newer;
                        self.land(Late { store: Source, record, condition, target_only: false });
                    }
                }
                (self.floor, self.no_fallback) = (false, false);
                self.visited.insert("reversed");
            }
            // Down to dual with operations of target-first in flight: they will be overtaken. If reads must
            // not go back, a hold lets them end first.
            Rung::Mirrored if self.level == Level::Linearizable && !self.quiesced() => return,
            _ => {}
        }
        self.rung = LADDER[below];
        self.visited.insert("down");
    }

    fn held(&mut self, store: StoreRole) -> &mut Held {
        match store {
            Source => &mut self.source,
            Target => &mut self.target,
        }
    }
}
