//! Chooses the windows for a given number of points.

use super::{Counts, Scale};

/// Widths of points that people can read, in seconds.
const WIDTHS_S: [u64; 19] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400, 172_800,
    604_800,
];

/// Points of equal width over a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The windows from which points are made.
    pub scale: Scale,
    /// Width of a point.
    pub width_s: u64,
    /// Unix second at which the first point begins.
    pub from_s: u64,
    /// Unix second at which the last one ends.
    pub before_s: u64,
}

impl Grid {
    /// About `points` points between two seconds of Unix time, as fine as the stored windows allow: a second
    /// for ten minutes, a minute for a day, half an hour for 90 days.
    pub fn of(since_s: u64, until_s: u64, now_s: u64, points: u64) -> Self {
        let longest_s = Scale::HalfHour.kept_s().unwrap_or(0);
        let since_s = since_s.max(now_s.saturating_sub(longest_s));
        let until_s = until_s.min(now_s + 1).max(since_s + 1);
        let age_s = now_s.saturating_sub(since_s);
        let has = |scale: &Scale| scale.kept_s().is_some_and(|kept_s| age_s <= kept_s + scale.width_s());
        let finest = Scale::OF_TIME.into_iter().find(has).unwrap_or(Scale::HalfHour);
        // Minus fractions of seconds; otherwise a day would not be 48 half hours.
        let span_s = (until_s - since_s).saturating_sub(2);
        let least_s = span_s.div_ceil(points.max(1)).max(finest.width_s());
        let fits = |width: &u64| *width >= least_s && width.is_multiple_of(finest.width_s());
        let width_s = WIDTHS_S.into_iter().find(fits).unwrap_or(longest_s);
        let divides = |scale: &Scale| width_s.is_multiple_of(scale.width_s());
        let scale = Scale::OF_TIME.into_iter().rev().find(divides).unwrap_or(finest);
        let from_s = since_s - since_s % width_s;
        Self { scale, width_s, from_s, before_s: until_s.next_multiple_of(width_s) }
    }

    /// Converts windows to points, by the second at which each begins.
    pub fn points(&self, windows: Vec<(u64, Counts)>) -> Vec<(u64, Counts)> {
        let mut points: Vec<(u64, Counts)> = Vec::new();
        for (at, counts) in windows {
            let at = at - at % self.width_s;
            match points.last_mut() {
                Some((last, sum)) if *last == at => sum.merge(&counts),
                _ => points.push((at, counts)),
            }
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_764_201_600 + 12_345;
    const DAY: u64 = 86_400;

    #[test]
    fn a_span_is_as_fine_as_what_is_kept_of_it() {
        let of = |span, points| {
            let grid = Grid::of(NOW - span, NOW, NOW, points);
            let (from_s, before_s) = (grid.from_s, grid.before_s);
            assert!(from_s <= NOW - span && NOW <= before_s && before_s - from_s <= span + 2 * grid.width_s);
            assert!((before_s - from_s) / grid.width_s <= points + 2, "{grid:?}");
            (grid.scale, grid.width_s)
        };
        assert_eq!(of(60, 48), (Scale::Second, 2));
        assert_eq!(of(600, 48), (Scale::Second, 15));
        assert_eq!(of(602, 48), (Scale::Minute, 60), "a second is not kept for so long");
        assert_eq!(of(DAY + 1, 48), (Scale::HalfHour, 1_800));
        assert_eq!(of(DAY, 1_000), (Scale::Minute, 120));
        assert_eq!(of(DAY + 61, 1_000), (Scale::HalfHour, 1_800));
        assert_eq!(of(90 * DAY, 48), (Scale::HalfHour, 2 * DAY));
        assert_eq!(of(90 * DAY, 1), (Scale::HalfHour, 90 * DAY));
    }

    #[test]
    fn what_makes_no_sense_is_bounded() {
        for (since, until) in [(0, 0), (0, u64::MAX), (u64::MAX - 1, 5), (NOW, NOW), (NOW + 9, NOW + 5)] {
            let grid = Grid::of(since, until, NOW, 48);
            assert!(grid.before_s - grid.from_s <= 93 * DAY && grid.from_s < grid.before_s, "{grid:?}");
        }
    }

    #[test]
    fn points_are_sums_of_their_windows() {
        let grid = Grid { scale: Scale::Minute, width_s: 120, from_s: 0, before_s: 600 };
        let counts = |revision| Counts { revision, ..Counts::default() };
        let windows = vec![(0, counts(1)), (60, counts(2)), (240, counts(3))];
        assert_eq!(grid.points(windows), [(0, counts(2)), (240, counts(3))]);
    }
}
