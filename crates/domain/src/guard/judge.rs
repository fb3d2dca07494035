//! The entry point: takes reports, gives verdicts.

mod stage;
mod standing;
mod trip;

use super::{
    Cell, Few, Guard, GuardConfig, GuardKind, Limit, Mode, Operation, Report, Rule, Verdict, bounds,
    by::{ByGuard, ByOperation},
    detector::Dispersion,
    evalue::{Absolute, Relative, Sample, Test},
    misses::Misses,
    pool::{Measure, Pool, SLOTS},
    ratchet::{SURE, Window},
    roster::{NotTaken, Roster},
    tenants::Tenants,
};
use crate::Tenant;

pub use stage::{JudgedStage, NotCounted};
pub use standing::{Block, Certificate, Level, Standing};

use stage::Tally;

/// A tenant's threshold is at least that for this many tenants.
const TENANTS_MIN: usize = 16;
/// A baseline is frozen from at least this many calls.
const BASELINE_CALLS: f64 = 200.0;
/// Maximum over-dispersion by which a fixed rate's evidence is divided.
const PHI_MAX: f64 = 3.0;
/// Without a report or a tick for longer, the controller did not run: nobody's silence counts.
const UNHEARD_MS: u64 = 3_000;
/// Errors by class cover the last one or two times this many ticks.
const CLASS_TICKS: u64 = 60;

/// Judges one migration.
#[derive(Clone, Debug)]
pub struct Judge {
    config: GuardConfig,
    stage: JudgedStage,
    newest: u64,
    now_ms: u64,
    began_ms: u64,
    roster: Roster,
    /// One for each of [`Guard::pooled`]. Each one counts, judged or not.
    pools: Vec<Pool>,
    /// The source against the absolute guards' rates.
    sources: ByOperation<Pool>,
    misses: Option<Misses>,
    tenants: Tenants,
    /// The source's calls, from which phi and frozen baselines are measured.
    arms: ByGuard<Dispersion>,
    quorum: usize,
    /// The migration has tripped; the judge waits for the next stage.
    tripped: bool,
    /// Tenants' trips of the last ten minutes.
    recent: Vec<(u64, Tenant, Few)>,
    tallies: ByOperation<Tally>,
    /// What calls had shown of the stage before this judge began.
    recalled: ByOperation<Tally>,
    lacking: Window,
    /// Since the stage began: reads that show whether the target has the record, and those where it does not.
    lacked: [u64; 2],
    blind: standing::Blind,
    refused: NotCounted,
}

impl Judge {
    /// A judge without evidence. `now_ms` is the caller's clock, also in every later call.
    pub fn new(config: GuardConfig, stage: JudgedStage, now_ms: u64) -> Self {
        let pool = |guard: Guard, seat| {
            let rule =
                config.rule(guard).unwrap_or(Rule { mode: Mode::Observe, limit: default_limit(guard) });
            Pool::new(guard, rule, test_of(rule.limit), seat, now_ms)
        };
        let pools: Vec<Pool> =
            Guard::pooled().enumerate().map(|(seat, guard)| pool(guard, Some(seat))).collect();
        let sources = |operation| pool(Guard::of(GuardKind::ErrorAbsolute, operation), None);
        let sources = ByOperation::each(sources);
        let misses = config.rule(Guard::MISSES).and_then(|rule| match rule.limit {
            Limit::Ratchet { factor, slack } => Some(Misses::new(rule, (factor, slack), now_ms)),
            _ => None,
        });
        Self {
            tenants: Tenants::new(config.tenants_max),
            config,
            stage,
            newest: stage.revision,
            now_ms,
            began_ms: now_ms,
            roster: Roster::default(),
            pools,
            sources,
            misses,
            arms: ByGuard::default(),
            quorum: 1,
            tripped: false,
            recent: Vec::new(),
            tallies: ByOperation::default(),
            recalled: ByOperation::default(),
            lacking: Window::default(),
            lacked: [0; 2],
            blind: standing::Blind::default(),
            refused: NotCounted::default(),
        }
    }

    /// A revision that moves tenants. Clears all evidence and latches; what is known of the source's calls
    /// and the miss ratchets stays. Call [`Judge::standing`] first.
    pub fn restage(&mut self, stage: JudgedStage, now_ms: u64) {
        self.advance_to(now_ms);
        for at in 0..self.pools.len() {
            let guard = self.pools[at].guard;
            let is_frozen = stage.is_frozen(guard.operation);
            let (calls, bad) = self.arms[guard].remembered();
            let pool = &mut self.pools[at];
            if let Test::Relative(relative, frozen) = &mut pool.test {
                *frozen = match is_frozen {
                    false => None,
                    true if calls < BASELINE_CALLS => *frozen,
                    true => Some(Absolute::gross(relative.frozen_at(bounds::upper(bad, calls, SURE)))),
                };
            }
            pool.reset(self.now_ms);
        }
        self.sources.iter_mut().for_each(|pool| pool.reset(self.now_ms));
        if let Some(misses) = &mut self.misses {
            misses.reset(self.now_ms);
            if stage.enrolled > 0 {
                misses.enrol(stage.enrolled, self.now_ms);
            }
        }
        let tests: Vec<Test> = self.pools.iter().map(|pool| pool.test).collect();
        self.tenants.reset(&tests, stage.revision, self.now_ms);
        self.roster.forgive(None);
        self.tripped = false;
        self.recent.clear();
        self.tallies = ByOperation::default();
        self.recalled = ByOperation::default();
        self.lacking = Window::default();
        self.lacked = [0; 2];
        self.blind.restage();
        self.newest = self.newest.max(stage.revision);
        (self.stage, self.began_ms) = (stage, self.now_ms);
    }

