//! Checks, before anything is written, whether the table can hold what will be written.

mod children;

use std::path::Path;

use sqlx::{AssertSqlSafe, Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    super::{
        StoreError,
        mapping::{ColumnType, Dialect, SqlTable, sql_type},
        sql::{Faults, Keys, cascading, check_no_ledger, no_ledger, of_both, versions_twice},
    },
    affinity::keeps,
    keys::types_of,
    shown, warnings,
};

/// Reports everything that is wrong with the table and its ledger, whose names were checked. The outer `Err`: the
/// file could not be read.
pub(super) async fn check(
    connection: &mut SqliteConnection,
    path: &Path,
    table: &SqlTable,
    keys: &Keys,
) -> Result<Result<(), StoreError>, sqlx::Error> {
    let mut checked = check_one(connection, path, table, keys).await?;
    for child in table.children() {
        checked = of_both(checked, children::check(connection, path, table, child, keys).await?);
    }
    let Some(ledger) = table.entries(Dialect::Sqlite) else {
        let ledger = table.ledger_name();
        return Ok(of_both(checked, check_no_ledger(&ledger, has_rows(connection, &ledger).await?)));
    };
    if checked.is_ok() && has_rows(connection, &ledger.name).await?.is_none() {
        return Ok(Err(no_ledger(Dialect::Sqlite, table, keys, &ledger.name)));
    }
    Ok(of_both(checked, check_one(connection, path, &ledger, keys).await?))
}

/// Whether the table has a row; `None`: there is no such table.
pub(super) async fn has_rows(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Option<bool>, sqlx::Error> {
    let exists = format!("SELECT 1 FROM sqlite_master WHERE name = '{table}' COLLATE NOCASE");
    if sqlx::query(AssertSqlSafe(exists)).fetch_optional(&mut *connection).await?.is_none() {
        return Ok(None);
    }
    let first = sqlx::query(AssertSqlSafe(format!("SELECT 1 FROM `{table}` LIMIT 1")));
    Ok(Some(first.fetch_optional(connection).await?.is_some()))
}

/// Whether the column is compared byte by byte: how it is compared with a text is in the plan of such a question.
pub(super) async fn is_binary(
    connection: &mut SqliteConnection,
    table: &str,
    column: &str,
) -> Result<bool, sqlx::Error> {
    let plan = format!("EXPLAIN SELECT `{column}` = 'x' FROM `{table}`");
    let rows = sqlx::query(AssertSqlSafe(plan)).fetch_all(connection).await?;
    let collation =
        rows.iter().filter(|row| matches!(text(row, 1).as_str(), "Eq" | "Ne")).map(|row| text(row, 5));
    Ok(collation.into_iter().all(|collation| collation.is_empty() || collation.starts_with("BINARY")))
}

/// `keys`: of the records' table, also for its ledger.
async fn check_one(
    connection: &mut SqliteConnection,
    path: &Path,
    table: &SqlTable,
    keys: &Keys,
) -> Result<Result<(), StoreError>, sqlx::Error> {
    let name = &table.name;
    let columns = columns(connection, name).await?;
    let encoding: String = sqlx::query_scalar("PRAGMA encoding").fetch_one(&mut *connection).await?;
    let is_view = is_view(connection, name).await?;
    let path = shown(path);
    let path = path.display();
    if columns.is_empty() {
        return Ok(Err(StoreError::no_table(name, &format!("in {path}: create it, or name another one"))));
    }
    let mut faults = Faults::default();
    if is_view {
        faults.add(VIEW);
        return Ok(faults.end(&format!("{name:?} in {path}")));
    }
    let mut fault =
        |column: &str, kind, nullable| need(&mut faults, &columns, name, (column, kind), nullable);
    table.ids().into_iter().zip(types_of(keys)).for_each(|(id, kind)| fault(id, kind, Some(false)));
    if !table.has_ledger() {
        fault(&table.fields.version, ColumnType::Bigint, Some(false));
    }
    table.own_content().into_iter().for_each(|(name, kind)| fault(name, kind, table.needs_null(name)));
    unfilled(&mut faults, &columns, |column| table.has(column));
    let ids = table.ids();
    keyed(connection, &mut faults, &columns, name, (&ids, &ids)).await?;
    if table.has_ledger() {
        for column in [&table.fields.version, &table.fields.deleted] {
            if found(&columns, column).is_some() {
                faults.add(versions_twice(column));
            }
        }
        for (child, action) in warnings::children(connection, name).await? {
            let is_own = table.children().iter().any(|own| own.table.eq_ignore_ascii_case(&child));
            if !is_own && !matches!(action.as_str(), "NO ACTION" | "RESTRICT") {
                faults.add(cascading(&child, "(without a name)", &action));
            }
        }
    }
    // Compared byte by byte, UTF-16 text has another order than in all other stores.
    if encoding != "UTF-8" {
        faults.add(format!(
            "the file has texts in {encoding} and needs them in UTF-8 (PRAGMA encoding): create another file"
        ));
    }
    failing(connection, &mut faults, name).await?;
    Ok(faults.end(&format!("{name:?} in {path}")))
}

/// Name, type, whether it is NOT NULL, whether it fills itself, and whether it is generated.
async fn columns(connection: &mut SqliteConnection, table: &str) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let number = numbers_itself(table);
    let columns = format!(
        "SELECT name, type, \"notnull\" OR name = ({number}), \
         dflt_value IS NOT NULL OR hidden IN (2, 3) OR name = ({number}), hidden IN (2, 3) \
         FROM pragma_table_xinfo('{table}')"
    );
    sqlx::query(AssertSqlSafe(columns)).fetch_all(connection).await
}

