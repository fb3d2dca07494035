//! Writes. A delete is a write whose record is a tombstone.

use super::{Answer, Seen, Step};
use crate::{
    report::StoreRole,
    routing::{Mutation, Rung},
    store::{Put, Version},
};

/// A write under way: what it has just asked, and what it must remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    rung: Rung,
    no_fallback: bool,
    compare: bool,
    at: At,
    /// What the target held when it was observed.
    target: Option<Seen>,
    /// Highest version seen so far; the stamp must be above it.
    above: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    ObservingTarget,
    ObservingSource,
    /// The store that sequences the writers: the source, or in target-only the target.
    First,
    /// The target, after the source has applied it.
    Second,
}

/// One call of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteCall {
    /// Get the record, for its version and, in a mutation, for its value.
    Get(StoreRole),
    /// Stamp the record with a new version above `above`, and put it on this condition.
    Put {
        /// Where.
        store: StoreRole,
        /// Everything seen so far.
        above: Version,
        /// When.
        condition: Condition,
    },
    /// Put the very same record, with the version it has, into the target if newer.
    Mirror,
}

/// On which condition the first put is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// [`crate::store::Store::put_if_newer`].
    Newer,
    /// [`crate::store::Store::put_if_unchanged`], of what a mutation makes of a record.
    Unchanged {
        /// The version that was read there.
        expected: Option<Version>,
        /// Whose record, as got last, is mutated; `None`: there is none.
        base: Option<StoreRole>,
    },
}

/// What a write's caller may conclude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Every read that begins from now on returns it or something later.
    Acknowledged,
    /// It has not taken effect and never will.
    NotApplied,
    /// It may have taken effect, or may do so later.
    Indeterminate,
}

/// How a write to both stores fared in them, for the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pair {
    /// Both have it, or something newer.
    BothOk,
    /// The source has it; the target failed.
    OnlyTargetFailed,
    /// The source failed; the target was not written then.
    OnlySourceFailed,
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WriteEnd {
    /// For the caller.
    pub outcome: Outcome,
    /// Which call it was that failed, if the outcome comes from one.
    pub failed: Option<StoreRole>,
    /// `None` when not both stores were to be written, or it did not come to that.
    pub pair: Option<Pair>,
}

type WriteStep = Step<Write, WriteCall, WriteEnd>;

impl Outcome {
    /// Of an operation that routing has overtaken: what it has not written it never will, but what
    /// it has written may be where nobody looks any more.
    #[must_use]
    pub const fn overtaken(self) -> Self {
        match self {
            Self::NotApplied => Self::NotApplied,
            Self::Acknowledged | Self::Indeterminate => Self::Indeterminate,
        }
    }
}

impl Write {
    /// The first step; `None` on hold. `compare`: a mutation, which reads before it writes and
    /// writes only if nobody else has since.
    pub fn begin(rung: Rung, no_fallback: bool, compare: bool) -> Option<WriteStep> {
        if matches!(rung, Rung::Hold) {
            return None;
        }
        let at = At::First;
        Some(Self { rung, no_fallback, compare, at, target: None, above: Version::ZERO }.start())
    }

