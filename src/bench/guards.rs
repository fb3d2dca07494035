//! How often the guards trip when the target is healthy, how soon when it is not, and what judging costs.
//! Uses the pure guards with seeded traffic: only the cost is measured in real time.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde::Serialize;

use super::{
    child::cpu_us,
    figures::{Figures, Row, ratio, round},
};
use crate::{
    domain::guard::{Arm, Cell, GuardConfig, Judge, JudgedStage, Operation, Pairs, Report},
    simulation::{Noise, NoiseOutcome, mean_delay, simulate},
};

/// Number of reporting instances when measuring the cost.
const REPORTERS: usize = 100;
const TICKS: u64 = 2_000;
/// Number of reporting instances in simulations.
const INSTANCES: usize = 3;
const DAY: u64 = 86_400;
/// Maximum days of one simulation; pieces run concurrently.
const PIECE_DAYS: u64 = 25;

/// Calls a second, the target's share of them, the share of these that fail from the onset, and the seconds
/// that theory predicts (docs/guards.md). Before that, 0.1 % fail in both stores.
const DELAYS: [(f64, f64, f64, f64); 10] = [
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

/// Flags of `cutover bench guards`.
#[derive(Clone, Debug, clap::Args)]
pub struct Guards {
    /// Healthy days to simulate, divided equally among all kinds of noise; 0: none
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    days: u64,
    /// Only this kind of noise; may be repeated
    #[arg(long, value_name = "NAME")]
    noise: Vec<Noise>,
    /// Number of trials for mean delays; 0: none
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    trials: u64,
    /// The same seed and build give the same trips and delays
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// The results.
#[derive(Debug, Serialize)]
struct Numbers {
    bench: &'static str,
    seed: u64,
    report_ns: f64,
    delays: Vec<Delay>,
    days: u64,
    rollbacks: u64,
    holds: u64,
    noises: Vec<Healthy>,
}

/// Delay from the onset of errors to the trip.
#[derive(Debug, Serialize)]
struct Delay {
    calls_per_s: f64,
    target_percent: f64,
    errors_percent: f64,
    mean_s: f64,
    golden_s: f64,
}

/// Results of healthy days: every rollback and hold is a false one.
#[derive(Debug, Serialize)]
struct Healthy {
    noise: &'static str,
    days: u64,
    rollbacks: u64,
    holds: u64,
}

impl Guards {
    pub(super) fn run(self) -> anyhow::Result<Figures> {
        let report_ns = report_ns();
        let delays = if self.trials == 0 { Vec::new() } else { self.delays() };
        let noises = self.healthy();
        let sum = |of: fn(&Healthy) -> u64| noises.iter().map(of).sum();
        let numbers = Numbers {
            bench: "guards",
            seed: self.seed,
            report_ns: round(report_ns, 0),
            days: sum(|noise| noise.days),
            rollbacks: sum(|noise| noise.rollbacks),
            holds: sum(|noise| noise.holds),
            delays,
            noises,
        };
        let mut rows = vec![Row::cost("judging a report of two cells", "ns", report_ns, None)];
        rows.extend(numbers.delays.iter().map(|delay| {
            let (calls, share, errors) = (delay.calls_per_s, delay.target_percent, delay.errors_percent);
            let what = format!("{calls}/s, {share} % on target, {errors} % fail");
            Row::cost(what, "s", delay.mean_s, Some(delay.golden_s))
        }));
        rows.extend(numbers.noises.iter().map(|healthy| {
            let what = format!("{}, {} healthy days", healthy.noise, healthy.days);
            Row::cost(what, "false trips", (healthy.rollbacks + healthy.holds) as f64, None)
        }));
        let title = format!(
            "guards: seed {}; delays are means of {} trials beside the golden ones; {} healthy days in all",
            self.seed, self.trials, numbers.days
        );
        Ok(Figures::new(title, rows, &numbers)?)
    }

    fn delays(&self) -> Vec<Delay> {
        side_by_side(&DELAYS, |&(calls_per_s, share, errors, golden_s)| Delay {
            calls_per_s,
            target_percent: share * 100.0,
            errors_percent: errors * 100.0,
            mean_s: round(mean_delay(calls_per_s, share, errors, self.trials, self.seed), 2),
            golden_s,
        })
    }

    /// At least one day of each, if any.
    fn healthy(&self) -> Vec<Healthy> {
        let noises = if self.noise.is_empty() { Noise::ALL.to_vec() } else { self.noise.clone() };
        let each = self.days.div_ceil(noises.len() as u64);
        let pieces: Vec<(Noise, u64, u64)> = noises
            .iter()
            .flat_map(|noise| {
                let begin = (0..each).step_by(PIECE_DAYS as usize);
                begin.map(move |first| (*noise, first, PIECE_DAYS.min(each - first)))
            })
            .collect();
        let config = GuardConfig::default();
        let outcomes = side_by_side(&pieces, |(noise, first, days)| {
            // Another seed for each piece, independent of the number of days.
            let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(*first);
            simulate(*noise, &config, days * DAY, INSTANCES, seed)
        });
        let of = |noise: Noise| {
            let own = pieces.iter().zip(&outcomes).filter(move |(piece, _)| piece.0 == noise);
            let sum = |part: fn(&NoiseOutcome) -> u64| own.clone().map(|(_, outcome)| part(outcome)).sum();
            let days = own.clone().map(|(piece, _)| piece.2).sum();
            let (rollbacks, holds) = (sum(|outcome| outcome.rollbacks), sum(|outcome| outcome.holds));
            Healthy { noise: noise.name(), days, rollbacks, holds }
        };
        if each == 0 { Vec::new() } else { noises.into_iter().map(of).collect() }
    }
}

/// Processes all of them with every core; results in the same order.
fn side_by_side<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(one) = all.get(at) else { break };
                    let result = work(one);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// CPU time of judging one report, in a fleet that reports a read and a write cell each second, with an error
/// in every tenth; the end of a tick included. The minimum over all ticks, because other work is not the
/// judge's.
fn report_ns() -> f64 {
    let names: Vec<String> = (0..REPORTERS).map(|at| format!("instance-{at}")).collect();
    let mut judge =
        Judge::new(GuardConfig::default(), JudgedStage { revision: 1, ..JudgedStage::default() }, 0);
    let arm = |errors| Arm { calls: 100, errors: [errors, 0, 0, 0, 0, 0], ..Arm::default() };
    let mut least = f64::INFINITY;
    for tick in 1..=TICKS {
        let begun_us = cpu_us();
        for (at, instance) in names.iter().enumerate() {
            let bad = u64::from((tick as usize + at).is_multiple_of(10));
            let read = Cell {
                target: arm(bad),
                source: arm(bad),
                hit: 99,
                miss: 1,
                ..Cell::empty(1, Operation::Read, None)
            };
            let pairs = Pairs { calls: 20, ..Pairs::default() };
            let write =
                Cell { target: arm(0), source: arm(0), pairs, ..Cell::empty(1, Operation::Write, None) };
            let report = Report { instance, sequence: tick, cells: &[read, write] };
            _ = std::hint::black_box(judge.observe(&report, tick * 1_000 + at as u64));
        }
        least = least.min(ratio(1e3 * (cpu_us() - begun_us), REPORTERS as f64));
    }
    least
}
