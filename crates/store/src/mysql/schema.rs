//! Checks, before anything is written, whether the table can hold what will be written.

use sqlx::{MySql, mysql::MySqlRow};

use super::{
    super::{
        Id, KEY_MAX_BYTES, StoreError,
        mapping::{ColumnType, Dialect, SqlTable},
        sql::{
            Calls, Faults, Length, Statement, cascading, check_lengths, check_no_ledger, ending_blank,
            in_this_database, no_ledger, not_beside, of_both, versions_twice,
        },
    },
    column::{Column, needed},
    server::text,
    warnings,
};
use cutover_core::routing::TENANT_MAX_BYTES;

/// Reports everything that is wrong with the table and its ledger, whose names were checked.
pub(super) async fn check(calls: &Calls<MySql>, table: &SqlTable) -> Result<(), StoreError> {
    let checked = check_one(calls, table).await;
    let Some(ledger) = table.entries(Dialect::MySql) else {
        let ledger = table.ledger_name();
        return of_both(checked, check_no_ledger(&ledger, has_rows(calls, &ledger).await?));
    };
    if checked.is_ok() && has_rows(calls, &ledger.name).await?.is_none() {
        return Err(no_ledger(Dialect::MySql, table, &ledger.name));
    }
    of_both(checked, check_one(calls, &ledger).await)
}

/// Whether the table has a row; `None`: there is no such table.
pub(super) async fn has_rows(calls: &Calls<MySql>, table: &str) -> Result<Option<bool>, StoreError> {
    let exists = format!(
        "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = '{table}'"
    );
    if calls.rows(&Statement::text(exists)).await?.is_empty() {
        return Ok(None);
    }
    Ok(Some(!calls.rows(&Statement::text(format!("SELECT 1 FROM `{table}` LIMIT 1"))).await?.is_empty()))
}

/// A table whose name differs only in case.
async fn other_case(calls: &Calls<MySql>, table: &str) -> Result<Option<String>, StoreError> {
    let sql = format!(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() \
         AND LOWER(table_name) = LOWER('{table}')"
    );
    let found = calls.rows(&Statement::text(sql)).await?;
    Ok(found.iter().map(|row| text(row, 0)).find(|other| other != table))
}

/// Whether the table can be created. No privilege is needed for one that exists.
///
/// # Errors
///
/// There is one whose name differs only in case.
pub(super) async fn is_free(calls: &Calls<MySql>, table: &str) -> Result<bool, StoreError> {
    if has_rows(calls, table).await?.is_some() {
        return Ok(false);
    }
    other_case(calls, table).await?.map_or(Ok(true), |other| Err(not_beside(table, &other)))
}

