//! The tenants that are judged separately: the busiest, and those with evidence against them. Bounded: a new
//! tenant replaces one that is neither (space-saving; Metwally, Agrawal and El Abbadi, 2005; the least of a
//! few in turn approximates the least of all).

use std::collections::HashMap;

use super::{
    Cell, Guard, GuardKind,
    detector::{Detector, Dispersion},
    evalue::{Absolute, BANK, Relative, Sample, Test},
    ratchet::SURE,
    roster::Few,
};
use crate::{Tenant, guard::bounds};

/// A tenant's own baseline needs this many calls.
const BASELINE_CALLS: f64 = 200.0;
/// Number of candidates considered for replacement.
const CANDIDATES: usize = 8;
/// With this much evidence a tenant is never replaced.
const SUSPICIOUS: f64 = 3.0;
/// How long instances that served a tenant count.
const SERVING_TICKS: u64 = 600;

/// A tenant that is judged separately.
#[derive(Clone, Debug)]
pub(super) struct Tracked {
    /// The tenant.
    pub(super) tenant: Tenant,
    /// Calls since it has its place, plus those of the tenant that it replaced.
    pub(super) calls: u64,
    /// Calls since the stage began, or since it has its place.
    pub(super) calls_of_stage: u64,
    /// Cells decided before this revision do not belong to its current stage.
    pub(super) since_revision: u64,
    /// It tripped: its outcomes do not count until its next stage.
    pub(super) tripped: bool,
    /// Guards, by index, that would have tripped; each is recorded once.
    pub(super) told: u16,
    /// Held because of one instance; not repeated before this.
    pub(super) quiet_until_ms: u64,
    /// By the guard's seat.
    pub(super) detectors: [Detector; Guard::COUNT],
    /// Its source calls, and the rate at which they were frozen (0: not frozen).
    arms: [Dispersion; RELATIVES],
    frozen: [f64; RELATIVES],
    /// Instances that serve it.
    pub(super) serving: Few,
    /// Instances that its bad outcomes come from.
    pub(super) behind: Few,
    serving_since: u64,
    first_bad_slot: u64,
    last_bad_slot: u64,
    touched: bool,
}

/// The seats of guards that compare with the source.
const FIRST_RELATIVE: usize = 2;
const RELATIVES: usize = 5;

const _: () = {
    let mut at = 0;
    while at < Guard::COUNT {
        let is_relative = matches!(
            Guard::COUNTING[at].kind,
            GuardKind::ErrorRelative | GuardKind::SlowRelative | GuardKind::NotFoundRelative
        );
        assert!(is_relative == (FIRST_RELATIVE <= at && at < FIRST_RELATIVE + RELATIVES));
        at += 1;
    }
};

/// All tenants that are judged separately.
#[derive(Clone, Debug)]
pub(super) struct Tenants {
    index: HashMap<Tenant, u32>,
    tracked: Vec<Tracked>,
    touched: Vec<u32>,
    hand: usize,
    max: usize,
}

impl Tenants {
    /// At most `max` tenants.
    pub(super) fn new(max: usize) -> Self {
        Self { index: HashMap::new(), tracked: Vec::new(), touched: Vec::new(), hand: 0, max }
    }

    /// The tenant's place; a new one if possible.
    pub(super) fn place(&mut self, tenant: &Tenant, now_ms: u64) -> Option<usize> {
        if let Some(at) = self.index.get(tenant) {
            return Some(*at as usize);
        }
        let at = if self.tracked.len() < self.max {
            self.tracked.push(Tracked::new(tenant.clone(), 0, now_ms));
            self.tracked.len() - 1
        } else {
            let at = self.least()?;
            let before = &self.tracked[at];
            self.index.remove(&before.tenant);
            let touched = before.touched;
            self.tracked[at] = Tracked { touched, ..Tracked::new(tenant.clone(), before.calls, now_ms) };
            at
        };
        self.index.insert(tenant.clone(), u32::try_from(at).ok()?);
        Some(at)
    }

    /// Of the next few, the one with the fewest calls and no evidence against it.
    fn least(&mut self) -> Option<usize> {
        let len = self.tracked.len();
        let from = self.hand;
        self.hand = (self.hand + CANDIDATES) % len.max(1);
        let candidates = (0..CANDIDATES.min(len)).map(|step| (from + step) % len);
        candidates.filter(|at| !self.tracked[*at].is_suspicious()).min_by_key(|at| self.tracked[*at].calls)
    }

    /// Counts a cell of the tenant at this place.
    pub(super) fn add(&mut self, at: usize, cell: &Cell<'_>, instance: u32, slot: u64, tick: u64) {
        let tracked = &mut self.tracked[at];
        if !tracked.touched {
            tracked.touched = true;
            self.touched.push(u32::try_from(at).unwrap_or(u32::MAX));
        }
        tracked.calls = tracked.calls.saturating_add(cell.calls());
        tracked.calls_of_stage = tracked.calls_of_stage.saturating_add(cell.calls());
        if tick.saturating_sub(tracked.serving_since) > SERVING_TICKS {
            tracked.serving_since = tick;
            tracked.serving = Few::default();
        }
        tracked.serving.add(instance);
        let mut is_bad = false;
        for (guard, detector) in Guard::pooled().zip(&mut tracked.detectors) {
            if guard.operation == cell.operation {
                let sample = cell.sample(guard);
                is_bad |= sample.is_bad();
                detector.add(&sample);
            }
        }
        if is_bad {
            tracked.behind.add(instance);
            tracked.last_bad_slot = slot;
            if tracked.first_bad_slot == 0 {
                tracked.first_bad_slot = slot;
            }
        }
    }

