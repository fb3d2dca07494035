//! Invalid reports: rejected or limited, counted, no trip, no crash.

mod flood;
mod memory;

use std::path::Path;

use cutover_proto::v1;
use tempfile::TempDir;
use tonic::Code;

use crate::support::{instance::Instance, process::Process};

/// A controller with one migration with everybody at mirrored, so that its guards judge.
async fn watched(dir: &Path) -> Process {
    let process = Process::start(dir).await;
    let mut admin = process.admin().await;
    let create = v1::CreateMigrationRequest {
        key: "orders".to_owned(),
        source: "ddb".to_owned(),
        target: "mysql".to_owned(),
        ..Default::default()
    };
    admin.create_migration(create).await.unwrap();
    let ramp = v1::SetRolloutRequest {
        mutation: Some(v1::Mutation { reason: "a test".to_owned(), ..Default::default() }),
        key: "orders".to_owned(),
        mirrored_ppm: Some(1_000_000),
        wait: true,
        ..Default::default()
    };
    admin.set_rollout(ramp).await.unwrap();
    process
}

async fn migration(process: &Process) -> v1::Migration {
    let request = v1::GetMigrationRequest { key: "orders".to_owned() };
    process.admin().await.get_migration(request).await.unwrap().into_inner()
}

/// Calls to the target of which this many failed, consistent or not.
fn cell(revision: u64, calls: u64, errors: u64) -> v1::Cell {
    let of = |operation: v1::Operation| v1::StoreCalls {
        store: v1::StoreRole::Target.into(),
        operation: operation.into(),
        calls,
        errors: Some(v1::ErrorCounts { server: errors, ..Default::default() }),
        latency_us: Some(v1::Histogram { index: vec![40], count: vec![calls] }),
        ..Default::default()
    };
    v1::Cell {
        migration: "orders".to_owned(),
        revision,
        stores: vec![of(v1::Operation::Read), of(v1::Operation::Write)],
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn absurd_reports_are_refused_and_counted_and_trip_nothing() {
    let dir = TempDir::new().unwrap();
    let process = watched(dir.path()).await;
    let revision = migration(&process).await.revision;
    let mut instances = Vec::new();
    for (at, id) in ["a", "b", "c"].into_iter().enumerate() {
        instances.push(Instance::register(&process.url, id, at as u64 + 1).await);
    }
    let refused = async |process: &Process, why: &str| {
        process.metric(&format!("cutover_refused_reports_total{{reason=\"{why}\"}}")).await
    };
    let dead = |revision| cell(revision, 500, 500);
    let huge = |change: fn(&mut v1::Cell)| {
        let mut cell = cell(revision, 1, 0);
        change(&mut cell);
        cell
    };
    // All three, many times: if they were believed, there would be enough quorum and evidence.
    let (rounds, mut rejected) = (20, 0);
    for _ in 0..rounds {
        for instance in &mut instances {
            let cells = vec![
                dead(revision + 1),
                dead(u64::MAX),
                cell(revision, 100, 101),
                cell(revision, u64::MAX, u64::MAX),
                huge(|cell| cell.mismatch = u64::MAX),
                huge(|cell| cell.stores[0].latency_us.as_mut().unwrap().count[0] = u64::MAX),
                huge(|cell| cell.stores[0].errors.as_mut().unwrap().timeout = u64::MAX),
                huge(|cell| cell.tenant = "x".repeat(100_000)),
                huge(|cell| cell.migration = "../../etc".to_owned()),
            ];
            rejected += cells.len() as u64;
            // From before the migration existed, and from one that never did.
            let nobodys = v1::Cell { migration: "nobody".to_owned(), ..dead(revision) };
            instance.report([cells, vec![dead(0), nobodys]].concat()).await;
        }
    }
    assert_eq!(process.metric("cutover_rejected_cells_total").await, rejected);
    assert_eq!(process.metric("cutover_unknown_cells_total").await, 2 * 3 * rounds);

    // Whole reports: replayed, out of order, from the future, unnumbered, from strangers, not reports at all.
    let of = &mut instances[0];
    let last = of.sequence;
    for sequence in [last, 1, last - 1, last, 2] {
        assert_eq!(of.say(sequence, vec![dead(revision)]).await.unwrap().sequence, last);
    }
    assert_eq!(refused(&process, "repeated").await, 5);
    let claims = |received_revision, applied_revision| v1::ReportRequest {
        instance_id: "a".to_owned(),
        sequence: last + 1,
        received_revision,
        applied_revision,
        cells: vec![dead(revision)],
        ..Default::default()
    };
    for (received, applied) in [(revision + 1, 0), (u64::MAX, u64::MAX), (0, 1)] {
        let status = of.send(claims(received, applied)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    assert_eq!(refused(&process, "revisions").await, 3);
    assert_eq!(of.say(0, vec![dead(revision)]).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(refused(&process, "sequence").await, 1);
    for id in ["stranger", "", &"x".repeat(1 << 20)] {
        let strange = v1::ReportRequest { instance_id: id.to_owned(), ..claims(0, 0) };
        assert_eq!(of.send(strange).await.unwrap_err().code(), Code::NotFound);
    }
    assert_eq!(refused(&process, "unregistered").await, 3);
    let large = v1::Cell { tenant: "x".repeat(5 << 20), ..dead(revision) };
    assert_eq!(of.say(last + 1, vec![large]).await.unwrap_err().code(), Code::OutOfRange);
    assert_eq!(refused(&process, "unreadable").await, 1);

    let after = migration(&process).await;
    assert_eq!((after.state(), after.trips.len()), (v1::State::Idle, 0), "{after:?}");
    // It is still running, and still accepts consistent reports.
    for instance in &mut instances {
        instance.sequence = instance.sequence.max(last);
        instance.report(vec![cell(revision, 10, 0)]).await;
    }
    let calls = "cutover_store_calls_total{migration=\"orders\",store=\"target\",operation=\"read\"}";
    assert_eq!(process.metric(calls).await, 30);
    process.end(nix::sys::signal::Signal::SIGTERM).await;
}

/// A process that was given up may end before it has registered again.
#[tokio::test(flavor = "multi_thread")]
async fn counts_of_a_process_that_has_to_register_again_are_counted_once() {
    let dir = TempDir::new().unwrap();
    let process = watched(dir.path()).await;
    let revision = migration(&process).await.revision;
    let mut instance = Instance::register(&process.url, "a", 1).await;
    let report = |admission| v1::ReportRequest {
        instance_id: "a".to_owned(),
        sequence: 1,
        admission,
        cells: vec![cell(revision, 10, 0)],
        ..Default::default()
    };
    let calls = "cutover_store_calls_total{migration=\"orders\",store=\"target\",operation=\"read\"}";
    // By an earlier membership.
    let forgotten = instance.send(report(7)).await.unwrap();
    assert_eq!((forgotten.forgotten, process.metric(calls).await), (true, 10));
    let heard = instance.send(report(0)).await.unwrap();
    assert_eq!((heard.forgotten, process.metric(calls).await), (false, 10));
    process.end(nix::sys::signal::Signal::SIGTERM).await;
}
