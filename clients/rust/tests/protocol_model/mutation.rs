//! Rules that can be left out; each omission must be noticed.

/// One rule left out, or one forbidden thing done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Omission {
    /// No step waits for anybody.
    NoBarrier,
    /// Steps up wait until everybody has received, not until everybody has quiesced.
    ReceiptGoingUp,
    /// The same around target-only, on the way down.
    ReceiptFromTargetOnly,
    /// A full pass counts although mirrored had not settled when it began.
    PassBegunEarly,
    /// Target-first without a full pass.
    PassSkipped,
    /// The full pass writes only where the target has nothing.
    PassInsertsIfAbsent,
    /// A pass takes equal versions for equal records, even without versions.
    UnversionedAreEqual,
    /// A full pass is clean although only the target has a record without a version.
    ExtraIgnored,
    /// A repair overwrites the target's record whatever it is by then.
    SourceWinsUnconditionally,
    /// After it has overwritten the target's record, it does not look at both again.
    NotLookedAgain,
    /// A repair takes both records for equal because of what it read in the source before it read the target.
    SourceReadBefore,
    /// A reverse pass runs beside it.
    ReverseBesideSourceWins,
    /// A worker of a pass goes on although its right to act has ended.
    WorkersPastLease,
    /// What passes showed before a repair still opens gates, although it may have left an older record.
    RepairKeepsEvidence,
    /// It is begun although reads come from the target.
    SourceWinsAnywhere,
    /// A write's second put does not look at the version that is there.
    UnconditionalMirror,
    /// Copies do not look at the version that is there.
    UnconditionalCopy,
    /// A delete leaves nothing.
    NoTombstones,
    /// The target's tombstones go once everybody is at target-only.
    PurgedTombstones,
    /// The same, and the fallback is on again on the way down.
    PurgedTombstonesWithFallback,
    /// A write that is stale at the target is stamped again.
    Restamped,
    /// A write takes a version that the first store has already for its own.
    OthersVersion,
    /// A write in target-first does not look at the target's version first.
    TargetNotObserved,
    /// Mirrored after target-only without a reverse pass.
    ReverseSkipped,
    /// The reverse pass begins before target-first has settled and old puts have landed.
    ReverseEarly,
    /// The reverse pass overwrites whatever the source has.
    ReverseOverwrites,
    /// The controller gives up a client that is alive.
    EvictsTheLiving,
    /// Lazy: the sweep is begun without a second barrier.
    NoSecondBarrier,
    /// Lazy: the sweep does not wait for puts that may still land.
    NoResidualWait,
    /// Lazy: it waited for them only before the second barrier.
    ResidualWaitTooEarly,
    /// Lazy: the second barrier does not wait for copies that were begun before.
    CopiesNotDrained,
    /// Lazy: nothing at all is waited for before the sweep.
    SweepUnconditioned,
    /// Lazy: target-only without a full pass.
    PassSkippedAfterLazy,
    /// A read in target-first uses the source when the target has failed.
    SourceOnTargetsError,
    /// A read in target-first returns what only the source has, without copying it.
    FallbackWithoutCopy,
    /// The hold is left before everybody has quiesced.
    HoldLeftEarly,
    /// A record expires while an older put may still land.
    ExpiresSoon,
    /// A read at target-first asks the source, although records expire.
    FallbackOfExpired,
    /// A full pass copies what the target lacks where the target is read, although records expire.
    PassAddsExpired,
    /// A reverse pass leaves what only the source has, although records expire.
    ObsoleteNotBuried,
    /// A query at target-first asks the source.
    QueriesSourceAtTargetFirst,
    /// A query at mirrored asks the target.
    QueriesTargetAtMirrored,
    /// Two `put_if` of one expectation write whatever is there by then.
    PutIfNewer,
    /// `put_if` at target-first although somebody may be at target-only.
    PutIfBesideTargetOnly,
    /// A `put_if` that found something else says so without confirming it.
    MismatchNotConfirmed,
    /// Reads in mirrored are not confirmed.
    NotConfirmed,
    /// Writes to both stores begin with the target.
    TargetFirstSourceSecond,
    /// Target-only although clients may go back by themselves.
    LocalGuardLeftOn,
    /// Target-only, and the pass before it, although not everybody has received that they may not.
    LocalGuardOffUnheard,
    /// An operation does not check its lease when it ends.
    LeaseNotRechecked,
    /// An operation makes calls although its lease has ended; its end is not acknowledged.
    CallsPastLease,
    /// A client is counted out before its lease has ended.
    CountedOutEarly,
    /// A client that was counted out comes back without being told.
    ComesBackUntold,
    /// Any answer of the controller brings back the right to act of a client that was left behind.
    AnswersRevive,
    /// Callers of remote decisions are not waited for: any later commit forgets them.
    CallersForgotten,
    /// A caller's older answers count as gone once it has a newer one.
    NewerAnswerCounts,
    /// The end of an operation that its sidecar no longer holds is acknowledged.
    EndedUnheld,
    /// The caller of a sidecar makes store calls after its deadline; it acknowledges nothing.
    CallsPastDeadline,
    /// A sidecar that was killed is not waited for, although its caller may still make store calls.
    KilledNotWaitedFor,
    /// A client that has said goodbye and left a file is not waited for.
    ParkedForgotten,
    /// What is acknowledged may be newer than what is in the file.
    AcknowledgedUnsaved,
    /// A file is good for ever, although its holder was counted out.
    FileNeverExpires,
    /// A process that takes over a file releases its predecessor, which still has an operation in flight.
    SucceedsTheLiving,
    /// It releases the predecessor although another process may start from the predecessor's file.
    SucceedsACopy,
    /// A controller that was frozen takes everybody for lost.
    EverybodyLost,
    /// An override is for all tenants.
    OverrideForEverybody,
    /// A later request inherits the overrides of others that are under way.
    OverrideSpreads,
    /// A later request ends them.
    OverrideRevoked,
    /// An override stays after its tenant has arrived or turned back.
    OverrideOutlives,
    /// An override leads further up than its request.
    OverrideLeadsFurther,
    /// A restarted controller takes it for granted that everybody has acknowledged the newest revision.
    RestartAssumesAcknowledged,
    /// A client that holds an older snapshot, and registers after a restart, counts as one that never had any.
    HoldersAreNew,
    /// A restarted controller waits only for those whom it has heard.
    MembersForgotten,
    /// A restarted controller takes whom it has not heard yet for lost.
    UnheardAreLost,
    /// A restarted controller does not know that it has counted somebody out.
    CountedOutForgotten,
    /// A restarted controller does not know who has left a file.
    ParkedForgottenAtRestart,
    /// A restarted controller does not know that anybody has asked for decisions.
    CallersForgottenAtRestart,
    /// A restarted controller waits for a file for ever.
    FileWaitedForForEver,
    /// The scenario's steps need not be between neighbours.
    Jumps,
}
