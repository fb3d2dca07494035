//! What waits for a second person, as a document stores it.

use cutover_core::routing::Rung;
use serde::{Deserialize, Serialize};

use super::{Gate, GuardEdit, GuardSettings, Identity, Key, Need, Policy, Shares, Tenant, Unmet, plan::Plan};

/// How long a request waits, by the steady clock.
pub const REQUEST_VALID_MS: u64 = 24 * 3600 * 1000;

/// A change that waits for a second person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingRequest {
    /// The revision that asked for it; identifies it.
    pub revision: u64,
    /// Who asked.
    pub by: String,
    /// What proved that.
    #[serde(default, skip_serializing_if = "Identity::is_unproven")]
    pub identity: Identity,
    /// Why.
    pub reason: String,
    /// When: Unix time, for people.
    pub at_ms: u64,
    /// The same by the steady clock.
    pub steady_ms: u64,
    /// What it would have done then, for people.
    pub summary: Vec<String>,
    /// How many of these lines still have to hold when it is approved. Those after them are steps, which depend on
    /// the instances of that moment, and explanations.
    pub(super) asked_lines: usize,
    /// What is asked for.
    pub(super) change: Reserved,
    /// What it was about.
    pub(super) basis: Basis,
}

impl PendingRequest {
    /// Whether it can still be approved.
    pub fn is_valid(&self, steady_ms: u64) -> bool {
        steady_ms.saturating_sub(self.steady_ms) < REQUEST_VALID_MS
    }

    /// What whoever asked needs for that.
    pub fn needs(&self) -> &'static [Need] {
        match &self.change {
            Reserved::Rollout { .. } | Reserved::Pins { .. } => &[Need::Operate, Need::Approve],
            Reserved::Finish { overrides, .. } if !overrides.is_empty() => &[Need::Operate, Need::Approve],
            _ => &[Need::Operate],
        }
    }

    /// What it waits for.
    pub(super) fn unmet(&self, key: &Key) -> Unmet {
        let message = format!("{} asks for what needs a second person: {}", self.by, self.summary.join("; "));
        let action = format!("somebody else: cutover approve {key} {}", self.revision);
        Unmet::of_change(Gate::SecondPerson, message, action)
    }
}

/// A change that needs two persons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reserved {
    Update { description: Option<String>, policy: Option<Policy>, guards: Vec<GuardEdit> },
    Rollout { shares: Shares, wait: bool, overrides: Vec<Gate> },
    Pins { pins: Vec<(Tenant, Rung)>, wait: bool, overrides: Vec<Gate> },
    Plan(Box<Plan>),
    Finish { confirm: String, overrides: Vec<Gate> },
    Delete { confirm: String },
}

/// What a request was about when it was asked for. Once that has changed, nobody can approve it: whoever asked may not
/// want it any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Basis {
    /// The settings that it changes: it must not take back what was changed since.
    Settings { policy: Option<Box<Policy>>, guards: Option<Box<GuardSettings>> },
    /// Where everybody is asked to be.
    Rollout {
        /// The revision of the last acknowledgement or resume.
        judged_since: u64,
        /// When the plan was applied.
        plan_at_ms: Option<u64>,
    },
}
