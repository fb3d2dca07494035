//! What a rollback says of itself: where it ends, and what becomes of acknowledged writes.

use cutover_core::routing::Rung;

use crate::{Migration, Tenant};

/// A ceiling that an operator's rollback has set.
pub(super) struct Latched {
    /// `None`: for everybody.
    pub(super) tenant: Option<Tenant>,
    pub(super) ceiling: Rung,
}

impl Latched {
    /// Where it ends, and what becomes of acknowledged writes, one line each. `some_stay`: their floor keeps them.
    pub(super) fn consequences(&self, drafted: &Migration, some_stay: bool) -> Vec<String> {
        let Self { tenant, ceiling } = self;
        let key = drafted.key();
        let or_lower = if *ceiling == Rung::SourceOnly { "" } else { " or lower" };
        let end = match (tenant, some_stay) {
            _ if drafted.document.restored.is_some() => format!(
                "nobody moves before: cutover confirm {key}. Then the controller takes them to {ceiling}{or_lower}"
            ),
            (Some(tenant), _) => format!("the controller takes tenant {tenant} to {ceiling} step by step"),
            (None, false) => {
                format!(
                    "the controller takes everybody down step by step until all are at {ceiling}{or_lower}"
                )
            }
            (None, true) => format!(
                "the controller takes everybody down step by step until all but those that have to stay are at \
                 {ceiling}{or_lower}"
            ),
        };
        let lost = match ceiling {
            _ if tenant.is_none() && some_stay => {
                "nothing is lost as long as they stay: only the target has every acknowledged write of theirs"
            }
            Rung::SourceOnly => {
                "nothing is lost: the source has every acknowledged write. The target gets no more writes, so a full \
                 pass is needed before going up again"
            }
            Rung::Dual => {
                "nothing is lost: the source has every acknowledged write. Failures of the target no longer reach callers"
            }
            Rung::TargetFirst => {
                "nothing is lost: the target stays in use and has every acknowledged write. Writes go to the source again \
                 as well"
            }
            Rung::Mirrored | Rung::Hold | Rung::TargetOnly => {
                "nothing is lost: both stores have every acknowledged write"
            }
        };
        let latch = format!("nobody goes up again until it is acknowledged: cutover ack {key} --reason ..");
        vec![end, lost.to_owned(), latch]
    }
}
