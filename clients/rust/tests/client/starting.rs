//! A bounded start: the controller's state, the persisted one, or an error that says what to do.

use std::time::{Duration, Instant};

use cutover_client::{
    Client, ConnectError, Options, clock,
    persisted::{self, PersistedError, Saving},
    routing::{Policy, Rung, Snapshot},
    watch::{BeginError, Source},
};
use cutover_proto::v1;
use tokio::{io::AsyncWriteExt as _, net::TcpListener};
use tonic::Status;

use crate::{
    fake::{self, Fake},
    rung, saving, started, until_received,
};

fn soon() -> Options {
    Options { start_timeout: Duration::from_millis(300), ..Options::default() }
}

/// An address at which nothing listens.
async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("http://{}", listener.local_addr().expect("bound"))
}

async fn refused(server: &str, service: &str, options: Options) -> ConnectError {
    Client::connect(server, service, options).await.expect_err("must be refused")
}

#[tokio::test]
async fn a_start_waits_for_the_whole_snapshot() {
    let mut fake = Fake::start().await;
    let (client, stream) = started(&mut fake, Rung::Dual, Options::default()).await;
    assert_eq!(rung(&client, "acme"), Rung::Dual);
    assert_eq!(client.writer_slot(), 7);
    let status = client.status();
    assert_eq!((status.revision, status.applied_revision, status.connected), (1, 1, true));
    assert_eq!((status.source, status.last_error), (Source::Controller, None));
    let request = &stream.request;
    assert_eq!((request.service.as_str(), request.last_revision), ("orders-api", 0));
    assert!(request.instance_id.starts_with("orders-api-"), "{}", request.instance_id);
    assert_eq!(request.version_layout, 1, "14 bits of slot");
}

/// The controller has registered it, so it would wait for it.
#[tokio::test]
async fn a_start_that_gives_up_says_goodbye() {
    let mut fake = Fake::start().await;
    let options = Options { instance_id: Some("orders-api-1".to_owned()), ..soon() };
    let error = refused(&fake.url(), "orders-api", options).await;
    assert!(matches!(error, ConnectError::NoSnapshot { .. }), "{error}");
    assert_eq!(fake.watch().await.request.instance_id, "orders-api-1");
    assert_eq!(fake.goodbye().await, "orders-api-1");
}

#[tokio::test]
async fn what_can_not_work_is_refused_before_anything_is_tried() {
    for server in ["", "not a url", "127.0.0.1:7070", "ftp://host:1", "http:///"] {
        let error = refused(server, "orders-api", soon()).await;
        assert!(matches!(error, ConnectError::Server { .. }), "{server:?}: {error}");
    }
    for service in ["", "orders api", "ö", &"x".repeat(129)] {
        let error = refused("http://127.0.0.1:1", service, soon()).await;
        assert!(matches!(error, ConnectError::Name { what: "service", .. }), "{error}");
    }
    let options = Options { instance_id: Some("a b".to_owned()), ..soon() };
    let error = refused("http://127.0.0.1:1", "orders-api", options).await;
    assert!(matches!(error, ConnectError::Name { what: "instance id", .. }), "{error}");
}

#[tokio::test]
async fn without_controller_and_persisted_snapshot_the_error_says_what_to_do() {
    let began = Instant::now();
    let error = refused(&nowhere().await, "orders-api", soon()).await;
    assert!(began.elapsed() < Duration::from_secs(3), "bounded");
    let text = error.to_string();
    assert!(matches!(error, ConnectError::NoSnapshot { .. }), "{text}");
    for part in ["refused", "none is persisted", "start the controller"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn what_is_no_controller_is_named_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = format!("http://{}", listener.local_addr().expect("bound"));
    let talking = tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            // The other side may have hung up already.
            let _ = socket.write_all(b"SSH-2.0-OpenSSH_9.6\r\n and then some more than a frame\r\n").await;
        }
    });
    let error = refused(&server, "orders-api", soon()).await.to_string();
    assert!(error.contains("is this"), "{error}");
    talking.abort();

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = format!("http://{}", listener.local_addr().expect("bound"));
    let error = refused(&server, "orders-api", soon()).await.to_string();
    assert!(error.contains("did not answer"), "accepts, and is silent: {error}");
}

#[tokio::test]
async fn a_controller_without_this_service_is_named_so() {
    let mut fake = Fake::start().await;
    let url = fake.url();
    let connecting = tokio::spawn(async move { refused(&url, "orders-api", soon()).await });
    fake.watch().await.fail(Status::unimplemented("unknown service"));
    let error = connecting.await.expect("no panic").to_string();
    assert!(error.contains("no Cutover controller"), "{error}");
}

