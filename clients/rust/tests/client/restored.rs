//! A controller whose store was restored does not know where tenants stand. Whoever knows better goes on by
//! that until it is confirmed; everybody else waits.

use std::time::Duration;

use cutover_client::{
    Client, Options, persisted,
    routing::{Band, PPM, Policy, Reason, Route, Rung, Table},
};
use cutover_proto::v1;
use tempfile::TempDir;

use crate::{
    fake::{Fake, Watching, registered, table},
    rung, saving, started, until_received,
};

fn policy(fence_after_ms: u32) -> Policy {
    Policy { fence_after_ms, ..Policy::default() }
}

/// Nobody has confirmed where tenants stand.
fn unconfirmed(revision: u64) -> Table {
    let route = Route { rung: Rung::Hold, reason: Reason::Restored, no_fallback: false };
    Table::new(revision, "orders", &[Band { upto_ppm: PPM, route }], Policy::default())
}

fn of_history(history_id: &str) -> v1::Registered {
    v1::Registered { history_id: history_id.to_owned(), ..registered() }
}

/// The controller is there again, with another history.
async fn restored(fake: &mut Fake, before: Watching, registered: v1::Registered) -> Watching {
    drop(before);
    let stream = fake.watch().await;
    stream.register(registered);
    stream.tables(9, &[("orders", unconfirmed(9))]);
    stream
}

#[tokio::test]
async fn routing_goes_on_as_it_was_until_the_restore_is_confirmed() {
    let mut fake = Fake::start().await;
    let (client, stream) = started(&mut fake, Rung::TargetOnly, Options::default()).await;
    // It may be unknown to the restored store: it has registered since the backup.
    let readmitted = v1::Registered { readmitted: true, admission: 2, ..of_history("history-2") };
    let stream = restored(&mut fake, stream, readmitted).await;
    assert_eq!(stream.request.held.len(), 1, "what it routes by");
    fake.report(|report| report.applied_revision == 9).await;
    assert_eq!(rung(&client, "acme"), Rung::TargetOnly);

    // What is kept is no base for a delta of the new history.
    stream.delta(10, Rung::TargetFirst, "bolt", Rung::Dual);
    let stream = fake.watch().await;
    assert_eq!(stream.request.last_revision, 0, "everything, please");
    stream.register(of_history("history-2"));
    stream.tables(10, &[("orders", unconfirmed(10))]);
    fake.report(|report| report.applied_revision == 10).await;
    assert_eq!(rung(&client, "acme"), Rung::TargetOnly);

    stream.snapshot(11, Rung::TargetFirst);
    fake.report(|report| report.applied_revision == 11).await;
    assert_eq!(rung(&client, "acme"), Rung::TargetFirst);
    // And from now on deltas fit.
    stream.delta(12, Rung::Mirrored, "bolt", Rung::Dual);
    until_received(&client, 12).await;
    assert_eq!((rung(&client, "acme"), rung(&client, "bolt")), (Rung::Mirrored, Rung::Dual));
}

#[tokio::test]
async fn a_process_that_knows_nothing_better_waits() {
    let mut fake = Fake::start().await;
    let url = fake.url();
    let connecting =
        tokio::spawn(async move { Client::connect(&url, "orders-api", Options::default()).await });
    let stream = fake.watch().await;
    stream.register(registered());
    stream.tables(9, &[("orders", unconfirmed(9))]);
    let client = connecting.await.expect("no panic").expect("connected");
    let decision = client.decide("orders", "acme").expect("routed");
    assert_eq!((decision.rung, decision.reason), (Rung::Hold, Reason::Restored));
}

#[tokio::test]
async fn a_process_that_may_have_been_counted_out_meanwhile_waits() {
    let mut fake = Fake::start().await;
    let (client, stream) = started(&mut fake, Rung::TargetFirst, Options::default()).await;
    // A fence that has passed by the time the controller is there again, whatever the machine does.
    let fenced = Table::new(2, "orders", table(2, Rung::TargetFirst).bands(), policy(1));
    stream.tables(2, &[("orders", fenced)]);
    until_received(&client, 2).await;
    let stream = restored(&mut fake, stream, of_history("history-2")).await;
    assert_eq!(stream.request.held, [], "others may have gone on: what it routed by says nothing");
    until_received_again(&client, 9).await;
    assert_eq!(client.decide("orders", "acme").expect("routed").reason, Reason::Restored);
}

#[tokio::test]
async fn a_process_that_started_from_a_file_waits() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("snapshot");
    let mut held = cutover_client::routing::Snapshot::empty(4);
    held.insert("orders", Ok(table(4, Rung::TargetFirst).into()));
    persisted::save(&path, &held, &saving("history-1")).expect("written");
    let mut fake = Fake::start().await;
    let start_timeout = Duration::from_millis(300);
    let options = Options { persist: Some(path), start_timeout, ..Options::default() };
    // Nobody registers the client, so the start ends by the file.
    let client = Client::connect(&fake.url(), "orders-api", options).await.expect("by the file");
    assert_eq!(rung(&client, "acme"), Rung::TargetFirst);
    let stream = fake.watch().await;
    stream.register(of_history("history-2"));
    stream.tables(9, &[("orders", unconfirmed(9))]);
    until_received(&client, 9).await;
    assert_eq!(client.decide("orders", "acme").expect("routed").reason, Reason::Restored);
}

#[tokio::test]
async fn a_file_with_what_was_kept_is_no_base_for_a_delta() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("snapshot");
    let mut fake = Fake::start().await;
    let options = Options { persist: Some(path.clone()), ..Options::default() };
    let (client, stream) = started(&mut fake, Rung::TargetOnly, options).await;
    let _stream = restored(&mut fake, stream, of_history("history-2")).await;
    // It acknowledges no more than the file has.
    fake.report(|report| report.applied_revision == 9).await;
    drop(client);
    let saved = persisted::load(&path).expect("read").expect("there");
    assert_ne!(saved.history_id, "history-2");
    let route = saved.snapshot.decide("orders", "acme").expect("routed");
    assert_eq!((saved.snapshot.revision(), route.rung), (9, Rung::TargetOnly));
}

/// Waits until the newest revision is this one, where an earlier history had others.
async fn until_received_again(client: &Client, revision: u64) {
    let mut received = client.current().subscribe();
    let reached = received.wait_for(|received| *received == revision);
    tokio::time::timeout(std::time::Duration::from_secs(10), reached)
        .await
        .expect("in time")
        .expect("it lives");
}
