//! Reads columns. Whatever can't be read is damage, and is reported with its place.

use serde::de::DeserializeOwned;
use sqlx::{Row, sqlite::SqliteRow};

use crate::{
    domain::{Event, Key, Violation},
    store::Error,
};

/// A revision or a time as SQLite's signed integer. Real values are never out of range.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn number(row: &SqliteRow, column: &str) -> Result<u64, Error> {
    let value: i64 = row.try_get(column).map_err(|error| unreadable(column, error))?;
    u64::try_from(value).map_err(|error| unreadable(column, error))
}

pub(super) fn text(row: &SqliteRow, column: &str) -> Result<String, Error> {
    row.try_get(column).map_err(|error| unreadable(column, error))
}

pub(super) fn json<T: DeserializeOwned>(
    row: &SqliteRow,
    column: &str,
    what: impl Fn() -> String,
) -> Result<T, Error> {
    let text: &str = row.try_get(column).map_err(|error| unreadable(&what(), error))?;
    serde_json::from_str(text).map_err(|error| unreadable(&what(), error))
}

pub(super) fn parse<T>(
    text: &str,
    what: &str,
    parse: impl Fn(&str) -> Result<T, Violation>,
) -> Result<T, Error> {
    parse(text).map_err(|violation| unreadable(what, violation))
}

/// An event, with its rows only if they were requested.
pub(super) fn event(row: &SqliteRow, with_rows: bool) -> Result<Event, Error> {
    let revision = number(row, "revision")?;
    let what = || format!("the event of revision {revision}");
    let document: Option<&str> = row.try_get("document").map_err(|error| unreadable(&what(), error))?;
    let document =
        document.map(serde_json::from_str).transpose().map_err(|error| unreadable(&what(), error))?;
    Ok(Event {
        revision,
        key: parse(&text(row, "key")?, &what(), Key::parse)?,
        at_ms: number(row, "at_ms")?,
        actor: text(row, "actor")?,
        reason: text(row, "reason")?,
        request_id: text(row, "request_id")?,
        change: text(row, "change")?,
        summary: json(row, "summary", what)?,
        document,
        rows: if with_rows { json(row, "rows", what)? } else { Vec::new() },
    })
}

fn unreadable(what: &str, error: impl std::fmt::Display) -> Error {
    Error::Corrupt(format!("{what} can't be read ({error}): restore the file from a backup"))
}
