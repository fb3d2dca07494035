//! Whatever happens, in whatever order: a plan never goes up against a rollback, against a pause or without
//! data, and takes no step twice.

use cutover::domain::{
    Applied, Ask, Breach, Change, Context, Fleet, Identity, Key, Migration, Shares, State, apply,
    guard::{Action, Cause, Guard, GuardEvidence, GuardKind, Operation, Scope, Verdict},
    plan::{
        Missing, Next, Observed, Part, Plan, PlanMove, PlanState, PlanStatus, Proof, Rules, Step, Taken,
        decide,
    },
};
use cutover_core::routing::{PPM, Rung};
use proptest::prelude::*;

use crate::support::{create, key, tenant};

#[derive(Clone, Debug)]
enum Happening {
    Move(PlanMove),
    Rollback,
    Acknowledge,
    Pause,
    Resume,
    Ramp(u32),
    Apply,
    Stop,
    Skip,
    Approve,
    Step,
}

fn happening() -> impl Strategy<Value = Happening> {
    let at = || 0..6_usize;
    prop_oneof![
        8 => at().prop_map(|at| Happening::Move(PlanMove::Take(at))),
        2 => at().prop_map(|at| Happening::Move(PlanMove::Settle(at))),
        1 => at().prop_map(|at| Happening::Move(PlanMove::Show(at))),
        1 => at().prop_map(|at| Happening::Move(PlanMove::Pause(at))),
        1 => Just(Happening::Move(PlanMove::Finish)),
        1 => Just(Happening::Rollback),
        1 => Just(Happening::Acknowledge),
        1 => Just(Happening::Pause),
        2 => Just(Happening::Resume),
        1 => prop::sample::select(vec![0, PPM / 2, PPM]).prop_map(Happening::Ramp),
        2 => Just(Happening::Apply),
        1 => Just(Happening::Stop),
        1 => Just(Happening::Skip),
        1 => Just(Happening::Approve),
        4 => Just(Happening::Step),
    ]
}

fn plan() -> Plan {
    let step = |rung, part| Step { rung, part, bake_ms: 0, evidence: Proof::None, approval: true };
    let acme = || Part::Tenants(vec![tenant("acme")]);
    let steps = vec![
        step(Rung::Dual, acme()),
        step(Rung::Dual, Part::Share(PPM / 10)),
        step(Rung::Dual, Part::Share(PPM)),
        step(Rung::Mirrored, acme()),
        step(Rung::Mirrored, Part::Share(PPM)),
    ];
    Plan::of(steps, Rules::default()).unwrap()
}

struct World {
    key: Key,
    migration: Migration,
}

impl World {
    fn new() -> Self {
        let key = key("orders");
        let fleet = Fleet::default();
        let context = Context {
            revision: 1,
            now_ms: 1,
            steady_ms: 1,
            actor: "plan",
            identity: &Identity::Unproven,
            reason: "why",
            fleet: &fleet,
        };
        let document = apply(None, &key, &create(), &context).unwrap().document.unwrap();
        Self { key, migration: Migration::new(1, document, imbl::OrdMap::new()) }
    }

    fn change(&mut self, change: &Change) {
        let fleet = Fleet::default();
        let revision = self.migration.revision + 1;
        let context = Context {
            revision,
            now_ms: revision,
            steady_ms: revision,
            actor: "plan",
            identity: &Identity::Unproven,
            reason: "why",
            fleet: &fleet,
        };
        let Ok(Applied { document: Some(document), rows, summary, .. }) =
            apply(Some(&self.migration), &self.key, change, &context)
        else {
            return;
        };
        if !summary.is_empty() {
            self.migration.replay(revision, document, &rows);
        }
    }

    fn plan(&self) -> Option<&PlanState> {
        self.migration.document.plan.as_ref()
    }

    fn happen(&mut self, happening: &Happening) {
        let ask = Ask { wait: true, overrides: Vec::new() };
        self.change(&match happening {
            Happening::Move(going) => Change::MovePlan(*going),
            Happening::Rollback => Change::Rollback { tenant: None },
            Happening::Acknowledge => Change::Acknowledge,
            Happening::Pause => Change::Pause,
            Happening::Resume => Change::Resume,
            Happening::Ramp(ppm) => {
                Change::SetRollout { shares: Shares { dual_ppm: Some(*ppm), ..Shares::default() }, ask }
            }
            Happening::Apply => Change::ApplyPlan(Box::new(plan())),
            Happening::Stop => Change::StopPlan,
            Happening::Skip => Change::SkipPlanStep { step: None },
            Happening::Approve => Change::ApprovePlan { step: None },
            Happening::Step => Change::Step,
        });
    }
}

