//! Errors of MySQL and MariaDB, and what to conclude from them.

use sqlx::mysql::MySqlDatabaseError;

use super::super::{
    StoreError,
    sql::{is_lost, message, not_applied, permanent, throttled},
};
use cutover_core::outcome::ErrorClass;

/// Worth an immediate retry.
pub(super) fn is_momentary(error: &sqlx::Error) -> bool {
    // Deadlock; the connection was killed, or closed because it was idle.
    is_lost(error) || is_leaving(error) || matches!(number(error), Some(1213 | 1927 | 4031))
}

/// The server is shutting down, or no longer accepts writes.
pub(super) fn is_leaving(error: &sqlx::Error) -> bool {
    matches!(number(error), Some(1053 | 1290 | 1792 | 1836))
}

/// Errors that prove that nothing was changed, because each statement is its own transaction.
/// <https://mariadb.com/kb/en/mariadb-error-code-reference/>
pub(super) fn told(error: &sqlx::Error) -> Option<StoreError> {
    let said = message(error);
    let wrong = |field, advice| permanent(ErrorClass::Other, field, format!("{said}: {advice}"));
    let unfit = |field, advice| permanent(ErrorClass::Constraint, field, format!("{said}: {advice}"));
    Some(match number(error)? {
        // Too many connections, of the server or of the user.
        1040 | 1203 | 1226 => throttled(format!("{said}: raise max_connections, or give the store fewer")),
        1205 => throttled(format!("another transaction holds the record's lock: {said}")),
        1213 => throttled(format!("deadlock: {said}")),
        // Ended by a timeout or by KILL QUERY, and rolled back.
        1317 | 1969 | 3024 => not_applied(ErrorClass::Timeout, said),
        // The disk is full; the table is full; no space for temporary files or the log.
        1021 | 1114 | 1030 | 3 => {
            not_applied(ErrorClass::Server, format!("{said}: see to the server's disk, free space"))
        }
        1037 | 1038 | 1041 => not_applied(ErrorClass::Server, format!("the server is out of memory: {said}")),
        1290 | 1792 | 1836 => {
            not_applied(ErrorClass::Server, format!("{said}: give the address of a server that takes writes"))
        }
        // A Galera node that is not, or no longer, part of its cluster.
        1047 => {
            not_applied(ErrorClass::Server, format!("{said}: wait until the node has joined its cluster"))
        }
        1045 | 1698 | 1130 => wrong("user", "check user and password, and from where the user may come"),
        1044 | 1142 | 1143 | 1227 => wrong("user", "grant SELECT, INSERT and UPDATE on the table"),
        1049 => wrong("database", "create it, or name another one"),
        1146 | 1051 => wrong("table", "create it, or name another one"),
        1054 | 1136 | 1364 => wrong("table", "its columns changed: open it again to see what is wrong"),
        1665 => wrong("server", "set binlog_format to ROW or MIXED"),
        1153 => unfit("value", "raise max_allowed_packet"),
        1118 => wrong("table", "its columns are too long for one row: make some of them text or blob"),
        1264 | 1366 | 1406 => unfit("record", "make the column larger; nothing is cut to fit"),
        1048 | 1062 | 1169 | 1452 | 3819 | 4025 => {
            unfit("record", "a constraint of the table refuses it: drop that, or correct the record")
        }
        _ => return None,
    })
}

fn number(error: &sqlx::Error) -> Option<u16> {
    Some(error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?.number())
}
