//! Errors of MySQL and MariaDB, and what to conclude from them.

use sqlx::mysql::MySqlDatabaseError;

use super::super::{
    StoreError,
    sql::{
        COLUMNS_CHANGED, GRANT, INDEXES_CHANGED, NOT_THERE, TOO_LONG, is_lost, message, not_applied,
        permanent, swallowed, throttled,
    },
};
use super::ledger::is_undone;
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

/// Errors that prove that nothing was changed. Each statement is its own transaction, or else one in which the first
/// error skips the rest, `COMMIT` too; none of these comes after a commit that began.
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
        // Also of a new connection, so it is never a trigger's.
        1044 => wrong("database", GRANT),
        1142 | 1143 | 1227 => wrong("user", GRANT),
        1049 => wrong("database", NOT_THERE),
        1146 | 1051 => wrong("table", NOT_THERE),
        1054 | 1136 | 1222 | 1364 => wrong("table", COLUMNS_CHANGED),
        1176 => wrong("table", INDEXES_CHANGED),
        1665 => wrong("server", "set binlog_format to ROW or MIXED"),
        1153 => unfit("value", "raise max_allowed_packet"),
        1118 => wrong("table", TOO_LONG),
        // A transaction with a ledger undoes itself.
        1690 if is_undone(&said) => swallowed(),
        1264 | 1366 | 1406 => unfit("record", "make the column larger; nothing is cut to fit"),
        1048 | 1062 | 1169 | 1216 | 1452 | 3819 | 4025 => {
            unfit("record", "a constraint of the table refuses it: drop that, or correct the record")
        }
        _ => return None,
    })
}

/// Errors by which the server refuses what a write contains. An error ends the statement before its commit begins; after
/// one in a longer transaction no `COMMIT` is sent. So nothing was written. An unknown number counts as one of these:
/// it concerns this record or every record, and trying it alone tells which.
pub(super) fn refused(error: &sqlx::Error) -> Option<StoreError> {
    let said = message(error);
    let error = error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?;
    let (number, state) = (error.number(), error.code().unwrap_or_default());
    let mut field = "record";
    let advice = match number {
        _ if state.starts_with("45") || matches!(number, 1643 | 1644) => {
            field = "trigger";
            TRIGGER
        }
        // Whoever defined a trigger is gone; a routine is gone; no right to call it.
        1449 | 1305 | 1370 => {
            field = "trigger";
            "correct the trigger or function that names it, create it, or grant EXECUTE on it"
        }
        _ if state.starts_with("08") || state.starts_with("40") || is_of_the_server(number) => return None,
        1526 | 1748 => "no partition takes it: add one, or correct the record",
        1906 | 3105 => "the column is generated: remove it from the mapping",
        _ => "the server refuses it: correct the record, or whatever refuses it",
    };
    let what = format!("{said} (error {number}): {advice}");
    Some(permanent(ErrorClass::Constraint, field, what))
}

const TRIGGER: &str = "a trigger or function of the database refuses it: correct the record or the trigger";

/// The error comes from a commit, from the connection, or from a server that is ill, and says nothing about
/// the record.
const fn is_of_the_server(number: u16) -> bool {
    match number {
        // A duplicate key among the files, memory and limits.
        1022 => false,
        // Files, memory, shutdown, unknown error, network.
        1000..=1041 | 1053 | 1077..=1080 | 1105 | 1129 | 1152..=1161 | 1184 | 1189 | 1190 => true,
        // Commit and roll-back, damaged tables, locks of the whole server, transactions of other kinds.
        1180..=1182 | 1194..=1196 | 1206 | 1223 | 1296 | 1297 | 1399..=1402 | 1412 | 1613..=1615 | 1637 => {
            true
        }
        // Binary log, damaged tablespaces, internal errors, killed connections and sessions.
        1593..=1598
        | 1712
        | 1812..=1817
        | 1877
        | 1878
        | 1907
        | 1927
        | 1932
        | 3098..=3101
        | 3169
        | 3572
        | 4031 => true,
        // The client library's, which proxies send as a server's own: the connection behind them was lost.
        2000..=2999 => true,
        // Neither MySQL nor MariaDB has such numbers; servers that resemble them do.
        7000.. => true,
        _ => false,
    }
}

fn number(error: &sqlx::Error) -> Option<u16> {
    Some(error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?.number())
}
