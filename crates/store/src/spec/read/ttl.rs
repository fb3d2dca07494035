//! The attribute that says when records expire.

use std::time::Duration;

use super::{section::Given, told::Told};
use crate::{
    Ttl,
    mapping::{Column, ColumnPath, ColumnType, Format, Step},
    spec::StoreSpec,
};

/// `stores`: those that could be read.
pub(super) fn read(
    given: Given<String>,
    residual_ms: u64,
    stores: [&Option<StoreSpec>; 2],
    told: &mut Told<'_>,
) -> Option<Ttl> {
    let given = given.is()?;
    let (span, attribute) = (given.span(), given.into_inner());
    if attribute.is_empty() {
        told.invalid(span, "ttl", "it is empty: name the attribute that says when a record expires");
        return None;
    }
    let tables = || stores.into_iter().flatten().flat_map(StoreSpec::tables).map(|(_, table)| table);
    // Then both keep the records' own bytes, and nobody knows what is in them.
    let is_whole = |table: &StoreSpec| table.url.dialect().is_some() && table.mapping.is_none();
    if stores.iter().all(|store| store.is_some()) && tables().all(is_whole) {
        let what = "both stores keep whole records, and nothing looks into them: give one of them columns";
        told.invalid(span.clone(), "ttl", what);
    }
    let has_field = |table: &&StoreSpec| {
        table.url.dialect().is_none() && table.fields.of_item().contains(&attribute.as_str())
    };
    if let Some(table) = tables().find(has_field) {
        let what = format!(
            "table {:?} has this attribute as a field of its own (key, version or deleted), so records don't contain it",
            table.table
        );
        told.invalid(span.clone(), "ttl", what);
    }
    let columns = tables().filter_map(|table| table.mapping.as_ref()).flat_map(|mapping| mapping.columns());
    for column in columns.filter(|column| takes(&column.path, &attribute) && column.computed.is_none()) {
        if !has_seconds(column) {
            let what = format!(
                "column {:?} takes it and is {}, but it has a number of seconds since 1970: make the column bigint, or \
                 datetime or timestamptz with format = \"epoch_s\"",
                column.name, column.kind
            );
            told.invalid(span.clone(), "ttl", what);
        }
    }
    Some(Ttl::new(&attribute, Duration::from_millis(residual_ms)))
}

fn takes(path: &ColumnPath, attribute: &str) -> bool {
    matches!(path.steps(), [Step::Name(name)] if name == attribute)
}

fn has_seconds(column: &Column) -> bool {
    match column.kind {
        ColumnType::Bigint | ColumnType::Integer { .. } => column.prefix.is_none(),
        ColumnType::Datetime(_) | ColumnType::Timestamptz(_) | ColumnType::Timestamp(_) => {
            column.spelling.format == Format::EpochS
        }
        _ => false,
    }
}
