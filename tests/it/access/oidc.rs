//! People whom an identity provider vouches for, at a running controller.

mod people;

use std::{path::PathBuf, sync::Arc, time::Duration};

use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
use axum::{Router, routing::get};
use cutover::{config::Serve, telemetry::now_ms};
use cutover_proto::v1::{self, admin_service_client::AdminServiceClient};
use http_body_util::BodyExt as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::json;
use tempfile::TempDir;
use tonic::{Code, Status};

use super::{channel, create, first, watching};
use crate::{api::client, support::server::Controller};

const SOON: Duration = Duration::from_secs(20);

/// A key of the provider.
struct Signer(EncodingKey);

impl Signer {
    fn new() -> Self {
        Self(EncodingKey::from_ed_der(
            Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap().as_ref(),
        ))
    }

    fn keys(&self) -> String {
        json!({ "keys": [Jwk::from_encoding_key(&self.0, Algorithm::EdDSA).unwrap()] }).to_string()
    }

    /// A token, valid for so long.
    fn token(&self, name: &str, group: &str, seconds: u64) -> String {
        let exp = now_ms() / 1000 + seconds;
        let claims = json!({ "iss": "https://login.test", "aud": "cutover", "exp": exp, "email": name, "groups": [group] });
        encode(&Header::new(Algorithm::EdDSA), &claims, &self.0).unwrap()
    }

    /// A token of an account, whatever its address is.
    fn login(&self, sub: &str, name: &str, group: &str) -> String {
        let exp = now_ms() / 1000 + 600;
        let claims = json!({
            "iss": "https://login.test", "sub": sub, "aud": "cutover", "exp": exp, "email": name, "groups": [group],
        });
        encode(&Header::new(Algorithm::EdDSA), &claims, &self.0).unwrap()
    }
}

/// A configuration that believes the provider whose keys are there.
fn believing(dir: &TempDir, keys: &str) -> Serve {
    let file = format!(
        "[oidc]\nissuer = \"https://login.test\"\naudience = \"cutover\"\nkeys = {keys:?}\n[oidc.roles]\noperator = \
         [\"platform\"]\napprover = [\"platform\"]\nviewer = [\"everybody\"]\n"
    );
    let path = dir.path().join("serve.toml");
    std::fs::write(&path, file).unwrap();
    Serve { config: Some(path), ..Serve::default() }
}

fn key_file(dir: &TempDir, signer: &Signer) -> PathBuf {
    let path = dir.path().join("keys.json");
    std::fs::write(&path, signer.keys()).unwrap();
    path
}

async fn list(url: &str, token: &str) -> Result<(), Status> {
    let mut admin = AdminServiceClient::new(channel(url, token).await);
    admin.list_migrations(v1::ListMigrationsRequest {}).await.map(drop)
}

async fn until_listed(url: &str, token: &str) {
    let listed = async {
        while list(url, token).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, listed).await.expect("the new keys are used");
}

