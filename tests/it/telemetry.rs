//! What is reported is counted once, and exported as statsd lines and as a scrape.

mod daemon;

use std::{sync::Arc, time::Duration};

use cutover::telemetry::{
    Gauges, Ingest, Known, LimitsView, now_ms, prometheus,
    statsd::{self, Line, Lines, Value},
};
use cutover_core::histogram::Histogram;
use cutover_proto::v1;
use tokio::{net::UdpSocket, time::timeout};

use crate::support::key;

const NEWEST: u64 = 7;
/// Unix time, in milliseconds.
const NOW: u64 = 1_764_201_600_000;

fn reads(calls: u64, failed: u64) -> v1::StoreCalls {
    let mut latency = Histogram::default();
    (0..calls).for_each(|_| latency.record_us(5_000));
    v1::StoreCalls {
        store: v1::StoreRole::Source.into(),
        operation: v1::Operation::Read.into(),
        calls,
        errors: Some(v1::ErrorCounts { timeout: failed, ..Default::default() }),
        latency_us: Some(v1::Histogram::from(&latency)),
        ..Default::default()
    }
}

fn cell(hit: u64) -> v1::Cell {
    v1::Cell {
        migration: "orders".to_owned(),
        revision: NEWEST,
        hit,
        stores: vec![reads(20, 10)],
        ..Default::default()
    }
}

fn report(sequence: u64, cells: Vec<v1::Cell>) -> v1::ReportRequest {
    v1::ReportRequest { instance_id: "a".to_owned(), sequence, cells, ..Default::default() }
}

fn gauges() -> Vec<Gauges> {
    vec![Gauges { migration: "orders".to_owned(), dual_ppm: 250_000, instances: 3, ..Default::default() }]
}

#[test]
fn a_report_is_counted_once() {
    let (ingest, now) = (Ingest::default(), NOW);
    assert_eq!(ingest.accept(&report(0, vec![cell(1)]), NEWEST, now), 0);
    for sequence in [1, 1, 3, 2, 3, 1] {
        ingest.accept(&report(sequence, vec![cell(1)]), NEWEST, now);
    }
    assert_eq!(ingest.accept(&report(2, vec![cell(1)]), NEWEST, now), 3);
    assert_eq!(ingest.totals("orders").hit, 2);
    let other = v1::ReportRequest { instance_id: "b".to_owned(), ..report(1, vec![cell(1)]) };
    assert_eq!(ingest.accept(&other, NEWEST, now), 1);
    assert_eq!(ingest.totals("orders").hit, 3);
}

#[test]
fn a_new_process_under_the_same_id_begins_again() {
    let (ingest, now) = (Ingest::default(), NOW);
    let dropped = |sequence, dropped_cells| v1::ReportRequest { dropped_cells, ..report(sequence, vec![]) };
    ingest.accept(&report(8, vec![cell(1)]), NEWEST, now);
    ingest.accept(&dropped(9, 5), NEWEST, now);
    ingest.accept(&dropped(10, 6), NEWEST, now);
    assert_eq!(ingest.dropped_cells(), 6);
    ingest.registered("a", 2, now);
    assert_eq!(ingest.accept(&report(1, vec![cell(1)]), NEWEST, now), 1);
    ingest.accept(&dropped(2, 1), NEWEST, now);
    assert_eq!(ingest.totals("orders").hit, 2);
    assert_eq!(ingest.dropped_cells(), 7);
}

