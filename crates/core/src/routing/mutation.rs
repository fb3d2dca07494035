//! Protocol rules that a test can leave out, to verify that the simulation notices.
//!
//! Without the feature `mutations` no rule is ever left out, and the compiler removes the check.

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident,)*) => {
        /// A rule that can be left out.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Mutation {
            /// No rule.
            #[doc(hidden)]
            Nothing,
            $($(#[$doc])* $rule,)*
        }

        impl Mutation {
            /// All rules.
            pub const ALL: &[Self] = &[$(Self::$rule,)*];
        }
    };
}

rules! {
    /// A step waits until the last one is acknowledged.
    Barrier,
    /// A step up waits until old operations have ended, not only until no new one starts.
    Quiesced,
    /// A step up waits for lost instances.
    LostInstances,
    /// Tenants take one rung at a time.
    OneRung,
    /// A hold ends only when operations from before it have ended.
    Hold,
    /// A tenant joins its neighbors only if that does not turn its next step into an undo, which waits for nothing.
    Joining,
    /// Leaving mirrored, and target-first upwards, requires a full pass.
    FullPass,
    /// A pass counts from the revision that was settled when it began.
    SettledPass,
    /// Target-only requires a full pass, even after a sweep.
    FullPassAfterSweep,
    /// A sweep begins only after a second barrier has settled.
    SecondBarrier,
    /// Sweeps and reverse passes wait until late writes have landed.
    Residual,
    /// An override covers only the tenants of its request.
    OverrideScope,
    /// What others ask for later does not revoke an override.
    OverrideKept,
    /// What reads promise changes only where everybody is at source-only.
    LevelAtSourceOnly,
    /// A second rollback never takes anybody less far back than the first.
    CeilingLatched,
    /// Nobody goes below target-first while writes are in the target alone.
    Floor,
    /// Going down from target-only waits until old operations have ended.
    LeavingTargetOnly,
    /// Nobody goes to target-only while the local guard is on.
    LocalGuardOff,
    /// Nobody goes to target-only before everybody has heard that the local guard is off.
    LocalGuardHeard,
    /// An operation that routing has overtaken is not acknowledged.
    Overtaken,
    /// An instance reports that it has quiesced for a revision only when older operations have ended.
    Applied,
    /// The lease is checked again while an operation runs, and when it ends.
    LeaseAtEnd,
    /// An answer keeps a lease alive, and does not bring back one that may have been passed over.
    AnswersKeepAlive,
    /// An instance is counted out only after its lease has ended.
    CountedOutLate,
    /// An instance is counted out only after its last store calls have ended.
    Drain,
    /// A controller that did not run concludes nothing from the silence of others.
    Listening,
    /// A step waits until the answers to callers of `Decide` have expired.
    Callers,
    /// A step waits for all answers, not only for the newest.
    OlderAnswers,
    /// A restarted controller waits for callers from before the restart.
    CallersKept,
    /// A process that said goodbye and left a snapshot file is waited for.
    Parked,
    /// A process that said goodbye does not come back by a registration that was under way.
    GoneStaysGone,
    /// A client that was dropped routes no more.
    DroppedRoutesNoMore,
    /// A snapshot file expires.
    FileExpires,
    /// An instance acknowledges only what its snapshot file has.
    FileSaved,
    /// An instance that the controller had forgotten takes a current snapshot before it continues.
    Readmitted,
    /// Only instances that are dead are evicted.
    EvictedAreDead,
    /// That another process with its id is connected shows that a process has ended only if that one began later.
    ReplacedHasEnded,
    /// A process that takes over a snapshot file releases only processes that have ended.
    SucceededHasEnded,
    /// Whoever starts from a copy of a snapshot file releases nobody.
    CopyNamesNobody,
    /// A write to both stores begins with the source.
    SourceFirst,
    /// A write at target-first observes the target's version before it is stamped.
    Observe,
    /// `put_if` is refused at target-first where somebody may be at target-only.
    ComparesAlone,
    /// A mutation or `put_if` writes only over the version that it has read.
    WritesOverRead,
    /// A `put_if` or mutation that writes nothing confirms what it has found.
    MismatchConfirmed,
    /// A query at target-first asks the target.
    QueriesAskTarget,
    /// A query at mirrored asks the source.
    QueriesAskSource,
    /// A write is not stamped again after the source has applied it.
    StampedOnce,
    /// A first put whose version is there already is stamped again.
    PresentAtFirst,
    /// A store applies the writes of one `transact` all at once, or none of them.
    TransactWhole,
    /// A read never falls back to the source because the target failed.
    NoFallback,
    /// A record that a read finds only in the source is copied to the target before it is returned.
    CopiedMiss,
    /// A record that has expired is not found, although a store has it.
    ExpiredIsAbsent,
    /// A record expires only when every older write of it has landed.
    ExpiresLate,
    /// If records expire, a read at target-first never asks the source.
    NoFallbackOfExpired,
    /// If records expire, a pass copies nothing that the target lacks to tenants that read it.
    ExpiredStaysAway,
    /// If records expire, a reverse pass deletes what only the source has.
    ObsoleteIsBuried,
    /// At level linearizable, a read at mirrored is confirmed in the target.
    Confirmed,
    /// A service overwrites a record in the target only with a newer one.
    MirrorIfNewer,
    /// A pass overwrites a record only with a newer one.
    CopyIfNewer,
    /// A pass overwrites an older record.
    CopyReplaces,
    /// A delete leaves a tombstone.
    Tombstones,
    /// The target's tombstones stay until the migration is finished.
    TombstonesStay,
    /// Records without a version are compared by content.
    Unversioned,
    /// A record that only the target has makes a pass unclean.
    Extra,
    /// A repair where the source wins overwrites only the version that it read.
    RepairIfUnchanged,
    /// It reads both records again afterwards.
    RepairLooksAgain,
    /// It takes records for equal only if it read the target before the source.
    RepairReadsTargetFirst,
    /// Where it scans the target, it also repairs what the source has newer.
    RepairBothWays,
    /// A worker of any pass writes nothing after its right to act has ended.
    WorkersInTime,
    /// What passes showed before it does not count any more.
    RepairVoidsEvidence,
    /// It is refused where the target may have what the source lacks.
    RepairBelowTarget,
    /// No pass that counts runs beside it.
    RepairAlone,
    /// A store that controllers share takes a write only in the epoch of whoever leads.
    FencedWrites,
    /// A takeover waits for transactions of the last leader that are under way.
    TakeoverWaits,
    /// Somebody takes over only when the leader was silent for long enough.
    TakeoverAfterSilence,
    /// A lease counts from when a beat was sent, not from its answer.
    LeaseFromRequest,
    /// A leader checks its lease after the head of a call has arrived.
    LeaseAtCall,
    /// A new leader takes nothing for acknowledged before it has heard it.
    HeardAnew,
    /// What an instance has acknowledged in one session it acknowledges again in the next.
    AcknowledgedAnew,
    /// Two processes with one id are two members.
    ProcessesAreMembers,
    /// Waits are measured by a clock that advances evenly.
    WaitsAreSteady,
    /// Time during which a machine is suspended counts.
    SuspendCounts,
    /// A restored store moves nobody before an operator has confirmed it.
    RestoreIsConfirmed,
    /// A controller notices that an instance holds a revision that its store never had.
    FutureIsNoticed,
}

impl Mutation {
    /// Whether this rule is left out.
    #[cfg(not(feature = "mutations"))]
    #[inline(always)]
    pub const fn is_left_out(self) -> bool {
        false
    }

    /// Whether this rule is left out.
    #[cfg(feature = "mutations")]
    pub fn is_left_out(self) -> bool {
        LEFT_OUT.load(std::sync::atomic::Ordering::Relaxed) == self as u8
    }

    /// Leaves this rule out in the whole process.
    #[cfg(feature = "mutations")]
    pub fn leave_out(self) {
        LEFT_OUT.store(self as u8, std::sync::atomic::Ordering::Relaxed);
    }
}

#[cfg(feature = "mutations")]
static LEFT_OUT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(Mutation::Nothing as u8);
