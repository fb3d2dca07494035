//! The file as written. docs/spec.md explains each key.

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use toml::Spanned;

use crate::mapping::{ColumnPath, ColumnType, KeyType, OnMisfit};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) migration: Spanned<String>,
    pub(super) server: Option<Spanned<String>>,
    pub(super) quarantine_table: Option<Spanned<String>>,
    pub(super) residual_ms: Option<Spanned<u64>>,
    pub(super) source: StoreSection,
    pub(super) target: StoreSection,
    pub(super) limits: Option<LimitsSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreSection {
    pub(super) url: Spanned<String>,
    pub(super) password_env: Option<Spanned<String>>,
    pub(super) table: Option<Spanned<String>>,
    pub(super) tenant: Option<String>,
    pub(super) key: Option<String>,
    pub(super) tenant_type: Option<Spanned<KeyType>>,
    pub(super) key_type: Option<Spanned<KeyType>>,
    pub(super) version: Option<String>,
    pub(super) deleted: Option<String>,
    pub(super) value: Option<String>,
    pub(super) overflow: Option<Spanned<String>>,
    pub(super) on_misfit: Option<Spanned<Policy>>,
    pub(super) columns: Option<Vec<Spanned<ColumnSection>>>,
    pub(super) versions: Option<Spanned<Where>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ColumnSection {
    pub(super) name: String,
    pub(super) from: Option<From>,
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    #[serde(default)]
    pub(super) required: bool,
    pub(super) format: Option<Spanned<String>>,
    pub(super) zone: Option<Spanned<String>>,
    pub(super) labels: Option<Vec<String>>,
    pub(super) default: Option<Spanned<toml::Value>>,
    pub(super) constant: Option<Spanned<toml::Value>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsSection {
    #[serde(alias = "records_per_s")]
    pub(super) rows_per_s: Option<Spanned<u64>>,
    pub(super) bytes_per_s: Option<Spanned<u64>>,
    pub(super) chunk_ms: Option<Spanned<u64>>,
    pub(super) chunk_bytes: Option<Spanned<u64>>,
    pub(super) lag_ms: Option<Spanned<u64>>,
    pub(super) latency_ms: Option<Spanned<u64>>,
    pub(super) segments: Option<Spanned<u64>>,
    pub(super) workers: Option<Spanned<u64>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Policy {
    Quarantine,
    Overflow,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Where {
    Columns,
    Ledger,
}

impl std::convert::From<Policy> for OnMisfit {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Quarantine => Self::Quarantine,
            Policy::Overflow => Self::Overflow,
        }
    }
}

pub(super) struct Kind(pub(super) ColumnType);

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

/// `"a.b"`, or `["a.b", "c"]` if a name contains a dot.
pub(super) struct From(pub(super) ColumnPath);

impl<'de> Deserialize<'de> for From {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PathVisitor)
    }
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
        let mut names = Vec::new();
        while let Some(name) = from.next_element()? {
            names.push(name);
        }
        ColumnPath::new(names).map(From).ok_or_else(no_path)
    }
}

fn no_path<E: Error>() -> E {
    E::custom("no path of an attribute: give 1 to 32 names, none of them empty")
}
