//! One revision's moves: everybody who is not where they are to be, and may, takes one step.

use cutover_client::routing::Rung;
use imbl::OrdMap;

use super::{
    Bands, Document, Migration, Placement, Tenant, TenantRow, Whom,
    gate::{Sight, Unmet},
    placement::Wait,
};

/// Most tenants whose unmet conditions are told one by one.
const TOLD_MAX: usize = 20;

/// What one look at a migration gives.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// A line for each group that moves.
    pub(super) moves: Vec<String>,
    /// What the others wait for.
    pub(super) unmet: Vec<Unmet>,
    /// Is anybody still not where they are to be, after the moves?
    pub(super) ramping: bool,
    /// Rows that change. `None`: the tenant follows its bucket again.
    pub(super) rows: Vec<(Tenant, Option<TenantRow>)>,
    /// Bands after the moves.
    pub(super) bands: Bands,
}

/// A group of tenants, as it stands and as it is to be.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) whom: Whom,
    pub(super) placement: Placement,
    pub(super) wanted: Rung,
}

impl Group {
    /// Every step from here up to `wanted`, with the placement before each.
    pub(super) fn steps_up(&self, document: &Document) -> Vec<(Placement, Rung)> {
        let mut steps = Vec::new();
        let mut at = self.placement;
        while let Some(next) = at.next(self.wanted, document.policy.level)
            && next > at.rung
        {
            steps.push((at, next));
            // Since 0: what has not happened cannot have evidence yet.
            let stepped = at.stepped(next, 0, 0);
            at = Placement { since: at.since, ..stepped };
        }
        steps
    }
}

/// The groups that are not where they are to be: ranges of buckets, then tenants with a row.
pub(super) fn groups_on_the_way(migration: &Migration) -> Vec<Group> {
    let document = &*migration.document;
    let caps = document.caps(None);
    let mut groups = Vec::new();
    let cuts = document.goal.shares().map(|(_, ppm)| ppm);
    for (from, upto, placement) in document.bands.pieces(&cuts) {
        let wanted = caps.wanted(from, placement.floor).rung;
        if placement.rung != wanted {
            groups.push(Group { whom: Whom::Buckets { from, upto }, placement, wanted });
        }
    }
    for tenant in &migration.unrested {
        let Some(row) = migration.tenants.get(tenant) else { continue };
        let bucket = migration.bucket(tenant);
        let wanted = document.caps(Some(row)).wanted(bucket, row.placement.floor).rung;
        if row.placement.rung != wanted {
            let whom = Whom::Tenant { tenant: tenant.clone(), bucket };
            groups.push(Group { whom, placement: row.placement, wanted });
        }
    }
    groups
}

/// Looks who may step in `revision`, and what everybody else waits for.
pub(super) fn look(migration: &Migration, sight: &Sight<'_>, revision: u64) -> Look {
    let document = &*migration.document;
    let level = document.policy.level;
    let mut look = Look { bands: document.bands.clone(), ..Look::default() };
    let mut stepped: OrdMap<Tenant, Placement> = OrdMap::new();
    let mut steps: Vec<(u32, u32, Placement)> = Vec::new();
    let mut told = 0;
    for Group { whom, placement, wanted } in groups_on_the_way(migration) {
        let Some(next) = placement.next(wanted, level) else { continue };
        if !sight.may_step(&placement, next, &whom) {
            look.ramping = true;
            told += 1;
            if told <= TOLD_MAX {
                look.unmet.extend(sight.unmet(&placement, next, &whom));
            }
            continue;
        }
        look.ramping |= next != wanted;
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
        let after = placement.stepped(next, revision, sight.now_ms);
        match whom {
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
    look.rows = rows_after(migration, &stepped, &look.bands);
    look
}

/// The rows that change: those that stepped, and those that may follow their bucket again.
fn rows_after(
    migration: &Migration,
    stepped: &OrdMap<Tenant, Placement>,
    bands: &Bands,
) -> Vec<(Tenant, Option<TenantRow>)> {
    let mut rows = Vec::new();
    for tenant in &migration.unrested {
        let Some(row) = migration.tenants.get(tenant) else { continue };
        let placement = stepped.get(tenant).copied().unwrap_or(row.placement);
        let free = row.pin.is_none() && row.ceiling.is_none();
        if free && placement.may_join(&bands.of(migration.bucket(tenant))) {
            rows.push((tenant.clone(), None));
        } else if placement != row.placement {
            rows.push((tenant.clone(), Some(TenantRow { placement, ..*row })));
        }
    }
    rows
}
