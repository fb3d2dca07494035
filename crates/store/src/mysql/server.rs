//! What each connection to a MySQL or MariaDB server sets and checks.

use sqlx::{MySql, Row, mysql::MySqlRow};

use super::{
    super::{
        StoreError,
        sql::{Database, Facts, ServerOptions, whole_seconds},
    },
    error,
};

/// The variables that keep a server from accepting writes, whoever asks.
const READ_ONLY: [&str; 5] =
    ["read_only", "super_read_only", "innodb_read_only", "tx_read_only", "transaction_read_only"];

impl Database for MySql {
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

    /// Strict mode, so that values are never truncated; read committed, so that batches lock records and not
    /// the gaps between them; UTC, in which points in time are written; no chain, or each COMMIT would begin a transaction in which
    /// the next write is acknowledged and lost. `lock_wait_timeout` limits waiting for table locks, `wait_timeout` a silent
    /// client, `net_read_timeout` half a statement. `group_concat_max_len` is as long as a packet can be, for the rows of
    /// child tables; 4 times as many bytes just fit into 32 bits, in which older servers count them. The comments are MariaDB's and MySQL's own ways to limit
    /// a statement's duration (MySQL limits only reads).
    fn set_up(options: &ServerOptions) -> String {
        let lock_s = whole_seconds(options.lock_timeout).as_secs();
        let idle_s = whole_seconds(options.idle_timeout).as_secs();
        let call_ms = options.call_timeout.as_millis().max(1);
        format!(
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
             SET SESSION autocommit = 1, unique_checks = 1, foreign_key_checks = 1, completion_type = 'NO_CHAIN', time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO', \
             innodb_lock_wait_timeout = {lock_s}, lock_wait_timeout = {lock_s}, \
             wait_timeout = {idle_s}, net_read_timeout = {idle_s}, group_concat_max_len = 1073741823 \
             /*M! , max_statement_time = {call_ms} / 1000 */ \
             /*!50708 , max_execution_time = {call_ms} */ \
             /*!80000 , information_schema_stats_expiry = 0 */"
        )
    }

    /// A variable of the session survives it, and the connection may be that of another table.
    const ROLLBACK: &'static str = "ROLLBACK; SET @cutover_stamps = NULL";

    const LOOK: &'static str = "SHOW VARIABLES WHERE Variable_name IN ('version_comment', 'read_only', \
        'super_read_only', 'innodb_read_only', 'tx_read_only', 'transaction_read_only', 'wsrep_on', \
        'group_replication_group_name', 'group_replication_single_primary_mode', 'group_replication_consistency', \
        'innodb_lock_wait_timeout', 'lock_wait_timeout', 'wait_timeout', 'net_read_timeout', \
        'max_statement_time', 'completion_type'); \
        SELECT 'server', CONCAT_WS(' ', @@hostname, @@port, @@server_id); SELECT 'backend', CONNECTION_ID()";

    // Not one statement: a UNION would truncate ON and OFF to one letter. `super_read_only` implies the
    // first.
    const STILL: &'static str = "SELECT 'read_only', @@GLOBAL.read_only; \
        SELECT 'innodb_read_only', @@GLOBAL.innodb_read_only";

    fn fact(row: &MySqlRow) -> Option<(String, String)> {
        (row.len() == 2).then(|| (text(row, 0), text(row, 1)))
    }

