//! What each connection is given and asked before it is used.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Executor as _, MySqlConnection, Row as _, mysql::MySqlRow, raw_sql};

use crate::store::server::dialect::Size;

/// The server ends a statement that takes longer: MariaDB each, MySQL one that only reads.
const STATEMENT_S: u32 = 120;
/// Longest wait for a lock. A commit waits for the one before it.
const LOCK_S: u32 = 8;
/// The server ends a transaction that writes if its client is silent for this long, between statements or in the middle
/// of one, so a frozen leader does not keep its seat. A message may take longer if each part of it arrives in that time.
const SILENT_S: u32 = 2;
/// The same for a connection without such a transaction.
const IDLE_S: u32 = 600;
/// How long the server waits there until a part of an answer is taken: a leader may stall while it reads millions of rows.
const TAKEN_S: u32 = 30;

/// The largest message has to be so large at least. A rollback of everybody is one change, and has to fit.
const PACKET_BYTES_MIN: usize = 64 << 20;

/// Begins a transaction that writes. To make a large message takes time as well.
pub(super) fn begin(size: Size) -> String {
    let silent_s = u64::from(SILENT_S) + size.arrives_in().as_secs();
    format!("SET SESSION wait_timeout = {silent_s}, net_write_timeout = {SILENT_S}; START TRANSACTION")
}

/// Ends it. If the answer to the second part is lost, so is that to the first.
pub(super) const COMMIT: &str = "COMMIT; SET SESSION wait_timeout = 600, net_write_timeout = 30";
pub(super) const ROLLBACK: &str = "ROLLBACK; SET SESSION wait_timeout = 600, net_write_timeout = 30";
/// Begins a transaction that reads everything at one moment.
pub(super) const READ: &str =
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";

/// The server's variables, by name, and how many replication threads it has.
type Facts = BTreeMap<String, String>;

/// What each session is given, with the values that the server shows. The server, a user or `init_connect` may have others.
fn settings() -> Vec<(&'static str, String)> {
    let seconds = [
        ("innodb_lock_wait_timeout", LOCK_S),
        ("lock_wait_timeout", LOCK_S),
        ("wait_timeout", IDLE_S),
        ("net_read_timeout", SILENT_S),
        ("net_write_timeout", TAKEN_S),
    ];
    let words = [
        ("autocommit", "ON"),
        // COMMIT neither begins another transaction nor ends the session.
        ("completion_type", "NO_CHAIN"),
        // Reads are whole, of any number of rows: this one makes the server disregard `max_join_size`.
        ("sql_big_selects", "ON"),
        ("sql_select_limit", "18446744073709551615"),
        ("sql_safe_updates", "OFF"),
        // A request is made once.
        ("unique_checks", "ON"),
    ];
    let seconds = seconds.into_iter().map(|(name, seconds)| (name, seconds.to_string()));
    seconds.chain(words.map(|(name, word)| (name, word.to_owned()))).collect()
}

/// What else is asked.
const ASKED: &str = "'version', 'version_comment', 'read_only', 'super_read_only', \
    'innodb_read_only', 'tx_read_only', 'transaction_read_only', 'wsrep_on', 'group_replication_group_name', 'group_replication_consistency', \
    'group_replication_single_primary_mode', 'innodb_flush_log_at_trx_commit', 'log_bin', 'sync_binlog', 'binlog_format', \
    'max_allowed_packet', 'sql_mode', 'tx_isolation', 'transaction_isolation'";

