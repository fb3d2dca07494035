//! Whoever does what a wait says, in the order in which it is said, does nothing in vain and is not refused.

use cutover::domain::{Change, Fleet, Migration, Placement, Policy, TenantRow, change::waiting};
use cutover_core::routing::{PPM, Rung};

use super::{Gate, Happening, PassKind, World, name};

fn pinned(at: Rung, pin: Rung) -> TenantRow {
    let floor = Rung::TargetFirst;
    let placement = Placement { rung: at, floor, since: 1, was: at, ..Placement::START };
    TenantRow { pin: Some(pin), ceiling: None, placement, overridden: 0 }
}

#[test]
fn a_floor_asks_for_a_reverse_pass_only_where_it_would_begin() {
    let down = (name(1), pinned(Rung::TargetFirst, Rung::Dual));
    let action = |others: &[TenantRow]| {
        let mut world = World::new();
        let others = others.iter().map(|row| (name(2), *row));
        let rows = others.chain([down.clone()]).collect();
        world.migration = Migration::new(world.revision, (*world.migration.document).clone(), rows);
        world.revision = 3;
        (0..3).for_each(|at| world.happen(&Happening::Quiesce(at)));
        let kept = world.migration.kept_by_floor();
        assert_eq!((kept.len(), kept[0].gate), (1, Gate::Floor));
        let begun = world.begin(PassKind::Reverse);
        let begins = world.migration.document.jobs.iter().any(|job| job.id == begun);
        (kept[0].action.clone(), begins)
    };
    let (alone, begins) = action(&[]);
    assert!(alone.starts_with("cutover reverse SPEC copies them back") && begins, "{alone}");
    let (beside, begins) = action(&[pinned(Rung::TargetOnly, Rung::TargetOnly)]);
    assert!(
        beside.contains(
            "cutover ramp orders --target-only 0 --wait, or unpin them; then: cutover reverse SPEC"
        )
    );
    assert!(!begins, "it would be refused");
    let (moving, _) = action(&[pinned(Rung::TargetOnly, Rung::TargetFirst)]);
    assert_eq!(moving, alone, "that one leaves target-only by itself");
}

#[test]
fn the_local_guard_is_named_before_the_pass_that_has_to_come_after_it() {
    let mut world = World::new();
    let policy = Policy { local_guard: true, ..world.migration.document.policy.clone() };
    assert!(world.change(&Change::Update { description: None, policy: Some(policy), guards: Vec::new() }));
    let settle = |world: &mut World| (0..3).for_each(|at| world.happen(&Happening::Quiesce(at)));
    world.happen(&Happening::Ramp([None, None, Some(PPM), None]));
    settle(&mut world);
    world.happen(&Happening::Pass(PassKind::Full));
    world.happen(&Happening::Step);
    settle(&mut world);
    assert!(world.rungs().iter().all(|rung| *rung == Rung::TargetFirst), "{:?}", world.rungs());
    world.happen(&Happening::Ramp([None, None, None, Some(PPM)]));
    let fleet = Fleet::new(world.members.clone());
    let unmet = waiting(&world.migration, &fleet, world.revision);
    let is_either = |gate: &Gate| [Gate::LocalGuard, Gate::FullPass].contains(gate);
    let gates: Vec<_> = unmet.iter().map(|unmet| unmet.gate).filter(is_either).collect();
    assert_eq!(gates, [Gate::LocalGuard, Gate::FullPass], "{unmet:?}");
}
