//! A plan that waits costs nothing until something changes.

use cutover_core::routing::{PPM, Rung};

use super::*;
use crate::{
    domain::plan::{Part, Plan, Proof, Rules, Step},
    service::operate::tests::World,
    telemetry::Ingest,
};

#[tokio::test]
async fn a_waiting_plan_is_not_decided_again_and_remembers_why_it_failed() {
    let world = World::new().await;
    let step =
        |rung, approval| Step { rung, part: Part::Share(PPM), bake_ms: 0, evidence: Proof::None, approval };
    // Nothing but a person brings it on.
    let plan = Plan::of(vec![step(Rung::Dual, true)], Rules::default()).expect("a plan");
    world.change(&Change::ApplyPlan(Box::new(plan))).await;
    let World { registry, instances, operate, .. } = &world;
    let (guards, _conclusions) =
        Guards::new(registry.clone(), operate.clone(), instances.clone(), Arc::new(Ingest::default()));
    let plans = Plans::new(registry.clone(), instances.clone(), operate.clone(), Arc::new(guards));
    let look = |waiting: &mut HashMap<Key, Looked<Waiting>>| {
        let entry = registry.state().entry(&world.key).expect("there").clone();
        plans.look(&entry, waiting)
    };
    let mut waiting = HashMap::new();
    assert_eq!(look(&mut waiting), None);
    // A look replaces what the last one left.
    let failed = |waiting: &HashMap<Key, Looked<Waiting>>| waiting[&world.key].seen.failed.clone();
    waiting.get_mut(&world.key).expect("it waits").seen.failed = "the disk is full".to_owned();
    for _ in 0..3 {
        assert_eq!(look(&mut waiting), None);
        assert_eq!(failed(&waiting), "the disk is full", "nobody looked");
    }
    world.change(&Change::ApprovePlan { step: None }).await;
    assert_eq!(look(&mut waiting), Some(PlanMove::Take(0)));
    assert_eq!(failed(&waiting), "the disk is full", "or each attempt would be logged");
}
