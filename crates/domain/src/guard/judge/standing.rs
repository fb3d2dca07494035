//! Whether a step up is allowed: what blocks it, what has not been shown yet, and whether anything is seen at
//! all.

use super::{
    super::{
        Action, Cause, Guard, GuardEvidence, GuardKind, Mode, Operation, Scope, Verdict, bounds,
        by::ByOperation,
        roster::{Gone, Silence},
    },
    Judge, Tally,
};
use crate::{Calls, Counts};

/// After that many calls to the source alone, chance is practically ruled out as the reason for no target
/// calls.
const UNSEEN: f64 = 1e-6;
/// And after at least this many.
const UNSEEN_CALLS: u64 = 20;

/// What the judge can't see.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Blind {
    gone: bool,
    uncalled: bool,
    /// A hold for a common fault is not repeated before this.
    pub(super) quiet_until_ms: u64,
}

impl Blind {
    /// A new stage. Instances that are gone have been reported already.
    pub(super) fn restage(&mut self) {
        *self = Self { gone: self.gone, ..Self::default() };
    }
}

/// What the guards say about a step up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// What blocks every step now; empty if nothing does.
    pub blocks: Vec<Block>,
    /// What has been shown of the stage, for each operation that reaches the target.
    pub certificates: Vec<Certificate>,
    /// Upper bound of the share of reads that miss: of the last 600 ticks or of the stage, whichever is
    /// lower. After a backfill the former is more informative, with little traffic the latter. 1 without
    /// reads.
    pub miss_upper: f64,
}

/// How far a guard is from a trip.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// The guard.
    pub guard: Guard,
    /// Whether it acts.
    pub mode: Mode,
    /// Its counts since the suspected onset. `ln_m` is negative infinity if there can't be any evidence.
    /// Tenants and instances are not listed.
    pub evidence: GuardEvidence,
}

/// Something that blocks a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Block {
    /// The migration tripped at this stage.
    Tripped,
    /// A guard has more than half of the evidence that it needs to trip.
    Suspicion {
        /// The guard.
        guard: Guard,
        /// `ln M`.
        ln_m: f64,
        /// The threshold.
        ln_c: f64,
    },
    /// The source itself exceeds the limit.
    Source(Operation),
    /// Several instances stopped reporting together, and are neither back nor replaced.
    InstancesGone {
        /// How many.
        gone: usize,
        /// How many still report.
        live: usize,
    },
    /// No instance reports any more.
    NobodyReports {
        /// How many did.
        instances: usize,
        /// For how long there has been no report.
        silent_ms: u64,
    },
    /// The target should be called, but is not.
    NoTargetCalls,
}

/// What calls have shown of an operation's errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Certificate {
    /// The operation.
    pub operation: Operation,
    /// Calls to the target since the stage began.
    pub calls: u64,
    /// Failed calls.
    pub bad: u64,
    /// How far the target's rate may exceed the source's at most: its upper bound minus the source's lower
    /// bound, each wrong with probability alpha.
    pub excess: f64,
    /// The margin that `excess` has to be below.
    pub margin: f64,
    /// Number of further calls needed at the current rates. 0: none. `None`: no number would suffice; the
    /// rate itself is too high.
    pub missing: Option<u64>,
    /// When they will have been made, at the rate of calls so far. `None`: unknown.
    pub expected_ms: Option<u64>,
}

impl Judge {
    /// Restores what calls had shown of the current stage before this judge began: evidence for a step up. It
    /// never causes a rollback, which requires current evidence.
    pub fn recall(&mut self, shown: &Counts) {
        let [source_reads, source_writes, target_reads, target_writes] = &shown.calls;
        let of = |target: &Calls, source: &Calls| Tally {
            target: target.calls,
            target_bad: target.errors,
            source: source.calls,
            source_bad: source.errors,
            ..Tally::default()
        };
        self.recalled = ByOperation::each(|operation| match operation {
            Operation::Read => of(target_reads, source_reads),
            Operation::Write => of(target_writes, source_writes),
        });
        let sum = |parts: &[u64]| parts.iter().fold(0_u64, |sum, part| sum.saturating_add(*part));
        let events = &shown.events;
        let reads = sum(&[self.lacked[0], events.compared, events.hit, events.miss]);
        self.lacked = [reads, sum(&[self.lacked[1], events.lacking, events.miss])];
    }

    /// What the guards say about a step up.
    pub fn standing(&mut self, now_ms: u64) -> Standing {
        self.advance_to(now_ms);
        let mut blocks = Vec::new();
        if self.tripped {
            blocks.push(Block::Tripped);
        }
        for Level { guard, mode, evidence: GuardEvidence { ln_m, ln_c, .. } } in self.levels() {
            if mode == Mode::Enforce && ln_m >= ln_c / 2.0 {
                blocks.push(Block::Suspicion { guard, ln_m, ln_c });
            }
        }
        for source in self.sources.iter() {
            let measure = self.measure(source.guard);
            if source.ln_m(&self.roster, &measure) >= measure.ln_c / 2.0 {
                blocks.push(Block::Source(source.guard.operation));
            }
        }
        if self.config.blindness == Mode::Enforce {
            let gone = self.roster.gone(Silence::Now, self.now_ms);
            let silent = self.roster.all_silent(self.now_ms).filter(|_| gone.is_none());
            blocks.extend(gone.map(|Gone { gone, live }| Block::InstancesGone { gone, live }));
            blocks.extend(silent.map(|(instances, silent_ms)| Block::NobodyReports { instances, silent_ms }));
            blocks.extend(self.uncalled().map(|_| Block::NoTargetCalls));
        }
        let shares = [self.stage.read_share_ppm, self.stage.write_share_ppm];
        let operations = [Operation::Read, Operation::Write].into_iter().zip(shares);
        let wanted = operations.filter(|(operation, share)| *share > 0 || self.shown(*operation).target > 0);
        let certificates = wanted.map(|(operation, _)| self.certificate(operation)).collect();
        let (reads, misses) = self.lacking.longest();
        let level = -self.config.advance_alpha.ln();
        let upper = |misses: u64, reads: u64| bounds::upper(misses as f64, reads as f64, level);
        let miss_upper = upper(misses, reads).min(upper(self.lacked[1], self.lacked[0]));
        Standing { blocks, certificates, miss_upper }
    }

