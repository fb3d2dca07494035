//! Dates and times: how a document spells them, and how a column does.
//!
//! A column holds a value and not its spelling. So each value has one spelling per column, and a document that has
//! another one keeps it in the overflow, see [`super::row`].

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    fmt::strtime,
    tz::TimeZone,
};

use super::{ColumnType, Dialect, Reason};
use crate::document::{Attribute, Number};

/// How a document spells the dates and times of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// How it writes them.
    pub format: Format,
    /// The zone of a `datetime` column, and of texts that name none.
    pub zone: TimeZone,
}

impl Default for Spelling {
    fn default() -> Self {
        Self { format: Format::default(), zone: TimeZone::UTC }
    }
}

/// The format of a date or time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `2026-11-28T20:15:00.000Z`, in UTC, with as many digits after the second as the column has. Of it, a date or
    /// a time column has its part.
    #[default]
    Rfc3339,
    /// The number of seconds since 1970.
    EpochS,
    /// The number of milliseconds since 1970.
    EpochMs,
    /// A pattern of strftime: `%d.%m.%Y`.
    Pattern(String),
}

/// A column's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Date(Date),
    Time(Time),
    /// Local to the column: in its zone, or in UTC.
    Datetime(DateTime),
}

static UTC: TimeZone = TimeZone::UTC;
/// MySQL's TIMESTAMP ends where 32 bits of seconds end, and 0 means none.
const MYSQL_TIMESTAMP: std::ops::RangeInclusive<i64> = 1..=i32::MAX as i64;

impl Spelling {
    /// Whether values of this column can be spelled so; else what is wrong.
    pub(super) fn check(&self, column: ColumnType) -> Result<(), String> {
        match &self.format {
            Format::EpochS | Format::EpochMs if matches!(column, ColumnType::Date | ColumnType::Time(_)) => {
                Err(format!(
                    "a {column} column has no seconds since 1970: use a strftime pattern, or datetime"
                ))
            }
            Format::Pattern(pattern) => {
                let sample = match column {
                    ColumnType::Date => Moment::Date(Date::constant(2001, 12, 31)),
                    ColumnType::Time(_) => Moment::Time(Time::constant(23, 58, 59, 0)),
                    _ => Moment::Datetime(DateTime::constant(2001, 12, 31, 23, 58, 59, 0)),
                };
                let back = self.text(column, sample).and_then(|text| self.parsed(column, pattern, &text));
                match back == Some(sample) {
                    true => Ok(()),
                    false => Err(format!(
                        "format {pattern:?} does not spell all of a {column}: use every part of it, like %Y-%m-%d %H:%M:%S"
                    )),
                }
            }
            _ => Ok(()),
        }
    }

    /// The text of an attribute's value in the column.
    pub(super) fn cell(
        &self,
        column: ColumnType,
        attribute: &Attribute,
        dialect: Dialect,
    ) -> Result<String, Reason> {
        let unreadable = Reason::Unspelled { column };
        if let Attribute::S(text) = attribute
            && is_of_no_calendar(column, text)
            && (dialect != Dialect::Postgres || is_end_of_day(column, text))
        {
            return Ok(text.clone());
        }
        let moment = match (&self.format, attribute) {
            (Format::Rfc3339, Attribute::S(text)) => match column {
                ColumnType::Date => text.parse().ok().map(Moment::Date),
                ColumnType::Time(_) => text.parse().ok().map(Moment::Time),
                _ => text.parse().ok().map(|at| self.local(column, at)),
            },
            (Format::Pattern(pattern), Attribute::S(text)) => self.parsed(column, pattern, text),
            (Format::EpochS, Attribute::N(number)) => nanoseconds(number, 9)
                .and_then(|at| Some(self.local(column, Timestamp::from_nanosecond(at).ok()?))),
            (Format::EpochMs, Attribute::N(number)) => nanoseconds(number, 6)
                .and_then(|at| Some(self.local(column, Timestamp::from_nanosecond(at).ok()?))),
            (_, other) => return Err(Reason::Type { found: other.kind(), column }),
        };
        let moment = moment.ok_or(unreadable)?;
        moment.check(column, dialect)?;
        Ok(moment.shown(digits(column)))
    }