/// The query for the column that is the INTEGER PRIMARY KEY. It is never NULL, and has no index of its own. One that has an index
/// is an ordinary column: `INTEGER PRIMARY KEY DESC`, and those of tables WITHOUT ROWID.
pub(super) fn numbers_itself(table: &str) -> String {
    format!(
        "SELECT max(name) FROM pragma_table_xinfo('{table}') WHERE pk > 0 AND NOT EXISTS \
         (SELECT 1 FROM pragma_index_list('{table}') WHERE origin = 'pk') \
         HAVING count(*) = 1 AND upper(max(type)) = 'INTEGER'"
    )
}

const VIEW: &str = "it is a view: name the table behind it";

async fn is_view(connection: &mut SqliteConnection, table: &str) -> Result<bool, sqlx::Error> {
    let kind = format!("SELECT type FROM sqlite_master WHERE name = '{table}' COLLATE NOCASE");
    let kind: Option<String> = sqlx::query_scalar(AssertSqlSafe(kind)).fetch_optional(connection).await?;
    Ok(kind.as_deref() == Some("view"))
}

/// Triggers whose errors keep what was written.
async fn failing(
    connection: &mut SqliteConnection,
    faults: &mut Faults,
    table: &str,
) -> Result<(), sqlx::Error> {
    for (trigger, body) in warnings::triggers(connection, table).await? {
        let body: String = body.to_ascii_lowercase().split_whitespace().collect();
        if body.contains("raise(fail") {
            faults.add(format!(
                "trigger {trigger} uses RAISE(FAIL), which reports an error and keeps what was written. Let it \
                 use RAISE(ABORT)"
            ));
        }
    }
    Ok(())
}

/// What to do about what is wrong with a column.
const AGAIN: &str = "SQLite can't alter that: create the table again and copy its rows";

/// One of the columns that are written.
fn need(
    faults: &mut Faults,
    columns: &[SqliteRow],
    table: &str,
    (column, kind): (&str, ColumnType),
    nullable: Option<bool>,
) {
    match found(columns, column) {
        None => faults.add(format!(
            "it has no column {column}. Run: ALTER TABLE \"{table}\" ADD COLUMN \"{column}\" {}{}",
            sql_type(Dialect::Sqlite, kind),
            if nullable == Some(false) { " NOT NULL DEFAULT 0" } else { "" }
        )),
        Some(row) if flag(row, 4) => faults.add(format!(
            "column {column} is generated and takes no value: remove it from the mapping, or make it an ordinary \
             column"
        )),
        Some(row) => {
            let declared = text(row, 1);
            if !keeps(&declared, kind) {
                let needed = sql_type(Dialect::Sqlite, kind);
                faults.add(format!("column {column} is {declared:?} and has to be {needed}. {AGAIN}"));
            }
            if let Some(nullable) = nullable.filter(|nullable| *nullable == flag(row, 2)) {
                let has = if nullable { "allow NULL: deleted records have no content" } else { "be NOT NULL" };
                faults.add(format!("column {column} has to {has}. {AGAIN}"));
            }
        }
    }
}

/// The columns that need a value and get none.
fn unfilled(faults: &mut Faults, columns: &[SqliteRow], has: impl Fn(&str) -> bool) {
    for row in columns {
        let column = text(row, 0);
        if !has(&column) && flag(row, 2) && !flag(row, 3) {
            faults.add(format!("column {column} is NOT NULL and has no default: map it. {AGAIN}"));
        }
    }
}

/// Checks that these columns are a key that tells all texts in `ids` apart.
async fn keyed(
    connection: &mut SqliteConnection,
    faults: &mut Faults,
    columns: &[SqliteRow],
    table: &str,
    (key, ids): (&[&str], &[&str]),
) -> Result<(), sqlx::Error> {
    let keys = format!(
        "SELECT group_concat(lower(k.name) || ' ' || upper(k.coll), ',' ORDER BY k.seqno) \
         FROM pragma_index_list('{table}') AS i, \
         pragma_index_xinfo(i.name) AS k WHERE i.\"unique\" AND NOT i.partial AND k.key GROUP BY i.name \
         UNION ALL SELECT lower(number) || ' BINARY' FROM (SELECT ({}) AS number) WHERE number IS NOT NULL",
        numbers_itself(table)
    );
    let keys = sqlx::query(AssertSqlSafe(keys)).fetch_all(&mut *connection).await?;
    let wanted: Vec<String> = key.iter().map(|id| format!("{} BINARY", id.to_ascii_lowercase())).collect();
    if !keys.iter().any(|row| text(row, 0) == wanted.join(",")) {
        faults.add(format!(
            "it has no primary key or unique index on ({key}) with the collation BINARY. Run: CREATE UNIQUE INDEX \
             \"{table}_ids\" ON \"{table}\" ({key})",
            key = key.join(", ")
        ));
    }
    for id in ids.iter().filter(|id| found(columns, id).is_some()) {
        if !is_binary(connection, table, id).await? {
            faults.add(format!(
                "column {id} has another collation than BINARY, so that different ids are equal in it. {AGAIN}"
            ));
        }
    }
    Ok(())
}

fn found<'a>(columns: &'a [SqliteRow], name: &str) -> Option<&'a SqliteRow> {
    columns.iter().find(|row| text(row, 0).eq_ignore_ascii_case(name))
}

fn text(row: &SqliteRow, at: usize) -> String {
    row.try_get(at).unwrap_or_default()
}

fn flag(row: &SqliteRow, at: usize) -> bool {
    row.try_get::<i64, _>(at).is_ok_and(|flag| flag != 0)
}
