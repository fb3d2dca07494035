//! What SQLite's errors mean to the operator of the controller.

use std::path::Path;

use crate::store::{Error, OpenError};

/// An error, by what can be done about it.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another process holds the file's lock.
    Locked,
    /// No space, or the size limit is reached.
    Full,
    /// The file or its directory is not writable.
    ReadOnly,
    /// Damaged, or not a SQLite file.
    Corrupt(String),
    /// Anything else.
    Other(String),
}

impl Failure {
    /// Classifies an error by SQLite's primary result code.
    pub(super) fn of(error: &sqlx::Error) -> Self {
        let sqlx::Error::Database(database) = error else {
            return match error {
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::RowNotFound => {
                    Self::Corrupt(error.to_string())
                }
                _ => Self::Other(error.to_string()),
            };
        };
        let code: i32 = database.code().and_then(|code| code.parse().ok()).unwrap_or(0);
        match code & 0xff {
            5 | 6 => Self::Locked,
            8 | 14 => Self::ReadOnly,
            11 | 26 => Self::Corrupt(database.message().to_owned()),
            13 => Self::Full,
            _ => Self::Other(database.message().to_owned()),
        }
    }

    /// For an open store.
    pub(super) fn into_error(self, path: &Path) -> Error {
        match self {
            Self::Corrupt(_) => Error::Corrupt(self.told(path)),
            _ => Error::Unavailable(self.told(path)),
        }
    }

    /// For a store that is being opened.
    pub(super) fn into_open_error(self, path: &Path) -> OpenError {
        let told = self.told(path);
        match self {
            Self::Locked => OpenError::Locked(told),
            Self::ReadOnly => OpenError::Place(told),
            Self::Corrupt(_) => OpenError::Corrupt(told),
            Self::Full | Self::Other(_) => OpenError::Unavailable(told),
        }
    }

    fn told(&self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Locked => {
                format!("{path} is locked by another process: end whatever has it open, then try again")
            }
            Self::Full => format!("no space left for {path}: free some, then try again"),
            Self::ReadOnly => format!(
                "{path} can't be written: give this user the right to write the file and its directory"
            ),
            Self::Corrupt(how) => format!("{path} is damaged ({how}): restore it from a backup"),
            Self::Other(how) => format!("{path}: {how}"),
        }
    }
}
