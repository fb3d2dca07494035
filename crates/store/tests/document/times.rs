//! Dates, times and UUIDs: what a column holds, how a document may write it, and where another spelling goes.

use cutover_store::{
    document::{Attribute, Document},
    mapping::{Cell, Column, Dialect, Format, Mapping, MappingError, OnMisfit, Spelling},
};
use jiff::tz::TimeZone;

use super::given::{column, document, number, text};

fn n(digits: &str) -> Attribute {
    Attribute::N(number(digits))
}

fn of(kind: &str, format: Format, zone: &str, overflow: bool) -> Mapping {
    let zone = TimeZone::get(zone).expect("a zone");
    let columns = vec![Column { spelling: Spelling { format, zone }, ..column("a", kind) }];
    let overflow = overflow.then(|| "rest".to_owned());
    Mapping::new(Dialect::MySql, columns, overflow, OnMisfit::Quarantine).expect("a mapping")
}

fn pattern(pattern: &str) -> Format {
    Format::Pattern(pattern.to_owned())
}

#[test]
fn each_format_is_held_as_the_server_writes_it_and_comes_back() {
    let held = [
        ("date", Format::Rfc3339, "UTC", text("2026-11-28"), "2026-11-28"),
        ("date", pattern("%d.%m.%Y"), "UTC", text("28.11.2026"), "2026-11-28"),
        ("time(0)", Format::Rfc3339, "UTC", text("07:05:00"), "07:05:00"),
        ("time(3)", Format::Rfc3339, "UTC", text("07:05:00.250"), "07:05:00.250"),
        ("datetime(0)", Format::Rfc3339, "UTC", text("2026-11-28T07:05:00Z"), "2026-11-28 07:05:00"),
        ("datetime(3)", Format::Rfc3339, "UTC", text("2026-11-28T07:05:00.000Z"), "2026-11-28 07:05:00.000"),
        // The column has the local time, the document the point in time.
        (
            "datetime(0)",
            Format::Rfc3339,
            "Europe/Berlin",
            text("2026-11-28T07:05:00Z"),
            "2026-11-28 08:05:00",
        ),
        (
            "timestamptz(0)",
            Format::Rfc3339,
            "Europe/Berlin",
            text("2026-11-28T07:05:00Z"),
            "2026-11-28 07:05:00",
        ),
        (
            "timestamptz(0)",
            pattern("%Y-%m-%d %H:%M:%S"),
            "Europe/Berlin",
            text("2026-11-28 08:05:00"),
            "2026-11-28 07:05:00",
        ),
        (
            "timestamp(0)",
            pattern("%Y-%m-%dT%H:%M:%S%:z"),
            "Europe/Berlin",
            text("2026-11-28T08:05:00+01:00"),
            "2026-11-28 07:05:00",
        ),
        ("datetime(0)", Format::EpochS, "UTC", n("1795849500"), "2026-11-28 07:05:00"),
        ("datetime(6)", Format::EpochS, "UTC", n("-0.25"), "1969-12-31 23:59:59.750000"),
        ("datetime(3)", Format::EpochMs, "UTC", n("1795849500001"), "2026-11-28 07:05:00.001"),
        ("datetime(6)", Format::EpochMs, "UTC", n("-0.5"), "1969-12-31 23:59:59.999500"),
    ];
    for (kind, format, zone, attribute, cell) in held {
        let mapping = of(kind, format, zone, false);
        let given = document([("a", attribute)]);
        let row = mapping.to_row(&given).unwrap_or_else(|misfit| panic!("{kind} {cell}: {misfit}"));
        assert_eq!(row, [Cell::Text(cell.to_owned())], "{kind}");
        assert_eq!(mapping.from_row(&row).as_ref(), Ok(&given), "{kind} {cell}");
    }
}

#[test]
fn the_overflow_keeps_another_spelling_and_without_one_the_record_does_not_fit() {
    let spellings = [
        ("datetime(0)", Format::Rfc3339, text("2026-11-28T08:05:00+01:00"), "2026-11-28 07:05:00"),
        ("datetime(3)", Format::Rfc3339, text("2026-11-28T07:05:00Z"), "2026-11-28 07:05:00.000"),
        ("datetime(0)", Format::Rfc3339, text("2026-11-28t07:05:00.000z"), "2026-11-28 07:05:00"),
        (
            "uuid",
            Format::Rfc3339,
            text("936DA01F-9ABD-4D9D-80C7-02AF85C822A8"),
            "936da01f-9abd-4d9d-80c7-02af85c822a8",
        ),
        (
            "uuid",
            Format::Rfc3339,
            text("936da01f9abd4d9d80c702af85c822a8"),
            "936da01f-9abd-4d9d-80c7-02af85c822a8",
        ),
    ];
    for (kind, format, attribute, cell) in spellings {
        let given = document([("a", attribute), ("b", n("1"))]);
        let mapping = of(kind, format.clone(), "UTC", true);
        let row = mapping.to_row(&given).unwrap_or_else(|misfit| panic!("{kind}: {misfit}"));
        assert_eq!(row[0], Cell::Text(cell.to_owned()));
        assert_eq!(mapping.from_row(&row), Ok(given.clone()));
        // Somebody changes the column by SQL: nobody can know what the record is now.
        let other = Cell::Text(cell.replace("2026-11-28", "2026-11-29").replace("936da", "936db"));
        let misfit = mapping.from_row(&[other, row[1].clone()]).expect_err("they differ");
        assert!(misfit.to_string().contains("both its column and the overflow"), "{misfit}");
        let misfit = of(kind, format, "UTC", false).to_row(&document([("a", given.0["a"].clone())]));
        assert!(misfit.expect_err("no place").to_string().contains("but not how it is written here"));
    }
}

