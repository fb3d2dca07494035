//! Documents: what a record's value is when a store knows its parts.
//!
//! A document has named, typed attributes, the types being DynamoDB's. As bytes it is *canonical
//! typed JSON*, `{"name":{"S":"x"},"price":{"N":"9.9"}}`: names and sets sorted, numbers in one text,
//! binary in base64, no blanks. Equal documents have equal bytes, so a store that keeps only bytes
//! and one that keeps columns can be compared.

mod decode;
mod encode;
mod error;
mod number;
mod size;

use std::collections::{BTreeMap, BTreeSet};

pub use error::{DocumentError, Fault};
pub use number::{Number, NumberError};

/// Most lists and maps within each other, as DynamoDB has it.
pub const DEPTH_MAX: usize = 32;

/// Attributes by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Document(pub BTreeMap<String, Attribute>);

/// A typed value. DynamoDB's names, see
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html>.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// Text; may be empty and may have NUL.
    S(String),
    /// An exact decimal number.
    N(Number),
    /// Bytes; may be none.
    B(Vec<u8>),
    /// True or false.
    Bool(bool),
    /// There, and null; not the same as absent.
    Null,
    /// A list.
    L(Vec<Attribute>),
    /// A map.
    M(BTreeMap<String, Attribute>),
    /// A set of texts. An empty set, of any kind, can't be encoded: DynamoDB has none.
    Ss(BTreeSet<String>),
    /// A set of numbers.
    Ns(BTreeSet<Number>),
    /// A set of bytes.
    Bs(BTreeSet<Vec<u8>>),
}

impl Document {
    /// As canonical typed JSON. Fails for an empty set and for more than [`DEPTH_MAX`] levels.
    pub fn encode(&self) -> Result<Vec<u8>, DocumentError> {
        encode::document(self)
    }

    /// Reads typed JSON, canonical or not. Refuses what no document is: a name that is there twice,
    /// an empty set, a number beyond 38 digits, invalid UTF-8.
    pub fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        decode::document(bytes)
    }

    /// The same of bytes that a store has to give back as they are, though it keeps them in parts:
    /// refuses what [`Self::encode`] would write in another way.
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
