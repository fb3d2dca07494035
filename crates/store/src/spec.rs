//! The spec file: both stores, how records map, how fast to go.
//!
//! docs/spec.md describes every key. The parser reads no file and no environment. It is given the text and,
//! later, a function that looks up the variables that hold passwords.

mod coverage;
mod draft;
mod error;
mod fingerprint;
mod fit;
mod limits;
mod nearest;
mod open;
mod read;
mod secret;
mod url;

pub use coverage::{Coverage, Unfilled};
pub use draft::{Draft, DraftSide, Sample, TableHas, column_name};
pub use error::{Position, SpecError};
pub use limits::Limits;
pub use open::{Missing, OpenError};
pub use secret::Secret;
pub use url::{StoreUrl, UrlError};

use std::str::FromStr;

pub use crate::stripped::StripPrefixes;
use crate::{
    Ttl,
    mapping::{Fields, Mapping, Versions},
};

/// How late a write can land after its timeout, if a spec does not say.
pub const RESIDUAL_MS: u64 = 30_000;

/// The content of a spec file. Debug output shows no password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The migration's key in the controller.
    pub migration: String,
    /// The controller's address; `None`: set elsewhere.
    pub server: Option<String>,
    /// The store that records come from.
    pub source: StoreSpec,
    /// The store that records go to.
    pub target: StoreSpec,
    /// The table for records that do not fit, in the target store if that is SQL, else in the source.
    pub quarantine_table: String,
    /// How fast to go. None of it affects what is copied.
    pub limits: Limits,
    /// How long after its timeout a put can still land in a store, in milliseconds.
    pub residual_ms: u64,
    /// When records expire; `None`: they never do.
    pub ttl: Option<Ttl>,
}

/// One of the two stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSpec {
    /// Where it is.
    pub url: StoreUrl,
    /// The environment variable with the password; `None`: it is in the url, or there is none.
    pub password_env: Option<String>,
    /// The table's name. With record types, all of their tables' names.
    pub table: String,
    /// The names of a record's fields there.
    pub fields: Fields,
    /// `None`: the whole record in one column. Always `None` for DynamoDB, which has attributes of its own.
    pub mapping: Option<Mapping>,
    /// Where versions and tombstones are; in DynamoDB always in the item.
    pub versions: Versions,
    /// What the columns of tenant and key leave out. SQL only.
    pub strip_prefixes: StripPrefixes,
    /// Most connections of a process to the server; `None`: the default of `ServerOptions`.
    pub connections: Option<u32>,
    /// Record types with a table each, by prefix. Then `fields`, `mapping`, `versions` and
    /// `strip_prefixes` have no meaning: each type has its own.
    pub types: Vec<TypeSpec>,
}

/// A record type with a table of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeSpec {
    /// What the keys of its records begin with. No prefix begins with another.
    pub key_prefix: String,
    /// Its table, in the same database. Has no types itself.
    pub store: StoreSpec,
    /// Its place in the file: a transaction writes to the tables in this order.
    pub place: usize,
}

impl FromStr for Spec {
    type Err = SpecError;

    /// As [`Spec::read`], with the first mistake only.
    fn from_str(text: &str) -> Result<Self, SpecError> {
        Self::read(text).map_err(|mut mistakes| mistakes.swap_remove(0))
    }
}

impl Spec {
    /// Reads a spec.
    ///
    /// # Errors
    ///
    /// All its mistakes, by line; at least one, and of each sort at most 100. A line that is not TOML has only that one.
    pub fn read(text: &str) -> Result<Self, Vec<SpecError>> {
        read::spec(text)
    }

    /// Identifies what a spec copies: 32 hexadecimal digits, computed from the stores, their fields and
    /// mappings, and the number of segments; not from passwords, limits or formatting. A checkpoint of
    /// another fingerprint is refused.
    pub fn fingerprint(&self) -> String {
        fingerprint::of(self)
    }
}

impl StoreSpec {
    /// Its tables, each with what the keys of its records begin with.
    pub fn tables(&self) -> impl Iterator<Item = (&str, &Self)> {
        let only = self.types.is_empty().then_some(("", self));
        only.into_iter().chain(self.types.iter().map(|it| (it.key_prefix.as_str(), &it.store)))
    }

    /// The names of all its tables, and of their child tables.
    pub(crate) fn table_names(&self) -> impl Iterator<Item = &str> {
        self.tables().flat_map(|(_, store)| {
            let children = store.mapping.iter().flat_map(Mapping::children);
            std::iter::once(store.table.as_str()).chain(children.map(|child| child.table.as_str()))
        })
    }

    /// The url with the password, for a driver. `lookup` returns an environment variable's value. Fails if
    /// `password_env` names a variable that is not set.
    pub fn connect_url(&self, lookup: impl Fn(&str) -> Option<String>) -> Result<Secret, SpecError> {
        match &self.password_env {
            None => Ok(self.url.connect_url(None)),
            Some(name) => match lookup(name) {
                Some(password) => Ok(self.url.connect_url(Some(&Secret::new(password)))),
                None => Err(SpecError::NoPassword(name.clone())),
            },
        }
    }
}
