//! Ramp plans: steps of a rung and a share, their bake time and evidence, and whether the next one may be
//! taken. Pure: observations and `now` are arguments.

mod lint;
mod proof;
mod state;
mod window;

use cutover_core::{routing::Rung, text::span};
use serde::{Deserialize, Serialize};

use super::{Tenant, Violation, guard::Standing};

pub use lint::GOES_DOWN;
pub use state::{PlanMove, PlanState, PlanStatus, Taken};
pub use window::{ChangeWindow, ChangeWindows, EVERY_DAY};

/// Maximum steps of a plan: its state is part of a document that is written as a whole.
pub const STEPS_MAX: usize = 200;
/// Maximum tenants that a plan names.
pub const TENANTS_MAX: usize = 1_000;
/// Shorter silence does not count: instances report every second, and after a restart they have to come back
/// first.
const BLIND_AFTER_MS: u64 = 10_000;
/// If all have stopped reporting: their processes may be restarting.
const ALL_GONE_AFTER_MS: u64 = 30_000;

/// Steps in order: no share falls, none skips a rung.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    steps: Vec<Step>,
    rules: Rules,
}

/// One step up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The rung to reach.
    pub rung: Rung,
    /// The tenants that take it.
    pub part: Part,
    /// Minimum time at this step after it has settled, before the next.
    pub bake_ms: u64,
    /// What has to be shown before the next step.
    pub evidence: Proof,
    /// Whether an operator has to approve the step before it is taken.
    pub approval: bool,
}

/// The tenants of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// This share of the tenants is at least at the rung, in ppm.
    Share(u32),
    /// These tenants are pinned to it, until everybody is there.
    Tenants(Vec<Tenant>),
}

/// What a step has to show before the next one is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// Enough calls to know that the target's errors are within the margin, and no suspicion.
    #[default]
    Guards,
    /// Nothing; a guard with half of its evidence still blocks.
    None,
}

/// Rules of the whole plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// When steps may be taken.
    pub windows: ChangeWindows,
    /// What happens to the plan when the migration, or a tenant, is rolled back.
    pub on_trip: OnTrip,
    /// What to do when the bake time is over and there is no data.
    pub when_blind: WhenBlind,
}

/// What happens to a plan at a rollback. It never continues by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnTrip {
    /// It stops; after the acknowledgement, resume continues from where the rollout is then.
    #[default]
    Stop,
    /// It ends for good.
    End,
}

/// What to do without data. A plan never advances without data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenBlind {
    /// Wait, and say for what.
    #[default]
    Wait,
    /// Pause the migration, which notifies people.
    Pause,
}

/// What the controller observes of the migration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The migration's key, for commands to copy.
    pub key: String,
    /// Rolled back and not acknowledged.
    pub tripped: bool,
    /// By whom it is paused, and why. `None`: it is not.
    pub paused: Option<String>,
    /// Number of taken steps, from the first, that still hold.
    pub in_place: usize,
    /// Everybody is where they were asked to be, and has quiesced for the last step.
    pub settled: bool,
    /// What that waits for, if it is known.
    pub unsettled: Vec<Missing>,
    /// What the guards say; times are Unix time. `None`: no data.
    pub standing: Option<Standing>,
    /// Unix time since which reports are received; it restarts with the controller.
    pub hearing_since_ms: u64,
    /// The controller's steady clock.
    pub steady_ms: u64,
    /// Maximum share of reads that may miss before a step to target-first or above.
    pub miss_max: f64,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Commit this move.
    Move(PlanMove),
    /// Wait for all of this; never empty.
    Wait(Vec<Missing>),
    /// Nothing happens until somebody does what this says.
    Held(String),
    /// The last step has baked and shown its evidence.
    Done,
}

/// Something that a step waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What is missing and, where it helps, what to do.
    pub what: String,
    /// Unix time when it is expected. `None`: unknown.
    pub until_ms: Option<u64>,
    /// What will satisfy it.
    pub by: Brought,
}

/// What satisfies something that a step waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brought {
    /// Time alone.
    Time,
    /// Reports of the instances.
    Reports,
    /// A commit or an acknowledgement.
    Change,
}

impl Plan {
    /// A plan of these steps, or everything that is wrong with them.
    pub fn of(steps: Vec<Step>, rules: Rules) -> Result<Self, Vec<Violation>> {
        let violations: Vec<_> =
            lint::violations(&steps).into_iter().chain(rules.windows.violations()).collect();
        if violations.is_empty() { Ok(Self { steps, rules }) } else { Err(violations) }
    }

    /// The steps in order; at least one.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The rules of the whole plan.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }
}

