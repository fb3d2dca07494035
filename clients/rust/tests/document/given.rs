//! Documents and mappings to test with.

use std::collections::BTreeMap;

use cutover_client::store::{
    document::{Attribute, Document, Number},
    mapping::{Column, ColumnPath, ColumnType, Dialect, Mapping, OnMisfit},
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
        name: path.replace('.', "_"),
        path: ColumnPath::dotted(path).expect("a path"),
        kind: kind.parse().expect("a type"),
        required: false,
    }
}

pub(crate) fn mapping(columns: &[(&str, &str)], overflow: bool, on_misfit: OnMisfit) -> Mapping {
    let columns = columns.iter().map(|(path, kind)| column(path, kind)).collect();
    let overflow = overflow.then(|| "rest".to_owned());
    Mapping::new(Dialect::Postgres, columns, overflow, on_misfit).expect("a mapping")
}

/// Few names, so that columns often meet attributes; any content.
fn names() -> impl Strategy<Value = String> {
    prop_oneof![9 => "[abc]", 1 => any::<String>(), 1 => Just("a.b".to_owned())]
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
        "[a-z\0]{0,5}".prop_map(Attribute::S),
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
    btree_map(names(), attributes(), 0..5).prop_map(Document)
}

/// Any that columns of these few names can make.
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
    ]);
    let path = vec(names(), 1..4).prop_filter_map("no path", ColumnPath::new);
    let column = (path, kind, proptest::bool::weighted(0.1));
    let dialect = proptest::sample::select(vec![Dialect::Sqlite, Dialect::MySql, Dialect::Postgres]);
    let rules = (dialect, proptest::bool::weighted(0.8), any::<bool>());
    (vec(column, 0..5), rules).prop_filter_map("no mapping", |(columns, (dialect, overflow, lenient))| {
        let named = columns.into_iter().enumerate().map(|(index, (path, kind, required))| Column {
            name: format!("c{index}"),
            path,
            kind,
            required,
        });
        let on_misfit = if lenient { OnMisfit::Overflow } else { OnMisfit::Quarantine };
        Mapping::new(dialect, named.collect(), overflow.then(|| "rest".to_owned()), on_misfit).ok()
    })
}
