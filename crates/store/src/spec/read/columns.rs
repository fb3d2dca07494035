//! The columns of a store, and whether they form a mapping.

use std::ops::Range;

use super::{
    Check,
    file::{ColumnSection, StoreSection},
};
use crate::{
    mapping::{Column, ColumnPath, Mapping, MappingError, NameError, OnMisfit},
    spec::{SpecError, StoreUrl},
};

pub(super) fn mapping(text: &str, url: &StoreUrl, section: &StoreSection) -> Check<Option<Mapping>> {
    let given = [
        section.columns.as_ref().and_then(|columns| columns.first()).map(|column| column.span()),
        section.overflow.as_ref().map(|overflow| overflow.span()),
        section.on_misfit.as_ref().map(|on_misfit| on_misfit.span()),
    ];
    let Some(first) = given.into_iter().flatten().min_by_key(|span| span.start) else { return Ok(None) };
    let Some(dialect) = url.dialect() else {
        let what = "a DynamoDB table has attributes of its own: remove columns, overflow and on_misfit";
        return Err(SpecError::invalid(text, first, "columns", what));
    };
    if section.value.is_some() {
        let what = "value is the column of whole records: remove it, or the columns";
        return Err(SpecError::invalid(text, first, "value", what));
    }
    let sections = section.columns.as_deref().unwrap_or_default();
    let columns = sections.iter().map(|section| column(text, section.as_ref(), section.span()));
    let overflow = section.overflow.as_ref().map(|overflow| overflow.as_ref().clone());
    let on_misfit =
        section.on_misfit.as_ref().map_or(OnMisfit::default(), |policy| (*policy.as_ref()).into());
    let mapping = Mapping::new(dialect, columns.collect::<Check<_>>()?, overflow, on_misfit);
    mapping.map(Some).map_err(|error| {
        let span = culprit(&error).and_then(|name| {
            let column = sections.iter().rev().find(|section| section.as_ref().name == name);
            column.map(|section| section.span())
        });
        SpecError::invalid(text, span.unwrap_or(first), "columns", error)
    })
}

fn column(text: &str, section: &ColumnSection, span: Range<usize>) -> Check<Column> {
    let path = match &section.from {
        Some(from) => Some(from.0.clone()),
        None => ColumnPath::new(vec![section.name.clone()]),
    };
    let path = path.ok_or_else(|| SpecError::invalid(text, span, "name", "it is empty: name the column"))?;
    Ok(Column { name: section.name.clone(), path, kind: section.kind.0, required: section.required })
}

/// The column that an error is about.
fn culprit(error: &MappingError) -> Option<&str> {
    match error {
        MappingError::Name(NameError::Invalid(name)) | MappingError::Twice(name) => Some(name),
        MappingError::Overlap(_, name) => Some(name),
        _ => None,
    }
}