async fn check_one(calls: &Calls<MySql>, table: &SqlTable) -> Result<(), StoreError> {
    let name = &table.name;
    let of_table = format!("WHERE table_schema = DATABASE() AND table_name = '{name}'");
    let columns = format!(
        "SELECT column_name, data_type, CAST(character_maximum_length AS CHAR), is_nullable, column_type, \
         column_default IS NOT NULL OR extra LIKE '%auto_increment%', CAST(numeric_precision AS CHAR), \
         CAST(numeric_scale AS CHAR), character_set_name, generation_expression, \
         collation_name, column_comment <> '' OR NULLIF(column_default, 'NULL') IS NOT NULL \
         FROM information_schema.columns {of_table}"
    );
    let columns: Vec<Column> = calls.rows(&Statement::text(columns)).await?.iter().map(Column::of).collect();
    let keys = format!(
        "SELECT index_name, GROUP_CONCAT(CONCAT(column_name, IF(sub_part IS NULL, '', '(..)')) \
         ORDER BY seq_in_index) FROM information_schema.statistics {of_table} AND non_unique = 0 \
         GROUP BY index_name"
    );
    let keys = calls.rows(&Statement::text(keys)).await?;
    let engine = format!(
        "SELECT t.table_type, t.engine, e.transactions FROM information_schema.tables AS t \
         LEFT JOIN information_schema.engines AS e ON e.engine = t.engine {}",
        of_table.replace("table_", "t.table_")
    );
    let engine = calls.rows(&Statement::text(engine)).await?;
    if columns.is_empty() {
        // The catalogue does not show tables that the user may not read. The server says so.
        calls.rows(&Statement::text(format!("SELECT 1 FROM `{name}` LIMIT 0"))).await.or_else(|error| {
            let is_absent = matches!(&error, StoreError::Permanent { field, .. } if field == "table");
            if is_absent { Ok(Vec::new()) } else { Err(error) }
        })?;
        return Err(StoreError::no_table(name, &in_this_database(other_case(calls, name).await?)));
    }
    let mut faults = Faults::default();
    if let Some(row) = engine.first() {
        let kind = text(row, 0);
        if kind != "BASE TABLE" {
            faults.add(format!("it is a {}: name the table behind it", kind.to_ascii_lowercase()));
            return faults.end(&format!("{name:?}"));
        }
        fault_of_engine(name, row).into_iter().for_each(|fault| faults.add(fault));
    }
    let ids = table.ids().into_iter().zip([TENANT_MAX_BYTES, KEY_MAX_BYTES]);
    // Ids must be compared byte by byte, including trailing blanks: most collations do neither, and `utf8mb4_bin` not
    // the second.
    for (id, bytes) in ids {
        let holds = |column: &Column| {
            column.kind == "varbinary" && column.most >= bytes as u64 || column.is_binary_text()
        };
        need(&mut faults, &columns, table, id, &holds, &format!("varbinary({bytes})"), Some(false));
    }
    let holds = |column: &Column| column.holds(ColumnType::Bigint);
    if !table.has_ledger() {
        need(&mut faults, &columns, table, &table.fields.version, &holds, "bigint", Some(false));
    }
    for (column, kind) in table.own_content() {
        let labels = table.labels(column);
        let holds = |column: &Column| column.holds(kind) || column.has_labels(kind, labels);
        let needed = needed(kind, labels);
        need(&mut faults, &columns, table, column, &holds, &needed, table.needs_null(column));
    }
    for column in columns.iter().filter(|column| !column.nullable && !column.fills_itself) {
        if !table.has(&column.name) && !column.is_generated {
            faults.add(format!(
                "column {} is NOT NULL and has no default: map it, give it a default, or let it be NULL. {}",
                column.name,
                column.modify(name, &column.definition(), true)
            ));
        }
    }
    let keys: Vec<_> = keys.iter().map(|row| (text(row, 0), text(row, 1))).collect();
    let ids = table.ids().join(",");
    if !keys.iter().any(|(name, columns)| name == "PRIMARY" && columns.eq_ignore_ascii_case(&ids)) {
        faults
            .add(format!("its primary key is not ({ids}): make it that, or name other columns in the spec"));
    }
    for (index, _) in keys.iter().filter(|(name, _)| name != "PRIMARY") {
        // An upsert would replace a record that is equal in that index instead of the intended one.
        faults.add(format!(
            "{index} is a second unique index, so a write could replace another record. Run: ALTER TABLE \
             `{name}` DROP INDEX `{index}`"
        ));
    }
    if table.has_ledger() {
        let fields = [&table.fields.version, &table.fields.deleted];
        for column in
            columns.iter().filter(|column| fields.iter().any(|it| it.eq_ignore_ascii_case(&column.name)))
        {
            faults.add(versions_twice(&column.name));
        }
        let children = format!(
            "SELECT table_name, constraint_name, delete_rule FROM information_schema.referential_constraints \
             WHERE unique_constraint_schema = DATABASE() AND referenced_table_name = '{name}' \
             AND delete_rule NOT IN ('RESTRICT', 'NO ACTION') ORDER BY table_name, constraint_name"
        );
        for row in &calls.rows(&Statement::text(children)).await? {
            faults.add(cascading(&text(row, 0), &text(row, 1), &text(row, 2)));
        }
    }
    for (constraint, clause) in warnings::checks(calls, name).await {
        if let Some(fault) = fault_of_check(calls, table, &constraint, &clause).await {
            faults.add(fault);
        }
    }
    faults.end(&format!("{name:?}"))
}

/// Those of the columns of tenant and key that are text.
pub(super) async fn text_ids(calls: &Calls<MySql>, table: &SqlTable) -> Result<Vec<String>, StoreError> {
    let texts = lengths(calls, table).await?;
    let is_text = |id: &&str| texts.iter().any(|(text, _)| text.eq_ignore_ascii_case(id));
    Ok(table.ids().into_iter().filter(is_text).map(str::to_owned).collect())
}

/// The table's columns of text, with their lengths as they are now.
async fn lengths(calls: &Calls<MySql>, table: &SqlTable) -> Result<Vec<Length>, StoreError> {
    let columns = format!(
        "SELECT column_name, CAST(character_maximum_length AS CHAR) FROM information_schema.columns \
         WHERE table_schema = DATABASE() AND table_name = '{}' AND data_type IN ('varchar', 'char')",
        table.name
    );
    let rows = calls.rows(&Statement::text(columns)).await?;
    Ok(rows.iter().map(|row| (text(row, 0), text(row, 1).parse().unwrap_or(usize::MAX))).collect())
}

