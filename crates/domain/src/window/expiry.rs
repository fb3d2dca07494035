//! The time by which windows expire, given that the clock may be wrong.

/// No clock drifts this far: it was set.
const STEP_S: u64 = 3_600;
/// A clock that was set ahead is trusted once it has stayed so for this long.
const BELIEVED_AFTER_S: u64 = 3_600;

/// The time by which windows expire. A clock that is set far ahead and back expires none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expiry {
    /// The time that was last trusted, and the elapsed time at that moment. `None`: none yet.
    believed: Option<(u64, u64)>,
    /// Elapsed time when the clock was first seen ahead.
    ahead_since_s: Option<u64>,
}

impl Expiry {
    /// The time to expire by. `now_s` is Unix time by the clock; `elapsed_s` is the time elapsed since some
    /// moment, whatever the clock said. At first no time is trusted, because nothing shows whether it is
    /// right, and nothing expires.
    pub fn time_s(&mut self, now_s: u64, elapsed_s: u64) -> u64 {
        let expected_s = self.believed.map(|(time_s, at_s)| time_s + elapsed_s.saturating_sub(at_s));
        if expected_s.is_none_or(|expected_s| now_s > expected_s.saturating_add(STEP_S)) {
            let since_s = *self.ahead_since_s.get_or_insert(elapsed_s);
            if elapsed_s.saturating_sub(since_s) < BELIEVED_AFTER_S {
                return expected_s.unwrap_or(0);
            }
        }
        self.ahead_since_s = None;
        self.believed = Some((now_s, elapsed_s));
        now_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_764_201_600;
    const YEAR: u64 = 365 * 86_400;

    /// A clock that was trusted at 3,600 s.
    fn started() -> Expiry {
        let mut expiry = Expiry::default();
        assert_eq!((expiry.time_s(NOW, 0), expiry.time_s(NOW + 3_599, 3_599)), (0, 0));
        assert_eq!(expiry.time_s(NOW + 3_600, 3_600), NOW + 3_600, "it said so for an hour");
        expiry
    }

    #[test]
    fn a_clock_that_is_set_ahead_and_back_drops_nothing_before_its_time() {
        let mut expiry = started();
        for elapsed in (3_610..7_200).step_by(10) {
            assert_eq!(expiry.time_s(NOW + YEAR + elapsed, elapsed), NOW + elapsed, "time goes on");
        }
        assert_eq!(expiry.time_s(NOW + 7_200, 7_200), NOW + 7_200);
        assert_eq!(expiry.time_s(NOW + YEAR, 7_210), NOW + 7_210, "it has to last anew");
    }

    #[test]
    fn a_clock_that_stays_ahead_is_believed_and_one_set_back_is_at_once() {
        let mut expiry = started();
        assert_eq!(expiry.time_s(NOW + YEAR, 3_610), NOW + 3_610);
        assert_eq!(expiry.time_s(NOW + YEAR + 3_600, 7_210), NOW + YEAR + 3_600);
        assert_eq!(expiry.time_s(NOW, 7_220), NOW);
        assert_eq!(expiry.time_s(NOW + 3_000, 7_230), NOW + 3_000, "as far as this it may be late");
    }
}
