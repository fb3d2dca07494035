//! Mappings: what a row takes comes back exactly, or is a misfit.

use cutover_store::{
    Id, Record, Version,
    document::Document,
    mapping::{Cell, Mapping},
    spec::Spec,
};

use crate::{Target, draw::Draw, seeds, spec};

pub(crate) const TARGET: Target = Target {
    name: "mapping",
    check,
    seeds: || seeds::noise(120, 512),
    words: &["ORG#", "2026-11-28T20:15:00Z", "a#b"],
};

/// Draws a spec with columns, then documents and rows for them.
fn check(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    let documents: Vec<Document> = (0..3).map(|_| draw.document()).collect();
    let rows: Vec<Vec<Cell>> = (0..2).map(|_| (0..8).map(|_| cell(&mut draw)).collect()).collect();
    // Columns that can't be are another target's.
    let Ok(spec) = spec::file(&mut draw, false).parse::<Spec>() else { return };
    let table = spec.target.sql_table().expect("all targets are SQL");
    let Some(mapping) = &table.mapping else { return };
    for document in documents {
        let value = document.encode().expect("no set is empty");
        let record = Record { version: Version(7), value: Some(value.clone()) };
        let id = Id { tenant: "acme".to_owned(), key: "order-1".to_owned() };
        match mapping.to_row(&document) {
            Ok(row) => {
                assert_eq!(row.len(), mapping.names().count() + mapping.children().len());
                assert_eq!(mapping.from_row(&row).as_ref(), Ok(&document), "what fits comes back");
                assert_eq!(mapping.check(std::slice::from_ref(&document)), []);
                assert_eq!(table.fit(&id, &record), Ok(()));
                let cells = table.cells(&id, &record).expect("it fits");
                assert_eq!(table.value(record.version, cells), Ok(Some(value)), "with the same bytes");
            }
            Err(misfit) => {
                assert!(!misfit.to_string().is_empty());
                assert!(table.fit(&id, &record).is_err());
                assert_eq!(mapping.check(std::slice::from_ref(&document)), [(0, misfit)]);
            }
        }
    }
    for row in rows {
        let mut own = row[..mapping.names().count()].to_vec();
        for child in mapping.children() {
            let element = |at: i64| {
                let cells = row.iter().cycle().skip(at as usize).take(child.elements.names().count());
                std::iter::once(Cell::Int(at)).chain(cells.cloned()).collect()
            };
            let nulls = row.iter().filter(|cell| **cell == Cell::Null).count();
            own.push(Cell::Rows((0..nulls as i64 % 4).map(element).collect()));
        }
        check_row(mapping, &own);
    }
}

/// A row that somebody else wrote makes a document that is stable, or none.
fn check_row(mapping: &Mapping, row: &[Cell]) {
    let Ok(document) = mapping.from_row(row) else { return };
    // A document of a foreign row may be too deep for one that is written.
    let Ok(own) = mapping.to_row(&document) else { return };
    assert_eq!(mapping.from_row(&own), Ok(document), "what a row holds comes back");
}

fn cell(draw: &mut Draw<'_>) -> Cell {
    let json = |draw: &mut Draw<'_>| {
        let bytes = draw.document().encode().expect("no set is empty");
        String::from_utf8(bytes).expect("it is made of texts")
    };
    match draw.below(9) {
        0 => Cell::Null,
        1 | 2 => Cell::Text(draw.text()),
        3 => Cell::Int(draw.any()),
        4 => Cell::Decimal(draw.number().to_string()),
        5 => Cell::Bool(draw.any()),
        6 => Cell::Bytes(draw.any()),
        7 => Cell::Text(format!(
            "{{\"{}\",NULL}}",
            draw.pick(&["a", "1", "t", "936da01f-9abd-4d9d-80c7-02af85c822a8"])
        )),
        _ => Cell::Json(json(draw)),
    }
}
