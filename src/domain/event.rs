//! What a commit appends to the history: the change feed and the audit trail in one.

use serde::{Deserialize, Serialize};

use super::{Document, Key, Tenant, TenantRow};

/// One committed change. Replaying all of them in order gives the live state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The controller's revision that it made.
    pub revision: u64,
    /// The migration changed.
    pub key: Key,
    /// Unix time.
    pub at_ms: u64,
    /// Who: `operator:<name>`, `plan`, `guard:<name>`, or `controller` for the going on of a request.
    pub actor: String,
    /// Why; empty when nobody said.
    pub reason: String,
    /// The request's id, so that a retry finds its answer. Empty: none.
    pub request_id: String,
    /// What kind of change.
    pub change: String,
    /// What it did, a line each.
    pub summary: Vec<String>,
    /// The document after it. `None`: the migration is no more.
    pub document: Option<Document>,
    /// Rows it wrote, or (`None`) removed.
    pub rows: Vec<(Tenant, Option<TenantRow>)>,
}
