//! Which of the two stores.

use cutover_store::spec::{Spec, StoreSpec};

/// One of the two stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Side {
    /// The store that records come from.
    Source,
    /// The store that records go to.
    Target,
}

impl Side {
    /// The name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
        }
    }

    /// Its section of a spec.
    pub const fn section(self, spec: &Spec) -> &StoreSpec {
        match self {
            Self::Source => &spec.source,
            Self::Target => &spec.target,
        }
    }

    /// The other one of the two.
    pub const fn other(self) -> Self {
        match self {
            Self::Source => Self::Target,
            Self::Target => Self::Source,
        }
    }
}
