//! What judging a report costs, and how often and how soon guards trip. `cargo bench --bench guards`
//! prints the cost and the delays; `-- --days N` also simulates N healthy days of each noise.

use std::time::Instant;

use cutover::{
    domain::guard::{Arm, Cell, GuardConfig, Judge, Operation, Pairs, Report, Stage},
    simulation::{Noise, mean_delay, simulate},
};

const INSTANCES: usize = 100;
const TICKS: u64 = 2_000;
const DAY: u64 = 86_400;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let days = arguments.iter().position(|argument| argument == "--days");
    let days: u64 = days.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(0);
    let noises: Vec<Noise> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let noises = if noises.is_empty() { Noise::ALL.to_vec() } else { noises };
    if days == 0 {
        cost();
        delays();
    }
    for noise in noises.into_iter().filter(|_| days > 0) {
        let began = Instant::now();
        let outcome = simulate(noise, &GuardConfig::default(), days * DAY, 3, 4);
        let took = began.elapsed().as_secs_f64();
        eprintln!(
            "{noise}: {days} days, {} false rollbacks, {} holds, {took:.0} s",
            outcome.rollbacks, outcome.holds
        );
    }
}

/// Of a fleet that reports a read and a write cell each second, an error in every tenth report. Best
/// of batches: other work on the machine is not the judge's.
fn cost() {
    let names: Vec<String> = (0..INSTANCES).map(|at| format!("instance-{at}")).collect();
    let mut judge = Judge::new(GuardConfig::default(), Stage { revision: 1, ..Stage::default() }, 0);
    let mut best = f64::INFINITY;
    for tick in 1..=TICKS {
        let began = Instant::now();
        for (at, instance) in names.iter().enumerate() {
            let is_bad = (tick as usize + at).is_multiple_of(10);
            let arm = |errors| Arm { calls: 100, errors: [errors, 0, 0, 0, 0, 0], ..Arm::default() };
            let read = Cell {
                target: arm(u64::from(is_bad)),
                source: arm(u64::from(is_bad)),
                hit: 99,
                miss: 1,
                ..Cell::empty(1, Operation::Read, None)
            };
            let pairs = Pairs { calls: 20, ..Pairs::default() };
            let write =
                Cell { target: arm(0), source: arm(0), pairs, ..Cell::empty(1, Operation::Write, None) };
            let report = Report { instance, sequence: tick, cells: &[read, write] };
            let verdicts = judge.observe(&report, tick * 1_000 + (at * 1_000 / INSTANCES) as u64);
            assert!(verdicts.is_empty(), "{verdicts:?}");
        }
        best = best.min(began.elapsed().as_nanos() as f64 / INSTANCES as f64);
    }
    eprintln!(
        "{best:.0} ns a report of a read and a write cell, the tick's end included (under 2000 is wanted)"
    );
}

fn delays() {
    let rows = [
        (1_000.0, 0.10, 0.20, 1.0),
        (1_000.0, 0.10, 0.05, 4.1),
        (1_000.0, 0.10, 0.01, 37.0),
        (1_000.0, 0.01, 1.00, 1.2),
        (1_000.0, 0.01, 0.20, 4.8),
        (1_000.0, 0.01, 0.05, 26.0),
        (1_000.0, 0.50, 0.05, 2.7),
        (1_000.0, 0.50, 0.01, 17.9),
        (1_000.0, 0.50, 0.005, 63.0),
        (10_000.0, 0.50, 0.003, 33.0),
    ];
    for (calls, share, errors, wanted) in rows {
        let ticks = mean_delay(calls, share, errors, 400, 7);
        eprintln!("{calls} calls/s, {share} on the target, {errors} errors: {ticks:.1} s (golden {wanted})");
    }
}
