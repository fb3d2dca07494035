//! How honest the progress of a pass is: the share that people are shown, against the share of the time that has passed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use cutover_proto::v1;

use crate::gist;

/// Below this share nobody relies on it.
const FROM: f64 = 0.05;

/// What was shown while a pass ran.
#[derive(Clone)]
pub(super) struct Shown {
    began: Instant,
    /// Seconds since it began, and the share.
    shares: Arc<Mutex<Vec<(f64, f64)>>>,
}

impl Shown {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), shares: Arc::default() }
    }

    /// Records the progress of a pass. A share of an unknown number is none.
    pub(super) fn callback(&self) -> impl Fn(&v1::Job) + Send + use<> + 'static {
        let Self { began, shares } = self.clone();
        move |job| {
            if job.expected == 0 {
                return;
            }
            let share = gist::read(job) as f64 / job.expected as f64;
            let shown = (began.elapsed().as_secs_f64(), share);
            shares.lock().unwrap_or_else(PoisonError::into_inner).push(shown);
        }
    }

    /// By how many percentage points the share was off at most, once the pass has ended. `None`: none was shown in time.
    pub(super) fn off_points(&self) -> Option<f64> {
        let took_s = self.began.elapsed().as_secs_f64();
        largest(&self.shares.lock().unwrap_or_else(PoisonError::into_inner), took_s)
    }
}

fn largest(shown: &[(f64, f64)], took_s: f64) -> Option<f64> {
    let shown = shown.iter().filter(|(_, share)| *share >= FROM);
    let off = shown.map(|(at_s, share)| 100.0 * (share.min(1.0) - at_s / took_s).abs());
    off.reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_error_from_five_percent_on_counts() {
        let shown = [(1.0, 0.04), (2.0, 0.25), (5.0, 0.5), (9.0, 0.8)];
        assert_eq!(
            largest(&shown, 10.0).map(f64::round),
            Some(10.0),
            "80 % of the records, 90 % of the time"
        );
        assert_eq!(largest(&shown[..3], 10.0).map(f64::round), Some(5.0));
        assert_eq!(largest(&[(5.0, 1.4)], 10.0).map(f64::round), Some(50.0), "more than expected is all");
        assert_eq!(largest(&shown[..1], 10.0), None);
    }

    #[test]
    fn what_both_scans_have_read_is_the_share() {
        let shown = Shown::new();
        let counts = v1::PassCounts { scanned: 30, checked: 20, ..Default::default() };
        shown.callback()(&v1::Job { counts: Some(counts), ..Default::default() });
        shown.callback()(&v1::Job { expected: 200, counts: Some(counts), ..Default::default() });
        let shares: Vec<f64> =
            shown.shares.lock().expect("nobody panics").iter().map(|(_, share)| *share).collect();
        assert_eq!(shares, [0.25], "none while nobody knows how many there are");
        assert!(shown.off_points().is_some());
    }
}
