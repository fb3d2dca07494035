//! The rule of queries.

use crate::{
    report::StoreRole,
    routing::{Mutation, Rung},
};

/// The store that has every acknowledged write at this rung, whatever rung is live beside it. `None` on hold.
///
/// At target-first it is the target: the source lacks what others write at target-only already. The target is complete
/// there only after a full pass, not after a sweep.
pub fn query_store(rung: Rung) -> Option<StoreRole> {
    match rung {
        Rung::TargetFirst if Mutation::QueriesAskTarget.is_left_out() => Some(StoreRole::Source),
        Rung::Mirrored if Mutation::QueriesAskSource.is_left_out() => Some(StoreRole::Target),
        Rung::Hold => None,
        Rung::SourceOnly | Rung::Dual | Rung::Mirrored => Some(StoreRole::Source),
        Rung::TargetFirst | Rung::TargetOnly => Some(StoreRole::Target),
    }
}