    /// A revision that moves one tenant: a pin, or the rollback of that tenant.
    pub fn restage_tenant(&mut self, tenant: &Tenant, revision: u64, now_ms: u64) {
        self.advance_to(now_ms);
        self.newest = self.newest.max(revision);
        if let Some(at) = self.tenants.place(tenant, self.now_ms) {
            let tests: Vec<Test> = self.pools.iter().map(|pool| pool.test).collect();
            self.tenants.get_mut(at).reset(&tests, revision, self.now_ms);
        }
    }

    /// The lowest share of misses that each enrolment step surely reached, oldest first.
    pub fn lowest_misses(&self) -> Vec<(u32, f64)> {
        self.misses.iter().flat_map(Misses::lowest).collect()
    }

    /// A revision that moves nobody. Cells of revisions newer than the newest known one are rejected.
    pub fn newest(&mut self, revision: u64) {
        self.newest = self.newest.max(revision);
    }

    /// The instance said goodbye, was evicted, or a new process has its name.
    pub fn goodbye(&mut self, instance: &str) {
        self.roster.leave(instance, self.now_ms);
    }

    /// Whether the instance has reported. A quorum does not wait for instances that never do.
    pub fn knows(&self, instance: &str) -> bool {
        self.roster.knows(instance)
    }

    /// Number of tenants that are judged separately.
    pub fn tracked_tenants(&self) -> usize {
        self.tenants.len()
    }

    /// What was not counted.
    pub const fn refused(&self) -> NotCounted {
        self.refused
    }

    /// Counts a report, once, and judges immediately.
    pub fn observe(&mut self, report: &Report<'_>, now_ms: u64) -> Vec<Verdict> {
        self.advance_to(now_ms);
        let max = self.config.instances_max;
        let place = match self.roster.take(report.instance, report.sequence, self.now_ms, max) {
            Ok(place) => place,
            Err(NotTaken::Repeated) => {
                self.refused.repeated += 1;
                return Vec::new();
            }
            Err(NotTaken::Full) => {
                self.refused.instances += 1;
                return Vec::new();
            }
        };
        let mut verdicts = Vec::new();
        for cell in report.cells {
            let tenant = self.count(cell, place);
            if let Some(at) = tenant {
                verdicts.extend(self.judge_tenant(at));
            }
        }
        verdicts.extend(self.judge_pools());
        verdicts
    }

