//! Types of attributes that serde's data model lacks, marked by the name of a newtype.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, Visitor},
};

use super::super::Number;

/// The content of this newtype is a number's text.
pub(super) const NUMBER: &str = "$cutover::Number";
/// The content of this newtype is a set's elements.
pub(super) const SET: &str = "$cutover::Set";

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(NUMBER, self.as_str())
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: String = deserializer.deserialize_newtype_struct(NUMBER, Inside(PhantomData))?;
        text.parse().map_err(D::Error::custom)
    }
}

/// Stores a field as a set (SS, NS or BS), by `#[serde(with = "cutover_store::document::set")]`.
///
/// ```
/// use std::collections::BTreeSet;
///
/// use cutover_store::document::Document;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Article {
///     // There are no empty sets: leave the attribute out.
///     #[serde(with = "cutover_store::document::set", default, skip_serializing_if = "BTreeSet::is_empty")]
///     tags: BTreeSet<String>,
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let article = Article { tags: ["new".to_owned(), "blue".to_owned()].into() };
/// let bytes = Document::from_value(&article)?.encode()?;
/// assert_eq!(bytes, br#"{"tags":{"SS":["blue","new"]}}"#);
/// # Ok(())
/// # }
/// ```
pub mod set {
    use std::marker::PhantomData;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// For serde.
    pub fn serialize<T: Serialize, S: Serializer>(elements: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(super::SET, elements)
    }

    /// For serde.
    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        deserializer.deserialize_newtype_struct(super::SET, super::Inside(PhantomData))
    }
}

/// Reads the content of a newtype; formats without newtypes give the content itself.
struct Inside<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Inside<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a set")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }
}