    /// The one attribute that the column's text stands for. `None`: it is no date or time. What only MySQL takes for one keeps
    /// its text, whatever the format is.
    pub(super) fn attribute(&self, column: ColumnType, text: &str) -> Option<Attribute> {
        let Some(moment) = Moment::read(column, text) else {
            return is_of_no_calendar(column, text).then(|| Attribute::S(text.to_owned()));
        };
        Some(match (&self.format, moment) {
            (Format::Rfc3339 | Format::Pattern(_), _) => Attribute::S(self.text(column, moment)?),
            (Format::EpochS, Moment::Datetime(at)) => number(self.instant(column, at)?.as_nanosecond(), 9)?,
            (Format::EpochMs, Moment::Datetime(at)) => number(self.instant(column, at)?.as_nanosecond(), 6)?,
            _ => return None,
        })
    }

    fn text(&self, column: ColumnType, moment: Moment) -> Option<String> {
        let Format::Pattern(pattern) = &self.format else {
            let at = match moment {
                Moment::Datetime(at) => {
                    Moment::Datetime(TimeZone::UTC.to_datetime(self.instant(column, at)?))
                }
                other => other,
            };
            let text = at.shown(digits(column));
            return Some(if matches!(at, Moment::Datetime(_)) { text.replace(' ', "T") + "Z" } else { text });
        };
        match moment {
            Moment::Date(date) => strtime::format(pattern, date).ok(),
            Moment::Time(time) => strtime::format(pattern, time).ok(),
            Moment::Datetime(at) => {
                let at = self.instant(column, at)?.to_zoned_datetime(self.zone.clone());
                strtime::format(pattern, &at).ok()
            }
        }
    }

    fn parsed(&self, column: ColumnType, pattern: &str, text: &str) -> Option<Moment> {
        let parts = strtime::parse(pattern, text).ok()?;
        Some(match column {
            ColumnType::Date => Moment::Date(parts.to_date().ok()?),
            ColumnType::Time(_) => Moment::Time(parts.to_time().ok()?),
            _ => {
                let of_zone =
                    || self.zone.to_ambiguous_timestamp(parts.to_datetime().ok()?).compatible().ok();
                self.local(column, parts.to_timestamp().ok().or_else(of_zone)?)
            }
        })
    }

    /// In a `datetime` column a point in time is the date and time of the zone, in others of UTC.
    fn local(&self, column: ColumnType, at: Timestamp) -> Moment {
        Moment::Datetime(self.zone_of(column).to_datetime(at))
    }

    fn instant(&self, column: ColumnType, at: DateTime) -> Option<Timestamp> {
        self.zone_of(column).to_ambiguous_timestamp(at).compatible().ok()
    }

    fn zone_of(&self, column: ColumnType) -> &TimeZone {
        if matches!(column, ColumnType::Timestamptz(_)) { &UTC } else { &self.zone }
    }
}

impl Moment {
    /// From the text of a column; `None`: none of this calendar, such as MySQL's `0000-00-00`.
    fn read(column: ColumnType, text: &str) -> Option<Self> {
        // The parser leaves out what a type has no room for: the time of a date, and a datetime's offset. In SQLite a
        // column may have any text.
        match column {
            ColumnType::Date if text.contains([':', 'T']) => None,
            ColumnType::Date => text.parse().ok().map(Self::Date),
            ColumnType::Time(_) if text.contains(['-', '+', 'T', ' ']) => None,
            ColumnType::Time(_) => text.parse().ok().map(Self::Time),
            _ => {
                let utc = ["+00:00", "+00", "Z"].into_iter().find_map(|zone| text.strip_suffix(zone));
                let local = utc.unwrap_or(text);
                let time = local.split_once(['T', 't', ' ']).map_or("", |(_, time)| time);
                let has_offset = time.contains(['+', '-', '[', 'Z', 'z']);
                local.parse().ok().map(Self::Datetime).filter(|_| !has_offset)
            }
        }
    }

