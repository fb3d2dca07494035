//! Whoever does what a wait says, in the order in which it is said, does nothing in vain and is not refused.

use cutover::domain::{
    Change, Cover, Differences, Fleet, Job, Ledgers, Migration, NewPass, PassCounts, PassTables, Placement,
    Policy, Refusal, TenantRow, change::waiting,
};
use cutover_core::routing::{PPM, Rung};

use super::{Gate, Happening, PassKind, World, name, repair};

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

/// Each pass beside it would count the same records again.
#[test]
fn a_reverse_pass_that_nobody_works_on_is_to_end_before_the_next_pass() {
    let document = repair::copied().migration.document;
    let mut pass = document.evidence.last().expect("it was copied").clone();
    let reverse = Job { kind: PassKind::Reverse, ..pass.job.clone() };
    (pass.clean, pass.job.beside_reverse, pass.counts.target_only) = (false, true, 3);
    assert!(
        pass.told_unclean()
            .ends_with("Records: 3 written at target-only, which count because a reverse pass ran beside it")
    );
    let backfill = "cutover backfill SPEC";
    let action = pass.before(std::slice::from_ref(&reverse), true, backfill);
    assert!(action.starts_with("let the reverse pass end"), "{action}");
    assert_eq!(pass.before(&[], true, backfill), backfill);
    pass.job.beside_reverse = false;
    assert_eq!(pass.before(&[reverse], true, backfill), backfill);
}

#[test]
fn whoever_keeps_a_sweep_waiting_is_named() {
    let mut world = World::new();
    let settle = |world: &mut World, who: std::ops::Range<usize>| {
        who.for_each(|at| world.happen(&Happening::Quiesce(at)));
    };
    world.happen(&Happening::Ramp([None, None, Some(PPM), None]));
    settle(&mut world, 0..3);
    assert!(world.ask_with("orders/sweep", PassKind::Sweep, false, 5_000));
    settle(&mut world, 1..3);
    world.members[0].lost = true;
    let told = |world: &World| {
        let unmet = waiting(&world.migration, &Fleet::new(world.members.clone()), world.revision);
        unmet.into_iter().find(|unmet| unmet.gate == Gate::FullPass).expect("target-first waits for a pass")
    };
    let behind = told(&world);
    assert!(behind.message.starts_with("sweep orders/sweep has not begun: "), "{behind:?}");
    assert!(behind.message.contains(&format!("{} (LOST)", world.members[0].name)), "{behind:?}");
    assert!(behind.action.contains("cutover evict") && !behind.by_itself, "{behind:?}");
    world.members[0].lost = false;
    settle(&mut world, 0..1);
    assert_eq!(told(&world).action, "cutover backfill SPEC");
}

/// What status says before target-first, after a pass with these counts.
fn told_after(kind: PassKind, counts: PassCounts) -> String {
    let mut world = repair::copied();
    assert!(world.ask_with("orders/again", kind, false, 5));
    let (id, findings, ledgers) = ("orders/again".to_owned(), Vec::new(), Ledgers::default());
    assert!(world.change(&Change::FinishJob { id, counts, findings, complete: true, ledgers }));
    // A new step, for which the first pass does not count.
    world.happen(&Happening::Ramp([Some(PPM), Some(0), None, None]));
    world.happen(&Happening::Step);
    (0..3).for_each(|at| world.happen(&Happening::Quiesce(at)));
    world.happen(&Happening::Ramp([Some(PPM), Some(PPM), Some(PPM), None]));
    world.happen(&Happening::Step);
    (0..3).for_each(|at| world.happen(&Happening::Quiesce(at)));
    let unmet = waiting(&world.migration, &Fleet::new(world.members.clone()), world.revision);
    let pass = unmet.into_iter().find(|unmet| unmet.gate == Gate::FullPass);
    pass.expect("target-first waits for a pass").action
}

/// A pass that copies is not clean while they are there, however often it is run.
#[test]
fn what_no_pass_copies_is_to_be_corrected_before_the_next_pass() {
    let left = |remaining| PassCounts { remaining, ..PassCounts::default() };
    let (remove, repair) = ("--repair --remove-extra --reason", "--repair --source-wins --reason");
    let extra = Differences { extra: 1, ..Differences::default() };
    let all: [(_, _, &[&str], _); 9] = [
        (PassKind::Full, Differences { unversioned: 1, ..extra }, &[remove], "cutover backfill SPEC"),
        (PassKind::Full, extra, &[repair], "cutover backfill SPEC"),
        (PassKind::Full, Differences { ahead: 1, ..extra }, &[repair], "cutover backfill SPEC"),
        (
            PassKind::Full,
            Differences { extra: 2, unversioned: 1, ..extra },
            &[remove, repair],
            "cutover backfill SPEC",
        ),
        (PassKind::Full, Differences { missing: 1, ..Differences::default() }, &[], "cutover backfill SPEC"),
        (PassKind::Verify, extra, &[repair], "cutover backfill SPEC"),
        (PassKind::Verify, Differences { stale: 1, ..Differences::default() }, &[], "cutover backfill SPEC"),
        (PassKind::Verify, Differences { different: 1, ..extra }, &[repair], "cutover verify SPEC"),
        (PassKind::Verify, Differences { different: 1, missing: 1, ..extra }, &[repair], "SPEC --repair"),
    ];
    for (kind, remaining, first, then) in all {
        let action = told_after(kind, left(remaining));
        for way in [remove, repair] {
            assert_eq!(action.contains(way), first.contains(&way), "{kind:?}, {remaining:?}: {action}");
        }
        assert!(action.ends_with(then), "{kind:?}, {remaining:?}: {action}");
        assert_eq!(action.contains(", then run: "), !first.is_empty(), "{action}");
    }
    // Where somebody reads the target, it may be right.
    let mut pass = repair::copied().migration.document.evidence.last().expect("it was copied").clone();
    pass.counts.remaining = extra;
    let kept = pass.before(&[], false, "cutover backfill SPEC");
    assert_eq!(
        kept,
        "write or delete once with an SDK what was changed without one, then run: cutover backfill SPEC"
    );
    let unreadable = told_after(PassKind::Verify, PassCounts { failed: 1, ..PassCounts::default() });
    assert!(unreadable.starts_with("correct what can't be read or written"), "{unreadable}");
    assert!(unreadable.ends_with("then run: cutover verify SPEC"), "{unreadable}");
}

#[test]
fn a_repair_asks_to_take_back_only_who_is_at_target_only() {
    let asked = |at: Rung| {
        let mut world = World::new();
        let rows = [(name(1), pinned(at, at))].into_iter().collect();
        world.migration = Migration::new(world.revision, (*world.migration.document).clone(), rows);
        let new = |removes_extra, source_wins| NewPass {
            removes_extra,
            source_wins,
            tables: PassTables::default(),
            new_tables: Default::default(),
            id: "orders/repair".to_owned(),
            kind: PassKind::Verify,
            cover: Cover { upto_ppm: PPM, tenants: Vec::new() },
            fingerprint: String::new(),
            segments: 1,
            residual_ms: 5,
            expected: 0,
        };
        [new(true, false), new(false, true)].map(|pass| match world.applied(&Change::BeginJob(pass)) {
            Err(Refusal::Unmet(unmet)) => unmet[0].action.clone(),
            other => panic!("at {at}: {other:?}"),
        })
    };
    for action in asked(Rung::TargetOnly) {
        assert!(action.contains("cutover ramp orders --target-only 0"), "{action}");
    }
    for action in asked(Rung::TargetFirst) {
        assert_eq!(action, "copy their writes back to the source: cutover reverse SPEC");
    }
}
