//! Stories of a client and a controller that does what it is told to.

#[path = "client/fake.rs"]
mod fake;
#[path = "client/left_behind.rs"]
mod left_behind;
#[path = "client/local_guard.rs"]
mod local_guard;
#[path = "client/reporting.rs"]
mod reporting;
#[path = "client/restored.rs"]
mod restored;
#[path = "client/several.rs"]
mod several;
#[path = "client/starting.rs"]
mod starting;
#[path = "client/watching.rs"]
mod watching;

use std::time::Duration;

use cutover_client::{Client, Options, clock::Instant, persisted::Saving, routing::Rung};
use fake::{Fake, Watching};

/// A client that holds revision 1, with everybody at `rung`.
async fn started(fake: &mut Fake, rung: Rung, options: Options) -> (Client, Watching) {
    let url = fake.url();
    let connecting = tokio::spawn(async move { Client::connect(&url, "orders-api", options).await });
    let stream = fake.watch().await;
    stream.register(fake::registered());
    stream.snapshot(1, rung);
    (connecting.await.expect("no panic").expect("connected"), stream)
}

/// What an earlier process's file contains besides the snapshot.
fn saving(history_id: &str) -> Saving {
    let history_id = history_id.to_owned();
    Saving {
        history_id,
        seal: "sealed".to_owned(),
        is_base: true,
        writer_slot: 9,
        heard: Instant::now(),
        valid: Duration::from_secs(3_600),
    }
}

/// Waits until the client has received a revision.
async fn until_received(client: &Client, revision: u64) {
    let mut received = client.current().subscribe();
    let reached = received.wait_for(|received| *received >= revision);
    let reached = tokio::time::timeout(std::time::Duration::from_secs(10), reached).await;
    reached.expect("in time").expect("the client lives");
}

fn rung(client: &Client, tenant: &str) -> Rung {
    client.decide("orders", tenant).expect("routed").rung
}
