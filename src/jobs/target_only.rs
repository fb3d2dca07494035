//! Records that the target rightly has newer, or alone: their tenants have been at target-only.

use cutover_store::{Id, Version};

use super::{
    Error, Plan,
    compare::{Difference, Pair},
    quarantine::JoinedPass,
    side::Side,
};

impl JoinedPass {
    /// Whether a difference is as it should be: the SDK wrote the target's record, and its tenant has been at
    /// target-only. A snapshot from before the pass may show a floor that was lowered since, so it proves nothing.
    /// `beside_reverse` of the job covers what is lowered later.
    pub(super) async fn is_of_target_only(
        &self,
        plan: &Plan,
        id: &Id,
        (_, target): &Pair,
        difference: Difference,
    ) -> Result<bool, Error> {
        let is_stamped = target.as_ref().is_some_and(|target| target.version > Version::ZERO);
        let is_newer = matches!(difference, Difference::Ahead | Difference::Extra) && is_stamped;
        if !is_newer || plan.writes() == Side::Source {
            return Ok(false);
        }
        let is_recent = self.client.current().received_revision() >= self.began_revision;
        let operation = self.begin(&plan.migration, &id.tenant, |_| {}).await?;
        Ok(operation.decision.no_fallback && is_recent)
    }
}