    /// Whether the column holds it exactly, on every server.
    fn check(self, column: ColumnType, dialect: Dialect) -> Result<(), Reason> {
        let (year, nanosecond) = match self {
            Self::Date(date) => (date.year(), 0),
            Self::Time(time) => (1970, time.subsec_nanosecond()),
            Self::Datetime(at) => (at.year(), at.subsec_nanosecond()),
        };
        if nanosecond % 10_i32.pow(9 - u32::from(digits(column))) != 0 {
            return Err(Reason::Finer { column });
        }
        let is_in_range = match self {
            Self::Datetime(at)
                if dialect == Dialect::MySql && matches!(column, ColumnType::Timestamptz(_)) =>
            {
                let at = TimeZone::UTC.to_timestamp(at).map(Timestamp::as_second);
                at.is_ok_and(|second| MYSQL_TIMESTAMP.contains(&second))
            }
            _ => (1000..=9999).contains(&year),
        };
        if is_in_range { Ok(()) } else { Err(Reason::TooFar { column }) }
    }

    /// With at least this many digits after the second.
    fn shown(self, least: u8) -> String {
        let fraction = |nanosecond: i32| {
            let all = format!("{nanosecond:09}");
            let digits = all.trim_end_matches('0').len().max(least.into());
            if digits == 0 { String::new() } else { format!(".{}", &all[..digits]) }
        };
        match self {
            Self::Date(date) => date.to_string(),
            Self::Time(at) => {
                let of_second = fraction(at.subsec_nanosecond());
                format!("{:02}:{:02}:{:02}{of_second}", at.hour(), at.minute(), at.second())
            }
            Self::Datetime(at) => format!("{} {}", at.date(), Self::Time(at.time()).shown(least)),
        }
    }
}

/// Whether it is a text of MySQL for a day without a month or a number, such as `0000-00-00`, or for a time that is negative or
/// longer than a day.
fn is_of_no_calendar(column: ColumnType, text: &str) -> bool {
    let number = |text: &str, length: usize| {
        let is_one = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
        is_one.then(|| text.parse::<u32>().ok()).flatten()
    };
    let time = |text: &str| {
        let (text, fraction) = text.split_once('.').unwrap_or((text, ""));
        let [hour, minute, second] = text.split(':').collect::<Vec<_>>().try_into().ok()?;
        let fraction_is =
            number(fraction, digits(column).into()).is_some() || fraction.is_empty() && digits(column) == 0;
        let of = |text| number(text, 2).filter(|it| *it < 60);
        let hours = number(hour, 2).or_else(|| number(hour, 3).filter(|it| (100..=838).contains(it)));
        fraction_is.then_some(hours?).zip(of(minute)).zip(of(second))
    };
    let is_day = |text: &str| {
        let [year, month, day] = text.split('-').collect::<Vec<_>>().try_into().unwrap_or([""; 3]);
        let (month, day) = (number(month, 2), number(day, 2));
        let fits = month.is_some_and(|it| it <= 12) && day.is_some_and(|it| it <= 31);
        number(year, 4).is_some() && fits && (month == Some(0) || day == Some(0))
    };
    match column {
        ColumnType::Date => is_day(text),
        ColumnType::Time(_) => match text.strip_prefix('-') {
            Some(size) => time(size).is_some() && size.contains(|it| matches!(it, '1'..='9')),
            None => time(text).is_some_and(|((hour, _), _)| hour >= 24),
        },
        // TIMESTAMP holds no other such day than this.
        ColumnType::Timestamptz(_) | ColumnType::Timestamp(_) => {
            let is_zero = text.bytes().all(|byte| matches!(byte, b'0' | b'-' | b' ' | b':' | b'.'));
            is_zero && is_of_no_calendar(ColumnType::Datetime(digits(column)), text)
        }
        _ => text
            .split_once(' ')
            .is_some_and(|(day, at)| is_day(day) && time(at).is_some_and(|((hour, _), _)| hour < 24)),
    }
}

/// Whether it is `24:00:00`, which PostgreSQL takes in a `time` column.
fn is_end_of_day(column: ColumnType, text: &str) -> bool {
    let fraction = text.strip_prefix("24:00:00").filter(|_| matches!(column, ColumnType::Time(_)));
    fraction.is_some_and(|rest| rest.bytes().all(|byte| matches!(byte, b'.' | b'0')))
}

