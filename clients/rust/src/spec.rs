//! The file that says what moves where: both stores, how records map, how fast.
//!
//! docs/spec.md describes every key. The parser reads no file and no environment: it is given the
//! text, and later a way to look up the variables that hold passwords.

mod error;
mod fingerprint;
mod fit;
mod limits;
mod open;
mod read;
mod secret;
mod url;

pub use error::{Position, SpecError};
pub use limits::Limits;
pub use open::{Missing, OpenError};
pub use secret::Secret;
pub use url::{StoreUrl, UrlError};

use std::str::FromStr;

use crate::store::mapping::{Fields, Mapping};

/// What a spec file says. Debug shows no password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The migration's key in the controller.
    pub migration: String,
    /// The controller's address; `None`: given elsewhere.
    pub server: Option<String>,
    /// Where records come from.
    pub source: StoreSpec,
    /// Where they go.
    pub target: StoreSpec,
    /// The table for records that do not fit, in the target store if that is SQL, else in the source.
    pub quarantine_table: String,
    /// How fast, and with what care. None of it decides what is copied.
    pub limits: Limits,
    /// The longest after its timeout that a put can still land in a store, in milliseconds.
    pub residual_ms: u64,
}

/// One of the two stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSpec {
    /// Which.
    pub url: StoreUrl,
    /// Names the environment variable that has the password; `None`: it is in the url, or there is
    /// none.
    pub password_env: Option<String>,
    /// The table's name.
    pub table: String,
    /// What the parts of a record are called there.
    pub fields: Fields,
    /// `None`: whole, in one column; in DynamoDB always, which has attributes of its own.
    pub mapping: Option<Mapping>,
}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        read::spec(text)
    }
}

impl Spec {
    /// Tells apart specs that do not copy the same thing: 32 hexadecimal digits, of the stores, their
    /// fields and mappings and the number of segments; not of passwords, limits or how the file is
    /// written. A checkpoint of another one is refused.
    pub fn fingerprint(&self) -> String {
        fingerprint::of(self)
    }
}

impl StoreSpec {
    /// The url with the password in it, for a driver; `lookup` gives an environment variable's value.
    /// Fails if `password_env` names one that is not set.
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
