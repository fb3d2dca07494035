//! A client that has the addresses of two controllers.

use std::{sync::Arc, time::Duration};

use cutover_client::{Client, ConnectError, Options, persisted, report::Event, routing::Rung, watch::Source};
use cutover_proto::v1;

use crate::{
    fake::{self, Fake},
    rung,
};

async fn two() -> ([Fake; 2], String) {
    let fakes = [Fake::start().await, Fake::start().await];
    let urls = fakes.each_ref().map(Fake::url).join(",");
    (fakes, urls)
}

#[tokio::test]
async fn a_client_that_closes_while_another_controller_takes_over_says_goodbye_there() {
    let ([mut old, mut new], urls) = two().await;
    new.stand_by(true);
    let seldom = Options { report_interval: Some(Duration::from_secs(600)), ..Options::default() };
    let connecting = tokio::spawn(async move { Client::connect(urls, "orders-api", seldom).await });
    let stream = old.watch().await;
    stream.register(fake::registered());
    stream.snapshot(1, Rung::Dual);
    let client = Arc::new(connecting.await.expect("no panic").expect("connected"));
    old.report(|report| report.applied_revision == 1).await;
    client.recorder().count("orders", 1, Event::Hit);
    let id = stream.request.instance_id.clone();

    old.stand_by(true);
    let closing = tokio::spawn({
        let client = client.clone();
        async move { client.close().await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!closing.is_finished(), "nobody leads");
    new.stand_by(false);
    let report = new.report(|_| true).await;
    assert_eq!(report.cells.iter().map(|cell| cell.hit).sum::<u64>(), 1);
    assert_eq!(new.goodbye().await, id);
    assert!(closing.await.expect("no panic"), "everything was delivered");
}

#[tokio::test]
async fn a_process_with_a_file_registers_at_no_other_installation() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("snapshot");
    let ([mut ours, mut theirs], urls) = two().await;
    let options = Options { persist: Some(path.clone()), ..Options::default() };
    let alone = ours.url();
    let connecting = tokio::spawn(async move { Client::connect(alone, "orders-api", options).await });
    let stream = ours.watch().await;
    stream.register(fake::registered());
    stream.snapshot(1, Rung::TargetFirst);
    let client = connecting.await.expect("no panic").expect("connected");
    assert!(client.close().await);
    ours.stop().await;

    // It does not say its history when it is asked, so it is found out when it registers the process.
    let options =
        Options { persist: Some(path.clone()), start_timeout: Duration::from_secs(2), ..Options::default() };
    let connecting = tokio::spawn(async move { Client::connect(urls, "orders-api", options).await });
    let stream = theirs.watch().await;
    assert_eq!(stream.request.history_id, "", "the file is not loaded yet");
    stream.register(v1::Registered { history_id: "history-2".to_owned(), ..fake::registered() });
    let started: Result<Client, ConnectError> = connecting.await.expect("no panic");
    let client = started.expect("by the file");
    assert_eq!((rung(&client, "acme"), client.status().source), (Rung::TargetFirst, Source::Persisted));
    let file = persisted::load(&path).expect("readable").expect("it is there");
    assert_eq!(file.history_id, "history-1", "the file is not replaced");
}
