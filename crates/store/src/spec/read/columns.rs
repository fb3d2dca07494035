//! The columns of a store, and whether they form a mapping.

mod children;

use std::ops::Range;

use jiff::tz::TimeZone;
use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use toml::Spanned;

use super::{
    kind::Kind,
    section::{Given, Section},
    told::Told,
};
use crate::{
    document::{Attribute, Number},
    mapping::{
        Column, ColumnPath, ColumnType, Dialect, Fields, Fill, Format, Mapping, MappingError, OnMisfit,
        Spelling, Step, Template,
    },
};

/// What a section says about content.
pub(super) struct Content<'t> {
    columns: Vec<(Column, Range<usize>)>,
    /// Whether a column is missing from the list because it is wrong.
    is_wrong: bool,
    overflow: Given<String>,
    on_misfit: Given<Policy>,
    children: Given<Vec<Section<'t>>>,
    /// The first key that concerns columns.
    at: Option<Range<usize>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Policy {
    Quarantine,
    Overflow,
}

impl<'t> Content<'t> {
    /// `may_have_children`: not in a child table.
    pub(super) fn take(section: &mut Section<'t>, may_have_children: bool, told: &mut Told<'_>) -> Self {
        let mut keys = vec!["columns", "overflow", "on_misfit"];
        keys.extend(may_have_children.then_some("children"));
        let at = keys.into_iter().filter_map(|key| section.span_of(key)).min_by_key(|span| span.start);
        let children = match may_have_children {
            true => section.sections("children", "it is a list: write [[target.children]] for each", told),
            false => Given::Absent,
        };
        let (overflow, on_misfit) = (section.take("overflow", told), section.take("on_misfit", told));
        let given = section.sections(
            "columns",
            "it is a list: write { name = \"city\", type = \"text\" } for each",
            told,
        );
        let (mut columns, mut is_wrong) = (Vec::new(), given.is_wrong());
        for section in given.is().map(Spanned::into_inner).unwrap_or_default() {
            let at = section.at.clone();
            let (column, is_fine) = column(section, told);
            is_wrong |= !is_fine;
            columns.extend(column.map(|column| (column, at)));
        }
        Self { columns, is_wrong, overflow, on_misfit, children, at }
    }

    /// Whether there are columns for single attributes.
    pub(super) const fn is_mapped(&self) -> bool {
        self.at.is_some()
    }

    /// Where the child tables are.
    pub(super) fn at_children(&self) -> Option<Range<usize>> {
        self.children.get().map(Spanned::span)
    }

    /// The names of all columns, and where they are.
    pub(super) fn names(&self) -> Vec<(String, Range<usize>)> {
        let overflow = self.overflow.get().map(|name| (name.as_ref().clone(), name.span()));
        self.columns.iter().map(|(column, at)| (column.name.clone(), at.clone())).chain(overflow).collect()
    }
}

/// `None`: something is wrong. `value`: whether a column of whole records is named. `fields`: the names of the record's own
/// columns.
pub(super) fn mapping(
    kind: Kind,
    content: Content<'_>,
    value: bool,
    fields: &Fields,
    told: &mut Told<'_>,
) -> Option<Option<Mapping>> {
    let names = content.names();
    let Some(first) = content.at else { return Some(None) };
    let dialect = match kind {
        Kind::Sql(dialect) => dialect,
        Kind::Items => {
            let what = "a DynamoDB table has attributes of its own: remove columns, overflow, on_misfit and children";
            told.invalid(first, "columns", what);
            return None;
        }
        // All of them have the same rules for what is checked here.
        Kind::Unknown => Dialect::MySql,
    };
    if value {
        told.invalid(
            first.clone(),
            "value",
            "value is the column of whole records: remove it, or the columns",
        );
    }
    // What is wrong can't be judged together with the rest.
    let overflow_is_wrong = content.overflow.is_wrong();
    let (children, of_children) = children::read(content.children, kind, fields, told);
    let is_wrong =
        of_children || content.is_wrong || overflow_is_wrong || content.on_misfit.is_wrong() || value;
    let overflow = if overflow_is_wrong { None } else { content.overflow.is().map(Spanned::into_inner) };
    let on_misfit = match content.on_misfit.get().map(Spanned::as_ref) {
        Some(Policy::Overflow) if !overflow_is_wrong => OnMisfit::Overflow,
        _ => OnMisfit::Quarantine,
    };
    let columns: Vec<Column> = content.columns.into_iter().map(|(column, _)| column).collect();
    if is_wrong && columns.is_empty() && overflow.is_none() {
        return None;
    }
    match Mapping::checked(dialect, columns, overflow, on_misfit) {
        Ok(mapping) => {
            let (children, spans): (Vec<_>, Vec<_>) = children.into_iter().unzip();
            match mapping.with_checked_children(children) {
                Ok(mapping) => (!is_wrong).then_some(Some(mapping)),
                Err(mistakes) => {
                    for (index, mistake) in mistakes {
                        told.invalid(spans[index].clone(), "children", mistake);
                    }
                    None
                }
            }
        }
        Err(mistakes) => {
            for (index, error) in mistakes {
                // Which types there are depends on the server.
                if kind == Kind::Unknown && matches!(error, MappingError::Format(..)) {
                    continue;
                }
                let at = index.and_then(|index| names.get(index)).map(|(_, at)| at.clone());
                told.invalid(at.unwrap_or_else(|| first.clone()), "columns", error);
            }
            None
        }
    }
}

