//! The columns of a store, and whether they form a mapping.

use std::ops::Range;

use jiff::tz::TimeZone;
use toml::Spanned;

use super::{
    Check,
    file::{ColumnSection, StoreSection},
};
use crate::{
    document::{Attribute, Number},
    mapping::{Column, ColumnPath, Fill, Format, Mapping, MappingError, NameError, OnMisfit, Spelling},
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
    let spelling = spelling(text, section)?;
    Ok(Column {
        name: section.name.clone(),
        path,
        kind: section.kind.0,
        required: section.required,
        spelling,
        labels: section.labels.clone().unwrap_or_default(),
        fill: fill(text, section)?,
    })
}

/// What the column holds without an attribute.
fn fill(text: &str, section: &ColumnSection) -> Check<Option<Fill>> {
    let value = |value: &Spanned<toml::Value>, name: &'static str| match value.as_ref() {
        toml::Value::String(it) => Ok(Attribute::S(it.clone())),
        toml::Value::Integer(it) => Ok(Attribute::N((*it).into())),
        toml::Value::Boolean(it) => Ok(Attribute::Bool(*it)),
        other => {
            let float = other.as_float().and_then(|it| it.to_string().parse::<Number>().ok());
            let what = "give a text in quotes, a number, true or false";
            float.map(Attribute::N).ok_or_else(|| SpecError::invalid(text, value.span(), name, what))
        }
    };
    match (&section.default, &section.constant) {
        (None, None) => Ok(None),
        (Some(it), None) => value(it, "default").map(Fill::Default).map(Some),
        (None, Some(it)) if section.from.is_none() => value(it, "constant").map(Fill::Constant).map(Some),
        (_, Some(it)) => {
            let what = "a constant column takes no attribute and has no default: remove that";
            Err(SpecError::invalid(text, it.span(), "constant", what))
        }
    }
}

/// How the document writes dates and times.
fn spelling(text: &str, section: &ColumnSection) -> Check<Spelling> {
    let ColumnSection { format, zone, kind, .. } = section;
    if let Some(span) =
        [format, zone].into_iter().flatten().map(Spanned::span).next().filter(|_| !kind.0.is_time())
    {
        let what = format!("a {} column has no dates or times: remove it", kind.0);
        return Err(SpecError::invalid(text, span, "format", what));
    }
    let format = match format.as_ref().map(|format| (format.as_ref().as_str(), format.span())) {
        None | Some(("rfc3339", _)) => Format::Rfc3339,
        Some(("epoch_s", _)) => Format::EpochS,
        Some(("epoch_ms", _)) => Format::EpochMs,
        Some((pattern, _)) if pattern.contains('%') => Format::Pattern(pattern.to_owned()),
        Some((other, span)) => {
            let what =
                format!("{other:?} is no format: use rfc3339, epoch_s, epoch_ms or a strftime pattern");
            return Err(SpecError::invalid(text, span, "format", what));
        }
    };
    let zone = match zone {
        None => TimeZone::UTC,
        Some(zone) => TimeZone::get(zone.as_ref()).map_err(|_| {
            let what = format!("{:?} is no time zone: write it like Europe/Berlin", zone.as_ref());
            SpecError::invalid(text, zone.span(), "zone", what)
        })?,
    };
    Ok(Spelling { format, zone })
}

/// The column that an error is about.
fn culprit(error: &MappingError) -> Option<&str> {
    match error {
        MappingError::Name(NameError::Invalid(name)) | MappingError::Twice(name) => Some(name),
        MappingError::Overlap(_, name) | MappingError::Format(name, _) => Some(name),
        _ => None,
    }
}
