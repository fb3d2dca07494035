//! What is in a row. SQLite lets a column hold a value of any type, so what others wrote is looked at
//! before it is taken for what the column says.

use sqlx::{Row, TypeInfo, ValueRef, sqlite::SqliteRow};

use super::{
    super::{
        scan::{Found, unreadable},
        sql::version_of,
    },
    Record, StoreError, Version, read_error,
};

/// Of a row of `tenant, key, version, value`. True: tenant and key are texts.
pub(super) fn found(row: &SqliteRow) -> Result<(Found, bool), StoreError> {
    let bytes = |at: usize| row.try_get_unchecked::<Vec<u8>, _>(at).map_err(read_error);
    let (tenant, key) = (bytes(0)?, bytes(1)?);
    let texts = is(row, 0, "TEXT")? && is(row, 1, "TEXT")?;
    // Another record may have the same bytes as text.
    let record = match texts {
        true => record(row),
        false => Err(unreadable("key", "tenant or key is no TEXT: correct or remove the row".to_owned())),
    };
    let may_end = texts && str::from_utf8(&tenant).is_ok() && str::from_utf8(&key).is_ok();
    Ok((Found { tenant, key, record }, may_end))
}

/// Of the same row.
pub(super) fn record(row: &SqliteRow) -> Result<Record, StoreError> {
    let version = version(row)?;
    if !["NULL", "BLOB", "TEXT"].into_iter().any(|kind| is(row, 3, kind) == Ok(true)) {
        return Err(unreadable("value", "it is a number and no BLOB: correct it in the row".to_owned()));
    }
    let value = row.try_get_unchecked(3).map_err(read_error)?;
    Ok(Record { version, value })
}

/// Of a row that begins with `tenant, key, version`.
pub(super) fn version(row: &SqliteRow) -> Result<Version, StoreError> {
    if !is(row, 2, "INTEGER")? {
        return Err(unreadable("version", "it is no INTEGER: correct it in the row".to_owned()));
    }
    row.try_get_unchecked(2).map(version_of).map_err(read_error)
}

fn is(row: &SqliteRow, at: usize, kind: &str) -> Result<bool, StoreError> {
    Ok(row.try_get_raw(at).map_err(read_error)?.type_info().name() == kind)
}