/// The column, if it has a name, and whether nothing is wrong with it.
fn column(mut section: Section<'_>, told: &mut Told<'_>) -> (Option<Column>, bool) {
    let at = section.at.clone();
    let name: Given<String> = section.take("name", told);
    let from: Given<From> = section.take("from", told);
    let kind: Given<Type> = section.take("type", told);
    let required: Given<bool> = section.take("required", told);
    let (format, zone) = (section.take("format", told), section.take("zone", told));
    let labels: Given<Vec<String>> = section.take("labels", told);
    let prefix: Given<String> = section.take("prefix", told);
    let (default, constant) = (section.take("default", told), section.take("constant", told));
    let computed: Given<Computed> = section.take("computed", told);
    let is_wrong = from.is_wrong() || required.is_wrong() || labels.is_wrong() || prefix.is_wrong();
    let is_wrong = is_wrong || default.is_wrong() || constant.is_wrong() || computed.is_wrong();
    let mut is_fine = !(is_wrong || section.has_more());
    section.end(told);

    let name = name.required("name", "name the column", &at, told);
    let kind = kind.required("type", "add type = \"text\", or another one of docs/spec.md", &at, told);
    let spelling = spelling(kind.as_ref().map(|kind| kind.as_ref().0), format, zone, told);
    let fill = fill(default, constant, from.is_absent(), told);
    if let (Some(computed), false) = (computed.get(), from.is_absent()) {
        let what = "a computed column names its attributes in the template: remove from";
        told.invalid(computed.span(), "computed", what);
        is_fine = false;
    }
    is_fine &= kind.is_some() && spelling.is_some() && fill.is_some();
    let path = match (&name, from.is()) {
        (_, Some(from)) => Some(from.into_inner().0),
        (Some(name), None) => {
            let path = ColumnPath::new(vec![name.as_ref().clone()]);
            if path.is_none() {
                told.invalid(name.span(), "name", "it is empty: name the column");
            }
            path
        }
        (None, None) => None,
    };
    let (Some(name), Some(path)) = (name, path) else { return (None, false) };
    // Of a column whose type is wrong only the name and the path can be checked.
    let has_kind = kind.is_some() && !labels.is_wrong();
    let column = Column {
        name: name.into_inner(),
        path,
        // Stands in for a wrong type while the names are checked.
        kind: kind.filter(|_| has_kind).map_or(ColumnType::Text, |kind| kind.into_inner().0),
        required: required.is().is_some_and(Spanned::into_inner),
        spelling: spelling.unwrap_or_default(),
        labels: labels.is().filter(|_| has_kind).map(Spanned::into_inner).unwrap_or_default(),
        fill: fill.flatten().filter(|_| has_kind),
        prefix: prefix.is().filter(|_| has_kind).map(Spanned::into_inner),
        computed: computed.is().filter(|_| has_kind).map(|computed| computed.into_inner().0),
    };
    (Some(column), is_fine)
}

