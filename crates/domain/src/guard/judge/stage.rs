//! What the judge knows of the stage, and its counts.

use super::super::{Cell, Operation};

/// What a new stage means for the guards.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JudgedStage {
    /// Its revision: cells decided under an older one are no longer judged.
    pub revision: u64,
    /// Nobody reads only from the source any more, or those who do were not selected by bucket. Reads are
    /// then compared with the source's earlier rate.
    pub frozen_reads: bool,
    /// The same for writes.
    pub frozen_writes: bool,
    /// Number of the enrolment step that begins: tenants reach target-first. 0: no enrolment.
    pub enrolled: u32,
    /// Tenants enrolled; 0: unknown.
    pub tenants: u64,
    /// Share of the reads that should go to the target. 0: none, or unknown.
    pub read_share_ppm: u32,
    /// The same for writes.
    pub write_share_ppm: u32,
}

impl JudgedStage {
    /// Whether this operation has no fair control in the source.
    pub(super) const fn is_frozen(&self, operation: Operation) -> bool {
        match operation {
            Operation::Read => self.frozen_reads,
            Operation::Write => self.frozen_writes,
        }
    }
}

/// What was not counted, since the judge began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotCounted {
    /// Reports that were already counted.
    pub repeated: u64,
    /// Reports of more instances than allowed.
    pub instances: u64,
    /// Cells of an older stage.
    pub stragglers: u64,
    /// Cells of a revision that does not exist yet.
    pub unknown_revisions: u64,
    /// Cells with a part above its whole, or implausibly large.
    pub absurd: u64,
    /// How often the clock was behind.
    pub clock: u64,
    /// Cells of tenants that could not be judged separately.
    pub untracked: u64,
}

/// Counts of one operation since the stage began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) target: u64,
    pub(super) target_bad: u64,
    pub(super) source: u64,
    pub(super) source_bad: u64,
    pub(super) source_since_target: u64,
    /// The target's errors by class: of the current and of the previous minute.
    pub(super) classes: [[u64; 6]; 2],
}

impl Tally {
    /// Counts a sound cell.
    pub(super) fn add(&mut self, cell: &Cell<'_>) {
        let plus = |count: &mut u64, more: u64| *count = count.saturating_add(more);
        plus(&mut self.target, cell.target.calls);
        plus(&mut self.target_bad, cell.target.failed());
        plus(&mut self.source, cell.source.calls);
        plus(&mut self.source_bad, cell.source.failed());
        match cell.target.calls + cell.target.overdue {
            0 => plus(&mut self.source_since_target, cell.source.calls),
            _ => self.source_since_target = 0,
        }
        for (count, more) in self.classes[0].iter_mut().zip(cell.target.errors) {
            plus(count, more);
        }
    }
}
