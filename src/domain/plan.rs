//! A ramp by itself: steps of a rung and a share, what each has to last and to show, and whether the
//! next may be taken. Pure: what is seen and `now` are arguments.

mod lint;

use cutover_client::routing::Rung;
use serde::{Deserialize, Serialize};

use super::{
    Violation,
    guard::{Block, Standing},
};

/// Steps that are in order: no share falls, none jumps over a rung.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    steps: Vec<Step>,
}

/// One step up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The rung whose share is raised.
    pub rung: Rung,
    /// To this share, at least at that rung.
    pub share_ppm: u32,
    /// How long it lasts from when it is settled, before the next. 0: no longer than it takes.
    pub bake_ms: u64,
    /// What has to be shown before the next.
    pub evidence: Proof,
    /// Does somebody have to approve before it is taken?
    pub approval: bool,
}

/// What a step has to show before the next is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// Calls enough that the target's errors are known to be within the margin, and no suspicion.
    #[default]
    Guards,
    /// Nothing; what a guard suspects still blocks it.
    None,
}

/// How far a plan is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps taken; 0: not begun.
    pub taken: usize,
    /// Steps that are approved, from the first: a step before this many needs no approval any more.
    pub approved: usize,
}

/// What is seen of the migration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Rolled back and not acknowledged.
    pub tripped: bool,
    /// Paused by somebody.
    pub paused: bool,
    /// Since when every live instance is on the last step's revision and everybody is where they were
    /// asked to be. `None`: not yet.
    pub settled_since_ms: Option<u64>,
    /// How the guards stand. `None`: no data.
    pub standing: Option<Standing>,
    /// Misses of reads that are borne before a step to target-first or above: a share.
    pub miss_max: f64,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Take this step, counted from 0.
    Advance(usize),
    /// Everything that is missing; never empty.
    Wait(Vec<Missing>),
    /// Nothing goes on by itself until somebody does what this says.
    Held(&'static str),
    /// The last step has lasted and shown what it had to.
    Done,
}

/// Something that a step waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What, and where it helps what to do.
    pub what: String,
    /// Unix time when it is there. `None`: not to be foreseen.
    pub until_ms: Option<u64>,
}

impl Plan {
    /// A plan of these steps, or everything that is wrong with them.
    pub fn of(steps: Vec<Step>) -> Result<Self, Vec<Violation>> {
        let violations = lint::violations(&steps);
        if violations.is_empty() { Ok(Self { steps }) } else { Err(violations) }
    }

    /// In order; at least one.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// What is to be done now. No data never advances a step that has to show something.
pub fn decide(plan: &Plan, progress: Progress, seen: &Seen, now_ms: u64) -> Next {
    if seen.tripped {
        return Next::Held("it was rolled back: repair it, then cutover ack");
    }
    if seen.paused {
        return Next::Held("it is paused: cutover resume goes on");
    }
    let next = plan.steps.get(progress.taken);
    let last = progress.taken.checked_sub(1).and_then(|at| plan.steps.get(at));
    let mut missing = Vec::new();
    if let Some(step) = last {
        missing.extend(bake(step, seen.settled_since_ms, now_ms));
        missing.extend(proof(step, next, seen));
    }
    if next.is_some_and(|step| step.approval) && progress.approved <= progress.taken {
        missing.push(Missing::open(format!("the approval of step {}", progress.taken + 1)));
    }
    match next {
        _ if !missing.is_empty() => Next::Wait(missing),
        Some(_) => Next::Advance(progress.taken),
        None => Next::Done,
    }
}

fn bake(step: &Step, settled_since_ms: Option<u64>, now_ms: u64) -> Option<Missing> {
    let Some(since_ms) = settled_since_ms else {
        return Some(Missing::open("every live instance to be on the step's revision".to_owned()));
    };
    let until_ms = since_ms.saturating_add(step.bake_ms);
    let left_s = until_ms.saturating_sub(now_ms).div_ceil(1000);
    (now_ms < until_ms)
        .then(|| Missing { what: format!("{left_s} s of its bake time"), until_ms: Some(until_ms) })
}

fn proof(step: &Step, next: Option<&Step>, seen: &Seen) -> Vec<Missing> {
    let wanted = step.evidence == Proof::Guards;
    let Some(standing) = &seen.standing else {
        let no_data = "evidence: there is no data, are the services reporting?";
        return wanted.then(|| Missing::open(no_data.to_owned())).into_iter().collect();
    };
    let mut missing: Vec<_> = standing.blocks.iter().map(|block| Missing::open(told(block))).collect();
    if !wanted {
        return missing;
    }
    if standing.certificates.is_empty() {
        missing.push(Missing::open("evidence: nothing has called the target yet".to_owned()));
    }
    for shown in &standing.certificates {
        let operation = shown.operation;
        let what = match shown.missing {
            Some(0) => continue,
            Some(calls) => format!("{calls} more {operation:?} calls to the target").to_lowercase(),
            None => format!(
                "fewer {} errors: up to {:.3} % over the source's, {:.3} % are borne",
                format!("{operation:?}").to_lowercase(),
                shown.excess * 100.0,
                shown.margin * 100.0
            ),
        };
        missing.push(Missing { what, until_ms: shown.expected_ms });
    }
    if next.is_some_and(|next| next.rung >= Rung::TargetFirst) && standing.miss_upper > seen.miss_max {
        let what = format!(
            "fewer misses: up to {:.3} % of the reads, {:.3} % are borne; a backfill brings them down",
            standing.miss_upper * 100.0,
            seen.miss_max * 100.0
        );
        missing.push(Missing::open(what));
    }
    missing
}

fn told(block: &Block) -> String {
    match block {
        Block::Tripped => "the guards to be judged anew: this stage tripped".to_owned(),
        Block::Suspicion { guard, ln_m, ln_c } => {
            format!("a guard to calm down: {guard} has {ln_m:.1} of {ln_c:.1}, over half of its evidence")
        }
        Block::Source(operation) => {
            format!("the source's {} errors to fall", format!("{operation:?}").to_lowercase())
        }
        Block::InstancesGone => "the instances that went silent together".to_owned(),
        Block::NoTargetCalls => "calls to the target: there should be some and are none".to_owned(),
    }
}

impl Missing {
    fn open(what: String) -> Self {
        Self { what, until_ms: None }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
