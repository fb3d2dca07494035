//! What each connection to a PostgreSQL server sets and checks.

use sqlx::{Postgres, Row, postgres::PgRow};

use super::{
    super::{
        StoreError,
        sql::{Database, Facts, ServerOptions},
    },
    error,
};

impl Database for Postgres {
    fn told(error: &sqlx::Error) -> Option<StoreError> {
        error::told(error)
    }

    fn refused(error: &sqlx::Error) -> Option<StoreError> {
        error::refused(error)
    }

    fn is_momentary(error: &sqlx::Error) -> bool {
        error::is_momentary(error)
    }

    fn is_leaving(error: &sqlx::Error) -> bool {
        error::is_leaving(error)
    }

    /// The guard relies on read committed: it sees the row that exists when it gets the lock. The server
    /// detects a client that is gone by `client_connection_check_interval` or, if the network is gone, by
    /// TCP's timeouts. Settings that a version does not have, or that a server on Windows refuses, are
    /// omitted. The zone and the formats are those that values are written in.
    fn set_up(options: &ServerOptions) -> String {
        let call_ms = options.call_timeout.as_millis().max(1);
        let idle_ms = options.idle_timeout.as_millis().max(1);
        let keepalive_s = (options.idle_timeout.as_secs() / 4).max(1);
        format!(
            "SET default_transaction_isolation = 'read committed'; SET TimeZone = 'UTC'; \
             SET DateStyle = 'ISO'; SET extra_float_digits = 1; SET lock_timeout = {}; \
             SET statement_timeout = {call_ms}; SET idle_in_transaction_session_timeout = {idle_ms}; \
             SELECT set_config(name, wanted, false) FROM pg_settings JOIN (VALUES \
             ('idle_session_timeout', '{idle_ms}'), ('transaction_timeout', '{call_ms}'), \
             ('client_connection_check_interval', '1000'), ('tcp_user_timeout', '{idle_ms}'), \
             ('tcp_keepalives_idle', '{keepalive_s}'), ('tcp_keepalives_interval', '{keepalive_s}'), \
             ('tcp_keepalives_count', '3')) AS limits (name, wanted) USING (name) \
             WHERE name <> 'client_connection_check_interval' OR version() !~* 'visual|mingw|msvc'",
            options.lock_timeout.as_millis().max(1),
        )
    }

    const LOOK: &'static str = "SELECT 'in_recovery', pg_is_in_recovery()::text \
        UNION ALL SELECT 'transaction_read_only', current_setting('transaction_read_only') \
        UNION ALL SELECT 'server', concat_ws(' ', inet_server_addr(), inet_server_port(), \
        pg_postmaster_start_time()) UNION ALL SELECT 'backend', pg_backend_pid()::text \
        UNION ALL SELECT name, setting FROM pg_settings WHERE name IN ('lock_timeout', 'statement_timeout', \
        'idle_in_transaction_session_timeout', 'idle_session_timeout')";

    const STILL: &'static str = "SELECT 'in_recovery', pg_is_in_recovery()::text \
        UNION ALL SELECT 'transaction_read_only', current_setting('transaction_read_only')";

    fn fact(row: &PgRow) -> Option<(String, String)> {
        Some((row.try_get(0).ok()?, row.try_get(1).ok()?))
    }

    fn refusal(said: &Facts) -> Option<String> {
        if said.get("in_recovery").is_some_and(|is| is == "true") {
            return Some(
                "the server is a standby (pg_is_in_recovery): it lags behind its primary and takes no writes. \
                 Give the primary's address, or promote it: SELECT pg_promote()"
                    .to_owned(),
            );
        }
        if said.get("transaction_read_only").is_some_and(|is| is == "on") {
            return Some(
                "default_transaction_read_only is on: the server takes no writes. Turn it off for this user: \
                 ALTER ROLE current_user SET default_transaction_read_only = off; or for the database or \
                 server where it was set"
                    .to_owned(),
            );
        }
        None
    }

    fn unlimited(said: &Facts, options: &ServerOptions) -> Option<String> {
        let (call_ms, idle_ms) = (options.call_timeout.as_millis(), options.idle_timeout.as_millis());
        let limits = [
            ("lock_timeout", options.lock_timeout.as_millis()),
            ("statement_timeout", call_ms),
            ("idle_in_transaction_session_timeout", idle_ms),
            ("idle_session_timeout", idle_ms),
        ];
        let value = |name: &str| said.get(name).and_then(|value| value.parse::<u128>().ok());
        let is_unset =
            |(name, limit): &(&str, u128)| value(name).is_none_or(|is| is == 0 || is > (*limit).max(1));
        let (name, limit) = limits.into_iter().find(is_unset)?;
        if !said.contains_key(name) {
            return Some(format!("it has no {name}: upgrade it to PostgreSQL 14 or later"));
        }
        Some(format!(
            "{name} is {} ms in a session that set it to {limit}: without that limit a write could land long \
             after it was given up. Connect without a pooler in between, or set that to session mode",
            said.get(name).map_or("0", String::as_str),
        ))
    }
}

pub(super) fn text(row: &PgRow, at: usize) -> String {
    row.try_get(at).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_whose_reads_may_miss_acknowledged_writes_are_refused() {
        let refusal = |recovers: &str, read_only: &str| {
            let said = [("in_recovery", recovers), ("transaction_read_only", read_only)];
            Postgres::refusal(&said.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
        };
        assert_eq!(refusal("false", "off"), None);
        assert!(refusal("true", "off").is_some_and(|told| told.contains("standby")));
        assert!(refusal("false", "on").is_some_and(|told| told.contains("takes no writes")));
    }
}
