//! The history names the token, whatever a request says; and who may override gates.

use cutover_proto::v1::{self, Role};
use serde_json::json;
use tonic::Code;

use super::Guarded;
use crate::api::client;

fn mutation(actor: &str) -> Option<v1::Mutation> {
    Some(v1::Mutation { actor: actor.to_owned(), reason: "a test".to_owned(), ..Default::default() })
}

#[tokio::test]
async fn the_actor_is_the_token_whatever_the_request_says() {
    let guarded = Guarded::start().await;
    guarded.migrations(&["orders"]).await;
    let ada = guarded.token("ada", Role::Operator).await;
    let mut admin = guarded.admin(&ada).await;
    let key = "orders".to_owned();
    admin
        .pause(v1::PauseRequest { mutation: mutation("guard:error_absolute"), key: key.clone() })
        .await
        .unwrap();
    admin.resume(v1::ResumeRequest { mutation: mutation("operator:eve"), key: key.clone() }).await.unwrap();
    let bearer = format!("Bearer {ada}");
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    let body = json!({ "key": "orders", "mutation": { "actor": "controller", "reason": "by JSON" } });
    let paused =
        client::send(guarded.controller.http, "POST", "/api/v1/Pause", &headers, body.to_string()).await;
    assert_eq!(paused.status(), 200);
    let listed = admin.list_history(v1::ListHistoryRequest::default()).await.unwrap().into_inner();
    let actors: Vec<_> = listed.events.iter().map(|event| event.actor.as_str()).collect();
    assert_eq!(actors, ["token:ada", "token:ada", "token:ada", "token:root"]);
    guarded.controller.stop().await;
}

#[tokio::test]
async fn gates_are_overridden_and_steps_approved_by_approvers() {
    let guarded = Guarded::start().await;
    guarded.migrations(&["orders"]).await;
    let (ada, bob) = (guarded.token("ada", Role::Operator).await, guarded.token("bob", Role::Approver).await);
    let (mut ada, mut bob) = (guarded.admin(&ada).await, guarded.admin(&bob).await);
    let key = "orders".to_owned();
    let ramp = |overridden: &[&str]| v1::SetRolloutRequest {
        mutation: mutation(""),
        key: "orders".to_owned(),
        dual_ppm: Some(10_000),
        override_gates: overridden.iter().map(|gate| (*gate).to_owned()).collect(),
        ..Default::default()
    };
    let refused = ada.set_rollout(ramp(&["full-pass"])).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("needs the role approver"), "{refused:?}");
    let pin = v1::SetPinRequest {
        mutation: mutation(""),
        key: key.clone(),
        tenant: "acme".to_owned(),
        rung: v1::Rung::Dual.into(),
        override_gates: vec!["soak".to_owned()],
        wait: false,
    };
    assert_eq!(ada.set_pin(pin).await.unwrap_err().code(), Code::PermissionDenied);
    let finish = v1::FinishRequest {
        mutation: mutation(""),
        key: key.clone(),
        confirm: key.clone(),
        override_gates: vec!["soak".to_owned()],
    };
    assert_eq!(ada.finish(finish).await.unwrap_err().code(), Code::PermissionDenied);
    let approve = v1::ApprovePlanRequest { mutation: mutation(""), key: key.clone(), step: 1 };
    assert_eq!(ada.approve_plan(approve.clone()).await.unwrap_err().code(), Code::PermissionDenied);
    // An approver approves, and asks for nothing.
    assert_ne!(bob.approve_plan(approve).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(bob.set_rollout(ramp(&[])).await.unwrap_err().code(), Code::PermissionDenied);
    ada.set_rollout(ramp(&[])).await.unwrap();
    guarded.controller.stop().await;
}

#[tokio::test]
async fn what_is_refused_changes_nothing_and_says_what_is_needed() {
    let guarded = Guarded::start().await;
    guarded.migrations(&["orders"]).await;
    let viewer = guarded.token("vic", Role::Viewer).await;
    let mut admin = guarded.admin(&viewer).await;
    let refused = admin.pause(v1::PauseRequest { mutation: mutation(""), key: "orders".to_owned() }).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(
        refused.message(),
        "token vic (viewer) may not call Pause: that needs the role operator. Use another token, or ask an admin for \
         one: cutover token create NAME --role operator"
    );
    let revision = admin.list_migrations(v1::ListMigrationsRequest {}).await.unwrap().into_inner().revision;
    assert_eq!(revision, 1, "only the migration was created");
    assert_eq!(
        guarded
            .path()
            .read_dir()
            .unwrap()
            .filter(|it| it.as_ref().is_ok_and(|it| it.path().is_dir()))
            .count(),
        0
    );
    guarded.controller.stop().await;
}
