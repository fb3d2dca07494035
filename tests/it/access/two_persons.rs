//! The two-person rule: what one person asks for, another one approves.

mod outlived;

use cutover_client::AuthorizedChannel;
use cutover_proto::v1::{self, Role, admin_service_client::AdminServiceClient};
use tempfile::TempDir;
use tonic::{Code, Status};

use super::{Guarded, create};
use crate::{cli::run, support::server::Controller};

type Admin = AdminServiceClient<AuthorizedChannel>;

const KEY: &str = "orders";

/// Two people who may ask and approve, one who may only approve, and a migration with the rule.
struct Office {
    guarded: Guarded,
    ada: Admin,
    bob: Admin,
    eve: Admin,
}

fn mutation() -> Option<v1::Mutation> {
    Some(v1::Mutation { reason: "a test".to_owned(), ..v1::Mutation::default() })
}

fn ramp(dual_ppm: u32, overridden: &[&str]) -> v1::SetRolloutRequest {
    v1::SetRolloutRequest {
        mutation: mutation(),
        key: KEY.to_owned(),
        dual_ppm: Some(dual_ppm),
        wait: true,
        override_gates: overridden.iter().map(|gate| (*gate).to_owned()).collect(),
        ..Default::default()
    }
}

fn policy(policy: v1::Policy) -> v1::UpdateMigrationRequest {
    let policy = Some(policy);
    v1::UpdateMigrationRequest { mutation: mutation(), key: KEY.to_owned(), policy, ..Default::default() }
}

fn approval(revision: u64) -> v1::ApproveRequestRequest {
    v1::ApproveRequestRequest { mutation: mutation(), key: KEY.to_owned(), revision }
}

/// A plan of one step to dual for everybody.
fn plan(approval: bool, bake_ms: u64) -> v1::StartPlanRequest {
    let step = v1::PlanStep {
        rung: v1::Rung::Dual.into(),
        share_ppm: Some(1_000_000),
        evidence: v1::PlanEvidence::None.into(),
        approval,
        bake_ms,
        ..Default::default()
    };
    let plan = Some(v1::Plan { steps: vec![step], ..Default::default() });
    v1::StartPlanRequest { mutation: mutation(), key: KEY.to_owned(), plan }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, says: &str) {
    let refused = answer.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    assert!(refused.message().contains(says), "{refused:?}");
}

/// The revision of a request that was only noted.
fn asked(answer: v1::MutationResponse) -> u64 {
    assert!(answer.changes[0].starts_with("asked; a second person has to approve it"), "{answer:?}");
    let waiting = answer.waiting.iter().find(|waiting| waiting.gate == "second-person");
    let revision = answer.migration.unwrap().requests.last().unwrap().revision;
    let command = format!("cutover approve {KEY} {revision}");
    assert!(waiting.is_some_and(|waiting| waiting.action.ends_with(&command)), "{waiting:?}");
    revision
}

impl Office {
    async fn open() -> Self {
        let guarded = Guarded::start().await;
        guarded.migrations(&[KEY]).await;
        let both = [Role::Operator, Role::Approver];
        let ada = create(guarded.url(), &guarded.root, "ada", &both, &[]).await;
        let bob = create(guarded.url(), &guarded.root, "bob", &both, &[]).await;
        let eve = guarded.token("eve", Role::Approver).await;
        let [mut ada, bob, eve] =
            [guarded.admin(&ada).await, guarded.admin(&bob).await, guarded.admin(&eve).await];
        let on = v1::Policy { two_persons: true, soak_ms: 3_600_000, ..Default::default() };
        let set = ada.update_migration(policy(on)).await.unwrap().into_inner();
        assert!(set.waiting.is_empty() && set.changes[0].contains("two persons off -> on"), "{set:?}");
        Self { guarded, ada, bob, eve }
    }

    async fn now(&mut self) -> v1::Migration {
        self.eve.get_migration(v1::GetMigrationRequest { key: KEY.to_owned() }).await.unwrap().into_inner()
    }

    async fn policy(&mut self) -> v1::Policy {
        self.now().await.policy.unwrap()
    }

