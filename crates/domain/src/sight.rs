//! What a step needs, besides moving by one rung. Every unmet condition is named at once.

use std::time::Duration;

use cutover_core::routing::{Level, Mutation, Rung};

use super::{Document, Evidence, Fleet, Gate, Group, Member, Placement, Unmet, Whom, placement::Wait};

/// The circumstances by which conditions are judged.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// The migration.
    pub document: &'a Document,
    /// The current members.
    pub fleet: &'a Fleet,
    /// The controller's steady clock.
    pub steady_ms: u64,
}

/// Maximum instances named in one message.
const NAMED_MAX: usize = 20;

/// Whoever has to wait for longer may want to end the wait. No fence lasts as long, but a snapshot file may.
const LONG: Duration = Duration::from_secs(90);

/// The barrier of a revision, for members that are behind it.
pub fn barrier(behind: &[&Member], revision: u64, wait: Wait) -> Unmet {
    let (by_itself, action) = what_to_do(behind);
    Unmet { by_itself, ..Unmet::of_change(Gate::Barrier, awaited_message(behind, revision, wait), action) }
}

fn awaited_message(behind: &[&Member], revision: u64, wait: Wait) -> String {
    if are_callers(behind) {
        return format!("callers of Decide may still act on answers from before revision {revision}");
    }
    let mut named: Vec<&str> = behind.iter().take(NAMED_MAX).map(|member| member.name.as_str()).collect();
    let more = format!("and {} more", behind.len().saturating_sub(NAMED_MAX));
    if behind.len() > NAMED_MAX {
        named.push(&more);
    }
    let named = named.join(", ");
    match wait {
        Wait::Quiesced => format!("operations from before revision {revision} may be in flight at: {named}"),
        _ => format!("revision {revision} has not been received by: {named}"),
    }
}

fn are_callers(behind: &[&Member]) -> bool {
    !behind.is_empty() && behind.iter().all(|member| member.is_callers())
}

/// Whether waiting for these members will end without an operator, and what to do.
pub(super) fn what_to_do(behind: &[&Member]) -> (bool, String) {
    let for_good = behind.iter().filter(|member| member.lost && member.waited_for.is_none());
    let for_good: Vec<_> = for_good.take(NAMED_MAX).map(|member| member.name.as_str()).collect();
    if !for_good.is_empty() {
        let action = format!(
            "bring back {}, or, once they are certainly dead: cutover evict --lost --reason ..",
            for_good.join(", ")
        );
        return (false, action);
    }
    if are_callers(behind) {
        // No countdown: whoever follows a ramp would see a new line each second.
        return (true, "nothing to do: at each step these expire within 11 s".to_owned());
    }
    let longest = behind.iter().max_by_key(|member| member.waited_for);
    let action = match longest.and_then(|member| Some((member, member.waited_for?))) {
        None => "wait; an instance that hangs can be stopped".to_owned(),
        // Its process has ended, and its snapshot file has not expired yet.
        Some((member, longest)) if longest > LONG => format!(
            "wait at most {} s more, or, if nothing will start from its snapshot file: cutover evict {} --lost \
             --reason ..",
            longest.as_secs() + 1,
            member.name
        ),
        Some((_, longest)) => format!("nothing to do: waited for at most {} s more", longest.as_secs() + 1),
    };
    (true, action)
}

impl Sight<'_> {
    /// Whether these tenants may take the step now.
    pub fn may_step(&self, group: &Group, next: Rung) -> bool {
        self.acknowledged(&group.placement, next) && self.missing(group, next).next().is_none()
    }

    /// Everything that the step lacks, the barrier first.
    pub fn unmet(&self, group: &Group, next: Rung) -> Vec<Unmet> {
        let Group { whom, placement, .. } = group;
        let barrier = (!self.acknowledged(placement, next)).then(|| self.barrier(placement, next));
        let missing = barrier.into_iter().chain(self.missing(group, next));
        let step = format!("{} -> {next}", placement.rung);
        missing.map(|unmet| Unmet { step: step.clone(), whom: whom.to_string(), ..unmet }).collect()
    }

    /// What a later step of the same request lacks and won't get without an operator.
    pub fn evidence_missing(&self, group: &Group, next: Rung) -> Vec<Unmet> {
        let step = format!("{} -> {next}", group.placement.rung);
        self.missing(group, next)
            .filter(|unmet| !unmet.by_itself)
            .map(|unmet| Unmet { step: step.clone(), whom: group.whom.to_string(), ..unmet })
            .collect()
    }

    fn acknowledged(&self, placement: &Placement, next: Rung) -> bool {
        self.fleet.acknowledged(self.awaited(placement, next), placement.wait_for(next))
    }

    /// The revision that has to be acknowledged. Before target-only this may be a later one: the revision
    /// that tells everybody that nobody goes back on their own any more.
    fn awaited(&self, placement: &Placement, next: Rung) -> u64 {
        let is_heard = next == Rung::TargetOnly && !Mutation::LocalGuardHeard.is_left_out();
        let off = if is_heard { self.document.local_guard_off } else { 0 };
        placement.since.max(off)
    }

    fn barrier(&self, placement: &Placement, next: Rung) -> Unmet {
        let (wait, awaited) = (placement.wait_for(next), self.awaited(placement, next));
        let behind: Vec<_> = self.fleet.behind(awaited, wait).collect();
        barrier(&behind, awaited, wait)
    }

    /// The gates of a step, except the barrier. Only steps up have any, unless the store was restored.
    fn missing(&self, group: &Group, next: Rung) -> impl Iterator<Item = Unmet> {
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
        [restored, paused, services, pass, soak, local]
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
        let live = self.fleet.services();
        let required = &self.document.policy.required_services;
        let missing: Vec<&str> =
            required.iter().map(String::as_str).filter(|name| !live.contains(name)).collect();
        (!missing.is_empty()).then(|| {
            Unmet::of_change(
                Gate::Services,
                format!("no live instance of required service {}", missing.join(", ")),
                "start it with the SDK, or take it off the required services",
            )
        })
    }

    fn full_pass(&self, whom: &Whom, rung: Rung, since: u64) -> Option<Unmet> {
        let lazily = rung == Rung::Mirrored && self.document.policy.level == Level::Acknowledged;
        let shows = |evidence: &Evidence| {
            let lazily = lazily || Mutation::FullPassAfterSweep.is_left_out();
            evidence.is_full_pass(whom, since) || lazily && evidence.is_drained_sweep(whom, since)
        };
        if Mutation::FullPass.is_left_out() || since > 0 && self.document.evidence.iter().any(shows) {
            return None;
        }
        let newest = self.document.evidence.iter().rev().find(|evidence| evidence.job.cover.covers(whom));
        let message = match newest {
            _ if since == 0 => {
                format!("a full pass has to cover these tenants after they have settled at {rung}")
            }
            Some(pass) if !pass.clean => {
                format!("the newest pass over these tenants, {}, was not clean", pass.job.id)
            }
            Some(pass) => format!(
                "the newest pass over these tenants, {}, began before everybody had settled at {rung} (revision \
                 {since})",
                pass.job.id
            ),
            None => format!("no full pass covers these tenants since they reached {rung} (revision {since})"),
        };
        let action = match since {
            0 => format!("let them settle at {rung} first, then run: cutover backfill SPEC"),
            _ => "run: cutover backfill SPEC".to_owned(),
        };
        Some(Unmet::of_change(Gate::FullPass, message, action))
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
                format!("at target-first for {here_ms} of {soak_ms} ms"),
                format!("wait {} ms", soak_ms - here_ms),
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
}
