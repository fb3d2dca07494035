//! Kill -9 of a real controller while instances report.

use std::{path::Path, time::Duration};

use cutover::store::{HeardRecord, Store as _, sqlite::SqliteStore};
use cutover_proto::v1;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::cell;
use crate::support::{instance::Instance, process::Process};

/// The lowest sequence number that is stored for these instances. 0: one has none.
async fn kept(path: &Path, ids: &[&str]) -> u64 {
    let heard = SqliteStore::open(path).await.unwrap().snapshot().await.unwrap().heard;
    // Sequence numbers are stored per process: its id, and which process of that id.
    let is_of = |heard: &&HeardRecord, id: &str| heard.instance_id.split('#').next() == Some(id);
    let of = |id: &&str| heard.iter().find(|heard| is_of(heard, id)).map_or(0, |heard| heard.sequence);
    ids.iter().map(of).min().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_reported_to_a_controller_that_was_killed_is_exact_or_counted_as_lost() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("cutover.db");
    let ids = ["a", "b", "c"];
    let first = Process::start(dir.path()).await;
    let create = v1::CreateMigrationRequest {
        key: "orders".to_owned(),
        source: "ddb".to_owned(),
        target: "mysql".to_owned(),
        ..Default::default()
    };
    first.admin().await.create_migration(create).await.unwrap();
    let mut instances = Vec::new();
    for (at, id) in ids.into_iter().enumerate() {
        instances.push(Instance::register(&first.url, id, at as u64 + 1).await);
    }
    // Until something is stored, and then some more that is not.
    let mut more = 7;
    while more > 0 {
        for instance in &mut instances {
            instance.report(vec![cell(1, 1)]).await;
        }
        if kept(&path, &ids).await > 0 {
            more -= 1;
        } else {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let acknowledged: u64 = instances.iter().map(|instance| instance.sequence).sum();
    assert_eq!(first.hits().await, acknowledged);
    first.end(Signal::SIGKILL).await;
    let before = kept(&path, &ids).await;
    assert!(before > 0);

    let second = Process::start(dir.path()).await;
    for (at, id) in ids.into_iter().enumerate() {
        let mut back = Instance::register(&second.url, id, at as u64 + 1).await;
        let last = instances[at].sequence;
        // Stored reports are recognised, and the last one, whose answer did not arrive, is counted once.
        let answer = back.say(before, vec![cell(1, 1)]).await.unwrap();
        assert!((before..last).contains(&answer.sequence), "{answer:?} of {last}");
        for _ in 0..3 {
            assert_eq!(back.say(last, vec![cell(1, 1)]).await.unwrap().sequence, last);
        }
        assert_eq!(back.say(last + 1, vec![cell(1, 1)]).await.unwrap().sequence, last + 1);
    }
    let lost = second.metric("cutover_lost_reports_total").await;
    assert!((1..=3 * 7).contains(&lost), "{lost} of {acknowledged}");
    let total = acknowledged + 3 - lost;
    assert_eq!(second.hits().await, total);
    assert_eq!(second.metric("cutover_refused_reports_total{reason=\"repeated\"}").await, 3 + 6);

    // A controller that stops cleanly loses nothing.
    second.end(Signal::SIGTERM).await;
    let third = Process::start(dir.path()).await;
    assert_eq!(third.hits().await, total);
    for (at, id) in ids.into_iter().enumerate() {
        let last = instances[at].sequence + 1;
        let mut back = Instance::register(&third.url, id, at as u64 + 1).await;
        assert_eq!(back.say(last, vec![cell(1, 1)]).await.unwrap().sequence, last);
    }
    assert_eq!((third.metric("cutover_lost_reports_total").await, third.hits().await), (0, total));
    third.end(Signal::SIGTERM).await;
}
