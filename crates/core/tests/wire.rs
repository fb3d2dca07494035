//! What crosses the wire arrives unchanged, or the receiver says why it can't be read.

use std::{collections::HashMap, sync::Arc};

use cutover_core::{
    routing::{Band, Error, Level, Policy, Reason, Route, Rung, Snapshot, Stage, Table},
    wire::{self, Assembled, Assembly, Misfit, UpdateKind},
};
use cutover_proto::v1;
use proptest::prelude::*;
use prost::Message as _;

fn to(rung: Rung) -> Route {
    Route { rung, reason: Reason::Pin, no_fallback: false }
}

fn table(revision: u64, overrides: &[(&str, Route)]) -> Table {
    Table::new(revision, "salt", &[Band { upto_ppm: 250_000, route: to(Rung::Dual) }], Policy::default())
        .with_overrides(overrides.iter().map(|(t, r)| (*t, Some(*r))))
}

/// A snapshot as the controller sends it: cut, packed and collected again.
fn sent(kind: UpdateKind, revision: u64, parts: Vec<v1::TablePart>, removed: Vec<String>) -> Assembled {
    let mut assembly = Assembly::default();
    let updates: Vec<_> = wire::updates(revision, parts, removed).collect();
    let (last, before) = updates.split_last().expect("at least one message");
    for update in before {
        assert_eq!(assembly.add(kind, update.clone()), Ok(None));
    }
    assembly.add(kind, last.clone()).expect("fits").expect("was the last")
}

fn snapshot_of(revision: u64, tables: &[(&str, &Table)]) -> Assembled {
    let parts = tables.iter().flat_map(|(key, table)| wire::parts(key, table, table.overrides(), []));
    sent(UpdateKind::Snapshot, revision, parts.collect(), vec![])
}

fn overrides(table: &Table) -> HashMap<String, Route> {
    table.overrides().map(|(tenant, route)| (tenant.to_owned(), route)).collect()
}

#[test]
fn every_name_goes_there_and_back_and_unknown_ones_are_refused() {
    for rung in Rung::ALL {
        assert_eq!(wire::rung_from_wire(v1::Rung::from(rung).into()), Ok(rung));
        assert_eq!(wire::stage_from_wire(v1::Stage::from(rung.stage()).into()), Ok(rung.stage()));
    }
    for reason in Reason::ALL {
        assert_eq!(wire::reason_from_wire(v1::Reason::from(reason).into()), Ok(reason));
    }
    for level in [Level::Acknowledged, Level::Linearizable] {
        assert_eq!(wire::level_from_wire(v1::Level::from(level).into()), Ok(level));
    }
    assert_eq!(v1::Stage::from(Stage::Hold), v1::Stage::Hold);
    for value in [0, 7, -1] {
        assert_eq!(wire::rung_from_wire(value).map_err(|unknown| unknown.value), Err(value));
    }
}

#[test]
fn a_huge_table_travels_in_parts_below_the_limit_and_is_applied_as_one() {
    let tenants: Vec<String> = (0..100_000).map(|i| format!("tenant-with-a-long-name-{i:032}")).collect();
    let table = Table::new(3, "salt", &[], Policy::default())
        .with_overrides(tenants.iter().map(|t| (t.as_str(), Some(to(Rung::Mirrored)))));
    let parts: Vec<_> = wire::parts("orders", &table, table.overrides(), []).collect();
    assert!(parts.len() > 5);
    assert!(parts.iter().all(|part| part.encoded_len() <= wire::PART_MAX_BYTES + 1_024));
    let updates: Vec<_> = wire::updates(9, parts.clone(), vec![]).collect();
    assert!(updates.iter().all(|update| update.encoded_len() <= wire::PART_MAX_BYTES + 2_048));
    assert_eq!(updates.iter().filter(|update| update.last).count(), 1);
    let state = sent(UpdateKind::Snapshot, 9, parts, vec![]);
    let snapshot = wire::apply(&Snapshot::default(), &state).expect("a snapshot always fits");
    assert_eq!(snapshot.revision(), 9);
    assert_eq!(overrides(snapshot.table("orders").expect("readable")), overrides(&table));
}

