//! The guards, their settings, and every default in one place.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Operation;
use crate::Violation;

/// What a guard watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardKind {
    /// The target fails more often than a fixed rate.
    ErrorAbsolute,
    /// The target fails more often than the source does.
    ErrorRelative,
    /// The target is slow more often than the source.
    SlowRelative,
    /// More reads find nothing than in the source.
    NotFoundRelative,
    /// Both stores hold different records.
    Mismatch,
    /// The target rejects writes that the source accepted.
    WriteDivergence,
    /// More reads have to fall back to the source than before.
    MissRatchet,
    /// Instances stop reporting, or calls to the target are missing.
    Blindness,
}

/// A guard for one kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Guard {
    /// What it watches.
    pub kind: GuardKind,
    /// The operation. Blindness has none and uses `Read`.
    pub operation: Operation,
}

/// Whether a guard acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A trip rolls back.
    #[default]
    Enforce,
    /// A trip is recorded as "would have rolled back".
    Observe,
}

/// What a guard compares its counts with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The target's rate is at most this.
    Rate(f64),
    /// The target's rate is at most `rho` times the source's, plus `delta`.
    Relative {
        /// Factor, at least 1.
        rho: f64,
        /// Added rate.
        delta: f64,
    },
    /// The rate is at most `factor` times the lowest that was surely reached, plus `slack`.
    Ratchet {
        /// Factor, at least 1.
        factor: f64,
        /// Added rate.
        slack: f64,
    },
}

/// A guard's setting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Whether it acts.
    pub mode: Mode,
    /// What it compares the counts with.
    pub limit: Limit,
}

/// Settings of all guards of one migration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuardConfig {
    /// In the order of [`Guard::COUNTING`]; `None`: not judged.
    pub rules: [Option<Rule>; Guard::COUNT],
    /// Whether blindness holds the ramp, or is only recorded.
    pub blindness: Mode,
    /// Accepted false trips per day for all guards of the migration together, and again for all tenants
    /// together.
    pub false_trips_per_day: f64,
    /// Length of a tick.
    pub tick_ms: u64,
    /// Maximum tenants that are judged separately.
    pub tenants_max: usize,
    /// Maximum instances; reports of further ones are rejected.
    pub instances_max: usize,
    /// Probability that a step is certified although it is over the margin.
    pub advance_alpha: f64,
    /// How far the target's error rate may exceed the source's for a step up.
    pub advance_margin: f64,
    /// Maximum share of reads that may miss for a step up.
    pub advance_miss_max: f64,
}

const READ: Operation = Operation::Read;
const WRITE: Operation = Operation::Write;

impl Guard {
    /// Guards that judge counts; blindness judges absence.
    pub const COUNTING: [Self; 10] = [
        Self::of(GuardKind::ErrorAbsolute, READ),
        Self::of(GuardKind::ErrorAbsolute, WRITE),
        Self::of(GuardKind::ErrorRelative, READ),
        Self::of(GuardKind::ErrorRelative, WRITE),
        Self::of(GuardKind::SlowRelative, READ),
        Self::of(GuardKind::SlowRelative, WRITE),
        Self::of(GuardKind::NotFoundRelative, READ),
        Self::of(GuardKind::Mismatch, READ),
        Self::of(GuardKind::WriteDivergence, WRITE),
        Self::of(GuardKind::MissRatchet, READ),
    ];

    /// Number of guards that judge counts.
    pub const COUNT: usize = Self::COUNTING.len();

    /// A guard.
    pub const fn of(kind: GuardKind, operation: Operation) -> Self {
        Self { kind, operation }
    }

    /// The only guard of misses; `misses` judges it, and no pool.
    pub const MISSES: Self = Self::of(GuardKind::MissRatchet, READ);

    /// The guards whose evidence is pooled: all counting ones except the one of misses. A pool's seat with
    /// instances and tenants is its index here.
    pub(super) fn pooled() -> impl Iterator<Item = Self> {
        Self::COUNTING.into_iter().filter(|guard| *guard != Self::MISSES)
    }

    /// Its index in [`Guard::COUNTING`]; `None` for blindness and for combinations that are not judged.
    pub fn index(self) -> Option<usize> {
        Self::COUNTING.iter().position(|guard| *guard == self)
    }
}

impl Mode {
    /// The name used everywhere.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |rate: f64| (rate * 1e6).round() / 1e4;
        match *self {
            Self::Rate(rate) => write!(f, "{} %", percent(rate)),
            Self::Relative { rho, delta } => write!(f, "{rho} x the source's rate + {} %", percent(delta)),
            Self::Ratchet { factor, slack } => write!(f, "{factor} x the lowest rate + {} %", percent(slack)),
        }
    }
}

impl GuardKind {
    /// The name used everywhere.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ErrorAbsolute => "error_absolute",
            Self::ErrorRelative => "error_relative",
            Self::SlowRelative => "slow_relative",
            Self::NotFoundRelative => "not_found_relative",
            Self::Mismatch => "mismatch",
            Self::WriteDivergence => "write_divergence",
            Self::MissRatchet => "miss_ratchet",
            Self::Blindness => "blindness",
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = match (self.kind, self.operation) {
            (GuardKind::Blindness, _) => "",
            (_, Operation::Read) => " of reads",
            (_, Operation::Write) => " of writes",
        };
        write!(f, "{}{operation}", self.kind.name())
    }
}

