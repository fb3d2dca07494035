//! While the token by which a process registered is valid, no other one speaks for it.

use cutover_client::AuthorizedChannel;
use cutover_proto::v1::{self, Role, telemetry_service_client::TelemetryServiceClient};
use tonic::Code;

use super::{Guarded, watching};

fn report(sequence: u64) -> v1::ReportRequest {
    v1::ReportRequest { instance_id: "shop-1".to_owned(), incarnation: 1, sequence, ..Default::default() }
}

fn goodbye() -> v1::GoodbyeRequest {
    v1::GoodbyeRequest { instance_id: "shop-1".to_owned(), incarnation: 1, ..Default::default() }
}

async fn is_there(guarded: &Guarded) -> bool {
    let mut admin = guarded.admin(&guarded.root).await;
    let request = v1::ListInstancesRequest::default();
    !admin.list_instances(request).await.unwrap().into_inner().instances.is_empty()
}

#[tokio::test]
async fn another_token_neither_registers_nor_reports_nor_says_goodbye_for_a_process() {
    let guarded = Guarded::start().await;
    let (shop, other) = (guarded.token("shop", Role::Sdk).await, guarded.token("other", Role::Sdk).await);
    let _stream = guarded.routing(&shop).await.watch(watching("shop-1")).await.unwrap();
    let mut others: TelemetryServiceClient<AuthorizedChannel> = guarded.telemetry(&other).await;
    let refused = guarded.routing(&other).await.watch(watching("shop-1")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("registered with token shop"), "{refused:?}");
    assert_eq!(others.report(report(1)).await.unwrap_err().code(), Code::PermissionDenied);
    others.goodbye(goodbye()).await.unwrap();
    assert!(is_there(&guarded).await, "nobody stops waiting for it");
    let mut own = guarded.telemetry(&shop).await;
    own.report(report(1)).await.unwrap();

    // A rotation changes nothing; with its token's end another one may take over.
    let rotate = v1::RotateTokenRequest { name: "shop".to_owned(), ..Default::default() };
    let mut tokens = guarded.tokens(&guarded.root).await;
    let shop = tokens.rotate_token(rotate).await.unwrap().into_inner().text;
    assert_eq!(others.report(report(2)).await.unwrap_err().code(), Code::PermissionDenied);
    guarded.telemetry(&shop).await.report(report(2)).await.unwrap();
    guarded.revoke("shop").await;
    let _again = guarded.routing(&other).await.watch(watching("shop-1")).await.unwrap();
    others.report(report(3)).await.unwrap();
    others.goodbye(goodbye()).await.unwrap();
    assert!(!is_there(&guarded).await);
    guarded.controller.stop().await;
}

#[tokio::test]
async fn nobody_is_evicted_while_somebody_is_refused_who_may_be_the_one() {
    let guarded = Guarded::start().await;
    let (shop, vic) = (guarded.token("shop", Role::Sdk).await, guarded.token("vic", Role::Viewer).await);
    let _stream = guarded.routing(&shop).await.watch(watching("shop-1")).await.unwrap();
    let mut admin = guarded.admin(&guarded.root).await;
    let lost = |id: &str| v1::EvictInstanceRequest {
        instance_id: id.to_owned(),
        reason: "a test".to_owned(),
        lost: true,
        ..Default::default()
    };
    assert!(admin.evict_instance(lost("")).await.is_ok(), "there is nobody to evict");
    // A process with a wrong text in its token file, none, or a token without the role.
    for wrong in ["", "x", &vic] {
        guarded.telemetry(wrong).await.report(report(1)).await.unwrap_err();
        for id in ["", "shop-1"] {
            let refused = admin.evict_instance(lost(id)).await.unwrap_err();
            assert!(refused.message().contains("a process was refused 0 s ago"), "{refused:?}");
        }
    }
    let force = v1::EvictInstanceRequest { force: true, lost: false, ..lost("shop-1") };
    assert_eq!(admin.evict_instance(force).await.unwrap().into_inner().evicted, ["shop-1"]);
    guarded.controller.stop().await;
}

#[tokio::test]
async fn a_worker_works_on_passes_and_changes_nothing_else() {
    let guarded = Guarded::start().await;
    guarded.migrations(&["orders"]).await;
    let (worker, sdk) = (guarded.token("w", Role::Worker).await, guarded.token("s", Role::Sdk).await);
    let of = async |token: &str, request: v1::CreateJobRequest| {
        let channel = super::channel(guarded.url(), token).await;
        let mut jobs = v1::job_service_client::JobServiceClient::new(channel);
        jobs.create_job(request).await.map(|_| ()).map_err(|status| status.code())
    };
    let pass = |kind: v1::PassKind| v1::CreateJobRequest {
        migration: "orders".to_owned(),
        kind: kind.into(),
        segments: 1,
        dry_run: true,
        reason: "a test".to_owned(),
        ..Default::default()
    };
    assert_eq!(of(&sdk, pass(v1::PassKind::Sample)).await, Err(Code::PermissionDenied));
    assert_eq!(of(&worker, pass(v1::PassKind::Full)).await, Ok(()));
    let wins = v1::CreateJobRequest { source_wins: true, ..pass(v1::PassKind::Verify) };
    assert_eq!(of(&worker, wins.clone()).await, Err(Code::PermissionDenied), "it overwrites the target");
    assert_ne!(of(&guarded.root, wins).await, Err(Code::PermissionDenied));
    let _stream = guarded.routing(&worker).await.watch(watching("w-1")).await.unwrap();
    let pause = v1::PauseRequest { key: "orders".to_owned(), ..Default::default() };
    let refused = guarded.admin(&worker).await.pause(pause).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    guarded.controller.stop().await;
}
