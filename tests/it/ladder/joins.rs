//! A tenant that follows its bucket again takes over its band's placement. Whatever happened before, this
//! never moves it where its own history would not allow it.

use std::collections::BTreeMap;

use cutover::domain::{Conditions, Fleet, Group, Placement, Whom};
use cutover_core::routing::{PPM, Rung};
use proptest::prelude::*;

use super::{Happening, TENANTS, World, happening, name};

/// Where each tenant stands by its own steps alone, as if no tenant ever joined a band.
struct Alone(BTreeMap<u32, Placement>);

impl Alone {
    fn of_a_new_world() -> Self {
        Self((0..TENANTS).map(|at| (at, Placement::START)).collect())
    }

    /// Processes one commit. Every step has to be one that the tenant's own history permits.
    fn follow(&mut self, before: &World, after: &World) -> Result<(), TestCaseError> {
        let fleet = Fleet::new(before.members.clone());
        // The evidence of a pass is in the commit that relies on it.
        let (document, steady_ms) = (&after.migration.document, after.revision);
        let conditions = Conditions { document, fleet: &fleet, steady_ms };
        for (at, own) in &mut self.0 {
            let now = after.migration.placement(&name(*at));
            if now.rung != own.rung {
                let whom = Whom::Tenant { tenant: name(*at), bucket: after.migration.bucket(&name(*at)) };
                let group = Group { whom, placement: *own, wanted: now.rung, passes: None };
                let lacks = conditions.unmet(&group, now.rung);
                prop_assert!(lacks.is_empty(), "{}: {own:?} to {}: {lacks:?}", name(*at), now.rung);
                *own = own.stepped(now.rung, after.revision, steady_ms);
            }
            // A reverse pass opens the way down.
            own.floor = own.floor.min(now.floor);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nobody_is_moved_where_its_own_history_would_not_let_it(
        happenings in prop::collection::vec(happening(), 1..80)
    ) {
        let mut world = World::new();
        let mut alone = Alone::of_a_new_world();
        for happening in &happenings {
            for part in world.parts(happening) {
                let before = world.clone();
                part(&mut world);
                alone.follow(&before, &world)?;
            }
        }
    }
}

#[test]
fn a_tenant_does_not_join_a_step_that_its_own_one_can_not_undo() {
    let mut world = World::new();
    let settle = |world: &mut World| (0..3).for_each(|at| world.happen(&Happening::Quiesce(at)));
    // The band comes to mirrored from dual, the tenant from target-first.
    world.happen(&Happening::Ramp([None, Some(PPM), None, None]));
    settle(&mut world);
    world.happen(&Happening::Pass(cutover::domain::PassKind::Full));
    world.happen(&Happening::Pin(7, Rung::TargetFirst));
    world.happen(&Happening::Ramp([None, Some(0), None, None]));
    settle(&mut world);
    world.happen(&Happening::Unpin(7));
    // It is at mirrored now, but instances may still serve it at target-first; the band goes up to it.
    world.happen(&Happening::Ramp([None, Some(PPM), None, None]));
    let placed = |world: &World| world.migration.placement(&name(7));
    assert_eq!((placed(&world).rung, placed(&world).was), (Rung::Mirrored, Rung::TargetFirst));
    world.happen(&Happening::Ramp([None, Some(0), None, None]));
    assert_eq!(placed(&world).rung, Rung::Mirrored, "to dual it has to wait for everybody to hear");
    let others = (0..TENANTS).filter(|at| *at != 7);
    let rungs: Vec<Rung> = others.map(|at| world.migration.placement(&name(at)).rung).collect();
    assert!(rungs.iter().all(|rung| *rung == Rung::Dual), "the band only undoes its step: {rungs:?}");
    settle(&mut world);
    world.happen(&Happening::Step);
    settle(&mut world);
    world.happen(&Happening::Step);
    assert!(!world.migration.tenants.contains_key(&name(7)), "settled, it follows its bucket again");
}
