//! Who goes back when the local guard trips: tenants at target-first go to mirrored, and nobody else moves.

use crate::routing::{Band, Level, Reason, Route, Rung, Table};

/// Whether a process may take tenants of this migration back on its own.
///
/// Mirrored may be live beside every rung but target-only, and reads there are right at level acknowledged.
/// While `local_guard` is on, nobody goes to target-only; and after it is turned off, not before everybody
/// has received that.
pub fn may_go_back(table: &Table) -> bool {
    is_on(table)
        && (table.bands().iter().any(|band| goes_back(band.route)) || overrides(table).next().is_some())
}

/// The same table with everybody back who may go. `None`: nobody may.
pub fn taken_back(table: &Table) -> Option<Table> {
    may_go_back(table).then(|| {
        let band = |band: &Band| Band { route: back(band.route), ..*band };
        let bands: Vec<Band> = table.bands().iter().map(band).collect();
        table.with_head(table.revision(), &bands, table.policy()).with_overrides(overrides(table))
    })
}

fn is_on(table: &Table) -> bool {
    let policy = table.policy();
    policy.local_guard && policy.level == Level::Acknowledged
}

fn overrides(table: &Table) -> impl Iterator<Item = (&str, Option<Route>)> {
    let gone = table.overrides().filter(|(_, route)| goes_back(*route));
    gone.map(|(tenant, route)| (tenant, Some(back(route))))
}

/// Tenants without fallback were at target-only: their writes there are not in the source.
fn goes_back(route: Route) -> bool {
    route.rung == Rung::TargetFirst && !route.no_fallback && route.reason != Reason::Floor
}

fn back(route: Route) -> Route {
    if goes_back(route) {
        Route { rung: Rung::Mirrored, reason: Reason::Rollback, no_fallback: false }
    } else {
        route
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::{PPM, Policy};

    const fn route(rung: Rung, reason: Reason, no_fallback: bool) -> Route {
        Route { rung, reason, no_fallback }
    }

    fn table(policy: Policy, route: Route) -> Table {
        Table::new(7, "orders", &[Band { upto_ppm: PPM, route }], policy)
    }

    const ON: Policy = Policy {
        level: Level::Acknowledged,
        hold_timeout_ms: 2_000,
        fence_after_ms: 0,
        shadow_ppm: 0,
        local_guard: true,
        local_guard_read_ppm: 50_000,
        local_guard_write_ppm: 20_000,
    };
    const FIRST: Route = route(Rung::TargetFirst, Reason::Rollout, false);

    #[test]
    fn only_those_go_back_who_lose_nothing() {
        let others = [
            route(Rung::TargetFirst, Reason::Rollout, true),
            route(Rung::TargetFirst, Reason::Floor, false),
            route(Rung::TargetOnly, Reason::Rollout, true),
            route(Rung::Mirrored, Reason::Pin, false),
            route(Rung::Dual, Reason::Pin, false),
            route(Rung::Hold, Reason::Hold, false),
            route(Rung::SourceOnly, Reason::Pin, false),
        ];
        let names: Vec<String> = (0..others.len()).map(|at| format!("other-{at}")).collect();
        let pinned = route(Rung::TargetFirst, Reason::Pin, false);
        let overrides = names.iter().map(String::as_str).zip(others.map(Some));
        let before = table(ON, FIRST).with_overrides(overrides.chain([("pinned", Some(pinned))]));
        let after = taken_back(&before).expect("somebody goes");
        let mirrored = route(Rung::Mirrored, Reason::Rollback, false);
        assert_eq!((after.route("acme"), after.route("pinned")), (mirrored, mirrored));
        for (name, route) in names.iter().zip(others) {
            assert_eq!(after.route(name), route, "{name}");
            assert!(taken_back(&table(ON, route)).is_none(), "{route:?}");
        }
        assert_eq!((after.revision(), after.policy()), (7, ON));
        assert!(taken_back(&after).is_none(), "nobody is left to go");
    }

    #[test]
    fn nobody_goes_where_it_is_off_or_reads_promise_more() {
        assert!(taken_back(&table(Policy { local_guard: false, ..ON }, FIRST)).is_none());
        assert!(taken_back(&table(Policy { level: Level::Linearizable, ..ON }, FIRST)).is_none());
        assert!(!Policy::default().local_guard, "it has to be asked for");
    }
}
