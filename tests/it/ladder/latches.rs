//! A repeated request does not loosen a latch; what reads promise changes only at source-only.

use cutover::domain::{Change, Migration, Placement, Policy, Refusal, TenantRow, apply};
use cutover_core::routing::{Level, PPM, Rung};

use super::{Happening, World, name};

fn level(world: &World, level: Level) -> Change {
    let fence_after_ms = if level == Level::Linearizable { 5_000 } else { 0 };
    let policy = Policy { level, fence_after_ms, ..world.migration.document.policy.clone() };
    Change::Update { description: None, policy: Some(policy), guards: Vec::new() }
}

fn settle(world: &mut World) {
    (0..3).for_each(|at| world.happen(&Happening::Quiesce(at)));
    world.happen(&Happening::Step);
}

impl World {
    /// As a store may hold it, however it came about.
    fn placed(&mut self, ceiling: Option<Rung>, tenants: &[(u32, TenantRow)]) {
        let mut document = (*self.migration.document).clone();
        document.ceiling = ceiling;
        let rows = tenants.iter().map(|(at, row)| (name(*at), *row)).collect();
        self.migration = Migration::new(self.revision, document, rows);
    }
}

fn row(rung: Rung, floor: Rung, ceiling: Option<Rung>) -> TenantRow {
    let placement = Placement { rung, floor, since: 1, was: rung, ..Placement::START };
    TenantRow { pin: Some(rung), ceiling, placement, overridden: 0 }
}

#[test]
fn a_second_rollback_never_raises_a_latched_ceiling() {
    let mut world = World::new();
    world.placed(
        Some(Rung::SourceOnly),
        &[(7, row(Rung::TargetFirst, Rung::SourceOnly, Some(Rung::SourceOnly)))],
    );
    let rollback = |world: &mut World, at| world.change(&Change::Rollback { tenant: at });
    assert!(rollback(&mut world, None), "it is no mistake to ask again");
    assert!(rollback(&mut world, Some(name(7))));
    let ceiling = world.migration.tenants.get(&name(7)).unwrap().ceiling;
    assert_eq!((world.migration.document.ceiling, ceiling), (Some(Rung::SourceOnly), Some(Rung::SourceOnly)));
}

#[test]
fn a_floor_of_one_does_not_refuse_the_rollback_of_others() {
    let mut world = World::new();
    let free = row(Rung::TargetFirst, Rung::SourceOnly, None);
    let floored = row(Rung::TargetFirst, Rung::TargetFirst, None);
    for rows in [[(1, free), (2, floored)], [(1, floored), (2, free)]] {
        world.placed(None, &rows);
        assert!(world.change(&Change::Rollback { tenant: None }));
        settle(&mut world);
        settle(&mut world);
        let rungs = rows.map(|(at, _)| world.migration.placement(&name(at)).rung);
        let expected = rows.map(|(_, row)| if row == floored { Rung::TargetFirst } else { Rung::Dual });
        assert_eq!(rungs, expected);
    }
}

#[test]
fn the_level_changes_only_where_everybody_is_settled_at_source_only() {
    let mut world = World::new();
    let refused = |world: &World, part: &str| {
        let fleet = cutover::domain::Fleet::new(world.members.clone());
        let context = cutover::domain::Context {
            revision: world.revision + 1,
            now_ms: 1,
            steady_ms: 1,
            actor: "operator:ada",
            reason: "",
            fleet: &fleet,
        };
        let change = level(world, Level::Linearizable);
        let refusal = apply(Some(&world.migration), &world.key, &change, &context).unwrap_err();
        let Refusal::Unmet(unmet) = refusal else { panic!("{refusal}") };
        assert!(unmet[0].message.contains(part), "{part}: {}", unmet[0].message);
    };
    world.happen(&Happening::Pin(7, Rung::Mirrored));
    settle(&mut world);
    refused(&world, "tenant tenant-7 is at mirrored");
    world.happen(&Happening::Unpin(7));
    refused(&world, "i-0 still has operations in flight");
    settle(&mut world);
    world.happen(&Happening::Ramp([Some(PPM / 10), None, None, None]));
    refused(&world, "not everybody is at source-only");
    settle(&mut world);
    world.happen(&Happening::Ramp([Some(0), None, None, None]));
    settle(&mut world);
    settle(&mut world);
    assert!(world.change(&level(&world, Level::Linearizable)));
}
