//! A client that has the addresses of two controllers.

use std::{
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use cutover_client::{Client, ConnectError, Options, persisted, report::Event, routing::Rung, watch::Source};
use cutover_proto::v1;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

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

/// A machine in front of a controller. Once it has lost its power nothing comes from it any more, not even an end.
async fn machine(of: &Fake) -> (String, watch::Sender<bool>) {
    let (power, is_dead) = watch::channel(false);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let to = of.url().replace("http://", "");
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let (mut is_dead, to) = (is_dead.clone(), to.clone());
            tokio::spawn(async move {
                let mut to = TcpStream::connect(to).await.expect("the controller is there");
                tokio::select! {
                    biased;
                    () = async { drop(is_dead.wait_for(|is_dead| *is_dead).await) } => pending().await,
                    _ = copy_bidirectional(&mut from, &mut to) => {}
                }
            });
        }
    });
    (url, power)
}

/// No packet says that it is gone.
#[tokio::test]
async fn the_clients_of_a_machine_that_dies_are_elsewhere_within_3_s() {
    let [mut old, mut new] = [Fake::start().await, Fake::start().await];
    let (url, power) = machine(&old).await;
    let urls = format!("{url},{}", new.url());
    new.stand_by(true);
    let connecting =
        tokio::spawn(async move { Client::connect(urls, "orders-api", Options::default()).await });
    let stream = old.watch().await;
    // As controllers say.
    stream.register(v1::Registered { heartbeat_ms: 500, ..fake::registered() });
    stream.snapshot(1, Rung::Dual);
    let client = connecting.await.expect("no panic").expect("connected");
    old.report(|report| report.applied_revision == 1).await;
    new.stand_by(false);
    stream.heartbeat(1);
    power.send(true).expect("it runs");
    let died = Instant::now();
    let stream = new.watch().await;
    assert!(died.elapsed() < Duration::from_secs(3), "{:?}", died.elapsed());
    stream.register(fake::registered());
    stream.heartbeat(1);
    new.report(|report| report.received_revision == 1).await;
    assert_eq!(rung(&client, "acme"), Rung::Dual, "it has never stopped to decide");
}
