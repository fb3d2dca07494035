//! Creation, policy, pause and end of a migration.

use std::ops::RangeInclusive;

use cutover_core::routing::{Level, PPM, Rung};

use super::{Applied, Context, Draft, Refusal};
use crate::{
    Bands, Document, Gate, GuardEdit, GuardSettings, Key, Migration, Policy, Rollout, Unmet, Violation, Wait,
};

/// Maximum bytes of a text that only people read.
const TEXT_MAX_BYTES: usize = 1024;
/// Longest allowed wait on `hold`.
const HOLD_MAX_MS: u32 = 60_000;
/// A tenth less than the lease, because clocks run at slightly different rates.
const FENCE_MAX_MS: u32 = 9_000;
/// Allowed limits of the local guard.
const LOCAL_GUARD_PPM: RangeInclusive<u32> = 100..=500_000;

pub(super) fn create(
    key: &Key,
    salt: &str,
    texts: [&String; 3],
    policy: &Policy,
    context: &Context<'_>,
) -> Result<Applied, Refusal> {
    let mut violations = check_policy(policy);
    for (field, text) in ["source", "target", "description"].into_iter().zip(texts) {
        violations.extend(check_text(field, text));
    }
    violations.extend(check_text("salt", salt));
    if !violations.is_empty() {
        return Err(Refusal::Invalid(violations));
    }
    let [source, target, description] = texts.map(Clone::clone);
    let document = Document {
        key: key.clone(),
        salt: if salt.is_empty() { key.to_string() } else { salt.to_owned() },
        source,
        target,
        description,
        policy: policy.clone(),
        local_guard_off: 0,
        fenced_since: if policy.fence_after_ms > 0 { context.revision } else { 0 },
        created_at_ms: context.now_ms,
        created_revision: context.revision,
        goal: Rollout::default(),
        bands: Bands::default(),
        ceiling: None,
        paused: false,
        judged_since: 0,
        paused_by: None,
        state_since: Some(context.attribution()),
        finished_at_ms: None,
        abandoned_at_ms: None,
        overrides: Vec::new(),
        restored: None,
        put_back: false,
        overwritten_until_ms: 0,
        asked_by: context.actor.to_owned(),
        jobs: Vec::new(),
        evidence: Vec::new(),
        pins: 0,
        rolled_back: 0,
        ramping: false,
        guards: GuardSettings::default(),
        trips: Vec::new(),
        plan: None,
    };
    let summary = vec![format!("created migration {key}, everybody at source-only")];
    Ok(Applied { document: Some(document), rows: Vec::new(), summary, waiting: Vec::new() })
}

pub(super) fn delete(migration: &Migration) -> Result<Applied, Refusal> {
    let document = &migration.document;
    if let Some(unmet) = document.restored() {
        return Err(unmet.into());
    }
    let never_started =
        document.bands == Bands::default() && migration.tenants.values().all(|row| row.placement.since == 0);
    let is_over = document.finished_at_ms.is_some() || document.abandoned_at_ms.is_some();
    if !is_over && !never_started {
        let key = &document.key;
        let message = "the migration has started and is not over: services still ask for it";
        let action = format!(
            "cutover finish {key} once everybody is at target-only; or cutover abandon {key} --reason .. once \
             everybody is back at source-only"
        );
        return Err(Unmet::of_change(Gate::Stage, message, action).into());
    }
    let summary = vec![format!("deleted migration {}", document.key)];
    Ok(Applied { document: None, rows: Vec::new(), summary, waiting: Vec::new() })
}

impl Draft {
    pub(super) fn update(
        &mut self,
        description: Option<&str>,
        policy: Option<&Policy>,
        guards: &[GuardEdit],
        context: &Context<'_>,
    ) -> Result<(), Refusal> {
        let mut violations =
            description.and_then(|text| check_text("description", text)).into_iter().collect::<Vec<_>>();
        violations.extend(policy.map(check_policy).unwrap_or_default());
        let edited = guards.iter().fold(self.document.guards.clone(), GuardSettings::edited);
        violations.extend(edited.config().violations());
        if !violations.is_empty() {
            return Err(Refusal::Invalid(violations));
        }
        if let Some(policy) = policy.filter(|policy| **policy != self.document.policy) {
            if policy.level != self.document.policy.level {
                self.refuse_unless_at_source(context)?;
            }
            if self.document.policy.local_guard && !policy.local_guard {
                self.document.local_guard_off = context.revision;
            }
            if self.document.policy.local_guard != policy.local_guard {
                self.say(format!("local guard {}", if policy.local_guard { "on" } else { "off" }));
            }
            if self.document.policy.fence_after_ms == 0 && policy.fence_after_ms > 0 {
                self.document.fenced_since = context.revision;
            }
            self.document.policy = policy.clone();
            self.say("policy changed");
        }
        if let Some(text) = description.filter(|text| *text != self.document.description) {
            text.clone_into(&mut self.document.description);
            self.say("description changed");
        }
        if edited != self.document.guards {
            self.document.guards = edited;
            let names: Vec<String> = guards.iter().map(|edit| edit.guard.to_string()).collect();
            self.say(format!("guards changed: {}", names.join(", ")));
        }
        Ok(())
    }

