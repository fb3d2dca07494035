//! What may happen to single records in a table: told before anything moves, and no reason not to use it.

use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::super::{
    CreatedTrigger, Trigger,
    mapping::{Dialect, SqlTable},
    sql::{is_stamping, names_sql, no_foreign_key, referred, referring},
};

/// One line each.
pub(super) async fn warnings(
    connection: &mut SqliteConnection,
    of: &SqlTable,
) -> Result<Vec<String>, sqlx::Error> {
    let table = of.name.as_str();
    let mut told = warnings_of(connection, table, None).await?;
    let referrers = children(connection, table).await?;
    for child in of.children() {
        let is_it = |(referrer, _): &(String, String)| referrer.eq_ignore_ascii_case(&child.table);
        if !referrers.iter().any(is_it) {
            told.push(no_foreign_key(Dialect::Sqlite, of, child));
        }
        let of_rows = warnings_of(connection, &child.table, Some(table)).await?;
        told.extend(of_rows.into_iter().map(|warning| format!("{}: {warning}", child.table)));
    }
    if !of.has_ledger() {
        return Ok(told);
    }
    let is_own = |table: &str| of.children().iter().any(|own| own.table.eq_ignore_ascii_case(table));
    told.extend(referrers.iter().filter(|(child, _)| !is_own(child)).map(|(child, _)| referring(child)));
    Ok(told)
}

/// What its triggers and foreign keys may do, but for those to its record's table.
async fn warnings_of(
    connection: &mut SqliteConnection,
    table: &str,
    of_record: Option<&str>,
) -> Result<Vec<String>, sqlx::Error> {
    let mut told: Vec<String> = triggers(connection, table)
        .await?
        .into_iter()
        .filter(|(trigger, _)| !is_stamping(trigger))
        .map(|(trigger, _)| {
            format!(
                "trigger {trigger} runs on Cutover's writes too: a record that it refuses or drops goes to the \
                 quarantine, and one that it changes differs in every comparison"
            )
        })
        .collect();
    let references =
        format!("SELECT DISTINCT \"table\", on_delete, on_update FROM pragma_foreign_key_list('{table}')");
    for row in sqlx::query(AssertSqlSafe(references)).fetch_all(connection).await? {
        let (parent, delete, update): (String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if of_record.is_some_and(|record| record.eq_ignore_ascii_case(&parent)) {
            continue;
        }
        if [&delete, &update].iter().any(|action| !matches!(action.as_str(), "NO ACTION" | "RESTRICT")) {
            let actions = format!("ON DELETE {delete} and ON UPDATE {update}");
            told.push(referred(&format!("to {parent}"), &parent, &actions));
        }
        told.push(format!(
            "foreign key: a record without its row in {parent} goes to the quarantine. Copy that table first"
        ));
    }
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

/// Those of these triggers that the file has.
pub(super) async fn created(
    connection: &mut SqliteConnection,
    triggers: &[Trigger],
) -> Result<Vec<CreatedTrigger>, sqlx::Error> {
    let Some(names) = names_sql(triggers) else { return Ok(Vec::new()) };
    let sql = format!("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name IN ({names})");
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await?;
    rows.iter().map(|row| Ok(CreatedTrigger { name: row.try_get(0)?, text: row.try_get(1)? })).collect()
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
