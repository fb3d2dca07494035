//! How long to wait before the next attempt to connect.

use std::time::Duration;

use rand::{Rng, RngExt as _};

const BASE_MS: u64 = 100;
const CAP_MS: u64 = 5_000;

/// Full jitter (Brooker, "Exponential Backoff And Jitter"): 0 to 100 ms before the second attempt (`attempt`
/// 0), twice that each time, up to 5 s. So a fleet that lost its controller at one moment does not come back
/// at one moment.
pub fn backoff(attempt: u32, rng: &mut impl Rng) -> Duration {
    let doubled = 1_u64.checked_shl(attempt).and_then(|factor| BASE_MS.checked_mul(factor));
    Duration::from_millis(rng.random_range(0..=doubled.unwrap_or(CAP_MS).min(CAP_MS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_its_cap_and_is_spread_over_all_of_it() {
        let mut rng = rand::rng();
        for (attempt, limit_ms) in [
            (0, 100),
            (1, 200),
            (5, 3_200),
            (6, 5_000),
            (7, 5_000),
            (63, 5_000),
            (64, 5_000),
            (u32::MAX, 5_000),
        ] {
            let waits: Vec<_> = (0..2_000).map(|_| backoff(attempt, &mut rng)).collect();
            let longest = waits.iter().max().copied().unwrap_or_default();
            let shortest = waits.iter().min().copied().unwrap_or_default();
            let limit = Duration::from_millis(limit_ms);
            assert!(longest <= limit, "attempt {attempt}: {longest:?}");
            assert!(longest > limit * 9 / 10, "attempt {attempt}: {longest:?} of {limit:?}");
            assert!(shortest < limit / 10, "attempt {attempt}: {shortest:?} of {limit:?}");
        }
    }
}
