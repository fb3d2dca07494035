//! The calls of a second, generated or recorded, and their outcomes depending on where tenants stand.

use cutover_core::routing::{PPM, Rung};

use super::{
    Recording, Traffic,
    mix::{BASE_ERRORS, BASE_WRITE_ERRORS, Mix},
};
use crate::domain::Migration;

/// Share of reads among generated calls.
const READS: f64 = 0.75;
/// Share of the calls of a tenant that a plan names.
const NAMED: f64 = 0.01;
/// Where the calls come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Demand {
    /// The same number of reads and writes in every second, three to one.
    MadeUp {
        /// Both kinds together.
        calls_per_s: f64,
    },
    /// As recorded, repeated over and over.
    Recorded(Recording),
}

impl Demand {
    /// Unix time at which the simulation begins. 0: at no particular time of day.
    pub(super) const fn begins_ms(&self) -> u64 {
        match self {
            Self::MadeUp { .. } => 0,
            Self::Recorded(recording) => recording.from_s() * 1_000,
        }
    }

    /// One second of traffic, depending on where tenants stand. `shadow`: share of the reads that are
    /// compared before target-first.
    pub(super) fn traffic(&self, now_ms: u64, shadow: f64, migration: &Migration) -> Traffic {
        let mix = match self {
            Self::MadeUp { calls_per_s } => Mix {
                reads: calls_per_s * READS,
                writes: calls_per_s * (1.0 - READS),
                source_errors: BASE_ERRORS,
                target_errors: BASE_ERRORS,
                write_source_errors: BASE_WRITE_ERRORS,
                write_target_errors: BASE_WRITE_ERRORS,
                ..Mix::default()
            },
            Self::Recorded(recording) => recording.at(now_ms / 1_000),
        };
        let share = |rung| {
            let by_bucket = f64::from(migration.document.bands.at_least_ppm(rung)) / f64::from(PPM);
            let named = migration.tenants.values().filter(|row| row.placement.rung >= rung).count();
            (by_bucket + named as f64 * NAMED).min(1.0)
        };
        let (both, target_first) = (share(Rung::Dual), share(Rung::TargetFirst));
        Traffic {
            target: mix.reads * target_first,
            source: mix.reads * (1.0 - target_first),
            target_errors: mix.target_errors,
            source_errors: mix.source_errors,
            misses: mix.misses,
            mismatches: mix.mismatches,
            compared: mix.reads * (both - target_first) * shadow,
            writes: mix.writes * both,
            write_target_errors: mix.write_target_errors,
            write_source_errors: mix.write_source_errors,
            slow: mix.slow,
            ..Traffic::default()
        }
    }
}
