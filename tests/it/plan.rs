//! Plans ramp: with a real controller, by what services report.

mod algebra;
mod operators;
mod recorded;
mod rehearsal;
mod replicas;
mod restart;
pub mod service;

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use cutover_proto::v1::{self, admin_service_client::AdminServiceClient};
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::support::server::Controller;
use service::Service;

const PPM: u32 = 1_000_000;
/// More than certify the margin of 0.1 %.
const MANY: u64 = 5_000;

struct World {
    controller: Controller,
    _dir: TempDir,
    admin: AdminServiceClient<Channel>,
}

fn share(rung: v1::Rung, percent: u32, bake_ms: u64) -> v1::PlanStep {
    v1::PlanStep { rung: rung.into(), share_ppm: Some(percent * 10_000), bake_ms, ..Default::default() }
}

fn without_evidence(step: v1::PlanStep) -> v1::PlanStep {
    v1::PlanStep { evidence: v1::PlanEvidence::None.into(), ..step }
}

fn plan(steps: impl IntoIterator<Item = v1::PlanStep>) -> v1::Plan {
    v1::Plan { steps: steps.into_iter().collect(), ..Default::default() }
}

fn because(reason: &str) -> Option<v1::Mutation> {
    let actor = "operator:ada".to_owned();
    Some(v1::Mutation { actor, reason: reason.to_owned(), ..Default::default() })
}

fn apply(plan: v1::Plan) -> v1::StartPlanRequest {
    v1::StartPlanRequest { mutation: because("a story"), key: "orders".to_owned(), plan: Some(plan) }
}

fn missing(view: &v1::PlanView) -> String {
    view.missing.iter().map(|missing| missing.what.as_str()).collect::<Vec<_>>().join(" | ")
}

impl World {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let controller = Controller::start(dir.path(), 0).await;
        let mut admin = controller.admin().await;
        create(&mut admin).await;
        Self { controller, _dir: dir, admin }
    }

    async fn service(&self, calls: u64) -> Service {
        Service::start(&self.controller.url, "one", calls).await
    }

    async fn apply(&mut self, plan: v1::Plan) -> v1::MutationResponse {
        self.admin.start_plan(apply(plan)).await.unwrap().into_inner()
    }

    async fn view(&mut self) -> v1::PlanView {
        view(&mut self.admin).await
    }

    async fn until(&mut self, holds: impl Fn(&v1::PlanView) -> bool) -> v1::PlanView {
        until(&mut self.admin, holds).await
    }

    async fn migration(&mut self) -> v1::Migration {
        let request = v1::GetMigrationRequest { key: "orders".to_owned() };
        self.admin.get_migration(request).await.unwrap().into_inner()
    }
}

async fn create(admin: &mut AdminServiceClient<Channel>) {
    let request = v1::CreateMigrationRequest {
        key: "orders".to_owned(),
        source: "one".to_owned(),
        target: "other".to_owned(),
        ..Default::default()
    };
    admin.create_migration(request).await.unwrap();
}

async fn view(admin: &mut AdminServiceClient<Channel>) -> v1::PlanView {
    let request = v1::GetPlanRequest { key: "orders".to_owned() };
    admin.get_plan(request).await.unwrap().into_inner()
}

