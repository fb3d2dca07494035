//! Random histories under the rules: whatever stores, clocks and the ladder do, acknowledged writes are
//! there. A model checker does the exhaustive search; this runs in a second.

#[path = "migrator/simulation.rs"]
mod simulation;

use std::collections::HashSet;

use cutover_client::routing::Level;
use proptest::{collection::vec, prelude::*};
use simulation::{Careless, Simulation};

const LEVELS: [Level; 2] = [Level::Acknowledged, Level::Linearizable];

/// SplitMix64, for many runs that are reproducible.
fn choices(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed;
    let next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)) >> 40) as u8
    };
    std::iter::repeat_with(next).take(400)
}

/// The first broken promise in this many runs.
fn search(level: Level, careless: Careless, runs: u64) -> Option<String> {
    (0..runs).find_map(|seed| Simulation::new(choices(seed), level, careless).run().err())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn what_was_acknowledged_is_never_lost(choices in vec(any::<u8>(), 0..300), linearizable: bool) {
        let level = LEVELS[usize::from(linearizable)];
        let run = Simulation::new(choices.into_iter(), level, Careless::default()).run();
        prop_assert_eq!(run, Ok(()));
    }
}

#[test]
fn nothing_is_lost_in_many_longer_runs_that_come_by_everything() {
    let mut visited = HashSet::new();
    for level in LEVELS {
        for seed in 0..5_000 {
            let mut simulation = Simulation::new(choices(seed), level, Careless::default());
            assert_eq!(simulation.run(), Ok(()), "seed {seed}, {level:?}");
            visited.extend(simulation.visited);
        }
    }
    for wanted in [
        "acknowledged",
        "read",
        "write failed",
        "write overtaken",
        "read overtaken",
        "landed late",
        "dual",
        "mirrored",
        "target-first",
        "target-only",
        "down",
        "reversed",
    ] {
        assert!(visited.contains(wanted), "no run came by {wanted:?}");
    }
}

#[test]
fn a_careless_controller_is_found_out() {
    for careless in [
        Careless { no_barrier: true, ..Careless::default() },
        Careless { no_pass: true, ..Careless::default() },
        Careless { no_reverse: true, ..Careless::default() },
    ] {
        assert!(search(Level::Acknowledged, careless, 20_000).is_some(), "{careless:?} went unnoticed");
    }
}