#[test]
fn a_malformed_cell_is_left_out_and_the_others_count() {
    let with = |change: &dyn Fn(&mut v1::Cell)| {
        let mut cell = cell(1);
        change(&mut cell);
        cell
    };
    let histogram = |index: Vec<u32>, count: Vec<u64>| {
        with(&|cell| {
            let (index, count) = (index.clone(), count.clone());
            cell.stores[0].latency_us = Some(v1::Histogram { index, count });
        })
    };
    let malformed = vec![
        with(&|cell| cell.revision = NEWEST + 1),
        with(&|cell| cell.migration = String::new()),
        with(&|cell| cell.migration = "a".repeat(64)),
        with(&|cell| cell.tenant = "a\n".to_owned()),
        with(&|cell| cell.mismatch = 1 << 48),
        with(&|cell| cell.stores[0].store = 0),
        with(&|cell| cell.stores[0].operation = 99),
        with(&|cell| cell.stores[0].calls = 9),
        with(&|cell| cell.stores[0].calls = 1 << 48),
        with(&|cell| {
            let errors = v1::ErrorCounts { server: u64::MAX, other: 2, ..Default::default() };
            cell.stores[0].errors = Some(errors);
        }),
        histogram(vec![160], vec![1]),
        histogram(vec![u32::MAX], vec![1]),
        histogram(vec![2, 1], vec![1, 1]),
        histogram(vec![1], vec![]),
        histogram(vec![1, 2], vec![u64::MAX, u64::MAX]),
    ];
    let (ingest, now) = (Ingest::default(), NOW);
    let count = malformed.len() as u64;
    let cells = malformed.into_iter().chain([cell(1)]).collect();
    assert_eq!(ingest.accept(&report(1, cells), NEWEST, now), 1);
    assert_eq!(ingest.view(now).rejected_cells, count);
    assert_eq!(ingest.totals("orders").hit, 1);
    assert_eq!(ingest.view(now).migrations[0].stores[0].calls, 20);
}

#[test]
fn the_greatest_counts_do_not_overflow() {
    let (ingest, now) = (Ingest::default(), NOW);
    let most = (1 << 48) - 1;
    let mut greatest = cell(most);
    greatest.stores[0].calls = most;
    let latency = v1::Histogram { index: (0..160).collect(), count: vec![most; 160] };
    greatest.stores[0].latency_us = Some(latency);
    let cells = vec![greatest; 1_000];
    for sequence in 1..=70 {
        let at = now + 1_000 * sequence;
        assert_eq!(ingest.accept(&report(sequence, cells.clone()), NEWEST, at), sequence);
    }
    assert_eq!(ingest.totals("orders").hit, u64::MAX);
    assert!(ingest.rates("orders", now + 70_000)[0].p99_us > 0);
    assert!(
        prometheus::text(
            ingest.view(now),
            Vec::new(),
            Vec::new(),
            Vec::new(),
            LimitsView::default(),
            None,
            None
        )
        .ends_with("# EOF\n")
    );
}

#[test]
fn no_more_than_ten_thousand_migrations_are_counted() {
    let (ingest, now) = (Ingest::default(), NOW);
    let named = |at: u32| v1::Cell { migration: format!("m{at}"), stores: vec![], ..cell(1) };
    ingest.accept(&report(1, (0..10_001).map(named).collect()), NEWEST, now);
    assert_eq!(ingest.keys().len(), 10_000);
    assert_eq!(ingest.view(now).rejected_cells, 1);
    ingest.forget("m0");
    ingest.accept(&report(2, vec![named(10_000)]), NEWEST, now);
    assert_eq!(ingest.totals("m10000").hit, 1);
}

#[test]
fn rates_are_of_the_last_ten_seconds() {
    let (ingest, begun) = (Ingest::default(), NOW);
    let at = |seconds| begun + 1_000 * seconds;
    for second in 0..30 {
        ingest.accept(&report(second + 1, vec![cell(1)]), NEWEST, at(second));
    }
    let rates = ingest.rates("orders", at(29));
    assert_eq!(rates.len(), 1);
    assert_eq!((rates[0].calls_per_s, rates[0].errors_per_s), (20.0, 10.0));
    assert!((4_700..5_300).contains(&rates[0].p50_us) && rates[0].p99_us == rates[0].p50_us);
    let later = ingest.rates("orders", at(60));
    assert_eq!((later[0].calls_per_s, later[0].p50_us), (0.0, 0));
    assert!(ingest.rates("unknown", at(29)).is_empty());
}

#[test]
fn lines_say_what_is_new() {
    let (ingest, now) = (Ingest::default(), NOW);
    let mut lines = Lines::default();
    let count = |name: &str, more| Line { name: name.to_owned(), value: Value::Count(more) };
    ingest.accept(&report(1, vec![cell(4)]), NEWEST, now);
    let first = lines.next(&ingest.view(now), &gauges());
    assert!(first.contains(&count("orders.hit", 4)));
    assert!(first.contains(&count("orders.read.source.calls", 20)));
    assert!(first.contains(&count("orders.read.source.errors", 10)));
    assert!(first.contains(&Line { name: "orders.dual_ppm".to_owned(), value: Value::Gauge(250_000) }));
    assert_eq!(lines.next(&ingest.view(now), &[]), []);
    ingest.accept(&report(2, vec![cell(3)]), NEWEST, now);
    assert!(lines.next(&ingest.view(now), &[]).contains(&count("orders.hit", 3)));
    ingest.forget("orders");
    ingest.accept(&report(3, vec![cell(2)]), NEWEST, now);
    assert!(lines.next(&ingest.view(now), &[]).contains(&count("orders.hit", 2)));
}

