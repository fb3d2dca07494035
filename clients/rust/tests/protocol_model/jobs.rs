//! Workers: a pass over the record reads it from one store, later writes it to the other, and counts as
//! evidence if it began late enough.

use cutover_client::{
    migrator::rules::{Answer, Condition},
    report::StoreRole::{Source, Target},
    routing::Rung,
    store::{Put, Version},
};

use crate::{
    coverage::Branch,
    mutation::Omission,
    protocol::Protocol,
    state::{DELETED, Job, Late, ModelPass, Record, State, When},
    stores::Fate,
};

impl Protocol {
    /// A worker begins a pass by reading the record. What is read immediately is as old as it can be.
    pub(crate) fn begin_pass(&self, state: &State, pass: ModelPass) -> Option<State> {
        let mut after = state.clone();
        after.budget.passes = after.budget.passes.checked_sub(1)?;
        let ladder = &state.ladder;
        let rung = ladder.rung();
        let early = self.has(Omission::PassBegunEarly);
        let for_target_first = match pass {
            ModelPass::Full | ModelPass::SourceWins => early || self.settled(state, ladder.mirrored_since),
            ModelPass::Sweep => self.may_sweep(state),
            ModelPass::Reverse => false,
        };
        if pass == ModelPass::Reverse && self.scenario.foreign && !self.has(Omission::ReverseBesideSourceWins)
        {
            return None;
        }
        let for_target_only = pass == ModelPass::Full && self.settled(state, ladder.target_first_since);
        let landed = !state.late.iter().any(|late| late.target_only);
        let for_mirrored = pass == ModelPass::Reverse
            && rung == Rung::TargetFirst
            && ladder.floor
            && (self.settled(state, Some(ladder.since)) && landed || self.has(Omission::ReverseEarly));
        let counts = for_target_first || for_target_only || for_mirrored;
        if !counts && !self.scenario.early_passes {
            return None;
        }
        if pass == ModelPass::SourceWins {
            let reads_source = rung <= Rung::Mirrored && !ladder.floor;
            if !reads_source && !self.has(Omission::SourceWinsAnywhere) || state.stores.target.is_none() {
                return None;
            }
            // Before the foreign record was written, or by a copy, which does not compare.
            after.ladder.full_since_mirrored = self.has(Omission::RepairKeepsEvidence);
        }
        if pass == ModelPass::Full && self.scenario.foreign && state.stores.has_foreign() {
            // A verification is not clean, and a copy that does not compare is left out here.
            return None;
        }
        if pass == ModelPass::Full && state.stores.has_extra() && !self.has(Omission::ExtraIgnored) {
            // It is not clean, so it is worth nothing.
            return None;
        }
        if pass == ModelPass::Full && self.has_stale_target(state) {
            return None;
        }
        let held = if pass == ModelPass::Full { state.stores.source } else { state.stores.target };
        let begun = ladder.newest();
        let flags = (for_target_first, for_target_only, for_mirrored);
        let buried = self.buries(state, pass, for_mirrored);
        let (held, expected) = match buried {
            Some((gone, expected)) => (Some(gone), Some(expected)),
            None => (held, None),
        };
        match held {
            None => self.end_pass(&mut after, pass, flags),
            Some(record) => {
                let (for_target_first, for_target_only, for_mirrored) = flags;
                let half = matches!(pass, ModelPass::Sweep | ModelPass::SourceWins);
                after.jobs.push(Job {
                    pass,
                    begun,
                    record,
                    half,
                    leased: true,
                    expected,
                    for_target_first,
                    for_target_only,
                    for_mirrored,
                });
            }
        }
        Some(after)
    }

    /// It has read the target, and now reads the source.
    fn compare(&self, after: &mut State, mut job: Job) {
        if job.expected.take().is_some() {
            let flags = (job.for_target_first, job.for_target_only, job.for_mirrored);
            match after.stores.target {
                Some(target) if target != job.record => job.record = target,
                _ => return self.end_pass(after, job.pass, flags),
            }
        }
        let (source, target) = (after.stores.source, job.record);
        let record = match source {
            Some(source) if source.version > target.version => Some((source, None)),
            Some(source) if source == target => None,
            None if target.content == DELETED => None,
            // Its tombstone is below every stamp.
            _ => {
                let record =
                    source.unwrap_or(Record { version: Version::ZERO, content: DELETED, expires: false });
                Some((record, Some(target.version)))
            }
        };
        match record {
            Some((record, expected)) => after.jobs.push(Job { record, expected, half: false, ..job }),
            None => {
                let flags = (job.for_target_first, job.for_target_only, job.for_mirrored);
                self.end_pass(after, job.pass, flags);
            }
        }
    }

