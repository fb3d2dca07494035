//! Record types of a store, each with a table of its own.

use std::ops::Range;

use toml::Spanned;

use super::{
    super::{
        kind::Kind,
        section::{Given, Section},
        told::Told,
    },
    Server, strip, table_of,
};
use crate::{
    CONNECTIONS,
    mapping::{Dialect, Fields, Versions},
    spec::{StoreSpec, StripPrefixes, TypeSpec},
};

/// Each has its share of the connections.
const TYPES_MAX: usize = 16;

/// `url_has_table`: the url names a table.
pub(super) fn read(
    given: Spanned<Vec<Section<'_>>>,
    server: &Server,
    url_has_table: bool,
    at_url: &Range<usize>,
    told: &mut Told<'_>,
) -> Option<StoreSpec> {
    let at = given.span();
    if server.kind == Kind::Items {
        told.invalid(at, "types", "a DynamoDB table has all record types in one table: remove them");
        return None;
    }
    if url_has_table {
        told.invalid(at_url.clone(), "url", "each record type names its own table: remove it from the url");
    }
    let sections = given.into_inner();
    if !(1..=TYPES_MAX).contains(&sections.len()) {
        let what = format!("{} record types: give 1 to {TYPES_MAX}", sections.len());
        told.invalid(at, "types", what);
        return None;
    }
    let mut types: Vec<TypeSpec> = Vec::new();
    let mut prefixes: Vec<String> = Vec::new();
    let most = sections.len();
    let is_server = !matches!(server.kind, Kind::Sql(Dialect::Sqlite));
    let connections = is_server.then(|| {
        let most = u32::try_from(most).expect("at most TYPES_MAX");
        (server.connections.unwrap_or(CONNECTIONS) / most).max(2)
    });
    for mut section in sections {
        let at = section.at.clone();
        let prefix: Given<String> = section.take("key_prefix", told);
        let at_strip = strip::span(&section);
        let of_type = Server {
            connections,
            url: server.url.clone(),
            password_env: server.password_env.clone(),
            ..*server
        };
        let store = table_of(&mut section, &of_type, Some(None), &at, told);
        section.end(told);
        let advice = "add key_prefix = \"ORDER#\", with which the keys of its records begin";
        let prefix = prefix.required("key_prefix", advice, &at, told);
        if let Some(prefix) = &prefix {
            check_prefix(prefix, &prefixes, told);
            prefixes.push(prefix.as_ref().clone());
        }
        let (Some(prefix), Some(store)) = (prefix, store) else { continue };
        strip::check_of_type(prefix.as_ref(), &store.strip_prefixes, at_strip, told);
        let has = |table: &str| {
            types.iter().any(|it| it.store.table_names().any(|other| other.eq_ignore_ascii_case(table)))
        };
        if let Some(table) = store.table_names().find(|table| has(table)) {
            let what = format!("two record types have the table {table:?}: give each one of its own");
            told.invalid(at, "table", what);
        }
        let place = types.len();
        types.push(TypeSpec { key_prefix: prefix.into_inner(), store, place });
    }
    if types.len() < most || url_has_table {
        return None;
    }
    // Their order in the file has a meaning for transactions only.
    types.sort_by(|one, other| one.key_prefix.cmp(&other.key_prefix));
    let tables: Vec<&str> = types.iter().map(|it| it.store.table.as_str()).collect();
    Some(StoreSpec {
        url: server.url.clone()?,
        password_env: server.password_env.clone(),
        table: tables.join(", "),
        fields: Fields::default(),
        mapping: None,
        versions: Versions::default(),
        strip_prefixes: StripPrefixes::default(),
        connections: server.connections,
        types,
    })
}

/// A key belongs to one type at most if no prefix begins with another.
fn check_prefix(prefix: &Spanned<String>, others: &[String], told: &mut Told<'_>) {
    let text = prefix.as_ref();
    if text.is_empty() {
        let what = "it is empty, so every key begins with it: give each type a prefix of its own";
        told.invalid(prefix.span(), "key_prefix", what);
    } else if let Some(other) =
        others.iter().find(|it| it.starts_with(text.as_str()) || text.starts_with(*it))
    {
        let what = format!(
            "a key can begin with {other:?} and {text:?}, so it would belong to two types: make one no beginning of the \
             other"
        );
        told.invalid(prefix.span(), "key_prefix", what);
    }
}
