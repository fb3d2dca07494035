//! Is the table one that can hold what will be written? Asked before anything is.

use sqlx::{Postgres, Row, postgres::PgRow};

use super::{
    super::{
        StoreError,
        sql::{Calls, Statement},
    },
    layout::COLUMNS,
    permanent,
};
use crate::report::ErrorClass;

/// Is there one of this name in the search path?
pub(super) async fn exists(calls: &Calls<Postgres>, table: &str) -> Result<bool, StoreError> {
    let sql = format!("SELECT 1 WHERE to_regclass('\"{table}\"') IS NOT NULL");
    Ok(!calls.ask(false, &Statement::text(sql)).await?.0.is_empty())
}

/// Says everything that is wrong with the table. Its name was checked.
pub(super) async fn check(calls: &Calls<Postgres>, table: &str) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT attname::text, format_type(atttypid, atttypmod) || \
         CASE WHEN attcollation = 0 THEN '' ELSE (SELECT ' COLLATE \"' || \
         CASE WHEN collname = 'POSIX' THEN 'C' ELSE collname END || '\"' \
         FROM pg_collation WHERE oid = attcollation) END, \
         NOT attnotnull, atthasdef OR attidentity <> '' \
         FROM pg_attribute WHERE attrelid = to_regclass('\"{table}\"') AND attnum > 0 AND NOT attisdropped"
    );
    let columns = calls.ask(false, &Statement::text(sql)).await?.0;
    let sql = format!(
        "SELECT (SELECT string_agg(attname, ',' ORDER BY at) FROM unnest(indkey) WITH ORDINALITY AS k (n, at) \
         JOIN pg_attribute ON attrelid = indrelid AND attnum = n) \
         FROM pg_index WHERE indrelid = to_regclass('\"{table}\"') AND indisunique AND indisvalid \
         AND indpred IS NULL AND indexprs IS NULL"
    );
    let keys = calls.ask(false, &Statement::text(sql)).await?.0;
    let wrong = |what| Err(permanent(ErrorClass::Other, "table", what));
    if columns.is_empty() {
        return wrong(format!("there is no {table:?} in this database: create it, or name another one"));
    }
    let mut faults = Vec::new();
    for column in &COLUMNS {
        let Some(row) = columns.iter().find(|row| text(row, 0) == column.name) else {
            faults.push(format!("it has no column {}", column.name));
            continue;
        };
        let (is, nullable) = (text(row, 1), row.try_get::<bool, _>(2).unwrap_or(true));
        if is != column.is {
            faults.push(format!("column {} is {is} and has to be {}", column.name, column.is));
        } else if nullable != column.nullable {
            let has = if column.nullable { "NULL (a tombstone has it)" } else { "NOT NULL" };
            faults.push(format!("column {} has to be {has}", column.name));
        }
    }
    for row in &columns {
        let (name, nullable, filled) = (text(row, 0), row.try_get(2), row.try_get(3));
        let ours = COLUMNS.iter().any(|column| column.name == name);
        if !ours && !nullable.unwrap_or(true) && !filled.unwrap_or(false) {
            faults.push(format!("column {name} is NOT NULL and has no default"));
        }
    }
    if !keys.iter().any(|row| text(row, 0) == "tenant,key") {
        faults.push("it has no primary key or unique index on (tenant, key)".to_owned());
    }
    if faults.is_empty() {
        return Ok(());
    }
    wrong(format!("{table:?} can't be used: {}; change it, or name another one", faults.join(", ")))
}

fn text(row: &PgRow, at: usize) -> String {
    row.try_get(at).unwrap_or_default()
}
