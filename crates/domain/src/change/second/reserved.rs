//! Which changes need two persons, and what the second one has to know of them.

use cutover_core::text::span;

use crate::{
    Document, Gate, GuardEdit, GuardMode, Tenant,
    change::{Ask, Change, Deletion},
    guard::Limit,
    pending::Reserved,
    percent,
    plan::{Part, Proof, Step},
};

/// Pins that a request shows.
const PINS_MAX: usize = 10;

impl Reserved {
    /// `None`: one person may do it.
    pub(super) fn of(document: &Document, change: &Change) -> Option<Self> {
        if !document.policy.two_persons {
            return None;
        }
        match change.clone() {
            Change::Update { description, policy, guards } => {
                let is_same = policy.as_ref().is_none_or(|policy| *policy == document.policy);
                (!is_same || !guards.is_empty()).then_some(Self::Update { description, policy, guards })
            }
            Change::SetRollout { shares, ask: Ask { wait, overrides } } if !overrides.is_empty() => {
                Some(Self::Rollout { shares, wait, overrides })
            }
            Change::SetPins { pins, ask: Ask { wait, overrides } } if !overrides.is_empty() => {
                Some(Self::Pins { pins, wait, overrides })
            }
            Change::ApplyPlan(plan) if document.unapproved_step().is_some() => Some(Self::Plan(plan)),
            Change::Finish { confirm, overrides } if !overrides.is_empty() => {
                Some(Self::Finish { confirm, overrides })
            }
            // The next migration with this key would not have the rule, and one person can abandon this one.
            Change::Delete(Deletion { confirm, .. }) => Some(Self::Delete { confirm }),
            _ => None,
        }
    }

    /// What the summary of the change leaves out, and who approves has to know.
    pub(super) fn details(&self) -> Vec<String> {
        match self {
            Self::Update { guards, .. } => guards.iter().map(guard).collect(),
            Self::Plan(plan) => {
                let steps = plan.steps().iter().enumerate().map(|(at, it)| step(at, it));
                let windows = &plan.rules().windows.open;
                let when = match windows.len() {
                    0 => "steps are taken at any time".to_owned(),
                    many => format!("steps are taken in {many} change windows"),
                };
                steps.chain([when]).collect()
            }
            // The goal may be the same as before, so no other line says it.
            Self::Rollout { shares, overrides, .. } => {
                vec![format!("ramp to {}, {}", shares.list(), without(overrides))]
            }
            Self::Pins { pins, overrides, .. } => {
                let pins: Vec<String> =
                    pins.iter().map(|(tenant, rung)| format!("{tenant} to {rung}")).collect();
                let more = pins.len().saturating_sub(PINS_MAX);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let shown = pins[..pins.len().min(PINS_MAX)].join(", ");
                vec![format!("pin {shown}{more}, {}", without(overrides))]
            }
            Self::Finish { overrides, .. } => vec![format!("finish, {}", without(overrides))],
            Self::Delete { .. } => Vec::new(),
        }
    }

    /// `calls`: as in [`Deletion`], those of now.
    pub(super) fn change(&self, calls: &str) -> Change {
        match self.clone() {
            Self::Update { description, policy, guards } => Change::Update { description, policy, guards },
            Self::Rollout { shares, wait, overrides } => {
                Change::SetRollout { shares, ask: Ask { wait, overrides } }
            }
            Self::Pins { pins, wait, overrides } => Change::SetPins { pins, ask: Ask { wait, overrides } },
            Self::Plan(plan) => Change::ApplyPlan(plan),
            Self::Finish { confirm, overrides } => Change::Finish { confirm, overrides },
            Self::Delete { confirm } => Change::Delete(Deletion { confirm, calls: calls.to_owned() }),
        }
    }
}

fn without(gates: &[Gate]) -> String {
    let gates: Vec<&str> = gates.iter().map(|gate| gate.name()).collect();
    format!("without the evidence of {}", gates.join(", "))
}

fn guard(edit: &GuardEdit) -> String {
    let mode = edit.mode.map_or("", |mode| match mode {
        GuardMode::Enforce => ": enforce",
        GuardMode::Observe => ": observe",
        GuardMode::Off => ": off",
    });
    let limit = edit.limit.map(|limit| match limit {
        Limit::Rate(rate) => format!(", limit {rate}"),
        Limit::Relative { rho, delta } => format!(", limit rho {rho}, delta {delta}"),
        Limit::Ratchet { factor, slack } => format!(", limit factor {factor}, slack {slack}"),
    });
    format!("guard {}{mode}{}", edit.guard, limit.unwrap_or_default())
}

fn step(at: usize, step: &Step) -> String {
    let whom = match &step.part {
        Part::Share(ppm) => format!("{} %", percent(*ppm)),
        Part::Tenants(tenants) => tenants.iter().map(Tenant::as_str).collect::<Vec<_>>().join(", "),
    };
    let evidence = if step.evidence == Proof::None { ", no evidence" } else { "" };
    let approval = if step.approval { ", needs approval" } else { "" };
    format!("step {}: {} {whom}, bake {}{evidence}{approval}", at + 1, step.rung, span(step.bake_ms))
}