#[test]
fn many_small_tables_share_messages() {
    let small = table(1, &[("acme", to(Rung::Dual))]);
    let keys: Vec<String> = (0..100).map(|i| format!("m-{i}")).collect();
    let parts = keys.iter().flat_map(|key| wire::parts(key, &small, small.overrides(), []));
    assert_eq!(wire::updates(1, parts, vec![]).count(), 1);
    assert_eq!(wire::updates(1, [], vec![]).map(|update| update.last).collect::<Vec<_>>(), [true]);
}

#[test]
fn a_delta_changes_what_it_names_and_a_snapshot_replaces_everything() {
    let orders = table(1, &[("acme", to(Rung::Dual)), ("bolt", to(Rung::Dual))]);
    let users = table(2, &[]);
    let held = wire::apply(&Snapshot::default(), &snapshot_of(2, &[("orders", &orders), ("users", &users)]))
        .expect("a snapshot always fits");

    let head = orders.with_head(3, &[], Policy { shadow_ppm: 7, ..Policy::default() });
    let parts = wire::parts("orders", &head, [("core", to(Rung::TargetFirst))], ["acme"]).collect();
    let delta = sent(UpdateKind::Delta, 3, parts, vec!["users".to_owned()]);
    let next = wire::apply(&held, &delta).expect("fits");
    let now = next.table("orders").expect("readable");
    assert_eq!((next.revision(), now.revision(), now.policy().shadow_ppm), (3, 3, 7));
    assert_eq!(
        overrides(now),
        HashMap::from([("bolt".to_owned(), to(Rung::Dual)), ("core".to_owned(), to(Rung::TargetFirst))])
    );
    assert!(now.bands().is_empty());
    assert!(matches!(next.table("users"), Err(Error::UnknownMigration(_))));
    assert!(held.table("users").is_ok(), "what was held is left alone");

    let replaced = wire::apply(&next, &snapshot_of(4, &[("users", &users)])).expect("fits");
    assert!(matches!(replaced.table("orders"), Err(Error::UnknownMigration(_))));
}

#[test]
fn a_migration_deleted_and_created_again_in_one_delta_starts_afresh() {
    let old = table(1, &[("acme", to(Rung::Dual))]);
    let held = wire::apply(&Snapshot::default(), &snapshot_of(1, &[("orders", &old)])).expect("fits");
    let new = Table::new(5, "another", &[], Policy::default());
    let parts: Vec<_> = wire::parts("orders", &new, [], []).collect();
    let delta = sent(UpdateKind::Delta, 5, parts, vec!["orders".to_owned()]);
    let next = wire::apply(&held, &delta).expect("fits");
    let table = next.table("orders").expect("readable");
    assert_eq!((table.salt(), table.overrides().count()), ("another", 0));
}

