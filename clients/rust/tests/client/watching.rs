//! The newest state, whatever happens to the stream.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use cutover_client::{Options, routing::Rung};
use cutover_proto::v1::{self, watch_response::Kind};
use tonic::Status;

use crate::{
    fake::{Fake, registered},
    rung, started, until_received,
};

#[tokio::test]
async fn a_delta_comes_on_top_of_the_snapshot() {
    let mut fake = Fake::start().await;
    let (client, stream) = started(&mut fake, Rung::Dual, Options::default()).await;
    stream.delta(2, Rung::Dual, "acme", Rung::Mirrored);
    stream.delta(3, Rung::SourceOnly, "bolt", Rung::Mirrored);
    until_received(&client, 3).await;
    assert_eq!(rung(&client, "acme"), Rung::Mirrored);
    assert_eq!(rung(&client, "bolt"), Rung::Mirrored);
    assert_eq!(rung(&client, "core"), Rung::SourceOnly);
}

#[tokio::test]
async fn nothing_changes_before_the_last_part_of_a_state() {
    let mut fake = Fake::start().await;
    let (client, stream) = started(&mut fake, Rung::Dual, Options::default()).await;
    stream.send(Kind::Snapshot(v1::Update { revision: 2, ..Default::default() }));
    stream.heartbeat(2);
    fake.report(|report| report.sequence >= 3).await;
    assert_eq!((client.status().revision, rung(&client, "acme")), (1, Rung::Dual));
    stream.send(Kind::Snapshot(v1::Update { revision: 2, last: true, ..Default::default() }));
    until_received(&client, 2).await;
    assert!(client.decide("orders", "acme").is_err(), "the new state has no migrations");
}

#[tokio::test]
async fn a_broken_stream_is_resumed_where_it_broke() {
    let mut fake = Fake::start().await;
    let (client, stream) = started(&mut fake, Rung::Dual, Options::default()).await;
    drop(stream);
    let stream = fake.watch().await;
    assert_eq!((stream.request.last_revision, stream.request.history_id.as_str()), (1, "history-1"));
    stream.register(registered());
    stream.delta(2, Rung::Mirrored, "acme", Rung::SourceOnly);
    until_received(&client, 2).await;
    assert_eq!((rung(&client, "acme"), rung(&client, "bolt")), (Rung::SourceOnly, Rung::Mirrored));
}

#[tokio::test]
async fn a_dead_stream_is_noticed_and_replaced_within_5_s() {
    let mut fake = Fake::start().await;
    let url = fake.url();
    let connecting =
        tokio::spawn(
            async move { cutover_client::Client::connect(&url, "orders-api", Options::default()).await },
        );
    let stream = fake.watch().await;
    stream.register(v1::Registered { heartbeat_ms: 50, ..registered() });
    stream.snapshot(1, Rung::Dual);
    let client = connecting.await.expect("no panic").expect("connected");
    // The connection stays open, but nothing arrives any more.
    let silent_since = Instant::now();
    stream.left().await;
    let next = fake.watch().await;
    assert!(silent_since.elapsed() < Duration::from_secs(5), "{:?}", silent_since.elapsed());
    assert_eq!(next.request.last_revision, 1);
    assert_eq!(rung(&client, "acme"), Rung::Dual);
    assert!(client.status().last_error.is_some_and(|error| error.contains("connection is dead")));
}

#[tokio::test]
async fn deciding_goes_on_when_the_controller_is_gone() {
    let mut fake = Fake::start().await;
    let (client, stream) = started(&mut fake, Rung::Mirrored, Options::default()).await;
    drop(stream);
    fake.stop().await;
    while client.status().connected {
        tokio::task::yield_now().await;
    }
    assert_eq!(rung(&client, "acme"), Rung::Mirrored);
    let operation = client.begin("orders", "acme").expect("begun");
    assert!(!operation.overtaken(client.current(), "orders", "acme"));
}

#[tokio::test]
async fn a_delta_that_does_not_fit_makes_the_client_ask_for_a_snapshot() {
    let mut fake = Fake::start().await;
    let (client, stream) = started(&mut fake, Rung::Dual, Options::default()).await;
    let part = v1::TablePart { migration: "unheard-of".to_owned(), ..Default::default() };
    stream.send(Kind::Delta(v1::Update {
        revision: 2,
        tables: vec![part],
        last: true,
        removed: vec![],
        seal: String::new(),
    }));
    let stream = fake.watch().await;
    assert_eq!(stream.request.last_revision, 0, "everything, please");
    assert_eq!(rung(&client, "acme"), Rung::Dual, "goes on meanwhile");
    stream.register(registered());
    stream.snapshot(2, Rung::Mirrored);
    until_received(&client, 2).await;
}

#[tokio::test]
async fn a_controller_that_fell_behind_is_not_followed_back() {
    let mut fake = Fake::start().await;
    let (client, stream) = started(&mut fake, Rung::Dual, Options::default()).await;
    stream.snapshot(5, Rung::Mirrored);
    until_received(&client, 5).await;
    stream.snapshot(4, Rung::Dual);
    let stream = fake.watch().await;
    assert_eq!(stream.request.last_revision, 5);
    assert_eq!(rung(&client, "acme"), Rung::Mirrored);
    let error = client.status().last_error.expect("said why");
    assert!(error.contains("behind") && error.contains("backup"), "{error}");
}

#[tokio::test]
async fn another_history_is_acknowledged_only_when_operations_of_the_old_one_have_ended() {
    let mut fake = Fake::start().await;
    let (client, stream) = started(&mut fake, Rung::Dual, Options::default()).await;
    stream.snapshot(500, Rung::Dual);
    until_received(&client, 500).await;
    let old = client.begin("orders", "acme").expect("begun");
    drop(stream);
    let stream = fake.watch().await;
    stream.register(v1::Registered { history_id: "history-2".to_owned(), ..registered() });
    stream.snapshot(3, Rung::Dual);
    let report = fake.report(|report| report.received_revision == 3).await;
    assert_eq!(report.applied_revision, 0, "revision 500 meant something else");
    assert!(old.overtaken(client.current(), "orders", "acme"));
    drop(old);
    fake.report(|report| report.applied_revision == 3).await;
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).into_owned()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_process_whose_id_another_one_has_logs_that_once_for_each_registration() {
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
    let _here = tracing::subscriber::set_default(lines.finish());
    let told = || log.text().matches("another process is connected with this instance id").count();
    let mut fake = Fake::start().await;
    let options = Options { instance_id: Some("pod".to_owned()), ..Options::default() };
    let (client, stream) = started(&mut fake, Rung::Dual, options).await;
    assert_eq!(told(), 0, "{}", log.text());
    stream.fail(Status::unavailable("restarted"));
    let stream = fake.watch().await;
    stream.register(v1::Registered { duplicate: true, ..registered() });
    stream.snapshot(2, Rung::Dual);
    until_received(&client, 2).await;
    assert_eq!(told(), 1, "{}", log.text());
    assert!(log.text().contains("instance=\"pod\""), "{}", log.text());
}
