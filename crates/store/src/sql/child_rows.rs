//! The rows of a child table, as a statement answers them: one JSON list for each record, in the snapshot that the record is
//! read from.

#[cfg(any(feature = "mysql", feature = "postgres"))]
use super::super::{
    StoreError,
    mapping::{Cell, Child, ColumnType},
    scan::unreadable,
};

/// [`child_rows`] after their number: 2 [["0"],["1"]]. Some servers leave out rows or cut the list, if a value is too long.
#[cfg(feature = "mysql")]
pub(in super::super) fn counted_rows(
    child: &Child,
    counted: Option<&str>,
    is_hex: fn(ColumnType) -> bool,
) -> Result<Cell, StoreError> {
    let cut = || {
        let what = "the server did not give all its rows in one value: raise max_allowed_packet. If the list is short, \
                    connect without a pooler or proxy in between, which would forget group_concat_max_len";
        unreadable(&child.table, what.to_owned())
    };
    let (count, json) = counted.and_then(|counted| counted.split_once(' ')).ok_or_else(cut)?;
    // A cut list is no JSON.
    let rows = if json.ends_with("]]") { child_rows(child, Some(json), is_hex) } else { Ok(Cell::Null) };
    let rows = rows.map_err(|_| cut())?;
    let found = if let Cell::Rows(rows) = &rows { rows.len() } else { 0 };
    if count.parse() == Ok(found) { Ok(rows) } else { Err(cut()) }
}

/// The rows of a list of lists: a place and the text of each column. `is_hex`: whether a type's texts are in hexadecimal.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(in super::super) fn child_rows(
    child: &Child,
    json: Option<&str>,
    is_hex: fn(ColumnType) -> bool,
) -> Result<Cell, StoreError> {
    let Some(json) = json else { return Ok(Cell::Null) };
    let rows: Vec<Vec<Option<String>>> = serde_json::from_str(json)
        .map_err(|error| unreadable(&child.table, format!("its rows can't be read: {error}")))?;
    let cell = |(kind, text): (ColumnType, Option<String>)| match (kind, text) {
        (_, None) => Cell::Null,
        (ColumnType::Boolean, Some(text)) if matches!(text.as_str(), "true" | "1") => Cell::Bool(true),
        (ColumnType::Boolean, Some(text)) if matches!(text.as_str(), "false" | "0") => Cell::Bool(false),
        // As many bits, whatever their sign.
        (ColumnType::Bit(_), Some(text)) => text.parse().map_or(Cell::Text(text), Cell::Int),
        (kind, Some(text)) if is_hex(kind) => match (kind, hex_bytes(&text)) {
            (_, None) => Cell::Text(text),
            (ColumnType::Blob | ColumnType::Varbinary(_) | ColumnType::UuidBytes, Some(bytes)) => {
                Cell::Bytes(bytes)
            }
            (_, Some(bytes)) => Cell::text(bytes),
        },
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

#[cfg(all(test, feature = "mysql"))]
mod tests {
    use super::*;
    use crate::mapping::{ColumnPath, Dialect, Mapping, OnMisfit};

    #[test]
    fn a_list_has_as_many_rows_as_are_counted() {
        let child = Child {
            table: "lines".to_owned(),
            path: ColumnPath::dotted("lines").expect("a path"),
            tenant: "tenant".to_owned(),
            key: "key".to_owned(),
            position: "position".to_owned(),
            elements: Mapping::new(Dialect::MySql, Vec::new(), Some("rest".to_owned()), OnMisfit::Quarantine)
                .expect("a mapping"),
            of_values: false,
        };
        let read = |text: Option<&str>| counted_rows(&child, text, |_| true);
        assert_eq!(read(Some("0 []")), Ok(Cell::Null));
        let whole = r#"2 [["0","7b7d"],["1",null]]"#;
        let Ok(Cell::Rows(rows)) = read(Some(whole)) else { panic!("two rows") };
        assert_eq!(
            rows,
            [vec![Cell::Int(0), Cell::Text("{}".to_owned())], vec![Cell::Int(1), Cell::Null]],
            "typed JSON is text"
        );
        let cut = |at: usize| format!("{}]", &whole[..at]);
        let others = [r#"3 [["0","7b7d"],["1",null]]"#, r#"2 [["0","7b7d"]]"#, "2 []", "2", ""];
        for text in (0..whole.len() - 1).map(cut).chain(others.map(str::to_owned)) {
            let told = read(Some(&text)).expect_err(&text).to_string();
            assert!(told.contains("did not give all its rows"), "{told}");
        }
        assert!(read(None).is_err(), "the server had no value at all");
    }
}
