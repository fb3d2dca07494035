//! Conversion between documents and your own types, by serde.
//!
//! ```
//! use cutover_store::document::{Document, Number};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Order {
//!     total: Number,
//!     items: u32,
//!     note: Option<String>,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let order = Order { total: "12.50".parse()?, items: 3, note: None };
//! let bytes = Document::from_value(&order)?.encode()?;
//! assert_eq!(bytes, br#"{"items":{"N":"3"},"total":{"N":"12.5"}}"#);
//!
//! let read: Order = Document::decode(&bytes)?.to_value()?;
//! assert_eq!(read.items, 3);
//!
//! let wrong = Document::decode(br#"{"items":{"S":"three"},"total":{"N":"1"}}"#)?;
//! let error = wrong.to_value::<Order>().err().unwrap();
//! assert_eq!(error.to_string(), "items: text where u32 is needed");
//! # Ok(())
//! # }
//! ```
//!
//! | in your type | attribute |
//! |---|---|
//! | `bool` | BOOL |
//! | an integer, a float, [`Number`](super::Number) | N. A float refuses digits that it would lose |
//! | `String`, `char`, an enum without content | S |
//! | bytes as serde knows them, e.g. by the crate `serde_bytes` | B. A plain `Vec<u8>` is a list of numbers |
//! | a sequence or a tuple | L |
//! | a collection with `#[serde(with = "..::document::set")]` ([`set`]) | SS, NS or BS |
//! | a struct, a map, an enum with content (`{"Variant": ..}`) | M |
//! | `None` in a struct | none: the attribute is left out |
//! | `None` elsewhere, `()` | NULL |

mod de;
mod markers;
mod ser;

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};

use super::{Attribute, Document, DocumentError, Fault};

pub use markers::set;

/// The attributes of a document that a type does not know; see [`Document::split`].
#[derive(Clone, Debug, Default)]
pub struct Rest(BTreeMap<String, Kept>);

/// What a type does not know of an attribute.
#[derive(Clone, Debug)]
enum Kept {
    Whole(Attribute),
    /// These of a map's attributes.
    Within(BTreeMap<String, Kept>),
}

impl Document {
    /// Converts a struct or a map to a document. Fails if it is neither, and for what no attribute can hold.
    pub fn from_value<T: Serialize + ?Sized>(value: &T) -> Result<Self, DocumentError> {
        match value.serialize(ser::ToAttribute)? {
            Attribute::M(attributes) => Ok(Self(attributes)),
            other => Err(mismatch(format!("{} where a struct or a map is needed", other.kind()))),
        }
    }

    /// Converts a document to a value. Attributes that the type does not know are ignored, unless it has
    /// `#[serde(deny_unknown_fields)]`.
    pub fn to_value<T: DeserializeOwned>(self) -> Result<T, DocumentError> {
        Ok(self.split()?.0)
    }

    /// [`Self::to_value`], and the attributes that the type does not know: of the document, and of maps within
    /// it, but not of maps within lists or enums.
    ///
    /// A type with `#[serde(flatten)]`, `tag` or `untagged` hides from serde which attributes it knows; they
    /// all count as known.
    pub fn split<T: DeserializeOwned>(self) -> Result<(T, Rest), DocumentError> {
        let mut kept = None;
        let value = T::deserialize(de::Value::new(Attribute::M(self.0), &mut kept))?;
        let rest = match kept {
            Some(Kept::Within(rest)) => Rest(rest),
            _ => Rest::default(),
        };
        Ok((value, rest))
    }

    /// Adds the attributes that are not there, each where it was.
    pub fn restore(&mut self, rest: Rest) {
        restore(&mut self.0, rest.0);
    }
}

fn restore(attributes: &mut BTreeMap<String, Attribute>, rest: BTreeMap<String, Kept>) {
    for (name, kept) in rest {
        match (attributes.get_mut(&name), kept) {
            (None, Kept::Whole(attribute)) => _ = attributes.insert(name, attribute),
            (Some(Attribute::M(within)), Kept::Within(rest)) => restore(within, rest),
            // The value has this attribute, or no longer the map that the rest was part of.
            _ => {}
        }
    }
}

fn mismatch(what: impl Into<String>) -> DocumentError {
    Fault::Mismatch(what.into()).into()
}
