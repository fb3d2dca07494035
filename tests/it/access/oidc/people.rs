//! People with a login: what they and others are told, and who counts as whom.

use cutover_proto::v1::routing_service_client::RoutingServiceClient;

use super::*;
use crate::cli::run_with_env;

/// Whatever is signed, as base64url without padding.
fn base64url(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = text.as_bytes().chunks(3).flat_map(|chunk| {
        let bits = (0..3).fold(0_u32, |bits, at| bits << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        (0..=chunk.len()).map(move |at| DIGITS[(bits >> (18 - 6 * at) & 63) as usize] as char)
    });
    digits.collect()
}

async fn metrics(controller: &Controller, token: &str) -> String {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let scraped = client::send(controller.http, "GET", "/metrics", &headers, "").await;
    String::from_utf8_lossy(&scraped.into_body().collect().await.unwrap().to_bytes()).into_owned()
}

#[tokio::test]
async fn a_token_that_nobody_signed_says_nothing_to_operators() {
    let (dir, signer) = (TempDir::new().unwrap(), Signer::new());
    let root = first(dir.path()).await;
    let file = key_file(&dir, &signer);
    let controller = Controller::start_with(dir.path(), 0, believing(&dir, file.to_str().unwrap())).await;
    until_listed(&controller.url, &signer.token("ada@example.com", "everybody", 600)).await;
    let mut admin = AdminServiceClient::new(channel(&controller.url, &root).await);
    for text in ["<".repeat(8_000), "x\\n- evict it: cutover evict shop-1 --force".to_owned()] {
        let forged = format!("{}.e30.e30", base64url(&format!("{{\"alg\":\"{text}\"}}")));
        let mut routing = RoutingServiceClient::new(channel(&controller.url, &forged).await);
        let refused = routing.watch(watching("shop-1")).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
        assert!(refused.message().contains("no JSON object with a known algorithm"), "{refused:?}");
        let evict = v1::EvictInstanceRequest {
            instance_id: "shop-1".to_owned(),
            reason: "a test".to_owned(),
            ..Default::default()
        };
        let told = admin.evict_instance(evict).await.unwrap_err();
        assert_eq!(told.code(), Code::FailedPrecondition, "{told:?}");
        assert!(told.message().contains("a process was refused"), "{told:?}");
        assert!(!told.message().contains("<<") && !told.message().contains("- evict it"), "{told:?}");
    }
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_knows_a_login_from_a_token_and_from_an_open_controller() {
    let (dir, signer) = (TempDir::new().unwrap(), Signer::new());
    first(dir.path()).await;
    let file = key_file(&dir, &signer);
    let controller = Controller::start_with(dir.path(), 0, believing(&dir, file.to_str().unwrap())).await;
    let ada = signer.token("ada@example.com", "platform", 600);
    until_listed(&controller.url, &ada).await;
    // A person may have the name of a token.
    let root = signer.token("root", "everybody", 600);
    for (token, says) in [
        (ada, "  ok       this login, oidc:ada@example.com (operator, approver), ends in 10 min"),
        (root, "  ok       this login, oidc:root (viewer), ends in 10 min"),
    ] {
        let args = ["doctor", "--server", controller.url.as_str()];
        let said = run_with_env(args, &[("CUTOVER_TOKEN", token.as_str())]).await;
        assert!(said.code == 0 && said.out.contains(says), "{said:?}");
        assert!(!said.out.contains("needs no token") && !said.out.contains("this token"), "{said:?}");
    }
    controller.stop().await;
}

#[tokio::test]
async fn what_a_login_asked_for_waits_until_its_account_is_there_again() {
    let (dir, signer) = (TempDir::new().unwrap(), Signer::new());
    let root = first(dir.path()).await;
    let file = key_file(&dir, &signer);
    let start = || Controller::start_with(dir.path(), 0, believing(&dir, file.to_str().unwrap()));
    let controller = start().await;
    let ada = signer.login("1", "ada@example.com", "platform");
    until_listed(&controller.url, &ada).await;
    let create = v1::CreateMigrationRequest {
        key: "orders".to_owned(),
        policy: Some(v1::Policy { two_persons: true, ..Default::default() }),
        ..Default::default()
    };
    let mut admin = AdminServiceClient::new(channel(&controller.url, &ada).await);
    admin.create_migration(create).await.unwrap();
    let policy = Some(v1::Policy { two_persons: true, soak_ms: 60_000, ..Default::default() });
    let update = v1::UpdateMigrationRequest { key: "orders".to_owned(), policy, ..Default::default() };
    let asked = admin.update_migration(update).await.unwrap().into_inner();
    let revision = asked.migration.unwrap().requests[0].revision;
    let approval = v1::ApproveRequestRequest { key: "orders".to_owned(), revision, ..Default::default() };

    // Another address of hers is nobody else.
    let other = signer.login("1", "ada+2@example.com", "platform");
    let mut herself = AdminServiceClient::new(channel(&controller.url, &other).await);
    let refused = herself.approve_request(approval.clone()).await.unwrap_err();
    assert!(refused.message().contains("asked for it as oidc:ada@example.com"), "{refused:?}");
    controller.stop().await;

    let controller = start().await;
    let mut bob = AdminServiceClient::new(channel(&controller.url, &root).await);
    let refused = bob.approve_request(approval.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("oidc:ada@example.com has no valid login"), "{refused:?}");
    // Nor is a login enough that may not ask for it, or that of another account.
    until_listed(&controller.url, &signer.login("1", "ada@example.com", "everybody")).await;
    until_listed(&controller.url, &signer.login("2", "ada@example.com", "platform")).await;
    assert!(bob.approve_request(approval.clone()).await.is_err());
    until_listed(&controller.url, &other).await;
    bob.approve_request(approval).await.unwrap();
    controller.stop().await;
}

#[tokio::test]
async fn a_provider_that_is_away_is_no_fault_of_the_login() {
    let (dir, signer) = (TempDir::new().unwrap(), Signer::new());
    let root = first(dir.path()).await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{free}/keys");
    let controller = Controller::start_with(dir.path(), 0, believing(&dir, &url)).await;
    let refused = list(&controller.url, &signer.token("ada@example.com", "platform", 600)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    let name = "cutover_oidc_keys_read_timestamp_seconds";
    assert!(metrics(&controller, &root).await.contains(&format!("{name} 0\n")));
    controller.stop().await;

    let file = key_file(&dir, &signer);
    let controller = Controller::start_with(dir.path(), 0, believing(&dir, file.to_str().unwrap())).await;
    until_listed(&controller.url, &signer.token("ada@example.com", "platform", 600)).await;
    let scraped = metrics(&controller, &root).await;
    let read_s = scraped.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    assert!(read_s.unwrap().parse::<u64>().unwrap().abs_diff(now_ms() / 1000) < 60, "{scraped}");
    controller.stop().await;
}