impl Default for GuardConfig {
    fn default() -> Self {
        let limit = |guard: Guard| match (guard.kind, guard.operation) {
            (GuardKind::ErrorAbsolute, READ) => Limit::Rate(0.05),
            (GuardKind::ErrorAbsolute, WRITE) => Limit::Rate(0.02),
            (GuardKind::ErrorRelative, WRITE) => Limit::Relative { rho: 1.1, delta: 2e-4 },
            (GuardKind::ErrorRelative | GuardKind::NotFoundRelative, _) => {
                Limit::Relative { rho: 1.25, delta: 5e-4 }
            }
            (GuardKind::SlowRelative, _) => Limit::Relative { rho: 2.0, delta: 0.01 },
            (GuardKind::Mismatch | GuardKind::Blindness, _) => Limit::Rate(1e-4),
            (GuardKind::WriteDivergence, _) => Limit::Rate(1e-3),
            (GuardKind::MissRatchet, _) => Limit::Ratchet { factor: 1.25, slack: 0.005 },
        };
        Self {
            rules: Guard::COUNTING.map(|guard| Some(Rule { mode: Mode::Enforce, limit: limit(guard) })),
            blindness: Mode::Enforce,
            false_trips_per_day: 1e-6,
            tick_ms: 1_000,
            tenants_max: 10_000,
            instances_max: 10_000,
            advance_alpha: 0.01,
            advance_margin: 1e-3,
            advance_miss_max: 1e-3,
        }
    }
}

impl GuardConfig {
    /// The same settings with only these guards.
    #[must_use]
    pub fn only(mut self, guards: &[Guard]) -> Self {
        for (rule, guard) in self.rules.iter_mut().zip(Guard::COUNTING) {
            if !guards.contains(&guard) {
                *rule = None;
            }
        }
        self
    }

    /// One guard's setting. `None`: it is not judged.
    pub fn rule(&self, guard: Guard) -> Option<Rule> {
        guard.index().and_then(|at| self.rules[at])
    }

    /// Changes one guard's setting; `None` turns it off.
    #[must_use]
    pub fn with(mut self, guard: Guard, rule: Option<Rule>) -> Self {
        if let Some(at) = guard.index() {
            self.rules[at] = rule;
        }
        self
    }

    /// Everything that is wrong with the settings.
    pub fn violations(&self) -> Vec<Violation> {
        let share = |value: f64| value > 0.0 && value < 1.0;
        let on_top = |value: f64| (0.0..1.0).contains(&value);
        let mut violations = Vec::new();
        let mut want = |fine: bool, field: &str, message: String| {
            if !fine {
                violations.push(Violation::new(field, message));
            }
        };
        for (rule, guard) in self.rules.iter().zip(Guard::COUNTING) {
            let Some(rule) = rule else { continue };
            let (fits, fine) = match (guard.kind, rule.limit) {
                (GuardKind::MissRatchet, Limit::Ratchet { factor, slack }) => {
                    (true, factor >= 1.0 && factor.is_finite() && on_top(slack))
                }
                (
                    GuardKind::ErrorAbsolute | GuardKind::Mismatch | GuardKind::WriteDivergence,
                    Limit::Rate(rate),
                ) => (true, share(rate)),
                (
                    GuardKind::ErrorRelative | GuardKind::SlowRelative | GuardKind::NotFoundRelative,
                    Limit::Relative { rho, delta },
                ) => (true, rho >= 1.0 && rho.is_finite() && on_top(delta)),
                _ => (false, true),
            };
            want(fits, guard.kind.name(), format!("{guard} takes another kind of limit"));
            let message = format!("{guard}: rates lie between 0 and 1, factors are at least 1");
            want(fine, guard.kind.name(), message);
        }
        let fields = [
            ("false_trips_per_day", self.false_trips_per_day),
            ("advance_alpha", self.advance_alpha),
            ("advance_margin", self.advance_margin),
            ("advance_miss_max", self.advance_miss_max),
        ];
        for (field, value) in fields {
            want(share(value), field, format!("{value}: give more than 0 and less than 1"));
        }
        want((100..=60_000).contains(&self.tick_ms), "tick_ms", "give 100 to 60000".to_owned());
        violations
    }

    /// `ln c`, the threshold of a guard's evidence. `parts` detectors share the accepted false trips (a union
    /// bound over ticks and detectors).
    pub fn ln_threshold(&self, parts: usize) -> f64 {
        let ticks_a_day = 86_400_000.0 / self.tick_ms as f64;
        (ticks_a_day * parts.max(1) as f64 / self.false_trips_per_day).ln()
    }

    /// Number of guards that are judged.
    pub fn judged(&self) -> usize {
        self.rules.iter().flatten().count()
    }
}
