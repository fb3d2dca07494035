//! The rule of queries.

use crate::{report::StoreRole, routing::Rung};

/// The store that has every acknowledged write at this rung, whatever rung is live beside it. `None` on hold.
///
/// At target-first it is the target: the source lacks what others write at target-only already. The target is complete
/// there only after a full pass, not after a sweep.
pub const fn query_store(rung: Rung) -> Option<StoreRole> {
    match rung {
        Rung::Hold => None,
        Rung::SourceOnly | Rung::Dual | Rung::Mirrored => Some(StoreRole::Source),
        Rung::TargetFirst | Rung::TargetOnly => Some(StoreRole::Target),
    }
}
