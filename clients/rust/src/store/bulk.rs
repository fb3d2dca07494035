//! What the batch side asks of a store: copies answered one by one, sizes, and how it bears the load.

use std::time::Duration;

use super::{Put, Version};

/// How one record of a batch fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Copied {
    /// It was written.
    Written,
    /// The same version is there already: nothing was written. At version 0 the content may differ.
    Present,
    /// This newer version is there: nothing was written.
    Stale(Version),
}

/// About how much a store holds; cheap to ask, and off by what its statistics are off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Records, tombstones included; `None`: the store can't say.
    pub records: Option<u64>,
    /// Their size; `None`: the store can't say.
    pub bytes: Option<u64>,
}

/// How a store bears its load at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// How long a trivial read took, waiting for a connection included.
    pub latency: Duration,
    /// How far its furthest replica is behind; `None`: it has none, or does not say.
    pub replica_lag: Option<Duration>,
}

impl Copied {
    /// Of a write of `version`, given the version that a failed condition found.
    pub(super) const fn unless_newer(version: Version, current: Version) -> Self {
        if version.0 == current.0 { Self::Present } else { Self::Stale(current) }
    }
}

impl From<Copied> for Put {
    fn from(copied: Copied) -> Self {
        match copied {
            Copied::Written | Copied::Present => Self::Applied,
            Copied::Stale(current) => Self::Stale(current),
        }
    }
}
