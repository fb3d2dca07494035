//! Acknowledgements are true, and counts arrive once.

use std::time::Duration;

use cutover_client::{
    Options,
    client::Outcome,
    report::{ErrorClass, Event, Operation, StoreRole},
    routing::Rung,
};
use cutover_proto::v1;
use tonic::Status;

use crate::{
    fake::{Answer, Fake, registered},
    rung, started, until_received,
};

fn hits(reports: &[v1::ReportRequest]) -> u64 {
    reports.iter().flat_map(|report| &report.cells).map(|cell| cell.hit).sum()
}

#[tokio::test]
async fn a_revision_is_received_at_once_and_applied_when_older_operations_have_ended() {
    let mut fake = Fake::start().await;
    // So rare that whatever arrives was not waiting for its turn.
    let seldom = Options { report_interval: Some(Duration::from_secs(600)), ..Options::default() };
    let (client, stream) = started(&mut fake, Rung::Dual, seldom).await;
    let operation = client.begin("orders", "acme").expect("begun");
    let another = client.begin("orders", "bolt").expect("begun");
    stream.snapshot(2, Rung::Mirrored);
    let report = fake.report(|report| report.received_revision == 2).await;
    assert_eq!(report.applied_revision, 1, "an older one runs");
    drop(operation);
    let late = client.begin("orders", "acme").expect("begun");
    assert_eq!(late.decision.rung, Rung::Mirrored);
    fake.no_report(|report| report.applied_revision == 2);
    drop(another);
    fake.report(|report| report.applied_revision == 2).await;
    drop(late);
}

#[tokio::test]
async fn an_idle_client_reports_as_often_as_it_was_told() {
    let mut fake = Fake::start().await;
    let (_client, _stream) = started(&mut fake, Rung::Dual, Options::default()).await;
    let one = fake.report(|_| true).await;
    let other = fake.report(|_| true).await;
    assert_eq!((one.sequence, other.sequence, other.cells.len()), (1, 2, 0));
}

#[tokio::test]
async fn counts_arrive_under_the_revision_they_were_decided_under() {
    let mut fake = Fake::start().await;
    let (client, _stream) = started(&mut fake, Rung::Dual, Options::default()).await;
    let outcome = Outcome::Call {
        store: StoreRole::Source,
        operation: Operation::Read,
        latency: Duration::from_millis(3),
        error: None,
        found: Some(true),
    };
    client.record("orders", 1, Some("acme"), &[outcome, Outcome::Event(Event::Hit)]);
    let report = fake.report(|report| !report.cells.is_empty()).await;
    let cell = &report.cells[0];
    assert_eq!((cell.migration.as_str(), cell.revision, cell.hit), ("orders", 1, 1));
    let calls = &cell.stores[0];
    assert_eq!((calls.calls, calls.answered, calls.not_found, report.dropped_cells), (1, 1, 0, 0));
}

#[tokio::test]
async fn a_report_whose_answer_was_lost_is_repeated_as_it_was_and_counted_once() {
    let mut fake = Fake::start().await;
    let (client, _stream) = started(&mut fake, Rung::Dual, Options::default()).await;
    fake.report(|_| true).await;
    fake.answer_next_report(Answer::Lost);
    fake.answer_next_report(Answer::Refuse(Status::unavailable("restarting")));
    for _ in 0..100 {
        client.recorder().count("orders", 1, Event::Hit);
        tokio::task::yield_now().await;
    }
    let last = fake.report(|report| hits(std::slice::from_ref(report)) > 0).await;
    client.recorder().count("orders", 1, Event::Hit);
    // Two reports later everything has been delivered, whatever was lost meanwhile.
    let mut later = fake.report(|report| report.sequence > last.sequence + 2).await;
    while hits(&fake.accepted()) < 101 {
        later = fake.report(|report| report.sequence > later.sequence).await;
    }
    assert_eq!(hits(&fake.accepted()), 101);
    let sequences: Vec<_> = fake.accepted().iter().map(|report| report.sequence).collect();
    assert!(sequences.iter().zip(1..).all(|(got, expected)| *got == expected), "no gaps: {sequences:?}");
}

