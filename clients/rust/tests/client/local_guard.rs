//! A process that can't reach the controller protects its own traffic.

use std::time::Duration;

use cutover_client::{
    Client, Options,
    client::Outcome,
    persisted,
    report::{ErrorClass, Operation, StoreRole},
    routing::{Band, PPM, Policy, Reason, Route, Rung, Table},
    watch::Source,
};
use tokio::time::{sleep, timeout};

use crate::{
    fake::{Fake, registered},
    rung, saving, until_received,
};

fn table(revision: u64, local_guard: bool) -> Table {
    let first = Route { rung: Rung::TargetFirst, reason: Reason::Rollout, no_fallback: false };
    let returned = Route { reason: Reason::Pin, no_fallback: true, ..first };
    let policy = Policy { local_guard, ..Policy::default() };
    Table::new(revision, "orders", &[Band { upto_ppm: PPM, route: first }], policy)
        .with_overrides([("was at target-only", Some(returned))])
}

/// Reads of both migrations that fail in the target.
fn fail(client: &Client) {
    let read = Outcome::Call {
        store: StoreRole::Target,
        operation: Operation::Read,
        latency: Duration::from_millis(3),
        error: Some(ErrorClass::Connection),
        found: None,
    };
    for migration in ["orders", "unguarded"] {
        client.record(migration, 1, Some("acme"), &[read, read]);
    }
}

#[tokio::test]
async fn without_the_controller_a_dead_target_is_left_until_a_newer_revision() {
    let mut fake = Fake::start().await;
    let url = fake.url();
    let connecting = tokio::spawn({
        let url = url.clone();
        async move { Client::connect(&url, "orders-api", Options::default()).await }
    });
    let stream = fake.watch().await;
    stream.register(registered());
    stream.tables(1, &[("orders", table(1, true)), ("unguarded", table(1, false))]);
    let client = connecting.await.expect("no panic").expect("connected");
    // Failures while the controller is there are the controller's concern.
    (0..500).for_each(|_| fail(&client));

    drop(stream);
    let address = fake.address;
    fake.stop().await;
    // Another process starts from a file: nobody may be waiting for that one.
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("snapshot");
    persisted::save(&path, &client.current().snapshot().expect("held"), &saving("history-1")).expect("saved");
    let start_timeout = Duration::from_millis(50);
    let options = Options { persist: Some(path), start_timeout, ..Options::default() };
    let unknown = Client::connect(&url, "orders-api", options).await.expect("by the file");
    assert_eq!(unknown.status().source, Source::Persisted);

    let running = client.begin("orders", "acme").expect("begun");
    let back = async {
        while rung(&client, "acme") == Rung::TargetFirst {
            assert_eq!(client.status().gone_back, []);
            fail(&client);
            fail(&unknown);
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), back).await.expect("it goes back");
    let decision = client.decide("orders", "acme").expect("routed");
    assert_eq!((decision.rung, decision.reason), (Rung::Mirrored, Reason::Rollback));
    assert_eq!(decision.revision, 1);
    assert_eq!(rung(&client, "was at target-only"), Rung::TargetFirst);
    assert_eq!(client.decide("unguarded", "acme").expect("routed").rung, Rung::TargetFirst);
    let status = client.status();
    let [gone] = &status.gone_back[..] else { panic!("{status:?}") };
    assert!(gone.migration == "orders" && !gone.failing.writes, "{gone:?}");
    assert!(gone.failing.since.failed < 500, "only what failed while the controller was away: {gone:?}");
    assert!(!running.overtaken(client.current(), "orders", "acme"));
    assert_eq!((status.revision, status.applied_revision), (1, 1));
    // Nobody is there to talk to, so time may pass by itself.
    tokio::time::pause();
    for _ in 0..500 {
        fail(&unknown);
        sleep(Duration::from_millis(20)).await;
    }
    tokio::time::resume();
    assert_eq!(rung(&unknown, "acme"), Rung::TargetFirst);
    drop(unknown);

    let mut fake = Fake::start_at(address).await;
    let stream = fake.watch().await;
    stream.register(registered());
    fake.report(|report| report.received_revision == 1).await;
    assert_eq!(rung(&client, "acme"), Rung::Mirrored, "it was told nothing newer");
    stream.tables(2, &[("orders", table(2, true)), ("unguarded", table(1, false))]);
    until_received(&client, 2).await;
    assert_eq!(rung(&client, "acme"), Rung::TargetFirst);
    let status = client.status();
    assert_eq!((status.gone_back.len(), status.applied_revision), (0, 1), "an operation runs from before");
    drop(running);
    assert_eq!(client.status().applied_revision, 2);
}
