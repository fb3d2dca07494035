//! A token's life: streams end with it, rotation is noticed, and a restart forgets nothing.

use std::time::Duration;

use cutover::config::Serve;
use cutover_client::{Access, Client, Options};
use cutover_proto::v1::{
    self, Role, access_service_client::AccessServiceClient, admin_service_client::AdminServiceClient,
};
use http_body_util::BodyExt as _;
use tonic::Code;

use super::{Guarded, channel, first};
use crate::{
    api::client::{self, EVENTS},
    support::server::Controller,
};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn streams_end_when_their_token_is_revoked() {
    let guarded = Guarded::start().await;
    guarded.migrations(&["orders"]).await;
    let viewer = guarded.token("vic", Role::Viewer).await;
    let request = v1::GetStatusRequest { key: "orders".to_owned() };
    let mut statuses = guarded.admin(&viewer).await.watch_status(request).await.unwrap().into_inner();
    statuses.message().await.unwrap().expect("a status");
    let headers = [EVENTS, ("authorization", &format!("Bearer {viewer}"))];
    let path = "/api/v1/WatchStatus?key=orders";
    let mut events = client::send(guarded.controller.http, "GET", path, &headers, "").await.into_body();
    events.frame().await.expect("an event").expect("it is open");

    guarded.revoke("vic").await;
    let ended = async {
        loop {
            match statuses.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended without a reason"),
                Err(status) => break status,
            }
        }
    };
    let status = tokio::time::timeout(SOON, ended).await.expect("the stream ends");
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    let cut = async { while let Some(Ok(_)) = events.frame().await {} };
    tokio::time::timeout(SOON, cut).await.expect("the events end");
    guarded.controller.stop().await;
}

#[tokio::test]
async fn a_controller_without_tokens_makes_none_and_refuses_names_that_look_proven() {
    let dir = tempfile::TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let request = v1::CreateTokenRequest {
        name: "root".to_owned(),
        roles: vec![Role::Admin.into()],
        ..Default::default()
    };
    let mut tokens = AccessServiceClient::new(channel(&controller.url, "").await);
    let refused = tokens.create_token(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("--role admin --store URL"), "{refused:?}");
    let mut admin = controller.admin().await;
    for actor in ["token:ada", " Token:ada", "TOKEN:", "oidc:ada"] {
        let mutation = Some(v1::Mutation { actor: actor.to_owned(), ..Default::default() });
        let pause = v1::PauseRequest { mutation, key: "orders".to_owned() };
        assert_eq!(admin.pause(pause).await.unwrap_err().code(), Code::InvalidArgument, "{actor}");
    }
    controller.stop().await;
}

#[tokio::test]
async fn a_store_without_tokens_does_not_open_a_controller_that_requires_them() {
    let dir = tempfile::TempDir::new().unwrap();
    let closed = || Serve { require_tokens: true, ..Serve::default() };
    let refused = Controller::start_with(dir.path(), 0, closed()).await.ended().await.to_string();
    assert!(refused.contains("--require-tokens") && refused.contains("cutover token create"), "{refused}");
    let root = first(dir.path()).await;
    let controller = Controller::start_with(dir.path(), 0, closed()).await;
    let mut admin = AdminServiceClient::new(channel(&controller.url, &root).await);
    admin.list_migrations(v1::ListMigrationsRequest {}).await.unwrap();
    controller.stop().await;
}

#[tokio::test]
async fn a_service_goes_on_with_a_rotated_token_from_its_file() {
    let guarded = Guarded::start().await;
    guarded.migrations(&["orders"]).await;
    let file = guarded.path().join("sdk.token");
    std::fs::write(&file, guarded.token("shop", Role::Sdk).await).unwrap();
    let options = Options { access: Access::default().with_token_file(&file), ..Options::default() };
    let client = Client::connect(guarded.url(), "shop", options).await.unwrap();
    let mut tokens = guarded.tokens(&guarded.root).await;
    let rotate = v1::RotateTokenRequest { name: "shop".to_owned(), keep_ms: 60_000, ..Default::default() };
    let rotated = tokens.rotate_token(rotate.clone()).await.unwrap().into_inner();
    assert!(rotated.token.unwrap().previous_until_ms > 0);
    std::fs::write(&file, &rotated.text).unwrap();
    // The text from before ends with the next rotation, and the stream that was opened with it.
    let again = v1::RotateTokenRequest { keep_ms: 60_000, ..rotate };
    let newest = tokens.rotate_token(again).await.unwrap().into_inner().text;
    std::fs::write(&file, newest).unwrap();
    let mut admin = guarded.admin(&guarded.root).await;
    let pause = v1::PauseRequest { key: "orders".to_owned(), ..Default::default() };
    let revision = admin.pause(pause).await.unwrap().into_inner().migration.unwrap().revision;
    let heard = async {
        while client.status().revision < revision {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, heard).await.expect("it watches with the new one");
    assert!(client.close().await);
    guarded.controller.stop().await;
}

#[tokio::test]
async fn the_store_takes_no_name_that_looks_proven() {
    let dir = tempfile::TempDir::new().unwrap();
    let store = format!("sqlite:{}", dir.path().join("cutover.db").display());
    let long = "x".repeat(129);
    for actor in ["token:bob", " OIDC:bob@example.com", "ada\nb", "operator:ada\u{202e}", &long] {
        let made = cutover::server::create_admin(&store, "root", actor, "").await;
        assert!(made.is_err_and(|refused| refused.to_string().contains("actor")), "{actor:?}");
    }
    cutover::server::create_admin(&store, "root", "operator:ada", "").await.unwrap();
}

#[tokio::test]
async fn tokens_survive_a_restart_and_the_last_use_is_known() {
    let guarded = Guarded::start().await;
    let viewer = guarded.token("vic", Role::Viewer).await;
    guarded.admin(&viewer).await.list_migrations(v1::ListMigrationsRequest {}).await.unwrap();
    let Guarded { controller, root, dir } = guarded;
    controller.stop().await;
    let controller = Controller::start(dir.path(), 0).await;
    let mut tokens = AccessServiceClient::new(channel(&controller.url, &root).await);
    let listed = tokens.list_tokens(v1::ListTokensRequest {}).await.unwrap().into_inner().tokens;
    let used: Vec<_> = listed.iter().map(|token| (token.name.as_str(), token.used_ms > 0)).collect();
    assert_eq!(used, [("root", true), ("vic", true)]);
    let events = tokens.list_token_events(v1::ListTokenEventsRequest::default()).await.unwrap().into_inner();
    let told: Vec<_> =
        events.events.iter().map(|event| (event.actor.as_str(), event.summary.as_str())).collect();
    assert_eq!(told, [("token:root", "created vic: viewer"), ("operator:test", "created root: admin")]);
    controller.stop().await;
}
