//! Creation, policy, pause and end of a migration.

use std::ops::RangeInclusive;

use cutover_core::{
    routing::{Level, PPM},
    text::span,
};

use super::{Applied, Context, Draft, Refusal, second::check_proven};
use crate::{
    Bands, Document, Gate, GuardEdit, GuardSettings, Key, Ledgers, PassTables, Policy, Rollout, State, Unmet,
    Violation, percent, plan::PlanState,
};

/// Maximum bytes of a text that only people read.
const TEXT_MAX_BYTES: usize = 1024;
/// Maximum guards of one request, with repetitions.
const EDITS_MAX: usize = 100;
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
    if policy.two_persons {
        check_proven(context, key)?;
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
        key_free_since: None,
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
        residual_ms: 0,
        asked_by: context.actor.to_owned(),
        jobs: Vec::new(),
        evidence: Vec::new(),
        ledgers: Ledgers::default(),
        tables: PassTables::default(),
        pins: 0,
        rolled_back: 0,
        ramping: false,
        guards: GuardSettings::default(),
        trips: Vec::new(),
        plan: None,
        requests: Vec::new(),
    };
    let summary = vec![format!("created migration {key}, everybody at source-only")];
    Ok(Applied::at_once(Some(document), summary))
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
        if guards.len() > EDITS_MAX {
            violations.push(Violation::new("guards", format!("name at most {EDITS_MAX} at once")));
        }
        let edited = guards.iter().fold(self.document.guards.clone(), GuardSettings::edited);
        violations.extend(edited.config().violations());
        if !violations.is_empty() {
            return Err(Refusal::Invalid(violations));
        }
        if let Some(policy) = policy.filter(|policy| **policy != self.document.policy) {
            if policy.level != self.document.policy.level {
                Refusal::unless_met(self.migration.keeps_level(context.fleet))?;
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
            let before = std::mem::replace(&mut self.document.policy, policy.clone());
            self.say(format!("policy changed: {}", differences(&before, policy).join(", ")));
            if policy.two_persons && !before.two_persons {
                self.take_back_approvals();
            }
        }
        if let Some(text) = description.filter(|text| *text != self.document.description) {
            text.clone_into(&mut self.document.description);
            self.say("description changed");
        }
        if edited != self.document.guards {
            let changed = edited.differences(&self.document.guards);
            self.document.guards = edited;
            self.say(format!("guards changed: {}", changed.join(", ")));
        }
        if self.summary.is_empty() {
            self.remark(match guards {
                [] => "all of these settings are so already".to_owned(),
                [first, ..] if first.mode.is_none() && first.limit.is_none() => format!(
                    "no setting of {} was given: --mode, --rate, --rho with --delta, or --factor with --slack",
                    first.guard.kind.name()
                ),
                _ => "the guard is set so already".to_owned(),
            });
        }
        Ok(())
    }

    /// Whoever approved steps may have applied the plan.
    fn take_back_approvals(&mut self) {
        let ahead = |state: &&mut PlanState| state.approved > state.taken.len();
        let Some(state) = self.document.plan.as_mut().filter(ahead) else { return };
        state.approved = state.taken.len();
        self.say("steps of the plan that were approved in advance have to be approved again");
    }

    pub(super) fn pause(&mut self, context: &Context<'_>) -> Result<(), Refusal> {
        Refusal::unless_met(self.document.finished())?;
        if !self.document.paused {
            self.stop_going_up(context);
            self.say("paused: nobody goes up");
        } else if let Some(why) = self.document.paused_why().filter(|_| !context.reason.is_empty()) {
            let before = self.document.paused_by.as_ref();
            if before.is_none_or(|by| (by.by.as_str(), by.reason.as_str()) != (context.actor, context.reason))
            {
                self.say(format!(
                    "paused already, {why}. This reason was added to the history; one resume ends both"
                ));
            }
        }
        if self.summary.is_empty() {
            self.remark(format!("{} is paused already", self.document.key));
        }
        Ok(())
    }

    /// Notes who did it, too: an operator asks for that first.
    pub(super) fn stop_going_up(&mut self, context: &Context<'_>) {
        self.document.paused = true;
        self.document.paused_by = Some(context.attribution());
    }

    pub(super) fn resume(&mut self, context: &Context<'_>) -> Result<(), Refusal> {
        Refusal::unless_met(self.document.finished())?;
        if self.document.paused {
            self.document.paused = false;
            self.document.judged_since = context.revision;
            self.document.paused_by = None;
            self.say("resumed");
        }
        Ok(())
    }

    /// A resume that resumes nothing: refused where something else keeps everybody back.
    pub(super) fn explain_not_resumed(&mut self) -> Result<(), Refusal> {
        if !self.summary.is_empty() {
            return Ok(());
        }
        let key = self.document.key.clone();
        if self.document.state() == State::Tripped {
            let message = format!("{key} is not paused: it is rolled back, and resume does not lift that");
            let action = format!("cutover ack {key} --reason ..");
            return Err(Unmet::of_change(Gate::Tripped, message, action).into());
        }
        self.remark(format!("{key} is not paused"));
        Ok(())
    }

    pub(super) fn finish(
        &mut self,
        confirm: &str,
        overrides: &[Gate],
        context: &Context<'_>,
    ) -> Result<(), Refusal> {
        Refusal::unless_met(self.document.finished())?;
        if confirm != self.document.key.as_str() {
            let message = format!(
                "type the migration's key, {}, to confirm: this can't be taken back",
                self.document.key
            );
            return Err(Violation::new("confirm", message).into());
        }
        self.say_overrides(overrides, context)?;
        let Context { fleet, steady_ms, .. } = *context;
        Refusal::unless_met(self.migration.keeps_from_finishing(overrides, fleet, steady_ms))?;
        self.document.finished_at_ms = Some(context.now_ms);
        self.say("finished: the source is not needed any more");
        Ok(())
    }
}