/// Refuses ids of which the table or its ledger would cut the blanks at the end.
pub(super) async fn check_ids(
    calls: &Calls<MySql>,
    table: &SqlTable,
    ids: impl Iterator<Item = &Id>,
) -> Result<(), StoreError> {
    let ids = ending_blank(ids);
    if ids.is_empty() {
        return Ok(());
    }
    check_lengths(table, &lengths(calls, table).await?, &ids)?;
    let Some(ledger) = table.entries(Dialect::MySql) else { return Ok(()) };
    check_lengths(&ledger, &lengths(calls, &ledger).await?, &ids)
}

/// One of the columns that are written.
fn need(
    faults: &mut Faults,
    columns: &[Column],
    table: &SqlTable,
    name: &str,
    holds: &dyn Fn(&Column) -> bool,
    needed: &str,
    demanded: Option<bool>,
) {
    let of = &table.name;
    let found = columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
    // If either will do, as it is.
    let nullable = demanded.unwrap_or_else(|| found.is_none_or(|column| column.nullable));
    let null = if nullable { "NULL" } else { "NOT NULL" };
    let Some(column) = found else {
        let default = if nullable { "" } else { " DEFAULT 0" };
        faults.add(format!(
            "it has no column {name}. Run: ALTER TABLE `{of}` ADD COLUMN `{name}` {needed} {null}{default}"
        ));
        return;
    };
    if column.is_generated {
        faults.add(format!(
            "column {name} is generated and takes no value: remove it from the mapping, or make it an ordinary \
             column. {}",
            column.modify(of, &column.definition(), nullable)
        ));
    } else if !holds(column) {
        let modify = column.modify(of, needed, nullable);
        faults.add(format!("column {name} is {} and has to be {needed}. {modify}", column.shown()));
    } else if column.nullable != nullable {
        let has = if nullable { "allow NULL: deleted records have no content" } else { "be NOT NULL" };
        let modify = column.modify(of, &column.definition(), nullable);
        faults.add(format!("column {name} has to {has}. {modify}"));
    }
}

/// What a CHECK refuses although the mapping writes it: deleted records, and text that is not JSON.
async fn fault_of_check(
    calls: &Calls<MySql>,
    table: &SqlTable,
    constraint: &str,
    clause: &str,
) -> Option<String> {
    let is_text = |kind| matches!(kind, ColumnType::Text | ColumnType::Varchar(_));
    let mut content = table.content().into_iter();
    let json = content.find(|(column, kind)| is_text(*kind) && warnings::is_json_check(clause, column));
    if let Some((column, _)) = json {
        return Some(format!(
            "CHECK ({clause}) of column {column} refuses text that is not JSON. Run: ALTER TABLE `{}` MODIFY \
             `{column}` longtext CHARACTER SET utf8mb4",
            table.name
        ));
    }
    if table.has_ledger() {
        return None;
    }
    // The clause of a tombstone's row. One that needs other columns, or that the server does not print as SQL,
    // says nothing.
    let ids = table.ids().into_iter().map(|id| format!("x'74' AS `{id}`"));
    let content = table.content().into_iter().map(|(column, _)| {
        let value = if table.is_nullable(column) { "NULL" } else { "TRUE" };
        format!("{value} AS `{column}`")
    });
    let version = format!("1 AS `{}`", table.fields.version);
    let row: Vec<String> = ids.chain([version]).chain(content).collect();
    let asked =
        format!("SELECT CAST(({clause}) AS SIGNED) FROM (SELECT {}) AS row_of_tombstone", row.join(", "));
    let answer = calls.rows(&Statement::text(asked)).await.ok()?;
    (text(answer.first()?, 0) == "0").then(|| {
        format!(
            "{constraint}, CHECK ({clause}), refuses deleted records, whose columns are NULL: let it allow NULL, \
             or drop it"
        )
    })
}

/// Only an engine with transactions executes a batch as a whole or not at all. Partitions use their table's
/// engine.
fn fault_of_engine(table: &str, row: &MySqlRow) -> Option<String> {
    let (engine, transactions) = (text(row, 1), text(row, 2));
    (transactions != "YES").then(|| {
        format!(
            "it has the engine {engine}, which has no transactions: an interrupted write may be half done. Run: \
             ALTER TABLE `{table}` ENGINE = InnoDB"
        )
    })
}
