//! The end of a rollback's latch.

use super::{Context, Draft, Refusal};
use crate::{Gate, Tenant, TenantRow, Unmet, Violation, goal::lowest};

/// In the line about pins that an acknowledgement lowers.
pub const LOWERED_PIN: &str = "by a pin that is now lower";
/// Tenants that one line names.
const NAMED_MAX: usize = 20;

impl Draft {
    pub(super) fn acknowledge(&mut self, context: &Context<'_>) -> Result<(), Refusal> {
        if context.reason.is_empty() {
            let message = "say what was found and repaired";
            return Err(Violation::new("reason", message).into());
        }
        if self.document.ceiling.is_none() && self.document.rolled_back == 0 {
            let message = "no rollback is active: there is nothing to acknowledge";
            return Err(Unmet::of_change(Gate::Stage, message, "nothing to do").into());
        }
        self.document.judged_since = context.revision;
        let everybody = self.document.ceiling.take();
        if let Some(ceiling) = everybody {
            self.document.goal = self.document.goal.capped(ceiling);
            self.say(format!("acknowledged; nobody goes above {ceiling} until you run cutover ramp"));
        }
        let above = |row: &TenantRow| {
            row.ceiling.is_some() || row.pin.is_some_and(|pin| everybody.is_some_and(|c| pin > c))
        };
        let key = self.document.key.clone();
        let mut lowered = Vec::new();
        let rows: Vec<(Tenant, TenantRow)> = self
            .migration
            .tenants
            .iter()
            .filter(|(_, row)| above(row))
            .map(|(t, row)| (t.clone(), *row))
            .collect();
        for (tenant, row) in rows {
            let ceiling = lowest(Some(&row), everybody);
            let asked = row.pin.unwrap_or_else(|| self.document.goal.rung_of(self.migration.bucket(&tenant)));
            // Without a pin it would go up again on its own.
            let pin = ceiling.filter(|ceiling| asked > *ceiling).or(row.pin);
            self.set_row(&tenant, TenantRow { pin, ceiling: None, ..row });
            if row.ceiling.is_none() {
                lowered.extend(pin.map(|pin| format!("{tenant} ({pin})")));
            } else if let Some(pin) = pin {
                self.say(format!(
                    "acknowledged; tenant {tenant} stays pinned to {pin}, whatever the rollout is: cutover unpin {key} {tenant} lifts that"
                ));
            }
        }
        if !lowered.is_empty() {
            let (count, more) = (lowered.len(), lowered.len().saturating_sub(NAMED_MAX));
            lowered.truncate(NAMED_MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let stay = if count == 1 {
                "1 pinned tenant stays".to_owned()
            } else {
                format!("{count} pinned tenants stay")
            };
            self.say(format!(
                "{stay} where the rollback ended, {LOWERED_PIN}: {}{more}. cutover unpin {key} TENANT lifts that",
                lowered.join(", ")
            ));
        }
        if self.summary.is_empty() {
            self.say("acknowledged");
        }
        Ok(())
    }
}