#[test]
fn after_a_guard_held_it_the_step_begins_anew_with_resume_and_so_does_its_judge() {
    let mut world = World::new();
    let happen = |world: &mut World, them: &[Happening]| them.iter().for_each(|it| world.happen(it));
    let taken = |world: &World| world.plan().unwrap().taken.last().unwrap().clone();
    happen(
        &mut world,
        &[Happening::Apply, Happening::Approve, Happening::Move(PlanMove::Take(0)), Happening::Step],
    );
    happen(&mut world, &[Happening::Move(PlanMove::Settle(1)), Happening::Pause, Happening::Resume]);
    let before = taken(&world);
    assert!(before.settled_at_ms.is_some(), "a pause of one's own changes nothing: {before:?}");
    let verdict = Verdict {
        guard: Guard { kind: GuardKind::ErrorAbsolute, operation: Operation::Read },
        scope: Scope::Migration,
        action: Action::Hold,
        cause: Cause::CommonMode,
        evidence: GuardEvidence::default(),
    };
    let stage_revision = world.migration.stage(false).revision;
    world.change(&Change::Trip(Box::new(Breach { stage_revision, verdict })));
    assert!(world.migration.document.paused);
    happen(&mut world, &[Happening::Resume]);
    let anew = taken(&world);
    assert_eq!((anew.settled_at_ms, anew.revision), (None, world.migration.revision));
    assert!(world.migration.stage(false).revision > stage_revision, "its judge begins anew");
    happen(&mut world, &[Happening::Pause, Happening::Resume]);
    assert_eq!(taken(&world), anew, "once");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_move_that_is_not_its_turn_changes_nothing(happenings in prop::collection::vec(happening(), 1..60)) {
        let mut world = World::new();
        for happening in &happenings {
            let before = world.migration.clone();
            world.happen(happening);
            let (was, is) = (&before.document, &world.migration.document);
            if let Some(plan) = world.plan() {
                prop_assert!(plan.taken.len() <= plan.plan.steps().len());
                let revisions: Vec<_> = plan.taken.iter().map(|taken| taken.revision).collect();
                prop_assert!(revisions.is_sorted(), "{revisions:?}");
                prop_assert!(plan.status != PlanStatus::Running || is.state() != State::Tripped);
            }
            let Happening::Move(going) = happening else { continue };
            let taken = was.plan.as_ref().map_or(0, |plan| plan.taken.len());
            let is_running = was.plan.as_ref().is_some_and(|plan| plan.status == PlanStatus::Running);
            if was.paused || was.state() == State::Tripped || !is_running {
                prop_assert_eq!(world.migration.revision, before.revision, "{:?} went on", going);
            }
            let goal = |rung: Rung, of: &cutover::domain::Document| {
                of.goal.shares().into_iter().find(|(has, _)| *has == rung).map_or(0, |(_, ppm)| ppm)
            };
            for rung in [Rung::Dual, Rung::Mirrored, Rung::TargetFirst, Rung::TargetOnly] {
                prop_assert!(goal(rung, is) >= goal(rung, was), "a plan takes nobody back");
            }
            let acme = tenant("acme");
            prop_assert!(world.migration.wanted(&acme).rung >= before.wanted(&acme).rung, "nor by its name");
            let after = world.plan().map_or(0, |plan| plan.taken.len());
            prop_assert!(after == taken || (after == taken + 1 && *going == PlanMove::Take(taken)));
            // Again, as a second controller would: it is already done.
            let once = world.migration.clone();
            world.happen(happening);
            prop_assert_eq!(&world.migration.document, &once.document);
        }
    }

    #[test]
    fn without_data_no_step_that_has_to_show_something_is_over(
        taken in 1..5_usize, now_ms in any::<u64>(), settled in any::<bool>(), approved in 0..6_usize,
    ) {
        let steps = plan().steps().iter().map(|step| Step { evidence: Proof::Guards, ..step.clone() }).collect();
        let at = Taken { settled_at_ms: Some(0), ..Taken::at(2, 0) };
        let state = PlanState {
            plan: Plan::of(steps, Rules::default()).unwrap(),
            status: PlanStatus::Running,
            applied_at_ms: 0,
            applied_by: String::new(),
            applied_identity: Identity::Unproven,
            taken: vec![at; taken],
            approved,
        };
        let seen = Observed { settled, in_place: taken, ..Observed::default() };
        let next = decide(&state, &seen, now_ms);
        let Next::Wait(missing) = next else { panic!("{next:?}") };
        prop_assert!(missing.iter().any(|Missing { what, .. }| what.contains("no data")), "{missing:?}");
    }
}
