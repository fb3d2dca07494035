//! How many passes a migration remembers, which are never forgotten, and what keeps one from being clean.

use cutover::domain::{Placement, TenantRow};

use super::*;

/// Without segments any number of one kind may run side by side.
fn new_pass(n: usize) -> Change {
    Change::BeginJob(NewPass {
        removes_extra: false,
        source_wins: false,
        tables: PassTables::default(),
        new_tables: Default::default(),
        id: format!("orders/{n}"),
        kind: PassKind::Full,
        cover: Cover { upto_ppm: PPM, tenants: Vec::new() },
        fingerprint: String::new(),
        segments: 0,
        residual_ms: 0,
        expected: 0,
    })
}

fn ended(n: usize) -> Change {
    let (id, counts, findings) = (format!("orders/{n}"), Default::default(), Default::default());
    Change::FinishJob { id, counts, findings, complete: true, ledgers: Ledgers::default() }
}

#[test]
fn a_running_pass_is_never_dropped_for_newer_ones() {
    let mut world = World::new();
    let running = |world: &World| -> Vec<String> {
        world.migration.document.jobs.iter().map(|job| job.id.clone()).collect()
    };
    let mut begun = 0;
    while world.change(&new_pass(begun)) {
        begun += 1;
        assert!(begun < 1_000, "there is a bound");
    }
    let all: Vec<_> = (0..begun).map(|n| format!("orders/{n}")).collect();
    assert_eq!(running(&world), all, "and whoever comes after it is refused, in words");
    let Err(Refusal::Unmet(unmet)) = world.applied(&new_pass(begun)) else { panic!("refused") };
    assert_eq!(unmet[0].message, format!("{begun} passes are under way, the oldest is orders/0"));
    assert_eq!(unmet[0].action, "let one end, or cutover cancel orders/0");
    // One of them makes room, again and again: more end than are remembered.
    assert!(world.change(&ended(begun - 1)));
    for n in begun..4 * begun {
        assert!(world.change(&new_pass(n)) && world.change(&ended(n)), "{n}");
    }
    assert_eq!(running(&world), all[..begun - 1]);
    assert!(world.migration.document.evidence.len() <= begun, "what has ended is bounded");
    assert!(world.change(&ended(0)), "and counts when it ends");
    assert_eq!(world.migration.document.evidence.last().unwrap().job.id, "orders/0");
}

/// A tenant that has been at target-only, and everybody else at source-only.
pub(super) fn with_a_floor() -> World {
    let rung = Rung::TargetFirst;
    let placement = Placement { rung, floor: rung, since: 1, was: rung, ..Placement::START };
    let row = TenantRow { pin: Some(rung), ceiling: None, placement, overridden: 0 };
    let mut world = World::new();
    let document = (*world.migration.document).clone();
    world.migration = Migration::new(world.revision, document, [(name(1), row)].into_iter().collect());
    world
}

impl World {
    /// Ends a pass with these counts. Is it clean?
    fn ends_clean(&mut self, id: String, counts: PassCounts) -> bool {
        let (findings, ledgers) = Default::default();
        assert!(self.change(&Change::FinishJob { id, counts, findings, complete: true, ledgers }));
        self.migration.document.evidence.last().is_some_and(|pass| pass.clean)
    }
}

#[test]
fn a_floor_of_one_tenant_excuses_no_record_of_another() {
    for kind in [PassKind::Full, PassKind::Verify, PassKind::Sweep] {
        let mut world = with_a_floor();
        for remaining in [
            Differences { ahead: 1, ..Differences::default() },
            Differences { extra: 1, ..Differences::default() },
        ] {
            let id = world.begin(kind);
            let counts = PassCounts { remaining, target_only: 7, ..PassCounts::default() };
            assert!(!world.ends_clean(id, counts), "{kind:?}: {counts:?}");
        }
        let id = world.begin(kind);
        let counts = PassCounts { target_only: 7, ..PassCounts::default() };
        assert!(world.ends_clean(id, counts), "{kind:?}");
    }
}

/// Whose records a worker excused may have no floor any more.
#[test]
fn nobody_is_excused_in_a_pass_during_which_a_reverse_pass_ran() {
    let target_only = PassCounts { target_only: 7, ..PassCounts::default() };
    for reverse_first in [true, false] {
        for (counts, clean) in [(target_only, false), (PassCounts::default(), true)] {
            let mut world = with_a_floor();
            let kinds = [PassKind::Reverse, PassKind::Verify];
            let ids = if reverse_first { kinds } else { [kinds[1], kinds[0]] }.map(|kind| world.begin(kind));
            let [reverse, verify] = if reverse_first { ids } else { [ids[1].clone(), ids[0].clone()] };
            assert!(world.ends_clean(reverse, PassCounts::default()));
            assert_eq!(world.migration.placement(&name(1)).floor, Rung::SourceOnly);
            assert_eq!(world.ends_clean(verify, counts), clean, "{reverse_first}");
            let said = world.history.last().unwrap();
            assert_eq!(said.contains("7 written at target-only count as different"), !clean, "{said}");
        }
    }
}

