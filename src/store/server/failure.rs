//! What a server's errors mean to the operator of the controller.

use crate::store::{Error, OpenError};

/// A table lacks a row that is always there.
pub(in crate::store) fn missing(table: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("a row of {table} is missing").into())
}

/// An error, by what can be done about it.
#[derive(Debug)]
pub(in crate::store) enum Failure {
    /// User, password, rights, database: retrying does not help.
    Access(String),
    /// Stored data can't be read.
    Corrupt(String),
    /// Anything else.
    Other(String),
}

impl Failure {
    /// An error that is not the server's.
    pub(super) fn of_driver(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::RowNotFound => {
                Self::Corrupt(error.to_string())
            }
            sqlx::Error::PoolTimedOut => Self::Other(
                "no connection was free or could be opened in time: is the server up, or busy?".to_owned(),
            ),
            sqlx::Error::Configuration(why) => Self::Other(why.to_string()),
            sqlx::Error::Io(why) => {
                let why = why.to_string();
                let why = why.split(" (os error").next().unwrap_or_default();
                Self::Other(format!(
                    "no connection ({why}): is the address right, is the server up, and may this machine reach it?"
                ))
            }
            sqlx::Error::Tls(why) => Self::Other(format!(
                "no TLS connection ({why}): check the server's certificate and sslmode in the URL \
                 (docs/guides/replicas.md)"
            )),
            _ => Self::Other(error.to_string()),
        }
    }

    /// For an open store.
    pub(in crate::store) fn into_error(self, place: &str) -> Error {
        match self {
            Self::Corrupt(_) => Error::Corrupt(self.told(place)),
            _ => Error::Unavailable(self.told(place)),
        }
    }

    /// For a store that is being opened.
    pub(in crate::store) fn into_open_error(self, place: &str) -> OpenError {
        let told = self.told(place);
        match self {
            Self::Access(_) => OpenError::Place(told),
            Self::Corrupt(_) => OpenError::Corrupt(told),
            Self::Other(_) => OpenError::Unavailable(told),
        }
    }

    fn told(&self, place: &str) -> String {
        match self {
            Self::Corrupt(how) => format!("{place} is damaged ({how}): restore it from a backup"),
            Self::Access(how) | Self::Other(how) => format!("{place}: {}", how.replace('\n', " ")),
        }
    }
}
