//! The rules of writes. A delete is a write whose record is a tombstone.

use super::{Answer, OperationStep, Seen};
use crate::{
    report::StoreRole,
    routing::{Mutation, Rung},
    store::{Put, Version},
};

/// A write in progress: the call it waits for, and what it must remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    rung: Rung,
    no_fallback: bool,
    compare: bool,
    /// It reads before it is stamped.
    looks: bool,
    at: At,
    /// What the target held when it was read.
    target: Option<Seen>,
    /// Highest version seen so far; the stamp must be above it.
    above: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    ObservingTarget,
    ObservingSource,
    /// The store that orders the writers: the source, or at target-only the target.
    First,
    /// The target, after the source has applied it.
    Second,
    /// The target, with what a mutation that writes nothing has found in the source.
    Copying,
}

/// One call of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteCall {
    /// Get the record, for its version and, in a mutation, its value.
    Get(StoreRole),
    /// Stamp the record with a new version above `above`, and put it if the condition holds.
    Put {
        /// Which store.
        store: StoreRole,
        /// The highest version seen so far.
        above: Version,
        /// The condition.
        condition: Condition,
    },
    /// Put the same record, with its version, into the target if newer.
    Mirror,
    /// Put the source's record, as last read, into the target if newer; all of it, version and tombstone included.
    Copy,
}

/// The condition of the first put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// [`crate::store::Store::put_if_newer`].
    Newer,
    /// [`crate::store::Store::put_if_unchanged`], for the result of a mutation.
    Unchanged {
        /// The version that was read there.
        expected: Option<Version>,
        /// The store whose record, as last read, is mutated; `None`: there is no record.
        base: Option<StoreRole>,
    },
}

/// What a write's caller may conclude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteOutcome {
    /// Every read that begins from now on returns this write or a later one.
    Acknowledged,
    /// It has not taken effect and never will.
    NotApplied,
    /// It may have taken effect, or may still do so.
    Indeterminate,
    /// A mutation has nothing to write. What it found is what a read would have returned.
    Kept,
}

/// How a write to both stores went, for the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pair {
    /// Both have it, or something newer.
    BothOk,
    /// The source has it; the target failed.
    OnlyTargetFailed,
    /// The source failed; the target was not written.
    OnlySourceFailed,
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WriteEnd {
    /// The outcome for the caller.
    pub outcome: WriteOutcome,
    /// The store whose call failed, if a failed call caused the outcome.
    pub failed: Option<StoreRole>,
    /// `None` if only one store was to be written, or the write ended before that.
    pub pair: Option<Pair>,
}

type WriteStep = OperationStep<Write, WriteCall, WriteEnd>;

/// Whether one store orders all writers of a tenant that can be live now, so that a comparison there decides. At
/// target-first another instance may be at target-only already, and compare in the other store; but not while the local
/// guard is on, unless the tenant comes from target-only (`no_fallback`).
pub fn compares_alone(rung: Rung, no_fallback: bool, local_guard: bool) -> bool {
    match rung {
        Rung::TargetFirst if Mutation::ComparesAlone.is_left_out() => true,
        Rung::TargetFirst => local_guard && !no_fallback,
        Rung::SourceOnly | Rung::Dual | Rung::Mirrored | Rung::TargetOnly => true,
        Rung::Hold => false,
    }
}

impl WriteOutcome {
    /// The outcome of an operation that routing has overtaken. It writes nothing further, but what it has
    /// written may be where nobody reads any more.
    #[must_use]
    pub const fn overtaken(self) -> Self {
        match self {
            Self::NotApplied | Self::Kept => Self::NotApplied,
            Self::Acknowledged | Self::Indeterminate => Self::Indeterminate,
        }
    }
}

impl Write {
    /// The first step; `None` on hold. `compare`: a mutation, which reads before it writes and writes only if
    /// nobody else has written since.
    pub fn begin(rung: Rung, no_fallback: bool, compare: bool) -> Option<WriteStep> {
        if matches!(rung, Rung::Hold) {
            return None;
        }
        let at = At::First;
        let looks = compare;
        Some(Self { rung, no_fallback, compare, looks, at, target: None, above: Version::ZERO }.start())
    }

    /// The step in place of the first put, if a mutation of `base` writes nothing. It has read then, and its caller
    /// learns what it found, and may conclude that an earlier attempt of its own took effect. So it confirms that at
    /// either level, as [`super::Read`] does at level linearizable: nobody finds an older record afterwards, and neither
    /// does the next rung, which reads the target.
    pub fn keep(self, base: Option<StoreRole>) -> WriteStep {
        // The target may lack it, or have an older one.
        let confirms = matches!(self.rung, Rung::Mirrored | Rung::TargetFirst);
        let is_left_out = Mutation::MismatchConfirmed.is_left_out();
        if confirms && base == Some(StoreRole::Source) && !is_left_out {
            return OperationStep::Call(Self { at: At::Copying, ..self }, WriteCall::Copy);
        }
        self.end(WriteOutcome::Kept, None, None)
    }