#[test]
fn a_late_report_of_a_deleted_migration_makes_no_series() {
    let (ingest, now) = (Ingest::default(), NOW);
    let late = || vec![cell(4), v1::Cell { migration: "users".to_owned(), ..cell(2) }];
    let known = |key: &str| (key == "users").then(Known::default);
    ingest.accept(&report(1, late()), NEWEST, now);
    ingest.forget("orders");
    for _retry in 0..2 {
        assert_eq!(ingest.accept_known(&report(2, late()), NEWEST, known, now).sequence, 2);
    }
    assert_eq!((ingest.keys(), ingest.view(now).unknown_cells), (vec!["users".to_owned()], 1));
    assert_eq!(ingest.totals("users").hit, 4);
    assert!(
        prometheus::text(ingest.view(now), vec![], vec![], Vec::new(), LimitsView::default(), None, None)
            .contains("cutover_unknown_cells_total 1\n")
    );
}

#[test]
fn a_rollback_is_a_line() {
    let (ingest, mut lines) = (Ingest::default(), Lines::default());
    let line = |more| Line { name: "orders.rollback".to_owned(), value: Value::Count(more) };
    ingest.rolled_back(&key("orders"));
    assert_eq!(lines.next(&ingest.view(NOW), &[]), [line(1)]);
    ingest.rolled_back(&key("orders"));
    ingest.rolled_back(&key("orders"));
    assert_eq!(lines.next(&ingest.view(NOW), &[]), [line(2)]);
}

#[tokio::test]
async fn statsd_hears_it() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let ingest = Arc::new(Ingest::default());
    ingest.accept(&report(1, vec![cell(4)]), NEWEST, now_ms());
    let address = socket.local_addr().unwrap().to_string();
    let running = tokio::spawn(statsd::run(address, ingest, gauges));
    let mut heard = String::new();
    while !heard.contains("cutover.orders.unsettled:0|g") {
        let mut datagram = [0; 2048];
        let size = timeout(Duration::from_secs(5), socket.recv(&mut datagram)).await.unwrap().unwrap();
        heard += std::str::from_utf8(&datagram[..size]).unwrap();
        heard += "\n";
    }
    let lines: Vec<&str> = heard.lines().collect();
    for line in [
        "cutover.orders.hit:4|c",
        "cutover.orders.read.source.calls:20|c",
        "cutover.orders.dual_ppm:250000|g",
        "cutover.orders.instances:3|g",
    ] {
        assert!(lines.contains(&line), "{line} is not in {heard}");
    }
    assert!(heard.contains("cutover.orders.read.source.latency:"), "{heard}");
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_dead_statsd_does_not_hurt() {
    for address in ["127.0.0.1:9", "no address"] {
        let ingest = Arc::new(Ingest::default());
        let running = statsd::run(address.to_owned(), ingest, gauges);
        assert!(timeout(Duration::from_secs(5), running).await.is_err(), "it goes on");
    }
}

#[test]
fn a_scrape_has_no_tenants() {
    let (ingest, now) = (Ingest::default(), NOW);
    let secret = v1::Cell { tenant: "acme".to_owned(), ..cell(4) };
    ingest.accept(&report(1, vec![secret]), NEWEST, now);
    let text =
        prometheus::text(ingest.view(now), gauges(), vec![], Vec::new(), LimitsView::default(), None, None);
    for line in [
        r#"cutover_events_total{migration="orders",event="hit"} 4"#,
        r#"cutover_store_calls_total{migration="orders",store="source",operation="read"} 20"#,
        r#"cutover_store_errors_total{migration="orders",store="source",operation="read"} 10"#,
        r#"cutover_store_latency_seconds_count{migration="orders",store="source",operation="read"} 20"#,
        r#"cutover_store_latency_seconds_bucket{le="+Inf",migration="orders",store="source",operation="read"} 20"#,
        r#"cutover_dual_ppm{migration="orders"} 250000"#,
        "cutover_rejected_cells_total 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("acme"));
}
