//! Guards trip often enough, and not too often: by seeded simulation. `cutover bench guards` runs more of it.

use cutover::{
    domain::guard::{Guard, GuardConfig, GuardKind},
    simulation::{Noise, SimulatedFleet, Traffic, mean_delay, simulate},
};

use super::READ;

const HOUR: u64 = 3_600;

/// 5 % of the hours may have a false trip: `c` is 72,000.
fn loose() -> GuardConfig {
    GuardConfig { false_trips_per_day: 1.2, ..GuardConfig::default() }
}

/// Hours with a false rollback, of `hours`.
fn false_hours(noise: Noise, config: &GuardConfig, instances: usize, hours: u64) -> u64 {
    (0..hours).filter(|seed| simulate(noise, config, HOUR, instances, *seed).rollbacks > 0).count() as u64
}

#[test]
fn at_a_loose_threshold_no_noise_trips_more_often_than_was_accepted() {
    for noise in Noise::ALL {
        let hours = 12;
        let tripped = false_hours(noise, &loose(), 3, hours);
        // At most 0.6 are expected; 4 or more happen by chance in 1 of 300 runs.
        assert!(tripped < 4, "{noise}: {tripped} of {hours} hours");
    }
}

/// Hours in which the relative guard alone trips, for a target that is exactly at the limit.
fn hours_tripped_at_the_limit(false_trips_per_day: f64, hours: u64) -> usize {
    let config = GuardConfig { false_trips_per_day, ..GuardConfig::default() };
    let config = config.only(&[Guard::of(GuardKind::ErrorRelative, READ)]);
    let (source_errors, calls) = (0.01, 250.0);
    let target_errors = 1.25 * source_errors + 5e-4;
    let limit = Traffic { target: calls, source: calls, target_errors, source_errors, ..Traffic::default() };
    let trips =
        |seed: &u64| SimulatedFleet::new(config.clone(), 3, *seed).ticks_to_trip(&limit, HOUR).is_some();
    (0..hours).filter(trips).count()
}

#[test]
fn a_target_at_the_very_limit_trips_as_rarely_as_was_accepted_but_does_trip() {
    let at_5_percent = hours_tripped_at_the_limit(1.2, 20);
    assert!(at_5_percent < 5, "{at_5_percent} of 20 hours");
    // Otherwise this would only show a guard that never trips.
    let at_any_time = hours_tripped_at_the_limit(300.0, 20);
    assert!(at_any_time > 2, "{at_any_time} of 20 hours");
}

#[test]
fn the_delays_are_the_golden_ones() {
    let golden = [
        (1_000.0, 0.10, 0.20, 1.0, 400),
        (1_000.0, 0.10, 0.05, 4.1, 200),
        (1_000.0, 0.10, 0.01, 37.0, 60),
        (1_000.0, 0.01, 1.00, 1.2, 400),
        (1_000.0, 0.01, 0.20, 4.8, 200),
        (1_000.0, 0.01, 0.05, 26.0, 60),
        (1_000.0, 0.50, 0.05, 2.7, 200),
        (1_000.0, 0.50, 0.01, 17.9, 60),
        (1_000.0, 0.50, 0.005, 63.0, 60),
        (10_000.0, 0.50, 0.003, 33.0, 60),
    ];
    for (calls, share, errors, wanted, trials) in golden {
        let seconds = mean_delay(calls, share, errors, trials, 7);
        let off = seconds / wanted - 1.0;
        assert!(off.abs() <= 0.15, "{calls}/s, {share}, {errors}: {seconds} s, wanted {wanted}");
    }
}
