//! An operator asserts that a table is a new one: what was shown or allowed for the earlier one no longer counts.

use super::*;

const NEW_TARGET: NewTables = NewTables { source: false, target: true };

fn tables(place: &str) -> PassTables {
    let table =
        |id: &str| Some(TableIdentity { id: id.to_owned(), place: place.to_owned(), ledger: String::new() });
    PassTables { source: table("one"), target: table("other") }
}

fn full(id: &str, tables: PassTables, new_tables: NewTables, segments: u32) -> Change {
    Change::BeginJob(NewPass {
        removes_extra: false,
        source_wins: false,
        expected: 0,
        tables,
        new_tables,
        id: id.to_owned(),
        kind: PassKind::Full,
        cover: Cover { upto_ppm: PPM, tenants: Vec::new() },
        fingerprint: String::new(),
        segments,
        residual_ms: 0,
    })
}

fn target_first(overrides: &[Gate]) -> Change {
    let shares = Shares { target_first_ppm: Some(PPM), ..Shares::default() };
    Change::SetRollout { shares, ask: Ask { wait: !overrides.is_empty(), overrides: overrides.to_vec() } }
}

fn settle(world: &mut World) {
    for _ in 0..4 {
        (0..3).for_each(|at| world.happen(&Happening::Quiesce(at)));
        world.happen(&Happening::Step);
    }
}

/// Everybody at mirrored, settled.
fn mirrored() -> World {
    let mut world = World::new();
    world.happen(&Happening::Ramp([None, Some(PPM), None, None]));
    settle(&mut world);
    world
}

/// The same with a clean full pass of these tables.
fn passed(tables: PassTables) -> World {
    let mut world = mirrored();
    assert!(world.change(&full("orders/first", tables, NewTables::default(), 1)));
    world.end("orders/first".to_owned());
    assert!(world.applied(&target_first(&[])).is_ok(), "the gate is open");
    world
}

#[test]
fn a_restored_table_with_the_same_identity_or_none_voids_earlier_passes() {
    for tables in [tables("here"), PassTables::default()] {
        let mut world = passed(tables.clone());
        let id = world.begin(PassKind::Verify);
        let restored = full("orders/restored", tables.clone(), NEW_TARGET, 1);
        let Err(Refusal::Unmet(unmet)) = world.applied(&restored) else { panic!("refused beside a pass") };
        assert!(unmet[0].message.contains(&format!("{id} is under way")), "{unmet:?}");
        world.end(id);
        assert!(world.change(&restored));
        assert!(world.history.iter().any(|line| line.contains("these tables are new: target")));
        assert!(world.applied(&target_first(&[])).is_err(), "it is closed at once");
        world.end("orders/restored".to_owned());
        assert!(world.applied(&target_first(&[])).is_ok(), "until the new pass has ended clean");
    }
}

#[test]
fn an_override_for_the_earlier_tables_moves_nobody_to_new_ones() {
    for new_tables in [NewTables::default(), NEW_TARGET] {
        let mut world = mirrored();
        world.members[0].applied = 0;
        assert!(world.change(&target_first(&[Gate::FullPass])), "it waits for an instance");
        assert!(!world.migration.document.overrides.is_empty());
        assert!(world.change(&full("orders/one", tables("here"), new_tables, 1)));
        settle(&mut world);
        let reached = if new_tables.any() { Rung::Mirrored } else { Rung::TargetFirst };
        assert!(world.rungs().iter().all(|rung| *rung == reached), "{:?}", world.rungs());
    }
}

#[test]
fn one_table_by_two_places_is_learned_once() {
    let mut world = passed(tables("a socket"));
    assert!(!world.migration.must_learn(&tables("127.0.0.1")));
    let known = world.migration.document.tables.clone();
    assert!(world.change(&full("orders/second", tables("127.0.0.1"), NewTables::default(), 1)));
    assert_eq!(world.migration.document.tables, known);
}

#[test]
fn a_pass_without_segments_says_its_tables_once_they_are_known() {
    let mut world = passed(tables("here"));
    let silent = full("orders/silent", PassTables::default(), NewTables::default(), 0);
    assert!(world.applied(&silent).is_err());
    assert!(world.change(&full("orders/said", tables("here"), NewTables::default(), 0)));
    let moved = full("orders/moved", tables("here"), NEW_TARGET, 1);
    assert!(world.applied(&moved).is_err(), "it would end with evidence about the earlier target");
}
