//! When evidence reaches its threshold: whom the verdict is about, and what to do.

use super::{
    super::{
        Action, Cause, ErrorClass, Few, Guard, GuardEvidence, GuardKind, Holder, Mode, Rule, Scope, Suspect,
        Test, Verdict,
        evalue::Sample,
        pool::{Measure, Pool, scores},
    },
    Judge, fleet,
};

/// Tenants' trips within this time make it a verdict about the migration.
const ESCALATION_MS: u64 = 600_000;
const ESCALATION_TENANTS: usize = 3;
/// In percent of the enrolled tenants; but a single tenant never counts as the migration by this rule.
const ESCALATION_PERCENT: u64 = 5;
/// After a hold: not repeated before this.
const QUIET_MS: u64 = 60_000;
/// The source fails as well: evidence of 20 to 1 that it exceeds the limit since the target's onset.
const LN_SOURCE_AS_WELL: f64 = 3.0;
const TOLD: usize = 5;

impl Judge {
    /// Judges everybody's guards. After a rollback they are silent until the next stage.
    pub(super) fn judge_pools(&mut self) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for at in 0..self.pools.len() {
            let Some(rule) = self.config.rule(self.pools[at].guard) else { continue };
            if self.pools[at].latched || (self.tripped && rule.mode == Mode::Enforce) {
                continue;
            }
            // Without anything bad in the tick, evidence has only fallen since the last check.
            if !self.pools[at].detector.tick().is_bad() {
                continue;
            }
            let measure = self.measure(self.pools[at].guard);
            let reached = self.pools[at].reached(&self.roster, &measure, measure.ln_c);
            let Some(ln_m) = reached else { continue };
            verdicts.extend(self.trip(at, rule, ln_m, &measure));
        }
        let measure = self.measure(Guard::MISSES);
        if let Some((step, ln_m, rule)) = self.misses.as_ref().and_then(|misses| {
            let (step, ln_m) = misses.reached(&self.roster, &measure, measure.ln_c)?;
            Some((step, ln_m, misses.pool(step).rule))
        }) && !(self.tripped && rule.mode == Mode::Enforce)
        {
            let misses = self.misses.as_ref();
            let evidence = misses.map(|misses| self.evidence(misses.pool(step), ln_m, &measure));
            if let Some(misses) = &mut self.misses {
                misses.pool_mut(step).latched = true;
            }
            self.tripped |= rule.mode == Mode::Enforce;
            verdicts.extend(evidence.map(|evidence| Verdict {
                guard: Guard::MISSES,
                scope: Scope::Migration,
                action: action(rule),
                cause: Cause::Breach,
                evidence,
            }));
        }
        verdicts
    }

    /// Guard `at` has reached its threshold over everybody.
    fn trip(&mut self, at: usize, rule: Rule, ln_m: f64, measure: &Measure) -> Option<Verdict> {
        let guard = self.pools[at].guard;
        let evidence = self.evidence(&self.pools[at], ln_m, measure);
        if self.is_common_mode(guard, measure) {
            // Starts over, so that a target that still fails when the source has recovered is noticed.
            self.pools[at].reset(self.now_ms);
            self.roster.forgive(Some(at));
            return self.hold(guard, Scope::Migration, Cause::CommonMode, evidence);
        }
        if let Some(worst) = self.lone_tenant(at, measure) {
            self.pools[at].reset(self.now_ms);
            self.roster.forgive(Some(at));
            return self.trip_tenant(worst, at, rule, evidence);
        }
        Some(self.trip_migration(at, rule, Cause::Breach, evidence))
    }

    fn trip_migration(&mut self, at: usize, rule: Rule, cause: Cause, evidence: GuardEvidence) -> Verdict {
        self.pools[at].latched = true;
        self.tripped |= rule.mode == Mode::Enforce;
        let guard = self.pools[at].guard;
        Verdict { guard, scope: Scope::Migration, action: action(rule), cause, evidence }
    }

    /// Judges one tenant's guards, after a cell about it.
    pub(super) fn judge_tenant(&mut self, place: usize) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for at in 0..self.pools.len() {
            let Some(rule) = self.config.rule(self.pools[at].guard) else { continue };
            let tracked = self.tenants.get(place);
            let is_told = tracked.told & (1 << at) != 0;
            let is_silent = tracked.tripped || (self.tripped && rule.mode == Mode::Enforce);
            if is_told || is_silent || !tracked.detectors[at].tick().is_bad() {
                continue;
            }
            let (pool, ln_c, phi) = (&self.pools[at], self.tenant_ln_c(), self.phi(self.pools[at].guard));
            let gains = tracked.gains(at, &pool.test, &fleet(pool, &self.stage), phi);
            let detector = &tracked.detectors[at];
            let len = pool.test.len();
            if !detector.may_reach(&gains, len, ln_c) || !tracked.is_agreed() {
                continue;
            }
            let ln_m = detector.ln_m(&gains, len);
            if ln_m < ln_c {
                continue;
            }
            let measure = Measure { ln_c, phi, quorum: tracked.serving.count() };
            let evidence = GuardEvidence {
                tenants: vec![suspect(&tracked.tenant, &detector.since())],
                instances: Vec::new(),
                ..self.evidence_of(pool, &detector.since(), detector.onset_ms(), ln_m, &measure)
            };
            if self.is_common_mode(pool.guard, &measure) {
                let scope = Scope::Tenant(tracked.tenant.clone());
                let guard = pool.guard;
                self.tenants.get_mut(place).forget(self.now_ms);
                verdicts.extend(self.hold(guard, scope, Cause::CommonMode, evidence));
                continue;
            }
            verdicts.extend(self.trip_tenant(place, at, rule, evidence));
        }
        verdicts
    }

    /// A tenant has tripped on its own, or causes all of the migration's evidence.
    fn trip_tenant(
        &mut self,
        place: usize,
        at: usize,
        rule: Rule,
        evidence: GuardEvidence,
    ) -> Option<Verdict> {
        let guard = self.pools[at].guard;
        let tracked = self.tenants.get(place);
        let (tenant, behind) = (tracked.tenant.clone(), tracked.behind);
        if self.is_majority(place) {
            return Some(self.trip_migration(at, rule, Cause::Breach, evidence));
        }
        let from = self.now_ms.saturating_sub(ESCALATION_MS);
        self.recent.retain(|(at_ms, who, _)| *at_ms >= from && *who != tenant);
        let scope = Scope::Tenant(tenant.clone());
        let same = |other: &Few| behind.count() == 1 && other.places() == behind.places();
        if self.quorum > 1 && self.recent.iter().any(|(_, _, other)| same(other)) {
            self.tenants.get_mut(place).forget(self.now_ms);
            return self.hold_tenant(place, guard, scope, evidence);
        }
        if rule.mode == Mode::Observe {
            self.tenants.get_mut(place).told |= 1 << at;
            return Some(Verdict { guard, scope, action: Action::Observe, cause: Cause::Breach, evidence });
        }
        self.recent.push((self.now_ms, tenant, behind));
        let mut instances = Few::default();
        self.recent.iter().flat_map(|(_, _, few)| few.places()).for_each(|place| instances.add(*place));
        let tenants = self.recent.len();
        let is_share =
            self.stage.tenants > 0 && tenants as u64 * 100 >= self.stage.tenants * ESCALATION_PERCENT;
        let is_many = tenants >= ESCALATION_TENANTS || (tenants > 1 && is_share);
        if is_many && instances.count() >= self.quorum {
            return Some(self.trip_migration(at, rule, Cause::Escalation, evidence));
        }
        self.tenants.get_mut(place).tripped = true;
        Some(Verdict { guard, scope, action: Action::Rollback, cause: Cause::Breach, evidence })
    }

    fn hold(&mut self, guard: Guard, scope: Scope, cause: Cause, evidence: GuardEvidence) -> Option<Verdict> {
        let is_quiet = self.now_ms < self.blind.quiet_until_ms;
        self.blind.quiet_until_ms = self.now_ms + QUIET_MS;
        (!is_quiet).then_some(Verdict { guard, scope, action: Action::Hold, cause, evidence })
    }

    fn hold_tenant(
        &mut self,
        place: usize,
        guard: Guard,
        scope: Scope,
        evidence: GuardEvidence,
    ) -> Option<Verdict> {
        let now_ms = self.now_ms;
        let tracked = self.tenants.get_mut(place);
        let is_quiet = now_ms < tracked.quiet_until_ms;
        tracked.quiet_until_ms = now_ms + QUIET_MS;
        let cause = Cause::OneInstance;
        (!is_quiet).then_some(Verdict { guard, scope, action: Action::Hold, cause, evidence })
    }

    /// Whether the source breaks the same limit. Only guards against a fixed error rate need this check.
    fn is_common_mode(&self, guard: Guard, measure: &Measure) -> bool {
        if guard.kind != GuardKind::ErrorAbsolute {
            return false;
        }
        let source = &self.sources[guard.operation];
        let recent =
            scores(&source.test.weights(source.detector.tick()), &source.detector.since(), measure.phi);
        source.ln_m(&self.roster, measure) >= measure.ln_c / 2.0
            || recent[..source.test.len()].iter().any(|nats| *nats >= LN_SOURCE_AS_WELL)
    }

    /// The tenant without which less than half of the evidence is left.
    fn lone_tenant(&self, at: usize, measure: &Measure) -> Option<usize> {
        let places = 0..self.tenants.len();
        let bad = |place: &usize| bad_of(&self.tenants.get(*place).detectors[at].since());
        let worst = places.max_by_key(bad).filter(|place| bad(place) > 0)?;
        let (pool, own) = (&self.pools[at].detector, &self.tenants.get(worst).detectors[at]);
        let test = &self.pools[at].test;
        let left_of = |mut rest: Sample, own: &Sample| {
            rest.take(own);
            let left = scores(&test.weights(&rest), &rest, measure.phi);
            left[..test.len()].iter().copied().fold(f64::NEG_INFINITY, f64::max)
        };
        // Also in the open tick: since the onset of a fault that affects everybody, there may be more good
        // outcomes from before it than bad ones.
        let most = left_of(pool.since(), &own.since()).max(left_of(*pool.tick(), own.tick()));
        (most < measure.ln_c / 2.0 && !self.is_majority(worst)).then_some(worst)
    }

    /// A tenant with more than half of the traffic counts as the migration.
    fn is_majority(&self, place: usize) -> bool {
        let all: u64 = self.tallies.iter().map(|tally| tally.target.saturating_add(tally.source)).sum();
        self.tenants.get(place).calls_of_stage.saturating_mul(2) > all
    }

    fn evidence(&self, pool: &Pool, ln_m: f64, measure: &Measure) -> GuardEvidence {
        let evidence =
            self.evidence_of(pool, &pool.detector.since(), pool.detector.onset_ms(), ln_m, measure);
        let Some(at) = pool.seat else { return evidence };
        let mut tenants: Vec<Suspect> = self
            .tenants
            .iter()
            .map(|tracked| (tracked, tracked.detectors[at].since()))
            .filter(|(_, since)| bad_of(since) > 0)
            .map(|(tracked, since)| suspect(&tracked.tenant, &since))
            .collect();
        tenants.sort_by(|a, b| b.target_bad.cmp(&a.target_bad).then_with(|| a.tenant.cmp(&b.tenant)));
        tenants.truncate(TOLD);
        let weights = pool.test.weights(pool.detector.tick());
        let holders = self.roster.iter().map(|instance| Holder {
            instance: instance.name.to_string(),
            nats: instance.seats[at].evidence(&weights, measure.phi),
        });
        let mut instances: Vec<Holder> = holders.filter(|holder| holder.nats > 0.0).collect();
        instances.sort_by(|a, b| b.nats.total_cmp(&a.nats).then_with(|| a.instance.cmp(&b.instance)));
        instances.truncate(TOLD);
        GuardEvidence { tenants, instances, ..evidence }
    }

    pub(super) fn evidence_of(
        &self,
        pool: &Pool,
        since: &Sample,
        onset_ms: u64,
        ln_m: f64,
        measure: &Measure,
    ) -> GuardEvidence {
        let classes = self.tallies[pool.guard.operation].classes;
        let mut errors: Vec<(ErrorClass, u64)> = ErrorClass::ALL
            .into_iter()
            .enumerate()
            .map(|(at, class)| (class, classes[0][at].saturating_add(classes[1][at])))
            .filter(|(_, count)| *count > 0)
            .collect();
        errors.sort_by_key(|(class, count)| (std::cmp::Reverse(*count), *class));
        GuardEvidence {
            onset_ms,
            now_ms: self.now_ms,
            target: since.target.saturating_add(since.pairs),
            target_bad: bad_of(since),
            source: since.source.saturating_add(since.pairs),
            source_bad: since.source_bad.saturating_add(since.only_source),
            ln_m,
            ln_c: measure.ln_c,
            phi: measure.phi,
            limit: match &pool.test {
                Test::Absolute(absolute) | Test::Relative(_, Some(absolute)) => Some(absolute.p0()),
                Test::Relative(_, None) => None,
            },
            tenants: Vec::new(),
            instances: Vec::new(),
            errors,
        }
    }
}

fn bad_of(since: &Sample) -> u64 {
    since.target_bad.saturating_add(since.only_target)
}

fn suspect(tenant: &crate::Tenant, since: &Sample) -> Suspect {
    let target = since.target.saturating_add(since.pairs);
    Suspect { tenant: tenant.clone(), target, target_bad: bad_of(since) }
}

fn action(rule: Rule) -> Action {
    match rule.mode {
        Mode::Enforce => Action::Rollback,
        Mode::Observe => Action::Observe,
    }
}