/// What a policy sets otherwise than the one before it.
fn differences(before: &Policy, policy: &Policy) -> Vec<String> {
    let texts = |policy: &Policy| {
        let services = match policy.required_services.as_slice() {
            [] => "none".to_owned(),
            some => some.join(", "),
        };
        let fence = match policy.fence_after_ms {
            0 => "never".to_owned(),
            ms => format!("after {}", span(ms.into())),
        };
        [
            ("level", policy.level.name().to_owned()),
            ("required services", services),
            ("soak", span(policy.soak_ms)),
            ("finish soak", span(policy.finish_soak_ms)),
            ("hold timeout", span(policy.hold_timeout_ms.into())),
            ("fence", fence),
            ("shadow", format!("{} %", percent(policy.shadow_ppm))),
            ("local guard", if policy.local_guard { "on" } else { "off" }.to_owned()),
            ("local guard for reads", format!("{} %", percent(policy.local_guard_read_ppm))),
            ("local guard for writes", format!("{} %", percent(policy.local_guard_write_ppm))),
            ("two persons", if policy.two_persons { "on" } else { "off" }.to_owned()),
        ]
    };
    let both = texts(before).into_iter().zip(texts(policy));
    let changed = both.filter(|(then, now)| then != now);
    changed.map(|((_, then), (name, now))| format!("{name} {then} -> {now}")).collect()
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
        let message =
            format!("is {}: give at most {}", span(policy.hold_timeout_ms.into()), span(HOLD_MAX_MS.into()));
        violations.push(Violation::new("hold_timeout_ms", message));
    }
    if policy.fence_after_ms > FENCE_MAX_MS {
        let message = format!(
            "is {}: give at most {}, so that an instance refuses before it counts as lost",
            span(policy.fence_after_ms.into()),
            span(FENCE_MAX_MS.into())
        );
        violations.push(Violation::new("fence_after_ms", message));
    }
    if policy.level == Level::Linearizable && policy.fence_after_ms == 0 {
        let message = format!(
            "must be set at level linearizable (1 s to {}), or an instance that dies would keep everybody on hold",
            span(FENCE_MAX_MS.into())
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
        violations.push(Violation::new(
            field,
            format!("is out of range: give {} to {}", percent(least), percent(most)),
        ));
    }
    if policy.shadow_ppm > PPM {
        violations.push(Violation::new("shadow_ppm", "is over 100 %: give 0 to 100"));
    }
    violations
}
