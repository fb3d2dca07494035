//! The real statsd daemon accepts every line, and none of them is bad.

use std::{sync::Arc, time::Duration};

use cutover::{
    domain::PassKind,
    telemetry::{Gauges, Ingest, PassGauges, now_ms, statsd},
};
use cutover_core::histogram::Histogram;
use cutover_proto::v1;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{NEWEST, report};
use crate::support::{key, server::given};

/// More lines than a datagram holds.
const MIGRATIONS: usize = 40;

/// The names that the API promises, with a migration's key.
fn name(at: usize) -> String {
    format!("daemon-{}.orders_{at}", std::process::id())
}

fn calls(store: v1::StoreRole, operation: v1::Operation) -> v1::StoreCalls {
    let mut latency = Histogram::default();
    (0..10).for_each(|_| latency.record_us(5_000));
    v1::StoreCalls {
        store: store.into(),
        operation: operation.into(),
        calls: 10,
        errors: Some(v1::ErrorCounts { timeout: 3, ..Default::default() }),
        latency_us: Some((&latency).into()),
        ..Default::default()
    }
}

fn cell(at: usize) -> v1::Cell {
    use v1::{Operation::*, StoreRole::*};
    v1::Cell {
        migration: name(at),
        revision: NEWEST,
        hit: 1,
        miss: 2,
        not_found: 3,
        migrated: 4,
        backfill: 5,
        repaired: 6,
        mismatch: 7,
        compared: 20,
        stores: [(Source, Read), (Source, Write), (Target, Read), (Target, Write)]
            .map(|(store, operation)| calls(store, operation))
            .to_vec(),
        ..Default::default()
    }
}

/// The daemon's answer to a command, up to its END.
async fn asked(admin: &str, word: &str) -> String {
    let mut stream = TcpStream::connect(admin).await.unwrap();
    stream.write_all(format!("{word}\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"END\n\n") {
        let read = timeout(Duration::from_secs(5), stream.read_buf(&mut answer)).await.unwrap().unwrap();
        assert!(read > 0, "the daemon hung up in {}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn it_accepts_every_line_and_none_is_bad() {
    // Where it accepts lines, and where it reports what it has accepted.
    let addresses = given("CUTOVER_TEST_STATSD").zip(given("CUTOVER_TEST_STATSD_ADMIN"));
    let Some((address, admin)) = addresses else { return };
    let ingest = Arc::new(Ingest::default());
    let cells: Vec<v1::Cell> = (0..MIGRATIONS).map(cell).collect();
    ingest.accept(&report(1, cells), NEWEST, now_ms());
    (0..MIGRATIONS).for_each(|at| ingest.rolled_back(&key(&name(at))));
    let gauges = || {
        (0..MIGRATIONS)
            .map(|at| {
                let passes = vec![PassGauges { quarantined_records: 7, ..PassGauges::none(PassKind::Full) }];
                Gauges { migration: name(at), dual_ppm: 250_000, passes, ..Default::default() }
            })
            .collect()
    };
    let running = tokio::spawn(statsd::run(address, ingest, gauges));

    // Datagrams arrive in order here: all others come before the last migration's last line.
    let last = format!("'cutover.{}.pass_different_records.full'", name(MIGRATIONS - 1));
    let arrived = timeout(Duration::from_secs(20), async {
        while !asked(&admin, "gauges").await.contains(&last) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    arrived.await.expect("the last line arrives");
    running.abort();

    let (counters, gauges) = (asked(&admin, "counters").await, asked(&admin, "gauges").await);
    let timers = asked(&admin, "timers").await;
    for at in [0, MIGRATIONS - 1] {
        let counted = |line: &str, value: u64| {
            let said = format!("'cutover.{}.{line}': {value}", name(at));
            assert!(
                counters.lines().any(|told| told.trim().trim_end_matches(',') == said),
                "{said}: {counters}"
            );
        };
        let events = ["hit", "miss", "not_found", "migrated", "backfill", "repaired", "mismatch"];
        events.iter().zip(1..).for_each(|(event, value)| counted(event, value));
        counted("rollback", 1);
        for store in ["read.source", "read.target", "write.source", "write.target"] {
            counted(&format!("{store}.calls"), 10);
            counted(&format!("{store}.errors"), 3);
            assert!(timers.contains(&format!("'cutover.{}.{store}.latency'", name(at))), "{timers}");
        }
        assert!(gauges.contains(&format!("'cutover.{}.dual_ppm': 250000", name(at))), "{gauges}");
        let quarantined = format!("'cutover.{}.pass_quarantined_records.full': 7", name(at));
        assert!(gauges.contains(&quarantined), "{gauges}");
    }
    let stats = asked(&admin, "stats").await;
    assert!(stats.contains("bad_lines_seen: 0\n"), "{stats}");
}
