//! What the judge knows of the stage, and what it counted in it.

use super::super::{Cell, Operation};

/// What a change of stages means for the guards.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stage {
    /// Its revision: what was decided under an older one is not judged any more.
    pub revision: u64,
    /// Nobody is left who reads from the source only, or those who are were not drawn by bucket:
    /// reads are compared with the source's rate of before.
    pub frozen_reads: bool,
    /// The same for writes.
    pub frozen_writes: bool,
    /// Number of the enrolment step that begins: tenants reach target-first. 0: none does.
    pub enrolled: u32,
    /// Tenants enrolled; 0: not known.
    pub tenants: u64,
    /// Share of the reads that the target should get. 0: none, or not known.
    pub read_share_ppm: u32,
    /// The same of writes.
    pub write_share_ppm: u32,
}

impl Stage {
    /// Is there no fair arm of the source for this operation?
    pub(super) const fn is_frozen(&self, operation: Operation) -> bool {
        match operation {
            Operation::Read => self.frozen_reads,
            Operation::Write => self.frozen_writes,
        }
    }
}

/// What was not counted, since the judge began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Reports that were taken before.
    pub repeated: u64,
    /// Reports of more instances than there may be.
    pub instances: u64,
    /// Cells of an older stage.
    pub stragglers: u64,
    /// Cells of a revision that is not yet.
    pub unknown_revisions: u64,
    /// Cells with a part above its whole, or too large to be true.
    pub absurd: u64,
    /// Times that the clock was behind.
    pub clock: u64,
    /// Cells of tenants that could not be judged by themselves.
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
    /// The target's errors by class: of the present and of the last minute.
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
