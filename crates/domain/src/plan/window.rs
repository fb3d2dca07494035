//! When a plan may take steps: times of day on some weekdays in a time zone. The zones' rules are compiled
//! in, so they are the same everywhere.

use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, Time},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};

use crate::Violation;

const DAY_MIN: u16 = 24 * 60;
/// All days of the week.
pub const EVERY_DAY: u8 = 0b111_1111;

/// When steps may be taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeWindows {
    /// Time zone of the windows, an IANA name. Empty: UTC.
    pub time_zone: String,
    /// Steps may be taken in any of these. Empty: always.
    pub open: Vec<ChangeWindow>,
}

/// A time of day on some weekdays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeWindow {
    /// On which days it opens; the lowest bit is Monday.
    pub days: u8,
    /// Minutes after midnight, in the zone's local time.
    pub from_min: u16,
    /// End of the window, in the same way. If not above `from_min`: on the next day.
    pub upto_min: u16,
}

impl ChangeWindows {
    /// The first moment from now on at which a window is open, in Unix time. `None`: never.
    pub fn next_ms(&self, now_ms: u64) -> Option<u64> {
        if self.open.is_empty() {
            return Some(now_ms);
        }
        let zone = self.zone()?;
        let now = Timestamp::from_millisecond(i64::try_from(now_ms).ok()?).ok()?;
        let today = now.to_zoned_datetime(zone.clone()).date();
        // From yesterday: its window may extend past midnight.
        let days = (-1_i64..=8).filter_map(|day| today.checked_add(day.days()).ok());
        let spans = days.flat_map(|date| self.open.iter().map(move |window| (window, date)));
        let spans = spans.filter_map(|(window, date)| window.span_ms(date, &zone));
        let spans = spans.filter(|(from_ms, end_ms)| from_ms < end_ms && *end_ms > now_ms);
        spans.map(|(from_ms, _)| from_ms.max(now_ms)).min()
    }

    /// Everything that is wrong with the windows.
    pub(super) fn violations(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        if self.zone().is_none() {
            let message =
                format!("{:?} is no time zone: give one like Europe/Vienna, or UTC", self.time_zone);
            violations.push(Violation::new("time_zone", message));
        }
        for (at, window) in self.open.iter().enumerate() {
            let mut wrong = |message: &str| {
                violations.push(Violation::new(&format!("windows[{}]", at + 1), message));
            };
            if window.days & EVERY_DAY == 0 {
                wrong("has no day: it never opens");
            }
            if window.from_min >= DAY_MIN || window.upto_min > DAY_MIN {
                wrong("is out of a day: give 00:00 to 24:00");
            }
        }
        violations
    }

    fn zone(&self) -> Option<TimeZone> {
        if self.time_zone.is_empty() {
            return Some(TimeZone::UTC);
        }
        TimeZone::get(&self.time_zone).ok()
    }
}

impl ChangeWindow {
    /// From when until when it is open if it opens on this date. An hour that is skipped by daylight saving
    /// time counts as the next one.
    fn span_ms(&self, date: Date, zone: &TimeZone) -> Option<(u64, u64)> {
        let is_on = self.days & (1 << date.weekday().to_monday_zero_offset()) != 0;
        let ends_on = if self.upto_min > self.from_min { date } else { date.tomorrow().ok()? };
        let at_ms = |date: Date, minutes: u16| {
            let date = if minutes >= DAY_MIN { date.tomorrow().ok()? } else { date };
            let minutes = minutes % DAY_MIN;
            let time = Time::new((minutes / 60) as i8, (minutes % 60) as i8, 0, 0).ok()?;
            let at = zone.to_timestamp(date.to_datetime(time)).ok()?;
            u64::try_from(at.as_millisecond()).ok()
        };
        is_on.then(|| Some((at_ms(date, self.from_min)?, at_ms(ends_on, self.upto_min)?)))?
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    fn ms(text: &str) -> u64 {
        text.parse::<Timestamp>().unwrap().as_millisecond() as u64
    }

    fn vienna(days: u8, from_min: u16, upto_min: u16) -> ChangeWindows {
        ChangeWindows {
            time_zone: "Europe/Vienna".to_owned(),
            open: vec![ChangeWindow { days, from_min, upto_min }],
        }
    }

    #[test]
    fn it_opens_by_the_clocks_of_its_zone_summer_and_winter() {
        let weekdays = vienna(0b1_1111, 9 * 60, 16 * 60);
        assert_eq!(weekdays.violations(), []);
        // A Friday in winter, one hour east of Greenwich.
        assert_eq!(weekdays.next_ms(ms("2026-11-27T07:00:00Z")), Some(ms("2026-11-27T08:00:00Z")));
        assert_eq!(weekdays.next_ms(ms("2026-11-27T14:59:59Z")), Some(ms("2026-11-27T14:59:59Z")));
        // It closes at four; the next one is on Monday.
        assert_eq!(weekdays.next_ms(ms("2026-11-27T15:00:00Z")), Some(ms("2026-11-30T08:00:00Z")));
        // In summer, two hours.
        assert_eq!(weekdays.next_ms(ms("2026-07-01T00:00:00Z")), Some(ms("2026-07-01T07:00:00Z")));
        assert_eq!(ChangeWindows::default().next_ms(5), Some(5));
    }

    #[test]
    fn it_may_reach_past_midnight_and_over_an_hour_that_is_not() {
        let saturdays = vienna(0b010_0000, 22 * 60, 2 * 60);
        assert_eq!(saturdays.next_ms(ms("2026-11-29T00:30:00Z")), Some(ms("2026-11-29T00:30:00Z")));
        assert_eq!(saturdays.next_ms(ms("2026-11-29T01:00:00Z")), Some(ms("2026-12-05T21:00:00Z")));
        // On 29 March 2026 there is no 2:30 in Vienna.
        let sundays = vienna(0b100_0000, 2 * 60 + 30, 4 * 60);
        assert_eq!(sundays.next_ms(ms("2026-03-29T00:00:00Z")), Some(ms("2026-03-29T01:30:00Z")));
        let all_day = vienna(EVERY_DAY, 0, DAY_MIN);
        assert_eq!(all_day.next_ms(ms("2026-10-25T00:30:00Z")), Some(ms("2026-10-25T00:30:00Z")));
    }

    #[test]
    fn what_never_opens_is_a_mistake() {
        let nowhere = ChangeWindows { time_zone: "Europe/Wien".to_owned(), open: Vec::new() };
        assert!(nowhere.violations()[0].message.contains("no time zone"));
        assert!(vienna(0, 0, 60).violations()[0].message.contains("never opens"));
        assert!(vienna(1, DAY_MIN, 60).violations()[0].message.contains("out of a day"));
    }

    proptest! {
        #[test]
        fn it_opens_within_eight_days_and_is_open_then(
            days in 1..=EVERY_DAY, from_min in 0..DAY_MIN, upto_min in 0..=DAY_MIN, hours in 0_u64..400_000,
        ) {
            let windows = vienna(days, from_min, upto_min);
            let now_ms = hours * HOUR_MS;
            let next_ms = windows.next_ms(now_ms);
            // In spring a window may lie in the hour that is skipped.
            if let Some(next_ms) = next_ms {
                prop_assert!((now_ms..=now_ms + 8 * 24 * HOUR_MS).contains(&next_ms));
                prop_assert_eq!(windows.next_ms(next_ms), Some(next_ms));
            } else {
                prop_assert!(upto_min > from_min && upto_min - from_min <= 60);
            }
        }
    }
}