#[tokio::test]
async fn a_controller_that_will_never_have_this_client_ends_the_start_at_once() {
    let mut fake = Fake::start().await;
    let url = fake.url();
    let options = Options { start_timeout: Duration::from_secs(60), ..Options::default() };
    let connecting = tokio::spawn(async move { refused(&url, "orders-api", options).await });
    fake.watch().await.fail(Status::invalid_argument("tenant_fingerprint: too long"));
    let error = connecting.await.expect("no panic");
    assert!(matches!(&error, ConnectError::Refused { why, .. } if why.contains("fingerprint")), "{error}");
}

#[tokio::test]
async fn the_last_snapshot_serves_a_start_without_the_controller() {
    let directory = tempfile::tempdir().expect("a directory");
    let persist = Some(directory.path().join("snapshot"));
    let mut fake = Fake::start().await;
    let options = Options { persist: persist.clone(), ..Options::default() };
    let (client, _stream) = started(&mut fake, Rung::TargetFirst, options).await;
    assert!(client.close().await);
    fake.stop().await;

    let options = Options { persist, ..soon() };
    let client = Client::connect(&nowhere().await, "orders-api", options).await.expect("by the file");
    assert_eq!(rung(&client, "acme"), Rung::TargetFirst);
    let status = client.status();
    assert_eq!((status.source, status.connected, status.revision), (Source::Persisted, false, 1));
    assert!(status.last_error.is_some());
}

#[tokio::test]
async fn a_damaged_file_is_no_snapshot() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("snapshot");
    std::fs::write(&path, "CUTOVER\0\u{2}\0\0\0 and nonsense").expect("written");
    let options = Options { persist: Some(path), ..soon() };
    let error = refused(&nowhere().await, "orders-api", options).await;
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[tokio::test]
async fn the_persisted_snapshot_is_not_used_beside_a_controller_whose_own_is_on_the_way() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("snapshot");
    persisted::save(&path, &Snapshot::empty(1), &saving("history-1")).expect("written");
    let mut fake = Fake::start().await;
    let url = fake.url();
    let options = Options { persist: Some(path), ..soon() };
    let connecting = tokio::spawn(async move { refused(&url, "orders-api", options).await });
    let stream = fake.watch().await;
    stream.register(fake::registered());
    let error = connecting.await.expect("no panic");
    assert!(error.to_string().contains("on the way"), "{error}");
}

#[tokio::test]
async fn a_fence_counts_from_when_the_persisted_snapshot_was_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("snapshot");
    let mut snapshot = Snapshot::empty(1);
    let policy = Policy { fence_after_ms: 1, ..Policy::default() };
    let table = fake::table(1, Rung::Dual).with_head(1, &[], policy);
    snapshot.insert("orders", Ok(table.into()));
    persisted::save(&path, &snapshot, &saving("history-1")).expect("written");
    let options = Options { persist: Some(path), ..soon() };
    let client = Client::connect(&nowhere().await, "orders-api", options).await.expect("by the file");
    let begun = client.begin("orders", "acme");
    assert!(matches!(begun, Err(BeginError::Fenced { .. })), "{begun:?}");
}

#[tokio::test]
async fn what_began_under_the_persisted_snapshot_is_not_vouched_for_once_the_controller_is_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("snapshot");
    let mut snapshot = Snapshot::empty(1);
    snapshot.insert("orders", Ok(fake::table(1, Rung::Dual).into()));
    persisted::save(&path, &snapshot, &saving("history-1")).expect("written");

    let mut fake = Fake::start().await;
    let options = Options { persist: Some(path), ..soon() };
    // Nobody registers the client, so it starts from the file.
    let client = Client::connect(&fake.url(), "orders-api", options).await.expect("by the file");
    let early = client.begin("orders", "acme").expect("routed by the file");
    assert!(!early.overtaken(client.current(), "orders", "acme"));

    let stream = fake.watch().await;
    stream.register(fake::registered());
    stream.snapshot(2, Rung::Dual);
    until_received(&client, 2).await;
    assert!(early.overtaken(client.current(), "orders", "acme"));
    let late = client.begin("orders", "acme").expect("routed by the controller");
    assert!(!late.overtaken(client.current(), "orders", "acme"));
    assert_eq!(client.status().source, Source::Controller);
}

