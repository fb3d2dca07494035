//! What PostgreSQL's errors mean to the operator of the controller.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::store::server::failure::Failure;

/// Classifies an error by its code: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub(super) fn failure(error: &sqlx::Error) -> Option<Failure> {
    let database = of_postgres(error)?;
    let (code, said) = (database.code(), database.message());
    Some(match code {
        "28P01" | "28000" => Failure::Access(format!("{said}: check user and password, and pg_hba.conf")),
        "3D000" => Failure::Access(format!("{said}: create it, or name another one")),
        "42501" => Failure::Access(format!(
            "{said}: at the first start, the user needs CREATE on the database, or on a schema that is there and empty"
        )),
        "25006" => Failure::Other(format!("{said}: give the address of the primary, or allow writes again")),
        "53100" | "58030" => Failure::Other(format!("{said}: see to the server's disk, free space")),
        "53300" => Failure::Other(format!("{said}: raise max_connections; a controller takes up to 11")),
        "42P01" => Failure::Corrupt(format!("{said}, unless a pooler is in between")),
        "08P01" => Failure::Other(format!("{said}: connect to PostgreSQL directly, not through a pooler")),
        "42703" | "XX001" | "XX002" => Failure::Corrupt(said.to_owned()),
        _ => Failure::Other(said.to_owned()),
    })
}

/// FATAL and PANIC end the connection, perhaps in the middle of a commit. Of some errors it is not sure who says so: of
/// the connection, the operator, the system, the server's inside.
pub(super) fn is_rolled_back(error: &sqlx::Error) -> bool {
    of_postgres(error).is_some_and(|error| {
        let doubtful = ["08", "57", "58", "XX"].iter().any(|class| error.code().starts_with(class));
        error.severity() == PgSeverity::Error && !doubtful
    })
}

fn of_postgres(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()
}
