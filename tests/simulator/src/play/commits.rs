//! What holds at every commit.

use cutover::domain::{Event, Migration, Placement, Tenant};
use cutover_client::routing::{Rung, coexist};

use super::{chaos, hazard, latches, restore, with};
use crate::{
    invariants::{self, raised, replay},
    oracle, world,
};

/// A migration was changed.
pub(super) fn check(tenants: &[Tenant], event: &Event, before: Option<&Migration>, after: &Migration) {
    replay::committed(event, after, tenants);
    // What a restored store says before it is confirmed is nobody's routing.
    let is_confirmed = before.is_some_and(|before| before.document.restored.is_some());
    if after.document.restored.is_some() {
        return restore::note_noticed();
    }
    // Nor what an earlier one says that was copied back. Whoever learns of it makes it known.
    if restore::is_unnoticed() {
        return;
    }
    let truth = with(|stage| stage.truth.take_if(|_| is_confirmed));
    with(|stage| stage.unconfirmed &= !is_confirmed);
    let before = if is_confirmed { truth.as_ref() } else { before };
    if !is_confirmed {
        latches::check(tenants, before, after);
    }
    let rollout = after.document.rollout();
    let shares =
        [rollout.dual_ppm(), rollout.mirrored_ppm(), rollout.target_first_ppm(), rollout.target_only_ppm()];
    if !shares.is_sorted_by(|more, less| more >= less) {
        oracle::fault("shares", format!("revision {}: {shares:?} do not nest", after.revision));
    }
    if let Some(before) = before.filter(|_| !is_confirmed) {
        let wrong = tenants.iter().cloned().chain(raised::others());
        for wrong in wrong.filter_map(|tenant| raised::wrong(&tenant, before, after)) {
            oracle::fault_once("moved back", format!("revision {}: {wrong}", after.revision));
        }
    }
    let placements: Vec<(&Tenant, Placement)> =
        tenants.iter().map(|tenant| (tenant, after.placement(tenant))).collect();
    let step = placements.iter().find_map(|(tenant, now)| {
        let then = before?.placement(tenant).rung;
        (then != now.rung).then_some((then, now.rung))
    });
    with(|stage| stage.reached.note(placements.iter().map(|(_, placement)| placement.rung)));
    if let Some((from, to)) = step {
        chaos::ambush();
        hazard::stepped(from, to);
    }
    let has_guard = |of: &Migration| of.document.policy.local_guard;
    if before.is_some_and(has_guard) && !has_guard(after) {
        hazard::strike(|when| when == hazard::When::LocalGuardOff);
    }
    invariants::committed(placements.iter().map(|(tenant, now)| (tenant.to_string(), *now)));
    for (tenant, now) in placements {
        world::tell(|| format!("revision {}: {tenant} at {:?}", after.revision, now.rung));
        if now.rung < now.floor && now.rung != Rung::Hold {
            oracle::fault("floor", format!("revision {}: {tenant} below {:?}", after.revision, now.floor));
        }
        let Some(before) = before.map(|before| before.placement(tenant)) else { continue };
        // A confirmation leads through hold, which ends at once if nobody is registered.
        if !is_confirmed && !coexist(before.rung, now.rung) {
            let what =
                format!("revision {}: {tenant} from {:?} to {:?}", after.revision, before.rung, now.rung);
            oracle::fault("jump", what);
        }
    }
}
