//! What workers request, get and report.

use cutover_clock::Instant;

use crate::{
    domain::{Finding, Job, Unmet},
    store::{PassRecord, SegmentRecord, Witness},
};

/// A worker on a segment.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Distinguishes it from other claims of the same worker.
    pub token: u64,
    /// The worker.
    pub instance_id: String,
    /// When it was last heard.
    pub at: Instant,
    /// Why it is slow; empty: it is not.
    pub note: String,
}

/// A pass as its workers and people see it.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The pass.
    pub job: Job,
    /// Its progress.
    pub record: PassRecord,
    /// Who works on it, by segment.
    pub claims: Vec<(u32, Claim)>,
    /// Why no segment is handed out; empty: segments are handed out.
    pub waiting: String,
    /// Why no gate will accept it; `None`: one may.
    pub useless: Option<Unmet>,
}

/// The answer to a worker that asked for a segment.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Its index and progress; `None`: none is available now.
    pub segment: Option<(u32, SegmentRecord, u64)>,
    /// No segment is left.
    pub all_done: bool,
    /// The pass, for everything else.
    pub progress: Progress,
}

/// A worker's progress.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The segment.
    pub segment: u32,
    /// The token of its claim.
    pub token: u64,
    /// The worker.
    pub instance_id: String,
    /// The segment's progress.
    pub record: SegmentRecord,
    /// Why it is slow; empty: it is not.
    pub note: String,
    /// Why records differ or could not be moved, since the last checkpoint.
    pub findings: Vec<Finding>,
    /// A record written or found since the last checkpoint.
    pub witness: Option<Witness>,
}
