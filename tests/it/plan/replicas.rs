//! Two controllers look at the same plan, and each step is taken once.

use std::{sync::Arc, time::Duration};

use cutover::{
    domain::{
        Change,
        plan::{Part, Plan, PlanStatus, Proof, Rules, Step},
    },
    service::{Guards, HistoryQuery, Instances, Operate, Plans, Registry, operate::RequestMeta},
    store::{Store, open_store},
    telemetry::Ingest,
};
use cutover_core::routing::Rung;

use crate::support::{create, key};

struct Replica {
    registry: Arc<Registry>,
    operate: Arc<Operate>,
    plans: Arc<Plans>,
}

async fn replica(store: &Arc<dyn Store>) -> Replica {
    let (registry, kept) = Registry::load(store.clone()).await.unwrap();
    let registry = Arc::new(registry);
    let (instances, _) = Instances::new(store.clone(), &registry, kept.instances);
    let instances = Arc::new(instances);
    let operate = Arc::new(Operate::new(store.clone(), registry.clone(), instances.clone()));
    let ingest = Arc::new(Ingest::default());
    let (guards, _) = Guards::new(registry.clone(), operate.clone(), instances.clone(), ingest);
    let plans = Plans::new(registry.clone(), instances, operate.clone(), Arc::new(guards));
    Replica { registry, operate, plans: Arc::new(plans) }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_is_taken_once_whoever_is_faster() {
    let dir = tempfile::TempDir::new().unwrap();
    let store = open_store(&format!("sqlite:{}", dir.path().join("cutover.db").display())).await.unwrap();
    let (one, other) = (replica(&store).await, replica(&store).await);
    let steps = (1..=20).map(|at| Step {
        rung: Rung::Dual,
        part: Part::Share(at * 50_000),
        bake_ms: 0,
        evidence: Proof::None,
        approval: false,
    });
    let plan = Plan::of(steps.collect(), Rules::default()).unwrap();
    let by = RequestMeta { actor: "operator:ada".to_owned(), ..RequestMeta::default() };
    one.operate.change(&key("orders"), &create(), &by).await.unwrap();
    one.operate.change(&key("orders"), &Change::ApplyPlan(Box::new(plan)), &by).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for replica in [&one, &other] {
        tasks.spawn(replica.plans.clone().go_on());
        let registry = replica.registry.clone();
        tasks.spawn(async move { registry.follow(Duration::from_millis(3)).await });
    }
    let done = async {
        let mut revisions = one.registry.subscribe();
        while !one.registry.state().entry(&key("orders")).is_some_and(|entry| {
            entry.migration.document.plan.as_ref().is_some_and(|plan| plan.status == PlanStatus::Done)
        }) {
            revisions.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), done).await.expect("the plan is done");
    tasks.shutdown().await;
    let query = HistoryQuery { limit: 1000, ..HistoryQuery::default() };
    let events = store.history(&query).await.unwrap();
    let taken: Vec<_> = events.iter().rev().filter(|event| event.change == "plan-step").collect();
    let told: Vec<_> = taken.iter().map(|event| event.summary[0].split(" of ").next().unwrap()).collect();
    let expected: Vec<_> = (1..=20).map(|at| format!("step {at}")).collect();
    assert_eq!(told, expected);
    assert_eq!(events.iter().filter(|event| event.change == "plan-done").count(), 1);
}
