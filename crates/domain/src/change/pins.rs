//! Pinning and unpinning tenants.

use std::collections::HashMap;

use cutover_core::routing::{OVERRIDES_MAX, Rung};

use super::{Ask, Context, Draft, Refusal};
use crate::{Gate, Group, Tenant, TenantRow, Unmet, Violation, Whom, ceiling::lowest};

impl Draft {
    pub(super) fn set_pins(
        &mut self,
        pins: &[(Tenant, Rung)],
        ask: &Ask,
        context: &Context<'_>,
    ) -> Result<(), Refusal> {
        self.refuse_if_finished()?;
        if self.migration.tenants.len() + pins.len() > OVERRIDES_MAX {
            let message = format!("at most {OVERRIDES_MAX} tenants can have a place of their own");
            return Err(Violation::new("pins", message).into());
        }
        let mut changed = 0_usize;
        for (tenant, rung) in pins {
            if *rung == Rung::Hold {
                return Err(Violation::new("rung", "hold is a moment: pin to a stage").into());
            }
            let row = self.row(tenant);
            self.refuse_below_floor(tenant, *rung)?;
            if row.pin == Some(*rung) {
                continue;
            }
            if let Some(ceiling) = lowest(Some(&row), self.document.ceiling)
                && *rung > ceiling
            {
                let message =
                    format!("tenant {tenant} was rolled back to {ceiling}, and that is not acknowledged");
                let action = format!("cutover ack {} --reason ..", self.document.key);
                return Err(Unmet::of_change(Gate::Tripped, message, action).into());
            }
            self.set_row(tenant, TenantRow { pin: Some(*rung), overridden: 0, ..row });
            changed += 1;
        }
        match pins {
            [] => {}
            _ if changed == 0 => {}
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
        self.refuse_if_finished()?;
        let row = self.row(tenant);
        if row.pin.is_none() {
            return Ok(());
        }
        self.set_row(tenant, TenantRow { pin: None, overridden: 0, ..row });
        self.say(format!("unpinned tenant {tenant}"));
        self.take_on(ask, |_| None, context)
    }

    fn refuse_below_floor(&self, tenant: &Tenant, rung: Rung) -> Result<(), Refusal> {
        let floor = self.row(tenant).placement.floor;
        if rung >= floor {
            return Ok(());
        }
        let message = format!("below {floor} tenant {tenant} would lose writes that only the target has");
        let action = "copy them back to the source first (cutover reverse), which lowers the floor";
        Err(Unmet::of_change(Gate::Floor, message, action).into())
    }
}
