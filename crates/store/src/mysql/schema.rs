//! Checks, before anything is written, whether the table can hold what will be written.

pub(super) mod children;

use sqlx::{MySql, mysql::MySqlRow};

use super::{
    super::{
        StoreError,
        mapping::{ColumnType, Dialect, SqlTable},
        sql::{
            Calls, Faults, KeyKind, Keys, Statement, cascading, check_no_ledger, in_this_database,
            loose_with_ledger, no_ledger, not_beside, of_both, versions_twice,
        },
    },
    column::{Column, needed},
    id_columns::{columns, ids_of, of_table},
    server::text,
    warnings,
};

/// Reports everything that is wrong with the table, its child tables and its ledger, whose names were checked.
pub(super) async fn check(calls: &Calls<MySql>, table: &SqlTable, keys: &Keys) -> Result<(), StoreError> {
    let mut checked = check_one(calls, table, None).await;
    for child in table.children() {
        checked = of_both(checked, children::check(calls, table, child, keys).await);
    }
    let Some(ledger) = table.entries(Dialect::MySql) else {
        let ledger = table.ledger_name();
        return of_both(checked, check_no_ledger(&ledger, has_rows(calls, &ledger).await?));
    };
    if checked.is_ok() && has_rows(calls, &ledger.name).await?.is_none() {
        return Err(no_ledger(Dialect::MySql, table, keys, &ledger.name));
    }
    of_both(checked, check_one(calls, &ledger, Some(keys)).await)
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

/// `of`: the keys of the table whose ledger this is.
async fn check_one(calls: &Calls<MySql>, table: &SqlTable, of: Option<&Keys>) -> Result<(), StoreError> {
    let name = &table.name;
    let columns = columns(calls, name).await?;
    let keys = unique_indexes(calls, name, "").await?;
    let engine = engine(calls, name).await?;
    if columns.is_empty() {
        check_absent(calls, name).await?;
        return Err(StoreError::no_table(name, &in_this_database(other_case(calls, name).await?)));
    }
    let mut faults = Faults::default();
    if let Some(row) = &engine {
        if let Some(fault) = fault_of_kind(row) {
            faults.add(fault);
            return faults.end(&format!("{name:?}"));
        }
        let is_alone = of.is_none() && !table.has_ledger() && table.children().is_empty();
        fault_of_engine(name, row, is_alone).into_iter().for_each(|fault| faults.add(fault));
    }
    for ((id, bytes), definition) in ids_of(table).into_iter().zip(of.map_or([""; 2], Keys::definitions)) {
        let holds = |column: &Column| {
            column.key(bytes).is_some_and(|key| match definition {
                "" => of.is_none() || key.kind == KeyKind::Bytes,
                _ => key.definition == definition,
            })
        };
        let usual = format!("varbinary({bytes})");
        let needed = if definition.is_empty() { &usual } else { definition };
        need(&mut faults, &columns, table, id, &holds, needed, Some(false));
        let found = columns.iter().find(|column| column.name.eq_ignore_ascii_case(id));
        let key = found.and_then(|column| column.key(bytes));
        if let Some(key) = key.filter(|key| table.has_ledger() && key.kind == KeyKind::Loose) {
            faults.add(loose_with_ledger(id, &key.definition));
        }
    }
    let holds = |column: &Column| column.holds(ColumnType::Bigint);
    if !table.has_ledger() {
        need(&mut faults, &columns, table, &table.fields.version, &holds, "bigint", Some(false));
    }
    for (column, kind) in table.own_content() {
        let labels = table.labels(column);
        let holds = |column: &Column| {
            column.holds(kind) || column.has_labels(kind, labels) || column.narrow(kind).is_some()
        };
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
        let is_own = |row: &&MySqlRow| {
            table.children().iter().any(|own| own.table.eq_ignore_ascii_case(&text(row, 0)))
        };
        for row in calls.rows(&Statement::text(children)).await?.iter().filter(|row| !is_own(row)) {
            faults.add(cascading(&text(row, 0), &text(row, 1), &text(row, 2)));
        }
    }
    for (constraint, clause) in warnings::checks(calls, name).await {
        if let Some(fault) = fault_of_check(calls, table, &columns, &constraint, &clause).await {
            faults.add(fault);
        }
    }
    faults.end(&format!("{name:?}"))
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
        // By a default, all rows would belong to one record.
        if table.ids().contains(&name) {
            faults.add(format!("it has no column {name}: add it as {needed} NOT NULL, and fill it"));
            return;
        }
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

/// The fault of a CHECK that refuses text which is not JSON.
fn fault_of_json(table: &SqlTable, clause: &str) -> Option<String> {
    let is_text = |kind| matches!(kind, ColumnType::Text | ColumnType::Varchar(_));
    let mut content = table.content().into_iter();
    let (column, _) =
        content.find(|(column, kind)| is_text(*kind) && warnings::is_json_check(clause, column))?;
    Some(format!(
        "CHECK ({clause}) of column {column} refuses text that is not JSON. Run: ALTER TABLE `{}` MODIFY `{column}` \
         longtext CHARACTER SET utf8mb4",
        table.name
    ))
}

/// What a CHECK refuses although the mapping writes it: deleted records, and text that is not JSON.
async fn fault_of_check(
    calls: &Calls<MySql>,
    table: &SqlTable,
    columns: &[Column],
    constraint: &str,
    clause: &str,
) -> Option<String> {
    if let Some(fault) = fault_of_json(table, clause) {
        return Some(fault);
    }
    if table.has_ledger() {
        return None;
    }
    // The clause of a tombstone's row. One that needs other columns, or that the server does not print as SQL,
    // says nothing.
    let ids = ids_of(table).into_iter().map(|(id, bytes)| {
        let found = columns.iter().find(|column| column.name.eq_ignore_ascii_case(id));
        let value = match found.and_then(|column| column.key(bytes)).unwrap_or_default().kind {
            KeyKind::Integer { .. } => "1",
            KeyKind::Uuid => "x'ffffffffffff4fff8fffffffffffffff'",
            _ => "x'74'",
        };
        format!("{value} AS `{id}`")
    });
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

/// Name and columns of each unique index. A part of a column, or an expression, is named otherwise. `and`: a further
/// condition.
async fn unique_indexes(
    calls: &Calls<MySql>,
    table: &str,
    and: &str,
) -> Result<Vec<(String, String)>, StoreError> {
    let of_table = of_table(table);
    let keys = format!(
        "SELECT index_name, GROUP_CONCAT(CONCAT(COALESCE(column_name, '(..)'), IF(sub_part IS NULL, '', '(..)')) \
         ORDER BY seq_in_index) FROM information_schema.statistics {of_table} AND non_unique = 0 {and} \
         GROUP BY index_name"
    );
    let keys = calls.rows(&Statement::text(keys)).await?;
    Ok(keys.iter().map(|row| (text(row, 0), text(row, 1))).collect())
}

/// Kind, engine, and whether that has transactions.
async fn engine(calls: &Calls<MySql>, table: &str) -> Result<Option<MySqlRow>, StoreError> {
    let engine = format!(
        "SELECT t.table_type, t.engine, e.transactions FROM information_schema.tables AS t \
         LEFT JOIN information_schema.engines AS e ON e.engine = t.engine {}",
        of_table(table).replace("table_", "t.table_")
    );
    Ok(calls.rows(&Statement::text(engine)).await?.pop())
}

/// The catalogue does not show tables that the user may not read. The server says so.
async fn check_absent(calls: &Calls<MySql>, table: &str) -> Result<(), StoreError> {
    match calls.rows(&Statement::text(format!("SELECT 1 FROM `{table}` LIMIT 0"))).await {
        Err(StoreError::Permanent { field, .. }) if field == "table" => Ok(()),
        asked => asked.map(drop),
    }
}

fn fault_of_kind(row: &MySqlRow) -> Option<String> {
    let kind = text(row, 0);
    (kind != "BASE TABLE").then(|| format!("it is a {}: name the table behind it", kind.to_ascii_lowercase()))
}

/// Only an engine with transactions executes a batch as a whole or not at all. Partitions use their table's
/// engine. `is_alone`: no statement reads another table as well.
fn fault_of_engine(table: &str, row: &MySqlRow, is_alone: bool) -> Option<String> {
    let (engine, transactions) = (text(row, 1), text(row, 2));
    let fault = match transactions.as_str() {
        "YES" if is_alone || engine.eq_ignore_ascii_case("InnoDB") => return None,
        "YES" => "and a statement that reads several tables may find them at different moments",
        _ => "which has no transactions: an interrupted write may be half done",
    };
    Some(format!("it has the engine {engine}, {fault}. Run: ALTER TABLE `{table}` ENGINE = InnoDB"))
}
