//! A process that was silent for so long that the controller may have gone on without it, and may not know that any more.

use std::time::Duration;

use cutover_client::{
    Client, Options,
    routing::{Policy, Rung, Table},
    watch::BeginError,
};
use tonic::Status;

use crate::{
    fake::{Answer, Fake, Watching, registered, table},
    started, until_received,
};

const FENCE: Duration = Duration::from_secs(5);

fn fenced(revision: u64, rung: Rung) -> Table {
    let policy = Policy { fence_after_ms: FENCE.as_millis() as u32, ..Policy::default() };
    Table::new(revision, "orders", table(revision, rung).bands(), policy)
}

/// Time passes in which this process does nothing.
async fn stand_still(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// A client at target-first with a fence, whose revision 2 the controller has heard of.
async fn at_target_first(fake: &mut Fake) -> (Client, Watching) {
    let (client, stream) = started(fake, Rung::Dual, Options::default()).await;
    stream.tables(2, &[("orders", fenced(2, Rung::TargetFirst))]);
    until_received(&client, 2).await;
    fake.report(|report| report.applied_revision == 2).await;
    assert_eq!(client.begin("orders", "acme").expect("begun").decision.rung, Rung::TargetFirst);
    (client, stream)
}

/// Reports are answered, and nothing begins all the same.
async fn still_refuses(fake: &mut Fake, client: &Client) {
    fake.no_report(|_| false);
    // When the fourth comes, the answer to the first has been taken in.
    for _ in 0..4 {
        fake.report(|_| true).await;
        assert!(matches!(client.begin("orders", "acme"), Err(BeginError::Fenced { .. })));
    }
}

async fn begins(client: &Client, rung: Rung) {
    let begun = async {
        loop {
            match client.begin("orders", "acme") {
                Ok(operation) => return operation.decision.rung,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), begun).await.expect("in time"), rung);
}

/// Neither reports nor the registration bring its right back, but the news that what it holds is current.
async fn comes_back_by_a_heartbeat(fake: &mut Fake, client: &Client, stream: &Watching) {
    still_refuses(fake, client).await;
    stream.register(registered());
    still_refuses(fake, client).await;
    stream.heartbeat(2);
    begins(client, Rung::TargetFirst).await;
}

/// Found by the simulation: a controller that was killed right after a step down had forgotten whom it had left behind.
#[tokio::test]
async fn registering_again_does_not_bring_a_right_to_act_back() {
    let mut fake = Fake::start().await;
    let (client, first) = at_target_first(&mut fake).await;
    fake.stand_by(true);
    drop(first);
    stand_still(Duration::from_secs(12)).await;
    let stream = fake.watch().await;
    stream.register(registered());
    fake.stand_by(false);
    still_refuses(&mut fake, &client).await;
    stream.tables(4, &[("orders", fenced(4, Rung::Dual))]);
    begins(&client, Rung::Dual).await;
}

#[tokio::test]
async fn a_report_does_not_bring_a_right_to_act_back() {
    let mut fake = Fake::start().await;
    let (client, first) = at_target_first(&mut fake).await;
    stand_still(Duration::from_secs(12)).await;
    drop(first);
    let stream = fake.watch().await;
    // The reports use the connection of before.
    comes_back_by_a_heartbeat(&mut fake, &client, &stream).await;
}

#[tokio::test]
async fn a_state_that_was_on_its_way_for_too_long_is_asked_for_again() {
    let mut fake = Fake::start().await;
    let (client, first) = at_target_first(&mut fake).await;
    drop(first);
    let stream = fake.watch().await;
    stream.register(registered());
    fake.no_report(|_| false);
    // Its connection has it before the process stands still.
    fake.answer_next_report(Answer::Refuse(Status::unavailable("too late")));
    stream.heartbeat(2);
    stand_still(Duration::from_secs(12)).await;
    let stream = fake.watch().await;
    assert_eq!(stream.request.last_revision, 2);
    comes_back_by_a_heartbeat(&mut fake, &client, &stream).await;
}

#[tokio::test]
async fn an_answer_within_nine_seconds_keeps_the_right_alive_before_the_state_has_come() {
    let mut fake = Fake::start().await;
    let (client, first) = at_target_first(&mut fake).await;
    fake.stand_by(true);
    drop(first);
    stand_still(Duration::from_secs(6)).await;
    assert!(matches!(client.begin("orders", "acme"), Err(BeginError::Fenced { .. })));
    let stream = fake.watch().await;
    fake.stand_by(false);
    // Nobody goes on without a process that was heard 6 s ago, so a state that takes its time does no harm.
    stream.register(registered());
    begins(&client, Rung::TargetFirst).await;
    stand_still(Duration::from_secs(3)).await;
    fake.no_report(|_| false);
    for _ in 0..3 {
        fake.report(|_| true).await;
    }
    stand_still(Duration::from_secs(3)).await;
    begins(&client, Rung::TargetFirst).await;
    drop(stream);
}