    /// What reads promise may change only while no rung but source-only is live.
    fn refuse_unless_at_source(&self, context: &Context<'_>) -> Result<(), Refusal> {
        let key = &self.document.key;
        let mut elsewhere =
            self.migration.tenants.iter().filter(|(_, row)| row.placement.rung > Rung::SourceOnly);
        let message = match elsewhere.next() {
            Some((tenant, row)) => format!("tenant {tenant} is at {}", row.placement.rung),
            None if self.document.rollout() != Rollout::default() || self.document.ramping => {
                "not everybody is at source-only".to_owned()
            }
            None => {
                let step = self.migration.newest_step();
                let mut behind = context.fleet.behind(step, Wait::Quiesced);
                let Some(member) = behind.next() else { return Ok(()) };
                format!("{} still has operations in flight from before revision {step}", member.name)
            }
        };
        let message =
            format!("the level can only change while everybody is settled at source-only: {message}");
        let action = format!(
            "take everybody back first: cutover ramp {key} --dual 0 --wait, cutover unpin {key} TENANT"
        );
        Err(Unmet::of_change(Gate::Stage, message, action).into())
    }

    pub(super) fn pause(&mut self, context: &Context<'_>) -> Result<(), Refusal> {
        self.refuse_if_finished()?;
        if !self.document.paused {
            self.stop_going_up(context);
            self.say("paused: nobody goes up");
        }
        Ok(())
    }

    /// Notes who did it, too: an operator asks for that first.
    pub(super) fn stop_going_up(&mut self, context: &Context<'_>) {
        self.document.paused = true;
        self.document.paused_by = Some(context.attribution());
    }

    pub(super) fn resume(&mut self, context: &Context<'_>) -> Result<(), Refusal> {
        self.refuse_if_finished()?;
        if self.document.paused {
            self.document.paused = false;
            self.document.judged_since = context.revision;
            self.document.paused_by = None;
            self.say("resumed");
        }
        Ok(())
    }

    pub(super) fn finish(
        &mut self,
        confirm: &str,
        overrides: &[Gate],
        context: &Context<'_>,
    ) -> Result<(), Refusal> {
        self.refuse_if_finished()?;
        if confirm != self.document.key.as_str() {
            let message = format!(
                "type the migration's key, {}, to confirm: this can't be taken back",
                self.document.key
            );
            return Err(Violation::new("confirm", message).into());
        }
        self.say_overrides(overrides, context)?;
        let placements: Vec<_> = self.migration.placements().collect();
        let mut unmet: Vec<Unmet> = self.document.restored().into_iter().collect();
        let elsewhere = placements.iter().filter(|placement| placement.rung != Rung::TargetOnly).count();
        if elsewhere > 0 {
            let action = format!("cutover ramp {} --target-only 100 --wait", self.document.key);
            unmet.push(Unmet::of_change(Gate::Stage, "not everybody is at target-only", action));
        }
        let unsettled = placements
            .iter()
            .any(|placement| context.fleet.behind(placement.since, Wait::Quiesced).next().is_some());
        if unsettled {
            unmet.push(Unmet::of_change(
                Gate::Barrier,
                "the last step is not settled",
                "cutover status -w shows who is behind",
            ));
        }
        let newest_ms = placements.iter().map(|placement| placement.target_only_at_ms).max().unwrap_or(0);
        let soaked_ms = context.steady_ms.saturating_sub(newest_ms);
        let soak_ms = self.document.policy.finish_soak_ms;
        if elsewhere == 0 && soaked_ms < soak_ms && !overrides.contains(&Gate::Soak) {
            let message = format!("at target-only for {soaked_ms} of {soak_ms} ms");
            unmet.push(Unmet::of_change(Gate::Soak, message, "wait, or --override soak --reason .."));
        }
        if !unmet.is_empty() {
            return Err(Refusal::Unmet(unmet));
        }
        self.document.finished_at_ms = Some(context.now_ms);
        self.say("finished: the source is not needed any more");
        Ok(())
    }
}

fn check_text(field: &str, text: &str) -> Option<Violation> {
    if text.len() > TEXT_MAX_BYTES {
        return Some(Violation::new(
            field,
            format!("has {} bytes: give at most {TEXT_MAX_BYTES}", text.len()),
        ));
    }
    let control = text.chars().any(char::is_control);
    control.then(|| Violation::new(field, "has a control character: remove it"))
}

fn check_policy(policy: &Policy) -> Vec<Violation> {
    let mut violations = Vec::new();
    if policy.hold_timeout_ms > HOLD_MAX_MS {
        violations.push(Violation::new("hold_timeout_ms", format!("is over {HOLD_MAX_MS}")));
    }
    if policy.fence_after_ms > FENCE_MAX_MS {
        let message = format!(
            "is {} ms: give at most {FENCE_MAX_MS} ms, so that an instance refuses before it counts as lost",
            policy.fence_after_ms
        );
        violations.push(Violation::new("fence_after_ms", message));
    }
    if policy.level == Level::Linearizable && policy.fence_after_ms == 0 {
        let message = format!(
            "must be set at level linearizable (1000 to {FENCE_MAX_MS} ms), or an instance that dies would \
             keep everybody on hold"
        );
        violations.push(Violation::new("fence_after_ms", message));
    }
    if policy.local_guard && policy.level == Level::Linearizable {
        let message = "is for level acknowledged: at linearizable going back alone would serve stale reads";
        violations.push(Violation::new("local_guard", message));
    }
    let limits = [
        ("local_guard_read_ppm", policy.local_guard_read_ppm),
        ("local_guard_write_ppm", policy.local_guard_write_ppm),
    ];
    for (field, _) in limits.into_iter().filter(|(_, ppm)| !LOCAL_GUARD_PPM.contains(ppm)) {
        let (least, most) = LOCAL_GUARD_PPM.into_inner();
        violations.push(Violation::new(field, format!("is out of range: give {least} to {most}")));
    }
    if policy.shadow_ppm > PPM {
        violations.push(Violation::new("shadow_ppm", "is over 1000000"));
    }
    violations
}
