//! Which ledgers the tables of a migration have. Without its versions and deletions, a table proves nothing that
//! passes rely on.

use serde::{Deserialize, Serialize};

/// The ids of the ledgers of both tables. One that was lost and made anew has another id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledgers {
    /// The source's. Empty: it has none, or it is not known.
    pub source: String,
    /// The target's.
    pub target: String,
}

impl Ledgers {
    /// What a complete pass had. A reverse pass may have another ledger in the source, and overwrites only the records
    /// of some tenants there: nothing is known of the others' versions.
    pub(crate) fn learn(&mut self, seen: &Self, is_reverse: bool) {
        let source = Some((&mut self.source, &seen.source)).filter(|_| !is_reverse);
        for (known, seen) in source.into_iter().chain([(&mut self.target, &seen.target)]) {
            if !seen.is_empty() {
                known.clone_from(seen);
            }
        }
    }
}
