//! What the server's errors mean to the operator of the controller.

use sqlx::mysql::MySqlDatabaseError;

use crate::store::server::failure::Failure;

/// Classifies an error by its number: <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>.
pub(super) fn failure(error: &sqlx::Error) -> Option<Failure> {
    let database = of_mysql(error)?;
    let said = database.message();
    Some(match database.number() {
        1045 | 1698 | 3118 => Failure::Access(format!("{said}: check user and password")),
        1049 => Failure::Access(format!("{said}: create it, or name another one")),
        1044 | 1142 | 1143 | 1370 => {
            Failure::Access(format!("{said}: the user needs all rights on the controller's database"))
        }
        1227 => Failure::Access(said.to_owned()),
        1290 | 1792 | 1836 => {
            Failure::Other(format!("{said}: give the address of the primary, or allow writes again"))
        }
        1021 | 1114 | 3019 => Failure::Other(format!("{said}: see to the server's disk, free space")),
        1040 | 1203 | 1226 => {
            Failure::Other(format!("{said}: raise max_connections; a controller takes up to 11"))
        }
        1153 => Failure::Other(format!("{said}: raise max_allowed_packet")),
        // Also a tablespace that is missing or damaged.
        1054 | 1146 | 1194 | 1195 | 1712 | 1812 | 1877 | 1932 => Failure::Corrupt(said.to_owned()),
        _ => Failure::Other(said.to_owned()),
    })
}

/// Only what is known to roll back: a deadlock, a server that has become read-only, and a conflict in a group. Any other
/// error may have come after the commit.
pub(super) fn is_rolled_back(error: &sqlx::Error) -> bool {
    of_mysql(error).is_some_and(|error| matches!(error.number(), 1213 | 1290 | 1836 | 3101))
}

fn of_mysql(error: &sqlx::Error) -> Option<&MySqlDatabaseError> {
    error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()
}
