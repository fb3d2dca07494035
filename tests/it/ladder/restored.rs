//! A store that was restored routes nobody by what it says before an operator has said what it can't know.

use std::time::Duration;

use cutover::domain::{
    Change, Confirmation, Deletion, Fleet, Gate, HeldRoutes, Migration, Placement, Refusal, Tenant,
    TenantRow, change,
};
use cutover_core::routing::{Band, PPM, Reason, Route, Rung};

use super::{Happening, TENANTS, World, name};

fn confirmation(target_only_ppm: u32) -> Confirmation {
    Confirmation { target_only_ppm, ..Confirmation::default() }
}

fn confirm(target_only_ppm: u32) -> Change {
    Change::ConfirmRestore(confirmation(target_only_ppm))
}

impl World {
    /// Of a backup that was made when tenants stood there, with a tenant at target-first by its pin.
    fn restored(shares: [Option<u32>; 4]) -> Self {
        let mut world = Self::new();
        world.happen(&Happening::Ramp([None, Some(PPM), None, None]));
        world.all_settle();
        world.happen(&Happening::Pass(cutover::domain::PassKind::Full));
        world.happen(&Happening::Ramp(shares));
        world.all_settle();
        let change = Change::SuspectRestore {
            why: "the store was restored from backup.db".to_owned(),
            put_back: false,
        };
        assert!(world.change(&change));
        // Acknowledgements are of another history, or of no process at all.
        world.members.iter_mut().for_each(|member| (member.received, member.applied) = (0, 0));
        world
    }

    fn all_settle(&mut self) {
        for _ in 0..4 {
            (0..3).for_each(|at| self.happen(&Happening::Quiesce(at)));
            self.happen(&Happening::Step);
        }
    }

    fn rung(&self, at: u32) -> Rung {
        self.migration.placement(&name(at)).rung
    }

