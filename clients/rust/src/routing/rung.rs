//! The ladder.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where one tenant's reads and writes go, lowest first. docs/protocol.md has each one's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// The target is not touched.
    SourceOnly,
    /// Writes go to both, best effort at the target; reads come from the source.
    Dual,
    /// A write is acknowledged when both have it; reads come from the source.
    Mirrored,
    /// Operations wait for the next revision. A moment, not a stage; safe beside every rung.
    Hold,
    /// Reads come from the target, and from the source what it lacks; writes go to both.
    TargetFirst,
    /// The source is not touched.
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
    /// An operator's pin.
    Pin,
    /// A ceiling keeps it down.
    Rollback,
    /// Lower would lose acknowledged writes.
    Floor,
    /// It waits between two rungs.
    Hold,
}

/// What reads promise, besides that no acknowledged write is ever lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Nothing more.
    #[default]
    Acknowledged,
    /// Reads of a record never go back in time: those in `mirrored` are confirmed in the target.
    Linearizable,
}

/// May two rungs be live for one tenant at the same time without losing an acknowledged write?
///
/// The table of docs/protocol.md, found by model checking; symmetric and reflexive. Reads at level
/// linearizable need more beside target-first: `mirrored` must confirm them, which it does there.
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
    /// All of them, lowest first.
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

    /// Its name on every surface.
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
    /// Its name on every surface.
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
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Rollout, Self::Pin, Self::Rollback, Self::Floor, Self::Hold];

    /// Its name on every surface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rollout => "rollout",
            Self::Pin => "pin",
            Self::Rollback => "rollback",
            Self::Floor => "floor",
            Self::Hold => "hold",
        }
    }
}

impl Level {
    /// Its name on every surface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Linearizable => "linearizable",
        }
    }
}

/// A name that is none of the expected ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{got:?} is not a {what}: use one of {expected}")]
pub struct UnknownName {
    got: String,
    what: &'static str,
    expected: &'static str,
}

impl FromStr for Rung {
    type Err = UnknownName;

    /// Reads what can be asked for, so everything but `hold`.
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
