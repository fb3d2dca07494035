//! Every condition in one place: the gates of a step, then those of whole changes. A refusal names all that are
//! unmet. Conditions of passes are in `change::passes`, those of a restored store in `change::restored`.

mod full_pass;

use cutover_core::{
    routing::{Mutation, PPM, Rung},
    text::span,
};

use super::{
    Document, Fleet, Gate, Group, Migration, Placement, Rollout, Shares, State, Tenant, TenantRow, Unmet,
    Wait,
    barrier::{NAMED_MAX, names, what_to_do},
    goal::Stuck,
    percent,
    plan::PlanStatus,
};

/// The circumstances by which conditions are judged.
#[derive(Clone, Copy, Debug)]
pub struct Conditions<'a> {
    /// The migration.
    pub document: &'a Document,
    /// The current members.
    pub fleet: &'a Fleet,
    /// The controller's steady clock.
    pub steady_ms: u64,
}

impl Conditions<'_> {
    /// The gates of a step, except the barrier. Only steps up have any, unless the store was restored.
    pub(super) fn unmet_gates(&self, group: &Group, next: Rung) -> impl Iterator<Item = Unmet> {
        let Group { whom, placement, passes, .. } = group;
        let up = next > placement.rung;
        let key = &self.document.key;
        let paused = (up && self.document.paused).then(|| {
            Unmet::of_change(Gate::Paused, "the migration is paused", format!("cutover resume {key}"))
        });
        let services = (placement.rung == Rung::SourceOnly).then(|| self.services()).flatten();
        let passed = match (placement.rung, next) {
            (Rung::Mirrored, Rung::TargetFirst) => Some((Rung::Mirrored, placement.mirrored_since)),
            (Rung::TargetFirst, Rung::TargetOnly) => {
                // Until it was off for everybody, not everybody was surely at target-first.
                let off = if placement.target_first_since > 0 { self.document.local_guard_off } else { 0 };
                Some((Rung::TargetFirst, placement.target_first_since.max(off)))
            }
            _ => None,
        };
        let pass = passed.and_then(|(rung, since)| self.full_pass(whom, rung, since));
        let soak = (next == Rung::TargetOnly).then(|| self.soak(placement)).flatten();
        let is_asked = next == Rung::TargetOnly && !Mutation::LocalGuardOff.is_left_out();
        let local = (is_asked && self.document.policy.local_guard).then(|| {
            let message =
                "SDKs that are cut off may go back by themselves, which is not safe beside target-only";
            Unmet::of_change(Gate::LocalGuard, message, format!("cutover guards {key} --local off"))
        });
        // Also for steps down: below a floor that the backup does not know, writes would be lost.
        let restored = self.document.restored();
        // The local guard before the pass: a pass counts only if it began after the guard was off.
        [restored, paused, services, local, pass, soak]
            .into_iter()
            .flatten()
            .filter(|unmet| !self.is_overridden_for_all(unmet.gate))
            .filter(move |unmet| !passes.as_ref().is_some_and(|passes| passes.allow(unmet.gate, next)))
    }

    fn is_overridden_for_all(&self, gate: Gate) -> bool {
        Mutation::OverrideScope.is_left_out()
            && self.document.overrides.iter().any(|over| over.gates.contains(&gate))
    }

    fn services(&self) -> Option<Unmet> {
        let (live, key) = (self.fleet.services(), &self.document.key);
        let required = &self.document.policy.required_services;
        let missing: Vec<&str> =
            required.iter().map(String::as_str).filter(|name| !live.contains(name)).collect();
        (!missing.is_empty()).then(|| {
            Unmet::of_change(
                Gate::Services,
                format!("no live instance of required service {}", missing.join(", ")),
                format!(
                    "start it with the SDK, or require other services: cutover policy {key} --required-service .., \
                     or --no-required-services"
                ),
            )
        })
    }

    fn soak(&self, placement: &Placement) -> Option<Unmet> {
        let soak_ms = self.document.policy.soak_ms;
        let here_ms = match placement.target_first_at_ms {
            0 => 0,
            since_ms => self.steady_ms.saturating_sub(since_ms),
        };
        (here_ms < soak_ms).then(|| Unmet {
            by_itself: true,
            ..Unmet::of_change(
                Gate::Soak,
                format!("at target-first for {} of {}", span(here_ms), span(soak_ms)),
                format!(
                    "wait {} more, or: cutover policy {} --soak ..",
                    span(soak_ms - here_ms),
                    self.document.key
                ),
            )
        })
    }
}

impl Document {
    /// The condition that holds everybody after a restore.
    pub(super) fn restored(&self) -> Option<Unmet> {
        let action =
            format!("find out who has been at target-only since, then: cutover confirm {} --help", self.key);
        self.restored.as_ref().map(|why| Unmet::of_change(Gate::Restored, why, action))
    }