    fn unmet(&self, change: &Change) -> Vec<Gate> {
        match self.refused(change) {
            Refusal::Unmet(unmet) => unmet.into_iter().map(|unmet| unmet.gate).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn refused(&self, change: &Change) -> Refusal {
        self.applied(change).expect_err("refused")
    }
}

#[test]
fn a_confirmation_waits_for_a_lost_process_and_says_how_to_end_that() {
    let mut world = World::restored([None, Some(PPM), None, None]);
    let mut refused = |waited_for: Option<u64>| {
        world.members[1].lost = true;
        world.members[1].waited_for = waited_for.map(Duration::from_secs);
        match world.refused(&confirm(0)) {
            Refusal::Unmet(unmet) => unmet[0].clone(),
            other => panic!("{other:?}"),
        }
    };
    let dead = refused(None);
    assert!(
        !dead.by_itself && dead.action.contains("cutover evict") && dead.action.contains(" --lost"),
        "{dead:?}"
    );
    // It said goodbye, or was evicted, and its snapshot file has not expired: `evict --lost` leaves it there.
    let parked = refused(Some(3_000));
    assert!(parked.by_itself && parked.action.contains("wait at most 50 min more"), "{parked:?}");
    let name = &world.members[1].name;
    assert!(parked.action.contains(&format!("cutover evict {name} --lost")), "{parked:?}");
}

#[test]
fn nobody_is_routed_by_what_the_backup_says() {
    let mut world = World::restored([None, None, Some(PPM / 2), None]);
    let table = world.migration.table();
    assert!(table.is_restored());
    for at in 0..TENANTS {
        let route = table.route(name(at).as_str());
        assert_eq!((route.rung, route.reason), (Rung::Hold, Reason::Restored));
    }
    // Nor by a pin, whether it was there or is asked for now.
    world.happen(&Happening::Pin(3, Rung::SourceOnly));
    assert_eq!(world.migration.table().route(name(3).as_str()).reason, Reason::Restored);
    assert_eq!(world.migration.table().overrides().count(), 0);
}

/// Found by the simulation (seed 15): the operators were never told, because nobody was on the way.
#[test]
fn what_everybody_waits_for_is_told_even_if_nobody_is_on_the_way() {
    let mut world = World::new();
    assert!(world.change(&Change::SuspectRestore { why: "restored".to_owned(), put_back: false }));
    let waiting = change::waiting(&world.migration, &Fleet::default(), 1);
    assert_eq!(waiting.iter().map(|unmet| unmet.gate).collect::<Vec<_>>(), [Gate::Restored]);
    let waiting = change::waiting_of(&world.migration, &name(1), &Fleet::default(), 1);
    assert_eq!(waiting.iter().map(|unmet| unmet.gate).collect::<Vec<_>>(), [Gate::Restored]);
}

#[test]
fn who_may_be_anywhere_is_on_hold_until_everybody_has_heard() {
    // By the backup at source-only; who knows since when they are at target-first.
    for shares in [[Some(0), Some(0), Some(0), None], [None, None, Some(PPM), None]] {
        let mut world = World::restored(shares);
        let goal = if shares[2] == Some(PPM) { Rung::Mirrored } else { Rung::SourceOnly };
        assert!(world.change(&confirm(0)));
        assert!((0..TENANTS).all(|at| world.rung(at) == Rung::Hold));
        (0..2).for_each(|at| world.happen(&Happening::Quiesce(at)));
        world.happen(&Happening::Receive(2));
        world.happen(&Happening::Step);
        assert!((0..TENANTS).all(|at| world.rung(at) == Rung::Hold), "one still runs what it had begun");
        world.happen(&Happening::Quiesce(2));
        world.happen(&Happening::Step);
        assert!((0..TENANTS).all(|at| world.rung(at) == goal), "the old pass shows nothing any more");
        world.all_settle();
        assert!((0..TENANTS).all(|at| world.rung(at) == goal));
    }
}

#[test]
fn who_has_writes_in_the_target_alone_keeps_reading_it() {
    let mut world = World::restored([None, None, Some(PPM), None]);
    let pinned = name(5);
    let tenants = vec![pinned.clone()];
    let confirmation = Confirmation { tenants, ..confirmation(PPM / 10) };
    assert!(world.change(&Change::ConfirmRestore(confirmation)));
    for at in 0..TENANTS {
        let placement = world.migration.placement(&name(at));
        let is_named = name(at) == pinned || world.migration.bucket(&name(at)) < PPM / 10;
        let expected =
            if is_named { (Rung::TargetFirst, Rung::TargetFirst) } else { (Rung::Hold, Rung::SourceOnly) };
        assert_eq!((placement.rung, placement.floor), expected);
        assert_eq!(world.migration.table().route(name(at).as_str()).no_fallback, is_named);
    }
    assert!(world.change(&Change::Rollback { tenant: None }));
    world.all_settle();
    assert_eq!(world.rung(5), Rung::TargetFirst, "its floor holds");
}

#[test]
fn what_the_backup_itself_knows_is_not_forgotten() {
    let mut world = World::restored([None, None, Some(PPM), None]);
    let placement =
        Placement { rung: Rung::TargetFirst, floor: Rung::TargetFirst, since: 1, ..Placement::START };
    let row = TenantRow { pin: Some(Rung::TargetFirst), ceiling: None, placement, overridden: 0 };
    let document = (*world.migration.document).clone();
    let rows = [(name(7), row)].into_iter().collect();
    world.migration = Migration::new(world.revision, document, rows);
    assert_eq!(world.unmet(&confirm(0)), [Gate::Floor]);
    assert_eq!(world.unmet(&confirm(PPM)), [Gate::Floor], "it has a pin of its own");
    let reversed = Confirmation { reversed: true, ..Confirmation::default() };
    assert!(world.change(&Change::ConfirmRestore(reversed)));
    assert_eq!((world.rung(7), world.migration.placement(&name(7)).floor), (Rung::Hold, Rung::SourceOnly));
}

#[test]
fn a_lost_instance_has_to_be_seen_to_before() {
    let mut world = World::restored([None, None, Some(PPM), None]);
    world.happen(&Happening::Lose(1));
    assert_eq!(world.unmet(&confirm(0)), [Gate::Barrier]);
    world.members.remove(1);
    assert!(world.change(&confirm(0)));
}

#[test]
fn a_fence_counts_only_for_those_who_heard_of_it_after_the_restore() {
    let mut world = World::restored([None, None, Some(PPM), None]);
    let mut document = (*world.migration.document).clone();
    (document.policy.fence_after_ms, document.fenced_since) = (5_000, 2);
    world.migration = Migration::new(world.revision, document, Default::default());
    assert!(world.change(&confirm(0)));
    assert_eq!(world.migration.document.fenced_since(), Some(world.revision));
}

/// What an instance held: 10 % at target-only, up to 30 % at target-first, the others at mirrored.
fn held() -> HeldRoutes {
    let bands = [(100_000, Rung::TargetOnly), (300_000, Rung::TargetFirst), (PPM, Rung::Mirrored)];
    let bands = bands.map(|(upto_ppm, rung)| Band { upto_ppm, route: route(rung) }).to_vec();
    HeldRoutes {
        instance_id: "a".to_owned(),
        salt: "orders".to_owned(),
        bands,
        exceptions: Vec::new(),
        is_known: true,
    }
}

fn route(rung: Rung) -> Route {
    Route { rung, reason: Reason::Rollout, no_fallback: false }
}

fn checked(confirmation: &Confirmation, held: &HeldRoutes) -> Result<(), String> {
    let world = World::restored([None, None, Some(PPM), None]);
    let checked = confirmation.check(&world.migration.document, held);
    checked.map_err(|unmet| format!("{}: {}", unmet.message, unmet.action))
}

#[test]
fn what_is_confirmed_has_to_fit_what_instances_routed_by() {
    let said = |target_only_ppm, reversed| {
        checked(&Confirmation { target_only_ppm, reversed, ..Confirmation::default() }, &held())
    };
    // In between, the controller may have been a step ahead of the instance.
    for fits in [100_000, 200_000, 300_000] {
        assert_eq!(said(fits, false), Ok(()));
    }
    for reversed in [false, true] {
        let refused = said(99_999, reversed).unwrap_err();
        assert!(
            refused.contains("--target-only 10"),
            "nothing was copied back that is written now: {refused}"
        );
    }
    assert!(said(300_001, false).unwrap_err().contains("--target-only 30 or less"));
    let mut floored = held();
    floored.bands[0].route = Route { no_fallback: true, ..route(Rung::TargetFirst) };
    let reversed = Confirmation { reversed: true, ..Confirmation::default() };
    assert_eq!(checked(&reversed, &floored), Ok(()));
    assert!(checked(&confirmation(0), &floored).is_err());
    let other = HeldRoutes { salt: "another".to_owned(), ..held() };
    assert!(checked(&confirmation(100_000), &other).unwrap_err().contains("another migration"));
}

#[test]
fn tenants_that_differ_from_their_bucket_have_to_be_named() {
    let (low, high) =
        (name(at_bucket(|bucket| bucket < 100_000)), name(at_bucket(|bucket| bucket > 300_000)));
    let exceptions = vec![(low.clone(), route(Rung::Dual)), (high.clone(), route(Rung::TargetOnly))];
    let held = HeldRoutes { exceptions, ..held() };
    let said = |tenants: &[Tenant], except: &[Tenant]| {
        let (tenants, except) = (tenants.to_vec(), except.to_vec());
        checked(&Confirmation { tenants, except, ..confirmation(100_000) }, &held)
    };
    let (tenants, except) = ([high.clone()], [low.clone()]);
    assert!(said(&tenants, &[]).unwrap_err().contains(&format!("--except {low}")));
    assert!(said(&[], &except).unwrap_err().contains(&format!("--tenant {high}")));
    assert_eq!(said(&tenants, &except), Ok(()));

    let mut world = World::restored([None, None, Some(PPM), None]);
    let row = TenantRow { pin: None, ceiling: Some(Rung::Dual), placement: Placement::START, overridden: 0 };
    let document = (*world.migration.document).clone();
    let rows = [(low.clone(), row)].into_iter().collect();
    world.migration = Migration::new(world.revision, document, rows);
    assert_eq!(world.unmet(&confirm(100_000)), [Gate::Floor], "by the backup it was rolled back alone");
    let (tenants, except) = (tenants.to_vec(), except.to_vec());
    let named = Confirmation { tenants, except, ..confirmation(100_000) };
    assert!(world.change(&Change::ConfirmRestore(named)));
    assert_eq!(world.migration.placement(&low).rung, Rung::Hold);
    assert_eq!(world.migration.placement(&high).rung, Rung::TargetFirst);
}

#[test]
fn who_has_writes_in_the_target_alone_of_which_a_confirmed_store_does_not_know_is_noticed() {
    let confirmed = |said_ppm: u32| {
        let mut world = World::restored([None, None, Some(PPM), None]);
        assert!(world.change(&confirm(said_ppm)));
        world.migration
    };
    // 10 % at target-only, as held by an instance.
    let at = |rung: Rung| HeldRoutes {
        bands: vec![
            Band { upto_ppm: 100_000, route: route(rung) },
            Band { upto_ppm: PPM, route: route(Rung::Dual) },
        ],
        ..held()
    };
    assert!(at(Rung::TargetOnly).goes_beyond(&confirmed(0)));
    assert!(at(Rung::TargetOnly).goes_beyond(&confirmed(99_999)), "of some of them only");
    assert!(!at(Rung::TargetOnly).goes_beyond(&confirmed(100_000)));
    assert!(!at(Rung::TargetFirst).goes_beyond(&confirmed(0)), "their writes are in both");
    assert!(!at(Rung::Hold).goes_beyond(&confirmed(0)));
    let mut floored = at(Rung::TargetFirst);
    floored.bands[0].route.no_fallback = true;
    assert!(floored.goes_beyond(&confirmed(0)));
    let other = HeldRoutes { salt: "another".to_owned(), ..at(Rung::TargetOnly) };
    assert!(other.goes_beyond(&confirmed(PPM)), "another migration of this name");

    // One tenant that differs from its bucket, there or here.
    let low = name(at_bucket(|bucket| bucket < 100_000));
    let named = |rung: Rung| vec![(low.clone(), route(rung))];
    let alone = HeldRoutes { exceptions: named(Rung::TargetOnly), ..at(Rung::Dual) };
    assert!(alone.goes_beyond(&confirmed(0)) && !alone.goes_beyond(&confirmed(100_000)));
    let mut migration = confirmed(100_000);
    let row = TenantRow { pin: None, ceiling: None, placement: Placement::START, overridden: 0 };
    let rows = [(low.clone(), row)].into_iter().collect();
    migration = Migration::new(migration.revision, (*migration.document).clone(), rows);
    assert!(at(Rung::TargetOnly).goes_beyond(&migration));
    let except = HeldRoutes { exceptions: named(Rung::Dual), ..at(Rung::TargetOnly) };
    assert!(!except.goes_beyond(&migration));
    let mut document = (*confirmed(0).document).clone();
    document.finished_at_ms = Some(1);
    let finished = Migration::new(1, document, Default::default());
    assert!(!at(Rung::TargetOnly).goes_beyond(&finished), "everybody is at target-only");
}

#[test]
fn a_finished_migration_is_held_as_well_and_none_is_deleted() {
    let mut world = World::restored([None, None, Some(PPM), None]);
    assert_eq!(world.unmet(&Change::Delete(Deletion::default())), [Gate::Restored]);
    world = World::new();
    let mut document = (*world.migration.document).clone();
    document.finished_at_ms = Some(1);
    world.migration = Migration::new(world.revision, document, Default::default());
    assert!(world.change(&Change::SuspectRestore { why: "restored".to_owned(), put_back: false }));
    assert!(world.migration.table().is_restored());
    assert!(world.change(&confirm(0)));
    assert!(!world.migration.table().is_restored());
    assert_eq!(world.migration.document.finished_at_ms, Some(1));
}

#[test]
fn nobody_keeps_what_a_store_that_was_put_back_has_said() {
    let mut world = World::new();
    assert!(world.change(&Change::SuspectRestore { why: "put back".to_owned(), put_back: true }));
    let table = world.migration.table();
    assert!(!table.is_restored());
    assert_eq!(table.route(name(1).as_str()).rung, Rung::Hold);
}

fn at_bucket(is_wanted: impl Fn(u32) -> bool) -> u32 {
    let world = World::new();
    (0..TENANTS).find(|at| is_wanted(world.migration.bucket(&name(*at)))).expect("there is one")
}
