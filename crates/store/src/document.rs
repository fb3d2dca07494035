//! Documents: a record's value with typed attributes.
//!
//! A document has named attributes with DynamoDB's types. Its bytes are *canonical typed JSON*,
//! `{"name":{"S":"x"},"price":{"N":"9.9"}}`: sorted names and sets, exactly one text for each number, base64
//! for binary, no blanks. Equal documents have equal bytes, so a store of bytes and a store of columns can be
//! compared.
//!
//! [`Document::from_value`] and [`Document::to_value`] convert from and to your own types:
//! [`typed`] says how.

mod decode;
mod encode;
mod error;
mod number;
mod size;
pub mod typed;

use std::collections::{BTreeMap, BTreeSet};

pub use error::{DocumentError, Fault};
pub use number::{Number, NumberError};
pub use typed::{Rest, set};

/// Maximum nesting of lists and maps, as in DynamoDB.
pub const DEPTH_MAX: usize = 32;

/// Attributes by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Document(pub BTreeMap<String, Attribute>);

/// A typed value, with DynamoDB's names: see
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html>.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// Text; may be empty and may contain NUL.
    S(String),
    /// An exact decimal number.
    N(Number),
    /// Bytes; may be empty.
    B(Vec<u8>),
    /// True or false.
    Bool(bool),
    /// Present and null; not the same as absent.
    Null,
    /// A list.
    L(Vec<Attribute>),
    /// A map.
    M(BTreeMap<String, Attribute>),
    /// A set of texts. An empty set of any kind can't be encoded: DynamoDB has none.
    Ss(BTreeSet<String>),
    /// A set of numbers.
    Ns(BTreeSet<Number>),
    /// A set of bytes.
    Bs(BTreeSet<Vec<u8>>),
}

impl Document {
    /// Encodes to canonical typed JSON. Fails for an empty set and for more than [`DEPTH_MAX`] levels.
    pub fn encode(&self) -> Result<Vec<u8>, DocumentError> {
        encode::document(self)
    }

    /// Reads typed JSON, canonical or not. Rejects what is not a document: a duplicate name, an empty set, a
    /// number with more than 38 digits, invalid UTF-8.
    pub fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        decode::document(bytes)
    }

    /// Like [`Self::decode`], for a store that keeps the document in parts but has to return the same bytes:
    /// rejects bytes that [`Self::encode`] would write differently.
    pub fn decode_canonical(bytes: &[u8]) -> Result<Self, DocumentError> {
        let document = Self::decode(bytes)?;
        if document.encode()? != bytes {
            return Err(Fault::NotCanonical.into());
        }
        Ok(document)
    }
}

impl Attribute {
    /// [`Document::encode`] of one attribute: `{"N":"1"}`.
    pub fn encode(&self) -> Result<Vec<u8>, DocumentError> {
        encode::attribute(self)
    }

    /// [`Document::decode`] of one attribute.
    pub fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        decode::attribute(bytes)
    }

    /// Its type in words, for messages.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::S(_) => "text (S)",
            Self::N(_) => "a number (N)",
            Self::B(_) => "bytes (B)",
            Self::Bool(_) => "a boolean (BOOL)",
            Self::Null => "null (NULL)",
            Self::L(_) => "a list (L)",
            Self::M(_) => "a map (M)",
            Self::Ss(_) => "a set of texts (SS)",
            Self::Ns(_) => "a set of numbers (NS)",
            Self::Bs(_) => "a set of bytes (BS)",
        }
    }
}
