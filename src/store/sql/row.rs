//! Reads columns. Whatever can't be read is damage, and is reported with its place.

use serde::de::DeserializeOwned;
use sqlx::Row;

use crate::{
    domain::{Event, Key},
    store::{
        Error,
        entry::{parse, unreadable},
    },
};

/// Events as they are read without their rows.
pub(in crate::store) const EVENT: &str =
    r#"revision, "key", at_ms, actor, reason, request_id, "change", summary, document"#;

/// A row of any SQL database that is used here.
pub(in crate::store) trait Columns: Row {
    fn get_int(&self, column: &str) -> sqlx::Result<i64>;
    fn get_flag(&self, column: &str) -> sqlx::Result<bool>;
    fn get_text(&self, column: &str) -> sqlx::Result<&str>;
    fn get_optional(&self, column: &str) -> sqlx::Result<Option<&str>>;
    fn get_bytes(&self, column: &str) -> sqlx::Result<&[u8]>;
}

macro_rules! columns {
    ($row:ty, $texts:ident) => {
        impl Columns for $row {
            fn get_int(&self, column: &str) -> sqlx::Result<i64> {
                self.try_get(column)
            }

            fn get_flag(&self, column: &str) -> sqlx::Result<bool> {
                self.try_get(column)
            }

            fn get_text(&self, column: &str) -> sqlx::Result<&str> {
                self.$texts(column)
            }

            fn get_optional(&self, column: &str) -> sqlx::Result<Option<&str>> {
                self.$texts(column)
            }

            fn get_bytes(&self, column: &str) -> sqlx::Result<&[u8]> {
                self.$texts(column)
            }
        }
    };
}

#[cfg(feature = "sqlite")]
columns!(sqlx::sqlite::SqliteRow, try_get);
#[cfg(feature = "postgres")]
columns!(sqlx::postgres::PgRow, try_get);
// Texts that are ids are bytes there.
#[cfg(feature = "mysql")]
columns!(sqlx::mysql::MySqlRow, try_get_unchecked);

/// A revision or a time as the database's signed integer. Real values are never out of range.
pub(in crate::store) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(in crate::store) fn number(row: &impl Columns, column: &str) -> Result<u64, Error> {
    let value = row.get_int(column).map_err(|error| unreadable(column, error))?;
    u64::try_from(value).map_err(|error| unreadable(column, error))
}

pub(in crate::store) fn text(row: &impl Columns, column: &str) -> Result<String, Error> {
    row.get_text(column).map(str::to_owned).map_err(|error| unreadable(column, error))
}

pub(in crate::store) fn json<T: DeserializeOwned>(
    row: &impl Columns,
    column: &str,
    what: impl Fn() -> String,
) -> Result<T, Error> {
    let text = row.get_text(column).map_err(|error| unreadable(&what(), error))?;
    serde_json::from_str(text).map_err(|error| unreadable(&what(), error))
}

/// An event, with its rows only if they were requested.
pub(in crate::store) fn event(row: &impl Columns, with_rows: bool) -> Result<Event, Error> {
    let revision = number(row, "revision")?;
    let what = || format!("the event of revision {revision}");
    let document = row.get_optional("document").map_err(|error| unreadable(&what(), error))?;
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
