//! A guard's verdict with all its evidence: this goes into the history.

use std::fmt;

use cutover_core::text::{bad_outcome, short_span};
use serde::{Deserialize, Serialize};

use super::{ErrorClass, Guard, Operation};
use crate::Tenant;

/// A guard's verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The guard.
    pub guard: Guard,
    /// Whom it is about.
    pub scope: Scope,
    /// What to do.
    pub action: Action,
    /// Why.
    pub cause: Cause,
    /// Its evidence.
    pub evidence: GuardEvidence,
}

/// Whom a verdict is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everybody.
    Migration,
    /// One tenant.
    Tenant(Tenant),
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Go one stage back, and stay.
    Rollback,
    /// Take no step up; an operator has to look.
    Hold,
    /// Record that it would have rolled back.
    Observe,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The evidence reached the threshold.
    Breach,
    /// So many tenants tripped that it is not about single tenants.
    Escalation,
    /// The source fails as well: going back would not help.
    CommonMode,
    /// Several tenants' evidence comes from one instance: the instance is sick, not the tenants.
    OneInstance,
    /// Several instances stopped reporting together, and are neither back nor replaced.
    InstancesGone,
    /// The target should be called, but is not.
    NoTargetCalls,
}

/// The evidence of a verdict. Counts are those since the suspected onset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GuardEvidence {
    /// The suspected onset, on the judge's clock.
    pub onset_ms: u64,
    /// When the verdict was reached.
    pub now_ms: u64,
    /// Outcomes of the target; for blindness, live instances, or calls without one to the target.
    pub target: u64,
    /// Bad ones among them; for blindness, instances gone.
    pub target_bad: u64,
    /// Outcomes of the source.
    pub source: u64,
    /// Bad ones among them.
    pub source_bad: u64,
    /// `ln M`.
    pub ln_m: f64,
    /// The threshold.
    pub ln_c: f64,
    /// The divisor of the evidence.
    pub phi: f64,
    /// The fixed rate that the counts were compared with, if any.
    pub limit: Option<f64>,
    /// The tenants with the most bad outcomes among those counted separately: at most 5.
    pub tenants: Vec<Suspect>,
    /// The instances with the most evidence: at most 5.
    pub instances: Vec<Holder>,
    /// The target's errors of the last one or two minutes by class, most frequent first; complete.
    pub errors: Vec<(ErrorClass, u64)>,
}

/// A tenant behind a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    /// The tenant.
    pub tenant: Tenant,
    /// Outcomes of the target.
    pub target: u64,
    /// Bad ones among them.
    pub target_bad: u64,
}

/// An instance behind a verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// The instance.
    pub instance: String,
    /// Evidence that it contributed, in nats.
    pub nats: f64,
}

impl GuardEvidence {
    /// Share of bad outcomes of the target; 0 without outcomes.
    pub fn target_rate(&self) -> f64 {
        self.target_bad as f64 / self.target.max(1) as f64
    }

    /// The same for the source.
    pub fn source_rate(&self) -> f64 {
        self.source_bad as f64 / self.source.max(1) as f64
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { guard, scope, cause, evidence, .. } = self;
        let GuardEvidence { target, target_bad, source, source_bad, ln_m, ln_c, .. } = evidence;
        match cause {
            Cause::InstancesGone => {
                let all = target + target_bad;
                return write!(
                    f,
                    "{target_bad} of {all} instances stopped reporting within 10 s, and are neither back nor replaced"
                );
            }
            Cause::NoTargetCalls => {
                return write!(f, "{target} calls went to the source and none to the target");
            }
            _ => {}
        }
        let name = guard.kind.name();
        let calls = match guard.operation {
            Operation::Read => "reads",
            Operation::Write => "writes",
        };
        write!(f, "{name}: {target_bad} of {target} target {calls}")?;
        if let Scope::Tenant(tenant) = scope {
            write!(f, " of tenant {tenant}")?;
        }
        let lasted = short_span(evidence.now_ms.saturating_sub(evidence.onset_ms));
        write!(f, " {} within {lasted} ({:.2} %", bad_outcome(name), evidence.target_rate() * 100.0)?;
        if let Some(limit) = evidence.limit {
            write!(f, ", limit {:.2} %", limit * 100.0)?;
        }
        if *source > 0 {
            write!(f, "; source: {source_bad} of {source}, {:.2} %", evidence.source_rate() * 100.0)?;
        }
        write!(f, "), evidence {ln_m:.1}, threshold {ln_c:.1}")?;
        f.write_str(match cause {
            Cause::CommonMode => "; the source fails as well",
            Cause::OneInstance => "; all of it from an instance that is behind other tenants' too",
            Cause::Escalation => "; several tenants have tripped",
            _ => "",
        })
    }
}
