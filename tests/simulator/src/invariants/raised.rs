//! Raising a share moves nobody back (invariant 5 of docs/ARCHITECTURE.md), and neither does anything else but a request to
//! be lower.

use cutover::domain::{Migration, Tenant};
use cutover_client::routing::Rung;

/// Of how many tenants that have no records, and so other buckets.
const OTHERS: u32 = 32;

/// One tenant in one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    at: Rung,
    /// Where it is to be.
    wanted: Rung,
    /// The share of each rung.
    shares: [u32; 4],
    /// What else decides where it is to be: its pin, its ceiling and everybody's, its floor.
    besides: [Option<Rung>; 4],
}

/// Tenants of all buckets.
pub fn others() -> impl Iterator<Item = Tenant> {
    (0..OTHERS).filter_map(|number| Tenant::parse(&format!("x{number}")).ok())
}

/// What a commit did wrong to a tenant. `None`: nothing.
pub fn wrong(tenant: &Tenant, before: &Migration, after: &Migration) -> Option<String> {
    let [before, after] = [before, after].map(|migration| Standing::of(tenant, migration));
    let why = before.turns_into(&after)?;
    Some(format!("{tenant} {why}: {before:?}, then {after:?}"))
}

impl Standing {
    fn of(tenant: &Tenant, migration: &Migration) -> Self {
        let (placement, row) = (migration.placement(tenant), migration.tenants.get(tenant));
        let (pin, ceiling) = (row.and_then(|row| row.pin), row.and_then(|row| row.ceiling));
        Self {
            at: placement.rung,
            wanted: migration.wanted(tenant).rung,
            shares: migration.document.goal.shares().map(|(_, ppm)| ppm),
            besides: [pin, ceiling, migration.document.ceiling, Some(placement.floor)],
        }
    }

    fn turns_into(&self, after: &Self) -> Option<&'static str> {
        let is_raised = self.shares.iter().zip(&after.shares).all(|(before, after)| before <= after);
        if is_raised && self.besides == after.besides && after.wanted < self.wanted {
            return Some("is to be lower although shares only rose");
        }
        // Whoever leaves a hold goes through mirrored.
        let is_back = after.at < self.at && self.at != Rung::Hold;
        (is_back && after.wanted >= self.at).then_some("went down although nobody asked for that")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::example;

    #[test]
    fn a_raised_share_that_moves_somebody_back_is_noticed() {
        let at = |at, wanted, share| Standing {
            at,
            wanted,
            shares: [1_000_000, share, 0, 0],
            besides: [None, None, None, Some(Rung::SourceOnly)],
        };
        let before = at(Rung::Mirrored, Rung::Mirrored, 250_000);
        let is_fine = |after: &Standing| before.turns_into(after).is_none();
        assert!(is_fine(&before) && is_fine(&at(Rung::Mirrored, Rung::Mirrored, 500_000)));
        assert!(!is_fine(&at(Rung::Mirrored, Rung::Dual, 500_000)), "it is to go back");
        assert!(!is_fine(&at(Rung::Dual, Rung::Mirrored, 500_000)), "it went back");
        assert!(is_fine(&at(Rung::Dual, Rung::Dual, 100_000)), "a share was lowered");
        let pinned = Standing { besides: [Some(Rung::Dual); 4], ..at(Rung::Dual, Rung::Dual, 500_000) };
        assert!(is_fine(&pinned), "it was pinned lower");
        let held = at(Rung::Hold, Rung::TargetFirst, 250_000);
        assert_eq!(
            held.turns_into(&at(Rung::Mirrored, Rung::TargetFirst, 250_000)),
            None,
            "the way from hold"
        );
    }

    #[test]
    fn nobody_moves_where_nothing_changed() {
        let (_, live) = example::created();
        assert!(others().all(|tenant| wrong(&tenant, &live, &live).is_none()));
        let mut pinned = live.clone();
        pinned.tenants.insert(example::tenant(), example::row());
        assert_eq!(wrong(&example::tenant(), &live, &pinned), None, "it was pinned, and is there");
        let lost = wrong(&example::tenant(), &pinned, &live);
        assert_eq!(lost, None, "its pin was removed: it is to be lower");
    }
}