#[test]
fn an_hour_that_a_zone_has_twice_is_told_apart_by_the_overflow() {
    let mapping = of("datetime(0)", Format::Rfc3339, "Europe/Berlin", true);
    let (first, second) = (text("2026-10-25T00:30:00Z"), text("2026-10-25T01:30:00Z"));
    for (at, is_kept) in [(first, false), (second, true)] {
        let given = document([("a", at)]);
        let row = mapping.to_row(&given).expect("a row");
        assert_eq!(row[0], Cell::Text("2026-10-25 02:30:00".to_owned()));
        assert_eq!(row[1] != Cell::Null, is_kept);
        assert_eq!(mapping.from_row(&row), Ok(given));
    }
}

#[test]
fn what_a_column_can_not_hold_does_not_fit() {
    let refused = [
        ("datetime(3)", Format::Rfc3339, text("2026-11-28T07:05:00.0001Z"), "more digits after the second"),
        ("datetime(0)", Format::EpochMs, n("1"), "more digits after the second"),
        ("datetime(0)", Format::EpochS, n("1e30"), "not written as the format"),
        ("datetime(6)", Format::EpochS, n("1e-10"), "not written as the format"),
        ("datetime(0)", Format::Rfc3339, text("0999-01-01T00:00:00Z"), "years 1000 to 9999"),
        ("timestamptz(0)", Format::Rfc3339, text("1970-01-01T00:00:00Z"), "a TIMESTAMP of MySQL"),
        ("timestamptz(0)", Format::Rfc3339, text("2038-01-19T03:14:08Z"), "a TIMESTAMP of MySQL"),
        ("date", Format::Rfc3339, text("2026-02-30"), "not written as the format"),
        ("date", Format::Rfc3339, n("20260228"), "a number (N) where date is mapped"),
        ("datetime(0)", Format::EpochS, text("12"), "text (S) where datetime(0) is mapped"),
        ("datetime(0)", pattern("%Y-%m-%d %H:%M:%S"), text("2026-11-28"), "not written as the format"),
    ];
    for (kind, format, attribute, message) in refused {
        let misfit = of(kind, format, "UTC", true).to_row(&document([("a", attribute)]));
        let misfit = misfit.expect_err(message).to_string();
        assert!(misfit.contains(message), "{misfit}");
    }
    let mapping =
        Mapping::new(Dialect::Postgres, vec![column("a", "timestamptz(0)")], None, OnMisfit::Quarantine);
    let late = document([("a", text("2038-01-19T03:14:08Z"))]);
    assert!(mapping.expect("a mapping").to_row(&late).is_ok(), "only MySQL counts in 32 bits");
}

#[test]
fn what_servers_write_is_read() {
    let read = [
        ("timestamptz(3)", "2026-11-28 07:05:00+00", "2026-11-28T07:05:00.000Z"),
        ("datetime(0)", "2026-11-28 07:05:00.000000", "2026-11-28T07:05:00Z"),
        ("datetime(0)", "2026-11-28 07:05:00.5", "2026-11-28T07:05:00.5Z"),
        ("time(3)", "07:05:00.25", "07:05:00.250"),
    ];
    for (kind, cell, spelled) in read {
        let mapping = of(kind, Format::Rfc3339, "UTC", false);
        assert_eq!(mapping.from_row(&[Cell::Text(cell.to_owned())]), Ok(document([("a", text(spelled))])));
    }
}

#[test]
fn a_format_has_to_spell_all_of_it() {
    let check = |kind: &str, format: Format| {
        let spelling = Spelling { format, ..Spelling::default() };
        let columns = vec![Column { spelling, ..column("a", kind) }];
        Mapping::new(Dialect::Sqlite, columns, None, OnMisfit::Quarantine).err()
    };
    for (kind, format) in [
        ("date", pattern("%Y-%m")),
        ("datetime(0)", pattern("%Y-%m-%d")),
        ("time(0)", pattern("%H:%M")),
        ("date", pattern("%Q")),
        ("date", Format::EpochS),
        ("time(0)", Format::EpochMs),
    ] {
        assert!(matches!(check(kind, format.clone()), Some(MappingError::Format(..))), "{kind} {format:?}");
    }
    assert_eq!(check("date", pattern("%A, %d %B %Y")), None);
    assert_eq!(check("datetime(0)", pattern("%s")), None);
}

#[test]
fn bytes_hold_a_uuid() {
    let mapping = of("uuid_bytes", Format::Rfc3339, "UTC", false);
    let given = document([("a", text("936da01f-9abd-4d9d-80c7-02af85c822a8"))]);
    let row = mapping.to_row(&given).expect("a row");
    assert!(matches!(&row[0], Cell::Bytes(bytes) if bytes.len() == 16));
    assert_eq!(mapping.from_row(&row), Ok(given));
    assert_eq!(mapping.from_row(&[Cell::Null]), Ok(Document::default()));
}
