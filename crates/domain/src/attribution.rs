//! Who did something, why and when.

use serde::{Deserialize, Serialize};

/// Who did something, when and why: kept where people ask for it at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribution {
    /// As in [`crate::Event::actor`].
    pub by: String,
    /// Empty when nobody said.
    pub reason: String,
    /// Unix time.
    pub at_ms: u64,
    /// The revision of the change.
    pub revision: u64,
}
