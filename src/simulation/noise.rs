//! Healthy days with as much noise as possible.

use std::{fmt, str::FromStr};

use super::{SimulatedFleet, Traffic};
use crate::domain::guard::{Action, GuardConfig};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// Duration of one step of the ramp.
const RAMP_STEP: u64 = 1_800;

/// What disturbs a healthy migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    /// Independent errors, 0.1 % in both stores.
    Rare,
    /// Independent errors, 1 %.
    Frequent,
    /// Traffic from 5 to 100 % and back each day.
    Diurnal,
    /// Both stores fail 50 times as often for 10 s each hour.
    CommonSpikes,
    /// Errors come ten at a time.
    Bursts,
    /// The same, but only every ten minutes in either store, so phi hardly remembers them.
    RareBursts,
    /// The source never fails. The target fails independently, as often as still counts as healthy: 0.04 %.
    CleanSource,
    /// All calls of one client fail, in both stores, for ten minutes of each hour.
    BadClient,
    /// A step of a ramp each half hour: evidence starts over, and keys are cold.
    RampSteps,
    /// One call a minute.
    LowTraffic,
}

/// The result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoiseOutcome {
    /// Simulated ticks of a second.
    pub ticks: u64,
    /// False rollbacks.
    pub rollbacks: u64,
    /// Holds: nothing was rolled back, but an operator would have been notified.
    pub holds: u64,
}

impl Noise {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::Rare,
        Self::Frequent,
        Self::Diurnal,
        Self::CommonSpikes,
        Self::Bursts,
        Self::RareBursts,
        Self::CleanSource,
        Self::BadClient,
        Self::RampSteps,
        Self::LowTraffic,
    ];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rare => "iid-0.1%",
            Self::Frequent => "iid-1%",
            Self::Diurnal => "diurnal",
            Self::CommonSpikes => "common-spikes",
            Self::Bursts => "bursts",
            Self::RareBursts => "rare-bursts",
            Self::CleanSource => "clean-source",
            Self::BadClient => "bad-client",
            Self::RampSteps => "ramp-steps",
            Self::LowTraffic => "low-traffic",
        }
    }

    /// Traffic of a tick, counted from midnight.
    pub fn at(self, tick: u64) -> Traffic {
        let well = |calls: f64, errors: f64| Traffic {
            target: calls / 2.0,
            source: calls / 2.0,
            target_errors: errors,
            source_errors: errors,
            misses: 0.01,
            writes: calls / 5.0,
            write_target_errors: errors / 10.0,
            write_source_errors: errors / 10.0,
            ..Traffic::default()
        };
        let usual = well(500.0, 1e-3);
        match self {
            Self::Rare => usual,
            Self::Frequent => well(500.0, 1e-2),
            Self::Diurnal => {
                let angle = std::f64::consts::TAU * (tick % DAY) as f64 / DAY as f64;
                well(500.0 * (0.525 - 0.475 * angle.cos()), 1e-3)
            }
            Self::CommonSpikes if tick % HOUR < 10 => well(500.0, 5e-2),
            Self::CommonSpikes => usual,
            Self::Bursts => Traffic { burst: 10, ..usual },
            Self::RareBursts => Traffic { burst: 10, ..well(500.0, 10.0 / 600.0 / 250.0) },
            Self::CleanSource => {
                Traffic { source_errors: 0.0, write_source_errors: 0.0, ..well(500.0, 4e-4) }
            }
            Self::BadClient => Traffic { sick: tick % HOUR < 600, ..usual },
            Self::RampSteps => {
                let since = (tick % RAMP_STEP) as f64;
                let steps = (tick % DAY) / RAMP_STEP;
                let share = (steps + 1) as f64 / (DAY / RAMP_STEP + 1) as f64;
                let cold = 0.01 + 0.5 * (-since / 60.0).exp();
                Traffic { target: 500.0 * share, source: 500.0 * (1.0 - share), misses: cold, ..usual }
            }
            Self::LowTraffic => well(1.0 / 60.0, 1e-2),
        }
    }
}

/// Runs the guards through `ticks` of noise. After a false rollback they start over. The same seed gives the
/// same result.
pub fn simulate(noise: Noise, config: &GuardConfig, ticks: u64, instances: usize, seed: u64) -> NoiseOutcome {
    let mut fleet = SimulatedFleet::new(config.clone(), instances, seed);
    let mut outcome = NoiseOutcome { ticks, ..NoiseOutcome::default() };
    for tick in 0..ticks {
        if noise == Noise::RampSteps && tick % RAMP_STEP == 0 {
            fleet.restage(u32::try_from(tick / RAMP_STEP).unwrap_or(0) + 1);
        }
        match fleet.step(&noise.at(tick)).map(|verdict| verdict.action) {
            None => {}
            Some(Action::Hold) => outcome.holds += 1,
            Some(Action::Rollback | Action::Observe) => {
                outcome.rollbacks += 1;
                fleet.restage(0);
            }
        }
    }
    outcome
}

impl fmt::Display for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Noise {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|noise| noise.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("{name:?} is no noise: give one of {names}")
        })
    }
}