    /// The step after an answer.
    pub fn step(self, answer: Answer) -> WriteStep {
        use Answer::{Got, Indeterminate, NotApplied, Put as Did};
        match (self.at, answer) {
            (At::ObservingTarget, Got(target)) => {
                let next = Self { target, ..self }.saw(target);
                match self.rung {
                    Rung::TargetOnly => next.put(target, target.map(|_| StoreRole::Target)),
                    _ if self.compare => next.get(StoreRole::Source),
                    _ => next.put(None, None),
                }
            }
            (At::ObservingSource, Got(source)) => self.saw(source).put(source, self.base(source)),
            // Both stores are as they were.
            (At::ObservingTarget, _) => self.end(Outcome::NotApplied, Some(StoreRole::Target), None),
            (At::ObservingSource, _) => self.end(Outcome::NotApplied, Some(StoreRole::Source), None),

            (At::First, Did(Put::Applied)) if self.both() => {
                Step::Call(Self { at: At::Second, ..self }, WriteCall::Mirror)
            }
            (At::First, Did(Put::Applied)) => self.end(Outcome::Acknowledged, None, None),
            (At::First, Did(Put::Stale(current))) => {
                let next = Self { above: self.above.max(current), ..self };
                if self.compare { next.start() } else { next.put(None, None) }
            }
            (At::First, failure) => {
                let outcome =
                    if failure == NotApplied { Outcome::NotApplied } else { Outcome::Indeterminate };
                self.end(outcome, Some(self.first()), self.both().then_some(Pair::OnlySourceFailed))
            }

            // Stale: something newer superseded it. To stamp it again would let readers see this
            // write, the other one and this one once more.
            (At::Second, Did(_)) => self.end(Outcome::Acknowledged, None, Some(Pair::BothOk)),
            (At::Second, NotApplied | Indeterminate | Got(_)) => {
                let outcome = match self.rung {
                    Rung::Dual => Outcome::Acknowledged,
                    _ => Outcome::Indeterminate,
                };
                self.end(outcome, Some(StoreRole::Target), Some(Pair::OnlyTargetFailed))
            }
        }
    }

    /// The same write with other versions. Renaming that keeps their order changes nothing.
    #[must_use]
    pub fn renamed(self, rename: &mut impl FnMut(Version) -> Version) -> Self {
        let target = self.target.map(|seen| seen.renamed(rename));
        Self { target, above: rename(self.above), ..self }
    }

    /// From the start, or once more with what was seen in mind.
    fn start(self) -> WriteStep {
        match (self.rung, self.compare) {
            (Rung::TargetFirst, false) if Mutation::Observe.is_left_out() => self.put(None, None),
            // Without T's version the stamp could end up below that of an acknowledged write of
            // somebody who writes the target only.
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
        Step::Call(Self { at, ..self }, WriteCall::Get(store))
    }

    /// The put to the first store, which held `seen`.
    const fn put(self, seen: Option<Seen>, base: Option<StoreRole>) -> WriteStep {
        let condition = if self.compare {
            let expected = match seen {
                Some(seen) => Some(seen.version),
                None => None,
            };
            Condition::Unchanged { expected, base }
        } else {
            Condition::Newer
        };
        let call = WriteCall::Put { store: self.first(), above: self.above, condition };
        Step::Call(Self { at: At::First, ..self }, call)
    }

    /// Whose record a mutation starts from. In target-first that is the newer one: the source's
    /// where a write has not reached the target, the target's where only the target was written.
    fn base(self, source: Option<Seen>) -> Option<StoreRole> {
        match (source, self.target) {
            (Some(source), Some(target)) if source.version <= target.version => Some(StoreRole::Target),
            (None, Some(_)) => Some(StoreRole::Target),
            // Without fallback what only the source has is something long deleted.
            (Some(_), None) if self.no_fallback && self.rung == Rung::TargetFirst => None,
            (Some(_), _) => Some(StoreRole::Source),
            (None, None) => None,
        }
    }

    fn saw(self, seen: Option<Seen>) -> Self {
        Self { above: seen.map_or(self.above, |seen| self.above.max(seen.version)), ..self }
    }

    const fn first(self) -> StoreRole {
        if matches!(self.rung, Rung::TargetOnly) { StoreRole::Target } else { StoreRole::Source }
    }

    const fn both(self) -> bool {
        matches!(self.rung, Rung::Dual | Rung::Mirrored | Rung::TargetFirst)
    }

    const fn end(self, outcome: Outcome, failed: Option<StoreRole>, pair: Option<Pair>) -> WriteStep {
        Step::End(WriteEnd { outcome, failed, pair })
    }
}