#[tokio::test]
async fn a_report_that_is_refused_for_good_does_not_hold_up_newer_ones() {
    let mut fake = Fake::start().await;
    let (client, _stream) = started(&mut fake, Rung::Dual, Options::default()).await;
    fake.report(|_| true).await;
    client.recorder().count("orders", 1, Event::Hit);
    fake.answer_next_report(Answer::Refuse(Status::invalid_argument("no such migration")));
    let refused = fake.report(|report| !report.cells.is_empty()).await;
    let next = fake.report(|report| report.sequence > refused.sequence).await;
    assert_eq!((next.dropped_cells, client.status().dropped_cells), (1, 1), "lost, and visibly so");
    assert!(client.status().last_error.is_some());
}

#[tokio::test]
async fn an_evicted_client_registers_again_and_vouches_for_nothing_begun_before() {
    let mut fake = Fake::start().await;
    let (client, first) = started(&mut fake, Rung::Dual, Options::default()).await;
    let before = client.begin("orders", "acme").expect("begun");
    client.recorder().count("orders", 1, Event::Hit);
    fake.answer_next_report(Answer::Refuse(Status::not_found("not registered")));
    let stream = fake.watch().await;
    first.left().await;
    assert_eq!(stream.request.instance_id, first.request.instance_id);
    stream.register(v1::Registered { readmitted: true, writer_slot: 9, ..registered() });
    // Until it is known how far routing has moved meanwhile, nothing begins.
    while client.begin("orders", "acme").is_ok() {
        tokio::task::yield_now().await;
    }
    stream.heartbeat(1);
    while client.begin("orders", "acme").is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!((client.writer_slot(), rung(&client, "acme")), (9, Rung::Dual));
    assert!(before.overtaken(client.current(), "orders", "acme"));
    while hits(&fake.accepted()) == 0 {
        fake.report(|_| true).await;
    }
    assert_eq!(hits(&fake.accepted()), 1, "what was counted before is not lost");
}

#[tokio::test]
async fn closing_waits_for_operations_delivers_what_is_left_and_says_goodbye() {
    let mut fake = Fake::start().await;
    let seldom = Options { report_interval: Some(Duration::from_secs(600)), ..Options::default() };
    let (client, stream) = started(&mut fake, Rung::Dual, seldom).await;
    fake.report(|_| true).await;
    stream.snapshot(2, Rung::Mirrored);
    until_received(&client, 2).await;
    let operation = client.begin("orders", "acme").expect("begun");
    client.recorder().count("orders", 2, Event::Hit);
    let client = std::sync::Arc::new(client);
    let closing = tokio::spawn({
        let client = client.clone();
        async move { client.close().await }
    });
    stream.left().await;
    while client.begin("orders", "acme").is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!fake.said_goodbye(), "an operation runs");
    client.recorder().count("orders", 2, Event::Hit);
    drop(operation);
    assert_eq!(fake.goodbye().await, stream.request.instance_id);
    assert!(closing.await.expect("no panic"));
    assert_eq!(hits(&fake.accepted()), 2);
    assert!(fake.accepted().last().is_some_and(|report| report.applied_revision == 2));
    assert!(!client.close().await, "a second time does nothing");
}

#[tokio::test]
async fn closing_with_an_operation_that_does_not_end_says_no_goodbye() {
    let mut fake = Fake::start().await;
    let options = Options { close_timeout: Duration::from_millis(100), ..Options::default() };
    let (client, _stream) = started(&mut fake, Rung::Dual, options).await;
    let _endless = client.begin("orders", "acme").expect("begun");
    assert!(!client.close().await);
    assert!(!fake.said_goodbye(), "the controller has to wait for it");
}

fn target_failed(client: &cutover_client::Client, times: usize) {
    let failed = Outcome::Call {
        store: StoreRole::Target,
        operation: Operation::Write,
        latency: Duration::from_millis(3),
        error: Some(ErrorClass::Server),
        found: None,
    };
    (0..times).for_each(|_| client.record("orders", 1, Some("acme"), &[failed]));
}

fn errors(report: &v1::ReportRequest) -> u64 {
    let stores = report.cells.iter().flat_map(|cell| &cell.stores);
    stores.filter_map(|calls| calls.errors.as_ref()).map(|errors| errors.server).sum()
}

