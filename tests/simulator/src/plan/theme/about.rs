//! Which theme is about which rule.

use cutover_client::routing::Mutation;

use super::Theme;

impl Theme {
    /// The theme that is about a rule.
    pub fn about(rule: Mutation) -> Self {
        use Mutation as M;
        match rule {
            // Calls to the source fail there.
            M::Nothing | M::SourceFirst => Self::General,
            M::Quiesced | M::OneRung | M::FullPass | M::SettledPass | M::Applied => Self::Steps,
            M::StampedOnce | M::TransactWhole | M::QueriesAskSource => Self::Steps,
            M::MirrorIfNewer | M::CopyIfNewer | M::CopyReplaces | M::Tombstones => Self::Steps,
            M::LostInstances | M::EvictedAreDead => Self::Lost,
            M::ReplacedHasEnded => Self::Twins,
            M::Joining => Self::Pins,
            M::FullPassAfterSweep | M::SecondBarrier | M::Residual => Self::Sweep,
            M::Drain => Self::Drain,
            M::WaitsAreSteady => Self::Clocks,
            M::OverrideScope | M::OverrideKept => Self::Overrides,
            M::LevelAtSourceOnly | M::CeilingLatched => Self::Latches,
            M::GoneStaysGone | M::DroppedRoutesNoMore => Self::Goodbyes,
            M::Floor | M::LeavingTargetOnly | M::Observe | M::ComparesAlone | M::NoFallback => {
                Self::TargetOnly
            }
            M::QueriesAskTarget | M::TombstonesStay => Self::TargetOnly,
            M::LocalGuardOff | M::LocalGuardHeard => Self::LocalGuard,
            M::Barrier | M::Overtaken | M::LeaseAtEnd | M::CountedOutLate => Self::Fence,
            M::AnswersKeepAlive => Self::LeftBehind,
            M::Listening => Self::Silence,
            M::Callers | M::OlderAnswers | M::CallersKept => Self::Callers,
            M::Parked | M::FileExpires | M::FileSaved => Self::Files,
            M::SucceededHasEnded | M::CopyNamesNobody => Self::Successors,
            M::Hold | M::WritesOverRead | M::MismatchConfirmed | M::CopiedMiss | M::Confirmed => {
                Self::Linearizable
            }
            M::PresentAtFirst => Self::Slots,
            M::ExpiredIsAbsent | M::ExpiresLate | M::NoFallbackOfExpired => Self::Expiring,
            M::ExpiredStaysAway | M::ObsoleteIsBuried => Self::Expiring,
            M::Unversioned | M::Extra | M::WorkersInTime => Self::Unversioned,
            M::RepairIfUnchanged | M::RepairLooksAgain | M::RepairReadsTargetFirst => Self::Repairs,
            M::RepairBothWays | M::RepairVoidsEvidence | M::RepairBelowTarget => Self::Repairs,
            M::RepairAlone => Self::Repairs,
            M::FencedWrites | M::TakeoverWaits | M::TakeoverAfterSilence | M::LeaseFromRequest => {
                Self::Replicas
            }
            M::LeaseAtCall | M::HeardAnew | M::AcknowledgedAnew => Self::Replicas,
            M::SuspendCounts => Self::Suspended,
            M::ProcessesAreMembers | M::RestoreIsConfirmed | M::FutureIsNoticed | M::Readmitted => {
                Self::Restore
            }
        }
    }
}
