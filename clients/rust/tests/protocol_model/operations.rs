//! Clients: reads and writes run by the SDK's own rules, one store call at a time.

use cutover_client::{
    migrator::rules::{
        Answer, Condition, OperationStep, Pair, Read, ReadCall, ReadEnd, Write, WriteCall, WriteEnd,
        WriteOutcome, query_store,
    },
    report::StoreRole::{self, Source, Target},
    routing::{Level, Rung, coexist},
    store::{Put, Version},
};

use crate::{
    coverage::Branch,
    mutation::Omission,
    protocol::Protocol,
    put_if::{NEVER, based},
    state::{DELETED, Doing, Ladder, Late, Promise, Record, State, When, Work, Writing},
    stores::Fate,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Read,
    Query,
    Put,
    /// Of a record that expires.
    Expiring,
    Delete,
    Mutate,
    /// With the content that its caller expects.
    PutIf(u8),
    /// A mutation that keeps the record: as a `put_if` of what is never there, but no rung refuses it.
    Keep,
}

type ReadStep = OperationStep<Read, ReadCall, ReadEnd>;
pub(crate) type WriteStep = OperationStep<Write, WriteCall, WriteEnd>;

impl Protocol {
    /// An idle client begins an operation under the revision that it has received.
    pub(crate) fn begin(&self, state: &State, client: usize, kind: Kind) -> Option<State> {
        let mut after = state.clone();
        let heard = after.clients[client].heard;
        let gone_back = after.clients[client].gone_back;
        let revision = after.ladder.route(&after.clients[client]);
        let work = match kind {
            Kind::Read => {
                let confirmed = !self.has(Omission::NotConfirmed);
                let level = if confirmed { self.scenario.level } else { Level::Acknowledged };
                let OperationStep::Call(state, call) =
                    Read::begin(revision.rung, self.target_alone(revision.no_fallback), level)?
                else {
                    return None;
                };
                Work::Read { state, call }
            }
            Kind::Query => {
                // One call to one store: a read where only that store is live.
                let alone = match self.query_store(revision.rung)? {
                    Source => Rung::SourceOnly,
                    Target => Rung::TargetOnly,
                };
                let OperationStep::Call(state, call) = Read::begin(alone, false, Level::Acknowledged)? else {
                    return None;
                };
                Work::Read { state, call }
            }
            Kind::Put | Kind::Expiring | Kind::Delete | Kind::Mutate | Kind::PutIf(_) | Kind::Keep => {
                let expected = match kind {
                    Kind::PutIf(_) if !self.may_put_if(revision) => return None,
                    Kind::PutIf(content) => Some(content),
                    Kind::Keep => Some(NEVER),
                    _ => None,
                };
                let compare = kind == Kind::Mutate || expected.is_some();
                // Numbered only if the order of all operations is checked.
                let number = if self.ordered() { after.free_number() } else { 0 };
                let content = if kind == Kind::Delete { DELETED } else { number.max(1) };
                let record = Record { version: Version::ZERO, content, expires: kind == Kind::Expiring };
                let write = Writing { number, record, compare, expected, base: None, sent: false };
                let step = Write::begin(revision.rung, self.target_alone(revision.no_fallback), compare)?;
                let OperationStep::Call(state, call) = self.unobserved(step, revision.rung, compare) else {
                    return None;
                };
                Work::Write { state, call, write }
            }
        };
        let (acknowledged, read) = (after.history.acknowledged, after.history.read);
        let leased = true;
        let doing =
            Doing { begun: heard, gone_back, leased, work, source: None, target: None, acknowledged, read };
        after.clients[client].doing = Some(doing);
        Some(after)
    }

