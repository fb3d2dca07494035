//! The reports of instances in the judge's form.

use super::{Guard, GuardKind, Operation, evalue::Sample};
use crate::Tenant;

/// Calls to one store that ended since the last report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arm {
    /// All of them.
    pub calls: u64,
    /// Failed ones by [`super::ErrorClass`].
    pub errors: [u64; 6],
    /// Slower than the limit.
    pub slow: u64,
    /// Reads whose answer went to the caller: not comparisons, and not the fallback of a miss.
    pub answered: u64,
    /// Of `answered`: no such record exists.
    pub not_found: u64,
    /// Still running, and already slower than the limit. Not included in `calls`.
    pub overdue: u64,
}

/// Calls that touched both stores; they are also included in both arms' calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// All of them.
    pub calls: u64,
    /// The target failed, the source did not.
    pub only_target_failed: u64,
    /// The source failed; the target did not, or was not called.
    pub only_source_failed: u64,
    /// Both failed.
    pub both_failed: u64,
}

/// Counts of one operation kind, decided under one revision, since the instance's last report.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// Revision of the migration under which the calls were decided.
    pub revision: u64,
    /// Of what.
    pub operation: Operation,
    /// `None`: all tenants that are not counted separately.
    pub tenant: Option<&'a Tenant>,
    /// The enrolment step that the tenants came with, as given to [`super::JudgedStage::enrolled`]. 0: unknown.
    pub step: u32,
    /// Calls to the target.
    pub target: Arm,
    /// Calls to the source.
    pub source: Arm,
    /// Calls to both.
    pub pairs: Pairs,
    /// Reads at target-first that the target answered.
    pub hit: u64,
    /// Reads at target-first that only the source could answer.
    pub miss: u64,
    /// Reads at dual whose answers from both stores were compared.
    pub compared: u64,
    /// Of `compared`: the target had no record.
    pub lacking: u64,
    /// Of `compared`: different, also when read again.
    pub mismatch: u64,
}

/// All cells of one instance's report that are about this migration.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The instance.
    pub instance: &'a str,
    /// Increases with each report of the instance; a report with an old one is a repetition.
    pub sequence: u64,
    /// The cells. There may be none: the instance is alive.
    pub cells: &'a [Cell<'a>],
}

/// No count in a report is this large.
const COUNT_END: u64 = 1 << 40;

impl Arm {
    /// Failed calls.
    pub fn failed(&self) -> u64 {
        self.errors.iter().fold(0, |sum, errors| sum.saturating_add(*errors))
    }

    fn is_sound(&self) -> bool {
        let counts = [self.slow, self.answered, self.failed()];
        self.calls.max(self.overdue) < COUNT_END
            && counts.into_iter().all(|count| count <= self.calls)
            && self.not_found <= self.answered
    }
}

impl<'a> Cell<'a> {
    /// A cell without counts.
    pub fn empty(revision: u64, operation: Operation, tenant: Option<&'a Tenant>) -> Self {
        Self {
            revision,
            operation,
            tenant,
            step: 0,
            target: Arm::default(),
            source: Arm::default(),
            pairs: Pairs::default(),
            hit: 0,
            miss: 0,
            compared: 0,
            lacking: 0,
            mismatch: 0,
        }
    }

    /// Whether no part exceeds its whole, and nothing is implausibly large.
    pub fn is_sound(&self) -> bool {
        let Pairs { calls, only_target_failed, only_source_failed, both_failed } = self.pairs;
        let small = [calls, only_target_failed, only_source_failed, both_failed];
        let small = small.into_iter().chain([self.hit, self.miss, self.compared]);
        self.target.is_sound()
            && self.source.is_sound()
            && small.into_iter().all(|count| count < COUNT_END)
            && only_target_failed + only_source_failed + both_failed <= calls
            && self.lacking <= self.compared
            && self.mismatch <= self.compared
    }

    /// Calls to both stores.
    pub fn calls(&self) -> u64 {
        self.target.calls.saturating_add(self.source.calls)
    }

    /// The counts that a guard judges. The cell must be sound and of the guard's operation.
    pub fn sample(&self, guard: Guard) -> Sample {
        let (target, source, pairs) = (&self.target, &self.source, &self.pairs);
        let rate = |target, target_bad| Sample { target, target_bad, ..Sample::default() };
        match guard.kind {
            GuardKind::ErrorAbsolute => rate(target.calls, target.failed()),
            GuardKind::ErrorRelative => {
                let shared = |only: u64| only.saturating_add(pairs.both_failed);
                let alone = |arm: &Arm, paired_bad: u64| {
                    let calls = arm.calls.saturating_sub(pairs.calls);
                    (calls, arm.failed().saturating_sub(paired_bad).min(calls))
                };
                let (target, target_bad) = alone(target, shared(pairs.only_target_failed));
                let (source, source_bad) = alone(source, shared(pairs.only_source_failed));
                Sample {
                    target,
                    target_bad,
                    source,
                    source_bad,
                    pairs: pairs.calls,
                    only_target: pairs.only_target_failed,
                    only_source: pairs.only_source_failed,
                }
            }
            GuardKind::SlowRelative => Sample {
                target: target.calls + target.overdue,
                target_bad: target.slow + target.overdue,
                source: source.calls + source.overdue,
                source_bad: source.slow + source.overdue,
                ..Sample::default()
            },
            GuardKind::NotFoundRelative => Sample {
                target: target.answered,
                target_bad: target.not_found,
                source: source.answered,
                source_bad: source.not_found,
                ..Sample::default()
            },
            GuardKind::Mismatch => rate(self.compared, self.mismatch),
            GuardKind::WriteDivergence => rate(pairs.calls, pairs.only_target_failed),
            GuardKind::MissRatchet => rate(self.hit + self.miss, self.miss),
            GuardKind::Blindness => Sample::default(),
        }
    }
}
