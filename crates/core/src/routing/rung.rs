//! Rungs, stages, reasons and levels.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where one tenant's reads and writes go, lowest first. docs/protocol.md has the rules of each rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// The target is not used.
    SourceOnly,
    /// Writes go to both stores, best effort at the target; reads come from the source.
    Dual,
    /// A write is acknowledged once both stores have it; reads come from the source.
    Mirrored,
    /// Operations wait for the next revision. A short pause, not a stage; safe beside every rung.
    Hold,
    /// Reads come from the target, or from the source if the target lacks the record; writes go to both
    /// stores.
    TargetFirst,
    /// The source is not used.
    TargetOnly,
}

/// What users see of a [`Rung`]: `mirrored` is shown as `dual`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// See [`Rung::SourceOnly`].
    SourceOnly,
    /// See [`Rung::Dual`] and [`Rung::Mirrored`].
    Dual,
    /// Only while a tenant waits; nobody can ask for it.
    Hold,
    /// See [`Rung::TargetFirst`].
    TargetFirst,
    /// See [`Rung::TargetOnly`].
    TargetOnly,
}

/// Why a tenant stands where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Its bucket and the shares.
    Rollout,
    /// An operator pinned it.
    Pin,
    /// A ceiling keeps it down.
    Rollback,
    /// Going lower would lose acknowledged writes.
    Floor,
    /// It waits between two rungs.
    Hold,
    /// The controller's store was restored, and nobody has confirmed where tenants stand.
    Restored,
}

/// What reads promise, in addition to "no acknowledged write is ever lost".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Nothing more.
    #[default]
    Acknowledged,
    /// Reads of a record never go back in time; reads at `mirrored` are confirmed in the target.
    Linearizable,
}

/// Whether two rungs may be live for one tenant at the same time without losing an acknowledged write.
///
/// This is the table of docs/protocol.md, found by model checking; it is symmetric and reflexive. At level
/// linearizable, reads at `mirrored` beside target-first must be confirmed, and they are.
pub const fn coexist(one: Rung, other: Rung) -> bool {
    use Rung::{Dual, Hold, Mirrored, SourceOnly, TargetFirst, TargetOnly};
    match (one, other) {
        (Hold, _) | (_, Hold) => true,
        (SourceOnly | Dual | Mirrored, SourceOnly | Dual | Mirrored) => true,
        (Mirrored, TargetFirst) | (TargetFirst, Mirrored) => true,
        (TargetFirst | TargetOnly, TargetFirst | TargetOnly) => true,
        (SourceOnly | Dual, TargetFirst) | (TargetFirst, SourceOnly | Dual) => false,
        (SourceOnly | Dual | Mirrored, TargetOnly) => false,
        (TargetOnly, SourceOnly | Dual | Mirrored) => false,
    }
}

impl Rung {
    /// All rungs, lowest first.
    pub const ALL: [Self; 6] =
        [Self::SourceOnly, Self::Dual, Self::Mirrored, Self::Hold, Self::TargetFirst, Self::TargetOnly];

    /// What users see.
    pub const fn stage(self) -> Stage {
        match self {
            Self::SourceOnly => Stage::SourceOnly,
            Self::Dual | Self::Mirrored => Stage::Dual,
            Self::Hold => Stage::Hold,
            Self::TargetFirst => Stage::TargetFirst,
            Self::TargetOnly => Stage::TargetOnly,
        }
    }

    /// The name used everywhere.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SourceOnly => "source-only",
            Self::Dual => "dual",
            Self::Mirrored => "mirrored",
            Self::Hold => "hold",
            Self::TargetFirst => "target-first",
            Self::TargetOnly => "target-only",
        }
    }
}

impl Stage {
    /// The name used everywhere.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SourceOnly => "source-only",
            Self::Dual => "dual",
            Self::Hold => "hold",
            Self::TargetFirst => "target-first",
            Self::TargetOnly => "target-only",
        }
    }
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 6] =
        [Self::Rollout, Self::Pin, Self::Rollback, Self::Floor, Self::Hold, Self::Restored];

    /// The name used everywhere.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rollout => "rollout",
            Self::Pin => "pin",
            Self::Rollback => "rollback",
            Self::Floor => "floor",
            Self::Hold => "hold",
            Self::Restored => "restored",
        }
    }
}

impl Level {
    /// The name used everywhere.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Linearizable => "linearizable",
        }
    }
}

/// A name that is not one of the expected ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{got:?} is not a {what}: use one of {expected}")]
pub struct UnknownName {
    got: String,
    what: &'static str,
    expected: &'static str,
}

impl FromStr for Rung {
    type Err = UnknownName;

    /// Parses what can be asked for: every rung except `hold`.
    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|rung| rung.name() == name && *rung != Self::Hold).ok_or_else(|| {
            UnknownName {
                got: name.to_owned(),
                what: "stage",
                expected: "source-only, dual, mirrored, target-first, target-only",
            }
        })
    }
}

impl FromStr for Level {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        [Self::Acknowledged, Self::Linearizable].into_iter().find(|level| level.name() == name).ok_or_else(
            || UnknownName { got: name.to_owned(), what: "level", expected: "acknowledged, linearizable" },
        )
    }
}

macro_rules! display_by_name {
    ($($kind:ty),*) => {$(
        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    )*};
}
display_by_name!(Rung, Stage, Reason, Level);