    /// The step after an answer.
    pub fn step(self, answer: Answer) -> WriteStep {
        use Answer::{Got, Indeterminate, NotApplied, Put as Did};
        match (self.at, answer) {
            (At::ObservingTarget, Got(target)) => {
                let next = Self { target, ..self }.saw(target);
                match self.rung {
                    Rung::TargetOnly => next.put(target, target.map(|_| StoreRole::Target)),
                    _ if self.looks => next.get(StoreRole::Source),
                    _ => next.put(None, None),
                }
            }
            (At::ObservingSource, Got(source)) => self.saw(source).put(source, self.base(source)),
            // Both stores are unchanged.
            (At::ObservingTarget, _) => self.end(WriteOutcome::NotApplied, Some(StoreRole::Target), None),
            (At::ObservingSource, _) => self.end(WriteOutcome::NotApplied, Some(StoreRole::Source), None),

            (At::First, Did(Put::Applied)) if self.both() => {
                OperationStep::Call(Self { at: At::Second, ..self }, WriteCall::Mirror)
            }
            (At::First, Did(Put::Applied)) => self.end(WriteOutcome::Acknowledged, None, None),
            // It was stamped just now, so this is not its own: somebody who had the writer slot before has
            // stamped the same version. It is stamped again, above what is there.
            (At::First, Did(Put::Present)) if Mutation::PresentAtFirst.is_left_out() => {
                self.step(Did(Put::Applied))
            }
            (At::First, Did(Put::Present)) => Self { looks: true, ..self }.start(),
            (At::First, Did(Put::Stale(current))) => {
                let next = Self { above: self.above.max(current), ..self };
                if self.compare { next.start() } else { next.put(None, None) }
            }
            (At::First, failure) => {
                let outcome = if failure == NotApplied {
                    WriteOutcome::NotApplied
                } else {
                    WriteOutcome::Indeterminate
                };
                self.end(outcome, Some(self.first()), self.both().then_some(Pair::OnlySourceFailed))
            }

            // Stale: a write that overlaps with this one has put something newer there.
            (At::Copying, Did(_)) => self.end(WriteOutcome::Kept, None, None),
            (At::Copying, _) => self.end(WriteOutcome::NotApplied, Some(StoreRole::Target), None),

            // Stale: something newer superseded it. If it were stamped again, readers would see this write,
            // the other one, and this one again.
            (At::Second, Did(Put::Stale(current))) if Mutation::StampedOnce.is_left_out() => {
                Self { above: self.above.max(current), ..self }.put(None, None)
            }
            (At::Second, Did(_)) => self.end(WriteOutcome::Acknowledged, None, Some(Pair::BothOk)),
            (At::Second, NotApplied | Indeterminate | Got(_)) => {
                let outcome = match self.rung {
                    Rung::Dual => WriteOutcome::Acknowledged,
                    _ => WriteOutcome::Indeterminate,
                };
                self.end(outcome, Some(StoreRole::Target), Some(Pair::OnlyTargetFailed))
            }
        }
    }

    /// The same write with other versions. Renaming that preserves their order changes nothing.
    #[must_use]
    pub fn renamed(self, rename: &mut impl FnMut(Version) -> Version) -> Self {
        let target = self.target.map(|seen| seen.renamed(rename));
        Self { target, above: rename(self.above), ..self }
    }

    /// The first step, also of a retry, which remembers the versions seen.
    fn start(self) -> WriteStep {
        match (self.rung, self.looks) {
            (Rung::TargetFirst, false) if Mutation::Observe.is_left_out() => self.put(None, None),
            // Without T's version the stamp could be below that of an acknowledged write by a client that
            // writes only the target.
            (Rung::TargetFirst, _) | (Rung::TargetOnly, true) => self.get(StoreRole::Target),
            (_, true) => self.get(StoreRole::Source),
            (_, false) => self.put(None, None),
        }
    }

    const fn get(self, store: StoreRole) -> WriteStep {
        let at = match store {
            StoreRole::Source => At::ObservingSource,
            StoreRole::Target => At::ObservingTarget,
        };
        OperationStep::Call(Self { at, ..self }, WriteCall::Get(store))
    }

    /// The put to the first store, which held `seen`.
    fn put(self, seen: Option<Seen>, base: Option<StoreRole>) -> WriteStep {
        let condition = if self.compare {
            Condition::Unchanged { expected: seen.map(|seen| seen.version), base }
        } else {
            Condition::Newer
        };
        let call = WriteCall::Put { store: self.first(), above: self.above, condition };
        OperationStep::Call(Self { at: At::First, ..self }, call)
    }

    /// The store whose record a mutation starts from. At target-first that is the newer record: the source's
    /// if a write has not reached the target, the target's if only the target was written.
    fn base(self, source: Option<Seen>) -> Option<StoreRole> {
        match (source, self.target) {
            (Some(source), Some(target)) if source.version <= target.version => Some(StoreRole::Target),
            (None, Some(_)) => Some(StoreRole::Target),
            // Without fallback, a record that only the source has was deleted long ago.
            (Some(_), None) if self.no_fallback && self.rung == Rung::TargetFirst => None,
            (Some(_), _) => Some(StoreRole::Source),
            (None, None) => None,
        }
    }

    fn saw(self, seen: Option<Seen>) -> Self {
        Self { above: seen.map_or(self.above, |seen| self.above.max(seen.version)), ..self }
    }

    fn first(self) -> StoreRole {
        match self.rung {
            Rung::TargetOnly => StoreRole::Target,
            Rung::Mirrored | Rung::TargetFirst if Mutation::SourceFirst.is_left_out() => StoreRole::Target,
            _ => StoreRole::Source,
        }
    }

    /// The other store, if both are written.
    pub(in crate::migrator) fn second(self) -> StoreRole {
        if self.first() == StoreRole::Source { StoreRole::Target } else { StoreRole::Source }
    }

    const fn both(self) -> bool {
        matches!(self.rung, Rung::Dual | Rung::Mirrored | Rung::TargetFirst)
    }

    const fn end(self, outcome: WriteOutcome, failed: Option<StoreRole>, pair: Option<Pair>) -> WriteStep {
        OperationStep::End(WriteEnd { outcome, failed, pair })
    }
}
