//! Where everybody should be: the one rule for a tenant's goal, and how far down a rollback takes tenants, for
//! operators and guards, for a tenant and for everybody.

use cutover_core::routing::{Mutation, Reason, Rung};

use super::{
    Document, Gate, Migration, Placement, Rollout, Tenant, TenantRow, Unmet, Whom, guard::GuardKind,
};

/// Maximum groups of tenants that are named because of their floor.
const KEPT_TOLD_MAX: usize = 20;

/// What determines a tenant's goal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caps<'a> {
    /// Requested shares.
    pub(super) goal: &'a Rollout,
    /// The migration's ceiling.
    pub(super) ceiling: Option<Rung>,
    /// The tenant's own row, if it has one.
    pub(super) row: Option<&'a TenantRow>,
}

/// A tenant's goal, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The rung.
    pub rung: Rung,
    /// The rule that decided.
    pub reason: Reason,
}

impl Caps<'_> {
    /// `max(floor, min(ceilings, pin or else share))`: the floor wins over a ceiling, a ceiling over a pin, a
    /// pin over the rollout.
    pub(super) fn wanted(&self, bucket: u32, floor: Rung) -> Wanted {
        let mut wanted = match self.row.and_then(|row| row.pin) {
            Some(rung) => Wanted { rung, reason: Reason::Pin },
            None => Wanted { rung: self.goal.rung_of(bucket), reason: Reason::Rollout },
        };
        let ceiling = lowest(self.row, self.ceiling);
        if let Some(rung) = ceiling.filter(|ceiling| *ceiling < wanted.rung) {
            wanted = Wanted { rung, reason: Reason::Rollback };
        }
        if floor > wanted.rung {
            wanted = Wanted { rung: floor, reason: Reason::Floor };
        }
        wanted
    }
}

impl Document {
    /// What limits a tenant, besides its own row.
    pub(super) fn caps<'a>(&'a self, row: Option<&'a TenantRow>) -> Caps<'a> {
        Caps { goal: &self.goal, ceiling: self.ceiling, row }
    }
}

impl Migration {
    /// A tenant's goal, everything considered.
    pub fn wanted(&self, tenant: &Tenant) -> Wanted {
        let row = self.tenants.get(tenant);
        self.document.caps(row).wanted(self.bucket(tenant), self.placement(tenant).floor)
    }

    /// Tenants that were asked to go below their floor, and stay there until a reverse pass has copied back what
    /// only the target has.
    pub fn kept_by_floor(&self) -> Vec<Unmet> {
        let document = &*self.document;
        if document.restored.is_some() {
            return Vec::new();
        }
        let cuts: Vec<u32> = document.goal.shares().iter().map(|(_, ppm)| *ppm).collect();
        let action = match self.stays_at_target_only(&cuts) {
            // They still write to the target alone, so no reverse pass begins.
            true => format!(
                "take everybody below target-only first: cutover ramp {} --target-only 0 --wait, or unpin them; then: \
                 cutover reverse SPEC",
                document.key
            ),
            false => "cutover reverse SPEC copies them back; the controller then takes these tenants down"
                .to_owned(),
        };
        let kept = |whom: Whom, bucket: u32, placement: Placement, row: Option<&TenantRow>| {
            let asked = document.caps(row).wanted(bucket, Rung::SourceOnly).rung;
            (asked < placement.floor).then(|| Unmet {
                step: format!("{} -> {asked}", placement.rung),
                whom: whom.to_string(),
                ..Unmet::of_change(
                    Gate::Floor,
                    format!(
                        "can't go below {} yet: writes that only the target has would be lost",
                        placement.floor
                    ),
                    action.as_str(),
                )
            })
        };
        let bands = document
            .bands
            .pieces(&cuts)
            .filter_map(|(from, upto, placement)| kept(Whom::Buckets { from, upto }, from, placement, None));
        let floored = self.tenants.iter().filter(|(_, row)| row.placement.floor > Rung::SourceOnly);
        let rows = floored.filter_map(|(tenant, row)| {
            let bucket = self.bucket(tenant);
            kept(Whom::Tenant { tenant: tenant.clone(), bucket }, bucket, row.placement, Some(row))
        });
        bands.chain(rows).take(KEPT_TOLD_MAX).collect()
    }