    /// A finished migration changes no more.
    pub(super) fn finished(&self) -> Option<Unmet> {
        self.finished_at_ms.map(|_| {
            Unmet::of_change(
                Gate::Finished,
                "the migration is finished: its tenants stay at target-only",
                format!(
                    "leave it; or cutover delete {0} --confirm {0}, once no service asks for it",
                    self.key
                ),
            )
        })
    }

    /// Nothing moves the tenants of an abandoned migration any more.
    pub(super) fn abandoned(&self) -> Option<Unmet> {
        self.abandoned_at_ms.map(|_| {
            let message = "the migration is abandoned: everybody stays at source-only";
            let action = format!("cutover delete {}, then create it again to start over", self.key);
            Unmet::of_change(Gate::Finished, message, action)
        })
    }

    /// Whether a latched rollback keeps everybody below what a request for shares asks. A request that asks
    /// for less than before is fine.
    pub(super) fn held_back(&self, goal: Rollout, asked: &Shares) -> Option<Unmet> {
        let ceiling = self.ceiling?;
        let shares = || goal.shares().into_iter().zip(self.goal.shares());
        let is_raised = shares().any(|((_, new), (_, old))| new > old);
        let is_same = goal == self.goal && asked.named_rung(0).is_some_and(|rung| rung > ceiling);
        (is_raised || is_same)
            .then(|| self.latched(format!("rolled back to {ceiling}, and not acknowledged")))
    }

    /// The same for a pin.
    pub(super) fn pin_held_back(&self, tenant: &Tenant, rung: Rung, ceiling: Option<Rung>) -> Option<Unmet> {
        let ceiling = ceiling.filter(|ceiling| rung > *ceiling)?;
        let message = format!("tenant {tenant} was rolled back to {ceiling}, and that is not acknowledged");
        Some(self.latched(message))
    }

    /// No plan may continue after a rollback.
    pub(super) fn plan_held_back(&self) -> Option<Unmet> {
        let message = "rolled back and not acknowledged: no plan may continue";
        (self.state() == State::Tripped).then(|| self.latched(message))
    }

    fn latched(&self, message: impl Into<String>) -> Unmet {
        Unmet::of_change(Gate::Tripped, message, format!("cutover ack {} --reason ..", self.key))
    }

    /// A plan has to run before anything can be said about its steps.
    pub(super) fn plan_not_running(&self) -> Option<Unmet> {
        let key = &self.key;
        let another = format!("cutover plan apply {key} FILE begins another");
        let (message, action) = match self.plan.as_ref().map(|state| state.status) {
            Some(PlanStatus::Running) => return None,
            None => ("there is no plan", format!("cutover plan apply {key} FILE begins one")),
            Some(PlanStatus::Stopped) => (
                "the plan stopped at a rollback",
                format!("cutover ack {key} --reason .., then cutover resume {key}"),
            ),
            Some(PlanStatus::Ended) => ("the plan has ended", another),
            Some(PlanStatus::Done) => ("the plan is done", another),
        };
        Some(Unmet::of_change(Gate::Stage, message, action))
    }
}

impl Stuck {
    /// Why a rollback would do nothing.
    pub(super) fn unmet(self, whom: &str) -> Unmet {
        match self {
            Self::Lowest => {
                let message = format!("{whom} is at source-only: there is nothing to roll back");
                Unmet::of_change(Gate::Stage, message, "nothing to do")
            }
            Self::Floor(floor) => {
                let message =
                    format!("{whom} can't go below {floor}: writes that only the target has would be lost");
                let action = "repair the target; or copy the writes back to the source: cutover reverse SPEC";
                Unmet::of_change(Gate::Floor, message, action)
            }
        }
    }
}

impl Placement {
    /// A tenant is pinned to no rung at which acknowledged writes would be lost.
    pub(super) fn pinned_below_floor(&self, tenant: &Tenant, rung: Rung) -> Option<Unmet> {
        (rung < self.floor).then(|| {
            let floor = self.floor;
            let message = format!("below {floor} tenant {tenant} would lose writes that only the target has");
            let action = "copy them back to the source first: cutover reverse SPEC";
            Unmet::of_change(Gate::Floor, message, action)
        })
    }
}

