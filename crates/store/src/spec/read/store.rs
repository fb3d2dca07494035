//! The sections `[source]` and `[target]`.

mod record_types;
mod strip;

use std::ops::Range;

use toml::Spanned;

use super::{
    columns::{self, Content},
    kind::Kind,
    limits::in_range,
    section::{Given, Section},
    told::Told,
};
use crate::{
    mapping::{Dialect, Fields, KeyType, NO_LEDGER, NameError, Versions, check_name},
    spec::{StoreSpec, StoreUrl},
};
use strip::Strip;

#[derive(Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Where {
    Columns,
    Ledger,
}

/// The names of a record's fields, as they are given.
struct Names {
    all: [(&'static str, Given<String>); 5],
    types: [(&'static str, Given<KeyType>); 2],
}

impl Section<'_> {
    /// Where the url is, or else the section.
    pub(super) fn url_span(&self) -> Range<usize> {
        self.span_of("url").unwrap_or_else(|| self.at.clone())
    }
}

/// What all tables of a store have in common.
struct Server {
    kind: Kind,
    url: Option<StoreUrl>,
    password_env: Option<String>,
    connections: Option<u32>,
}

pub(super) fn read(mut section: Section<'_>, told: &mut Told<'_>) -> Option<StoreSpec> {
    let (at, at_url) = (section.at.clone(), section.url_span());
    let url: Given<String> = section.take("url", told);
    let password_env: Given<String> = section.take("password_env", told);
    let connections: Given<u64> = section.take("connections", told);
    let types = section.sections("types", "it is a list: write [[target.types]] for each", told);

    let url = url.required("url", "add url = \"sqlite:orders.db\"", &at, told);
    let kind = url.as_ref().map_or(Kind::Unknown, |url| Kind::of(url.as_ref()));
    let parsed = url.and_then(|url| match StoreUrl::parse(url.as_ref()) {
        Ok(parsed) => Some(parsed),
        Err(errors) => {
            errors.into_iter().for_each(|error| told.invalid(url.span(), "url", error));
            None
        }
    });
    let in_url = parsed.as_ref().map(|(_, table)| table.clone());
    let url = parsed.map(|(url, _)| url);
    if let (Some(url), Some(name)) = (&url, password_env.get()) {
        check_password_env(url, name, told);
    }
    let connections = self::connections(kind, connections, told);
    let password_env = password_env.is().map(Spanned::into_inner);
    let server = Server { kind, url, password_env, connections };
    match types {
        Given::Absent => {
            let store = self::table_of(&mut section, &server, in_url, &at_url, told);
            section.end(told);
            store
        }
        Given::Wrong => None,
        Given::Is(given) => {
            section.end(told);
            record_types::read(given, &server, in_url.flatten().is_some(), &at_url, told)
        }
    }
}

/// What a section says about a table. `in_url`: the table's name there; `None` if the url is wrong.
fn table_of(
    section: &mut Section<'_>,
    server: &Server,
    in_url: Option<Option<String>>,
    at_url: &Range<usize>,
    told: &mut Told<'_>,
) -> Option<StoreSpec> {
    let kind = server.kind;
    let table = section.take("table", told);
    let names = Names {
        all: ["tenant", "key", "version", "deleted", "value"].map(|key| (key, section.take(key, told))),
        types: ["tenant_type", "key_type"].map(|key| (key, section.take(key, told))),
    };
    let content = Content::take(section, true, told);
    let versions = section.take("versions", told);
    let strip = Strip::take(section, told);
    let table = self::table(kind, in_url, table, at_url, told);
    let key_types = names.key_types(kind, told);
    let columns = content.names();
    let is_mapped = content.is_mapped();
    let value_is_given = !names.all[4].1.is_absent();
    let fields = names.fields(key_types);
    let at_children = content.at_children();
    let mapping = columns::mapping(kind, content, value_is_given, &fields, told);
    let mistakes = match kind {
        Kind::Sql(_) => {
            // What is wrong with columns alone is told already.
            let names = columns.iter().map(|(name, _)| name.as_str()).filter(|name| check_name(name).is_ok());
            let mut names: Vec<&str> = names.collect();
            names.sort_unstable_by_key(|name| name.to_ascii_lowercase());
            names.dedup_by_key(|name| name.to_ascii_lowercase());
            fields.table_mistakes(is_mapped, names)
        }
        Kind::Items => fields.item_mistakes(),
        Kind::Unknown => Vec::new(),
    };
    for error in mistakes {
        let span = names.span_of(&error, &columns).unwrap_or_else(|| at_url.clone());
        told.invalid(span, "fields", error);
    }
    let versions = self::versions(kind, &versions, told);
    let strip_prefixes = strip.prefixes(kind, fields.is_own_tenant(), told);
    let store = StoreSpec {
        url: server.url.clone()?,
        password_env: server.password_env.clone(),
        table: table?,
        fields,
        mapping: mapping?,
        versions,
        strip_prefixes: strip_prefixes?,
        connections: server.connections,
        types: Vec::new(),
    };
    let mistakes = store.sql_table().map(|table| table.child_mistakes()).unwrap_or_default();
    for (_, mistake) in &mistakes {
        told.invalid(at_children.clone().unwrap_or_else(|| at_url.clone()), "children", mistake);
    }
    mistakes.is_empty().then_some(store)
}

impl Names {
    fn fields(&self, types: (KeyType, KeyType)) -> Fields {
        let default = Fields::default();
        let named = |at: usize, default: String| {
            let (_, given): &(_, Given<String>) = &self.all[at];
            given.get().map_or(default, |name| name.as_ref().clone())
        };
        Fields {
            tenant: named(0, default.tenant),
            key: named(1, default.key),
            tenant_type: types.0,
            key_type: types.1,
            version: named(2, default.version),
            deleted: named(3, default.deleted),
            value: named(4, default.value),
        }
    }

    /// The types of tenant and key.
    fn key_types(&self, kind: Kind, told: &mut Told<'_>) -> (KeyType, KeyType) {
        if matches!(kind, Kind::Sql(_)) {
            for (key, given) in &self.types {
                if let Some(given) = given.get() {
                    told.invalid(given.span(), key, "in SQL tenant and key are text: remove it");
                }
            }
        }
        let [tenant, key] = [0, 1].map(|at| self.types[at].1.get().map(|given| *given.as_ref()));
        let [named, other] = [0, 1].map(|at| self.all[at].1.get().map(|name| name.as_ref().as_str()));
        // If both are one attribute, naming its type once is enough.
        let one = named.is_some() && named == other;
        let of_other = |type_: Option<KeyType>| type_.filter(|_| one);
        (tenant.or(of_other(key)).unwrap_or_default(), key.or(of_other(tenant)).unwrap_or_default())
    }

    /// Where the name is that an error is about.
    fn span_of(&self, error: &NameError, columns: &[(String, Range<usize>)]) -> Option<Range<usize>> {
        let (NameError::Invalid(name)
        | NameError::Item(name)
        | NameError::Clash(name)
        | NameError::KeyTypes(name)) = error;
        let of_columns = columns.iter().rev().find(|(column, _)| column.eq_ignore_ascii_case(name));
        let mut given = self.all.iter().rev().filter_map(|(_, given)| given.get());
        let of_names = given.find(|given| given.as_ref().eq_ignore_ascii_case(name));
        of_columns.map(|(_, span)| span.clone()).or_else(|| of_names.map(|given| given.span()))
    }
}

/// The table's name. `in_url`: `None` if the url is wrong.
fn table(
    kind: Kind,
    in_url: Option<Option<String>>,
    given: Given<String>,
    at_url: &Range<usize>,
    told: &mut Told<'_>,
) -> Option<String> {
    let (name, span) = match (in_url, given) {
        (Some(Some(_)), Given::Is(given)) => {
            told.invalid(given.span(), "table", "the url names the table already: remove one of the two");
            return None;
        }
        (Some(Some(name)), _) => (name, at_url.clone()),
        (_, Given::Is(given)) => (given.as_ref().clone(), given.span()),
        (Some(None), Given::Absent) => {
            told.missing(at_url.clone(), "table", "add table = \"orders\"");
            return None;
        }
        _ => return None,
    };
    let wrong = match kind {
        Kind::Sql(_) => check_name(&name).err().map(|error| error.to_string()),
        Kind::Items => {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            let fine = (3..=255).contains(&name.len()) && name.bytes().all(allowed);
            (!fine).then(|| format!("{name:?} is no DynamoDB table: use 3 to 255 of [A-Za-z0-9_.-]"))
        }
        Kind::Unknown => None,
    };
    match wrong {
        None => Some(name),
        Some(what) => {
            told.invalid(span, "table", what);
            None
        }
    }
}

fn versions(kind: Kind, given: &Given<Where>, told: &mut Told<'_>) -> Versions {
    match given.get() {
        Some(given) if matches!(given.as_ref(), Where::Ledger) => {
            if kind == Kind::Items {
                told.invalid(given.span(), "versions", NO_LEDGER);
            }
            Versions::Ledger
        }
        _ => Versions::Columns,
    }
}

/// Two are compared when a store is opened, so it needs that many.
fn connections(kind: Kind, given: Given<u64>, told: &mut Told<'_>) -> Option<u32> {
    let span = given.get()?.span();
    if matches!(kind, Kind::Items | Kind::Sql(Dialect::Sqlite)) {
        told.invalid(span, "connections", "only a database server has connections to limit: remove it");
        return None;
    }
    u32::try_from(in_range("connections", given, 2, 2..=1_000, told)).ok()
}

fn check_password_env(url: &StoreUrl, name: &Spanned<String>, told: &mut Told<'_>) {
    let what = if url.has_password() {
        "the url has a password already: remove one of the two"
    } else if !matches!(url, StoreUrl::Server { .. }) {
        "this store takes no password: remove it"
    } else if name.as_ref().is_empty() || name.as_ref().contains(['=', '\0']) {
        "no name of an environment variable: write it like ORDERS_DB_PASSWORD"
    } else {
        return;
    };
    told.invalid(name.span(), "password_env", what);
}