    /// The evidence of each guard that is judged, over everybody.
    pub fn levels(&self) -> Vec<Level> {
        let judged = Guard::COUNTING.into_iter();
        let judged = judged.filter_map(|guard| Some((guard, self.config.rule(guard)?)));
        let levels = judged.filter_map(|(guard, rule)| {
            let measure = self.measure(guard);
            let own = self.pools.iter().find(|pool| pool.guard == guard);
            let pool = own.or_else(|| Some(self.misses.as_ref()?.leading(&self.roster, &measure)))?;
            let (since, onset_ms) = (pool.detector.since(), pool.detector.onset_ms());
            let ln_m = pool.ln_m(&self.roster, &measure);
            let evidence = self.evidence_of(pool, &since, onset_ms, ln_m, &measure);
            Some(Level { guard, mode: rule.mode, evidence })
        });
        levels.collect()
    }

    fn certificate(&self, operation: Operation) -> Certificate {
        let tally = self.shown(operation);
        let (alpha, margin) = (self.config.advance_alpha, self.config.advance_margin);
        let excess = tally.excess(1.0, alpha);
        let missing = tally.missing(alpha, margin);
        let elapsed_ms = self.now_ms.saturating_sub(self.began_ms);
        let lately = self.tallies[operation].target;
        let expected_ms = missing.filter(|_| lately > 0).map(|missing| {
            let ms = missing as f64 * elapsed_ms as f64 / lately as f64;
            self.now_ms.saturating_add(ms as u64)
        });
        let (calls, bad) = (tally.target, tally.target_bad);
        Certificate { operation, calls, bad, excess, margin, missing, expected_ms }
    }

    /// What calls have shown of an operation since the stage began.
    fn shown(&self, operation: Operation) -> Tally {
        let (mut shown, before) = (self.tallies[operation], self.recalled[operation]);
        let plus = |count: &mut u64, more: u64| *count = count.saturating_add(more);
        plus(&mut shown.target, before.target);
        plus(&mut shown.target_bad, before.target_bad);
        plus(&mut shown.source, before.source);
        plus(&mut shown.source_bad, before.source_bad);
        shown
    }

    /// Calls to the source since the last one to the target, if chance can be ruled out.
    fn uncalled(&self) -> Option<u64> {
        let shares = [self.stage.read_share_ppm, self.stage.write_share_ppm];
        shares.into_iter().zip(self.tallies.iter()).find_map(|(share_ppm, tally)| {
            let share = f64::from(share_ppm.min(1_000_000)) / 1e6;
            let calls = tally.source_since_target;
            let chance = (1.0 - share).powf(calls as f64);
            (share > 0.0 && calls >= UNSEEN_CALLS && chance < UNSEEN).then_some(calls)
        })
    }

    /// Verdicts on what has just become invisible.
    pub(super) fn judge_blindness(&mut self) -> Vec<Verdict> {
        let action = match self.config.blindness {
            Mode::Enforce => Action::Hold,
            Mode::Observe => Action::Observe,
        };
        let verdict = |cause, target: usize, target_bad: usize| Verdict {
            guard: Guard::of(GuardKind::Blindness, Operation::Read),
            scope: Scope::Migration,
            action,
            cause,
            evidence: GuardEvidence {
                onset_ms: self.now_ms,
                now_ms: self.now_ms,
                target: target as u64,
                target_bad: target_bad as u64,
                ..GuardEvidence::default()
            },
        };
        let (gone, uncalled) = (self.roster.gone(Silence::Unreplaced, self.now_ms), self.uncalled());
        let mut verdicts = Vec::new();
        if let Some(Gone { gone, live }) = gone.filter(|_| !self.blind.gone) {
            verdicts.push(verdict(Cause::InstancesGone, live, gone));
        }
        if let Some(calls) = uncalled.filter(|_| !self.blind.uncalled) {
            verdicts.push(verdict(Cause::NoTargetCalls, calls as usize, 0));
        }
        (self.blind.gone, self.blind.uncalled) = (gone.is_some(), uncalled.is_some());
        verdicts
    }
}

impl Tally {
    /// Upper bound of the target's rate over the source's, if there were `times` as many calls.
    fn excess(&self, times: f64, alpha: f64) -> f64 {
        let level = -alpha.ln();
        let of = |count: u64| count as f64 * times;
        let target = bounds::upper(of(self.target_bad), of(self.target), level);
        target - bounds::lower(of(self.source_bad), of(self.source), level)
    }

    fn missing(&self, alpha: f64, margin: f64) -> Option<u64> {
        if self.excess(1.0, alpha) < margin {
            return Some(0);
        }
        if self.target_bad == 0 {
            return Some(bounds::calls_to_certify(margin, alpha).saturating_sub(self.target).max(1));
        }
        // Increase in steps: accurate enough for "expected at".
        let mut times = 1.0;
        while times < 1e6 {
            times *= 1.5;
            if self.excess(times, alpha) < margin {
                return Some(((times - 1.0) * self.target as f64) as u64);
            }
        }
        None
    }
}