const fn digits(column: ColumnType) -> u8 {
    match column {
        ColumnType::Time(digits) | ColumnType::Datetime(digits) | ColumnType::Timestamptz(digits) => digits,
        _ => 0,
    }
}

/// A number as nanoseconds, if it is a whole number of them; `scale`: the power of ten from one to the other.
fn nanoseconds(number: &Number, scale: usize) -> Option<i128> {
    let (is_negative, whole, fraction) = number.parts();
    if fraction.len() > scale || whole.len() > 20 {
        return None;
    }
    let all: i128 = format!("{whole}{fraction:0<scale$}").parse().ok()?;
    Some(if is_negative { -all } else { all })
}

fn number(nanoseconds: i128, scale: u32) -> Option<Attribute> {
    let one = 10_i128.pow(scale);
    let (sign, size) = if nanoseconds < 0 { ("-", -nanoseconds) } else { ("", nanoseconds) };
    let text = format!("{sign}{}.{:0width$}", size / one, size % one, width = scale as usize);
    text.parse().ok().map(Attribute::N)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_mysql_takes_for_a_time_keeps_its_text() {
        let (spelling, s) = (Spelling::default(), |text: &str| Attribute::S(text.to_owned()));
        for (column, text) in [
            (ColumnType::Date, "0000-00-00"),
            (ColumnType::Date, "2026-11-00"),
            (ColumnType::Time(0), "-00:00:01"),
            (ColumnType::Time(3), "24:00:00.000"),
            (ColumnType::Time(0), "838:59:59"),
            (ColumnType::Datetime(0), "0000-00-00 00:00:00"),
            (ColumnType::Timestamptz(3), "0000-00-00 00:00:00.000"),
        ] {
            for format in [Format::Rfc3339, Format::EpochS, Format::Pattern("%Y".to_owned())] {
                let spelling = Spelling { format, ..spelling.clone() };
                assert_eq!(spelling.attribute(column, text), Some(s(text)));
                assert_eq!(spelling.cell(column, &s(text), Dialect::MySql), Ok(text.to_owned()));
                let of_postgres = spelling.cell(column, &s(text), Dialect::Postgres).ok();
                assert_eq!(of_postgres, text.starts_with("24:00:00").then(|| text.to_owned()), "{text}");
            }
        }
        for (column, text) in [
            (ColumnType::Date, "0000-00-0"),
            (ColumnType::Date, "2026-13-00"),
            (ColumnType::Date, "0000-00-00 00:00:00"),
            (ColumnType::Time(0), "-00:00:00"),
            (ColumnType::Time(0), "024:00:00"),
            (ColumnType::Time(0), "839:00:00"),
            (ColumnType::Time(0), "24:60:00"),
            (ColumnType::Time(3), "24:00:00"),
            (ColumnType::Datetime(0), "0000-00-00 24:00:00"),
            (ColumnType::Datetime(3), "0000-00-00 00:00:00"),
            (ColumnType::Timestamptz(0), "2026-11-00 10:00:00"),
            (ColumnType::Timestamptz(0), "0000-00-00 12:00:00"),
        ] {
            assert_eq!(spelling.attribute(column, text), None, "{text}");
            assert!(spelling.cell(column, &s(text), Dialect::MySql).is_err(), "{text}");
        }
    }

    #[test]
    fn a_text_that_says_more_than_its_type_is_no_value() {
        let spelling = Spelling::default();
        let read = |column, text| spelling.attribute(column, text).is_some();
        for (column, fine, more) in [
            (ColumnType::Date, "2026-11-28", "2026-11-28 07:05:00"),
            (ColumnType::Time(3), "07:05:00.125", "2026-11-28 07:05:00.125"),
            (ColumnType::Time(0), "07:05:00", "07:05:00+02:00"),
            (ColumnType::Datetime(0), "2026-11-28 07:05:00", "2026-11-28T07:05:00+02:00"),
            (ColumnType::Datetime(0), "2026-11-28T07:05:00Z", "2026-11-28T07:05:00-02[-02]"),
            (ColumnType::Timestamptz(3), "2026-11-28 07:05:00.125+00", "2026-11-28 07:05:00.125+02"),
        ] {
            assert!(read(column, fine) && !read(column, more), "{column}: {fine}, {more}");
        }
    }
}
