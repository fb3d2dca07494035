//! Errors of PostgreSQL, and what to conclude from them.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::super::{
    StoreError,
    sql::{
        COLUMNS_CHANGED, GRANT, NOT_THERE, is_lost, message, not_applied, permanent, swallowed, throttled,
    },
};
use super::transaction::UNDONE;
use cutover_core::outcome::ErrorClass;

/// Worth an immediate retry.
pub(super) fn is_momentary(error: &sqlx::Error) -> bool {
    let ended = |code: &str| matches!(code, "40P01" | "40001" | "57P05" | "25P03") || code.starts_with("08");
    is_lost(error) || is_leaving(error) || code(error).is_some_and(|code| ended(&code))
}

/// The server is shutting down, or no longer accepts writes.
pub(super) fn is_leaving(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| matches!(&*code, "25006" | "57P01" | "57P02" | "57P03"))
}

/// Errors that prove that nothing was changed: each statement is its own transaction, or else belongs to one that can't be
/// committed any more. None of these comes after a commit that began.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
pub(super) fn told(error: &sqlx::Error) -> Option<StoreError> {
    let said = message(error);
    let wrong = |field, advice| permanent(ErrorClass::Other, field, format!("{said}: {advice}"));
    let unfit = |field, advice| permanent(ErrorClass::Constraint, field, format!("{said}: {advice}"));
    let code = code(error)?;
    Some(match &*code {
        "53300" => throttled(format!("{said}: raise max_connections, or give the store fewer")),
        "55P03" => throttled(format!("another transaction holds the record's lock: {said}")),
        "40P01" | "40001" => throttled(said),
        // statement_timeout or pg_cancel_backend.
        "57014" => not_applied(ErrorClass::Timeout, said),
        "53100" | "58030" => {
            not_applied(ErrorClass::Server, format!("{said}: see to the server's disk, free space"))
        }
        "53200" => not_applied(ErrorClass::Server, format!("the server is out of memory: {said}")),
        "57P03" => not_applied(ErrorClass::Server, said),
        "25006" => {
            not_applied(ErrorClass::Server, format!("{said}: give the address of a server that takes writes"))
        }
        "28P01" | "28000" => wrong("user", "check user and password, and pg_hba.conf"),
        // The message is in the server's language, the routine is not.
        "42501" if routine(error) == Some("ExecWithCheckOptions") => unfit(
            "record",
            "a row-level security policy refuses it: correct the record or the policy, or give a user with \
             BYPASSRLS",
        ),
        // Of a new connection, so it is never a trigger's.
        "42501" if of_postgres(error).is_some_and(|it| it.severity() != PgSeverity::Error) => {
            wrong("database", GRANT)
        }
        "42501" => wrong("user", GRANT),
        "3D000" => wrong("database", NOT_THERE),
        "42P01" => wrong("table", NOT_THERE),
        "42703" | "42P10" | "42804" => wrong("table", COLUMNS_CHANGED),
        "22P02" if said.contains(UNDONE) => swallowed(),
        "22021" => unfit("record", "PostgreSQL holds no NUL in text, and only valid UTF-8"),
        "22001" | "22003" | "54000" => unfit("record", "make the column larger; nothing is cut to fit"),
        "23514" if routine(error) == Some("ExecFindPartition") => {
            unfit("record", "no partition takes it: add one, or a DEFAULT partition")
        }
        code if code.starts_with("23") => {
            unfit("record", "a constraint of the table refuses it: drop that, or correct the record")
        }
        _ => return None,
    })
}

/// Errors by which the server refuses what a write contains. It rolls back after every ERROR: a statement
/// that is its own transaction, or all of a longer one. No commit fails with one after it began. An unknown code counts as one of
/// these: it concerns this record or every record, and trying it alone tells which.
pub(super) fn refused(error: &sqlx::Error) -> Option<StoreError> {
    /// Connection, states of a transaction or a statement, resources, operators, system and internal errors.
    /// A server that resembles PostgreSQL may have committed then.
    const OF_THE_SERVER: [&str; 12] =
        ["08", "25", "26", "34", "40", "53", "55", "57", "58", "72", "F0", "XX"];
    let said = message(error);
    let error = of_postgres(error)?;
    // FATAL and PANIC end the connection, perhaps in the middle of a commit.
    if error.severity() != PgSeverity::Error {
        return None;
    }
    let code = error.code();
    // An object that is not in a state for this, such as a sequence that a trigger uses, is the exception.
    if code != "55000" && OF_THE_SERVER.iter().any(|class| code.starts_with(class)) {
        return None;
    }
    let mut field = "record";
    let advice = match code {
        "428C9" => "the column is generated: remove it from the mapping",
        // A function is gone, or not in the search_path.
        "42883" => {
            field = "trigger";
            "correct the trigger or default that calls it, or create it"
        }
        code if code.starts_with("P0") => {
            field = "trigger";
            "a trigger or function of the database refuses it: correct the record or the trigger"
        }
        _ => "the server refuses it: correct the record, or whatever refuses it",
    };
    Some(permanent(ErrorClass::Constraint, field, format!("{said} (error {code}): {advice}")))
}

fn of_postgres(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()
}

fn routine(error: &sqlx::Error) -> Option<&str> {
    of_postgres(error)?.routine()
}

fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}
