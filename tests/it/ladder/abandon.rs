//! The way out after a rollback: only once everybody has quiesced at source-only, and then for good.

use cutover::domain::{
    Ask, Change, Confirmation, Context, Deletion, Fleet, Gate, Identity, Member, PassKind, Refusal, Shares,
    State, apply,
};
use cutover_core::routing::{PPM, Rung};

use super::{Happening, World, name};

impl World {
    fn refusal(&self, change: &Change, reason: &str) -> Option<Refusal> {
        let fleet = Fleet::new(self.members.clone());
        let revision = self.revision + 1;
        let (now_ms, steady_ms, actor) = (revision, revision, "operator:ada");
        let identity = &Identity::Unproven;
        let context = Context { revision, now_ms, steady_ms, actor, identity, reason, fleet: &fleet };
        apply(Some(&self.migration), &self.key, change, &context).err()
    }

    /// The gates in the way.
    fn gates(&self) -> Vec<Gate> {
        match self.refusal(&Change::Abandon, "why") {
            Some(Refusal::Unmet(unmet)) => unmet.into_iter().map(|unmet| unmet.gate).collect(),
            None => Vec::new(),
            Some(other) => panic!("{other:?}"),
        }
    }
}

fn settle(world: &mut World) {
    for _ in 0..4 {
        (0..3).for_each(|at| world.happen(&Happening::Quiesce(at)));
        world.happen(&Happening::Step);
    }
}

/// Everybody has been at dual, and is rolled back.
fn rolled_back() -> World {
    let mut world = World::new();
    world.happen(&Happening::Ramp([Some(PPM), None, None, None]));
    settle(&mut world);
    assert_eq!(world.gates(), [Gate::Stage], "everybody is at dual");
    world.happen(&Happening::Rollback(None));
    world
}

#[test]
fn it_waits_for_everybody_the_lost_and_callers_included() {
    let mut world = rolled_back();
    assert_eq!(world.gates(), [Gate::Barrier], "nobody has acknowledged source-only");
    (0..2).for_each(|at| world.happen(&Happening::Quiesce(at)));
    // An operation of it may still write the target.
    world.happen(&Happening::Receive(2));
    assert_eq!(world.gates(), [Gate::Barrier], "received is not quiesced");
    world.happen(&Happening::Lose(2));
    assert_eq!(world.gates(), [Gate::Barrier], "a lost instance may come back with what it had");
    world.happen(&Happening::Quiesce(2));
    assert!(world.gates().is_empty());
    // Answers of Decide that have not expired, and a saved snapshot that may still be started from.
    let caller = Member { lost: true, applied: 1, ..world.members[0].clone() };
    world.members.push(caller);
    assert_eq!(world.gates(), [Gate::Barrier]);
}

#[test]
fn it_needs_a_reason_and_no_pass_and_nobody_on_the_way() {
    let mut world = rolled_back();
    settle(&mut world);
    assert!(matches!(world.refusal(&Change::Abandon, ""), Some(Refusal::Invalid(_))));
    let job = world.begin(PassKind::Full);
    assert_eq!(world.gates(), [Gate::Stage]);
    world.end(job);
    assert!(world.gates().is_empty());
    world.happen(&Happening::Acknowledge);
    world.happen(&Happening::Pin(3, Rung::Dual));
    settle(&mut world);
    assert_eq!(world.gates(), [Gate::Stage], "one tenant is elsewhere");
    world.happen(&Happening::Rollback(Some(3)));
    settle(&mut world);
    assert!(world.gates().is_empty());
}

#[test]
fn an_abandoned_migration_moves_nobody_whatever_is_asked_and_can_be_deleted() {
    let mut world = rolled_back();
    // A latched ceiling and a pin above it stay where they are.
    settle(&mut world);
    assert!(world.refusal(&Change::Delete(Deletion::default()), "why").is_some(), "not before");
    assert!(world.change(&Change::Abandon));
    assert_eq!(world.migration.document.state(), State::Abandoned);
    assert!(
        world.history.iter().any(|line| line.contains("the target (postgres) keeps what it has")),
        "{:?}",
        world.history
    );
    let up = Shares { dual_ppm: Some(PPM), ..Shares::default() };
    let asks = [
        Change::SetRollout { shares: up, ask: Ask::default() },
        Change::SetPins { pins: vec![(name(1), Rung::Dual)], ask: Ask::default() },
        Change::ClearPin { tenant: name(1), ask: Ask::default() },
        Change::Rollback { tenant: None },
        Change::Acknowledge,
        Change::Resume,
        Change::Abandon,
    ];
    for change in asks {
        let Some(Refusal::Unmet(unmet)) = world.refusal(&change, "why") else {
            panic!("{change:?} was taken")
        };
        assert!(unmet[0].action.contains("cutover delete"), "{unmet:?}");
    }
    let before = world.migration.document.bands.clone();
    settle(&mut world);
    assert_eq!(world.migration.document.bands, before);
    assert!(world.refusal(&Change::Delete(Deletion::default()), "why").is_none());
}

#[test]
fn a_restored_store_does_not_know_whether_it_is_still_abandoned() {
    let mut world = rolled_back();
    settle(&mut world);
    assert!(world.change(&Change::Abandon));
    assert!(world.change(&Change::SuspectRestore { why: "restored".to_owned(), put_back: false }));
    assert_ne!(world.migration.document.state(), State::Abandoned);
    assert!(world.gates().contains(&Gate::Restored));
    assert!(world.change(&Change::ConfirmRestore(Confirmation::default())));
    settle(&mut world);
    settle(&mut world);
    assert!(world.gates().is_empty());
}