    /// The client's operation makes its next call. `stamp`: of the put that stamps, if it is one.
    pub(crate) fn call(&self, state: &State, client: usize, stamp: Version, fate: Fate) -> Option<State> {
        let mut after = state.clone();
        if !fate.pay(&mut after) {
            return None;
        }
        let mut doing = after.clients[client].doing.take()?;
        let rung = after.ladder.rung_of(&doing);
        match doing.work.clone() {
            Work::Read { state: read, call } => {
                let answer = match call {
                    ReadCall::Get(store) => get(&after, &mut doing, store, fate),
                    ReadCall::Copy => self.copy(&mut after, &doing, fate),
                };
                self.note_read_answer(rung, call, answer);
                let step = self.read_step(read, rung, call, answer);
                match step {
                    OperationStep::Call(state, call) => {
                        doing.work = Work::Read { state, call };
                        after.clients[client].doing = Some(doing);
                    }
                    OperationStep::End(end) => self.end_read(&mut after, client, doing, end),
                }
            }
            Work::Write { state: write, call, write: mut writing } => {
                let answer = match call {
                    WriteCall::Get(store) => get(&after, &mut doing, store, fate),
                    WriteCall::Copy => {
                        self.coverage.note(Branch::MismatchConfirmed);
                        self.copy(&mut after, &doing, fate)
                    }
                    WriteCall::Put { .. } | WriteCall::Mirror => {
                        let put = self.write_put(&after.ladder, &mut writing, &doing, call, stamp);
                        let answer = self.put(&mut after, put, fate);
                        let is_there = call == WriteCall::Mirror || answer != Answer::Put(Put::Present);
                        writing.sent |=
                            is_there && !matches!(answer, Answer::Put(Put::Stale(_)) | Answer::NotApplied);
                        answer
                    }
                };
                let step = self.write_step(write, &writing, rung, call, answer);
                match self.compared(step, &mut doing, &mut writing) {
                    OperationStep::Call(state, call) => {
                        if !writing.compare {
                            // Only the rules need to know what it has observed.
                            (doing.source, doing.target) = (None, None);
                        }
                        doing.work = Work::Write { state, call, write: writing };
                        after.clients[client].doing = Some(doing);
                    }
                    OperationStep::End(end) => self.end_write(&mut after, client, &doing, &writing, end),
                }
            }
        }
        Some(after)
    }

    /// The client dies; its current put may still land.
    pub(crate) fn crash(&self, state: &State, client: usize, late: Option<Version>) -> Option<State> {
        let mut after = state.clone();
        self.die(&mut after, client, late)?;
        after.clients.remove(client);
        // The others move up one place.
        for order in &mut after.history.orders {
            order.reads[client..].rotate_left(1);
        }
        Some(after)
    }

    /// The end of a process in the middle of an operation.
    pub(crate) fn die(&self, after: &mut State, client: usize, late: Option<Version>) -> Option<()> {
        after.budget.crashes = after.budget.crashes.checked_sub(1)?;
        let doing = after.clients[client].doing.take()?;
        self.coverage.note(Branch::Crashed);
        let Work::Write { call, write, .. } = &doing.work else {
            after.history.unread(client);
            return Some(());
        };
        let mut write = write.clone();
        if let Some(stamp) = late {
            after.budget.late = after.budget.late.checked_sub(1)?;
            let put = if *call == WriteCall::Copy {
                self.copying(&after.ladder, &doing)
            } else {
                write.sent = true;
                self.write_put(&after.ladder, &mut write, &doing, *call, stamp)
            };
            after.late.push(put);
        }
        self.unanswered(after, &write);
        if write.expected.is_some() {
            after.history.unread(client);
        }
        Some(())
    }

    /// Copies what the source has answered to the target.
    fn copy(&self, after: &mut State, doing: &Doing, fate: Fate) -> Answer {
        let put = self.copying(&after.ladder, doing);
        self.put(after, put, fate)
    }

    fn copying(&self, ladder: &Ladder, doing: &Doing) -> Late {
        let record = doing.source.expect("the rules copy only what was read");
        let drained = ladder.is_drained(doing.begun);
        Late { store: Target, record, when: self.copied_when(), target_only: false, drained }
    }

