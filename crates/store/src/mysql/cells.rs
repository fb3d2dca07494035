//! Values of columns, as statements ask for them and rows have them.

use sqlx::{Row, mysql::MySqlRow};

use super::super::mapping::{Cell, ColumnType};

/// A FLOAT is shown with 6 digits, a DOUBLE with all that it has. A BIT is shown as bytes, and as a number only in a
/// calculation.
pub(super) fn asked_as(name: &str, kind: ColumnType) -> String {
    match kind {
        ColumnType::Real => format!("{name} + 0e0"),
        ColumnType::Bit(_) => format!("{name} + 0"),
        _ => name.to_owned(),
    }
}

/// Whether [`asked_as_text`] is in hexadecimal, in which nothing ends a text. All other values are digits and signs.
pub(super) const fn is_hex(kind: ColumnType) -> bool {
    use ColumnType as Kind;
    matches!(
        kind,
        Kind::Text
            | Kind::Varchar(_)
            | Kind::Char(_)
            | Kind::Enum
            | Kind::Json
            | Kind::Jsonb
            | Kind::Uuid
            | Kind::Blob
            | Kind::Varbinary(_)
            | Kind::UuidBytes
    )
}

/// The same as ASCII. Each text names its length: that of an expression can be shorter than what the server has in it.
pub(super) fn asked_as_text(name: &str, kind: ColumnType) -> String {
    match kind {
        ColumnType::Blob | ColumnType::Varbinary(_) | ColumnType::UuidBytes => format!("HEX({name})"),
        ColumnType::Uuid => format!("HEX(CAST({name} AS CHAR(99)))"),
        _ if is_hex(kind) => format!("HEX(CONVERT({name} USING utf8mb4))"),
        ColumnType::Boolean => format!("CAST({name} + 0 AS CHAR(99))"),
        _ => format!("CAST({} AS CHAR(99))", asked_as(name, kind)),
    }
}

/// From a row of a text query, whose answer is also text.
pub(super) fn cell(row: &MySqlRow, at: usize, kind: ColumnType) -> Result<Cell, sqlx::Error> {
    let Some(bytes) = row.try_get_unchecked::<Option<Vec<u8>>, _>(at)? else { return Ok(Cell::Null) };
    Ok(match kind {
        ColumnType::Blob | ColumnType::Varbinary(_) | ColumnType::UuidBytes => Cell::Bytes(bytes),
        ColumnType::Boolean => match str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()) {
            Some(whole) => Cell::Int(whole),
            // BIT(1).
            None if matches!(bytes.as_slice(), [0 | 1]) => Cell::Int(bytes[0].into()),
            None => Cell::Bytes(bytes),
        },
        _ => Cell::text(bytes),
    })
}
