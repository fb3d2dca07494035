//! The way out of a migration that was rolled back to source-only for good.

use cutover_core::routing::Rung;

use super::{Change, Context, Draft, Refusal};
use crate::{Gate, Placement, Unmet, Violation, Wait, what_to_do};

/// Most instances that one message names.
const NAMED_MAX: usize = 20;

impl Change {
    /// Whether it may be made of a migration that is abandoned: nothing moves its tenants any more.
    const fn is_for_abandoned(&self) -> bool {
        matches!(
            self,
            Self::Delete
                | Self::Evict { .. }
                | Self::Update { .. }
                | Self::Step
                | Self::SuspectRestore { .. }
        )
    }
}

impl Draft {
    pub(super) fn refuse_if_abandoned(&self, change: &Change) -> Result<(), Refusal> {
        if self.document.abandoned_at_ms.is_none() || change.is_for_abandoned() {
            return Ok(());
        }
        let key = &self.document.key;
        let message = "the migration is abandoned: everybody stays at source-only";
        let action = format!("cutover delete {key}, then create it again to start over");
        Err(Unmet::of_change(Gate::Finished, message, action).into())
    }

    /// Everybody stays at source-only for good. Legal only once every instance has quiesced there: until then
    /// an operation could still read or write the target.
    pub(super) fn abandon(&mut self, context: &Context<'_>) -> Result<(), Refusal> {
        self.refuse_if_finished()?;
        if context.reason.is_empty() {
            return Err(Violation::new("reason", "say why it is given up: give --reason").into());
        }
        let key = self.document.key.clone();
        let mut unmet: Vec<Unmet> = self.document.restored().into_iter().collect();
        let placements: Vec<Placement> = self.migration.placements().collect();
        let is_elsewhere = |it: &Placement| it.rung != Rung::SourceOnly || it.floor != Rung::SourceOnly;
        if self.document.ramping || placements.iter().any(is_elsewhere) {
            let action = format!(
                "take everybody back first: cutover ramp {key} --dual 0 --wait, and cutover unpin {key} TENANT for \
                 those of cutover pins {key}; or cutover rollback {key}"
            );
            unmet.push(Unmet::of_change(Gate::Stage, "not everybody is at source-only", action));
        }
        let step = self.migration.newest_step();
        let behind: Vec<_> = context.fleet.behind(step, Wait::Quiesced).collect();
        if !behind.is_empty() {
            let names: Vec<&str> = behind.iter().take(NAMED_MAX).map(|member| member.name.as_str()).collect();
            let more = behind.len() - names.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let message = format!(
                "not everybody has acknowledged source-only (revision {step}): {}{more}",
                names.join(", ")
            );
            let (by_itself, action) = what_to_do(&behind);
            unmet.push(Unmet { by_itself, ..Unmet::of_change(Gate::Barrier, message, action) });
        }
        for job in &self.document.jobs {
            let message = format!("{} {} is under way", job.kind.name(), job.id);
            let action = format!("let it end, or cutover cancel {}", job.id);
            unmet.push(Unmet::of_change(Gate::Stage, message, action));
        }
        if !unmet.is_empty() {
            return Err(Refusal::Unmet(unmet));
        }
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