    fn query_store(&self, rung: Rung) -> Option<StoreRole> {
        match rung {
            Rung::TargetFirst if self.has(Omission::QueriesSourceAtTargetFirst) => Some(Source),
            Rung::Mirrored if self.has(Omission::QueriesTargetAtMirrored) => Some(Target),
            rung => query_store(rung),
        }
    }

    fn read_step(&self, read: Read, rung: Rung, call: ReadCall, answer: Answer) -> ReadStep {
        let failed = matches!(answer, Answer::NotApplied | Answer::Indeterminate);
        let target_failed = failed && call == ReadCall::Get(Target) && rung == Rung::TargetFirst;
        if target_failed && self.has(Omission::SourceOnTargetsError) {
            return Read::begin(Rung::SourceOnly, false, Level::Acknowledged).expect("it is no hold");
        }
        match read.step(answer) {
            OperationStep::Call(read, ReadCall::Copy)
                if rung == Rung::TargetFirst && self.has(Omission::FallbackWithoutCopy) =>
            {
                read.step(Answer::Put(Put::Applied))
            }
            step => step,
        }
    }

    fn write_step(
        &self,
        write: Write,
        writing: &Writing,
        rung: Rung,
        call: WriteCall,
        answer: Answer,
    ) -> WriteStep {
        if let (WriteCall::Mirror, Answer::Put(Put::Stale(_))) = (call, answer) {
            self.coverage.note(Branch::StaleAtTarget);
            if self.has(Omission::Restamped) {
                return Write::begin(rung, false, writing.compare).expect("it is no hold");
            }
        }
        if let (WriteCall::Put { .. }, Answer::Put(Put::Stale(_))) = (call, answer) {
            self.coverage.note(Branch::StaleAtFirst);
        }
        if let (WriteCall::Put { .. }, Answer::Put(Put::Present)) = (call, answer) {
            self.coverage.note(Branch::PresentAtFirst);
            if self.has(Omission::OthersVersion) {
                return write.step(Answer::Put(Put::Applied));
            }
        }
        self.unobserved(write.step(answer), rung, writing.compare)
    }

    /// With the mutation: as if the target had been read, and had nothing.
    fn unobserved(&self, step: WriteStep, rung: Rung, compare: bool) -> WriteStep {
        match step {
            OperationStep::Call(write, WriteCall::Get(Target))
                if rung == Rung::TargetFirst && !compare && self.has(Omission::TargetNotObserved) =>
            {
                write.step(Answer::Got(None))
            }
            step => step,
        }
    }

    /// The put of a write, with its stamp.
    fn write_put(
        &self,
        ladder: &Ladder,
        writing: &mut Writing,
        doing: &Doing,
        call: WriteCall,
        stamp: Version,
    ) -> Late {
        let rung = ladder.rung_of(doing);
        let target_only = rung == Rung::TargetOnly;
        let both = rung != Rung::SourceOnly && !target_only;
        let swapped = both && self.has(Omission::TargetFirstSourceSecond);
        let (store, when) = match call {
            WriteCall::Put { store, condition, .. } => {
                writing.record.version = stamp;
                if let Condition::Unchanged { base, .. } = condition {
                    writing.base = Some(based(doing, base));
                }
                let newer = writing.expected.is_some() && self.has(Omission::PutIfNewer);
                (store, When::Rules(if newer { Condition::Newer } else { condition }))
            }
            WriteCall::Mirror if self.has(Omission::UnconditionalMirror) => (Target, When::Always),
            WriteCall::Mirror => (Target, When::Rules(Condition::Newer)),
            WriteCall::Copy | WriteCall::Get(_) => unreachable!("it is no put of the write's own"),
        };
        let store = if swapped { Self::other(store) } else { store };
        let drained = ladder.is_drained(doing.begun);
        Late { store, record: writing.record, when, target_only, drained }
    }

