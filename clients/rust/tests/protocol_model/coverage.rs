//! What a run reached. A model that never reaches a branch says nothing about it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cutover_client::{
    migrator::rules::{Answer, Found, ReadCall, ReadEnd},
    report::StoreRole::Target,
    routing::Rung,
    store::Put,
};

use crate::protocol::Protocol;

/// An enum, and the list of all its variants.
macro_rules! listed {
    ($(#[$about:meta])* $name:ident { $($variant:ident,)* }) => {
        $(#[$about])*
        pub(crate) enum $name { $($variant,)* }

        impl $name {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];
        }
    };
}

listed! {
    /// Rungs reached by a step, branches taken in the rules, and faults that happened.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(u8)]
    Branch {
        SourceOnly,
        Dual,
        Mirrored,
        Hold,
        TargetFirst,
        TargetOnly,
        ReadUnasked,
        ConfirmedHit,
        ConfirmedMiss,
        ConfirmedRepaired,
        ConfirmedNotFound,
        ConfirmedAgainstNewer,
        Hit,
        Miss,
        NotFound,
        Overwritten,
        ReadFailed,
        ReadOvertaken,
        Acknowledged,
        AcknowledgedByBoth,
        AcknowledgedWithoutTarget,
        Indeterminate,
        NotApplied,
        WriteOvertaken,
        StaleAtFirst,
        StaleAtTarget,
        PresentAtFirst,
        LandedLate,
        Crashed,
        Undone,
        Passed,
        Swept,
        Reversed,
        StaleAtSource,
        WentBack,
        LeaseEnded,
        GivenUp,
        CountedOut,
        CameBack,
        LeftBehind,
        Forgotten,
        Asked,
        Restarted,
        SourceWon,
        Succeeded,
        DeadlineEnded,
        SidecarKilled,
        Mismatch,
        MismatchConfirmed,
        Expired,
        Removed,
        Buried,
        Overridden,
        NeighbourStepped,
        ControllerRestarted,
        HeardAgain,
    }
}

impl Branch {
    /// Those that no ladder comes by, but another scenario does.
    pub(crate) const ELSEWHERE: &[Self] = &[
        Self::SourceWon,
        Self::LeftBehind,
        Self::Forgotten,
        Self::PresentAtFirst,
        Self::DeadlineEnded,
        Self::SidecarKilled,
        Self::Mismatch,
        Self::MismatchConfirmed,
        Self::Expired,
        Self::Removed,
        Self::Buried,
        Self::Overridden,
        Self::NeighbourStepped,
        Self::ControllerRestarted,
        Self::HeardAgain,
    ];

    pub(crate) const fn reached(rung: Rung) -> Self {
        match rung {
            Rung::SourceOnly => Self::SourceOnly,
            Rung::Dual => Self::Dual,
            Rung::Mirrored => Self::Mirrored,
            Rung::Hold => Self::Hold,
            Rung::TargetFirst => Self::TargetFirst,
            Rung::TargetOnly => Self::TargetOnly,
        }
    }

    const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// Branches reached so far, out of those that are expected.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    seen: AtomicU64,
    expected: u64,
    told: AtomicBool,
}

impl Coverage {
    pub(crate) fn of(expected: &[Branch]) -> Self {
        Self { expected: expected.iter().fold(0, |all, branch| all | branch.bit()), ..Self::default() }
    }

    pub(crate) fn note(&self, branch: Branch) {
        if self.seen.load(Ordering::Relaxed) & branch.bit() == 0 {
            self.seen.fetch_or(branch.bit(), Ordering::Relaxed);
        }
    }

    /// True once: when the last expected branch has been reached.
    pub(crate) fn is_complete_now(&self) -> bool {
        let complete = self.seen.load(Ordering::Relaxed) & self.expected == self.expected;
        complete && !self.told.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn missing(&self) -> Vec<Branch> {
        let missing = self.expected & !self.seen.load(Ordering::Relaxed);
        Branch::ALL.iter().copied().filter(|branch| missing & branch.bit() != 0).collect()
    }
}

impl Protocol {
    pub(crate) fn note_read_answer(&self, rung: Rung, call: ReadCall, answer: Answer) {
        if let (ReadCall::Copy, Answer::Put(Put::Stale(_))) = (call, answer) {
            let target_first = rung == Rung::TargetFirst;
            self.coverage.note(if target_first {
                Branch::Overwritten
            } else {
                Branch::ConfirmedAgainstNewer
            });
        }
    }

    pub(crate) fn note_read(&self, rung: Rung, end: ReadEnd) {
        let below = rung < Rung::TargetFirst;
        self.coverage.note(match end {
            ReadEnd::Failed(_) => Branch::ReadFailed,
            ReadEnd::Return(_, Found::Unasked) => Branch::ReadUnasked,
            ReadEnd::Return(_, Found::Hit) if below => Branch::ConfirmedHit,
            ReadEnd::Return(_, Found::Miss) if below => Branch::ConfirmedMiss,
            ReadEnd::Return(_, Found::NotFound) if below => Branch::ConfirmedNotFound,
            ReadEnd::Return(_, Found::Repaired) => Branch::ConfirmedRepaired,
            ReadEnd::Return(Some(Target), Found::Hit) => Branch::Hit,
            ReadEnd::Return(_, Found::Hit | Found::Miss) => Branch::Miss,
            ReadEnd::Return(_, Found::NotFound) => Branch::NotFound,
        });
    }
}
