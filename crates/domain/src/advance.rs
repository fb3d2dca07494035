//! The moves of one revision: everybody who is not at their goal, and may move, takes one step.

use cutover_core::routing::Rung;
use imbl::OrdMap;

use super::{
    Bands, Covered, Document, Group, Migration, Override, Placement, Tenant, TenantRow, Unmet, Whom,
    placement::Wait, sight::Sight,
};

/// Maximum tenants whose unmet conditions are listed individually.
const TOLD_MAX: usize = 20;

/// The result of one look at a migration.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// One line for each group that moves.
    pub(super) moves: Vec<String>,
    /// What all others wait for.
    pub(super) unmet: Vec<Unmet>,
    /// Whether anybody is still not at their goal after the moves.
    pub(super) ramping: bool,
    /// Rows that change. `None`: the tenant follows its bucket again.
    pub(super) rows: Vec<(Tenant, Option<TenantRow>)>,
    /// Bands after the moves.
    pub(super) bands: Bands,
    /// Overrides of tenants that are still on the way up after the moves.
    pub(super) overrides: Vec<Override>,
}

/// The groups that are not at their goal: ranges of buckets, then tenants with a row.
pub(super) fn groups_on_the_way(migration: &Migration) -> Vec<Group> {
    let document = &*migration.document;
    let caps = document.caps(None);
    let mut groups = Vec::new();
    let mut cuts: Vec<u32> = document.goal.shares().iter().map(|(_, ppm)| *ppm).collect();
    let covered = document.overrides.iter().flat_map(|over| &over.buckets);
    cuts.extend(covered.flat_map(|range| [range.from, range.before]));
    for (from, upto, placement) in document.bands.pieces(&cuts) {
        let wanted = caps.wanted(from, placement.floor).rung;
        if placement.rung != wanted {
            let passes = document.passes_of(from, None);
            groups.push(Group { whom: Whom::Buckets { from, upto }, placement, wanted, passes });
        }
    }
    for tenant in &migration.unrested {
        let Some(row) = migration.tenants.get(tenant) else { continue };
        let bucket = migration.bucket(tenant);
        let wanted = document.caps(Some(row)).wanted(bucket, row.placement.floor).rung;
        if row.placement.rung != wanted {
            let whom = Whom::Tenant { tenant: tenant.clone(), bucket };
            let passes = document.passes_of(bucket, Some(row));
            groups.push(Group { whom, placement: row.placement, wanted, passes });
        }
    }
    groups
}

/// Determines who may step in `revision`, and what everybody else waits for.
pub(super) fn look(migration: &Migration, sight: &Sight<'_>, revision: u64) -> Look {
    let document = &*migration.document;
    let level = document.policy.level;
    let mut look = Look { bands: document.bands.clone(), ..Look::default() };
    let mut stepped: OrdMap<Tenant, Placement> = OrdMap::new();
    let mut steps: Vec<(u32, u32, Placement)> = Vec::new();
    let mut told = 0;
    let mut open = OpenOverrides::of(document);
    for group in groups_on_the_way(migration) {
        let Some(next) = group.placement.next(group.wanted, level) else { continue };
        if !sight.may_step(&group, next) {
            look.ramping = true;
            told += 1;
            if told <= TOLD_MAX {
                look.unmet.extend(sight.unmet(&group, next));
            }
            open.note(&group, group.placement.rung);
            continue;
        }
        let Group { whom, placement, wanted, .. } = &group;
        look.ramping |= next != *wanted;
        look.moves.push(format!("{whom}: {} -> {next}", placement.rung));
        if placement.wait_for(next) == Wait::Received {
            let lost = sight.fleet.left_behind(placement.since);
            look.moves.extend(lost.map(|member| {
                format!(
                    "went on without lost instance {}: if it lives, it may read stale until it hears",
                    member.name
                )
            }));
        }
        open.note(&group, next);
        let after = placement.stepped(next, revision, sight.steady_ms);
        match group.whom {
            Whom::Buckets { from, upto } => steps.push((from, upto, after)),
            Whom::Tenant { tenant, .. } => {
                stepped.insert(tenant, after);
            }
        }
    }
    let cuts: Vec<u32> = steps.iter().flat_map(|(from, upto, _)| [*from, *upto]).collect();
    look.bands = document.bands.map(&cuts, |from, placement| {
        let step = steps.iter().find(|(start, upto, _)| (*start..*upto).contains(&from));
        step.map_or(placement, |(_, _, after)| *after)
    });
    look.overrides = open.overrides();
    look.rows = rows_after(migration, sight, &stepped, &look);
    look
}