    fn end_read(&self, after: &mut State, client: usize, doing: Doing, end: ReadEnd) {
        let ladder = &after.ladder;
        let (begun, now) = (ladder.rung_of(&doing), ladder.route(&after.clients[client]).rung);
        self.note_read(begun, end);
        let ReadEnd::Return(from, _) = end else {
            return after.history.unread(client);
        };
        if !coexist(begun, now) || !self.may_acknowledge(&after.clients[client], &doing) {
            self.coverage.note(Branch::ReadOvertaken);
            return after.history.unread(client);
        }
        let record = match from {
            Some(Source) => doing.source,
            Some(Target) => doing.target,
            None => None,
        };
        after.broken = after.history.lost(doing.acknowledged, after.found(record)).or(after.broken);
        if !self.linearizable() {
            // Reads may be behind the order.
            return after.history.unread(client);
        }
        let version = record.map_or(Version::ZERO, |record| record.version);
        if version < doing.read {
            after.broken.get_or_insert(Promise::ReadsOnward);
        }
        after.history.read = after.history.read.max(version);
        let content = record.map_or(DELETED, |record| record.content);
        self.returned(after, client, doing, content);
    }

    fn end_write(&self, after: &mut State, client: usize, doing: &Doing, writing: &Writing, end: WriteEnd) {
        let ladder = &after.ladder;
        let (begun, now) = (ladder.rung_of(doing), ladder.route(&after.clients[client]).rung);
        let overtaken = !coexist(begun, now) || !self.may_acknowledge(&after.clients[client], doing);
        let outcome = if overtaken { end.outcome.overtaken() } else { end.outcome };
        self.coverage.note(match (overtaken, outcome, end.pair) {
            (true, _, _) => Branch::WriteOvertaken,
            (_, WriteOutcome::Acknowledged, None) => Branch::Acknowledged,
            (_, WriteOutcome::Acknowledged, Some(Pair::OnlyTargetFailed)) => {
                Branch::AcknowledgedWithoutTarget
            }
            (_, WriteOutcome::Acknowledged, _) => Branch::AcknowledgedByBoth,
            (_, WriteOutcome::Indeterminate, _) => Branch::Indeterminate,
            (_, WriteOutcome::NotApplied, _) => Branch::NotApplied,
            (_, WriteOutcome::Kept, _) => Branch::Mismatch,
        });
        match outcome {
            WriteOutcome::Acknowledged => {
                let version = writing.record.version;
                if doing.acknowledged.is_some_and(|acknowledged| version <= acknowledged.version) {
                    after.broken = Some(Promise::InRealTime);
                }
                after.history.raise(writing.record);
                if self.ordered() {
                    after.history.acknowledge(&after.clients, writing.effect());
                    if after.history.orders.is_empty() {
                        after.broken.get_or_insert(Promise::Linearizable);
                    }
                }
            }
            WriteOutcome::NotApplied => {
                let never = Writing { sent: false, ..writing.clone() };
                self.unanswered(after, &never);
            }
            WriteOutcome::Indeterminate => self.unanswered(after, writing),
            WriteOutcome::Kept => {
                let found = writing.base.expect("a put_if keeps what it has compared");
                // Only what it has compared is left. Its caller may know it for its own: from now on it stays.
                let record = doing.source.or(doing.target);
                after.broken = after.history.lost(doing.acknowledged, after.found(record)).or(after.broken);
                record.into_iter().for_each(|record| after.history.raise(record));
                self.returned(after, client, doing.clone(), found);
            }
        }
        if writing.expected.is_some() {
            after.history.unread(client);
        }
    }
}

fn get(state: &State, doing: &mut Doing, store: StoreRole, fate: Fate) -> Answer {
    if fate != Fate::Answered {
        return Answer::NotApplied;
    }
    let mut stores = state.stores;
    let held = *stores.held(store);
    *(match store {
        Source => &mut doing.source,
        Target => &mut doing.target,
    }) = held;
    Answer::Got(state.seen(held))
}
