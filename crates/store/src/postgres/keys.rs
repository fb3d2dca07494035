//! Tenant and key in statements and rows.

use sqlx::{Postgres, Row, postgres::PgRow};

use super::super::{
    StoreError,
    sql::{Database, KeyColumn, KeyKind, uuid_text},
};

/// The text of an id in a row. It need not form a valid id.
pub(super) fn id_text(row: &PgRow, at: usize, column: &KeyColumn) -> Result<String, StoreError> {
    let read = || {
        Ok(match column.kind {
            KeyKind::Integer { bits: 16, .. } => row.try_get::<i16, _>(at)?.to_string(),
            KeyKind::Integer { bits: 32, .. } => row.try_get::<i32, _>(at)?.to_string(),
            KeyKind::Integer { .. } => row.try_get::<i64, _>(at)?.to_string(),
            KeyKind::Uuid => {
                let bytes = row.try_get_raw(at)?.as_bytes().map_err(sqlx::Error::Decode)?;
                uuid_text(bytes)
                    .ok_or_else(|| sqlx::Error::Decode("a UUID of 16 bytes was expected".into()))?
            }
            _ if column.cuts_blanks => row.try_get::<&str, _>(at)?.trim_end_matches(' ').to_owned(),
            _ => row.try_get(at)?,
        })
    };
    read().map_err(|error| Postgres::error(error, false))
}

/// The type of a text that is given for such a column, and that of a list of them, as casts; empty: none.
pub(super) fn casts_of(column: &KeyColumn) -> [String; 2] {
    let kind = match column.kind {
        KeyKind::Integer { bits: 16, .. } => "smallint",
        KeyKind::Integer { bits: 32, .. } => "integer",
        KeyKind::Integer { .. } => "bigint",
        KeyKind::Uuid => "uuid",
        _ if column.cuts_blanks => "bpchar",
        _ => return Default::default(),
    };
    [format!("::text::{kind}"), format!("::{kind}[]")]
}
