//! Synthetic traffic for the guards, from a seed, so that a result can be reproduced. It shows how often
//! guards trip when the target is healthy, and how soon when it is not.

mod demand;
mod draw;
mod fault;
mod mix;
mod noise;
mod recording;
mod rehearsal;

use crate::domain::guard::{
    Arm, Cell, Guard, GuardConfig, GuardKind, Judge, JudgedStage, Operation, Pairs, Report, Verdict,
};

pub use demand::Demand;
pub use draw::Draw;
pub use fault::Fault;
pub use noise::{Noise, NoiseOutcome, simulate};
pub use recording::{Recording, Window};
pub use rehearsal::{End, Played, Rehearsal, Waited, rehearse};

const TICK_MS: u64 = 1_000;

/// Traffic of one tick: mean calls of all instances together, and their outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Reads from the target.
    pub target: f64,
    /// Share of these that fail.
    pub target_errors: f64,
    /// Reads from the source.
    pub source: f64,
    /// Share of these that fail.
    pub source_errors: f64,
    /// Failures come in groups of this size, with the same overall share; 0 and 1: one by one.
    pub burst: u64,
    /// Share of the target's reads that fall back to the source, and of compared reads for which the target
    /// has no record.
    pub misses: f64,
    /// Reads of the source that are compared with the target.
    pub compared: f64,
    /// Share of these that differ permanently.
    pub mismatches: f64,
    /// Writes to both stores.
    pub writes: f64,
    /// Share of these that fail in the target.
    pub write_target_errors: f64,
    /// Share of these that fail in the source.
    pub write_source_errors: f64,
    /// Shares that are slow: of reads of the source, writes to it, reads of the target, writes to it.
    pub slow: [f64; 4],
    /// All target calls of the first instance fail.
    pub sick: bool,
}

/// A judge with instances that report to it once a tick, each at its own moment.
#[derive(Clone, Debug)]
pub struct SimulatedFleet {
    judge: Judge,
    draw: Draw,
    names: Vec<String>,
    revision: u64,
    tick: u64,
}

impl SimulatedFleet {
    /// With this many instances, and no traffic yet.
    pub fn new(config: GuardConfig, instances: usize, seed: u64) -> Self {
        let stage = JudgedStage { revision: 1, ..JudgedStage::default() };
        Self {
            judge: Judge::new(config, stage, 0),
            draw: Draw::new(seed),
            names: (0..instances.max(1)).map(|at| format!("instance-{at}")).collect(),
            revision: 1,
            tick: 0,
        }
    }

    /// Ticks so far.
    pub const fn ticks(&self) -> u64 {
        self.tick
    }

    /// Continues with another seed.
    pub fn reseed(&mut self, seed: u64) {
        self.draw = Draw::new(seed);
    }

    /// Begins a new stage.
    pub fn restage(&mut self, enrolled: u32) {
        self.revision += 1;
        let stage = JudgedStage { revision: self.revision, enrolled, ..JudgedStage::default() };
        self.judge.restage(stage, self.tick * TICK_MS);
    }

    /// One tick of traffic; returns the first verdict in it.
    pub fn step(&mut self, traffic: &Traffic) -> Option<Verdict> {
        self.tick += 1;
        let fleet = self.names.len();
        let mut first = None;
        let bursts = self.bursts(traffic);
        for at in 0..fleet {
            let cells = self.cells(traffic, at, bursts);
            let report = Report { instance: &self.names[at], sequence: self.tick, cells: &cells };
            let now_ms = self.tick * TICK_MS + (at as u64 * TICK_MS) / fleet as u64;
            let verdicts = self.judge.observe(&report, now_ms);
            first = first.or_else(|| verdicts.into_iter().next());
        }
        first
    }

    /// Ticks until the first verdict, at most `most`. The tick that trips counts.
    pub fn ticks_to_trip(&mut self, traffic: &Traffic, most: u64) -> Option<u64> {
        (1..=most).find(|_| self.step(traffic).is_some())
    }

    /// Groups of failures in this tick, for the target and for the source.
    fn bursts(&mut self, traffic: &Traffic) -> (u64, u64) {
        if traffic.burst <= 1 {
            return (0, 0);
        }
        let size = traffic.burst as f64;
        let target = self.draw.poisson(traffic.target * traffic.target_errors / size);
        let source = self.draw.poisson(traffic.source * traffic.source_errors / size);
        (target * traffic.burst, source * traffic.burst)
    }