/// When the next soak of tenants on the way ends, by the controller's steady clock.
pub(super) fn soaked_at_ms(migration: &Migration, steady_ms: u64) -> Option<u64> {
    let soak_ms = migration.document.policy.soak_ms;
    let groups = groups_on_the_way(migration);
    let since =
        groups.iter().map(|group| group.placement.target_first_at_ms).filter(|since_ms| *since_ms > 0);
    since.map(|since_ms| since_ms.saturating_add(soak_ms)).filter(|at_ms| *at_ms > steady_ms).min()
}

/// Whether a look would move anybody, or let a tenant follow its bucket again.
pub(super) fn has_step(migration: &Migration, sight: &Sight<'_>) -> bool {
    let level = migration.document.policy.level;
    let may_step = |group: &Group| {
        let next = group.placement.next(group.wanted, level);
        next.is_some_and(|next| sight.may_step(group, next))
    };
    let Document { bands, overrides, .. } = &*migration.document;
    let changes = |tenant: &Tenant| {
        let row = migration.tenants.get(tenant);
        row.is_some_and(|row| {
            row_after(migration, sight, tenant, row, row.placement, bands, overrides) != Some(*row)
        })
    };
    groups_on_the_way(migration).iter().any(may_step) || migration.unrested.iter().any(changes)
}

/// Overrides, limited to tenants that are still on the way up.
struct OpenOverrides {
    /// Each with the buckets that it still covers, and whether it covers any tenant with a row.
    overrides: Vec<(Override, bool)>,
}

impl OpenOverrides {
    fn of(document: &Document) -> Self {
        Self { overrides: document.overrides.iter().map(|over| (over.of_nobody(), false)).collect() }
    }

    /// Records that a group stands at `rung` after this look.
    fn note(&mut self, group: &Group, rung: Rung) {
        let Some(passes) = group.is_overridden_at(rung) else { return };
        let named = self.overrides.iter_mut().find(|(over, _)| over.revision == passes.revision);
        let Some((over, has_rows)) = named else { return };
        match group.whom {
            Whom::Buckets { from, upto } => over.cover(Covered { from, before: upto, upto: passes.upto }),
            Whom::Tenant { .. } => *has_rows = true,
        }
    }

    fn overrides(self) -> Vec<Override> {
        let open = |(over, has_rows): &(Override, bool)| *has_rows || !over.buckets.is_empty();
        self.overrides.into_iter().filter(open).map(|(over, _)| over).collect()
    }
}

/// The rows that change: of tenants that stepped, whose override has ended, or that may follow their bucket
/// again.
fn rows_after(
    migration: &Migration,
    sight: &Sight<'_>,
    stepped: &OrdMap<Tenant, Placement>,
    Look { bands, overrides, .. }: &Look,
) -> Vec<(Tenant, Option<TenantRow>)> {
    let mut rows = Vec::new();
    for tenant in &migration.unrested {
        let Some(row) = migration.tenants.get(tenant) else { continue };
        let placement = stepped.get(tenant).copied().unwrap_or(row.placement);
        let after = row_after(migration, sight, tenant, row, placement, bands, overrides);
        if after != Some(*row) {
            rows.push((tenant.clone(), after));
        }
    }
    rows
}

/// The row of a tenant that stands at `placement`. `None`: it follows its bucket again.
fn row_after(
    migration: &Migration,
    sight: &Sight<'_>,
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
    let settled = || sight.fleet.acknowledged(placement.since.max(band.since), Wait::Quiesced);
    let joins = free && passes_alike && placement.may_join(&band, settled());
    (!joins).then_some(TenantRow { placement, overridden, ..*row })
}
