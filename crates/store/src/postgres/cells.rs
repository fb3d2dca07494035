//! Cells in statements and rows, by the type of their column.

use sqlx::{Row, postgres::PgRow};

use super::{
    super::{
        StoreError,
        mapping::{Cell, ColumnType},
    },
    Given,
};

/// What no Rust type holds as exactly is read as text.
pub(super) const fn asked_as(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Integer { bits: 8..=32, .. } | ColumnType::Bit(_) => "::bigint",
        ColumnType::Text
        | ColumnType::Varchar(_)
        | ColumnType::Json
        | ColumnType::Bigint
        | ColumnType::Boolean
        | ColumnType::Blob
        | ColumnType::Varbinary(_)
        | ColumnType::UuidBytes => "",
        _ => "::text",
    }
}

/// Whether the rows of a child table have a column's bytes in hexadecimal, because JSON has none.
pub(super) const fn is_hex(kind: ColumnType) -> bool {
    matches!(kind, ColumnType::Blob | ColumnType::Varbinary(_) | ColumnType::UuidBytes)
}

/// The type of a cell that is given as another one, because an array of it can't be. Of enums it is known once the table
/// was looked at.
pub(super) fn cast_of(kind: ColumnType) -> Option<String> {
    match kind {
        ColumnType::Bit(bits) => Some(format!("bit({bits})")),
        ColumnType::Array(element) => Some(element.array().to_owned()),
        _ => None,
    }
}

pub(super) const fn given_as(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Integer { bits: 64, .. } | ColumnType::Decimal { .. } => "text[]::numeric[]",
        ColumnType::Bigint | ColumnType::Integer { .. } | ColumnType::Bit(_) => "bigint[]",
        ColumnType::Real => "text[]::real[]",
        ColumnType::Double => "text[]::float8[]",
        ColumnType::Boolean => "boolean[]",
        ColumnType::Blob | ColumnType::Varbinary(_) | ColumnType::UuidBytes => "bytea[]",
        ColumnType::Uuid => "text[]::uuid[]",
        ColumnType::Date => "text[]::date[]",
        ColumnType::Time(_) => "text[]::time[]",
        ColumnType::Datetime(_) | ColumnType::Timestamp(_) => "text[]::timestamp[]",
        // The session's zone is UTC.
        ColumnType::Timestamptz(_) => "text[]::timestamptz[]",
        ColumnType::Jsonb => "text[]::jsonb[]",
        ColumnType::Text
        | ColumnType::Varchar(_)
        | ColumnType::Char(_)
        | ColumnType::Json
        | ColumnType::Enum
        | ColumnType::Array(_) => "text[]",
    }
}

/// The cells of one column; each has the column's type or is NULL.
pub(super) fn column<'a>(
    given: Given,
    kind: ColumnType,
    cells: impl Iterator<Item = &'a Cell>,
) -> Result<Given, StoreError> {
    match kind {
        ColumnType::Bigint | ColumnType::Integer { bits: 8..=32, .. } => given.and(
            cells.map(|cell| if let Cell::Int(it) = cell { Some(*it) } else { None }).collect::<Vec<_>>(),
        ),
        // As many bits, whatever their sign.
        ColumnType::Bit(_) => given.and(
            cells
                .map(|cell| match cell {
                    Cell::Int(it) => Some(*it),
                    Cell::Decimal(it) => it.parse().ok().map(u64::cast_signed),
                    _ => None,
                })
                .collect::<Vec<_>>(),
        ),
        ColumnType::Boolean => given.and(
            cells.map(|cell| if let Cell::Bool(it) = cell { Some(*it) } else { None }).collect::<Vec<_>>(),
        ),
        ColumnType::Blob | ColumnType::Varbinary(_) | ColumnType::UuidBytes => given.and(
            cells
                .map(|cell| if let Cell::Bytes(it) = cell { Some(it.as_slice()) } else { None })
                .collect::<Vec<_>>(),
        ),
        _ => given.and(
            cells
                .map(|cell| match cell {
                    Cell::Text(it) | Cell::Decimal(it) | Cell::Json(it) => Some(it.as_str()),
                    _ => None,
                })
                .collect::<Vec<_>>(),
        ),
    }
}

pub(super) fn cell(row: &PgRow, at: usize, kind: ColumnType) -> Result<Cell, sqlx::Error> {
    let cell = match kind {
        ColumnType::Bigint | ColumnType::Integer { bits: 8..=32, .. } | ColumnType::Bit(_) => {
            row.try_get::<Option<i64>, _>(at)?.map(Cell::Int)
        }
        ColumnType::Boolean => row.try_get::<Option<bool>, _>(at)?.map(Cell::Bool),
        ColumnType::Blob | ColumnType::Varbinary(_) | ColumnType::UuidBytes => {
            row.try_get::<Option<Vec<u8>>, _>(at)?.map(Cell::Bytes)
        }
        _ => row.try_get::<Option<String>, _>(at)?.map(Cell::Text),
    };
    Ok(cell.unwrap_or(Cell::Null))
}
