//! What guards concluded of a migration, as its document keeps it.

use cutover_client::routing::Rung;
use serde::{Deserialize, Serialize};

use super::{
    Tenant,
    guard::{Guard, GuardConfig, Limit, Mode, Rule, Scope, Verdict},
};

/// A verdict, on its way into the history.
#[derive(Clone, Debug, PartialEq)]
pub struct Breach {
    /// Revision of the stage that was judged: it says nothing about a later one.
    pub stage_revision: u64,
    /// The guard's conclusion, with all that it rests on.
    pub verdict: Verdict,
}

/// A verdict that a commit took in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trip {
    /// The controller's revision that it made.
    pub revision: u64,
    /// Unix time.
    pub at_ms: u64,
    /// What came of it.
    pub outcome: TripOutcome,
    /// The guard's conclusion, with all that it rests on. Its times are of the judge's clock.
    pub verdict: Verdict,
}

/// What came of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TripOutcome {
    /// Rolled back: nobody of these goes above this rung until it is acknowledged.
    RolledBack(Rung),
    /// Going up was stopped, and somebody has to look.
    Held,
    /// Only told.
    Observed,
}

/// How a migration's guards differ from the defaults. Documents stay small by it, and follow the
/// defaults of a newer version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GuardSettings {
    /// Guards that are set otherwise; `None`: switched off. Each guard once.
    pub rules: Vec<(Guard, Option<Rule>)>,
    /// Does blindness hold the ramp, or only tell?
    pub blindness: Mode,
}

/// One guard set otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GuardEdit {
    /// Which.
    pub guard: Guard,
    /// `None`: unchanged.
    pub mode: Option<GuardMode>,
    /// `None`: unchanged.
    pub limit: Option<Limit>,
}

/// What a guard does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardMode {
    /// A trip rolls back.
    Enforce,
    /// A trip is told.
    Observe,
    /// It is not judged.
    Off,
}

impl GuardSettings {
    /// Settings of all guards.
    pub fn config(&self) -> GuardConfig {
        let config = GuardConfig { blindness: self.blindness, ..GuardConfig::default() };
        self.rules.iter().fold(config, |config, (guard, rule)| config.with(*guard, *rule))
    }

    /// The same with one guard set otherwise. Blindness has no limit and is told rather than off.
    #[must_use]
    pub fn edited(mut self, edit: &GuardEdit) -> Self {
        let mode = |mode: GuardMode| match mode {
            GuardMode::Enforce => Mode::Enforce,
            GuardMode::Observe | GuardMode::Off => Mode::Observe,
        };
        let Some(at) = edit.guard.index() else {
            self.blindness = edit.mode.map_or(self.blindness, mode);
            return self;
        };
        let standard = GuardConfig::default().rules[at];
        let before = self.config().rules[at];
        let rule = before.or(standard).map(|rule| Rule {
            mode: edit.mode.map_or(rule.mode, mode),
            limit: edit.limit.unwrap_or(rule.limit),
        });
        let is_off = edit.mode == Some(GuardMode::Off) || (before.is_none() && edit.mode.is_none());
        let rule = rule.filter(|_| !is_off);
        self.rules.retain(|(guard, _)| *guard != edit.guard);
        if rule != standard {
            self.rules.push((edit.guard, rule));
        }
        self
    }
}

impl Trip {
    /// Was it about this tenant, alone or with everybody?
    pub fn is_about(&self, tenant: &Tenant) -> bool {
        match &self.verdict.scope {
            Scope::Migration => true,
            Scope::Tenant(about) => about == tenant,
        }
    }

    /// In one line, for people.
    pub fn told(&self) -> String {
        let what = match self.outcome {
            TripOutcome::RolledBack(to) => format!("rolled back to {to}"),
            TripOutcome::Held => "held".to_owned(),
            TripOutcome::Observed => "only told".to_owned(),
        };
        format!("{what}: {}", self.verdict)
    }
}