    /// A Galera node that is not asked to wait answers reads from what it has applied so far.
    fn set_up_more(said: &Facts) -> Option<&'static str> {
        is_on(said, "wsrep_on").then_some("SET SESSION wsrep_sync_wait = 7")
    }

    fn refusal(said: &Facts) -> Option<String> {
        if let Some(name) = READ_ONLY.iter().find(|name| is_on(said, name)) {
            return Some(format!(
                "{name} is ON: a replica, or a server in a switchover, lags behind the primary and takes no \
                 writes. Give the primary's address, or run there: SET GLOBAL {name} = OFF"
            ));
        }
        let comment = said.get("version_comment").map(|comment| comment.to_ascii_lowercase());
        if let Some(comment) =
            comment.filter(|comment| ["proxysql", "maxscale"].iter().any(|proxy| comment.contains(proxy)))
        {
            return Some(format!(
                "a proxy answers here ({comment}), which may send reads to replicas. Give the address of the \
                 primary itself"
            ));
        }
        let in_group = said.get("group_replication_group_name").is_some_and(|name| !name.is_empty());
        if in_group && !is_on(said, "group_replication_single_primary_mode") {
            return Some(
                "Group Replication has several primaries, and a read from one may miss what another has \
                 acknowledged. Switch the group to single-primary mode"
                    .to_owned(),
            );
        }
        if in_group && said.get("group_replication_consistency").is_some_and(|level| level == "EVENTUAL") {
            return Some(
                "group_replication_consistency is EVENTUAL, so after a failover the new primary answers reads before \
                 it has all acknowledged writes. Run there, and on the other members: SET PERSIST \
                 group_replication_consistency = 'BEFORE_ON_PRIMARY_FAILOVER'"
                    .to_owned(),
            );
        }
        None
    }

    fn unlimited(said: &Facts, options: &ServerOptions) -> Option<String> {
        let lock_s = whole_seconds(options.lock_timeout).as_secs_f64();
        let idle_s = whole_seconds(options.idle_timeout).as_secs_f64();
        let mut limits = vec![
            ("innodb_lock_wait_timeout", lock_s),
            ("lock_wait_timeout", lock_s),
            ("wait_timeout", idle_s),
            ("net_read_timeout", idle_s),
        ];
        if said.contains_key("max_statement_time") {
            limits.push(("max_statement_time", options.call_timeout.as_secs_f64().max(0.001)));
        }
        let value = |name: &str| said.get(name).and_then(|value| value.parse::<f64>().ok());
        if let Some(kind) =
            said.get("completion_type").filter(|kind| !matches!(kind.as_str(), "NO_CHAIN" | "0"))
        {
            return Some(format!(
                "completion_type is {kind} in a session that set it to NO_CHAIN: an acknowledged write could be rolled \
                 back. Connect without a pooler or proxy in between"
            ));
        }
        let unset =
            limits.into_iter().find(|(name, limit)| value(name).is_none_or(|is| is > limit + 0.001))?;
        Some(format!(
            "{} is {} in a session that set it to {}: without that limit a write could land long after it \
             was given up. Connect without a pooler or proxy in between",
            unset.0,
            said.get(unset.0).map_or("not there", String::as_str),
            unset.1
        ))
    }
}

/// Newer MariaDB servers have more values than ON and OFF for `read_only`.
fn is_on(said: &Facts, name: &str) -> bool {
    said.get(name).is_some_and(|value| !matches!(value.to_ascii_uppercase().as_str(), "" | "OFF" | "0"))
}

/// MySQL 8 returns some of these as text and others as bytes.
pub(super) fn text(row: &MySqlRow, at: usize) -> String {
    let bytes: Option<Vec<u8>> = row.try_get_unchecked(at).unwrap_or_default();
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(all: &[(&str, &str)]) -> Facts {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn servers_whose_reads_may_miss_acknowledged_writes_are_refused() {
        let single = [
            ("group_replication_group_name", "a"),
            ("group_replication_single_primary_mode", "ON"),
            ("group_replication_consistency", "BEFORE_ON_PRIMARY_FAILOVER"),
            ("read_only", "OFF"),
            ("super_read_only", "0"),
            ("version_comment", "MySQL Community Server"),
        ];
        assert_eq!(MySql::refusal(&facts(&single)), None);
        let none = facts(&[("group_replication_group_name", "")]);
        assert_eq!(MySql::refusal(&none), None, "it is in no group");
        for (name, value, told) in [
            ("read_only", "ON", "read_only is ON: a replica"),
            ("read_only", "NO_LOCK_NO_ADMIN", "read_only is ON"),
            ("super_read_only", "ON", "SET GLOBAL super_read_only = OFF"),
            ("innodb_read_only", "1", "innodb_read_only is ON"),
            ("tx_read_only", "ON", "tx_read_only is ON"),
            ("transaction_read_only", "ON", "transaction_read_only is ON"),
            ("version_comment", "(ProxySQL)", "a proxy answers here"),
            ("version_comment", "MaxScale 23.08", "a proxy answers here"),
            ("group_replication_single_primary_mode", "OFF", "several primaries"),
            ("group_replication_consistency", "EVENTUAL", "BEFORE_ON_PRIMARY_FAILOVER"),
        ] {
            let mut said = facts(&single);
            said.insert(name.to_owned(), value.to_owned());
            let refused = MySql::refusal(&said).unwrap_or_default();
            assert!(refused.contains(told), "{name} = {value}: {refused:?}");
        }
    }

    #[test]
    fn a_galera_node_waits_for_what_other_nodes_have_acknowledged() {
        let waits = Some("SET SESSION wsrep_sync_wait = 7");
        assert_eq!(MySql::set_up_more(&facts(&[("wsrep_on", "ON")])), waits);
        assert_eq!(MySql::set_up_more(&facts(&[("wsrep_on", "1")])), waits);
        assert_eq!(MySql::set_up_more(&facts(&[("wsrep_on", "OFF")])), None);
        assert_eq!(MySql::set_up_more(&Facts::default()), None);
    }
}
