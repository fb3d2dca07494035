//! A repeated request does not loosen a latch; what reads promise changes only at source-only.

use cutover::domain::{
    Breach, Change, Migration, Placement, Policy, Refusal, TenantRow, TripOutcome,
    guard::{Action, Cause, Guard, GuardEvidence, GuardKind, Operation, Scope, Verdict},
};
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
        let refusal = world.applied(&level(world, Level::Linearizable)).unwrap_err();
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

/// A guard's verdict on the stage that began with a revision.
fn verdict(stage_revision: u64) -> Change {
    let verdict = Verdict {
        guard: Guard { kind: GuardKind::WriteDivergence, operation: Operation::Write },
        scope: Scope::Migration,
        action: Action::Rollback,
        cause: Cause::Breach,
        evidence: GuardEvidence::default(),
    };
    Change::Trip(Box::new(Breach { stage_revision, verdict }))
}

#[test]
fn what_was_counted_before_somebody_looked_is_no_evidence_afterwards() {
    let mut world = World::new();
    world.happen(&Happening::Ramp([Some(PPM), None, None, None]));
    settle(&mut world);
    let outcomes = |world: &World| -> Vec<TripOutcome> {
        world.migration.document.trips.iter().map(|trip| trip.outcome).collect()
    };
    let judged = |world: &World| world.migration.stage(false).revision;
    let at_dual = judged(&world);
    assert!(world.change(&verdict(at_dual)));
    assert_eq!(
        outcomes(&world),
        [TripOutcome::Held],
        "a rollback from dual would change nothing for callers"
    );

    // Resumed, with reports of the same failure still on their way.
    assert!(world.change(&Change::Resume));
    assert_eq!(judged(&world), world.revision, "the judge begins anew, and is not silent for good");
    assert!(world.change(&verdict(at_dual)));
    assert_eq!(outcomes(&world).len(), 1, "the verdict is about what the operator has seen");
    assert!(world.change(&verdict(judged(&world))));
    assert_eq!(outcomes(&world), [TripOutcome::Held; 2], "it fails again");

    // Acknowledged.
    world.change(&Change::Resume);
    assert!(world.change(&Change::Rollback { tenant: None }));
    settle(&mut world);
    let before = judged(&world);
    assert!(world.change(&Change::Acknowledge));
    assert_eq!(judged(&world), world.revision);
    assert!(world.change(&verdict(before)));
    assert_eq!(outcomes(&world).len(), 2);
    assert!(!world.migration.document.paused);
}

#[test]
fn a_fence_that_can_t_be_safe_is_refused_with_its_bound() {
    let world = World::new();
    let fence = |level, fence_after_ms| {
        let policy = Policy { level, fence_after_ms, ..world.migration.document.policy.clone() };
        let change = Change::Update { description: None, policy: Some(policy), guards: Vec::new() };
        match world.applied(&change) {
            Ok(_) => String::new(),
            Err(Refusal::Invalid(violations)) => format!("{violations:?}"),
            Err(other) => panic!("{other:?}"),
        }
    };
    let late = fence(Level::Acknowledged, 9_001);
    assert!(late.contains("fence_after_ms") && late.contains("at most 9 s"), "{late}");
    assert_eq!(fence(Level::Acknowledged, 9_000), "");
    assert_eq!(fence(Level::Acknowledged, 0), "");
    let none = fence(Level::Linearizable, 0);
    assert!(none.contains("fence_after_ms") && none.contains("must be set at level linearizable"), "{none}");
}
