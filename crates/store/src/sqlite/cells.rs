//! Cells in statements and rows.

use sqlx::{
    Decode, Row, Sqlite, TypeInfo, ValueRef,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{
    super::{
        StoreError,
        mapping::{Cell, ColumnType, foreign_cell},
    },
    read_error,
};

const fn is_float(kind: ColumnType) -> bool {
    matches!(kind, ColumnType::Real | ColumnType::Double)
}

/// Gives a statement its next argument.
pub(super) fn bind(
    query: Query<'static, Sqlite, SqliteArguments>,
    (cell, kind): (Cell, ColumnType),
) -> Query<'static, Sqlite, SqliteArguments> {
    match cell {
        // Rows are no column's.
        Cell::Null | Cell::Rows(_) => query.bind(None::<i64>),
        Cell::Decimal(text) if is_float(kind) => query.bind(text.parse::<f64>().ok()),
        Cell::Text(text) | Cell::Decimal(text) | Cell::Json(text) => query.bind(text),
        Cell::Int(whole) => query.bind(whole),
        Cell::Bool(is) => query.bind(is),
        Cell::Bytes(bytes) => query.bind(bytes),
    }
}

/// By the type in the row: SQLite stores a type with each value, and the column's type is only a preference.
pub(super) fn cell(row: &SqliteRow, at: usize, name: &str, kind: ColumnType) -> Result<Cell, StoreError> {
    let value = row.try_get_raw(at).map_err(read_error)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let failed = |error| read_error(sqlx::Error::Decode(error));
    let is = value.type_info().name().to_owned();
    match is.as_str() {
        "INTEGER" => <i64 as Decode<Sqlite>>::decode(value).map(Cell::Int).map_err(failed),
        "BLOB" => <Vec<u8> as Decode<Sqlite>>::decode(value).map(Cell::Bytes).map_err(failed),
        "TEXT" => {
            let bytes = <Vec<u8> as Decode<Sqlite>>::decode(value).map_err(failed)?;
            Ok(Cell::text(bytes))
        }
        _ if is_float(kind) => {
            let float = <f64 as Decode<Sqlite>>::decode(value).map_err(failed)?;
            Ok(Cell::Decimal(float.to_string()))
        }
        _ => Err(foreign_cell(name, "a floating point number")),
    }
}
