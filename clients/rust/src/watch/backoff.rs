//! How long to wait before the next attempt to connect.

use std::time::Duration;

use rand::{Rng, RngExt as _};

const BASE_MS: u64 = 100;
const CAP_MS: u64 = 5_000;
/// The clients of a controller that has gone come back within this time, not at one moment.
const SPREAD_MS: u64 = 1_000;
/// Shortest wait that a controller may ask for: otherwise one with a fault could keep every client busy.
const TOLD_MIN: Duration = Duration::from_millis(500);
/// Longest wait that a controller may ask for.
const TOLD_MAX: Duration = Duration::from_secs(30);

/// Full jitter (Brooker, "Exponential Backoff And Jitter"): 0 to 100 ms before the second attempt (`attempt`
/// 0), twice that each time, up to 5 s. So a fleet that lost its controller at one moment does not come back
/// at one moment.
pub fn backoff(attempt: u32, rng: &mut impl Rng) -> Duration {
    Duration::from_millis(rng.random_range(0..=limit_ms(attempt)))
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Attempt {
    /// No session began. `again`: when the controller wants to be asked again.
    Failed { again: Option<Duration> },
    /// A session ended.
    Lost { again: Option<Duration> },
}

/// How long to wait after so many attempts in a row.
pub(super) fn pause(attempt: u32, ended: Attempt, rng: &mut impl Rng) -> Duration {
    match ended {
        Attempt::Failed { again: Some(again) } | Attempt::Lost { again: Some(again) } => {
            let again = again.clamp(TOLD_MIN, TOLD_MAX);
            // Not earlier, and not all at once.
            again + again.mul_f64(rng.random_range(0.0..1.0))
        }
        Attempt::Failed { again: None } => backoff(attempt, rng),
        // Every other client has lost its session as well.
        Attempt::Lost { again: None } => {
            Duration::from_millis(rng.random_range(0..=limit_ms(attempt).max(SPREAD_MS)))
        }
    }
}

fn limit_ms(attempt: u32) -> u64 {
    let doubled = 1_u64.checked_shl(attempt).and_then(|factor| BASE_MS.checked_mul(factor));
    doubled.unwrap_or(CAP_MS).min(CAP_MS)
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

    /// 5,000 clients lose their leader at one moment. Another one leads 3.5 s later. Until then the standby says when to
    /// ask again, as `server::standby` does.
    #[test]
    fn clients_that_lost_their_leader_do_not_come_back_at_one_moment() {
        const CLIENTS: usize = 5_000;
        const LEADS_AT: Duration = Duration::from_millis(3_500);
        const BUCKET_MS: u128 = 100;
        let mut rng = rand::rng();
        let again = Some(Duration::from_millis(750));
        let (mut first, mut all, mut arrived) = (vec![0; 200], vec![0; 200], Vec::new());
        for _ in 0..CLIENTS {
            let mut at = pause(0, Attempt::Lost { again: None }, &mut rng);
            first[(at.as_millis() / BUCKET_MS) as usize] += 1;
            for attempt in 1.. {
                all[(at.as_millis() / BUCKET_MS) as usize] += 1;
                if at >= LEADS_AT {
                    break;
                }
                at += pause(attempt, Attempt::Failed { again }, &mut rng);
            }
            arrived.push(at - LEADS_AT);
        }
        let in_use = |buckets: &[usize]| buckets.iter().take_while(|count| **count > 0).count();
        let (busiest, busiest_of_all) =
            (first.iter().max().copied().unwrap_or(0), all.iter().max().copied().unwrap_or(0));
        arrived.sort_unstable();
        let (median, last) = (arrived[CLIENTS / 2], arrived[CLIENTS - 1]);
        eprintln!(
            "first attempts of {CLIENTS} clients: in {} of 100 ms each, at most {busiest} in one; attempts of all kinds: at \
             most {busiest_of_all} in 100 ms; at the new leader after {median:?} (median), {last:?} (last)",
            in_use(&first)
        );
        assert!(in_use(&first) >= 10, "{first:?}");
        assert!(busiest < CLIENTS / 10 * 13 / 10, "a tenth each, and a little: {first:?}");
        assert!(busiest_of_all < CLIENTS / 10 * 2, "later attempts are spread as well: {all:?}");
        assert!(last <= Duration::from_millis(1_500), "{last:?}");
    }

    #[test]
    fn nobody_asks_earlier_than_the_controller_said_or_much_later() {
        let mut rng = rand::rng();
        for ended in [
            Attempt::Failed { again: Some(Duration::from_secs(2)) },
            Attempt::Lost { again: Some(Duration::from_secs(2)) },
        ] {
            let waits: Vec<_> = (0..1_000).map(|_| pause(7, ended, &mut rng)).collect();
            assert!(waits.iter().all(|wait| (2_000..=4_000).contains(&wait.as_millis())), "{waits:?}");
        }
        let hour = Attempt::Failed { again: Some(Duration::from_secs(3_600)) };
        assert!(pause(0, hour, &mut rng) <= 2 * TOLD_MAX);
    }

    #[test]
    fn nobody_spins_or_waits_for_ever_whatever_the_controller_says() {
        let mut rng = rand::rng();
        for again_ms in [0, 1, 499, 30_001, u64::MAX] {
            let again = Some(Duration::from_millis(again_ms));
            for attempt in [0, 1, 7, u32::MAX] {
                for ended in [Attempt::Failed { again }, Attempt::Lost { again }] {
                    let wait = pause(attempt, ended, &mut rng);
                    assert!((TOLD_MIN..=2 * TOLD_MAX).contains(&wait), "{again_ms} ms: {wait:?}");
                }
            }
        }
    }
}