    /// Whether anybody is at target-only who is to be there.
    fn stays_at_target_only(&self, cuts: &[u32]) -> bool {
        let document = &*self.document;
        let stays = |bucket: u32, placement: Placement, row: Option<&TenantRow>| {
            let wanted = || document.caps(row).wanted(bucket, placement.floor).rung;
            placement.rung == Rung::TargetOnly && wanted() == Rung::TargetOnly
        };
        let mut bands = document.bands.pieces(cuts);
        bands.any(|(from, _, placement)| stays(from, placement, None))
            || self.tenants.iter().any(|(tenant, row)| stays(self.bucket(tenant), row.placement, Some(row)))
    }
}

/// What takes tenants back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cause {
    /// An operator: to the stage below.
    Operator,
    /// A guard: to where a failing target does no harm.
    Guard(GuardKind),
}

/// Why tenants can't go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stuck {
    /// There is nothing below that would help.
    Lowest,
    /// Below this floor acknowledged writes would be lost.
    Floor(Rung),
}

impl Cause {
    /// The highest rung that is low enough for tenants at `rung`. It never falls as `rung` rises.
    const fn below(self, rung: Rung) -> Option<Rung> {
        match (self, rung) {
            (_, Rung::SourceOnly) => None,
            // At dual callers do not see the target's errors, but they do see its slowness.
            (Self::Guard(GuardKind::SlowRelative) | Self::Operator, Rung::Dual) => Some(Rung::SourceOnly),
            (Self::Guard(_), Rung::Dual) => None,
            (Self::Operator, Rung::Mirrored) => Some(Rung::SourceOnly),
            (Self::Operator, Rung::TargetOnly) => Some(Rung::TargetFirst),
            // All the way to dual, where a failing target does no harm.
            (_, Rung::Mirrored | Rung::Hold | Rung::TargetFirst | Rung::TargetOnly) => Some(Rung::Dual),
        }
    }

    /// The ceiling for tenants with one placement.
    pub(super) fn ceiling(self, placement: &Placement) -> Result<Rung, Stuck> {
        match self.below(placement.rung) {
            None => Err(Stuck::Lowest),
            Some(ceiling) if ceiling < placement.floor => Err(Stuck::Floor(placement.floor)),
            Some(ceiling) => Ok(ceiling),
        }
    }

    /// The ceiling for everybody: what takes the highest tenants back that can go. Those that must stay
    /// because of their floor do not keep others up.
    pub(super) fn ceiling_of_all(self, placements: impl Iterator<Item = Placement>) -> Result<Rung, Stuck> {
        let mut stuck = Stuck::Lowest;
        let ceilings = placements.filter_map(|placement| match self.ceiling(&placement) {
            Ok(ceiling) => Some(ceiling),
            Err(Stuck::Lowest) => None,
            Err(floor) => {
                stuck = floor;
                None
            }
        });
        ceilings.max().ok_or(stuck)
    }
}

/// Whether a ceiling takes anybody further down than the latched one.
pub(super) fn is_lower(ceiling: Rung, latched: Option<Rung>) -> bool {
    let is_other = |latched| Mutation::CeilingLatched.is_left_out() && ceiling != latched;
    latched.is_none_or(|latched| ceiling < latched || is_other(latched))
}

/// The lower one of a tenant's own ceiling and the migration's. `None`: nothing was rolled back.
pub(super) fn lowest(row: Option<&TenantRow>, migrations: Option<Rung>) -> Option<Rung> {
    row.and_then(|row| row.ceiling).into_iter().chain(migrations).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(rung: Rung, floor: Rung) -> Placement {
        Placement { rung, floor, ..Placement::START }
    }

    #[test]
    fn those_that_must_stay_do_not_keep_others_up() {
        let (kept, free) = (at(Rung::TargetFirst, Rung::TargetFirst), at(Rung::Mirrored, Rung::SourceOnly));
        let all = |them: &[Placement]| Cause::Operator.ceiling_of_all(them.iter().copied());
        assert_eq!(all(&[kept, free]), Ok(Rung::SourceOnly));
        assert_eq!(all(&[kept]), Err(Stuck::Floor(Rung::TargetFirst)));
        assert_eq!(all(&[at(Rung::SourceOnly, Rung::SourceOnly)]), Err(Stuck::Lowest));
    }

    #[test]
    fn a_higher_rung_never_has_a_lower_ceiling() {
        let causes =
            [Cause::Operator, Cause::Guard(GuardKind::SlowRelative), Cause::Guard(GuardKind::Mismatch)];
        for cause in causes {
            let ceilings: Vec<_> = Rung::ALL.iter().map(|rung| cause.below(*rung)).collect();
            assert!(ceilings.is_sorted(), "{cause:?}: {ceilings:?}");
        }
    }
}