/// What the column holds without an attribute; `None`: something is wrong.
fn fill(
    default: Given<toml::Value>,
    constant: Given<toml::Value>,
    has_no_path: bool,
    told: &mut Told<'_>,
) -> Option<Option<Fill>> {
    let mut value = |given: Spanned<toml::Value>, key: &'static str| match given.as_ref() {
        toml::Value::String(it) => Some(Attribute::S(it.clone())),
        toml::Value::Integer(it) => Some(Attribute::N((*it).into())),
        toml::Value::Boolean(it) => Some(Attribute::Bool(*it)),
        other => {
            let float = other.as_float().and_then(|it| it.to_string().parse::<Number>().ok());
            if float.is_none() {
                told.invalid(given.span(), key, "give a text in quotes, a number, true or false");
            }
            float.map(Attribute::N)
        }
    };
    match (default.is(), constant.is()) {
        (None, None) => Some(None),
        (Some(it), None) => value(it, "default").map(Fill::Default).map(Some),
        (None, Some(it)) if has_no_path => value(it, "constant").map(Fill::Constant).map(Some),
        (_, Some(it)) => {
            let what = "a constant column takes no attribute and has no default: remove that";
            told.invalid(it.span(), "constant", what);
            None
        }
    }
}

/// How the document writes dates and times; `None`: something is wrong.
fn spelling(
    kind: Option<ColumnType>,
    format: Given<String>,
    zone: Given<String>,
    told: &mut Told<'_>,
) -> Option<Spelling> {
    let mut is_fine = !(format.is_wrong() || zone.is_wrong());
    if let Some(kind) = kind.filter(|kind| !kind.is_time()) {
        for (key, given) in [("format", &format), ("zone", &zone)] {
            if let Some(given) = given.get() {
                told.invalid(given.span(), key, format!("a {kind} column has no dates or times: remove it"));
                is_fine = false;
            }
        }
        return is_fine.then(Spelling::default);
    }
    let format = match format.get().map(|format| (format.as_ref().as_str(), format.span())) {
        None | Some(("rfc3339", _)) => Format::Rfc3339,
        Some(("epoch_s", _)) => Format::EpochS,
        Some(("epoch_ms", _)) => Format::EpochMs,
        Some((pattern, _)) if pattern.contains('%') => Format::Pattern(pattern.to_owned()),
        Some((other, span)) => {
            let what =
                format!("{other:?} is no format: use rfc3339, epoch_s, epoch_ms or a strftime pattern");
            told.invalid(span, "format", what);
            is_fine = false;
            Format::Rfc3339
        }
    };
    let zone = match zone.get() {
        None => TimeZone::UTC,
        Some(zone) => TimeZone::get(zone.as_ref()).unwrap_or_else(|_| {
            let what = format!("{:?} is no time zone: write it like Europe/Berlin", zone.as_ref());
            told.invalid(zone.span(), "zone", what);
            is_fine = false;
            TimeZone::UTC
        }),
    };
    is_fine.then_some(Spelling { format, zone })
}

/// A column's type as written.
struct Type(ColumnType);

impl<'de> Deserialize<'de> for Type {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

/// The template of a computed column.
struct Computed(Template);

impl<'de> Deserialize<'de> for Computed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let template = String::deserialize(deserializer)?.parse().map(Self);
        template.map_err(|what: String| D::Error::custom(format!("computed: {what}")))
    }
}

/// `"a[0].b"`, or `["a.b", 0, "c"]` if a name contains a dot or a bracket.
struct From(ColumnPath);

impl<'de> Deserialize<'de> for From {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PathVisitor)
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "give names in quotes, and numbers for elements of lists")]
enum Part {
    Name(String),
    At(usize),
}

struct PathVisitor;

impl<'de> Visitor<'de> for PathVisitor {
    type Value = From;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the path of an attribute, like \"address.city\" or [\"address\", \"city\"]")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<From, E> {
        ColumnPath::dotted(text).map(From).ok_or_else(no_path)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<From, A::Error> {
        let mut steps = Vec::new();
        while let Some(part) = from.next_element()? {
            steps.push(match part {
                Part::Name(name) => Step::Name(name),
                Part::At(place) => Step::At(place),
            });
        }
        ColumnPath::new(steps).map(From).ok_or_else(no_path)
    }
}

fn no_path<E: Error>() -> E {
    E::custom(
        "no path of an attribute: write it like address.city or items[0].sku, and names with dots or brackets in a list: \
         [\"a.b\", 0]",
    )
}
