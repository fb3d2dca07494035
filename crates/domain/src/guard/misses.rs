//! The miss ratchet: a guard for each enrolment step, because tenants that come later have cold keys.

use super::{
    Guard, GuardKind, Operation, Rule,
    evalue::{Sample, Test},
    pool::{Measure, Pool},
    ratchet::Ratchet,
    roster::Roster,
};

/// A new step's keys may be cold for this long.
const GRACE_MS: u64 = 300_000;
/// Number of enrolment steps that are distinguished; an older one is no longer judged separately.
pub(super) const STEPS_MAX: usize = 8;

/// All enrolment steps.
#[derive(Clone, Debug)]
pub(super) struct Misses {
    /// Factor and slack of the ratchet.
    limit: (f64, f64),
    rule: Rule,
    /// Never empty; the newest last.
    steps: Vec<RampStep>,
}

#[derive(Clone, Debug)]
struct RampStep {
    id: u32,
    opened_ms: u64,
    ratchet: Ratchet,
    pool: Pool,
}

impl Misses {
    /// A step in its grace period.
    pub(super) fn new(rule: Rule, (factor, slack): (f64, f64), now_ms: u64) -> Self {
        let mut misses = Self { limit: (factor, slack), rule, steps: Vec::new() };
        misses.enrol(0, now_ms);
        misses
    }

    /// A further enrolment.
    pub(super) fn enrol(&mut self, id: u32, now_ms: u64) {
        if self.steps.len() == STEPS_MAX {
            self.steps.remove(0);
        }
        let ratchet = Ratchet::new(self.limit.0, self.limit.1);
        let guard = Guard::of(GuardKind::MissRatchet, Operation::Read);
        let pool = Pool::new(guard, self.rule, Test::Absolute(*ratchet.test()), None, now_ms);
        self.steps.push(RampStep { id, opened_ms: now_ms, ratchet, pool });
    }

    /// Counts reads of a step's tenants; of the newest step if it is unknown.
    pub(super) fn add(&mut self, id: u32, sample: &Sample, slot: usize, place: u32) {
        let known = self.steps.iter().position(|step| step.id == id).filter(|_| id != 0);
        let at = known.unwrap_or(self.steps.len() - 1);
        self.steps[at].pool.add(sample, slot, place);
    }

    /// The first step that reaches `bar`, with `ln M`.
    pub(super) fn reached(&self, roster: &Roster, measure: &Measure, bar: f64) -> Option<(usize, f64)> {
        self.steps
            .iter()
            .enumerate()
            .filter(|(_, step)| !step.pool.latched)
            .find_map(|(at, step)| step.pool.reached(roster, measure, bar).map(|ln_m| (at, ln_m)))
    }

    /// The guard of a step.
    pub(super) fn pool_mut(&mut self, at: usize) -> &mut Pool {
        &mut self.steps[at].pool
    }

    /// The guard of a step, and its limit.
    pub(super) fn pool(&self, at: usize) -> &Pool {
        &self.steps[at].pool
    }

    /// Ends the open tick. In its grace period a step is measured but not judged.
    pub(super) fn close(&mut self, roster: &mut Roster, measure: &Measure, now_ms: u64) {
        for RampStep { opened_ms, ratchet, pool, .. } in &mut self.steps {
            let tick = pool.close(roster, measure, now_ms);
            ratchet.close(tick.target, tick.target_bad);
            let in_grace = now_ms.saturating_sub(*opened_ms) < GRACE_MS;
            let never = super::evalue::Absolute::rise(1.0);
            pool.test = Test::Absolute(if in_grace { never } else { *ratchet.test() });
        }
    }

    /// A new stage: evidence is cleared, the reached rates stay.
    pub(super) fn reset(&mut self, now_ms: u64) {
        self.steps.iter_mut().for_each(|step| step.pool.reset(now_ms));
    }

    /// The lowest rate of misses that each step surely reached, by step.
    pub(super) fn lowest(&self) -> impl Iterator<Item = (u32, f64)> {
        self.steps.iter().map(|step| (step.id, step.ratchet.lowest()))
    }

    /// The step with the most evidence.
    pub(super) fn leading(&self, roster: &Roster, measure: &Measure) -> &Pool {
        let ln_m = |step: &RampStep| step.pool.ln_m(roster, measure);
        let most = self.steps.iter().max_by(|a, b| ln_m(a).total_cmp(&ln_m(b)));
        &most.unwrap_or(&self.steps[0]).pool
    }
}