/// The conditions of changes to a migration as a whole.
impl Migration {
    /// What it lacks to be finished: everybody has settled at target-only, and has been there for long enough.
    pub(super) fn keeps_from_finishing(
        &self,
        overrides: &[Gate],
        fleet: &Fleet,
        steady_ms: u64,
    ) -> Vec<Unmet> {
        let document = &*self.document;
        let placements: Vec<Placement> = self.placements().collect();
        let mut unmet: Vec<Unmet> = document.restored().into_iter().collect();
        unmet.extend(document.paused_why().map(|why| {
            let action = format!(
                "see to it, then: cutover resume {}. It may still be needed to go back",
                document.key
            );
            Unmet::of_change(Gate::Paused, format!("the migration is paused {why}"), action)
        }));
        let is_elsewhere = placements.iter().any(|placement| placement.rung != Rung::TargetOnly);
        if document.rollout().target_only_ppm() < PPM {
            let action = format!("cutover ramp {} --target-only 100 --wait", document.key);
            unmet.push(Unmet::of_change(Gate::Stage, "not everybody is at target-only", action));
        }
        unmet.extend(self.tenants_below_target_only());
        let is_behind =
            |placement: &Placement| fleet.behind(placement.since, Wait::Quiesced).next().is_some();
        if placements.iter().any(is_behind) {
            let action = format!("cutover status {} -w shows who is behind", document.key);
            unmet.push(Unmet::of_change(Gate::Barrier, "the last step is not settled", action));
        }
        let newest_ms = placements.iter().map(|placement| placement.target_only_at_ms).max().unwrap_or(0);
        let soaked_ms = steady_ms.saturating_sub(newest_ms);
        let soak_ms = document.policy.finish_soak_ms;
        if !is_elsewhere && soaked_ms < soak_ms && !overrides.contains(&Gate::Soak) {
            let message = format!("at target-only for {} of {}", span(soaked_ms), span(soak_ms));
            let action = format!(
                "wait, or: cutover policy {} --finish-soak ..; or --override soak --reason ..",
                document.key
            );
            unmet.push(Unmet::of_change(Gate::Soak, message, action));
        }
        unmet
    }

    /// Shares do not move tenants that have a row, such as pinned ones.
    fn tenants_below_target_only(&self) -> Option<Unmet> {
        let key = &self.document.key;
        let below = self.tenants.iter().filter(|(_, row)| row.placement.rung != Rung::TargetOnly);
        let named: Vec<String> =
            below.take(NAMED_MAX).map(|(tenant, row)| format!("{tenant} ({})", row.placement.rung)).collect();
        let message = match named.len() {
            0 => return None,
            1 => format!("the shares do not move this tenant: {}", named[0]),
            NAMED_MAX => {
                format!("the shares do not move these tenants, and maybe others: {}", named.join(", "))
            }
            _ => format!("the shares do not move these tenants: {}", named.join(", ")),
        };
        let action = format!("cutover unpin {key} TENANT --wait, for each; cutover pins {key} lists them");
        Some(Unmet::of_change(Gate::Stage, message, action))
    }

    /// What it lacks to be abandoned: every instance has quiesced at source-only. Until then an operation could
    /// still read or write the target.
    pub(super) fn keeps_from_abandoning(&self, fleet: &Fleet) -> Vec<Unmet> {
        let document = &*self.document;
        let key = &document.key;
        let mut unmet: Vec<Unmet> = document.restored().into_iter().collect();
        if document.ramping || self.placements().any(is_elsewhere) {
            let action = format!(
                "take everybody back first: cutover ramp {key} --dual 0 --wait, and cutover unpin {key} TENANT for \
                 those of cutover pins {key}; or cutover rollback {key}"
            );
            unmet.push(Unmet::of_change(Gate::Stage, "not everybody is at source-only", action));
            unmet.extend(self.kept_by_floor());
        }
        let step = self.newest_step();
        let behind: Vec<_> = fleet.behind(step, Wait::Quiesced).collect();
        if !behind.is_empty() {
            let message =
                format!("not everybody has acknowledged source-only (revision {step}): {}", names(&behind));
            let (by_itself, action) = what_to_do(&behind);
            unmet.push(Unmet { by_itself, ..Unmet::of_change(Gate::Barrier, message, action) });
        }
        for job in &document.jobs {
            let message = format!("{} {} is under way", job.kind.name(), job.id);
            let action = format!("let it end, or cutover cancel {}", job.id);
            unmet.push(Unmet::of_change(Gate::Stage, message, action));
        }
        unmet
    }

    /// What reads promise may change only while no rung but source-only is live.
    pub(super) fn keeps_level(&self, fleet: &Fleet) -> Option<Unmet> {
        let document = &*self.document;
        let key = &document.key;
        let are_asked = !Mutation::LevelAtSourceOnly.is_left_out();
        let is_elsewhere = |row: &TenantRow| are_asked && row.placement.rung > Rung::SourceOnly;
        let mut elsewhere = self.tenants.iter().filter(|(_, row)| is_elsewhere(row));
        let message = match elsewhere.next() {
            Some((tenant, row)) => format!("tenant {tenant} is at {}", row.placement.rung),
            None if document.rollout() != Rollout::default() || document.ramping => {
                "not everybody is at source-only".to_owned()
            }
            None => {
                let step = self.newest_step();
                let member = fleet.behind(step, Wait::Quiesced).next()?;
                format!("{} still has operations in flight from before revision {step}", member.name)
            }
        };
        let message =
            format!("the level can only change while everybody is settled at source-only: {message}");
        let action = format!(
            "take everybody back first: cutover ramp {key} --dual 0 --wait, cutover unpin {key} TENANT"
        );
        Some(Unmet::of_change(Gate::Stage, message, action))
    }
}

/// Whether the tenants of a placement have left source-only, or have to come back to it.
pub(crate) fn is_elsewhere(it: Placement) -> bool {
    it.rung != Rung::SourceOnly || it.floor != Rung::SourceOnly
}