/// A client started from a file that may be used for `left`.
async fn by_a_file(left: Duration) -> (tempfile::TempDir, Result<Client, ConnectError>) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("snapshot");
    let mut snapshot = Snapshot::empty(1);
    snapshot.insert("orders", Ok(fake::table(1, Rung::Dual).into()));
    let valid = Duration::from_secs(3_600);
    let saving = Saving {
        is_base: true,
        heard: clock::Instant::now().saturating_sub(valid.saturating_sub(left)),
        ..saving("history-1")
    };
    persisted::save(&path, &snapshot, &saving).expect("written");
    let options = Options { persist: Some(path), ..soon() };
    (directory, Client::connect(&nowhere().await, "orders-api", options).await)
}

#[tokio::test]
async fn a_start_from_a_file_has_its_writer_slot_and_ends_when_the_file_expires() {
    let (_directory, client) = by_a_file(Duration::from_secs(2)).await;
    let client = client.expect("by the file");
    assert_eq!(client.writer_slot(), 9, "the one that is kept for it");
    let operation = client.begin("orders", "acme").expect("routed by the file");
    let expired = async {
        while client.begin("orders", "acme").err() != Some(BeginError::FileExpired) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), expired).await.expect("it expires");
    assert!(operation.overtaken(client.current(), "orders", "acme"), "what runs on is not vouched for");
}

#[tokio::test]
async fn an_expired_file_is_refused() {
    let (_directory, client) = by_a_file(Duration::ZERO).await;
    let error = client.expect_err("refused");
    assert!(matches!(error, ConnectError::FileExpired { .. }), "{error}");
}

#[tokio::test]
async fn two_processes_do_not_start_from_one_file() {
    let (directory, client) = by_a_file(Duration::from_secs(60)).await;
    let _client = client.expect("by the file");
    let options = Options { persist: Some(directory.path().join("snapshot")), ..soon() };
    let error = refused(&nowhere().await, "orders-api", options).await;
    assert!(matches!(error, ConnectError::File(PersistedError::InUse(_))), "{error}");
}

#[tokio::test]
async fn a_process_that_takes_a_file_over_says_whose_it_was_and_not_before_that_one_s_operations_have_ended()
{
    let directory = tempfile::tempdir().expect("a directory");
    let options = || {
        let (persist, instance_id) = (Some(directory.path().join("snapshot")), Some("one".to_owned()));
        Options { persist, instance_id, ..soon() }
    };
    let mut fake = Fake::start().await;
    let (client, stream) = started(&mut fake, Rung::Dual, options()).await;
    assert_eq!(stream.request.succeeds, []);
    let incarnation = stream.request.incarnation;
    let operation = client.begin("orders", "acme").expect("begun");
    // Written, so that no write is under way below.
    fake.report(|report| report.applied_revision == 1).await;
    drop(client);
    let error = refused(&fake.url(), "orders-api", options()).await;
    assert!(matches!(error, ConnectError::File(PersistedError::InUse(_))), "it may still write: {error}");
    drop(operation);
    let (_client, stream) = started(&mut fake, Rung::Dual, options()).await;
    assert_eq!(stream.request.succeeds, [v1::Process { instance_id: "one".to_owned(), incarnation }]);
}

#[tokio::test]
async fn a_new_writer_slot_is_in_the_file_before_anything_is_acknowledged() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("snapshot");
    let mut fake = Fake::start().await;
    let options = Options { persist: Some(path.clone()), ..Options::default() };
    let (client, stream) = started(&mut fake, Rung::Dual, options).await;
    fake.report(|report| report.applied_revision == 1).await;
    stream.fail(Status::unavailable("restarted"));
    let stream = fake.watch().await;
    // The controller had forgotten it, and gave its slot to another process.
    stream.register(v1::Registered { writer_slot: 8, admission: 2, readmitted: true, ..fake::registered() });
    stream.heartbeat(1);
    fake.report(|report| report.admission == 2 && report.applied_revision == 1).await;
    let saved = persisted::load(&path).expect("read").expect("there");
    assert_eq!(saved.writer_slot, 8);
    drop(client);
}

#[tokio::test]
async fn a_client_that_is_dropped_routes_no_more() {
    let mut fake = Fake::start().await;
    let (client, _stream) = started(&mut fake, Rung::Dual, Options::default()).await;
    let current = client.current().clone();
    let operation = current.begin("orders", "acme").expect("begun");
    drop(client);
    assert_eq!(current.begin("orders", "acme").err(), Some(BeginError::NoSnapshot));
    assert!(operation.overtaken(&current, "orders", "acme"));
}
