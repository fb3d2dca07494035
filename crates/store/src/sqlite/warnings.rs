//! What may happen to single records in a table: told before anything moves, and no reason not to use it.

use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::super::{
    mapping::SqlTable,
    sql::{referred, referring},
};

/// One line each.
pub(super) async fn warnings(
    connection: &mut SqliteConnection,
    of: &SqlTable,
) -> Result<Vec<String>, sqlx::Error> {
    let table = of.name.as_str();
    let mut told: Vec<String> = triggers(connection, table)
        .await?
        .into_iter()
        .map(|(trigger, _)| {
            format!(
                "trigger {trigger} runs on Cutover's writes too: a record that it refuses or drops goes to the \
                 quarantine, and one that it changes differs in every comparison"
            )
        })
        .collect();
    let references =
        format!("SELECT DISTINCT \"table\", on_delete, on_update FROM pragma_foreign_key_list('{table}')");
    for row in sqlx::query(AssertSqlSafe(references)).fetch_all(&mut *connection).await? {
        let (parent, delete, update): (String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if [&delete, &update].iter().any(|action| !matches!(action.as_str(), "NO ACTION" | "RESTRICT")) {
            let actions = format!("ON DELETE {delete} and ON UPDATE {update}");
            told.push(referred(&format!("to {parent}"), &parent, &actions));
        }
        told.push(format!(
            "foreign key: a record without its row in {parent} goes to the quarantine. Copy that table first"
        ));
    }
    if !of.has_ledger() {
        return Ok(told);
    }
    told.extend(children(connection, table).await?.iter().map(|(child, _)| referring(child)));
    Ok(told)
}

/// The tables that have a foreign key to this one, and what it does ON DELETE.
pub(super) async fn children(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Vec<(String, String)>, sqlx::Error> {
    let references = format!(
        "SELECT DISTINCT child.name, key.on_delete FROM sqlite_master AS child \
         JOIN pragma_foreign_key_list(child.name) AS key ON key.\"table\" = '{table}' COLLATE NOCASE \
         WHERE child.type = 'table'"
    );
    sqlx::query_as(AssertSqlSafe(references)).fetch_all(connection).await
}

/// Name and text of each trigger, whose table's name was checked.
pub(super) async fn triggers(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Vec<(String, String)>, sqlx::Error> {
    let sql = format!(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}' COLLATE NOCASE \
         ORDER BY name"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