    /// Lazy: whether everything that could make the target stale behind the sweep has ended and landed.
    fn may_sweep(&self, state: &State) -> bool {
        let ladder = &state.ladder;
        let unwaited = self.has(Omission::NoResidualWait) || self.has(Omission::ResidualWaitTooEarly);
        let landed = unwaited || state.late.iter().all(|late| late.drained);
        let settled = match self.mutation {
            Some(Omission::SweepUnconditioned) => return ladder.rung() == Rung::Mirrored,
            Some(Omission::NoSecondBarrier) => self.settled(state, ladder.mirrored_since),
            _ => ladder.drained && self.settled(state, Some(ladder.since)),
        };
        ladder.rung() == Rung::Mirrored && settled && landed
    }

    /// The worker's next call: it writes what it has read.
    pub(crate) fn go_on(&self, state: &State, at: usize, fate: Fate) -> Option<State> {
        let mut after = state.clone();
        let job = after.jobs.remove(at);
        let flags = (job.for_target_first, job.for_target_only, job.for_mirrored);
        if !job.leased && !self.has(Omission::WorkersPastLease) {
            // Its page is processed again, by another worker.
            return (fate == Fate::Answered).then_some(after);
        }
        if job.half && job.pass == ModelPass::SourceWins {
            self.compare(&mut after, job);
            return (fate == Fate::Answered).then_some(after);
        }
        if job.half {
            match state.stores.source {
                Some(source)
                    if source.version > job.record.version || self.is_stale_copy(source, job.record) =>
                {
                    after.jobs.push(Job { record: source, half: false, ..job });
                }
                _ => self.end_pass(&mut after, job.pass, flags),
            }
            return (fate == Fate::Answered).then_some(after);
        }
        if !fate.pay(&mut after) {
            return None;
        }
        let store = if job.pass == ModelPass::Reverse { Source } else { Target };
        if self.stays_away(state, &job, store) {
            self.end_pass(&mut after, job.pass, flags);
            return (fate == Fate::Answered).then_some(after);
        }
        let when = match job.pass {
            _ if job.expected.is_some() && self.has(Omission::SourceWinsUnconditionally) => When::Always,
            _ if job.expected.is_some() => {
                When::Rules(Condition::Unchanged { expected: job.expected, base: None })
            }
            ModelPass::Full if self.has(Omission::PassInsertsIfAbsent) => When::Absent,
            ModelPass::Reverse if self.has(Omission::ReverseOverwrites) => When::Always,
            ModelPass::Reverse => When::Rules(Condition::Newer),
            ModelPass::Full | ModelPass::Sweep | ModelPass::SourceWins => self.passed_when(),
        };
        let drained = state.ladder.is_drained(job.begun);
        let put = Late { store, record: job.record, when, target_only: false, drained };
        let answer = self.put(&mut after, put, fate);
        if job.pass == ModelPass::Reverse && matches!(answer, Answer::Put(Put::Stale(_))) {
            self.coverage.note(Branch::StaleAtSource);
        }
        let looks_again = job.expected.is_some() && !self.has(Omission::NotLookedAgain);
        if job.pass == ModelPass::SourceWins && (looks_again || !matches!(answer, Answer::Put(_))) {
            let half = match self.has(Omission::SourceReadBefore) && !matches!(answer, Answer::Put(_)) {
                // It still has what it read in the source, and compares that with the target.
                true => Job { half: true, ..job },
                false => Job { record: after.stores.target?, half: true, expected: None, ..job },
            };
            after.jobs.push(half);
            return Some(after);
        }
        match answer {
            Answer::Put(_) => self.end_pass(&mut after, job.pass, flags),
            // It retries until it is answered.
            _ => after.jobs.push(job),
        }
        Some(after)
    }

    /// Whether neither has a version, so that content decides.
    fn is_stale_copy(&self, source: Record, target: Record) -> bool {
        let unversioned = [source, target].iter().all(|record| record.version == Version::ZERO);
        unversioned && source.content != target.content && !self.has(Omission::UnversionedAreEqual)
    }

    fn end_pass(
        &self,
        after: &mut State,
        pass: ModelPass,
        (target_first, target_only, mirrored): (bool, bool, bool),
    ) {
        let ladder = &mut after.ladder;
        match pass {
            ModelPass::Full => {
                ladder.full_since_mirrored |= target_first;
                ladder.full_since_target_first |= target_only;
                self.coverage.note(Branch::Passed);
            }
            ModelPass::SourceWins => {
                ladder.full_since_mirrored |= target_first;
                self.coverage.note(Branch::SourceWon);
            }
            ModelPass::Sweep => {
                ladder.swept |= target_first;
                self.coverage.note(Branch::Swept);
            }
            ModelPass::Reverse => {
                ladder.floor &= !mirrored;
                self.coverage.note(Branch::Reversed);
            }
        }
    }
}
