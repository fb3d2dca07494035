//! What a commit appends to the history, which is both the change feed and the audit trail.

use serde::{Deserialize, Serialize};

use super::{Document, Key, Tenant, TenantRow};

/// One committed change. Replaying all of them in order yields the live state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The controller's revision that the change made.
    pub revision: u64,
    /// The migration that changed.
    pub key: Key,
    /// Unix time.
    pub at_ms: u64,
    /// Who: `operator:<name>`, `plan`, `guard:<name>`, or `controller` when it continues an operator's
    /// request.
    pub actor: String,
    /// Why; empty if no reason was given.
    pub reason: String,
    /// The request's id, so that a retry finds its answer. Empty: none.
    pub request_id: String,
    /// The kind of change.
    pub change: String,
    /// What it did, one line each.
    pub summary: Vec<String>,
    /// The document after the change. `None`: the migration was deleted.
    pub document: Option<Document>,
    /// Rows written or (`None`) removed.
    pub rows: Vec<(Tenant, Option<TenantRow>)>,
}