    async fn newest(&mut self) -> v1::HistoryEvent {
        let request = v1::ListHistoryRequest { page_size: 1, ..Default::default() };
        self.eve.list_history(request).await.unwrap().into_inner().events.remove(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rule_needs_names_that_are_proven() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    let created = run(["--server", url, "create", KEY, "--source", "a", "--target", "b"]).await;
    assert_eq!(created.code, 0, "{created:?}");
    let on = ["--server", url, "policy", KEY, "--two-persons", "on"];
    let refused = run(on).await;
    assert_eq!(refused.code, 65, "{refused:?}");
    assert!(refused.err.contains("needs names that are proven"), "{refused:?}");
    assert!(refused.err.contains("docs/guides/security.md"), "{refused:?}");
    let create = v1::CreateMigrationRequest {
        key: "carts".to_owned(),
        policy: Some(v1::Policy { two_persons: true, ..Default::default() }),
        ..Default::default()
    };
    let refused = controller.admin().await.create_migration(create).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_override_waits_until_somebody_else_approves_it() {
    let mut office = Office::open().await;
    let before = office.now().await;
    let request = asked(office.ada.set_rollout(ramp(10_000, &["full-pass"])).await.unwrap().into_inner());
    let now = office.now().await;
    assert_eq!((now.goal, now.rollout), (before.goal, before.rollout), "nothing of it is done");
    let pending = &now.requests[0];
    assert_eq!((pending.by.as_str(), pending.reason.as_str()), ("token:ada", "a test"));
    assert!(pending.changes.iter().any(|line| line.contains("OVERRIDE of gate full-pass")), "{pending:?}");
    assert!(pending.changes.iter().any(|line| line.contains("asked for dual 1 %")), "{pending:?}");
    let again = office.ada.set_rollout(ramp(10_000, &["full-pass"])).await.unwrap().into_inner();
    assert!(again.changes.is_empty() && again.waiting[0].gate == "second-person", "{again:?}");
    let status = v1::GetStatusRequest { key: KEY.to_owned() };
    let status = office.eve.get_status(status).await.unwrap().into_inner();
    assert!(status.waiting.iter().any(|it| it.gate == "second-person"), "{:?}", status.waiting);

    refused(office.ada.approve_request(approval(request)).await, "token:ada asked for it");
    refused(office.eve.approve_request(approval(request + 1)).await, "no request of revision");
    // Without an override one person is enough.
    let alone = office.ada.set_rollout(ramp(5_000, &[])).await.unwrap().into_inner();
    assert!(!alone.changes[0].starts_with("asked;"), "{alone:?}");

    // Who approves needs no right to ramp.
    let approved = office.eve.approve_request(approval(request)).await.unwrap().into_inner();
    assert_eq!(approved.changes[0], format!("approved what token:ada asked for in revision {request}"));
    let now = office.now().await;
    assert_eq!((now.goal.unwrap().dual_ppm, now.requests.len()), (10_000, 0));
    let request_2 = v1::ListHistoryRequest { change: "approve".to_owned(), ..Default::default() };
    let history = office.eve.list_history(request_2).await.unwrap().into_inner().events;
    assert_eq!(history[0].actor, "token:eve");
    assert!(history[0].summary.contains("OVERRIDE of gate full-pass by token:ada"), "{history:?}");
    refused(office.bob.approve_request(approval(request)).await, "no request of revision");

    // As things are then: what is refused by then is not done.
    let finish = v1::FinishRequest {
        mutation: mutation(),
        key: KEY.to_owned(),
        confirm: KEY.to_owned(),
        override_gates: vec!["soak".to_owned()],
    };
    assert_eq!(office.ada.finish(finish).await.unwrap_err().code(), Code::FailedPrecondition);
    assert!(office.now().await.requests.is_empty(), "what is refused anyway asks nobody");
    office.guarded.controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_weakens_the_rule_or_what_it_guards_alone() {
    let mut office = Office::open().await;
    let on = office.policy().await;
    let off = v1::Policy { two_persons: false, ..on.clone() };
    let off = asked(office.ada.update_migration(policy(off)).await.unwrap().into_inner());
    let no_soak = v1::Policy { soak_ms: 0, ..on.clone() };
    let no_soak = asked(office.bob.update_migration(policy(no_soak)).await.unwrap().into_inner());
    assert_eq!(office.policy().await, on);
    refused(office.ada.approve_request(approval(off)).await, "token:ada asked for it");
    refused(office.bob.approve_request(approval(no_soak)).await, "token:bob asked for it");
    let rule = v1::GuardRule {
        guard: "error_absolute".to_owned(),
        mode: v1::GuardMode::Off.into(),
        ..v1::GuardRule::default()
    };
    let guards = v1::UpdateMigrationRequest {
        mutation: mutation(),
        key: KEY.to_owned(),
        guards: vec![rule],
        ..Default::default()
    };
    let guards = asked(office.ada.update_migration(guards).await.unwrap().into_inner());
    let lines = office.now().await.requests.last().unwrap().changes.join("\n");
    assert!(lines.contains("guard error_absolute of reads: off"), "who approves sees what it is: {lines}");
    // A description is nobody's business but its author's.
    let text = v1::UpdateMigrationRequest {
        key: KEY.to_owned(),
        description: Some("orders of the shop".to_owned()),
        ..Default::default()
    };
    assert!(office.ada.update_migration(text).await.unwrap().into_inner().waiting.is_empty());

    office.ada.approve_request(approval(no_soak)).await.unwrap();
    assert_eq!(office.policy().await, v1::Policy { soak_ms: 0, ..on.clone() });
    // It was asked for as a whole: it would bring the soak back.
    refused(office.eve.approve_request(approval(off)).await, "the policy was changed since");
    office.eve.approve_request(approval(guards)).await.unwrap();

    let delete =
        v1::DeleteMigrationRequest { mutation: mutation(), key: KEY.to_owned(), ..Default::default() };
    let delete = asked(office.ada.delete_migration(delete).await.unwrap().into_inner());
    office.bob.approve_request(approval(delete)).await.unwrap();
    let gone = office.bob.get_migration(v1::GetMigrationRequest { key: KEY.to_owned() }).await;
    assert_eq!(gone.unwrap_err().code(), Code::NotFound);
    assert_eq!(office.newest().await.actor, "token:bob");
    office.guarded.controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_approves_the_plan_that_they_applied_or_goes_around_it() {
    let mut office = Office::open().await;
    let approve = || v1::ApprovePlanRequest { mutation: mutation(), key: KEY.to_owned(), step: 1 };
    let skip = || v1::SkipPlanStepRequest { mutation: mutation(), key: KEY.to_owned(), step: 0 };
    let applied = office.ada.start_plan(plan(true, 3_600_000)).await.unwrap().into_inner();
    assert!(applied.waiting.is_empty(), "a first plan needs nobody else: {applied:?}");
    refused(office.ada.approve_plan(approve()).await, "token:ada applied the plan");
    refused(office.ada.skip_plan_step(skip()).await, "token:ada applied the plan");
    // Not by hand beside it, by anybody.
    refused(office.ada.set_rollout(ramp(10_000, &[])).await, "step 1 of the plan is not approved");
    refused(office.bob.set_rollout(ramp(10_000, &[])).await, "step 1 of the plan is not approved");
    let pin = v1::SetPinRequest {
        mutation: mutation(),
        key: KEY.to_owned(),
        tenant: "acme".to_owned(),
        rung: v1::Rung::Dual.into(),
        wait: true,
        ..Default::default()
    };
    refused(office.bob.set_pin(pin.clone()).await, "step 1 of the plan is not approved");
    // To where they are, or down: that is nothing up. But it can't be lifted once the shares lead further.
    office.bob.set_pin(v1::SetPinRequest { rung: v1::Rung::SourceOnly.into(), ..pin }).await.unwrap();
    // Nor after it was stopped, which anybody may do.
    let stop = v1::StopPlanRequest { mutation: mutation(), key: KEY.to_owned() };
    office.bob.stop_plan(stop).await.unwrap();
    refused(office.bob.set_rollout(ramp(10_000, &[])).await, "step 1 of the plan is not approved");
    // Nor by another plan.
    let other = asked(office.ada.start_plan(plan(false, 1_000)).await.unwrap().into_inner());
    let lines = office.now().await.requests[0].changes.join("\n");
    assert!(lines.contains("step 1: dual 100 %, bake 1"), "{lines}");
    assert!(lines.contains(", no evidence"), "{lines}");
    refused(office.ada.approve_request(approval(other)).await, "token:ada asked for it");
    office.eve.approve_request(approval(other)).await.unwrap();
    let plan_now = v1::GetPlanRequest { key: KEY.to_owned() };
    let view = office.eve.get_plan(plan_now).await.unwrap().into_inner();
    assert_eq!(view.applied_by, "token:ada");
    office.guarded.controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_change_waits_for_somebody_exits_with_held() {
    let office = Office::open().await;
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("root.token");
    std::fs::write(&file, &office.guarded.root).unwrap();
    let (url, file) = (office.guarded.url(), file.display().to_string());
    let line = "policy orders --soak 0s --reason test";
    let args = ["--server", url, "--token-file", &file].into_iter().chain(line.split(' '));
    let said = run(args).await;
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.out.contains("asked; a second person has to approve it"), "{said:?}");
    assert!(said.out.contains("cutover approve orders "), "{said:?}");
    let line = "ramp orders --dual 1 --override soak --wait --reason test";
    let args = ["--server", url, "--token-file", &file].into_iter().chain(line.split(' '));
    let said = run(args).await;
    assert_eq!(said.code, 4, "it does not wait: {said:?}");
    office.guarded.controller.stop().await;
}