#[tokio::test]
async fn a_person_acts_by_the_name_that_the_provider_gives() {
    let (dir, signer) = (TempDir::new().unwrap(), Signer::new());
    let root = first(dir.path()).await;
    let file = key_file(&dir, &signer);
    let controller = Controller::start_with(dir.path(), 0, believing(&dir, file.to_str().unwrap())).await;
    let ada = signer.token("ada@example.com", "platform", 600);
    until_listed(&controller.url, &ada).await;
    let mut admin = AdminServiceClient::new(channel(&controller.url, &ada).await);
    let mutation = v1::Mutation { actor: "token:root".to_owned(), ..Default::default() };
    let request = v1::CreateMigrationRequest {
        mutation: Some(mutation),
        key: "orders".to_owned(),
        source: "old".to_owned(),
        target: "new".to_owned(),
        ..Default::default()
    };
    admin.create_migration(request).await.unwrap();
    let listed = admin.list_history(v1::ListHistoryRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.events[0].actor, "oidc:ada@example.com");

    // Roles are those of the groups; a token of the controller is as good as before.
    let bob = signer.token("bob@example.com", "everybody", 600);
    let mut viewer = AdminServiceClient::new(channel(&controller.url, &bob).await);
    let pause = v1::PauseRequest { key: "orders".to_owned(), ..Default::default() };
    let refused = viewer.pause(pause.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(
        refused.message().contains("bob@example.com") && refused.message().contains("[oidc.roles]"),
        "{refused:?}"
    );
    AdminServiceClient::new(channel(&controller.url, &root).await).pause(pause).await.unwrap();
    let token = create(&controller.url, &root, "shop", &[v1::Role::Sdk], &[]).await;
    assert_eq!(list(&controller.url, &token).await.unwrap_err().code(), Code::PermissionDenied);

    // No process hides behind a login.
    let mut routing =
        v1::routing_service_client::RoutingServiceClient::new(channel(&controller.url, &ada).await);
    let refused = routing.watch(watching("shop-1")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("cutover token create"), "{refused:?}");

    for (token, told) in [
        (
            Signer::new().token("eve@example.com", "platform", 600),
            "not signed by a key of https://login.test",
        ),
        (signer.token("cyd@example.com", "strangers", 600), "cyd@example.com is in no group"),
    ] {
        let refused = list(&controller.url, &token).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert!(refused.message().contains(told), "{refused:?}");
    }
    let bearer = format!("Bearer {root}");
    let headers = [("authorization", bearer.as_str())];
    let scraped = client::send(controller.http, "GET", "/metrics", &headers, "").await;
    let metrics = scraped.into_body().collect().await.unwrap().to_bytes();
    let metrics = String::from_utf8_lossy(&metrics);
    let counted =
        metrics.lines().find_map(|line| line.strip_prefix("cutover_refused_calls_total{reason=\"oidc\"} "));
    // More than these two, if the keys were not read yet at first.
    assert!(counted.unwrap().parse::<u64>().unwrap() >= 2, "{metrics}");
    controller.stop().await;
}

#[tokio::test]
async fn a_stream_ends_with_the_key_that_its_token_was_signed_by() {
    let (dir, signer, next) = (TempDir::new().unwrap(), Signer::new(), Signer::new());
    first(dir.path()).await;
    let file = key_file(&dir, &signer);
    let controller = Controller::start_with(dir.path(), 0, believing(&dir, file.to_str().unwrap())).await;
    let ada = signer.token("ada@example.com", "platform", 600);
    until_listed(&controller.url, &ada).await;
    let mut admin = AdminServiceClient::new(channel(&controller.url, &ada).await);
    let mut overview = admin.watch_overview(v1::WatchOverviewRequest::default()).await.unwrap().into_inner();
    overview.message().await.unwrap();
    key_file(&dir, &next);
    let ended = async {
        loop {
            match overview.message().await {
                Ok(Some(_)) => {}
                ended => break ended.unwrap_err(),
            }
        }
    };
    let ended = tokio::time::timeout(SOON, ended).await.expect("it ends");
    assert_eq!(ended.code(), Code::Unauthenticated);
    assert_eq!(list(&controller.url, &ada).await.unwrap_err().code(), Code::Unauthenticated);
    list(&controller.url, &next.token("ada@example.com", "platform", 600)).await.unwrap();

    // A file that breaks leaves the keys as they are.
    std::fs::write(&file, "{").unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    list(&controller.url, &next.token("ada@example.com", "platform", 600)).await.unwrap();
    controller.stop().await;
}

#[tokio::test]
async fn keys_are_fetched_again_for_a_token_that_none_of_them_signed() {
    let (dir, signer, next) = (TempDir::new().unwrap(), Signer::new(), Signer::new());
    first(dir.path()).await;
    let published = Arc::new(std::sync::Mutex::new(signer.keys()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let shown = published.clone();
    let provider =
        Router::new().route("/keys", get(move || std::future::ready(shown.lock().unwrap().clone())));
    let provider = tokio::spawn(async move { axum::serve(listener, provider).await });
    let controller = Controller::start_with(dir.path(), 0, believing(&dir, &url)).await;
    until_listed(&controller.url, &signer.token("ada@example.com", "platform", 600)).await;
    *published.lock().unwrap() = next.keys();
    // At once it is refused, and that makes the controller ask.
    until_listed(&controller.url, &next.token("ada@example.com", "platform", 600)).await;
    provider.abort();
    controller.stop().await;
}

#[tokio::test]
async fn a_provider_needs_a_token_beside_it_and_a_file_that_can_be_read() {
    let (dir, signer) = (TempDir::new().unwrap(), Signer::new());
    let file = key_file(&dir, &signer);
    let flags = || believing(&dir, file.to_str().unwrap());
    let refused = Controller::start_with(dir.path(), 0, flags()).await.ended().await.to_string();
    assert!(
        refused.contains("[oidc] needs an admin's token") && refused.contains("cutover token create"),
        "{refused}"
    );
    first(dir.path()).await;
    std::fs::remove_file(&file).unwrap();
    let refused = Controller::start_with(dir.path(), 0, flags()).await.ended().await.to_string();
    assert!(refused.contains("keys.json") && refused.contains("can't be used"), "{refused}");
}
