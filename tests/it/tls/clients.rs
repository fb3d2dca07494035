//! The SDK over TLS: whom it trusts, who is let in, and what it says otherwise.

use std::time::{Duration, Instant};

use cutover_client::{Access, AuthorizedChannel, TlsError, routing::Stage};
use cutover_proto::v1::{self, admin_service_client::AdminServiceClient};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Code;

use super::{Encrypted, handshake, http, sdk};
use crate::support::server::Controller;

fn orders() -> v1::CreateMigrationRequest {
    v1::CreateMigrationRequest {
        key: "orders".to_owned(),
        source: "old".to_owned(),
        target: "new".to_owned(),
        ..Default::default()
    }
}

#[tokio::test]
async fn it_watches_decides_and_reports_over_tls() {
    for mutual in [false, true] {
        let encrypted = Encrypted::start_with(mutual).await;
        let access = if mutual { encrypted.access_with_certificate() } else { encrypted.access() };
        let address =
            cutover_client::Address::new(&encrypted.url(), &access, Duration::from_secs(3)).unwrap();
        let mut admin = AdminServiceClient::new(address.connect().await.unwrap());
        admin.create_migration(orders()).await.unwrap();
        let client = encrypted.sdk(access.clone()).await.unwrap();
        assert_eq!(client.decide("orders", "acme").unwrap().stage(), Stage::SourceOnly);
        // A change arrives, and its acknowledgement goes back.
        let mutation = Some(v1::Mutation { reason: "a test".to_owned(), ..Default::default() });
        let ramp = v1::SetRolloutRequest {
            mutation,
            key: "orders".to_owned(),
            dual_ppm: Some(1_000_000),
            ..Default::default()
        };
        admin.set_rollout(ramp).await.unwrap();
        let begun = Instant::now();
        while client.decide("orders", "acme").unwrap().stage() == Stage::SourceOnly {
            assert!(begun.elapsed() < Duration::from_secs(20), "the ramp arrives");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        loop {
            let listed =
                admin.list_instances(v1::ListInstancesRequest::default()).await.unwrap().into_inner();
            if listed.instances[0].applied_revision == client.status().revision {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "the acknowledgement arrives: {listed:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(client.close().await, "the goodbye arrives");
        encrypted.controller.stop().await;
    }
}

#[tokio::test]
async fn a_controller_is_trusted_by_its_ca_and_its_name() {
    let encrypted = Encrypted::start().await;
    let other = encrypted.certificates.ca("other");
    for access in [Access::default(), Access::default().with_ca_file(&other.file)] {
        let refused = encrypted.sdk(access).await.unwrap_err().to_string();
        assert!(
            refused.contains("no trusted CA has signed it") && refused.contains("--ca FILE"),
            "{refused}"
        );
    }
    let url = encrypted.url().replace("localhost", "127.0.0.1");
    let refused = sdk(&url, encrypted.access()).await.unwrap_err().to_string();
    assert!(refused.contains("it is for other names (") && refused.contains("localhost"), "{refused}");
    encrypted.controller.stop().await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused_in_words() {
    let encrypted = Encrypted::start().await;
    encrypted.controller.stop().await;
    let pair = encrypted.certificates.signed_with(&encrypted.ca, "server", &["localhost"], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let dir = tempfile::tempdir().unwrap();
    let controller = Controller::start_with(dir.path(), 0, pair.flags(None)).await;
    let access = Access::default().with_ca_file(&encrypted.ca.file);
    let url = format!("https://localhost:{}", controller.port());
    let refused = sdk(&url, access).await.unwrap_err().to_string();
    assert!(refused.contains("it has expired. Renew it"), "{refused}");
    controller.stop().await;
}

#[tokio::test]
async fn who_needs_a_certificate_and_has_none_or_a_wrong_one_is_told_so() {
    let encrypted = Encrypted::start_with(true).await;
    let none = encrypted.sdk(encrypted.access()).await.unwrap_err().to_string();
    assert!(none.contains("requires a client certificate") && none.contains("CUTOVER_CLIENT_CERT"), "{none}");
    let other = encrypted.certificates.ca("other");
    let wrong = encrypted.certificates.signed(&other, "wrong", &["orders-api"]);
    let access = encrypted.access().with_client_certificate(&wrong.cert, &wrong.key);
    let refused = encrypted.sdk(access).await.unwrap_err().to_string();
    assert!(refused.contains("does not accept this client's certificate"), "{refused}");
    let halved = encrypted.certificates.signed(&encrypted.ca, "right", &["orders-api"]);
    let access = encrypted.access().with_client_certificate(&halved.cert, &wrong.key);
    let refused = encrypted.sdk(access).await.unwrap_err().to_string();
    assert!(refused.contains("they are not of one pair") && !refused.contains("PRIVATE"), "{refused}");
    // The transport itself lets nobody in: no request can be made.
    let mut stream = handshake(encrypted.controller.port(), &encrypted.ca.file, None, "h2").await.unwrap();
    let read = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 64]).await;
    assert!(read.unwrap_err().to_string().contains("CertificateRequired"));
    encrypted.controller.stop().await;
}

#[tokio::test]
async fn a_renewed_client_certificate_is_used_from_the_next_connection_on() {
    let encrypted = Encrypted::start_with(true).await;
    let other = encrypted.certificates.ca("other");
    let client = encrypted.certificates.signed(&other, "client", &["orders-api"]);
    let access = encrypted.access().with_client_certificate(&client.cert, &client.key);
    let address = cutover_client::Address::new(&encrypted.url(), &access, Duration::from_secs(3)).unwrap();
    let mut admin = AdminServiceClient::new(address.connect_lazy());
    assert_eq!(
        admin.list_migrations(v1::ListMigrationsRequest::default()).await.unwrap_err().code(),
        Code::Unavailable
    );
    encrypted.certificates.signed(&encrypted.ca, "client", &["orders-api"]);
    admin.list_migrations(v1::ListMigrationsRequest::default()).await.unwrap();
    encrypted.controller.stop().await;
}

#[tokio::test]
async fn http_to_a_port_with_tls_and_https_to_one_without_say_what_to_change() {
    let encrypted = Encrypted::start().await;
    let begun = Instant::now();
    let plain = sdk(&encrypted.controller.url, Access::default()).await.unwrap_err().to_string();
    assert!(plain.contains("takes connections with TLS only: use https://"), "{plain}");
    assert!(begun.elapsed() < Duration::from_secs(3), "it is refused at once");
    let dir = tempfile::tempdir().unwrap();
    let open = Controller::start(dir.path(), 0).await;
    let url = format!("https://localhost:{}", open.port());
    let refused = sdk(&url, encrypted.access()).await.unwrap_err().to_string();
    assert!(refused.contains("does not use TLS on that port: connect with http://"), "{refused}");
    open.stop().await;
    encrypted.controller.stop().await;
}

/// The refusal to evict, which comes once the controller has closed the refused connection.
async fn refusal(admin: &mut AdminServiceClient<AuthorizedChannel>) -> String {
    let begun = Instant::now();
    loop {
        match admin.evict_instance(lost()).await {
            Err(refused) => return refused.message().to_owned(),
            Ok(_) => assert!(begun.elapsed() < Duration::from_secs(20), "it is refused"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn lost() -> v1::EvictInstanceRequest {
    v1::EvictInstanceRequest { reason: "a test".to_owned(), lost: true, ..Default::default() }
}

/// A process whose certificate is not accepted is silent and may run: it must not be taken for dead.
#[tokio::test]
async fn nobody_is_evicted_while_a_process_is_refused_for_its_certificate() {
    let encrypted = Encrypted::start_with(true).await;
    let access = encrypted.access_with_certificate();
    let address = cutover_client::Address::new(&encrypted.url(), &access, Duration::from_secs(3)).unwrap();
    let mut admin = AdminServiceClient::new(address.connect().await.unwrap());
    assert!(admin.evict_instance(lost()).await.is_ok(), "there is nobody to evict");
    encrypted.sdk(encrypted.access()).await.unwrap_err();
    let refused = refusal(&mut admin).await;
    assert!(refused.contains("a connection from 127.0.0.1 was refused"), "{refused}");
    assert!(refused.contains("CUTOVER_CLIENT_CERT") && !refused.contains("token"), "{refused}");
    encrypted.controller.stop().await;
}

/// It runs, and can't connect again: the controller has to see it.
#[tokio::test]
async fn a_process_whose_own_files_break_is_seen() {
    let encrypted = Encrypted::start_with(true).await;
    let ca = encrypted.certificates.path("trusted.pem");
    let ops = encrypted.certificates.signed(&encrypted.ca, "ops", &["ada"]);
    let access = encrypted.access().with_client_certificate(&ops.cert, &ops.key);
    let address = cutover_client::Address::new(&encrypted.url(), &access, Duration::from_secs(3)).unwrap();
    let mut admin = AdminServiceClient::new(address.connect().await.unwrap());
    assert!(admin.evict_instance(lost()).await.is_ok(), "there is nobody to evict");
    for round in 1..=3 {
        std::fs::copy(&encrypted.ca.file, &ca).unwrap();
        let pair = encrypted.certificates.signed(&encrypted.ca, "client", &["orders-api"]);
        let access = Access::default().with_ca_file(&ca).with_client_certificate(&pair.cert, &pair.key);
        let address =
            cutover_client::Address::new(&encrypted.url(), &access, Duration::from_secs(3)).unwrap();
        let mut process = AdminServiceClient::new(address.connect_lazy());
        match round {
            1 => std::fs::write(&ca, "").unwrap(),
            2 => {
                std::fs::copy(&ops.key, &pair.key).unwrap();
            }
            _ => std::fs::remove_file(&pair.cert).unwrap(),
        }
        let failed = process.list_migrations(v1::ListMigrationsRequest::default()).await.unwrap_err();
        let why = TlsError::within(&failed).unwrap().to_string();
        let part = ["has no valid certificate", "they are not of one pair", "can't read"][round - 1];
        assert!(why.contains(part), "{why}");
        let refused = refusal(&mut admin).await;
        assert!(refused.contains("can't use its own files"), "{refused}");
        let counted =
            format!("cutover_refused_connections_total{{port=\"grpc\",reason=\"rejected\"}} {round}\n");
        let begun = Instant::now();
        while !http::get(encrypted.controller.http, &encrypted.ca.file, Some(&ops), "/metrics")
            .await
            .contains(&counted)
        {
            assert!(begun.elapsed() < Duration::from_secs(20), "{counted}");
        }
    }
    encrypted.controller.stop().await;
}

#[tokio::test]
async fn who_comes_without_tls_blocks_evictions_only_if_it_watches() {
    let encrypted = Encrypted::start().await;
    let address =
        cutover_client::Address::new(&encrypted.url(), &encrypted.access(), Duration::from_secs(3)).unwrap();
    let mut admin = AdminServiceClient::new(address.connect().await.unwrap());
    for text in ["x", "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"] {
        let mut probe =
            tokio::net::TcpStream::connect(("127.0.0.1", encrypted.controller.port())).await.unwrap();
        probe.write_all(text.as_bytes()).await.unwrap();
        let _ = probe.read_to_end(&mut Vec::new()).await;
    }
    let counted = "cutover_refused_connections_total{port=\"grpc\",reason=\"plain\"} 2\n";
    let begun = Instant::now();
    while !encrypted.scrape().await.contains(counted) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{counted}");
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(admin.evict_instance(lost()).await.is_ok(), "neither is a process");
    sdk(&encrypted.controller.url, Access::default()).await.unwrap_err();
    let refused = refusal(&mut admin).await;
    for part in ["a connection from 127.0.0.1 was refused", "does not use TLS", "https://", "it is a check"] {
        assert!(refused.contains(part), "{refused}");
    }
    encrypted.controller.stop().await;
}

#[tokio::test]
async fn https_to_the_http_port_names_the_grpc_port() {
    let encrypted = Encrypted::start().await;
    let url = format!("https://localhost:{}", encrypted.controller.http.port());
    let refused = sdk(&url, encrypted.access()).await.unwrap_err().to_string();
    assert!(refused.contains("does not speak gRPC on that port") && refused.contains("7070"), "{refused}");
    encrypted.controller.stop().await;
}
