//! What is wrong with a document, and where.

use super::{DEPTH_MAX, NumberError};

/// A document that can't be encoded or decoded. Messages contain no values, because they may be secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {fault}", if .path.is_empty() { "the record" } else { .path.as_str() })]
pub struct DocumentError {
    /// Where: `items[2].price`; empty for the whole document.
    pub path: String,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong at a place in a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Not JSON, or not UTF-8.
    #[error("no typed JSON ({0}): write it as {{\"name\":{{\"S\":\"text\"}}}}")]
    NotJson(String),
    /// JSON, but not of the expected form.
    #[error("{found} where {expected} is needed")]
    Shape {
        /// What was found, in words.
        found: &'static str,
        /// What was expected, in words.
        expected: &'static str,
    },
    /// Not the name of an attribute type.
    #[error("{0:?} is no type: use S, N, B, BOOL, NULL, L, M, SS, NS or BS")]
    UnknownType(String),
    /// A duplicate name or set element.
    #[error("it is there twice: keep one")]
    Twice,
    /// DynamoDB has no empty sets.
    #[error("an empty set: leave the attribute out")]
    EmptySet,
    /// More than [`DEPTH_MAX`] levels.
    #[error("more than {DEPTH_MAX} lists and maps within each other: flatten it")]
    TooDeep,
    /// The number is invalid.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// Typed JSON, but written differently from what [`Document::encode`](super::Document::encode) writes.
    #[error(
        "it is not written in the one way that comes back as the same bytes: attributes and sets sorted, numbers in their \
         shortest form, no blanks, no needless escapes: docs/spec.md"
    )]
    NotCanonical,
    /// An attribute does not fit the type that it is read as, or a value does not fit an attribute.
    #[error("{0}")]
    Mismatch(String),
    /// Not base64 with padding.
    #[error("no base64: use the standard alphabet with padding")]
    NotBase64,
}

impl From<Fault> for DocumentError {
    fn from(fault: Fault) -> Self {
        Self { path: String::new(), fault }
    }
}

impl DocumentError {
    /// The same error, seen from the level above: below the attribute of this name.
    pub(crate) fn under(mut self, name: &str) -> Self {
        let point = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{name}{point}{}", self.path);
        self
    }

    /// The same error, seen from the list.
    pub(crate) fn at(mut self, index: usize) -> Self {
        let point = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("[{index}]{point}{}", self.path);
        self
    }
}
