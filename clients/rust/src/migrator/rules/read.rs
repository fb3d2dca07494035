//! The rules of reads.

use super::{Answer, OperationStep, Seen};
use crate::{
    report::StoreRole,
    routing::{Level, Mutation, Rung},
    store::{Put, Version},
};

/// A read in progress: the call it waits for, and what it must remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Read {
    no_fallback: bool,
    at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    /// Only the source answers.
    Source,
    /// The source answers, and the target must have the record too before it is returned.
    SourceToConfirm,
    Confirming(Seen),
    /// `missing`: the target had nothing at all, as opposed to something older.
    CopyingToConfirm {
        source: Seen,
        missing: bool,
    },
    Target,
    Fallback,
    CopyingMiss(Seen),
}

/// One call of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadCall {
    /// Get the record.
    Get(StoreRole),
    /// Put the source's record, as last read, into the target if newer; all of it, version and tombstone
    /// included.
    Copy,
}

/// What a read found out about the target, for the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Found {
    /// The target was not asked.
    Unasked,
    /// The target has the record.
    Hit,
    /// Only the source had it; it is copied now.
    Miss,
    /// The target had an older one; it is updated now.
    Repaired,
    /// There is no record, or a deleted one.
    NotFound,
}

/// How a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadEnd {
    /// Return what this store answered last. `None`: there is no record.
    Return(Option<StoreRole>, Found),
    /// A call to this store failed, so there is no answer.
    Failed(StoreRole),
}

impl ReadEnd {
    /// The store whose answer the caller got, at this rung. `None`: it failed, or the target had nothing and the
    /// source (`fell_back`) was asked instead. If neither has the record, that says nothing about the target.
    pub const fn answered(self, rung: Rung, fell_back: bool) -> Option<StoreRole> {
        match (self, rung) {
            (Self::Failed(_), _) | (_, Rung::Hold) => None,
            (Self::Return(..), Rung::SourceOnly | Rung::Dual | Rung::Mirrored) => Some(StoreRole::Source),
            (Self::Return(..), Rung::TargetFirst | Rung::TargetOnly) if fell_back => None,
            (Self::Return(..), Rung::TargetFirst | Rung::TargetOnly) => Some(StoreRole::Target),
        }
    }
}

type ReadStep = OperationStep<Read, ReadCall, ReadEnd>;

impl Read {
    /// The first step; `None` on hold.
    pub fn begin(rung: Rung, no_fallback: bool, level: Level) -> Option<ReadStep> {
        let (at, store) = match (rung, level) {
            (Rung::Hold, _) => return None,
            (Rung::SourceOnly | Rung::Dual, _) | (Rung::Mirrored, Level::Acknowledged) => {
                (At::Source, StoreRole::Source)
            }
            (Rung::Mirrored, _) if Mutation::Confirmed.is_left_out() => (At::Source, StoreRole::Source),
            (Rung::Mirrored, Level::Linearizable) => (At::SourceToConfirm, StoreRole::Source),
            (Rung::TargetFirst | Rung::TargetOnly, _) => (At::Target, StoreRole::Target),
        };
        let no_fallback = no_fallback || matches!(rung, Rung::TargetOnly);
        Some(OperationStep::Call(Self { no_fallback, at }, ReadCall::Get(store)))
    }

    /// The step after an answer.
    pub fn step(self, answer: Answer) -> ReadStep {
        use Answer::{Got, Put as Did};
        use StoreRole::{Source, Target};
        match (self.at, answer) {
            (At::Source, Got(seen)) => end(seen.map(|_| Source), Found::Unasked),

            (At::SourceToConfirm, Got(Some(source))) => {
                self.call(At::Confirming(source), ReadCall::Get(Target))
            }
            // The source is never behind the target, so the target has nothing either.
            (At::SourceToConfirm, Got(None)) => end(None, Found::NotFound),
            (At::Confirming(source), Got(target)) => match target {
                // Newer: a write that overlaps with this read. The source's answer was current when it was
                // given.
                Some(target) if target.version >= source.version => {
                    end(Some(Source), live(source, Found::Hit))
                }
                _ => self.call(At::CopyingToConfirm { source, missing: target.is_none() }, ReadCall::Copy),
            },
            (At::CopyingToConfirm { source, missing }, Did(put)) => {
                let found = match (put, missing) {
                    (Put::Stale(_), _) => live(source, Found::Hit),
                    (Put::Applied | Put::Present, true) => live(source, Found::Miss),
                    (Put::Applied | Put::Present, false) => Found::Repaired,
                };
                end(Some(Source), found)
            }

            (At::Target, Got(Some(target))) => end(Some(Target), live(target, Found::Hit)),
            (At::Target, Got(None)) if self.no_fallback => end(None, Found::NotFound),
            (At::Target, Got(None)) => self.call(At::Fallback, ReadCall::Get(Source)),
            (At::Fallback, Got(None)) => end(None, Found::NotFound),
            (At::Fallback, Got(Some(source))) if Mutation::CopiedMiss.is_left_out() => {
                end(Some(Source), live(source, Found::Miss))
            }
            // Tombstones too: in the target a tombstone stops an old copy that arrives late.
            (At::Fallback, Got(Some(source))) => self.call(At::CopyingMiss(source), ReadCall::Copy),
            (At::CopyingMiss(source), Did(Put::Applied | Put::Present)) => {
                end(Some(Source), live(source, Found::Miss))
            }
            // Another operation was faster and wrote something newer: that is the answer.
            (At::CopyingMiss(_), Did(Put::Stale(_))) => self.call(At::Target, ReadCall::Get(Target)),

            (At::Target, _) if Mutation::NoFallback.is_left_out() => {
                self.call(At::Source, ReadCall::Get(Source))
            }
            // Never read the source because the target failed: it may lack what was read before.
            (at, _) => OperationStep::End(ReadEnd::Failed(at.store())),
        }
    }

    /// The same read with other versions. Renaming that preserves their order changes nothing.
    #[must_use]
    pub fn renamed(self, rename: &mut impl FnMut(Version) -> Version) -> Self {
        let at = match self.at {
            At::Confirming(source) => At::Confirming(source.renamed(rename)),
            At::CopyingToConfirm { source, missing } => {
                At::CopyingToConfirm { source: source.renamed(rename), missing }
            }
            At::CopyingMiss(source) => At::CopyingMiss(source.renamed(rename)),
            At::Source | At::SourceToConfirm | At::Target | At::Fallback => self.at,
        };
        Self { at, ..self }
    }

    const fn call(self, at: At, call: ReadCall) -> ReadStep {
        OperationStep::Call(Self { at, ..self }, call)
    }
}

impl At {
    /// The store that was called.
    const fn store(self) -> StoreRole {
        match self {
            Self::Source | Self::SourceToConfirm | Self::Fallback => StoreRole::Source,
            Self::Target | Self::Confirming(_) | Self::CopyingToConfirm { .. } | Self::CopyingMiss(_) => {
                StoreRole::Target
            }
        }
    }
}

const fn end(from: Option<StoreRole>, found: Found) -> ReadStep {
    OperationStep::End(ReadEnd::Return(from, found))
}

/// A deleted record is not found, wherever its tombstone is.
const fn live(seen: Seen, found: Found) -> Found {
    if seen.tombstone { Found::NotFound } else { found }
}
