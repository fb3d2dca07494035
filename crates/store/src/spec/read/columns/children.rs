//! Child tables of a store: `[[target.children]]`.

use std::ops::Range;

use toml::Spanned;

use super::{
    super::{
        kind::Kind,
        section::{Given, Section},
        told::Told,
    },
    Content, From, column, mapping,
};
use crate::mapping::{Child, ColumnPath, Dialect, Fields, Mapping, OnMisfit};

/// The child tables that are fine by themselves, and whether one is missing because it is wrong. `fields`: the names of the
/// record's own columns.
pub(super) fn read(
    given: Given<Vec<Section<'_>>>,
    kind: Kind,
    fields: &Fields,
    told: &mut Told<'_>,
) -> (Vec<(Child, Range<usize>)>, bool) {
    let mut is_wrong = given.is_wrong();
    let mut children = Vec::new();
    for section in given.is().map(Spanned::into_inner).unwrap_or_default() {
        let at = section.at.clone();
        match child(section, kind, fields, told) {
            Some(child) => children.push((child, at)),
            None => is_wrong = true,
        }
    }
    (children, is_wrong)
}

fn child(mut section: Section<'_>, kind: Kind, fields: &Fields, told: &mut Told<'_>) -> Option<Child> {
    let at = section.at.clone();
    let from: Given<From> = section.take("from", told);
    let [table, tenant, key, position] =
        ["table", "tenant", "key", "position"].map(|key| section.take::<String>(key, told));
    let value = section.section("value", told);
    let content = Content::take(&mut section, false, told);
    section.end(told);

    let advice = "add from = \"lines\", the list that has this table";
    let from = from.required("from", advice, &at, told);
    let table = table.required("table", "add table = \"order_lines\"", &at, told);
    let is_wrong = [&tenant, &key, &position].into_iter().any(Given::is_wrong);
    let name = |given: Given<String>, default: &str| {
        given.is().map_or_else(|| default.to_owned(), Spanned::into_inner)
    };
    let (tenant, key) = (name(tenant, &fields.tenant), name(key, &fields.key));
    let of_child = Fields { tenant: tenant.clone(), key: key.clone(), ..fields.clone() };
    let of_values = !value.is_absent();
    let elements = match value {
        Given::Wrong => None,
        Given::Is(value) if content.is_mapped() => {
            let what = "value is the column of elements that are no maps: remove it, or the columns";
            told.invalid(value.span(), "value", what);
            None
        }
        Given::Is(value) => of_value(value.into_inner(), kind, told),
        Given::Absent if !content.is_mapped() => {
            let advice = "add columns = [{ name = \"sku\", type = \"text\" }], or, for elements that are no maps, \
                          value = { name = \"tag\", type = \"text\" }";
            told.missing(at, "columns", advice);
            None
        }
        Given::Absent => mapping(kind, content, false, &of_child, told).flatten(),
    };
    Some(Child {
        table: table?.into_inner(),
        path: from?.into_inner().0,
        tenant,
        key,
        position: name(position, "position"),
        elements: elements.filter(|_| !is_wrong)?,
        of_values,
    })
}

/// The mapping of elements that are one value each.
fn of_value(section: Section<'_>, kind: Kind, told: &mut Told<'_>) -> Option<Mapping> {
    let at = section.at.clone();
    let others = ["from", "computed", "default", "constant"];
    if let Some(span) = others.into_iter().find_map(|key| section.span_of(key)) {
        let what = "the column takes the element as it is: remove from, computed, default and constant";
        told.invalid(span, "value", what);
        return None;
    }
    let (column, is_fine) = column(section, told);
    let mut column = column.filter(|_| is_fine)?;
    column.path = ColumnPath::new(vec![Child::VALUE.to_owned()])?;
    column.required = true;
    let dialect = if let Kind::Sql(dialect) = kind { dialect } else { Dialect::MySql };
    match Mapping::new(dialect, vec![column], None, OnMisfit::Quarantine) {
        Ok(mapping) => Some(mapping),
        Err(mistake) => {
            told.invalid(at, "value", mistake);
            None
        }
    }
}
