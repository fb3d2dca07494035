//! Waits that safety rests on last as long by the steady clock, whatever the wall clock says.

use cutover::domain::Policy;

use super::{passes::with_a_floor, repair::copied, *};

impl World {
    fn all_quiesce(&mut self) {
        (0..3).for_each(|at| self.happen(&Happening::Quiesce(at)));
    }

    fn all_at(&self, rung: Rung) -> bool {
        self.rungs().iter().all(|at| *at == rung)
    }

    /// How long the only pass still waits for late writes, by the steady clock.
    fn waits_ms(&self) -> u64 {
        self.migration.document.jobs[0].begins_at_ms - self.revision
    }
}

#[test]
fn a_sweep_and_a_reverse_pass_wait_for_late_writes() {
    let mut world = copied();
    assert!(world.ask_with("orders/sweep", PassKind::Sweep, false, 5_000));
    world.all_quiesce();
    assert!(world.change(&Change::DrainJob { id: "orders/sweep".to_owned() }));
    assert_eq!(world.waits_ms(), 5_000);
    let mut world = with_a_floor();
    world.all_quiesce();
    assert!(world.ask_with("orders/reverse", PassKind::Reverse, false, 7_000));
    assert_eq!(world.waits_ms(), 7_000);
    let job = &world.migration.document.jobs[0];
    assert!(
        job.waits_for(world.revision + 6_999).is_some() && job.waits_for(world.revision + 7_000).is_none()
    );
}

#[test]
fn tenants_soak_before_target_only_and_before_the_end() {
    let mut world = copied();
    let policy = Policy { soak_ms: 1_000, finish_soak_ms: 2_000, ..Policy::default() };
    assert!(world.change(&Change::Update { description: None, policy: Some(policy), guards: Vec::new() }));
    world.happen(&Happening::Ramp([None, None, Some(PPM), None]));
    assert!(world.all_at(Rung::TargetFirst));
    let since = world.revision;
    world.all_quiesce();
    world.happen(&Happening::Pass(PassKind::Full));
    world.happen(&Happening::Ramp([None, None, None, Some(PPM)]));
    // The steady clock of the next change is one ahead.
    world.revision = since + 998;
    world.happen(&Happening::Step);
    assert!(world.all_at(Rung::TargetFirst));
    world.revision = since + 999;
    world.happen(&Happening::Step);
    assert!(world.all_at(Rung::TargetOnly), "{:?}", world.rungs());
    let since = world.revision;
    world.all_quiesce();
    let finish = || Change::Finish { confirm: "orders".to_owned(), overrides: Vec::new() };
    world.revision = since + 1_998;
    assert!(!world.change(&finish()));
    world.revision = since + 1_999;
    assert!(world.change(&finish()));
}