#[test]
fn what_is_not_understood_makes_that_migration_unreadable_and_no_other() {
    type Harm = fn(&mut v1::TablePart);
    let harms: [(&str, Harm); 9] = [
        ("rung 99 is not known", |part| part.bands[0].rung = 99),
        ("reason 0 is not known", |part| part.bands[0].reason = 0),
        ("do not ascend", |part| part.bands.push(part.bands[0])),
        ("do not ascend", |part| part.bands[0].upto_ppm = 1_000_001),
        ("rung 12 is not known to this version, for tenant \"acme\"", |part| part.overrides[0].rung = 12),
        ("control character", |part| part.overrides[0].tenant = "a\nb".to_owned()),
        ("no policy", |part| part.policy = None),
        ("no salt", |part| part.salt.clear()),
        ("level 0", |part| part.policy.as_mut().expect("has one").level = 0),
    ];
    let good = table(1, &[("acme", to(Rung::Dual))]);
    for (expected, harm) in harms {
        let mut state = snapshot_of(1, &[("orders", &good), ("users", &good)]);
        harm(&mut state.tables[0]);
        let snapshot = wire::apply(&Snapshot::default(), &state).expect("fits");
        assert!(snapshot.decide("users", "acme").is_ok(), "{expected}");
        match snapshot.decide("orders", "acme") {
            Err(Error::Unreadable { what, .. }) => assert!(what.contains(expected), "{what}: {expected}"),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn parts_that_contradict_each_other_are_unreadable() {
    let one = table(1, &[("acme", to(Rung::Dual))]);
    let other = table(2, &[("bolt", to(Rung::Dual))]);
    let mut parts: Vec<_> = wire::parts("orders", &one, one.overrides(), []).collect();
    parts.extend(wire::parts("orders", &other, other.overrides(), []));
    let state = sent(UpdateKind::Snapshot, 2, parts, vec![]);
    let snapshot = wire::apply(&Snapshot::default(), &state).expect("fits");
    assert!(matches!(snapshot.table("orders"), Err(Error::Unreadable { .. })));
}

#[test]
fn a_delta_without_its_base_asks_for_a_snapshot() {
    let mut unreadable = Snapshot::empty(4);
    unreadable.insert("orders", Err("rung 99".to_owned()));
    unreadable.insert("users", Ok(Arc::new(table(1, &[]))));
    let delta = |key: &str, salt: &str, revision| {
        let mut parts: Vec<_> = wire::parts(key, &table(5, &[]), [], []).collect();
        parts[0].salt = salt.to_owned();
        wire::apply(&unreadable, &sent(UpdateKind::Delta, revision, parts, vec![]))
    };
    assert!(matches!(delta("orders", "salt", 5), Err(Misfit::Baseless { .. })), "was unreadable");
    assert!(matches!(delta("users", "other", 5), Err(Misfit::Baseless { .. })), "another salt");
    assert!(matches!(delta("new", "", 5), Err(Misfit::Baseless { .. })), "new, without a salt");
    assert!(matches!(delta("users", "salt", 3), Err(Misfit::Backwards { held: 4, got: 3 })));
    assert!(delta("users", "", 5).is_ok(), "no salt: as it was");
    assert!(delta("new", "salt", 5).is_ok(), "a new migration comes whole");

    let mut assembly = Assembly::default();
    let part = |revision, last| v1::Update { revision, last, ..Default::default() };
    assert_eq!(assembly.add(UpdateKind::Snapshot, part(7, false)), Ok(None));
    let mixed = assembly.add(UpdateKind::Snapshot, part(8, true));
    assert_eq!(mixed, Err(Misfit::Mixed { expected: 7, got: 8 }));
}

fn routes() -> impl Strategy<Value = Route> {
    (0..6_usize, 0..5_usize, any::<bool>()).prop_map(|(rung, reason, no_fallback)| Route {
        rung: Rung::ALL[rung],
        reason: Reason::ALL[reason],
        no_fallback,
    })
}

proptest! {
    /// Any table, cut, encoded, decoded and applied, is the same table.
    #[test]
    fn a_table_survives_the_wire(
        bands in prop::collection::btree_map(1..=1_000_000_u32, routes(), 0..6),
        overrides_in in prop::collection::hash_map("\\PC{1,20}", routes(), 0..50),
        salt in "[a-z]{1,9}", revision in any::<u64>(), numbers in any::<(u32, u32, bool, bool)>(), shadow_ppm in 0..=1_000_000_u32,
        limits in (1..=500_000_u32, 1..=500_000_u32),
    ) {
        let bands: Vec<Band> = bands.into_iter().map(|(upto_ppm, route)| Band { upto_ppm, route }).collect();
        let level = if numbers.2 { Level::Linearizable } else { Level::Acknowledged };
        let policy = Policy {
            level,
            hold_timeout_ms: numbers.0,
            fence_after_ms: numbers.1,
            shadow_ppm,
            local_guard: numbers.3,
            local_guard_read_ppm: limits.0,
            local_guard_write_ppm: limits.1,
        };
        let table = Table::new(revision, &salt, &bands, policy)
            .with_overrides(overrides_in.iter().map(|(t, r)| (t.as_str(), Some(*r))));
        let parts = wire::parts("orders", &table, table.overrides(), []).map(|part| {
            v1::TablePart::decode(part.encode_to_vec().as_slice()).expect("decodes what was encoded")
        });
        let state = sent(UpdateKind::Snapshot, revision, parts.collect(), vec![]);
        let snapshot = wire::apply(&Snapshot::default(), &state).expect("fits");
        let got = snapshot.table("orders").expect("readable");
        prop_assert_eq!((got.revision(), got.salt(), got.bands(), got.policy()), (revision, salt.as_str(), &bands[..], policy));
        prop_assert_eq!(overrides(got), overrides_in);
    }
}