#[tokio::test]
async fn the_first_error_of_the_target_and_three_more_do_not_wait_for_their_turn() {
    let mut fake = Fake::start().await;
    let seldom = Options { report_interval: Some(Duration::from_secs(600)), ..Options::default() };
    let (client, _stream) = started(&mut fake, Rung::Dual, seldom).await;
    fake.report(|_| true).await;
    target_failed(&client, 1);
    assert_eq!(errors(&fake.report(|report| errors(report) > 0).await), 1);
    target_failed(&client, 3);
    let report = fake.report(|report| errors(report) > 0).await;
    assert_eq!(errors(&report), 3);
}

#[tokio::test]
async fn errors_hasten_at_most_ten_reports_a_second_and_none_is_lost() {
    let mut fake = Fake::start().await;
    let seldom = Options { report_interval: Some(Duration::from_secs(600)), ..Options::default() };
    let (client, _stream) = started(&mut fake, Rung::Dual, seldom).await;
    fake.report(|_| true).await;
    let began = std::time::Instant::now();
    let (mut sent, mut told, mut reports) = (0, 0, 0);
    while reports < 6 {
        target_failed(&client, 3);
        sent += 3;
        while told < sent {
            told += errors(&fake.report(|report| errors(report) > 0).await);
            reports += 1;
        }
    }
    assert_eq!(told, sent);
    // The first may be immediate; all others keep their interval.
    let least = Duration::from_millis(100) * (reports - 1);
    assert!(began.elapsed() >= least, "{reports} reports in {:?}", began.elapsed());
}

#[tokio::test]
async fn nothing_newer_than_the_file_is_acknowledged() {
    let mut fake = Fake::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("snapshot");
    let options = Options { persist: Some(path.clone()), ..Options::default() };
    let (client, stream) = started(&mut fake, Rung::Dual, options).await;
    let report = fake.report(|report| report.applied_revision == 1).await;
    assert!(report.incarnation > 0 && report.history_id == "history-1", "{report:?}");
    assert!(path.exists(), "it was saved before");
    // A directory in its place: nothing can be renamed over it.
    std::fs::remove_file(&path).expect("removed");
    std::fs::create_dir(&path).expect("made");
    std::fs::write(path.join("in the way"), "").expect("written");
    stream.snapshot(2, Rung::Mirrored);
    until_received(&client, 2).await;
    let failed = async {
        while client.status().last_error.is_none_or(|error| !error.contains("snapshot")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), failed).await.expect("it can't be saved");
    fake.report(|_| true).await;
    fake.no_report(|report| report.received_revision > 1);
    std::fs::remove_dir_all(&path).expect("removed");
    stream.snapshot(3, Rung::Mirrored);
    let report = fake.report(|report| report.applied_revision > 1).await;
    assert_eq!((report.received_revision, report.applied_revision), (3, 3));
}

/// Found by the simulation, in one of four seeds that restore a backup.
#[tokio::test]
async fn a_report_about_another_history_does_not_hold_up_the_reports_behind_it() {
    let mut fake = Fake::start().await;
    let (_client, stream) = started(&mut fake, Rung::Dual, Options::default()).await;
    fake.answer_next_report(Answer::Refuse(Status::unavailable("the store is being restored")));
    stream.snapshot(7, Rung::Dual);
    fake.report(|report| report.received_revision == 7).await;
    drop(stream);
    let stream = fake.watch().await;
    stream.register(v1::Registered { history_id: "history-2".to_owned(), ..registered() });
    stream.snapshot(3, Rung::Dual);
    let of_new_history = |report: &v1::ReportRequest| report.history_id == "history-2";
    let report = fake.report(|report| of_new_history(report) && report.received_revision == 3).await;
    assert_eq!(report.applied_revision, 3);
}

/// Found by the simulation: each registration ended for the one before it, before its state had come.
#[tokio::test]
async fn a_session_is_not_ended_because_the_one_before_it_was_forgotten() {
    let mut fake = Fake::start().await;
    let (client, stream) = started(&mut fake, Rung::Dual, Options::default()).await;
    drop(stream);
    // It reports on while it asks to be registered again.
    let stream = fake.watch().await;
    fake.answer_next_report(Answer::Refuse(Status::not_found("not registered")));
    fake.no_report(|_| false);
    fake.report(|_| true).await;
    stream.register(registered());
    stream.snapshot(2, Rung::Mirrored);
    until_received(&client, 2).await;
}