/// Gives a new connection its settings, and asks whether it can be used. Returns the size of the largest message.
pub(super) async fn set_up(connection: &mut MySqlConnection) -> Result<usize, sqlx::Error> {
    let settings = settings();
    let given: Vec<_> = settings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let given = format!(
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
         SET SESSION {}, sql_mode = 'ANSI_QUOTES,STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO' \
         /*M! , max_statement_time = {STATEMENT_S} */ /*!50708 , max_execution_time = {STATEMENT_S}000 */",
        given.join(", ")
    );
    connection.execute(raw_sql(AssertSqlSafe(given))).await?;
    let names: Vec<_> = settings.iter().map(|(name, _)| format!("'{name}'")).collect();
    let look = format!(
        "SHOW VARIABLES WHERE Variable_name IN ({ASKED}, {}); SHOW GLOBAL STATUS LIKE 'Slaves_running'",
        names.join(", ")
    );
    let look = raw_sql(AssertSqlSafe(look)).fetch_all(&mut *connection).await?;
    let facts: Facts = look.iter().map(fact).collect();
    if let Some(why) = refusal(&facts) {
        return Err(sqlx::Error::Configuration(why.into()));
    }
    Ok(of(&facts, "max_allowed_packet").parse().unwrap_or(usize::MAX))
}

/// MySQL 8 returns some of these as text and others as bytes.
fn fact(row: &MySqlRow) -> (String, String) {
    let text = |at| {
        let bytes: Option<Vec<u8>> = row.try_get_unchecked(at).unwrap_or_default();
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    };
    (text(0).to_ascii_lowercase(), text(1))
}

fn of<'a>(facts: &'a Facts, name: &str) -> &'a str {
    facts.get(name).map_or("", String::as_str)
}

/// Newer MariaDB servers have more values than ON and OFF for `read_only`.
fn is_on(facts: &Facts, name: &str) -> bool {
    !matches!(&*of(facts, name).to_ascii_uppercase(), "" | "OFF" | "0")
}

