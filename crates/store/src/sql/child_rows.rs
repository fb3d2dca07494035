//! The rows of a child table, as a statement answers them: one JSON list for each record, in the snapshot that the record is
//! read from.

use super::super::{
    StoreError,
    mapping::{Cell, Child, ColumnType},
    scan::unreadable,
};

/// Whether the answer has a column's bytes in hexadecimal, because JSON has none.
pub(in super::super) const fn is_hex(kind: ColumnType) -> bool {
    matches!(kind, ColumnType::Blob | ColumnType::Varbinary(_) | ColumnType::UuidBytes)
}

/// The rows of a list of lists: a place and the text of each column.
pub(in super::super) fn child_rows(child: &Child, json: Option<&str>) -> Result<Cell, StoreError> {
    let Some(json) = json else { return Ok(Cell::Null) };
    let rows: Vec<Vec<Option<String>>> = serde_json::from_str(json)
        .map_err(|error| unreadable(&child.table, format!("its rows can't be read: {error}")))?;
    let cell = |(kind, text): (ColumnType, Option<String>)| match (kind, text) {
        (_, None) => Cell::Null,
        (ColumnType::Boolean, Some(text)) if matches!(text.as_str(), "true" | "1") => Cell::Bool(true),
        (ColumnType::Boolean, Some(text)) if matches!(text.as_str(), "false" | "0") => Cell::Bool(false),
        // As many bits, whatever their sign.
        (ColumnType::Bit(_), Some(text)) => text.parse().map_or(Cell::Text(text), Cell::Int),
        (kind, Some(text)) if is_hex(kind) => hex_bytes(&text).map_or(Cell::Text(text), Cell::Bytes),
        (_, Some(text)) => Cell::Text(text),
    };
    let row = |row: Vec<Option<String>>| {
        let mut columns = row.into_iter();
        let place = columns.next().flatten().and_then(|place| place.parse().ok());
        let cells = child.elements.types().zip(columns).map(cell);
        std::iter::once(place.map_or(Cell::Null, Cell::Int)).chain(cells).collect()
    };
    Ok(if rows.is_empty() { Cell::Null } else { Cell::Rows(rows.into_iter().map(row).collect()) })
}

/// Bytes from hexadecimal digits.
pub(in super::super) fn hex_bytes(hex: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    hex.as_bytes().chunks(2).map(pair).collect()
}
