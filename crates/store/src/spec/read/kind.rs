//! What kind of store a section is about.

use crate::mapping::Dialect;

/// What kind of store it is, as far as its url tells.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sql(Dialect),
    Items,
    Unknown,
}

impl Kind {
    /// By the beginning of a url that may be wrong.
    pub(super) fn of(url: &str) -> Self {
        match url.split(':').next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "sqlite" => Self::Sql(Dialect::Sqlite),
            "mysql" | "mariadb" => Self::Sql(Dialect::MySql),
            "postgres" | "postgresql" => Self::Sql(Dialect::Postgres),
            "dynamodb" => Self::Items,
            _ => Self::Unknown,
        }
    }
}
