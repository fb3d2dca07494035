//! The guards: what is evidence, when there is enough, whom a verdict is about, and what can't fool them.

mod absurd;
mod blindness;
mod calibration;
mod evidence;
mod invariance;
mod quorum;
mod standing;
mod tenants;
mod traps;

use cutover::domain::{
    Tenant,
    guard::{
        Arm, Cell, Guard, GuardConfig, GuardKind, Judge, JudgedStage, Operation, Pairs, Report, Verdict,
    },
};

pub const READ: Operation = Operation::Read;
pub const WRITE: Operation = Operation::Write;

/// A judge and the reports that it has received.
#[derive(Clone, Debug)]
pub struct Story {
    pub judge: Judge,
    pub now_ms: u64,
    pub sequence: u64,
    pub revision: u64,
}

impl Story {
    pub fn new(config: GuardConfig) -> Self {
        let judge = Judge::new(config, JudgedStage { revision: 1, ..JudgedStage::default() }, 0);
        Self { judge, now_ms: 1_000, sequence: 0, revision: 1 }
    }

    pub fn of(guards: &[Guard]) -> Self {
        Self::new(GuardConfig::default().only(guards))
    }

    /// One report of one instance, now.
    pub fn report(&mut self, instance: &str, cells: &[Cell<'_>]) -> Vec<Verdict> {
        self.sequence += 1;
        self.judge.observe(&Report { instance, sequence: self.sequence, cells }, self.now_ms)
    }

    /// A second in which each of three instances reports these cells.
    pub fn second(&mut self, cells: &[Cell<'_>]) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for instance in ["a", "b", "c"] {
            verdicts.extend(self.report(instance, cells));
            self.now_ms += 300;
        }
        self.now_ms += 100;
        verdicts
    }

    /// Seconds until the first verdict.
    pub fn until(&mut self, most: u64, cells: &[Cell<'_>]) -> Option<(u64, Verdict)> {
        (1..=most).find_map(|second| Some((second, self.second(cells).into_iter().next()?)))
    }

    /// A minute of a healthy fleet.
    pub fn well(mut self) -> Self {
        let cells = [reads(100, 0, 100, 0), writes(50, 0, 0)];
        assert_eq!(self.until(60, &cells), None);
        self
    }

    pub fn restage(&mut self, stage: JudgedStage) {
        self.revision += 1;
        self.judge.restage(JudgedStage { revision: self.revision, ..stage }, self.now_ms);
    }
}

pub fn guard(kind: GuardKind, operation: Operation) -> Guard {
    Guard::of(kind, operation)
}

pub fn arm(calls: u64, failed: u64) -> Arm {
    Arm { calls, errors: [failed, 0, 0, 0, 0, 0], ..Arm::default() }
}

/// Reads of the target and of the source.
pub fn reads(target: u64, failed: u64, source: u64, source_failed: u64) -> Cell<'static> {
    Cell { target: arm(target, failed), source: arm(source, source_failed), ..Cell::empty(1, READ, None) }
}

/// Writes to both.
pub fn writes(calls: u64, only_target_failed: u64, only_source_failed: u64) -> Cell<'static> {
    Cell {
        target: arm(calls, only_target_failed),
        source: arm(calls, only_source_failed),
        pairs: Pairs { calls, only_target_failed, only_source_failed, both_failed: 0 },
        ..Cell::empty(1, WRITE, None)
    }
}

pub fn at<'a>(cell: Cell<'a>, revision: u64) -> Cell<'a> {
    Cell { revision, ..cell }
}

pub fn of<'a>(cell: Cell<'a>, tenant: &'a Tenant) -> Cell<'a> {
    Cell { tenant: Some(tenant), ..cell }
}