#[test]
fn a_reverse_pass_opens_the_way_down_after_target_only() {
    let mut world = World::new();
    let settle = |world: &mut World| (0..3).for_each(|at| world.happen(&Happening::Quiesce(at)));
    let all_at = |world: &World, rung| world.rungs().iter().all(|at| *at == rung);
    for (ramp, rung) in [
        ([None, Some(PPM), None, None], Rung::Mirrored),
        ([None, None, Some(PPM), None], Rung::TargetFirst),
        ([None, None, None, Some(PPM)], Rung::TargetOnly),
    ] {
        world.happen(&Happening::Ramp(ramp));
        assert!(all_at(&world, rung));
        settle(&mut world);
        world.happen(&Happening::Pass(PassKind::Full));
    }
    world.happen(&Happening::Pass(PassKind::Reverse));
    world.happen(&Happening::Ramp([None, None, Some(0), Some(0)]));
    settle(&mut world);
    world.happen(&Happening::Step);
    assert!(all_at(&world, Rung::TargetFirst), "a pass begun at target-only proves nothing");
    settle(&mut world);
    world.happen(&Happening::Pass(PassKind::Reverse));
    world.happen(&Happening::Step);
    assert!(all_at(&world, Rung::Mirrored), "{:?}", world.rungs());
}

#[test]
fn a_document_of_an_earlier_version_knows_no_tables_until_a_worker_says_them() {
    let mut world = World::new();
    let mut stored = serde_json::to_value(&*world.migration.document).unwrap();
    assert!(stored.as_object_mut().unwrap().remove("tables").is_some());
    let read: Document = serde_json::from_value(stored).unwrap();
    assert_eq!(read, *world.migration.document);
    let id = world.begin(PassKind::Full);
    let table = |id: &str| {
        let (id, place, ledger) = (id.to_owned(), format!("at {id}"), String::new());
        Some(TableIdentity { id, place, ledger })
    };
    let tables = PassTables { source: table("one"), target: None };
    assert!(world.migration.must_learn(&tables));
    assert!(world.change(&Change::KnowTables { id: id.clone(), tables: tables.clone() }));
    assert_eq!(world.history.last().unwrap(), "passes work with source at one");
    assert!(!world.migration.must_learn(&tables));
    let more = PassTables { target: table("other"), ..tables.clone() };
    assert!(world.change(&Change::KnowTables { id, tables: more.clone() }), "of the target nobody knew");
    assert_eq!(world.migration.document.tables, more);
    assert!(world.migration.must_learn(&tables), "a target that can't be identified is another one");
}

/// It would lower floors, although the source that services use lacks what it copied.
#[test]
fn a_reverse_pass_into_another_source_is_refused() {
    let mut world = with_a_floor();
    let reverse = |id: &str, source: &str, new_tables| {
        let source =
            Some(TableIdentity { id: source.to_owned(), place: source.to_owned(), ledger: String::new() });
        Change::BeginJob(NewPass {
            removes_extra: false,
            source_wins: false,
            expected: 0,
            tables: PassTables { source, target: None },
            new_tables,
            id: id.to_owned(),
            kind: PassKind::Reverse,
            cover: Cover { upto_ppm: PPM, tenants: Vec::new() },
            fingerprint: String::new(),
            segments: 1,
            residual_ms: 0,
        })
    };
    let tables = PassTables {
        source: Some(TableIdentity {
            id: "here".to_owned(),
            place: "here".to_owned(),
            ledger: String::new(),
        }),
        target: None,
    };
    let Err(Refusal::Unmet(unmet)) = world.applied(&reverse("orders/two", "here", NewTables::default()))
    else {
        panic!("refused: nobody knows whether it is the right one")
    };
    assert!(unmet[0].message.contains("no pass has had the source yet"), "{unmet:?}");
    let id = world.begin(PassKind::Sample);
    assert!(world.change(&Change::KnowTables { id: id.clone(), tables }));
    world.end(id);
    let Err(Refusal::Unmet(unmet)) = world.applied(&reverse("orders/two", "elsewhere", NewTables::default()))
    else {
        panic!("refused")
    };
    assert_eq!(unmet[0].message, "this pass has the source elsewhere, earlier passes had here");
    assert!(unmet[0].action.contains("cutover reverse SPEC --new-tables source --reason .."), "{unmet:?}");
    let both = NewTables { source: true, target: true };
    let Err(Refusal::Unmet(unmet)) = world.applied(&reverse("orders/two", "elsewhere", both)) else {
        panic!("refused")
    };
    assert!(unmet[0].action.contains("cutover verify SPEC --new-tables target"), "{unmet:?}");
    let of_target = NewTables { source: false, target: true };
    assert!(!world.change(&reverse("orders/two", "elsewhere", of_target)), "the source is not excused");
    assert!(
        world.change(&reverse("orders/two", "elsewhere", NewTables { source: true, target: false })),
        "an operator says that it moved"
    );
}
