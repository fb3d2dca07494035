//! Pinning and unpinning tenants.

use std::collections::HashMap;

use cutover_core::routing::{OVERRIDES_MAX, Rung};

use super::{Ask, Context, Draft, Refusal};
use crate::{Group, Tenant, TenantRow, Violation, Whom, goal::lowest};

impl Draft {
    pub(super) fn set_pins(
        &mut self,
        pins: &[(Tenant, Rung)],
        ask: &Ask,
        context: &Context<'_>,
    ) -> Result<(), Refusal> {
        Refusal::unless_met(self.document.finished())?;
        if self.migration.tenants.len() + pins.len() > OVERRIDES_MAX {
            let message = format!("at most {OVERRIDES_MAX} tenants can have a place of their own");
            return Err(Violation::new("pins", message).into());
        }
        let mut changed = 0_usize;
        let mut held_back = None;
        for (tenant, rung) in pins {
            if *rung == Rung::Hold {
                return Err(Violation::new("rung", "hold is a moment: pin to a stage").into());
            }
            let row = self.row(tenant);
            Refusal::unless_met(row.placement.pinned_below_floor(tenant, *rung))?;
            let ceiling = lowest(Some(&row), self.document.ceiling);
            let unmet = self.document.pin_held_back(tenant, *rung, ceiling);
            if row.pin == Some(*rung) {
                held_back = held_back.or(unmet);
                continue;
            }
            Refusal::unless_met(unmet)?;
            self.set_row(tenant, TenantRow { pin: Some(*rung), overridden: 0, ..row });
            changed += 1;
        }
        match pins {
            [] => {}
            // It is pinned so already, and does not go there.
            _ if changed == 0 => {
                Refusal::unless_met(held_back)?;
                self.remark(match pins {
                    [(tenant, rung)] => format!("tenant {tenant} is pinned to {rung} already"),
                    _ => "all of these tenants are pinned so already".to_owned(),
                });
            }
            [(tenant, rung)] => self.say(format!("pinned tenant {tenant} to {rung}")),
            _ => self.say(format!("pinned {changed} tenants")),
        }
        let by_name: HashMap<&Tenant, Rung> = pins.iter().map(|(tenant, rung)| (tenant, *rung)).collect();
        let named = |group: &Group| match &group.whom {
            Whom::Tenant { tenant, .. } => by_name.get(tenant).copied(),
            Whom::Buckets { .. } => None,
        };
        self.take_on(ask, named, context)
    }

    pub(super) fn clear_pin(
        &mut self,
        tenant: &Tenant,
        ask: &Ask,
        context: &Context<'_>,
    ) -> Result<(), Refusal> {
        Refusal::unless_met(self.document.finished())?;
        let row = self.row(tenant);
        if row.pin.is_none() {
            let key = self.document.key.clone();
            self.remark(format!("tenant {tenant} is not pinned: cutover pins {key} lists those that are"));
            return Ok(());
        }
        self.set_row(tenant, TenantRow { pin: None, overridden: 0, ..row });
        self.say(format!("unpinned tenant {tenant}"));
        self.take_on(ask, |_| None, context)
    }
}