    fn cells(&mut self, traffic: &Traffic, at: usize, bursts: (u64, u64)) -> [Cell<'static>; 2] {
        let fleet = self.names.len() as f64;
        let is_sick = traffic.sick && at == 0;
        let clustered = traffic.burst > 1;
        let draw = &mut self.draw;
        let mut arm = |mean: f64, share: f64, burst: u64| {
            let calls = draw.poisson(mean / fleet);
            let failed = match (is_sick, clustered) {
                (true, _) => calls,
                (_, true) => {
                    (burst / fleet as u64 + u64::from((at as u64) < burst % fleet as u64)).min(calls)
                }
                _ => draw.binomial(calls, share),
            };
            Arm { calls, errors: [failed, 0, 0, 0, 0, 0], ..Arm::default() }
        };
        let target = arm(traffic.target, traffic.target_errors, bursts.0);
        let source = arm(traffic.source, traffic.source_errors, bursts.1);
        let miss = self.draw.binomial(target.calls, traffic.misses);
        let compared = self.draw.poisson(traffic.compared / fleet);
        let lacking = self.draw.binomial(compared, traffic.misses);
        let mismatch = self.draw.binomial(compared - lacking, traffic.mismatches);
        let only_target_failed = self.draw.binomial(compared, traffic.target_errors);
        let target_reads = with_calls(target, compared, only_target_failed);
        let [source_slow, write_source_slow, target_slow, write_target_slow] = traffic.slow;
        let mut slowed = |arm: Arm, share: f64| Arm { slow: self.draw.binomial(arm.calls, share), ..arm };
        let read = Cell {
            target: slowed(target_reads, target_slow),
            source: slowed(source, source_slow),
            pairs: Pairs { calls: compared, only_target_failed, ..Pairs::default() },
            compared,
            lacking,
            mismatch,
            miss,
            hit: target.calls - miss,
            ..Cell::empty(self.revision, Operation::Read, None)
        };
        let writes = self.draw.poisson(traffic.writes / fleet);
        let only_source_failed = self.draw.binomial(writes, traffic.write_source_errors);
        let only_target_failed = match is_sick {
            true => writes - only_source_failed,
            false => self.draw.binomial(writes - only_source_failed, traffic.write_target_errors),
        };
        let mut arm = |failed, slow| Arm {
            calls: writes,
            errors: [failed, 0, 0, 0, 0, 0],
            slow: self.draw.binomial(writes, slow),
            ..Arm::default()
        };
        let pairs = Pairs { calls: writes, only_target_failed, only_source_failed, both_failed: 0 };
        let write = Cell {
            target: arm(only_target_failed, write_target_slow),
            source: arm(only_source_failed, write_source_slow),
            pairs,
            ..Cell::empty(self.revision, Operation::Write, None)
        };
        [read, write]
    }
}

/// The same arm with more calls, some of them failed.
fn with_calls(mut arm: Arm, calls: u64, failed: u64) -> Arm {
    arm.calls += calls;
    arm.errors[0] += failed;
    arm
}

/// Delay of the relative guard of reads alone: ticks from the onset to the trip, as a mean over `trials`,
/// after ten minutes of health. There are `calls` a second, `share` of them to the target. The base error
/// rate is 0.1 % in both stores, and `errors` in the target from the onset. A trial that does not trip within
/// 1,000 ticks counts as 1,000.
pub fn mean_delay(calls: f64, share: f64, errors: f64, trials: u64, seed: u64) -> f64 {
    const PER_WARM_UP: u64 = 20;
    let config = GuardConfig::default().only(&[Guard::of(GuardKind::ErrorRelative, Operation::Read)]);
    let well = Traffic {
        target: calls * share,
        source: calls * (1.0 - share),
        target_errors: 1e-3,
        source_errors: 1e-3,
        ..Traffic::default()
    };
    let ill = Traffic { target_errors: errors, ..well };
    let mut ticks = 0;
    let mut warm = SimulatedFleet::new(config.clone(), 20, seed);
    for trial in 0..trials {
        if trial % PER_WARM_UP == 0 {
            warm = SimulatedFleet::new(config.clone(), 20, seed + trial);
            (0..600).for_each(|_| drop(warm.step(&well)));
        }
        let mut fleet = warm.clone();
        fleet.reseed(seed + 1_000_003 * (trial + 1));
        ticks += fleet.ticks_to_trip(&ill, 1_000).unwrap_or(1_000);
    }
    ticks as f64 / trials.max(1) as f64
}
