//! Reverse passes: who may have one, and the floors that it lowers.

use cutover_core::routing::{Mutation, Rung};

use super::{Draft, Refusal};
use crate::{Cover, Gate, Job, Placement, TenantRow, Unmet};

impl Draft {
    /// That some of these tenants may have written to the target alone, so `what` may be theirs.
    pub(super) fn writes_to_take_back(
        &self,
        tenants: impl Iterator<Item = Placement>,
        what: &str,
    ) -> Option<Unmet> {
        let raised: Vec<_> = tenants.filter(|placement| placement.floor > Rung::SourceOnly).collect();
        let highest = raised.iter().map(|placement| placement.rung).max()?;
        let message = format!("tenants may have written to the target alone, so {what} may be theirs");
        let action = match highest {
            Rung::TargetOnly => format!(
                "take them below target-only (cutover ramp {} --target-only 0 --wait, or unpin them), then run: \
                 cutover reverse SPEC",
                self.document.key
            ),
            _ => "copy their writes back to the source: cutover reverse SPEC".to_owned(),
        };
        Some(Unmet::of_change(Gate::Stage, message, action))
    }

    /// A reverse pass is for tenants that have left target-only, after everybody has quiesced.
    pub(super) fn refuse_reverse(&self, cover: &Cover, settled: u64) -> Result<(), Refusal> {
        let mut raised = self.covered_placements(cover);
        raised.retain(|placement| placement.floor > Rung::SourceOnly);
        let key = &self.document.key;
        let mut unmet = Vec::new();
        if raised.is_empty() {
            let message = "none of these tenants has writes that only the target has";
            unmet.push(Unmet::of_change(
                Gate::Stage,
                message,
                "nothing to do: they may go down without a reverse pass",
            ));
        }
        if raised.iter().any(|placement| placement.rung == Rung::TargetOnly) {
            let message = "tenants at target-only still write to the target alone";
            let action = format!("cutover ramp {key} --target-only 0 --wait, or unpin them; then reverse");
            unmet.push(Unmet::of_change(Gate::Stage, message, action));
        } else if raised.iter().any(|placement| placement.since > settled)
            && !Mutation::LeavingTargetOnly.is_left_out()
        {
            let message = "the step back to target-first is not settled";
            let action = format!("cutover status {key} -w shows who is behind");
            unmet.push(Unmet::of_change(Gate::Barrier, message, action));
        }
        Refusal::unless_met(unmet)
    }

    /// Everything that only the target had is now in the source too: the way down is open.
    pub(super) fn lower_floors(&mut self, job: &Job) {
        let may = |placement: &Placement| {
            placement.floor > Rung::SourceOnly
                && placement.rung != Rung::TargetOnly
                && (placement.since <= job.settled || Mutation::LeavingTargetOnly.is_left_out())
        };
        let lowered = |placement: Placement| Placement { floor: Rung::SourceOnly, ..placement };
        let before = self.document.bands.clone();
        self.document.bands = before.map(&[job.cover.upto_ppm], |from, placement| {
            if from < job.cover.upto_ppm && may(&placement) { lowered(placement) } else { placement }
        });
        let rows: Vec<_> = self.covered_rows(&job.cover).filter(|(_, row)| may(&row.placement)).collect();
        if self.document.bands != before || !rows.is_empty() {
            self.say("the source has every write again: tenants may go below target-first");
        }
        for (tenant, row) in rows {
            self.set_row(&tenant, TenantRow { placement: lowered(row.placement), ..row });
        }
    }
}
