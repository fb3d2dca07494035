//! The way out of a migration that was rolled back to source-only for good.

use super::{Change, Context, Draft, Refusal};
use crate::Violation;

impl Change {
    /// Whether it may be made of a migration that is abandoned: nothing moves its tenants any more.
    const fn is_for_abandoned(&self) -> bool {
        matches!(
            self,
            Self::Delete(_)
                | Self::Evict { .. }
                | Self::Update { .. }
                | Self::Step
                | Self::SuspectRestore { .. }
        )
    }
}

impl Draft {
    pub(super) fn refuse_if_abandoned(&self, change: &Change) -> Result<(), Refusal> {
        Refusal::unless_met(self.document.abandoned().filter(|_| !change.is_for_abandoned()))
    }

    /// Everybody stays at source-only for good.
    pub(super) fn abandon(&mut self, context: &Context<'_>) -> Result<(), Refusal> {
        Refusal::unless_met(self.document.finished())?;
        if context.reason.is_empty() {
            return Err(Violation::new("reason", "say why it is given up").into());
        }
        Refusal::unless_met(self.migration.keeps_from_abandoning(context.fleet))?;
        self.document.abandoned_at_ms = Some(context.now_ms);
        self.say("abandoned: everybody stays at source-only");
        self.say(self.left_in_target());
        Ok(())
    }

    /// What nobody takes care of any more.
    fn left_in_target(&self) -> String {
        let copied: u64 = self.document.evidence.iter().map(|pass| pass.counts.copied).sum();
        let target = &self.document.target;
        format!(
            "the target ({target}) keeps what it has, and nobody updates it: {copied} records that recent passes \
             wrote, and what services wrote from dual on. Remove it when you no longer need it"
        )
    }
}
