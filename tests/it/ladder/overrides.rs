//! An override is for the tenants of one request, until that request is done for them.

use cutover::domain::{Ask, Change, Document, Gate, Policy, Shares};
use cutover_core::routing::{PPM, Rung};

use super::{Happening, TENANTS, World, name};

fn ask(overrides: &[Gate]) -> Ask {
    Ask { wait: true, overrides: overrides.to_vec() }
}

fn target_first(ppm: u32, overrides: &[Gate]) -> Change {
    let shares = Shares { target_first_ppm: Some(ppm), ..Shares::default() };
    Change::SetRollout { shares, ask: ask(overrides) }
}

fn pin(at: u32, rung: Rung, overrides: &[Gate]) -> Change {
    Change::SetPins { pins: vec![(name(at), rung)], ask: ask(overrides) }
}

impl World {
    /// Everybody at mirrored, settled, and no pass.
    fn mirrored() -> Self {
        let mut world = Self::new();
        world.happen(&Happening::Ramp([None, Some(PPM), None, None]));
        world.settle();
        world
    }

    fn settle(&mut self) {
        (0..3).for_each(|at| self.happen(&Happening::Quiesce(at)));
        self.happen(&Happening::Step);
    }

    fn asked(&mut self, change: &Change) {
        assert!(self.change(change), "{change:?} is taken on");
        self.settle();
    }

    fn asked_without_settling(&mut self, change: &Change) {
        assert!(self.change(change), "{change:?} is taken on");
        self.happen(&Happening::Step);
    }

    fn at(&self, rung: Rung) -> Vec<u32> {
        (0..TENANTS).filter(|at| self.migration.placement(&name(*at)).rung == rung).collect()
    }

    fn bucket(&self, at: u32) -> u32 {
        self.migration.bucket(&name(at))
    }

    /// Tenants whose bucket is below a share.
    fn below(&self, ppm: u32) -> Vec<u32> {
        (0..TENANTS).filter(|at| self.bucket(*at) < ppm).collect()
    }
}

#[test]
fn a_pin_with_an_override_moves_its_tenant_alone() {
    let mut world = World::mirrored();
    world.asked(&target_first(PPM, &[]));
    assert!(world.at(Rung::TargetFirst).is_empty(), "the ramp waits for a full pass");
    world.asked(&pin(7, Rung::TargetFirst, &[Gate::FullPass]));
    assert_eq!(world.at(Rung::TargetFirst), [7], "the override is for the pinned tenant");
    assert!(world.migration.document.overrides.is_empty(), "and over once that has arrived");
}

#[test]
fn what_others_ask_later_does_not_revoke_an_override() {
    let mut world = World::mirrored();
    world.members[0].applied = 0;
    assert!(world.change(&target_first(PPM / 2, &[Gate::FullPass])));
    world.happen(&Happening::Step);
    assert!(world.at(Rung::TargetFirst).is_empty(), "the barrier can't be overridden");
    let overridden = world.below(PPM / 2);
    let (pinned, other) = (overridden[0], *overridden.last().unwrap());
    let policy = Policy { shadow_ppm: 7, ..world.migration.document.policy.clone() };
    for change in [
        pin(pinned, Rung::Mirrored, &[]),
        Change::Update { description: None, policy: Some(policy), guards: Vec::new() },
        Change::Pause,
        Change::Resume,
        target_first(PPM * 3 / 4, &[]),
    ] {
        assert!(world.change(&change), "{change:?}");
    }
    world.settle();
    let expected: Vec<u32> = overridden.iter().copied().filter(|at| *at != pinned).collect();
    assert_eq!(world.at(Rung::TargetFirst), expected, "all of the request but who was asked elsewhere");
    assert!(expected.contains(&other) && world.below(PPM * 3 / 4).len() > overridden.len());
}

#[test]
fn an_unpinned_tenant_does_not_inherit_the_override_of_its_bucket() {
    let mut world = World::mirrored();
    world.members[0].applied = 0;
    world.asked_without_settling(&pin(7, Rung::Mirrored, &[]));
    world.asked_without_settling(&target_first(PPM, &[Gate::FullPass]));
    world.asked_without_settling(&Change::ClearPin { tenant: name(7), ask: ask(&[]) });
    assert!(world.migration.tenants.contains_key(&name(7)), "it must not join tenants who pass a gate");
    world.settle();
    assert_eq!(world.at(Rung::Mirrored), [7], "nobody overrode the full pass for it");
    world.happen(&Happening::Pass(cutover::domain::PassKind::Full));
    world.settle();
    assert!(world.at(Rung::Mirrored).is_empty(), "with the pass it follows");
}

#[test]
fn an_override_ends_when_its_tenants_turn_back() {
    let mut world = World::mirrored();
    world.members[0].applied = 0;
    world.asked_without_settling(&target_first(PPM, &[Gate::FullPass]));
    world.asked_without_settling(&target_first(0, &[]));
    assert!(world.migration.document.overrides.is_empty());
    world.asked(&target_first(PPM, &[]));
    assert!(world.at(Rung::TargetFirst).is_empty(), "the next request has to bring its own");
    world.asked(&target_first(PPM, &[Gate::FullPass]));
    assert_eq!(world.at(Rung::TargetFirst).len(), TENANTS as usize, "asked again with one, it goes on");
}

#[test]
fn an_override_leads_no_further_than_its_request() {
    let mut world = World::mirrored();
    world.asked(&target_first(PPM, &[Gate::FullPass, Gate::Soak]));
    let shares = Shares { target_only_ppm: Some(PPM), ..Shares::default() };
    world.asked(&Change::SetRollout { shares, ask: ask(&[]) });
    assert_eq!(world.at(Rung::TargetFirst).len(), TENANTS as usize, "target-only needs a pass of its own");
}

#[test]
fn every_override_is_in_the_history() {
    let mut world = World::mirrored();
    world.asked(&target_first(PPM, &[Gate::FullPass]));
    let shares = Shares { target_only_ppm: Some(PPM), ..Shares::default() };
    world.asked(&Change::SetRollout { shares, ask: ask(&[Gate::FullPass]) });
    let finish = Change::Finish { confirm: "orders".to_owned(), overrides: vec![Gate::Soak] };
    world.asked(&finish);
    let told: Vec<&String> = world.history.iter().filter(|line| line.starts_with("OVERRIDE")).collect();
    assert_eq!(told.len(), 3, "{:?}", world.history);
    assert_eq!(told[2], "OVERRIDE of gate soak by operator:ada: why");
}

#[test]
fn a_document_with_an_override_for_everybody_is_read_without_it() {
    let mut older = serde_json::to_value(&*World::new().migration.document).unwrap();
    let fields = older.as_object_mut().unwrap();
    fields.remove("overrides");
    fields.insert("overridden".to_owned(), serde_json::json!(["full-pass"]));
    let read: Document = serde_json::from_value(older).unwrap();
    assert!(read.overrides.is_empty(), "nobody goes up by it: ask again");
}
