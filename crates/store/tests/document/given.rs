//! Documents and mappings to test with.

use std::collections::BTreeMap;

use cutover_store::{
    document::{Attribute, Document, Number},
    mapping::{Column, ColumnPath, ColumnType, Dialect, Element, Fill, Mapping, OnMisfit, Step},
};
use proptest::{
    collection::{btree_map, btree_set, vec},
    prelude::*,
};

pub(crate) fn number(text: &str) -> Number {
    text.parse().expect("a number")
}

pub(crate) fn text(text: &str) -> Attribute {
    Attribute::S(text.to_owned())
}

pub(crate) fn map<const N: usize>(entries: [(&str, Attribute); N]) -> BTreeMap<String, Attribute> {
    entries.into_iter().map(|(name, attribute)| (name.to_owned(), attribute)).collect()
}

pub(crate) fn document<const N: usize>(entries: [(&str, Attribute); N]) -> Document {
    Document(map(entries))
}

pub(crate) fn column(path: &str, kind: &str) -> Column {
    Column {
        name: path.replace(['.', '['], "_").replace(']', ""),
        path: ColumnPath::dotted(path).expect("a path"),
        kind: kind.parse().expect("a type"),
        required: false,
        spelling: Default::default(),
        labels: Vec::new(),
        fill: None,
        prefix: None,
        computed: None,
    }
}

pub(crate) fn mapping(columns: &[(&str, &str)], overflow: bool, on_misfit: OnMisfit) -> Mapping {
    let columns = columns.iter().map(|(path, kind)| column(path, kind)).collect();
    let overflow = overflow.then(|| "rest".to_owned());
    Mapping::new(Dialect::Postgres, columns, overflow, on_misfit).expect("a mapping")
}

/// Few names, so that columns often meet attributes; any content.
fn names() -> impl Strategy<Value = String> {
    prop_oneof![18 => "[abcde]", 1 => any::<String>(), 1 => Just("a.b".to_owned())]
}

pub(crate) fn numbers() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<i64>().prop_map(Number::from),
        "-?[0-9]{1,20}(\\.[0-9]{1,18})?(e-?[0-9]{1,2})?"
            .prop_filter_map("too large", |text| text.parse().ok()),
    ]
}

pub(crate) fn attributes() -> impl Strategy<Value = Attribute> {
    let leaf = prop_oneof![
        any::<String>().prop_map(Attribute::S),
        "[a-z]{0,3}".prop_map(Attribute::S),
        (-99_i64..99).prop_map(|whole| Attribute::N(whole.into())),
        "[a-z\0]{0,5}".prop_map(Attribute::S),
        "(19|20)[0-9]{2}-0[1-9]-[0-2][0-9]( |T)[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|\\+01:00|)"
            .prop_map(Attribute::S),
        "[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}".prop_map(Attribute::S),
        numbers().prop_map(Attribute::N),
        vec(any::<u8>(), 0..6).prop_map(Attribute::B),
        any::<bool>().prop_map(Attribute::Bool),
        Just(Attribute::Null),
        btree_set(any::<String>(), 1..4).prop_map(Attribute::Ss),
        btree_set(numbers(), 1..4).prop_map(Attribute::Ns),
        btree_set(vec(any::<u8>(), 0..4), 1..4).prop_map(Attribute::Bs),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Attribute::L),
            btree_map(names(), inner, 0..4).prop_map(Attribute::M),
        ]
    })
}

pub(crate) fn documents() -> impl Strategy<Value = Document> {
    btree_map(names(), attributes(), 0..7).prop_map(Document)
}

/// Any mapping that columns with these few names can form.
pub(crate) fn mappings() -> impl Strategy<Value = Mapping> {
    let kind = proptest::sample::select(vec![
        ColumnType::Text,
        ColumnType::Varchar(3),
        ColumnType::Bigint,
        ColumnType::Decimal { digits: 10, scale: 2 },
        ColumnType::Decimal { digits: 38, scale: 30 },
        ColumnType::Boolean,
        ColumnType::Blob,
        ColumnType::Varbinary(3),
        ColumnType::Json,
        ColumnType::Char(3),
        ColumnType::Integer { bits: 8, unsigned: false },
        ColumnType::Integer { bits: 64, unsigned: true },
        ColumnType::Real,
        ColumnType::Double,
        ColumnType::Uuid,
        ColumnType::UuidBytes,
        ColumnType::Date,
        ColumnType::Time(0),
        ColumnType::Datetime(3),
        ColumnType::Timestamp(6),
        ColumnType::Timestamptz(0),
        ColumnType::Bit(5),
        ColumnType::Bit(64),
        ColumnType::Enum,
        ColumnType::Jsonb,
        ColumnType::Array(Element::Text),
        ColumnType::Array(Element::Double),
        ColumnType::Array(Element::Uuid),
    ]);
    let length = prop_oneof![6 => Just(1_usize), 2 => Just(2), 1 => Just(3)];
    let path =
        length.prop_flat_map(|length| vec(names(), length)).prop_filter_map("no path", ColumnPath::new);
    let fill = proptest::option::weighted(0.2, (attributes(), any::<bool>()));
    let column = (path, kind, proptest::bool::weighted(0.1), fill);
    let dialect = proptest::sample::select(vec![Dialect::Sqlite, Dialect::MySql, Dialect::Postgres]);
    let rules = (dialect, proptest::bool::weighted(0.8), any::<bool>());
    (vec(column, 0..5), rules).prop_filter_map("no mapping", |(columns, (dialect, overflow, lenient))| {
        let named = columns.into_iter().enumerate().map(|(index, (path, kind, required, fill))| Column {
            name: format!("c{index}"),
            path,
            kind: fill.as_ref().map_or(kind, |(value, _)| suiting(value, dialect)),
            required: required && fill.is_none(),
            spelling: Default::default(),
            prefix: None,
            computed: None,
            labels: labels_of(fill.as_ref().map_or(kind, |(value, _)| suiting(value, dialect))),
            fill: fill.map(|(value, is_default)| match is_default {
                true => Fill::Default(value),
                false => Fill::Constant(value),
            }),
        });
        let on_misfit = if lenient { OnMisfit::Overflow } else { OnMisfit::Quarantine };
        Mapping::new(dialect, named.collect(), overflow.then(|| "rest".to_owned()), on_misfit).ok()
    })
}