/// Why this server can't be used.
fn refusal(facts: &Facts) -> Option<String> {
    let answers = format!("{} {}", of(facts, "version"), of(facts, "version_comment")).to_ascii_lowercase();
    if let Some(other) =
        ["proxysql", "maxscale", "tidb", "vitess"].into_iter().find(|other| answers.contains(other))
    {
        return Some(format!(
            "{other} answers there, whose locks are not those of one MySQL or MariaDB server: connect to the primary \
             directly"
        ));
    }
    let (is_mariadb, version) = (answers.contains("mariadb"), of(facts, "version"));
    let oldest = if is_mariadb { (10, 6) } else { (8, 0) };
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < oldest {
        return Some(format!("version {version} is too old: MySQL 8.0 or MariaDB 10.6 is the oldest"));
    }
    let read_only =
        ["read_only", "super_read_only", "innodb_read_only", "tx_read_only", "transaction_read_only"];
    if let Some(name) = read_only.into_iter().find(|name| is_on(facts, name)) {
        return Some(format!(
            "{name} is ON there: give the primary's address; if this is it, allow writes again"
        ));
    }
    if is_on(facts, "slaves_running") {
        return Some(
            "that server replicates from another one: give the primary's address; if this is it, stop its replication"
                .to_owned(),
        );
    }
    let has_group = !of(facts, "group_replication_group_name").is_empty();
    if is_on(facts, "wsrep_on") || has_group && !is_on(facts, "group_replication_single_primary_mode") {
        return Some(
            "several servers take writes there (Galera, or Group Replication with several primaries), which do not see \
             each other's locks: use one primary"
                .to_owned(),
        );
    }
    if has_group && of(facts, "group_replication_consistency") == "EVENTUAL" {
        return Some(
            "group_replication_consistency is EVENTUAL, so a new primary may answer before it has the old one's commits: \
             set it to BEFORE_ON_PRIMARY_FAILOVER"
                .to_owned(),
        );
    }
    // MariaDB's 3 flushes even more often than 1.
    let flush = of(facts, "innodb_flush_log_at_trx_commit");
    if !["1", "3"].contains(&flush) {
        return Some(format!(
            "innodb_flush_log_at_trx_commit is {flush}, so a crash loses changes that were acknowledged: set it to 1"
        ));
    }
    if is_on(facts, "log_bin") && of(facts, "sync_binlog") != "1" {
        return Some(format!(
            "sync_binlog is {}, so a crash loses changes that were acknowledged: set it to 1",
            of(facts, "sync_binlog")
        ));
    }
    if is_on(facts, "log_bin") && of(facts, "binlog_format") == "STATEMENT" {
        return Some(
            "binlog_format is STATEMENT, which refuses the controller's writes: set it to ROW".to_owned(),
        );
    }
    let packet = of(facts, "max_allowed_packet");
    if packet.parse().unwrap_or(0) < PACKET_BYTES_MIN {
        return Some(format!(
            "max_allowed_packet is {packet}, so a rollback of many tenants may not fit: SET GLOBAL max_allowed_packet = \
             {PACKET_BYTES_MIN} or more, and the same in the server's configuration"
        ));
    }
    let isolation = [of(facts, "transaction_isolation"), of(facts, "tx_isolation")];
    let is_set = isolation.contains(&"READ-COMMITTED")
        && of(facts, "sql_mode").contains("ANSI_QUOTES")
        && settings().iter().all(|(name, given)| of(facts, name) == given);
    (!is_set).then(|| {
        "the session does not have the settings that it was given: connect to the server directly, not through a pooler"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server with all settings says, with others for some.
    fn said(others: &[(&str, &str)]) -> Option<String> {
        let usual = [
            ("version", "8.4.3"),
            ("innodb_flush_log_at_trx_commit", "1"),
            ("log_bin", "ON"),
            ("sync_binlog", "1"),
            ("binlog_format", "ROW"),
            ("max_allowed_packet", "67108864"),
            ("transaction_isolation", "READ-COMMITTED"),
            ("sql_mode", "ANSI_QUOTES,STRICT_ALL_TABLES"),
        ];
        let given = settings();
        let given = given.iter().map(|(name, value)| (*name, &**value));
        let all = given.chain(usual).chain(others.iter().copied());
        refusal(&all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    #[test]
    fn the_texts_have_the_limits() {
        let begun = "SET SESSION wait_timeout = 2, net_write_timeout = 2; START TRANSACTION";
        assert_eq!(begin(Size::default()), begun);
        let after = format!("wait_timeout = {IDLE_S}, net_write_timeout = {TAKEN_S}");
        assert!([COMMIT, ROLLBACK].iter().all(|text| text.ends_with(&after)));
    }

    #[test]
    fn servers_that_lose_or_refuse_writes_are_refused() {
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[("version", "10.6.12-MariaDB-log"), ("binlog_format", "MIXED")]), None);
        assert_eq!(said(&[("innodb_flush_log_at_trx_commit", "3")]), None);
        assert_eq!(said(&[("log_bin", "OFF"), ("sync_binlog", "0")]), None);
        let group = [("group_replication_group_name", "a"), ("group_replication_single_primary_mode", "ON")];
        let group = group.into_iter().chain([("group_replication_consistency", "EVENTUAL")]);
        let refused = said(&group.collect::<Vec<_>>()).unwrap_or_default();
        assert!(refused.contains("BEFORE_ON_PRIMARY_FAILOVER"), "{refused:?}");
        for (name, value, says) in [
            ("version", "5.7.44", "too old"),
            ("version", "10.5.20-MariaDB", "too old"),
            ("version", "8.0.11-TiDB-v8.1.0", "tidb"),
            ("version_comment", "(ProxySQL)", "proxysql"),
            ("read_only", "NO_LOCK_NO_ADMIN", "read_only is"),
            ("super_read_only", "ON", "super_read_only is"),
            ("slaves_running", "1", "replicates"),
            ("wsrep_on", "ON", "Galera"),
            ("group_replication_group_name", "a", "Group Replication"),
            ("innodb_flush_log_at_trx_commit", "2", "acknowledged"),
            ("sync_binlog", "0", "acknowledged"),
            ("binlog_format", "STATEMENT", "STATEMENT"),
            ("max_allowed_packet", "16777216", "67108864 or more"),
            ("wait_timeout", "28800", "pooler"),
            ("completion_type", "CHAIN", "pooler"),
            ("transaction_isolation", "REPEATABLE-READ", "pooler"),
            ("sql_mode", "STRICT_ALL_TABLES", "pooler"),
        ] {
            let refused = said(&[(name, value)]).unwrap_or_default();
            assert!(refused.contains(says), "{name} = {value}: {refused:?}");
        }
    }
}
