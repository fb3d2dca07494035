//! Errors of the driver itself, for any database.

use std::time::Duration;

use super::StoreError;
use cutover_core::outcome::ErrorClass;

/// What a user has to be granted. With a ledger, rows are deleted.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(in super::super) const GRANT: &str = "grant SELECT, INSERT and UPDATE on the table; with a ledger, grant DELETE on \
     it too, and SELECT, INSERT and UPDATE on the ledger; with child tables, SELECT, INSERT and DELETE on these";

#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(in super::super) const NOT_THERE: &str = "create it, or name another one";
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(in super::super) const COLUMNS_CHANGED: &str = "its columns changed: open it again to see what is wrong";
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(in super::super) const INDEXES_CHANGED: &str = "its indexes changed: open it again to see what is wrong";

/// MySQL's error 1118 for a row.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(in super::super) const TOO_LONG: &str =
    "its columns are too long for one row: make some of them text or blob";

/// Errors of the pool and of values, which prove that nothing was changed. `None`: the database answered, or
/// the cause is unknown.
pub(in super::super) fn driver_error(error: &sqlx::Error) -> Option<StoreError> {
    Some(match error {
        sqlx::Error::PoolTimedOut => throttled("this process's calls wait for each other".to_owned()),
        sqlx::Error::PoolClosed => {
            not_applied(ErrorClass::Connection, "the store was closed: open it again".to_owned())
        }
        sqlx::Error::ColumnDecode { index, .. } => {
            permanent(ErrorClass::Serialization, index, message(error))
        }
        sqlx::Error::Encode(_) | sqlx::Error::Decode(_) => {
            permanent(ErrorClass::Serialization, "value", message(error))
        }
        _ => return None,
    })
}

/// The class of an error, for the counts.
pub(in super::super) fn class(error: &sqlx::Error) -> ErrorClass {
    match error {
        sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => ErrorClass::Timeout,
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => ErrorClass::Connection,
        sqlx::Error::Database(_) => ErrorClass::Server,
        _ => ErrorClass::Other,
    }
}

/// Whether the connection failed, rather than the request.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(in super::super) fn is_lost(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed)
}

/// The database's own message, if there is one.
pub(in super::super) fn message(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(error) => error.message().to_owned(),
        None => error.to_string(),
    }
}

pub(in super::super) fn not_applied(class: ErrorClass, what: String) -> StoreError {
    StoreError::NotApplied { class, what }
}

pub(in super::super) fn permanent(class: ErrorClass, field: &str, what: String) -> StoreError {
    StoreError::Permanent { class, field: field.to_owned(), what }
}

/// The wait is long enough for another write to end, and short enough not to be noticed.
pub(in super::super) fn throttled(what: String) -> StoreError {
    StoreError::Throttled { retry_after: Duration::from_millis(50), what }
}