/// A mapping and a document, many of whose attributes fit their columns; by chance few would.
pub(crate) fn pairs() -> impl Strategy<Value = (Mapping, Document)> {
    (mappings(), documents(), vec(proptest::bool::weighted(0.8), 5)).prop_map(|(mapping, document, suit)| {
        let mut columns = mapping.columns().to_vec();
        let of_document = document.0.iter().zip(&suit).filter(|(_, suit)| **suit);
        for (column, ((name, attribute), _)) in columns.iter_mut().zip(of_document) {
            let (mut path, mut attribute) = (vec![Step::Name(name.clone())], attribute);
            loop {
                let (step, inside) = match attribute {
                    Attribute::M(inner) => match inner.first_key_value() {
                        Some((name, inside)) => (Step::Name(name.clone()), inside),
                        None => break,
                    },
                    // An array takes the others.
                    Attribute::L(inner) if inner.len() > 1 => {
                        (Step::At(inner.len() / 2), &inner[inner.len() / 2])
                    }
                    _ => break,
                };
                path.push(step);
                attribute = inside;
            }
            column.fill = None;
            column.prefix = None;
            column.computed = None;
            column.kind = suiting(attribute, mapping.dialect());
            column.labels = labels_of(column.kind);
            // Often the beginning of the text.
            if let (Attribute::S(text), ColumnType::Text) = (attribute, column.kind) {
                column.prefix = text.chars().next().map(String::from);
            }
            column.path = ColumnPath::new(path).unwrap_or_else(|| column.path.clone());
        }
        // Often the first two in one column.
        if let [one, other, ..] = columns.as_mut_slice()
            && let Ok(template) =
                format!("{{{}{}}}a{{{}{}}}", one.path, part(one), other.path, part(other)).parse()
            && suit[4]
        {
            (one.kind, one.computed, one.prefix, one.required) =
                (ColumnType::Text, Some(template), None, false);
            one.labels.clear();
            columns.remove(1);
        }
        let overflow = mapping.overflow().map(str::to_owned);
        let suiting = Mapping::new(mapping.dialect(), columns, overflow, mapping.on_misfit());
        (suiting.unwrap_or(mapping), document)
    })
}

/// How a template says what this column takes.
fn part(column: &Column) -> &'static str {
    if matches!(column.kind, ColumnType::Bigint | ColumnType::Bit(_)) { ":N" } else { "" }
}

/// Those of an enum.
fn labels_of(kind: ColumnType) -> Vec<String> {
    let labels = if kind == ColumnType::Enum { vec!["", "a", "b", "ab"] } else { Vec::new() };
    labels.into_iter().map(str::to_owned).collect()
}

fn suiting(attribute: &Attribute, dialect: Dialect) -> ColumnType {
    match attribute {
        Attribute::S(text) if labels_of(ColumnType::Enum).contains(text) => ColumnType::Enum,
        Attribute::N(number) if number.as_str().len() == 1 => ColumnType::Bit(4),
        Attribute::L(elements) if dialect == Dialect::Postgres => match elements.first() {
            Some(Attribute::S(_)) => ColumnType::Array(Element::Text),
            Some(Attribute::N(_)) => ColumnType::Array(Element::Double),
            Some(Attribute::Bool(_)) => ColumnType::Array(Element::Boolean),
            _ => ColumnType::Jsonb,
        },
        Attribute::L(_) | Attribute::M(_) => ColumnType::Jsonb,
        Attribute::S(text) if text.len() == 36 => ColumnType::Uuid,
        Attribute::S(text) if text.ends_with('Z') => ColumnType::Timestamptz(3),
        Attribute::S(text) if text.contains(" 1") => ColumnType::Datetime(6),
        Attribute::S(_) => ColumnType::Text,
        Attribute::N(number) if number.parts().2.is_empty() => ColumnType::Bigint,
        Attribute::N(_) => ColumnType::Decimal { digits: 38, scale: 18 },
        Attribute::B(_) => ColumnType::Blob,
        Attribute::Bool(_) => ColumnType::Boolean,
        _ => ColumnType::Json,
    }
}
