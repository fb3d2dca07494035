//! The routing table of where everybody is.

use cutover_core::routing::{self, PPM, Reason, Route, Rung, Table};

use super::{Migration, Placement, Tenant, Wanted};

/// The route of tenants with a placement and a goal.
fn route(placement: &Placement, wanted: Wanted) -> Route {
    let reason = if placement.rung == Rung::Hold { Reason::Hold } else { wanted.reason };
    Route { rung: placement.rung, reason, no_fallback: placement.floor >= Rung::TargetFirst }
}

impl Migration {
    /// The parts of the policy that SDKs need.
    pub fn table_policy(&self) -> routing::Policy {
        let policy = &self.document.policy;
        routing::Policy {
            level: policy.level,
            hold_timeout_ms: policy.hold_timeout_ms,
            fence_after_ms: policy.fence_after_ms,
            shadow_ppm: policy.shadow_ppm,
            local_guard: policy.local_guard,
            local_guard_read_ppm: policy.local_guard_read_ppm,
            local_guard_write_ppm: policy.local_guard_write_ppm,
        }
    }

    /// The bands of the routing table. Nobody knows where tenants of a restored store stand.
    pub fn table_bands(&self) -> Vec<routing::Band> {
        if self.document.restored.is_some() {
            let reason = if self.document.put_back { Reason::Hold } else { Reason::Restored };
            let route = Route { rung: Rung::Hold, reason, no_fallback: false };
            return vec![routing::Band { upto_ppm: PPM, route }];
        }
        let caps = self.document.caps(None);
        let cuts = self.document.goal.shares().map(|(_, ppm)| ppm);
        let mut bands: Vec<routing::Band> = Vec::new();
        // A band whose tenants have different goals is split there: the reasons differ.
        for (from, upto_ppm, placement) in self.document.bands.pieces(&cuts) {
            let route = route(&placement, caps.wanted(from, placement.floor));
            match bands.last_mut() {
                Some(last) if last.route == route => last.upto_ppm = upto_ppm,
                _ => bands.push(routing::Band { upto_ppm, route }),
            }
        }
        bands
    }

    /// The override of a tenant that has a row.
    pub fn table_override(&self, tenant: &Tenant) -> Option<Route> {
        let row = self.tenants.get(tenant).filter(|_| self.document.restored.is_none())?;
        Some(route(
            &row.placement,
            self.document.caps(Some(row)).wanted(self.bucket(tenant), row.placement.floor),
        ))
    }

    /// The whole routing table.
    pub fn table(&self) -> Table {
        let table = Table::new(self.revision, &self.document.salt, &self.table_bands(), self.table_policy());
        table.with_overrides(self.tenants.keys().map(|tenant| (tenant.as_str(), self.table_override(tenant))))
    }
}
