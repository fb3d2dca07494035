//! Guards' verdicts on a migration, as its document stores them.

use cutover_core::{outcome::Operation, routing::Rung};
use serde::{Deserialize, Serialize};

use super::{
    Tenant,
    guard::{Guard, GuardConfig, GuardKind, Limit, Mode, Rule, Scope, Verdict},
};

/// A verdict to be committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Breach {
    /// Revision of the stage that was judged. The verdict does not apply to a later one.
    pub stage_revision: u64,
    /// The guard's verdict with all its evidence.
    pub verdict: Verdict,
}

/// A committed verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trip {
    /// The revision that committed it.
    pub revision: u64,
    /// Unix time.
    pub at_ms: u64,
    /// Its effect.
    pub outcome: TripOutcome,
    /// The guard's verdict with all its evidence. Its times are those of the judge's clock.
    pub verdict: Verdict,
}

/// The effect of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TripOutcome {
    /// Rolled back: nobody of these goes above this rung until it is acknowledged.
    RolledBack(Rung),
    /// Steps up were stopped; an operator has to look.
    Held,
    /// Only recorded.
    Observed,
}

/// How a migration's guards differ from the defaults. This keeps documents small, and they follow the
/// defaults of newer versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GuardSettings {
    /// Guards with other settings, each once; `None`: turned off.
    pub rules: Vec<(Guard, Option<Rule>)>,
    /// Whether blindness holds the ramp, or is only recorded.
    pub blindness: Mode,
}

/// A change of one guard's setting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuardEdit {
    /// The guard.
    pub guard: Guard,
    /// `None`: unchanged.
    pub mode: Option<GuardMode>,
    /// `None`: unchanged.
    pub limit: Option<Limit>,
}

/// What a guard does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardMode {
    /// A trip rolls back.
    Enforce,
    /// A trip is recorded.
    Observe,
    /// Not judged.
    Off,
}

impl GuardSettings {
    /// Settings of all guards.
    pub fn config(&self) -> GuardConfig {
        let config = GuardConfig { blindness: self.blindness, ..GuardConfig::default() };
        self.rules.iter().fold(config, |config, (guard, rule)| config.with(*guard, *rule))
    }

    /// The same settings with one guard changed. Blindness has no limit, and `off` means `observe` for it.
    #[must_use]
    pub fn edited(mut self, edit: &GuardEdit) -> Self {
        let mode = |mode: GuardMode| match mode {
            GuardMode::Enforce => Mode::Enforce,
            GuardMode::Observe | GuardMode::Off => Mode::Observe,
        };
        if edit.guard.index().is_none() {
            self.blindness = edit.mode.map_or(self.blindness, mode);
            return self;
        }
        let standard = GuardConfig::default().rule(edit.guard);
        let before = self.config().rule(edit.guard);
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

impl GuardSettings {
    /// What is set otherwise than before: `error_absolute of writes: limit 2 % -> 5 %`.
    pub fn differences(&self, before: &Self) -> Vec<String> {
        let (then, now) = (before.config(), self.config());
        let told = |guard: Guard, [then, now]: [[String; 2]; 2]| {
            let both = then.into_iter().zip(now);
            let changed = both.filter(|(then, now)| then != now && !now.is_empty());
            let changed: Vec<String> = changed
                .map(|(then, now)| match then.as_str() {
                    "" => now,
                    _ => format!("{then} -> {}", now.trim_start_matches("limit ")),
                })
                .collect();
            (!changed.is_empty()).then(|| format!("{guard}: {}", changed.join(", ")))
        };
        let counting = Guard::COUNTING.into_iter();
        let mut lines: Vec<String> = counting
            .filter_map(|guard| told(guard, [then.rule(guard), now.rule(guard)].map(set_to)))
            .collect();
        let blindness = [then.blindness, now.blindness].map(|mode| [mode.name().to_owned(), String::new()]);
        lines.extend(told(Guard::of(GuardKind::Blindness, Operation::Read), blindness));
        lines
    }
}

/// A guard's mode and limit.
fn set_to(rule: Option<Rule>) -> [String; 2] {
    match rule {
        Some(rule) => [rule.mode.name().to_owned(), format!("limit {}", rule.limit)],
        None => ["off".to_owned(), String::new()],
    }
}

impl Trip {
    /// Whether it was about this tenant, alone or with everybody.
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
            TripOutcome::Held => "paused".to_owned(),
            TripOutcome::Observed => "would have rolled back".to_owned(),
        };
        format!("{what}: {}", self.verdict)
    }
}
