//! Who goes back when the local guard trips: from target-first to mirrored, and nobody else.

use crate::routing::{Band, Level, Reason, Route, Rung, Table};

/// May a process take anybody of this migration back by itself?
///
/// Mirrored may be live beside every rung but target-only, and reads there are right at level
/// acknowledged. With `local_guard` on nobody goes to target-only, nor before everybody has heard that
/// it is off.
pub fn may_go_back(table: &Table) -> bool {
    is_on(table) && (table.bands().iter().any(|band| goes_back(band.route)) || overrides(table).next().is_some())
}

/// The same table, with everybody back who may go. `None`: there is nobody.
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

/// Those without fallback were at target-only: what they wrote there is not in the source.
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
