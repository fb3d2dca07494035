//! What may happen to single records in a table: told before anything moves, and no reason not to use it.

use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::super::{mapping::SqlTable, sql::referring};

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
    let references = format!("SELECT DISTINCT \"table\" FROM pragma_foreign_key_list('{table}')");
    for row in sqlx::query(AssertSqlSafe(references)).fetch_all(&mut *connection).await? {
        let parent: String = row.try_get(0)?;
        told.push(format!(
            "foreign key: a record without its row in {parent} goes to the quarantine. Copy that table first"
        ));
    }
    if of.ledger().is_none() {
        return Ok(told);
    }
    let references = format!(
        "SELECT DISTINCT child.name FROM sqlite_master AS child JOIN pragma_foreign_key_list(child.name) AS key \
         ON key.\"table\" = '{table}' COLLATE NOCASE WHERE child.type = 'table'"
    );
    for row in sqlx::query(AssertSqlSafe(references)).fetch_all(connection).await? {
        told.push(referring(&row.try_get::<String, _>(0)?));
    }
    Ok(told)
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
