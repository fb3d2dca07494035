//! What a caller is asked to do.

use serde::{Deserialize, Serialize};

/// A request to a caller.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Load {
    pub(super) url: String,
    pub(super) seconds: f64,
    pub(super) connections: u32,
    pub(super) concurrency: u32,
}
