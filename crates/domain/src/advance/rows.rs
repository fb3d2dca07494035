//! What a look changes besides placements: the rows of tenants, and the overrides that are still in effect.

use cutover_core::routing::Rung;
use imbl::OrdMap;

use super::{Conditions, Look};
use crate::{Bands, Covered, Document, Group, Migration, Override, Placement, Tenant, TenantRow, Wait, Whom};

/// Overrides, limited to tenants that are still on the way up.
pub(super) struct OpenOverrides {
    /// Each with the buckets that it still covers, and whether it covers any tenant with a row.
    overrides: Vec<(Override, bool)>,
}

impl OpenOverrides {
    pub(super) fn of(document: &Document) -> Self {
        Self { overrides: document.overrides.iter().map(|over| (over.of_nobody(), false)).collect() }
    }

    /// Records that a group stands at `rung` after this look.
    pub(super) fn note(&mut self, group: &Group, rung: Rung) {
        let Some(passes) = group.is_overridden_at(rung) else { return };
        let named = self.overrides.iter_mut().find(|(over, _)| over.revision == passes.revision);
        let Some((over, has_rows)) = named else { return };
        match group.whom {
            Whom::Buckets { from, upto } => over.cover(Covered { from, before: upto, upto: passes.upto }),
            Whom::Tenant { .. } => *has_rows = true,
        }
    }

    pub(super) fn overrides(self) -> Vec<Override> {
        let open = |(over, has_rows): &(Override, bool)| *has_rows || !over.buckets.is_empty();
        self.overrides.into_iter().filter(open).map(|(over, _)| over).collect()
    }
}

/// The rows that change: of tenants that stepped, whose override has ended, or that may follow their bucket
/// again.
pub(super) fn rows_after(
    migration: &Migration,
    conditions: &Conditions<'_>,
    stepped: &OrdMap<Tenant, Placement>,
    Look { bands, overrides, .. }: &Look,
) -> Vec<(Tenant, Option<TenantRow>)> {
    let mut rows = Vec::new();
    for tenant in &migration.unrested {
        let Some(row) = migration.tenants.get(tenant) else { continue };
        let placement = stepped.get(tenant).copied().unwrap_or(row.placement);
        let after = row_after(migration, conditions, tenant, row, placement, bands, overrides);
        if after != Some(*row) {
            rows.push((tenant.clone(), after));
        }
    }
    rows
}

/// The row of a tenant that stands at `placement`. `None`: it follows its bucket again.
pub(super) fn row_after(
    migration: &Migration,
    conditions: &Conditions<'_>,
    tenant: &Tenant,
    row: &TenantRow,
    placement: Placement,
    bands: &Bands,
    overrides: &[Override],
) -> Option<TenantRow> {
    let bucket = migration.bucket(tenant);
    let wanted = migration.document.caps(Some(row)).wanted(bucket, placement.floor).rung;
    let mut covering = overrides.iter().map(|over| (over.revision, over.upto));
    let is_covered = covering.any(|(revision, upto)| {
        revision == row.overridden && placement.rung < wanted && placement.rung < upto
    });
    let overridden = if is_covered { row.overridden } else { 0 };
    // Joining tenants that pass a gate which this one does not pass would extend an override to it.
    let of_bucket = overrides.iter().find(|over| over.upto_of(bucket).is_some());
    let passes_alike = of_bucket.map_or(0, |over| over.revision) == overridden;
    let free = row.pin.is_none() && row.ceiling.is_none();
    let band = bands.of(bucket);
    let settled = || conditions.fleet.acknowledged(placement.since.max(band.since), Wait::Quiesced);
    let joins = free && passes_alike && placement.may_join(&band, settled());
    (!joins).then_some(TenantRow { placement, overridden, ..*row })
}
