//! The kinds of conditions, and one that is not met.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Violation;

/// A kind of condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// Everybody has acknowledged the last step of the tenants.
    Barrier,
    /// Every required service has an instance that is not lost.
    Services,
    /// There is a full pass that began after the rung below had settled.
    FullPass,
    /// Enough time has passed at the rung.
    Soak,
    /// Acknowledged writes are in the target alone.
    Floor,
    /// SDKs may go back on their own to a rung that must not be live beside the next one.
    LocalGuard,
    /// An operator paused the migration.
    Paused,
    /// A rollback is latched.
    Tripped,
    /// The migration has ended.
    Finished,
    /// Tenants are not where the change needs them to be.
    Stage,
    /// The store was restored, and nobody has confirmed where tenants have been since the backup.
    Restored,
    /// Somebody else has to agree: the two-person rule.
    SecondPerson,
}

impl Gate {
    const ALL: [Self; 12] = [
        Self::Barrier,
        Self::Services,
        Self::FullPass,
        Self::Soak,
        Self::Floor,
        Self::LocalGuard,
        Self::Paused,
        Self::Tripped,
        Self::Finished,
        Self::Stage,
        Self::Restored,
        Self::SecondPerson,
    ];

    /// The name used everywhere.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Barrier => "barrier",
            Self::Services => "services",
            Self::FullPass => "full-pass",
            Self::Soak => "soak",
            Self::Floor => "floor",
            Self::LocalGuard => "local-guard",
            Self::Paused => "paused",
            Self::Tripped => "tripped",
            Self::Finished => "finished",
            Self::Stage => "stage",
            Self::Restored => "restored",
            Self::SecondPerson => "second-person",
        }
    }

    /// Whether an operator can override it. Not if the protocol itself would break.
    pub const fn can_be_overridden(self) -> bool {
        matches!(self, Self::Services | Self::FullPass | Self::Soak)
    }
}

impl FromStr for Gate {
    type Err = Violation;

    /// Parses a gate to override.
    fn from_str(name: &str) -> Result<Self, Violation> {
        Self::ALL.into_iter().find(|gate| gate.name() == name && gate.can_be_overridden()).ok_or_else(|| {
            let message = format!("{name:?} can't be overridden: only services, full-pass and soak can");
            Violation::new("override_gates", message)
        })
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An unmet condition, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// From where to where; empty if it is not about a single step.
    pub step: String,
    /// Whose step.
    pub whom: String,
    /// The gate.
    pub gate: Gate,
    /// What is missing.
    pub message: String,
    /// What to do about it.
    pub action: String,
    /// True: time or connected instances will satisfy it; nobody has to act.
    pub by_itself: bool,
}

impl Unmet {
    /// A condition of the whole change.
    pub fn of_change(gate: Gate, message: impl Into<String>, action: impl Into<String>) -> Self {
        Self {
            step: String::new(),
            whom: String::new(),
            gate,
            message: message.into(),
            action: action.into(),
            by_itself: false,
        }
    }
}