/// What to do now. Without data, a step that has to show evidence is never over.
pub fn decide(state: &PlanState, seen: &Observed, now_ms: u64) -> Next {
    if let Some(held) = held(state, seen) {
        return held;
    }
    let at = state.taken.len();
    let next = state.plan.steps.get(at);
    let mut missing = Vec::new();
    if let Some((step, taken)) = state.current() {
        if seen.settled && taken.settled_at_ms.is_none() {
            return Next::Move(PlanMove::Settle(at));
        }
        let bake = bake(taken, step, seen, now_ms);
        let is_wanted = step.evidence == Proof::Guards && taken.skipped.is_none();
        let evidence = if is_wanted { proof::evidence(taken, seen) } else { Vec::new() };
        if is_wanted
            && bake.is_empty()
            && proof::is_blind(taken, seen, now_ms)
            && state.plan.rules.when_blind == WhenBlind::Pause
        {
            return Next::Move(PlanMove::Pause(at));
        }
        // Stored only if it would be needed after a restart.
        if is_wanted && seen.settled && evidence.is_empty() && !bake.is_empty() && taken.shown_at_ms.is_none()
        {
            return Next::Move(PlanMove::Show(at));
        }
        missing.extend(bake);
        missing.extend(evidence);
        let is_read = next.is_some_and(|next| next.rung >= Rung::TargetFirst);
        missing.extend(if is_wanted && is_read { proof::misses(seen) } else { None });
    }
    // Also for the first step: somebody may have ramped by hand before.
    missing.extend(proof::blocks(seen));
    if let Some(step) = next {
        if step.approval && state.approved <= at {
            missing.push(Missing::open(format!("the approval of step {}", at + 1)));
        }
        missing.extend(window(&state.plan.rules.windows, now_ms));
    }
    match next {
        _ if !missing.is_empty() => Next::Wait(missing),
        Some(_) => Next::Move(PlanMove::Take(at)),
        None => Next::Move(PlanMove::Finish),
    }
}

/// The same for people: what only remains to be stored counts as stored.
pub fn outlook(state: &PlanState, seen: &Observed, now_ms: u64) -> Next {
    let mut state = state.clone();
    loop {
        let next = decide(&state, seen, now_ms);
        match (&next, state.taken.last_mut()) {
            (Next::Move(PlanMove::Settle(_)), Some(taken)) => {
                taken.settled_at_ms = Some(now_ms);
                taken.settled_steady_ms = Some(seen.steady_ms);
            }
            (Next::Move(PlanMove::Show(_)), Some(taken)) => taken.shown_at_ms = Some(now_ms),
            _ => return next,
        }
    }
}

/// What somebody has to do before the plan continues.
fn held(state: &PlanState, seen: &Observed) -> Option<Next> {
    let held = |why: &str| Some(Next::Held(why.to_owned()));
    match state.status {
        PlanStatus::Done => return Some(Next::Done),
        PlanStatus::Ended => {
            return held(&format!("it has ended: cutover plan apply {} FILE begins another", seen.key));
        }
        PlanStatus::Running | PlanStatus::Stopped => {}
    }
    if seen.tripped {
        return held(&format!(
            "it was rolled back: repair it, then cutover ack {0} --reason .., then cutover resume {0}",
            seen.key
        ));
    }
    if state.status == PlanStatus::Stopped {
        return held(&format!(
            "it stopped at a rollback: cutover resume {} continues from the current rollout",
            seen.key
        ));
    }
    if let Some(why) = &seen.paused {
        return held(&format!("it is paused {why}. To continue: cutover resume {}", seen.key));
    }
    (seen.in_place < state.taken.len()).then(|| {
        let step = seen.in_place + 1;
        Next::Held(format!(
            "somebody took step {step} back: cutover resume {0} takes it again, cutover plan stop {0} ends it",
            seen.key
        ))
    })
}

fn bake(taken: &Taken, step: &Step, seen: &Observed, now_ms: u64) -> Vec<Missing> {
    if !seen.settled && !seen.unsettled.is_empty() {
        return seen.unsettled.clone();
    }
    let Some(since_ms) = taken.settled_at_ms.filter(|_| seen.settled) else {
        return vec![Missing::open("every live instance to be on the step's revision".to_owned())];
    };
    let baked_ms = match taken.settled_steady_ms {
        Some(since_ms) => seen.steady_ms.saturating_sub(since_ms),
        None => now_ms.saturating_sub(since_ms),
    };
    let left_ms = step.bake_ms.saturating_sub(baked_ms);
    if taken.skipped.is_some() || left_ms == 0 {
        return Vec::new();
    }
    let (left_s, until_ms) = (left_ms.div_ceil(1000), now_ms.saturating_add(left_ms));
    vec![Missing {
        what: format!("{} of its bake time", span(left_s * 1000)),
        until_ms: Some(until_ms),
        by: Brought::Time,
    }]
}

fn window(windows: &ChangeWindows, now_ms: u64) -> Option<Missing> {
    let next_ms = windows.next_ms(now_ms);
    (next_ms != Some(now_ms)).then(|| Missing {
        what: "its change window to open".to_owned(),
        until_ms: next_ms,
        by: Brought::Time,
    })
}

impl Missing {
    /// Satisfied by a commit or an acknowledgement, at an unknown time.
    pub const fn open(what: String) -> Self {
        Self { what, until_ms: None, by: Brought::Change }
    }

    /// Satisfied by reports, at an unknown time.
    pub const fn of_reports(what: String) -> Self {
        Self { what, until_ms: None, by: Brought::Reports }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
