//! Converts a document to a row and back.
//!
//! Of dates, times and UUIDs a column holds the value. If the document writes it in another way than the column's
//! text would come back, the overflow keeps the attribute, too. It counts as long as it says the same as the column. The
//! same holds for an attribute whose value is the column's default, which stands for a missing one.

use std::collections::BTreeMap;

use super::{Cell, Column, ColumnPath, ColumnType, Fill, Mapping, Misfit, OnMisfit, Reason, Template};
use crate::document::{Attribute, Document, DocumentError};

type Attributes = BTreeMap<String, Attribute>;

pub(super) fn to_row(mapping: &Mapping, document: &Document) -> Result<Vec<Cell>, Misfit> {
    let mut row = Vec::with_capacity(mapping.columns.len() + 1);
    let mut taken: Vec<&[String]> = Vec::with_capacity(mapping.columns.len());
    for column in &mapping.columns {
        let path = column.path.names();
        let filled = |value| column.cell(value, mapping.dialect).map(|(cell, _)| cell);
        if let Some(constant) = column.constant() {
            row.push(filled(constant).map_err(|reason| misfit(column, reason))?);
            continue;
        }
        if let Some(template) = &column.computed {
            let cell = computed(mapping, column, template, document)?;
            if cell != Cell::Null {
                taken.extend(template.paths().map(ColumnPath::names));
            }
            row.push(cell);
            continue;
        }
        let cell = match (at(&document.0, path), &column.fill) {
            (None, Some(Fill::Default(value))) => filled(value).map_err(|reason| misfit(column, reason))?,
            (None, _) if column.required => return Err(misfit(column, Reason::Missing)),
            (None, _) => Cell::Null,
            (Some(attribute), _) => match column.cell(attribute, mapping.dialect) {
                Ok((cell, true)) if !column.stands_for_missing(&cell) => {
                    taken.push(path);
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
    let rest = Document(left(&document.0, &taken));
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
    Ok(row)
}

pub(super) fn from_row(mapping: &Mapping, row: &[Cell]) -> Result<Document, Misfit> {
    let width = mapping.names().count();
    if row.len() != width {
        let reason = Reason::Width(row.len(), width);
        return Err(Misfit { path: String::new(), column: None, reason });
    }
    let mut document = match (&mapping.overflow, row.last()) {
        (Some(name), Some(cell)) => rest(name, cell)?,
        _ => Document::default(),
    };
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
            for (path, part) in template.paths().zip(parts) {
                put(&mut document.0, path.names(), part).ok_or_else(|| misfit(column, Reason::Both))?;
            }
            continue;
        }
        let spelled = at(&document.0, column.path.names()).map(|kept| column.cell(kept, mapping.dialect));
        let is_default = column.is_default(&attribute);
        let is_settled = match spelled {
            None => is_default,
            Some(Ok((kept, is_exact))) => {
                (is_default || !is_exact) && column.attribute(&kept).as_ref() == Ok(&attribute)
            }
            Some(Err(_)) => false,
        };
        if is_settled {
            continue;
        }
        put(&mut document.0, column.path.names(), attribute).ok_or_else(|| misfit(column, Reason::Both))?;
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
    let parts: Vec<_> = template.paths().map(|path| at(&document.0, path.names())).collect();
    if parts.iter().all(Option::is_none) {
        return if column.required { Err(misfit(column, Reason::Missing)) } else { Ok(Cell::Null) };
    }
    let text = template.text(&parts).map_err(|it| Misfit { column: Some(column.name.clone()), ..it });
    let cell = text.and_then(|text| {
        let cell = column.cell(&Attribute::S(text), mapping.dialect);
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

/// The attribute at a path, if maps lead to it.
fn at<'a>(attributes: &'a Attributes, path: &[String]) -> Option<&'a Attribute> {
    let (first, further) = path.split_first()?;
    match (attributes.get(first)?, further) {
        (attribute, []) => Some(attribute),
        (Attribute::M(inner), further) => at(inner, further),
        _ => None,
    }
}

/// What remains without the paths that were taken. A map of which everything was taken is omitted: reading
/// back what was taken recreates it.
fn left(attributes: &Attributes, taken: &[&[String]]) -> Attributes {
    let mut rest = Attributes::new();
    for (name, attribute) in attributes {
        let inside: Vec<&[String]> =
            taken.iter().filter_map(|path| path.strip_prefix(std::slice::from_ref(name))).collect();
        if inside.is_empty() {
            rest.insert(name.clone(), attribute.clone());
        } else if let Attribute::M(inner) = attribute
            && inside.iter().all(|path| !path.is_empty())
        {
            let inner = left(inner, &inside);
            if !inner.is_empty() {
                rest.insert(name.clone(), Attribute::M(inner));
            }
        }
    }
    rest
}

/// `None`: something is already there, or in the way.
fn put(attributes: &mut Attributes, path: &[String], attribute: Attribute) -> Option<()> {
    let (first, further) = path.split_first()?;
    if further.is_empty() {
        if attributes.contains_key(first) {
            return None;
        }
        attributes.insert(first.clone(), attribute);
        return Some(());
    }
    match attributes.entry(first.clone()).or_insert_with(|| Attribute::M(Attributes::new())) {
        Attribute::M(inner) => put(inner, further, attribute),
        _ => None,
    }
}

fn misfit(column: &Column, reason: Reason) -> Misfit {
    match reason {
        // An error inside a json column knows the rest of the path.
        Reason::Document(error) => {
            let error = column.path.names().iter().rev().fold(error, |error, name| error.under(name));
            of_document(Some(&column.name), error)
        }
        reason => {
            let paths: Vec<String> = column.paths().into_iter().map(ToString::to_string).collect();
            Misfit { path: paths.join(", "), column: Some(column.name.clone()), reason }
        }
    }
}

fn of_document(column: Option<&str>, error: DocumentError) -> Misfit {
    let (path, column) = (error.path.clone(), column.map(str::to_owned));
    Misfit { path, column, reason: Reason::Document(error) }
}
