//! Converts a document to a row and back.
//!
//! Of dates, times and UUIDs a column holds the value. If the document writes it in another way than the column's
//! text would come back, the overflow keeps the attribute, too. It counts as long as it says the same as the column. The
//! same holds for an attribute whose value is the column's default, which stands for a missing one.

use super::{
    Cell, Column, ColumnPath, ColumnType, Fill, Mapping, Misfit, OnMisfit, Reason, Step, Template, path,
};
use crate::document::{Attribute, Document, DocumentError};

pub(super) fn to_row(mapping: &Mapping, document: &Document) -> Result<Vec<Cell>, Misfit> {
    let mut row = Vec::with_capacity(mapping.columns.len() + 1 + mapping.children.len());
    let mut taken: Vec<&[Step]> = Vec::with_capacity(mapping.columns.len());
    for column in &mapping.columns {
        let filled = |value| mapping.cell(column, value).map(|(cell, _)| cell);
        if let Some(constant) = column.constant() {
            row.push(filled(constant).map_err(|reason| misfit(column, reason))?);
            continue;
        }
        if let Some(template) = &column.computed {
            let cell = computed(mapping, column, template, document)?;
            if cell != Cell::Null {
                taken.extend(template.paths().map(ColumnPath::steps));
            }
            row.push(cell);
            continue;
        }
        let cell = match (column.path.find(&document.0), &column.fill) {
            (None, Some(Fill::Default(value))) => filled(value).map_err(|reason| misfit(column, reason))?,
            (None, _) if column.required => return Err(misfit(column, Reason::Missing)),
            (None, _) => Cell::Null,
            (Some(attribute), _) => match mapping.cell(column, attribute) {
                Ok((cell, true)) if !column.stands_for_missing(&cell) => {
                    taken.push(column.path.steps());
                    cell
                }
                // The overflow keeps how it is written.
                Ok((cell, _)) if mapping.overflow.is_some() => cell,
                Ok((_, true)) => return Err(misfit(column, Reason::IsDefault)),
                Ok((_, false)) => return Err(misfit(column, Reason::Spelling { column: column.kind })),
                Err(_) if goes_to_overflow(mapping, column, attribute) => Cell::Null,
                Err(reason) => return Err(misfit(column, reason)),
            },
        };
        row.push(cell);
    }
    let mut children = Vec::with_capacity(mapping.children.len());
    for child in &mapping.children {
        children.push(match child.path.find(&document.0) {
            None => Cell::Null,
            Some(list) => match child.cell(list) {
                Ok(rows) => {
                    taken.push(child.path.steps());
                    rows
                }
                Err(_) if stays_in_overflow(mapping, list) => Cell::Null,
                Err(misfit) => return Err(misfit),
            },
        });
    }
    let rest = Document(path::left(&document.0, &taken));
    match (&mapping.overflow, rest.0.keys().next()) {
        (Some(_), None) => row.push(Cell::Null),
        (None, None) => {}
        (Some(name), Some(_)) => {
            let of_overflow = |error| of_document(Some(name), error);
            row.push(Cell::json(rest.encode().map_err(of_overflow)?));
        }
        (None, Some(name)) => {
            return Err(Misfit { path: name.clone(), column: None, reason: Reason::NoColumn });
        }
    }
    row.append(&mut children);
    Ok(row)
}

