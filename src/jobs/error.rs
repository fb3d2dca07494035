//! Why a pass did not end.

use cutover_client::ConnectError;
use cutover_store::StoreError;
use tonic::Status;

/// Why a pass did not end. What it did remains; run it again to continue.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The worker could not register.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The controller refused the request, or was away for too long.
    #[error("{}", .0.message())]
    Controller(Box<Status>),
    /// A store failed for too long, or permanently.
    #[error("the {store}: {error}; what was done stays, run it again to continue")]
    Store {
        /// `source`, `target` or `quarantine`.
        store: &'static str,
        /// The store's error.
        error: StoreError,
    },
    /// A record can't be moved, and there is no quarantine.
    #[error(
        "the {store}: record {place}: {error}; correct it, or let --create-tables make a quarantine table \
         for such records, then run it again"
    )]
    NoQuarantine {
        /// `source` or `target`: where it can't be read or written.
        store: &'static str,
        /// Tenant and key.
        place: String,
        /// What is wrong.
        error: StoreError,
    },
    /// The store's table was recreated, emptied, or restored from a backup.
    #[error(
        "{job} left {place} in the {store}, which lacks it or has it older now: was its table made anew, or a \
         backup restored? End that pass with cutover cancel {job}, then run this again"
    )]
    Replaced {
        /// The pass.
        job: String,
        /// `source` or `target`: the one that the pass writes.
        store: &'static str,
        /// Tenant and key of the missing record.
        place: String,
    },
    /// This worker's table differs from the other workers'.
    #[error(
        "{job} {verb} {pass}, but this worker has {has}: give all workers the same region, account and address. \
         If the table was made anew, end the pass with cutover cancel {job}, then run this again"
    )]
    OtherTable {
        /// The pass.
        job: String,
        /// `scans` or `writes`: how the pass uses that table.
        verb: &'static str,
        /// This worker's table.
        has: String,
        /// The pass's.
        pass: String,
    },
    /// The controller did not take the assertion that a table is another one.
    #[error(
        "the controller is older and does not know --new-tables, so earlier passes still open gates: cutover cancel \
         {0}, upgrade the controller, then run this again"
    )]
    NotNew(String),
    /// Both urls lead to one table.
    #[error("the source ({of_source}) and the target ({of_target}) share a table: correct the spec")]
    SameTable {
        /// The source's tables.
        of_source: String,
        /// The target's.
        of_target: String,
    },
    /// The controller had taken this worker for dead, so its work since then is not trusted.
    #[error("the controller had removed this worker (evicted, or cut off for too long): run it again")]
    Overtaken,
    /// Ctrl-C or a similar signal.
    #[error("stopped; run it again to continue where it stopped")]
    Stopped,
}

// Not as the source: the message contains all of it.
impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Controller(Box::new(status))
    }
}
