//! What passes over the stores have shown, by what was begun after what.

use serde::{Deserialize, Serialize};

use super::Tenant;

/// How a pass goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PassKind {
    /// The source is scanned, tombstones included, and written to the target if newer there.
    Full,
}

/// Whom a pass covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cover {
    /// Buckets below this.
    pub upto_ppm: u32,
    /// These tenants besides.
    pub tenants: Vec<Tenant>,
}

/// A pass that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Unique in the controller.
    pub id: String,
    /// How it goes.
    pub kind: PassKind,
    /// Whom it covers.
    pub cover: Cover,
    /// The controller's revision when it began.
    pub began_revision: u64,
    /// Everybody had quiesced for this revision when it began.
    pub settled: u64,
}

/// What a pass did, in records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassCounts {
    /// Read from the source.
    pub scanned: u64,
    /// Written to the target; it had an older version, or none.
    pub copied: u64,
    /// The target had newer ones.
    pub stale: u64,
    /// Did not fit the target.
    pub quarantined: u64,
    /// Could not be read or written.
    pub failed: u64,
}

/// A pass that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The pass.
    pub job: Job,
    /// What it did.
    pub counts: PassCounts,
    /// It went to its end, and nothing was quarantined or failed.
    pub clean: bool,
    /// Unix time.
    pub finished_at_ms: u64,
}

/// Tenants that a step moves together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The tenants of these buckets that have no row of their own.
    Buckets {
        /// First bucket.
        from: u32,
        /// First bucket after them.
        upto: u32,
    },
    /// One tenant.
    Tenant {
        /// Which.
        tenant: Tenant,
        /// Its bucket.
        bucket: u32,
    },
}

impl Cover {
    /// Was everybody of these looked at?
    pub fn covers(&self, whom: &Whom) -> bool {
        match whom {
            Whom::Buckets { upto, .. } => *upto <= self.upto_ppm,
            Whom::Tenant { tenant, bucket } => *bucket < self.upto_ppm || self.tenants.contains(tenant),
        }
    }
}

impl Evidence {
    /// Is it what a gate asks for: a clean full pass over these tenants, begun when everybody had
    /// quiesced for revision `since`?
    pub fn is_full_pass(&self, whom: &Whom, since: u64) -> bool {
        self.clean
            && self.job.kind == PassKind::Full
            && self.job.settled >= since
            && self.job.cover.covers(whom)
    }
}

impl std::fmt::Display for Whom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |ppm: &u32| f64::from(*ppm) / 10_000.0;
        match self {
            Self::Buckets { from, upto } => write!(f, "{}-{} %", percent(from), percent(upto)),
            Self::Tenant { tenant, .. } => write!(f, "tenant {tenant}"),
        }
    }
}
