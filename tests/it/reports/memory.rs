//! Memory that a judge needs for its tenants, measured in a separate process.

use std::{io::Write as _, process::Command};

use cutover::{
    domain::{
        Tenant,
        guard::{Arm, Cell, GuardConfig, Judge, JudgedStage, Operation, Report},
    },
    telemetry::Ingest,
};
use cutover_proto::v1;

const WEIGH: &str = "CUTOVER_TEST_WEIGH";

fn rss_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

/// Reports of three instances about tenants, some of whose calls fail; ten seconds of them.
fn report(judge: &mut Judge, ingest: &Ingest, tenants: std::ops::Range<usize>, sequence: &mut u64) {
    let names: Vec<Tenant> = tenants.map(|at| Tenant::parse(&format!("tenant-{at}")).unwrap()).collect();
    for (second, names) in names.chunks(names.len().div_ceil(10)).enumerate() {
        *sequence += 1;
        for instance in ["a", "b", "c"] {
            let cells = names.iter().enumerate().map(|(at, tenant)| Cell {
                target: Arm { calls: 10, errors: [u64::from(at % 50 == 0), 0, 0, 0, 0, 0], ..Arm::default() },
                source: Arm { calls: 10, ..Arm::default() },
                hit: 10,
                ..Cell::empty(1, Operation::Read, Some(tenant))
            });
            let cells: Vec<_> = cells.collect();
            judge.observe(&Report { instance, sequence: *sequence, cells: &cells }, *sequence * 1_000);
            let of = |tenant: &Tenant| v1::Cell {
                migration: "orders".to_owned(),
                tenant: tenant.to_string(),
                hit: 10,
                ..Default::default()
            };
            let cells = names.iter().map(of).collect();
            let wire = v1::ReportRequest {
                instance_id: instance.to_owned(),
                sequence: *sequence,
                cells,
                ..Default::default()
            };
            assert_eq!(ingest.accept(&wire, 1, second as u64 * 1_000), *sequence);
        }
    }
}

/// Not a test by itself: the process that is measured.
#[test]
fn child() {
    if std::env::var_os(WEIGH).is_none() {
        return;
    }
    let stage = JudgedStage { revision: 1, ..JudgedStage::default() };
    let (mut judge, ingest, mut sequence) =
        (Judge::new(GuardConfig::default(), stage, 0), Ingest::default(), 0);
    report(&mut judge, &ingest, 0..100, &mut sequence);
    let before = rss_mib();
    report(&mut judge, &ingest, 0..10_000, &mut sequence);
    let tracked = rss_mib();
    assert_eq!(judge.tracked_tenants(), 10_000);
    report(&mut judge, &ingest, 0..100_000, &mut sequence);
    assert_eq!(judge.tracked_tenants(), 10_000);
    writeln!(std::io::stdout(), "weighed {} {}", tracked - before, rss_mib() - tracked).unwrap();
}

#[test]
fn ten_thousand_tenants_take_less_than_100_mib_and_a_hundred_thousand_hardly_more() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "reports::memory::child", "--nocapture"])
        .env(WEIGH, "1")
        .output()
        .unwrap();
    let said = String::from_utf8(child.stdout).unwrap();
    let weighed = said.split("weighed ").nth(1).unwrap_or_else(|| panic!("{said}"));
    let mib: Vec<f64> = weighed.split_whitespace().take(2).map(|mib| mib.parse().unwrap()).collect();
    eprintln!("10,000 tenants take {:.1} MiB, 90,000 more {:.1}", mib[0], mib[1]);
    assert!((1.0..100.0).contains(&mib[0]), "10,000 tenants take {} MiB", mib[0]);
    // Includes what reports of 10,000 cells need while they are decoded.
    assert!(mib[1] < 40.0, "90,000 more take {} MiB", mib[1]);
}
