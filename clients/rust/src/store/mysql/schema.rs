//! Is the table one that can hold what will be written? Asked before anything is.

use sqlx::{MySql, Row, mysql::MySqlRow};

use super::{
    super::{
        StoreError,
        sql::{Calls, Statement},
    },
    layout::{COLUMNS, Column},
    permanent,
};
use crate::report::ErrorClass;

/// Says everything that is wrong with the table. Its name was checked.
pub(super) async fn check(calls: &Calls<MySql>, table: &str) -> Result<(), StoreError> {
    let of_table = format!("WHERE table_schema = DATABASE() AND table_name = '{table}'");
    let columns = calls
        .ask(
            false,
            &Statement::text(format!(
                "SELECT column_name, data_type, CAST(character_maximum_length AS CHAR), is_nullable, \
                 column_type, column_default IS NOT NULL OR extra <> '' FROM information_schema.columns {of_table}"
            )),
        )
        .await?
        .0;
    let keys = calls
        .ask(
            false,
            &Statement::text(format!(
                "SELECT index_name, GROUP_CONCAT(CONCAT(column_name, IF(sub_part IS NULL, '', '(..)')) \
                 ORDER BY seq_in_index) FROM information_schema.statistics {of_table} AND non_unique = 0 \
                 GROUP BY index_name"
            )),
        )
        .await?
        .0;
    let wrong = |field: &str, what| Err(permanent(ErrorClass::Other, field, what));
    if columns.is_empty() {
        return wrong(
            "table",
            format!("there is no {table:?} in this database: create it, or name another one"),
        );
    }
    let mut faults: Vec<String> = COLUMNS.iter().filter_map(|column| fault(column, &columns)).collect();
    for row in &columns {
        let (name, fills_itself) = (text(row, 0), row.try_get::<i64, _>(5).is_ok_and(|is| is != 0));
        if !COLUMNS.iter().any(|column| column.name == name) && text(row, 3) == "NO" && !fills_itself {
            faults.push(format!("column {name} is NOT NULL and has no default"));
        }
    }
    let keys: Vec<_> = keys.iter().map(|row| (text(row, 0), text(row, 1))).collect();
    if !keys.iter().any(|(name, columns)| name == "PRIMARY" && columns == "tenant,key") {
        faults.push("its primary key is not (tenant, `key`)".to_owned());
    }
    for (name, _) in keys.iter().filter(|(name, _)| name != "PRIMARY") {
        // An upsert would take a record that is equal there for the one that it means.
        faults.push(format!("{name} is a second unique index"));
    }
    if faults.is_empty() {
        return Ok(());
    }
    wrong("table", format!("{table:?} can't be used: {}; change it, or name another one", faults.join(", ")))
}

fn fault(column: &Column, rows: &[MySqlRow]) -> Option<String> {
    let name = column.name;
    let Some(row) = rows.iter().find(|row| text(row, 0) == name) else {
        return Some(format!("it has no column {name}"));
    };
    let is = text(row, 4);
    let short = text(row, 2).parse::<usize>().unwrap_or(usize::MAX) < column.bytes;
    if !column.types.contains(&text(row, 1).as_str()) || is.contains("unsigned") || short {
        let size = if column.bytes > 0 { format!("({})", column.bytes) } else { String::new() };
        return Some(format!("column {name} is {is} and has to be {}{size}", column.types[0]));
    }
    let nullable = text(row, 3) == "YES";
    (nullable != column.nullable).then(|| {
        let has = if column.nullable { "NULL (a tombstone has it)" } else { "NOT NULL" };
        format!("column {name} has to be {has}")
    })
}

/// MySQL 8 has some of these as text and others as bytes.
fn text(row: &MySqlRow, at: usize) -> String {
    let bytes: Option<Vec<u8>> = row.try_get_unchecked(at).unwrap_or_default();
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}
