//! What each connection sets: limits that the server enforces, also if this process is gone.

use sqlx::AssertSqlSafe;

/// The server ends a statement that takes longer. A leader reads everything at its start.
const STATEMENT_MS: u32 = 120_000;
/// The server ends a transaction whose client is silent for this long: a frozen leader does not keep its seat.
const IDLE_MS: u32 = 2_000;
/// Longest wait for a lock. A commit waits for the one before it.
const LOCK_MS: u32 = 8_000;

/// What each connection sets. Settings that a version does not have are left out. A commit waits for the disk, also if
/// the server's default is not to.
pub(super) fn set_up(schema: &str) -> sqlx::RawSql {
    let sql = format!(
        "SET search_path = \"{schema}\"; SET default_transaction_isolation = 'read committed'; \
         SET lock_timeout = {LOCK_MS}; \
         SET statement_timeout = {STATEMENT_MS}; SET idle_in_transaction_session_timeout = {IDLE_MS}; \
         SELECT set_config('synchronous_commit', 'on', false) \
         WHERE current_setting('synchronous_commit') IN ('off', 'local'); \
         SELECT set_config(name, wanted, false) FROM pg_settings JOIN (VALUES \
         ('client_connection_check_interval', '1000'), ('tcp_user_timeout', '10000'), \
         ('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '2'), ('tcp_keepalives_count', '3')) \
         AS limits (name, wanted) USING (name)"
    );
    sqlx::raw_sql(AssertSqlSafe(sql))
}
