//! What workers ask for, get and tell.

use cutover_client::clock::Instant;

use crate::{
    domain::Job,
    store::{PassRecord, SegmentRecord, Witness},
};

/// A worker on a segment.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Tells it from other claims of the same worker.
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
    /// It.
    pub job: Job,
    /// How far it is.
    pub record: PassRecord,
    /// Who works on it, by segment.
    pub claims: Vec<(u32, Claim)>,
    /// Why no segment is handed out; empty: they are.
    pub waiting: String,
}

/// What a worker that asked for a segment gets.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Its index and how far it is; `None`: there is none to be had now.
    pub segment: Option<(u32, SegmentRecord, u64)>,
    /// None is left.
    pub all_done: bool,
    /// The pass, for everything else.
    pub progress: Progress,
}

/// How far a worker is.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Which segment.
    pub segment: u32,
    /// Of its claim.
    pub token: u64,
    /// Who.
    pub instance_id: String,
    /// How far.
    pub record: SegmentRecord,
    /// Why it is slow; empty: it is not.
    pub note: String,
    /// Differences, values redacted.
    pub samples: Vec<String>,
    /// Of what was done since the last one.
    pub witness: Option<Witness>,
}
