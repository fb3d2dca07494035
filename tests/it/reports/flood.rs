//! More reports than anybody would send, as fast as possible.

use std::time::{Duration, Instant};

use cutover_proto::v1;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{cell, migration, watched};
use crate::support::instance::Instance;

/// Size of all reports together. `CUTOVER_TEST_FLOOD_MIB=1024` is what is promised; the suite sends less.
fn flood_mib() -> usize {
    std::env::var("CUTOVER_TEST_FLOOD_MIB").ok().and_then(|mib| mib.parse().ok()).unwrap_or(96)
}

/// About 3 MiB, most of it unknown tenants, each with a call or two.
fn thousands_of_tenants(revision: u64, from: usize) -> Vec<v1::Cell> {
    let of = |at: usize| {
        let tenant = format!("tenant-{}-{}", from + at, "x".repeat(180));
        v1::Cell { tenant, hit: 1, ..cell(revision, 1, 0) }
    };
    (0..12_000).map(of).collect()
}

/// About 3 MiB that are decoded in no time.
fn one_long_name(revision: u64) -> Vec<v1::Cell> {
    vec![v1::Cell { tenant: "x".repeat(3 << 20), ..cell(revision, 1, 0) }]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_reports_is_borne_in_bounded_memory() {
    let dir = TempDir::new().unwrap();
    let process = watched(dir.path()).await;
    let revision = migration(&process).await.revision;
    let before = process.rss_mib();
    let began = Instant::now();
    let reports = flood_mib().div_ceil(3 * 4);
    let senders = ["a", "b", "c", "d"].map(|id| {
        let url = process.url.clone();
        tokio::spawn(async move {
            let mut instance = Instance::register(&url, id, 1).await;
            for at in 0..reports {
                // Every eighth is judged cell by cell; with all of them a debug build takes minutes.
                let cells = match at % 8 {
                    0 => thousands_of_tenants(revision, at * 12_000),
                    _ => one_long_name(revision),
                };
                instance.report(cells).await;
            }
        })
    });
    let mut worst: f64 = 0.0;
    let mut flood = futures::future::join_all(senders);
    let sent = loop {
        match tokio::time::timeout(Duration::from_millis(50), &mut flood).await {
            Ok(sent) => break sent,
            Err(_) => worst = worst.max(process.rss_mib()),
        }
    };
    sent.into_iter().for_each(|sender| sender.unwrap());
    eprintln!(
        "{} MiB in {:.1} s: from {before:.0} to {worst:.0} MiB at most, {:.0} after",
        reports * 3 * 4,
        began.elapsed().as_secs_f64(),
        process.rss_mib()
    );
    assert!(worst < before + 300.0, "from {before} to {worst} MiB");
    let judged = reports.div_ceil(8) * 4;
    let hits = "cutover_events_total{migration=\"orders\",event=\"hit\"}";
    assert_eq!(process.metric(hits).await, judged as u64 * 12_000);
    assert_eq!(process.metric("cutover_rejected_cells_total").await, (reports * 4 - judged) as u64);
    assert_eq!(migration(&process).await.state(), v1::State::Idle, "nothing tripped");
    process.end(Signal::SIGTERM).await;
}