async fn until(
    admin: &mut AdminServiceClient<Channel>,
    holds: impl Fn(&v1::PlanView) -> bool,
) -> v1::PlanView {
    for _ in 0..600 {
        let view = view(admin).await;
        if holds(&view) {
            return view;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it does not come to that: {:#?}", view(admin).await)
}

/// The events, oldest first: kind and actor.
async fn history(admin: &mut AdminServiceClient<Channel>) -> Vec<v1::HistoryEvent> {
    let request = v1::ListHistoryRequest { key: "orders".to_owned(), page_size: 1000, ..Default::default() };
    let mut events = admin.list_history(request).await.unwrap().into_inner().events;
    events.reverse();
    events
}

/// The steps that were taken, from the history.
async fn steps(admin: &mut AdminServiceClient<Channel>) -> Vec<String> {
    let events = history(admin).await.into_iter().filter(|event| event.change == "plan-step");
    let told = |event: v1::HistoryEvent| {
        assert_eq!(event.actor, "plan");
        event.summary.split(" of ").next().unwrap().to_owned()
    };
    events.map(told).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_ramps_to_its_end() {
    let mut world = World::new().await;
    let _service = world.service(MANY).await;
    let (dual, mirrored) = (v1::Rung::Dual, v1::Rung::Mirrored);
    let answer =
        world.apply(plan([share(dual, 10, 200), share(dual, 100, 0), share(mirrored, 100, 0)])).await;
    assert_eq!(answer.changes, ["applied a plan of 3 steps"]);
    let done = world.until(|view| view.status() == v1::PlanStatus::Done).await;
    assert_eq!(done.taken.len(), 3);
    let first = &done.taken[0];
    assert!(done.taken[1].at_ms >= first.settled_at_ms + 200, "{first:?}");
    assert_eq!(world.migration().await.rollout.unwrap().mirrored_ppm, PPM);
    assert_eq!(steps(&mut world.admin).await, ["step 1", "step 2", "step 3"]);
    let events = history(&mut world.admin).await;
    let kinds: Vec<_> = events.iter().map(|event| event.change.as_str()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "plan-settled").count(), 3, "{kinds:?}");
    assert_eq!(kinds.last(), Some(&"plan-done"));
    world.controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_evidence_and_says_how_much_and_until_when() {
    let mut world = World::new().await;
    let service = world.service(0).await;
    world.apply(plan([share(v1::Rung::Dual, 50, 0), share(v1::Rung::Dual, 100, 0)])).await;
    // It acknowledges, but reports no calls: a plan never advances without data.
    let blind = world.until(|view| view.taken.len() == 1 && view.taken[0].settled_at_ms > 0).await;
    assert!(missing(&blind).contains("nothing has called the target"), "{blind:?}");
    service.says.calls.store(1, Relaxed);
    let few = world.until(|view| missing(view).contains("more write calls to the target")).await;
    let write = few.missing.iter().find(|missing| missing.what.contains("write")).unwrap();
    assert!(write.until_ms > few.at_ms, "{few:?}");
    assert_eq!(few.taken.len(), 1);
    service.says.calls.store(MANY, Relaxed);
    world.until(|view| view.status() == v1::PlanStatus::Done).await;
    world.controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_data_it_pauses_where_it_is_told_to() {
    let mut world = World::new().await;
    let _service = world.service(0).await;
    let steps = [share(v1::Rung::Dual, 50, 0), share(v1::Rung::Dual, 100, 0)];
    world.apply(v1::Plan { when_blind: v1::PlanWhenBlind::Pause.into(), ..plan(steps) }).await;
    let held = world.until(|view| !view.held.is_empty()).await;
    assert!(held.held.contains("cutover resume"), "{held:?}");
    assert!(world.migration().await.paused);
    assert_eq!(history(&mut world.admin).await.last().unwrap().change, "plan-pause");
    world.controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_stops_it_and_resume_goes_on_only_after_the_acknowledgement() {
    let mut world = World::new().await;
    let service = world.service(MANY).await;
    let steps = [
        without_evidence(share(v1::Rung::Dual, 100, 0)),
        without_evidence(share(v1::Rung::Mirrored, 50, 0)),
        share(v1::Rung::Mirrored, 100, 3_600_000),
    ];
    world.apply(plan(steps.clone())).await;
    world.until(|view| view.taken.len() == 3 && view.taken[2].settled_at_ms > 0).await;
    service.says.failed.store(MANY, Relaxed);
    let stopped = world.until(|view| view.status() == v1::PlanStatus::Stopped).await;
    assert!(stopped.held.contains("cutover ack"), "{stopped:?}");
    assert_eq!(world.migration().await.state(), v1::State::Tripped);
    let trip = history(&mut world.admin).await.into_iter().find(|event| event.trip.is_some()).unwrap();
    assert!(trip.summary.contains("the plan stops at step 3"), "{}", trip.summary);
    service.says.failed.store(0, Relaxed);

    let resume = v1::ResumeRequest { mutation: because("try"), key: "orders".to_owned() };
    let refused = world.admin.resume(resume.clone()).await.unwrap_err();
    assert!(refused.message().contains("not acknowledged"), "{refused}");
    let refused = world.admin.start_plan(apply(plan(steps))).await.unwrap_err();
    assert!(refused.message().contains("not acknowledged"), "{refused}");
    let ack = v1::AcknowledgeRequest { mutation: because("repaired"), key: "orders".to_owned() };
    world.admin.acknowledge(ack).await.unwrap();
    let waits = world.view().await;
    assert!(waits.held.contains("cutover resume"), "it does not go on by itself: {waits:?}");

    let resumed = world.admin.resume(resume).await.unwrap().into_inner();
    assert_eq!(resumed.changes[0], "the plan continues before step 2", "dual is left, mirrored is not");
    world.until(|view| view.taken.len() == 3).await;
    let skip =
        v1::SkipPlanStepRequest { mutation: because("seen enough"), key: "orders".to_owned(), step: 3 };
    world.admin.skip_plan_step(skip).await.unwrap();
    world.until(|view| view.status() == v1::PlanStatus::Done).await;
    let told = super::plan::steps(&mut world.admin).await;
    assert_eq!(told, ["step 1", "step 2", "step 3", "step 2", "step 3"]);
    world.controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_go_first_and_follow_the_rollout_when_it_has_come_as_far() {
    let mut world = World::new().await;
    let _service = world.service(MANY).await;
    let named = |rung: v1::Rung| v1::PlanStep {
        share_ppm: None,
        tenants: vec!["acme".to_owned(), "globex".to_owned()],
        approval: rung == v1::Rung::Mirrored,
        ..share(rung, 0, 0)
    };
    let shares = [share(v1::Rung::Dual, 100, 0), share(v1::Rung::Mirrored, 100, 0)];
    world.apply(plan([named(v1::Rung::Dual), named(v1::Rung::Mirrored)].into_iter().chain(shares))).await;
    world.until(|view| missing(view) == "the approval of step 2").await;
    let first = world.migration().await;
    assert_eq!((first.pins, first.rollout.unwrap().dual_ppm), (2, 0));
    let approve = v1::ApprovePlanRequest { mutation: because("fine"), key: "orders".to_owned(), step: 2 };
    world.admin.approve_plan(approve).await.unwrap();
    world.until(|view| view.status() == v1::PlanStatus::Done).await;
    let last = world.migration().await;
    assert_eq!((last.pins, last.rollout.unwrap().mirrored_ppm), (0, PPM));
    world.controller.stop().await;
}

#[test]
fn a_document_of_before_plans_is_read() {
    let older = r#"{"key":"orders","salt":"orders","source":"","target":"","description":"","policy":{"level":
        "acknowledged","required_services":[],"soak_ms":0,"finish_soak_ms":0,"fence_after_ms":0,"hold_timeout_ms":
        2000,"shadow_ppm":0},"created_at_ms":1,"goal":{"dual_ppm":0,"mirrored_ppm":0,"target_first_ppm":0,
        "target_only_ppm":0},"bands":BANDS,"ceiling":null,"paused":false,"finished_at_ms":null,"overridden":[],
        "asked_by":"","jobs":[],"evidence":[],"pins":0,"rolled_back":0,"ramping":false}"#;
    let bands = serde_json::to_string(&cutover::domain::Bands::default()).unwrap();
    let read: cutover::domain::Document = serde_json::from_str(&older.replace("BANDS", &bands)).unwrap();
    assert_eq!(read.plan, None);
}
