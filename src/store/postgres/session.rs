//! What each connection is given and asked before it is used.

use sqlx::{Executor as _, PgConnection, postgres::PgConnectOptions};

use crate::store::server::dialect::Size;

/// The server ends a statement that takes longer. A leader reads everything at its start.
const STATEMENT_MS: u32 = 120_000;
/// The server ends a transaction whose client is silent for this long, so a frozen leader does not keep its seat. It
/// counts until the next message has arrived whole.
const IDLE_MS: u64 = 2_000;
/// A message up to this size arrives in that time.
const SMALL: usize = 1_000_000;
/// Longest wait for a lock. A commit waits for the one before it.
const LOCK_MS: u32 = 8_000;

/// For how long a transaction that sends a message of this size may be silent, if longer than others.
pub(super) fn idle_ms(size: Size) -> Option<u64> {
    (size.bytes > SMALL).then(|| IDLE_MS + size.arrives_in().as_millis() as u64)
}

/// Adds the settings of the session. They are startup parameters because a pooler that shares sessions refuses those,
/// whereas it would give a `SET` to somebody else. A commit waits for the disk, also if the server's default is not to.
pub(super) fn with_settings(connect: PgConnectOptions, schema: &str) -> PgConnectOptions {
    connect.options([
        ("search_path", schema.to_owned()),
        ("default_transaction_isolation", "read committed".to_owned()),
        ("synchronous_commit", "on".to_owned()),
        ("lock_timeout", LOCK_MS.to_string()),
        ("statement_timeout", STATEMENT_MS.to_string()),
        ("idle_in_transaction_session_timeout", IDLE_MS.to_string()),
    ])
}

/// How soon the server notices that this process is gone. Settings that a version does not have are left out.
const LIMITS: &str = "SELECT set_config(name, wanted, false) FROM pg_settings JOIN (VALUES \
    ('client_connection_check_interval', '1000'), ('tcp_user_timeout', '10000'), \
    ('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '2'), ('tcp_keepalives_count', '3')) \
    AS limits (name, wanted) USING (name)";

/// Asks a new connection whether it can be used, and notes in it which database this is: `cutover.database`.
pub(super) async fn check(connection: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    let refused = |why: &str| Err(sqlx::Error::Configuration(why.into()));
    let (is_standby, is_read_only, is_set): (bool, bool, bool) = sqlx::query_as(
        "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on',
         current_setting('search_path') = $1 AND current_setting('synchronous_commit') = 'on'",
    )
    .bind(schema)
    .fetch_one(&mut *connection)
    .await?;
    if is_standby {
        return refused("this is a standby of PostgreSQL: give the primary's address");
    }
    if is_read_only {
        return refused(
            "sessions there are read-only (default_transaction_read_only): if this is the primary, allow writes again",
        );
    }
    if !is_set {
        return refused(
            "the session does not have the settings that it was started with: connect to PostgreSQL directly, not \
             through a pooler",
        );
    }
    connection.execute(sqlx::raw_sql(LIMITS)).await?;
    let database = database(connection).await?;
    sqlx::query("SELECT set_config('cutover.database', $1, false)")
        .bind(database)
        .execute(connection)
        .await?;
    Ok(())
}

/// Which database this is, and its timeline. A standby that is promoted begins another one, and may lack commits. Where
/// the service does not say, it is "unknown".
async fn database(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let said = sqlx::query_scalar(
        "SELECT (SELECT system_identifier FROM pg_control_system())::text || '/'
         || left(pg_walfile_name(pg_current_wal_lsn()), 8)",
    )
    .fetch_one(connection)
    .await;
    match said {
        // No such function, not allowed, or not supported.
        Err(sqlx::Error::Database(error))
            if error.code().is_some_and(|code| ["42883", "42501", "0A000"].contains(&&*code)) =>
        {
            Ok("unknown".to_owned())
        }
        said => said,
    }
}
