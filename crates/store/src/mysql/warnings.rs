//! What may happen to single records in a table: told before anything moves, and no reason not to use it.

use sqlx::{MySql, mysql::MySqlRow};

use super::{
    super::{
        StoreError,
        mapping::{ColumnType, SqlTable},
        sql::{Calls, Statement, referred, referring},
    },
    server::text,
};

/// Maps or lists within each other that MariaDB's `json_valid` takes in typed JSON, where each has two levels.
const JSON_LEVELS: usize = 14;

/// One line each.
pub(super) async fn warnings(calls: &Calls<MySql>, table: &SqlTable) -> Result<Vec<String>, StoreError> {
    let name = &table.name;
    let mut told = Vec::new();
    let triggers = format!(
        "SELECT trigger_name, action_timing, event_manipulation FROM information_schema.triggers \
         WHERE event_object_schema = DATABASE() AND event_object_table = '{name}' \
         AND event_manipulation <> '{}' ORDER BY trigger_name",
        if table.has_ledger() { "" } else { "DELETE" }
    );
    for row in &rows(calls, triggers).await? {
        told.push(format!(
            "trigger {} runs {} {}, on Cutover's writes too: a record that it refuses goes to the quarantine, and one \
             that it changes differs in every comparison",
            text(row, 0),
            text(row, 1),
            text(row, 2)
        ));
    }
    let references = format!(
        "SELECT constraint_name, referenced_table_name, delete_rule, update_rule \
         FROM information_schema.referential_constraints \
         WHERE constraint_schema = DATABASE() AND table_name = '{name}' ORDER BY constraint_name"
    );
    for row in &rows(calls, references).await? {
        let acts = |at: usize| !matches!(text(row, at).as_str(), "RESTRICT" | "NO ACTION");
        if acts(2) || acts(3) {
            let actions = format!("ON DELETE {} and ON UPDATE {}", text(row, 2), text(row, 3));
            told.push(referred(&text(row, 0), &text(row, 1), &actions));
        }
        told.push(format!(
            "foreign key {}: a record without its row in {} goes to the quarantine. Copy that table first",
            text(row, 0),
            text(row, 1)
        ));
    }
    if table.has_ledger() {
        let references = format!(
            "SELECT DISTINCT table_name FROM information_schema.referential_constraints \
             WHERE unique_constraint_schema = DATABASE() AND referenced_table_name = '{name}' ORDER BY table_name"
        );
        told.extend(rows(calls, references).await?.iter().map(|row| referring(&text(row, 0))));
    }
    let partitions = format!(
        "SELECT partition_method FROM information_schema.partitions WHERE table_schema = DATABASE() \
         AND table_name = '{name}' AND (partition_method LIKE 'RANGE%' OR partition_method LIKE 'LIST%') \
         GROUP BY partition_method HAVING SUM(partition_description LIKE '%MAXVALUE%' \
         OR partition_description = 'DEFAULT') = 0"
    );
    for row in &rows(calls, partitions).await? {
        told.push(format!(
            "PARTITION BY {}: no partition takes everything, and a record that none takes goes to the \
             quarantine. Add one with MAXVALUE or DEFAULT",
            text(row, 0)
        ));
    }
    for (constraint, clause) in checks(calls, name).await {
        let mut content = table.content().into_iter();
        let is_json = |kind| matches!(kind, ColumnType::Json | ColumnType::Jsonb);
        let json = content.find(|(column, kind)| is_json(*kind) && is_json_check(&clause, column));
        told.push(match json {
            Some((column, _)) => format!(
                "column {column} is JSON here, which has few levels: a record with more than {JSON_LEVELS} maps or lists \
                 within each other goes to the quarantine. Make it longtext without CHECK"
            ),
            None => {
                format!("{constraint}, CHECK ({clause}): a record that it refuses goes to the quarantine")
            }
        });
    }
    Ok(told)
}

async fn rows(calls: &Calls<MySql>, sql: String) -> Result<Vec<MySqlRow>, StoreError> {
    calls.rows(&Statement::text(sql)).await
}

/// Name and clause of each CHECK; none on a server that has none.
pub(super) async fn checks(calls: &Calls<MySql>, table: &str) -> Vec<(String, String)> {
    // The comments are MariaDB's and MySQL's own conditions.
    let sql = format!(
        "SELECT c.constraint_name, c.check_clause FROM information_schema.check_constraints AS c \
         WHERE c.constraint_schema = DATABASE() /*M! AND c.table_name = '{table}' */ \
         /*!80016 AND EXISTS (SELECT 1 FROM information_schema.table_constraints AS t \
         WHERE t.constraint_schema = c.constraint_schema AND t.constraint_name = c.constraint_name \
         AND t.table_name = '{table}') */ ORDER BY c.constraint_name"
    );
    let rows = calls.rows(&Statement::text(sql)).await.unwrap_or_default();
    rows.iter().map(|row| (text(row, 0), text(row, 1))).collect()
}

/// MariaDB's type JSON is a text with this CHECK.
pub(super) fn is_json_check(clause: &str, column: &str) -> bool {
    clause.to_ascii_lowercase() == format!("json_valid(`{}`)", column.to_ascii_lowercase())
}

/// The statements of a write are explained, not executed: that takes the same privileges.
pub(super) async fn missing_privileges(
    calls: &Calls<MySql>,
    table: &SqlTable,
) -> Result<Vec<String>, StoreError> {
    let columns: Vec<String> = table.columns().map(|name| format!("`{name}`")).collect();
    // Only with a ledger does a statement set the key, to what it is.
    let ids = table.ids().len() - usize::from(table.has_ledger());
    let same: Vec<String> = columns[ids..].iter().map(|column| format!("{column} = {column}")).collect();
    let (name, columns) = (&table.name, columns.join(", "));
    let of_ledger = table.ledger().into_iter().flat_map(|ledger| {
        [
            format!("EXPLAIN DELETE FROM `{name}` WHERE FALSE"),
            format!("EXPLAIN INSERT INTO `{ledger}` SELECT * FROM `{ledger}` WHERE FALSE"),
            format!("EXPLAIN UPDATE `{ledger}` SET version = version WHERE FALSE"),
        ]
    });
    let of_table = [
        format!("EXPLAIN INSERT INTO `{name}` ({columns}) SELECT {columns} FROM `{name}` WHERE FALSE"),
        format!("EXPLAIN UPDATE `{name}` SET {} WHERE FALSE", same.join(", ")),
    ];
    let mut told = Vec::new();
    for sql in of_table.into_iter().chain(of_ledger) {
        match calls.rows(&Statement::text(sql)).await {
            Err(StoreError::Permanent { field, what, .. }) if field == "user" => told.push(what),
            // Whatever else is wrong with the statement says nothing about privileges.
            Ok(_) | Err(StoreError::Permanent { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(told)
}
