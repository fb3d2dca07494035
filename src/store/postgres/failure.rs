//! What PostgreSQL's errors mean to the operator of the controller.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::store::{Error, OpenError};

/// An error, by what can be done about it.
#[derive(Debug)]
pub(super) enum Failure {
    /// User, password, rights, database: retrying does not help.
    Access(String),
    /// Stored data can't be read.
    Corrupt(String),
    /// Anything else.
    Other(String),
}

impl Failure {
    /// Classifies an error by its code: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    pub(super) fn of(error: &sqlx::Error) -> Self {
        let Some(database) = of_postgres(error) else {
            return match error {
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::RowNotFound => {
                    Self::Corrupt(error.to_string())
                }
                sqlx::Error::PoolTimedOut => Self::Other(
                    "no connection was free or could be opened in time: is the server up, or busy?"
                        .to_owned(),
                ),
                sqlx::Error::Configuration(why) => Self::Other(why.to_string()),
                _ => Self::Other(error.to_string()),
            };
        };
        let (code, said) = (database.code(), database.message());
        match code {
            "28P01" | "28000" => Self::Access(format!("{said}: check user and password, and pg_hba.conf")),
            "3D000" => Self::Access(format!("{said}: create it, or name another one")),
            "42501" => Self::Access(format!(
                "{said}: at the first start, the user needs CREATE on the database, or on a schema that is there and empty"
            )),
            "25006" => Self::Other(format!("{said}: give the address of the primary, or allow writes again")),
            "53100" | "58030" => Self::Other(format!("{said}: see to the server's disk, free space")),
            "53300" => Self::Other(format!("{said}: raise max_connections; a controller takes up to 11")),
            "42P01" => Self::Corrupt(format!("{said}, unless a pooler is in between")),
            "08P01" => Self::Other(format!("{said}: connect to PostgreSQL directly, not through a pooler")),
            "42703" | "XX001" | "XX002" => Self::Corrupt(said.to_owned()),
            _ => Self::Other(said.to_owned()),
        }
    }

    /// Whether the server has rolled the transaction back. FATAL and PANIC end the connection, perhaps in the middle of a
    /// commit. Of some errors it is not sure who says so: of the connection, the operator, the system, the server's inside.
    pub(super) fn is_rolled_back(error: &sqlx::Error) -> bool {
        of_postgres(error).is_some_and(|error| {
            let doubtful = ["08", "57", "58", "XX"].iter().any(|class| error.code().starts_with(class));
            error.severity() == PgSeverity::Error && !doubtful
        })
    }

    /// For an open store.
    pub(super) fn into_error(self, place: &str) -> Error {
        match self {
            Self::Corrupt(_) => Error::Corrupt(self.told(place)),
            _ => Error::Unavailable(self.told(place)),
        }
    }

    /// For a store that is being opened.
    pub(super) fn into_open_error(self, place: &str) -> OpenError {
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

fn of_postgres(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()
}
