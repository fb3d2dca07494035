//! A store that was restored from a backup: nobody moves until an operator has provided what it can't know.

use std::collections::HashSet;

use cutover_client::routing::{PPM, Rung};

use super::{Context, Draft, Refusal};
use crate::domain::{Gate, Placement, Tenant, TenantRow, Unmet, Violation};

impl Draft {
    /// Holds everybody where the store says that they stand.
    pub(super) fn suspect_restore(&mut self, why: &str) {
        if self.document.finished_at_ms.is_none() && self.document.restored.is_none() {
            self.document.restored = Some(why.to_owned());
            // It may have been deleted and begun anew since the backup.
            self.document.abandoned_at_ms = None;
            self.say(format!("nobody moves until this is confirmed: {why}"));
        }
    }

    /// Records what the backup can't know, and lets everybody move again. Tenants that have been at
    /// target-only are put at target-first, with a floor that protects their writes. All evidence is required
    /// anew: nobody knows what was rolled back since the backup.
    pub(super) fn confirm_restore(
        &mut self,
        target_only_ppm: u32,
        tenants: &[Tenant],
        context: &Context<'_>,
    ) -> Result<(), Refusal> {
        if context.reason.is_empty() {
            return Err(Violation::new("reason", "say how you know it: give --reason").into());
        }
        if target_only_ppm > PPM {
            return Err(Violation::new("target_only_ppm", "is over 1000000").into());
        }
        if self.document.restored.take().is_none() {
            let message = "the store was not restored: there is nothing to confirm";
            return Err(Unmet::of_change(Gate::Stage, message, "nothing to do").into());
        }
        self.document.bands = self.document.bands.clone().map(&[target_only_ppm], |from, placement| {
            confirmed(&placement, from < target_only_ppm, context)
        });
        let named: HashSet<&Tenant> = tenants.iter().collect();
        let mut rows: Vec<Tenant> = self.migration.tenants.keys().cloned().collect();
        rows.extend(tenants.iter().filter(|tenant| !self.migration.tenants.contains_key(*tenant)).cloned());
        for tenant in rows {
            let row = self.row(&tenant);
            let follows = row.pin.is_none() && self.migration.bucket(&tenant) < target_only_ppm;
            let placement = confirmed(&row.placement, follows || named.contains(&tenant), context);
            self.set_row(&tenant, TenantRow { placement, overridden: 0, ..row });
        }
        self.say(format!(
            "confirmed after a restore: {} % and {} named tenants have been at target-only; passes and soaks \
             count from here",
            f64::from(target_only_ppm) / 10_000.0,
            tenants.len()
        ));
        Ok(())
    }
}

/// The placement of tenants whose history since the backup is unknown.
fn confirmed(placement: &Placement, was_at_target_only: bool, context: &Context<'_>) -> Placement {
    let rung = if was_at_target_only { placement.rung.max(Rung::TargetFirst) } else { placement.rung };
    let since = |holds: bool, value: u64| if holds { value } else { 0 };
    let is_first = rung >= Rung::TargetFirst;
    Placement {
        rung,
        // Instances may still be anywhere they were, so everybody has to receive this revision first.
        since: context.revision,
        was: if was_at_target_only { Rung::TargetOnly } else { rung },
        mirrored_since: since(rung >= Rung::Mirrored && rung != Rung::Hold, context.revision),
        target_first_since: since(is_first, context.revision),
        target_first_at_ms: since(is_first, context.steady_ms),
        target_only_at_ms: since(rung == Rung::TargetOnly, context.steady_ms),
        floor: if was_at_target_only { Rung::TargetFirst } else { placement.floor },
    }
}