    /// Advances time without a report; call it at least once per tick.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Verdict> {
        self.advance_to(now_ms);
        let mut verdicts = self.judge_pools();
        verdicts.extend(self.judge_blindness());
        verdicts
    }

    /// Counts a cell. Returns its tenant's index if the tenant is judged separately.
    fn count(&mut self, cell: &Cell<'_>, place: u32) -> Option<usize> {
        if !cell.is_sound() {
            self.refused.absurd += 1;
            return None;
        }
        if cell.revision > self.newest {
            self.refused.unknown_revisions += 1;
            return None;
        }
        if cell.revision < self.stage.revision {
            self.refused.stragglers += 1;
            return None;
        }
        let tracked = cell.tenant.and_then(|tenant| self.tenants.place(tenant, self.now_ms));
        if let Some(at) = tracked {
            let tracked = self.tenants.get(at);
            if tracked.tripped || cell.revision < tracked.since_revision {
                self.refused.stragglers += 1;
                return None;
            }
            let (slot, tick) = (self.now_ms / self.slot_ms(), self.now_ms / self.config.tick_ms);
            self.tenants.add(at, cell, place, slot, tick);
        } else if cell.tenant.is_some() {
            self.refused.untracked += 1;
        }
        let slot = (self.now_ms / self.slot_ms()) as usize % SLOTS;
        for (at, pool) in self.pools.iter_mut().enumerate() {
            if pool.guard.operation != cell.operation {
                continue;
            }
            let sample = cell.sample(pool.guard);
            if sample.is_empty() {
                continue;
            }
            pool.add(&sample, slot, place);
            if let Some(instance) = self.roster.get_mut(place) {
                instance.seats[at].sample.add(&sample);
            }
        }
        let source =
            Sample { target: cell.source.calls, target_bad: cell.source.failed(), ..Sample::default() };
        self.sources[cell.operation].add(&source, slot, place);
        if cell.operation == Operation::Read {
            let sample = cell.sample(Guard::MISSES);
            if let Some(misses) = self.misses.as_mut().filter(|_| !sample.is_empty()) {
                misses.add(cell.step, &sample, slot, place);
            }
            let (reads, lacking) = (cell.compared + sample.target, cell.lacking + sample.target_bad);
            self.lacking.add(reads, lacking);
            self.lacked = [self.lacked[0].saturating_add(reads), self.lacked[1].saturating_add(lacking)];
        }
        self.tallies[cell.operation].add(cell);
        tracked
    }

    fn slot_ms(&self) -> u64 {
        (self.config.tick_ms / SLOTS as u64).max(1)
    }

    /// Ends the open tick if `now_ms` is in a later one. The clock never goes back.
    fn advance_to(&mut self, now_ms: u64) {
        if now_ms < self.now_ms {
            self.refused.clock += 1;
            return;
        }
        if now_ms - self.now_ms > UNHEARD_MS {
            self.roster.listen_anew(now_ms);
        }
        let (open, tick) = (self.now_ms / self.config.tick_ms, now_ms / self.config.tick_ms);
        self.now_ms = now_ms;
        if tick == open {
            return;
        }
        let next_ms = tick * self.config.tick_ms;
        let phis: Vec<f64> = self.pools.iter().map(|pool| self.phi(pool.guard)).collect();
        let (pools, stage) = (&self.pools, &self.stage);
        self.tenants.close(
            |tracked, seat| match (pools.get(seat), phis.get(seat)) {
                (Some(pool), Some(phi)) => tracked.gains(seat, &pool.test, &fleet(pool, stage), *phi),
                _ => [0.0; super::evalue::BANK],
            },
            next_ms,
        );
        for at in 0..self.pools.len() {
            let guard = self.pools[at].guard;
            let measure = self.measure(guard);
            let tick = self.pools[at].close(&mut self.roster, &measure, next_ms);
            if !self.stage.is_frozen(guard.operation) {
                self.arms[guard].close(tick.source + tick.pairs, tick.source_bad + tick.only_source);
            }
        }
        for operation in [Operation::Read, Operation::Write] {
            let measure = self.measure(Guard::of(GuardKind::ErrorAbsolute, operation));
            let source = &mut self.sources[operation];
            source.close(&mut self.roster, &measure, next_ms);
            source.detector.cap(measure.ln_c);
        }
        let measure = self.measure(Guard::MISSES);
        if let Some(misses) = &mut self.misses {
            misses.close(&mut self.roster, &measure, next_ms);
        }
        self.lacking.end_tick();
        self.roster.end_tick();
        self.quorum = self.roster.quorum(self.now_ms);
        if open / CLASS_TICKS != tick / CLASS_TICKS {
            self.tallies.iter_mut().for_each(|tally| tally.classes = [[0; 6], tally.classes[0]]);
        }
    }

    /// The over-dispersion by which a guard's evidence is divided.
    fn phi(&self, guard: Guard) -> f64 {
        if matches!(
            guard.kind,
            GuardKind::ErrorRelative | GuardKind::SlowRelative | GuardKind::NotFoundRelative
        ) {
            return self.arms[guard].phi();
        }
        self.arms[Guard::of(GuardKind::ErrorRelative, guard.operation)].phi().min(PHI_MAX)
    }

    fn measure(&self, guard: Guard) -> Measure {
        let steps = if guard == Guard::MISSES { super::misses::STEPS_MAX } else { 1 };
        let ln_c = self.config.ln_threshold(self.config.judged() * steps);
        Measure { ln_c, phi: self.phi(guard), quorum: self.quorum }
    }

    /// The threshold of a tenant: all tenants together trip falsely as often as the migration.
    fn tenant_ln_c(&self) -> f64 {
        let tenants = self.tenants.len().max(TENANTS_MIN);
        self.config.ln_threshold(self.config.judged() * tenants)
    }
}

/// The source's calls of everybody in the open tick, if they are a fair control.
fn fleet(pool: &Pool, stage: &JudgedStage) -> Sample {
    match stage.is_frozen(pool.guard.operation) {
        true => Sample::default(),
        false => *pool.detector.tick(),
    }
}

fn test_of(limit: Limit) -> Test {
    match limit {
        Limit::Rate(p0) => Test::Absolute(Absolute::gross(p0)),
        Limit::Relative { rho, delta } => Test::Relative(Relative::new(rho, delta), None),
        Limit::Ratchet { .. } => Test::Absolute(Absolute::rise(1.0)),
    }
}

/// The limit with which a guard that is turned off counts.
fn default_limit(guard: Guard) -> Limit {
    GuardConfig::default().rule(guard).map_or(Limit::Rate(1e-4), |rule| rule.limit)
}
