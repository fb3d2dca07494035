//! A target without its table, once the migration uses it.

use cutover_core::routing::Rung;

use super::{Context, Draft, Refusal};
use crate::{Gate, Unmet, Wait};

/// What is wrong more often than a lost table.
const CHECK: &str = "check that this is the right spec, and the right migration.";

impl Draft {
    /// Somebody is about to make a new table, which is empty. Whoever reads the target, or comes back from it, would take
    /// that for the truth, and what passes showed was about the old one.
    pub(super) fn make_target(&mut self, context: &Context<'_>) -> Result<(), Refusal> {
        Refusal::unless_met(self.document.finished())?;
        Refusal::unless_met(self.document.restored())?;
        Refusal::unless_met(self.target_in_use(context))?;
        self.document.tables.target = None;
        self.forget_evidence("a pass into the new table");
        Ok(())
    }

    fn target_in_use(&self, context: &Context<'_>) -> Option<Unmet> {
        let key = &self.document.key;
        let placements = || self.migration.placements();
        let gone = match &self.document.tables.target {
            Some(table) => {
                format!(
                    "the target of this spec has no table, and passes of {key} have worked with {}",
                    table.place
                )
            }
            None => "the target of this spec has no table".to_owned(),
        };
        if placements().any(|at| at.floor > Rung::SourceOnly) {
            let message = format!("{gone}. The target has acknowledged writes that the source lacks");
            let action = format!(
                "{CHECK} Otherwise restore the table, or rename it back: an empty one in its place would lose those writes"
            );
            return Some(Unmet::of_change(Gate::Stage, message, action));
        }
        if placements().any(|at| at.rung > Rung::Mirrored) {
            let message = format!("{gone}. Tenants at target-first or above read the target");
            let action = format!(
                "{CHECK} Otherwise restore the table, or rename it back. If that can't be done: cutover ramp {key} \
                 --target-first 0 --wait, then make a new one"
            );
            return Some(Unmet::of_change(Gate::Stage, message, action));
        }
        // Who is behind may still read it.
        let behind = context.fleet.behind(self.migration.newest_step(), Wait::Quiesced).next();
        behind.filter(|_| placements().any(|at| at.was > Rung::Mirrored)).map(|member| {
            let message = format!("{gone}. {} may still read it as at target-first", member.name);
            let action = format!("cutover status {key} -w shows who is behind");
            Unmet { by_itself: true, ..Unmet::of_change(Gate::Barrier, message, action) }
        })
    }
}
