//! What happens between a request and its approval: retries, restarts, tokens that end, plans that come.

use super::*;
use crate::access::create;

/// The request that Ada makes in these tests.
async fn asks(office: &mut Office, request_id: &str) -> v1::MutationResponse {
    let mutation = v1::Mutation { request_id: request_id.to_owned(), ..mutation().unwrap() };
    let ramp = v1::SetRolloutRequest { mutation: Some(mutation), ..ramp(10_000, &["full-pass"]) };
    office.ada.set_rollout(ramp).await.unwrap().into_inner()
}

async fn restarted(mut office: Office, tokens: [&str; 3]) -> Office {
    office.guarded.controller.stop().await;
    office.guarded.controller = Controller::start(office.guarded.dir.path(), 0).await;
    let [ada, bob, eve] = tokens;
    office.ada = office.guarded.admin(ada).await;
    office.bob = office.guarded.admin(bob).await;
    office.eve = office.guarded.admin(eve).await;
    office
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_says_that_the_request_waits_and_neither_asks_nor_approves_twice() {
    let mut office = Office::open().await;
    let first = asks(&mut office, "a-1").await;
    let second = asks(&mut office, "a-1").await;
    assert!(second.repeated && !first.repeated);
    assert_eq!(asked(first), asked(second.clone()));
    assert_eq!(office.now().await.requests.len(), 1);
    let revision = asked(second);
    let approval = v1::ApproveRequestRequest {
        mutation: Some(v1::Mutation { request_id: "b-1".to_owned(), ..mutation().unwrap() }),
        ..approval(revision)
    };
    let once = office.bob.approve_request(approval.clone()).await.unwrap().into_inner();
    office.bob.set_rollout(ramp(0, &[])).await.unwrap();
    let twice = office.bob.approve_request(approval).await.unwrap().into_inner();
    assert!(twice.repeated && twice.changes == once.changes, "{twice:?}");
    assert_eq!(office.now().await.goal.unwrap().dual_ppm, 0);
    office.guarded.controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_survives_a_restart_and_its_approval_is_made_once() {
    let mut office = Office::open().await;
    let both = [Role::Operator, Role::Approver];
    let cleo = create(office.guarded.url(), &office.guarded.root, "cleo", &both, &[]).await;
    let dan = create(office.guarded.url(), &office.guarded.root, "dan", &both, &[]).await;
    office.ada = office.guarded.admin(&cleo).await;
    let revision = asked(asks(&mut office, "").await);
    let mut office = restarted(office, [&cleo, &dan, &dan]).await;
    refused(office.ada.approve_request(approval(revision)).await, "token:cleo asked for it");
    let (one, other) = (office.bob.approve_request(approval(revision)), async {
        office.eve.approve_request(approval(revision)).await
    });
    let (one, other) = tokio::join!(one, other);
    assert_eq!(u8::from(one.is_ok()) + u8::from(other.is_ok()), 1, "{one:?} {other:?}");
    assert_eq!(office.now().await.goal.unwrap().dual_ppm, 10_000);
    office.guarded.controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_revoked_token_asked_for_is_not_done_also_if_its_name_is_used_again() {
    let mut office = Office::open().await;
    let revision = asked(asks(&mut office, "").await);
    office.guarded.revoke("ada").await;
    refused(office.bob.approve_request(approval(revision)).await, "token:ada was revoked");
    let both = [Role::Operator, Role::Approver];
    let ada = create(office.guarded.url(), &office.guarded.root, "ada", &both, &[]).await;
    office.ada = office.guarded.admin(&ada).await;
    refused(office.bob.approve_request(approval(revision)).await, "token:ada was revoked");
    let withdrawal = v1::WithdrawRequestRequest { mutation: mutation(), key: KEY.to_owned(), revision };
    let eve = office.eve.withdraw_request(withdrawal.clone()).await.unwrap_err();
    assert_eq!(eve.code(), Code::PermissionDenied, "{eve:?}");
    let said = office.bob.withdraw_request(withdrawal).await.unwrap().into_inner();
    assert_eq!(said.changes, [format!("withdrew what token:ada asked for in revision {revision}")]);
    // The new one asks anew.
    let revision = asked(asks(&mut office, "").await);
    office.bob.approve_request(approval(revision)).await.unwrap();
    office.guarded.controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_with_a_text_that_was_rotated_since_is_not_done() {
    let mut office = Office::open().await;
    let revision = asked(asks(&mut office, "").await);
    let rotate = async |office: &Office, keep_ms| {
        let request = v1::RotateTokenRequest { name: "ada".to_owned(), keep_ms, ..Default::default() };
        office.guarded.tokens(&office.guarded.root).await.rotate_token(request).await.unwrap();
    };
    // While the old text is accepted, nothing changes.
    rotate(&office, 3_600_000).await;
    office.bob.approve_request(approval(revision)).await.unwrap();
    let ramp = ramp(20_000, &["full-pass"]);
    let revision = asked(office.ada.set_rollout(ramp).await.unwrap().into_inner());
    rotate(&office, 0).await;
    refused(office.bob.approve_request(approval(revision)).await, "token:ada was revoked or rotated");
    office.guarded.controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_goes_around_no_plan_that_came_since() {
    let mut office = Office::open().await;
    let revision = asked(asks(&mut office, "").await);
    office.bob.start_plan(plan(true, 1_000)).await.unwrap();
    refused(office.eve.approve_request(approval(revision)).await, "another plan was applied since");
    // Nor does a pin that is lifted.
    let pin = v1::SetPinRequest {
        mutation: mutation(),
        key: KEY.to_owned(),
        tenant: "acme".to_owned(),
        rung: v1::Rung::SourceOnly.into(),
        wait: true,
        ..Default::default()
    };
    let unpin = v1::ClearPinRequest {
        mutation: mutation(),
        key: KEY.to_owned(),
        tenant: "acme".to_owned(),
        wait: true,
    };
    office.ada.set_pin(pin.clone()).await.unwrap();
    office.ada.clear_pin(unpin.clone()).await.unwrap();
    office.ada.set_pin(pin).await.unwrap();
    let approve = v1::ApprovePlanRequest { mutation: mutation(), key: KEY.to_owned(), step: 1 };
    office.ada.approve_plan(approve.clone()).await.unwrap();
    while office.now().await.goal.unwrap().dual_ppm == 0 {
        tokio::task::yield_now().await;
    }
    // Another plan with a step to approve, for those who are not there yet.
    let mirrored = v1::PlanStep {
        rung: v1::Rung::Mirrored.into(),
        share_ppm: Some(1_000_000),
        approval: true,
        ..Default::default()
    };
    let dual = v1::PlanStep { rung: v1::Rung::Dual.into(), approval: false, ..mirrored.clone() };
    let next = Some(v1::Plan { steps: vec![dual, mirrored], ..Default::default() });
    let next = v1::StartPlanRequest { mutation: mutation(), key: KEY.to_owned(), plan: next };
    office.bob.start_plan(next).await.unwrap();
    refused(office.ada.clear_pin(unpin).await, "step 2 of the plan is not approved");
    office.guarded.controller.stop().await;
}