pub(super) fn from_row(mapping: &Mapping, row: &[Cell]) -> Result<Document, Misfit> {
    let own = mapping.names().count();
    let width = own + mapping.children.len();
    if row.len() != width {
        let reason = Reason::Width(row.len(), width);
        return Err(Misfit { path: String::new(), column: None, reason });
    }
    let (row, children) = row.split_at(own);
    let mut document = match (&mapping.overflow, row.last()) {
        (Some(name), Some(cell)) => rest(name, cell)?,
        _ => Document::default(),
    };
    let mut read: Vec<(&ColumnPath, &Column, Attribute)> = Vec::with_capacity(width);
    for (column, cell) in mapping.columns.iter().zip(row) {
        if let Some(constant) = column.constant() {
            if column.attribute(cell).as_ref() != Ok(constant) {
                return Err(misfit(column, Reason::NotConstant));
            }
            continue;
        }
        if *cell == Cell::Null {
            if column.required {
                return Err(misfit(column, Reason::Missing));
            }
            continue;
        }
        let attribute = column.attribute(cell).map_err(|reason| misfit(column, reason))?;
        if let Some(template) = &column.computed {
            let Attribute::S(text) = attribute else { unreachable!("a computed column is a text") };
            let parts = template.attributes(&text).ok_or_else(|| misfit(column, Reason::NotComputed))?;
            read.extend(template.paths().zip(parts).map(|(path, part)| (path, column, part)));
            continue;
        }
        let spelled = column.path.find(&document.0).map(|kept| column.cell(kept, mapping.dialect));
        let is_default = column.is_default(&attribute);
        let is_settled = match spelled {
            None => is_default,
            Some(Ok((kept, is_exact))) => {
                (is_default || !is_exact) && column.attribute(&kept).as_ref() == Ok(&attribute)
            }
            Some(Err(_)) => false,
        };
        if !is_settled {
            read.push((&column.path, column, attribute));
        }
    }
    // Elements of a list in their order.
    read.sort_by_key(|(path, ..)| *path);
    for (path, column, attribute) in read {
        path.put(&mut document.0, attribute).map_err(|reason| misfit(column, reason))?;
    }
    for (child, cell) in mapping.children.iter().zip(children) {
        if let Some(list) = child.list(cell)? {
            child.path.put(&mut document.0, list).map_err(|reason| child.misfit(reason))?;
        }
    }
    Ok(document)
}

/// The cell of a computed column; NULL if it takes nothing.
fn computed(
    mapping: &Mapping,
    column: &Column,
    template: &Template,
    document: &Document,
) -> Result<Cell, Misfit> {
    let parts: Vec<_> = template.paths().map(|path| path.find(&document.0)).collect();
    if parts.iter().all(Option::is_none) {
        return if column.required { Err(misfit(column, Reason::Missing)) } else { Ok(Cell::Null) };
    }
    let text = template.text(&parts).map_err(|it| Misfit { column: Some(column.name.clone()), ..it });
    let cell = text.and_then(|text| {
        let cell = mapping.cell(column, &Attribute::S(text));
        cell.map(|(cell, _)| cell).map_err(|reason| misfit(column, reason))
    });
    let is_null = parts.into_iter().flatten().all(|part| *part == Attribute::Null);
    let may_go = |is_null| mapping.on_misfit == OnMisfit::Overflow || is_null;
    match cell {
        Err(_) if may_go(is_null) && mapping.overflow.is_some() && !column.required => Ok(Cell::Null),
        cell => cell,
    }
}

/// A null has no cell of its own: SQL's NULL means absent.
fn goes_to_overflow(mapping: &Mapping, column: &Column, attribute: &Attribute) -> bool {
    let may = mapping.on_misfit == OnMisfit::Overflow || *attribute == Attribute::Null;
    may && mapping.overflow.is_some() && !column.required
}

/// Whether a list that can't be rows stays where it is. An empty one has no rows and is there all the same.
fn stays_in_overflow(mapping: &Mapping, list: &Attribute) -> bool {
    let is_nothing = match list {
        Attribute::Null => true,
        Attribute::L(elements) => elements.is_empty(),
        _ => false,
    };
    (mapping.on_misfit == OnMisfit::Overflow || is_nothing) && mapping.overflow.is_some()
}

/// The document in the overflow column.
fn rest(name: &str, cell: &Cell) -> Result<Document, Misfit> {
    let bytes = match cell {
        Cell::Null => return Ok(Document::default()),
        Cell::Text(text) | Cell::Json(text) => text.as_bytes(),
        Cell::Bytes(bytes) => bytes,
        other => {
            let reason = Reason::Cell { found: other.kind(), column: ColumnType::Json };
            return Err(Misfit { path: String::new(), column: Some(name.to_owned()), reason });
        }
    };
    Document::decode(bytes).map_err(|error| of_document(Some(name), error))
}

fn misfit(column: &Column, reason: Reason) -> Misfit {
    match reason {
        // An error inside a json column knows the rest of the path.
        Reason::Document(error) => {
            let error = column.path.steps().iter().rev().fold(error, |error, step| match step {
                Step::Name(name) => error.under(name),
                Step::At(place) => error.at(*place),
            });
            of_document(Some(&column.name), error)
        }
        reason => Misfit { path: column.shown_paths(), column: Some(column.name.clone()), reason },
    }
}

fn of_document(column: Option<&str>, error: DocumentError) -> Misfit {
    let (path, column) = (error.path.clone(), column.map(str::to_owned));
    Misfit { path, column, reason: Reason::Document(error) }
}
