//! Names that are always valid: parsed once at the boundary.

use std::{borrow::Borrow, fmt, sync::Arc};

use cutover_core::routing::check_tenant;
use serde::{Deserialize, Serialize};

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Violation {
    /// The field, as on the wire.
    pub field: String,
    /// What is wrong and what to give instead.
    pub message: String,
}

impl Violation {
    /// A violation of a field.
    pub fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into() }
    }
}

/// A migration's key: `[a-z0-9][a-z0-9._-]{0,62}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(Arc<str>);

/// A tenant: UTF-8 of 1 to 256 bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tenant(Arc<str>);

impl Key {
    /// Parses a key.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let (first, rest) = match text.as_bytes() {
            [] => return Err(Violation::new("key", "is empty: give the migration's key")),
            [first, rest @ ..] => (*first, rest),
        };
        if text.len() > 63 || !plain(first) || !rest.iter().all(|&b| plain(b) || b"._-".contains(&b)) {
            let message = format!(
                "{text:?} is not a valid key: use 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit"
            );
            return Err(Violation::new("key", message));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Tenant {
    /// Parses a tenant.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        check_tenant(text).map_err(|error| Violation::new("tenant", error.to_string()))?;
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_newtype {
    ($($kind:ty),*) => {$(
        impl Borrow<str> for $kind {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $kind {
            type Error = Violation;
            fn try_from(text: String) -> Result<Self, Violation> {
                Self::parse(&text)
            }
        }
        impl From<$kind> for String {
            fn from(name: $kind) -> Self {
                name.0.as_ref().to_owned()
            }
        }
        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )*};
}
text_newtype!(Key, Tenant);
