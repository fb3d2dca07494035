//! Records that the target rightly has newer, or alone, or has removed: their tenants have been at target-only.

use cutover_core::routing::Mutation;
use cutover_store::{Id, Version};

use super::{
    Error, Plan,
    compare::{Difference, Pair},
    page::Done,
    quarantine::JoinedPass,
    side::Side,
};

impl JoinedPass {
    /// Counts and reports a difference that persisted. False: it is as it should be, and is counted apart.
    pub(super) async fn differs(
        &self,
        plan: &Plan,
        done: &mut Done,
        id: &Id,
        pair: &Pair,
        difference: Difference,
    ) -> Result<bool, Error> {
        if self.is_of_target_only(plan, id, pair, difference).await? {
            done.counts.target_only += 1;
            return Ok(false);
        }
        done.differs(plan, id, pair, difference);
        Ok(true)
    }

    /// Whether a difference is as it should be: the SDK wrote the target's record, or that may have expired, and its tenant
    /// has been at target-only. `beside_reverse` of the job covers floors that are lowered later.
    async fn is_of_target_only(
        &self,
        plan: &Plan,
        id: &Id,
        (_, target): &Pair,
        difference: Difference,
    ) -> Result<bool, Error> {
        let is_stamped = target.as_ref().is_some_and(|target| target.version > Version::ZERO);
        let is_newer = matches!(difference, Difference::Ahead | Difference::Extra) && is_stamped;
        // It may have had an expiry there, and was removed.
        let is_removed = difference == Difference::Missing && plan.ttl.is_some();
        let is_expected = is_newer || is_removed;
        let is_excused = !plan.source_wins || !Mutation::RepairBelowTarget.is_left_out();
        if !is_expected || !is_excused || plan.writes() == Side::Source {
            return Ok(false);
        }
        self.is_from_target_only(plan, id).await
    }

    /// Whether its tenant has been at target-only and has not come back. A snapshot from before the pass may show a floor
    /// that was lowered since, so it proves nothing.
    pub(super) async fn is_from_target_only(&self, plan: &Plan, id: &Id) -> Result<bool, Error> {
        let is_recent = self.is_recent();
        let operation = self.begin(&plan.migration, &id.tenant, |_| {}).await?;
        Ok(operation.decision.no_fallback && is_recent)
    }

    /// Whether the snapshot is as new as the pass.
    pub(super) fn is_recent(&self) -> bool {
        self.client.current().received_revision() >= self.began_revision
    }
}
