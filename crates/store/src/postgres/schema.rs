//! Checks, before anything is written, whether the table can hold what will be written.

use sqlx::{Postgres, Row, postgres::PgRow};

use super::{
    super::{
        StoreError,
        mapping::{ColumnType, SqlTable},
        sql::{Calls, Statement},
    },
    permanent,
};
use cutover_core::outcome::ErrorClass;

/// Text that is compared byte by byte, so its pages have the same order as in other stores.
const ID: &str = "text COLLATE \"C\"";

/// Whether there is a table of this name in the search path.
pub(super) async fn exists(calls: &Calls<Postgres>, table: &str) -> Result<bool, StoreError> {
    let sql = format!("SELECT 1 WHERE to_regclass('\"{table}\"') IS NOT NULL");
    Ok(!calls.rows(&Statement::text(sql)).await?.is_empty())
}

/// Reports everything that is wrong with the table, whose names were checked.
pub(super) async fn check(calls: &Calls<Postgres>, table: &SqlTable) -> Result<(), StoreError> {
    let name = &table.name;
    let columns = format!(
        "SELECT attname::text, format_type(atttypid, atttypmod), \
         CASE WHEN attcollation = 0 THEN '' ELSE (SELECT ' COLLATE \"' || \
         CASE WHEN collname = 'POSIX' THEN 'C' ELSE collname END || '\"' \
         FROM pg_collation WHERE oid = attcollation) END, \
         NOT attnotnull, atthasdef OR attidentity <> '' \
         FROM pg_attribute WHERE attrelid = to_regclass('\"{name}\"') AND attnum > 0 AND NOT attisdropped"
    );
    let columns = calls.rows(&Statement::text(columns)).await?;
    let keys = format!(
        "SELECT (SELECT string_agg(attname, ',' ORDER BY at) FROM unnest(indkey) WITH ORDINALITY AS k (n, at) \
         JOIN pg_attribute ON attrelid = indrelid AND attnum = n), indimmediate \
         FROM pg_index WHERE indrelid = to_regclass('\"{name}\"') AND indisunique AND indisvalid \
         AND indpred IS NULL AND indexprs IS NULL"
    );
    let keys = calls.rows(&Statement::text(keys)).await?;
    let kinds = format!(
        "SELECT relkind::text, relpersistence::text, oid::regclass::text FROM pg_class \
         WHERE oid = to_regclass('\"{name}\"') OR oid IN (SELECT relid FROM pg_partition_tree(to_regclass('\"{name}\"')))"
    );
    let kinds = calls.rows(&Statement::text(kinds)).await?;
    let wrong = |what| Err(permanent(ErrorClass::Other, "table", what));
    if columns.is_empty() {
        return Err(StoreError::no_table(name, "in this database: create it, or name another one"));
    }
    if let Some(fault) = kinds.iter().find_map(|row| fault_of_kind(name, row)) {
        return wrong(fault);
    }
    let mut faults = Vec::new();
    let mut need = |name: &str, kind: Option<ColumnType>, nullable: bool| {
        let Some(row) = columns.iter().find(|row| text(row, 0) == name) else {
            faults.push(format!("it has no column {name}"));
            return;
        };
        let (is, collated) = (text(row, 1), format!("{}{}", text(row, 1), text(row, 2)));
        let fault = match kind {
            None => (collated != ID).then(|| (collated, ID.to_owned())),
            Some(kind) => (!holds(&is, kind)).then(|| (is, needed(kind))),
        };
        if let Some((is, needed)) = fault {
            faults.push(format!("column {name} is {is} and has to be {needed}"));
        } else if row.try_get::<bool, _>(3).unwrap_or(true) != nullable {
            let has = if nullable { "NULL (a tombstone has it)" } else { "NOT NULL" };
            faults.push(format!("column {name} has to be {has}"));
        }
    };
    table.ids().into_iter().for_each(|id| need(id, None, false));
    need(&table.fields.version, Some(ColumnType::Bigint), false);
    table.content().into_iter().for_each(|(name, kind)| need(name, Some(kind), table.is_nullable(name)));
    for row in &columns {
        let (name, nullable, filled) = (text(row, 0), row.try_get(3), row.try_get(4));
        if !table.has(&name) && !nullable.unwrap_or(true) && !filled.unwrap_or(false) {
            faults.push(format!("column {name} is NOT NULL and has no default"));
        }
    }
    let ids = table.ids();
    if !keys.iter().any(|row| text(row, 0) == ids.join(",")) {
        faults.push(format!("it has no primary key or unique index on ({})", ids.join(", ")));
    }
    // ON CONFLICT fails if one of the indexes that it may use, in any order, is checked later.
    let is_late = |row: &&PgRow| !row.try_get(1).unwrap_or(true);
    let of_ids =
        |key: &str| key.split(',').count() == ids.len() && key.split(',').all(|it| ids.contains(&it));
    if let Some(late) = keys.iter().filter(is_late).map(|row| text(row, 0)).find(|key| of_ids(key)) {
        faults.push(format!("its key on ({late}) is DEFERRABLE and has to be NOT DEFERRABLE"));
    }
    if faults.is_empty() {
        return Ok(());
    }
    wrong(format!("{name:?} can't be used: {}; change it, or name another one", faults.join(", ")))
}

/// For the table or one of its partitions: whether its acknowledged writes are durable.
fn fault_of_kind(name: &str, row: &PgRow) -> Option<String> {
    let part = text(row, 2);
    let kind = match text(row, 0).as_str() {
        "r" | "p" => {
            return match text(row, 1).as_str() {
                "u" => Some(format!(
                    "{name:?} can't be used: {part} is UNLOGGED, and a crash empties it. Run: ALTER TABLE {part} SET LOGGED"
                )),
                "t" => Some(format!("{name:?} can't be used: {part} is temporary. Name a lasting table")),
                _ => None,
            };
        }
        "v" => "a view",
        "m" => "a materialized view",
        "f" => "a foreign table, which another server holds",
        _ => "no table",
    };
    Some(format!("{name:?} can't be used: {part} is {kind}. Name a table of this server"))
}

/// Whether a column that PostgreSQL describes like this holds every value of the type exactly.
fn holds(is: &str, kind: ColumnType) -> bool {
    let (name, sizes) = is.split_once('(').unwrap_or((is, ""));
    let sizes: Vec<u32> =
        sizes.trim_end_matches(')').split(',').filter_map(|size| size.parse().ok()).collect();
    match (kind, name, sizes.as_slice()) {
        (ColumnType::Text | ColumnType::Varchar(_) | ColumnType::Json, "text" | "character varying", [])
        | (ColumnType::Bigint, "bigint", [])
        | (ColumnType::Boolean, "boolean", [])
        | (ColumnType::Blob | ColumnType::Varbinary(_), "bytea", [])
        | (ColumnType::Decimal { .. }, "numeric", []) => true,
        (ColumnType::Varchar(most), "character varying", [size]) => *size >= most,
        (ColumnType::Decimal { digits, scale }, "numeric", [all, after]) => {
            *after >= scale && all.saturating_sub(*after) >= digits - scale
        }
        _ => false,
    }
}

fn needed(kind: ColumnType) -> String {
    match kind {
        ColumnType::Json => "text".to_owned(),
        ColumnType::Blob | ColumnType::Varbinary(_) => "bytea".to_owned(),
        ColumnType::Decimal { digits, scale } => format!("numeric({digits},{scale})"),
        other => other.to_string(),
    }
}

pub(super) fn text(row: &PgRow, at: usize) -> String {
    row.try_get(at).unwrap_or_default()
}
