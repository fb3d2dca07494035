//! Gates that a request passes without evidence: for the tenants that it moves, and for no others.

use cutover_core::routing::{Mutation, Rung};

use super::{Ask, Context, Draft, Refusal};
use crate::{
    Covered, Gate, Group, Override, TenantRow, Violation, Whom, advance::groups_on_the_way,
    overrides::OVERRIDES_MAX,
};

impl Draft {
    /// Gives the tenants that a request moves its overrides, replacing those of earlier requests.
    pub(super) fn override_gates(
        &mut self,
        ask: &Ask,
        named: impl Fn(&Group) -> Option<Rung>,
        context: &Context<'_>,
    ) -> Result<(), Refusal> {
        self.say_overrides(&ask.overrides, context)?;
        if Mutation::OverrideKept.is_left_out() {
            self.document.overrides.clear();
        }
        if ask.overrides.is_empty() && self.document.overrides.is_empty() {
            return Ok(());
        }
        let mut over = Override {
            revision: context.revision,
            gates: ask.overrides.clone(),
            upto: Rung::SourceOnly,
            buckets: Vec::new(),
            by: context.actor.to_owned(),
            reason: context.reason.to_owned(),
        };
        let mut covers_rows = false;
        for group in groups_on_the_way(&self.drafted()) {
            let upto = if self.is_moved(&group) {
                group.wanted
            } else {
                // A waiting group that is named again with an override proceeds.
                let again = named(&group).filter(|_| !ask.overrides.is_empty());
                let Some(rung) = again else { continue };
                rung.min(group.wanted)
            };
            let is_covered = !ask.overrides.is_empty() && upto > group.placement.rung;
            match &group.whom {
                Whom::Buckets { from, upto: before } => {
                    self.document.overrides.iter_mut().for_each(|earlier| earlier.uncover(*from, *before));
                    if is_covered {
                        over.cover(Covered { from: *from, before: *before, upto });
                    }
                }
                Whom::Tenant { tenant, .. } => {
                    let row = self.row(tenant);
                    let overridden = if is_covered { context.revision } else { 0 };
                    if row.overridden != overridden {
                        self.set_row(tenant, TenantRow { overridden, ..row });
                    }
                    if is_covered {
                        over.upto = over.upto.max(upto);
                        covers_rows = true;
                    }
                }
            }
        }
        if covers_rows || !over.buckets.is_empty() {
            if self.document.overrides.len() >= OVERRIDES_MAX {
                let message = format!(
                    "{OVERRIDES_MAX} requests with overrides are still under way: let some of them arrive first \
                     (cutover status {})",
                    self.document.key
                );
                return Err(Violation::new("override_gates", message).into());
            }
            if over.gates.contains(&Gate::FullPass) && over.upto >= Rung::TargetFirst {
                self.remark(
                    "without a full pass the target may lack records or have older ones, and these tenants read it",
                );
            }
            self.document.overrides.push(over);
        }
        Ok(())
    }

    /// Records overrides in the history; they need a reason.
    pub(super) fn say_overrides(&mut self, gates: &[Gate], context: &Context<'_>) -> Result<(), Refusal> {
        if !gates.is_empty() && context.reason.is_empty() {
            return Err(Violation::new("reason", "an override needs a reason").into());
        }
        for gate in gates {
            self.say(format!("OVERRIDE of gate {gate} by {}: {}", context.actor, context.reason));
        }
        Ok(())
    }
}
