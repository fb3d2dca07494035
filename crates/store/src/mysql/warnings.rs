//! What may happen to single records in a table: told before anything moves, and no reason not to use it.

use sqlx::{MySql, mysql::MySqlRow};

use super::{
    super::{
        CreatedTrigger, StoreError, Trigger,
        mapping::{ColumnType, Dialect, SqlTable, Versions},
        sql::{Calls, Statement, is_stamping, names_sql, no_foreign_key, referred, referring},
    },
    id_columns::of_table,
    rights::Rights,
    server::text,
};

/// Maps or lists within each other that MariaDB's `json_valid` takes in typed JSON, where each has two levels.
const JSON_LEVELS: usize = 14;

/// One line each.
pub(super) async fn warnings(calls: &Calls<MySql>, table: &SqlTable) -> Result<Vec<String>, StoreError> {
    let mut told = warnings_of(calls, table, None).await?;
    if table.children().is_empty() {
        return Ok(told);
    }
    let rights = Rights::of(calls).await?;
    let of_record = rights.foreign_keys_to(calls, &table.name).await?;
    for child in table.children() {
        let refers = of_record.iter().any(|key| key.referrer.eq_ignore_ascii_case(&child.table));
        if !refers && rights.sees_foreign_keys() {
            told.push(no_foreign_key(Dialect::MySql, table, child));
        }
        told.extend(rights.unseen(&child.table));
        let primary = child.primary().join(",");
        let unique = format!(
            "SELECT index_name, GROUP_CONCAT(column_name ORDER BY seq_in_index) FROM information_schema.statistics {} \
             AND non_unique = 0 GROUP BY index_name",
            of_table(&child.table)
        );
        let unique = rows(calls, unique)
            .await?
            .into_iter()
            .filter(|row| text(row, 0) != "PRIMARY" && !text(row, 1).eq_ignore_ascii_case(&primary));
        told.extend(unique.map(|row| {
            format!(
                "{}: the unique index {} refuses a row that another record still has, and that record goes to the \
                 quarantine",
                child.table,
                text(&row, 0)
            )
        }));
        let of_child = SqlTable { versions: Versions::Columns, ..table.of_child(child) };
        let of_rows = warnings_of(calls, &of_child, Some(&table.name)).await?;
        told.extend(of_rows.into_iter().map(|warning| format!("{}: {warning}", child.table)));
    }
    Ok(told)
}

/// Those of these triggers of the table and its child tables that the database shows: without TRIGGER on them none. A renamed
/// table has taken its triggers along.
pub(super) async fn created(
    calls: &Calls<MySql>,
    table: &SqlTable,
    triggers: &[Trigger],
) -> Result<Vec<CreatedTrigger>, StoreError> {
    let Some(names) = names_sql(triggers) else { return Ok(Vec::new()) };
    let children = table.children().iter().map(|child| &child.table);
    let tables: Vec<String> =
        std::iter::once(&table.name).chain(children).map(|table| format!("'{table}'")).collect();
    let sql = format!(
        "SELECT trigger_name, action_statement FROM information_schema.triggers \
         WHERE trigger_schema = DATABASE() AND trigger_name IN ({names}) AND event_object_table IN ({})",
        tables.join(", ")
    );
    let of = |row| CreatedTrigger { name: text(&row, 0), text: text(&row, 1) };
    Ok(rows(calls, sql).await?.into_iter().map(of).collect())
}

/// `of_record`: the records' table, if this is a child table, whose rows are inserted and deleted.
async fn warnings_of(
    calls: &Calls<MySql>,
    table: &SqlTable,
    of_record: Option<&str>,
) -> Result<Vec<String>, StoreError> {
    let name = &table.name;
    let mut told = Vec::new();
    let unused = match of_record {
        Some(_) => "UPDATE",
        None if table.has_ledger() => "",
        None => "DELETE",
    };
    let triggers = format!(
        "SELECT trigger_name, action_timing, event_manipulation FROM information_schema.triggers \
         WHERE event_object_schema = DATABASE() AND event_object_table = '{name}' \
         AND event_manipulation <> '{unused}' ORDER BY trigger_name"
    );
    for row in rows(calls, triggers).await?.iter().filter(|row| !is_stamping(&text(row, 0))) {
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
         WHERE constraint_schema = DATABASE() AND table_name = '{name}' AND referenced_table_name <> '{}' \
         ORDER BY constraint_name",
        of_record.unwrap_or_default()
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
        let is_own = |name: &String| table.children().iter().any(|own| own.table.eq_ignore_ascii_case(name));
        let names = rows(calls, references).await?.into_iter().map(|row| text(&row, 0));
        told.extend(names.filter(|name| !is_own(name)).map(|name| referring(&name)));
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
    let of_children = table.children().iter().flat_map(|child| {
        let columns: Vec<String> = child.columns().map(|name| format!("`{name}`")).collect();
        let (name, columns) = (&child.table, columns.join(", "));
        [
            format!("EXPLAIN INSERT INTO `{name}` ({columns}) SELECT {columns} FROM `{name}` WHERE FALSE"),
            format!("EXPLAIN DELETE FROM `{name}` WHERE FALSE"),
        ]
    });
    let mut told = Vec::new();
    for sql in of_table.into_iter().chain(of_ledger).chain(of_children) {
        match calls.rows(&Statement::text(sql)).await {
            Err(StoreError::Permanent { field, what, .. }) if field == "user" => told.push(what),
            // Whatever else is wrong with the statement says nothing about privileges.
            Ok(_) | Err(StoreError::Permanent { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(told)
}
