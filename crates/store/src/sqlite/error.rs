//! Errors of SQLite, and what to conclude from them.

use std::path::Path;

use super::{
    super::sql::{class, driver_error, message, not_applied, permanent, throttled},
    StoreError, shown,
};
use cutover_core::outcome::ErrorClass;

/// Primary result codes, <https://sqlite.org/rescode.html>.
mod code {
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const NOMEM: i32 = 7;
    pub(super) const READONLY: i32 = 8;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const TOOBIG: i32 = 18;
    pub(super) const CONSTRAINT: i32 = 19;
    pub(super) const MISMATCH: i32 = 20;
    pub(super) const NOTADB: i32 = 26;
}

/// Another process held the lock for as long as we waited.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary(error), Some(code::BUSY | code::LOCKED))
}

/// The error of a statement that writes.
pub(super) fn write_error(error: sqlx::Error) -> StoreError {
    known(&error).unwrap_or_else(|| {
        let class = class(&error);
        StoreError::Indeterminate { class, what: format!("SQLite failed: {error}") }
    })
}

/// The error of a statement that only reads: whatever happened, nothing was changed.
pub(super) fn read_error(error: sqlx::Error) -> StoreError {
    known(&error).unwrap_or_else(|| {
        let class = class(&error);
        StoreError::NotApplied { class, what: format!("SQLite failed: {error}") }
    })
}

/// The error of opening or creating; names the file and the table.
pub(super) fn set_up_error(given: &Path, table: &str, error: sqlx::Error) -> StoreError {
    let path = shown(given);
    let path = path.display();
    let permanent = |field, what| permanent(ErrorClass::Other, field, what);
    match primary(&error) {
        Some(code::CANTOPEN) => permanent(
            "file",
            absent(given).unwrap_or_else(|| {
                format!("can't open {path}: check that this user may read and write the file")
            }),
        ),
        Some(code::NOTADB | code::CORRUPT) => permanent("file", format!("{path}: {DAMAGED}")),
        Some(code::READONLY) => permanent("file", format!("{path}: {READ_ONLY}")),
        // SQLITE_ERROR: the statement does not match the table.
        Some(1) => {
            permanent("table", format!("{table:?} in {path} can't be made or used: {}", message(&error)))
        }
        _ => match read_error(error) {
            StoreError::NotApplied { class, what } => {
                StoreError::NotApplied { class, what: format!("{path}: {what}") }
            }
            other => other,
        },
    }
}

/// That the file or its directory is not there, and where a relative path begins.
fn absent(given: &Path) -> Option<String> {
    let path = shown(given);
    let from = match given.is_relative() {
        true => format!(" (sqlite:{} begins at the current directory, not at the spec's)", given.display()),
        false => String::new(),
    };
    let directory = path.parent().filter(|directory| !directory.exists());
    match directory {
        Some(directory) => Some(format!("the directory {} does not exist{from}", directory.display())),
        None => (!path.exists()).then(|| {
            format!("the file {} does not exist{from}: create it where this user may write", path.display())
        }),
    }
}

const DAMAGED: &str =
    "the file is damaged or no SQLite file: restore it from a backup, or move it away and create a new one";
const READ_ONLY: &str = "the file can't be written: check its permissions and those of its directory";

/// Errors that prove that nothing was changed.
fn known(error: &sqlx::Error) -> Option<StoreError> {
    if let Some(error) = driver_error(error) {
        return Some(error);
    }
    Some(match primary(error)? {
        code::BUSY | code::LOCKED => throttled("another process is writing to the file".to_owned()),
        code::NOMEM => not_applied(ErrorClass::Server, "out of memory".to_owned()),
        code::FULL => not_applied(ErrorClass::Server, "the disk is full: free space".to_owned()),
        code::CANTOPEN => {
            not_applied(ErrorClass::Connection, "the file or its directory is gone: restore it".to_owned())
        }
        code::READONLY => permanent(ErrorClass::Other, "file", READ_ONLY.to_owned()),
        code::CORRUPT | code::NOTADB => permanent(ErrorClass::Other, "file", DAMAGED.to_owned()),
        code::TOOBIG => permanent(
            ErrorClass::Constraint,
            "value",
            "too long for SQLite (1,000,000,000 bytes): make it smaller".to_owned(),
        ),
        code::CONSTRAINT => permanent(ErrorClass::Constraint, "record", message(error)),
        code::MISMATCH => permanent(
            ErrorClass::Constraint,
            "record",
            format!("{}: a trigger of the table fails for it. Correct that, or the record", message(error)),
        ),
        // SQLITE_ERROR. Of a write, `SqliteStore::at_fault` tells whether it is the record's.
        1 => permanent(ErrorClass::Other, "table", message(error)),
        _ => return None,
    })
}

/// The low byte; the rest distinguishes kinds that we treat alike.
fn primary(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
