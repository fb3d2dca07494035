//! What passes need from a store: per-record results of a batch, sizes, load.

use std::time::Duration;

use super::{Put, Version};

/// The result for one record of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Copied {
    /// It was written.
    Written,
    /// The same version was already there: nothing was written. At version 0 the content may differ.
    Present,
    /// This newer version was there: nothing was written.
    Stale(Version),
}

/// Approximate size of a store; cheap to determine, and as inaccurate as the store's statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Records, tombstones included; `None`: unknown.
    pub records: Option<u64>,
    /// Their size; `None`: unknown.
    pub bytes: Option<u64>,
}

/// The current load of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// How long a trivial read took, including waiting for a connection.
    pub latency: Duration,
    /// How far its furthest replica lags; `None`: it has none, or does not report it.
    pub replica_lag: Option<Duration>,
}

impl Copied {
    /// The result of writing `version`, given the version that a failed condition found.
    pub(super) const fn unless_newer(version: Version, current: Version) -> Self {
        if version.0 == current.0 { Self::Present } else { Self::Stale(current) }
    }
}

impl From<Copied> for Put {
    fn from(copied: Copied) -> Self {
        match copied {
            Copied::Written => Self::Applied,
            Copied::Present => Self::Present,
            Copied::Stale(current) => Self::Stale(current),
        }
    }
}