    /// The tenant at this place.
    pub(super) fn get(&self, at: usize) -> &Tracked {
        &self.tracked[at]
    }

    /// The tenant at this place.
    pub(super) fn get_mut(&mut self, at: usize) -> &mut Tracked {
        &mut self.tracked[at]
    }

    /// All tenants with a place.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Tracked> {
        self.tracked.iter()
    }

    /// Number of tenants with a place.
    pub(super) fn len(&self) -> usize {
        self.tracked.len()
    }

    /// Ends the open tick of each tenant with reports. `gains` is the evidence of a guard's tick.
    pub(super) fn close(&mut self, gains: impl Fn(&Tracked, usize) -> [f64; BANK], next_ms: u64) {
        for at in self.touched.drain(..) {
            let tracked = &mut self.tracked[at as usize];
            tracked.touched = false;
            for guard in 0..Guard::COUNT {
                let tick = *tracked.detectors[guard].tick();
                if tick.is_empty() {
                    continue;
                }
                if let Some(arm) = guard.checked_sub(FIRST_RELATIVE).filter(|arm| *arm < RELATIVES) {
                    let bad = tick.source_bad + tick.only_source;
                    tracked.arms[arm].close(tick.source + tick.pairs, bad);
                }
                let gains = gains(tracked, guard);
                tracked.detectors[guard].close(&gains, next_ms);
            }
            if tracked.detectors.iter().all(Detector::is_calm) {
                (tracked.behind, tracked.first_bad_slot, tracked.last_bad_slot) = (Few::default(), 0, 0);
            }
        }
    }

    /// A new stage for everybody.
    pub(super) fn reset(&mut self, limits: &[Test], revision: u64, now_ms: u64) {
        self.tracked.iter_mut().for_each(|tracked| tracked.reset(limits, revision, now_ms));
        self.touched.clear();
    }
}

impl Tracked {
    fn new(tenant: Tenant, calls: u64, now_ms: u64) -> Self {
        Self {
            tenant,
            calls,
            calls_of_stage: 0,
            since_revision: 0,
            tripped: false,
            told: 0,
            quiet_until_ms: 0,
            detectors: [Detector::new(now_ms); Guard::COUNT],
            arms: [Dispersion::default(); RELATIVES],
            frozen: [0.0; RELATIVES],
            serving: Few::default(),
            behind: Few::default(),
            serving_since: 0,
            first_bad_slot: 0,
            last_bad_slot: 0,
            touched: false,
        }
    }

    fn is_suspicious(&self) -> bool {
        let evidence = |detector: &Detector| detector.ln_m(&[0.0; BANK], BANK) > SUSPICIOUS;
        self.tripped || !self.behind.places().is_empty() && self.detectors.iter().any(evidence)
    }

    /// A new stage: evidence is cleared. Its earlier source calls become its baseline, if it had any.
    pub(super) fn reset(&mut self, limits: &[Test], revision: u64, now_ms: u64) {
        for arm in 0..RELATIVES {
            let (calls, bad) = self.arms[arm].remembered();
            if let Some(Test::Relative(relative, _)) = limits.get(FIRST_RELATIVE + arm)
                && calls >= BASELINE_CALLS
            {
                self.frozen[arm] = relative.frozen_at(bounds::upper(bad, calls, SURE));
            }
        }
        let (arms, frozen) = ([Dispersion::default(); RELATIVES], self.frozen);
        *self = Self {
            arms,
            frozen,
            since_revision: revision,
            ..Self::new(self.tenant.clone(), self.calls, now_ms)
        };
    }

    /// Clears evidence within the same stage.
    pub(super) fn forget(&mut self, now_ms: u64) {
        self.detectors = [Detector::new(now_ms); Guard::COUNT];
        (self.behind, self.first_bad_slot, self.last_bad_slot) = (Few::default(), 0, 0);
    }

    /// Whether it was bad at two moments at least, on as many instances as required.
    pub(super) fn is_agreed(&self) -> bool {
        self.first_bad_slot != self.last_bad_slot && self.behind.count() >= self.serving.count()
    }

    /// The evidence of the open tick. A tenant is compared with itself: with its own calls to the source, or
    /// with its earlier rate. The latter counts only as far as everybody's source calls, `fleet`, do not fail
    /// more often now as well.
    pub(super) fn gains(&self, guard: usize, test: &Test, fleet: &Sample, phi: f64) -> [f64; BANK] {
        let tick = self.detectors[guard].tick();
        let Test::Relative(relative, _) = test else {
            return super::pool::scores(&test.weights(tick), tick, phi);
        };
        let frozen = guard.checked_sub(FIRST_RELATIVE).and_then(|arm| self.frozen.get(arm)).copied();
        let frozen = frozen.filter(|rate| *rate > 0.0).map(Absolute::gross);
        let own = super::pool::scores(&relative.weights(tick, frozen.as_ref()), tick, phi);
        if frozen.is_none() || fleet.source == 0 {
            return own;
        }
        let mixed = Sample { source: fleet.source, source_bad: fleet.source_bad, ..*tick };
        let mixed = against_fleet(relative, &mixed, phi);
        std::array::from_fn(|at| own[at].min(mixed[at]))
    }
}

fn against_fleet(relative: &Relative, sample: &Sample, phi: f64) -> [f64; BANK] {
    super::pool::scores(&relative.weights(sample, None), sample, phi)
}
