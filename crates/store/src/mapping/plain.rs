//! Attributes as plain JSON, as `jsonb` columns and applications have it: `{"price": 9.9}`.
//!
//! Numbers keep all their digits. Binary and sets have no plain form. PostgreSQL takes no
//! NUL in a text.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{ColumnType, Dialect, Reason};
use crate::document::{Attribute, DEPTH_MAX};

/// The one text of an attribute.
pub(super) fn encode(attribute: &Attribute, dialect: Dialect) -> Result<String, Reason> {
    let mut text = String::new();
    write(&mut text, attribute, dialect)?;
    Ok(text)
}

/// `None`: not JSON, with a name twice, too deep, or with a number that no document can have.
pub(super) fn decode(text: &str) -> Option<Attribute> {
    read(text.trim(), 0)
}

fn write(text: &mut String, attribute: &Attribute, dialect: Dialect) -> Result<(), Reason> {
    match attribute {
        Attribute::Null => text.push_str("null"),
        Attribute::Bool(it) => text.push_str(if *it { "true" } else { "false" }),
        Attribute::N(number) => text.push_str(number.as_str()),
        Attribute::S(it) => quote(text, it, dialect)?,
        Attribute::L(elements) => {
            text.push('[');
            for (at, element) in elements.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                write(text, element, dialect)?;
            }
            text.push(']');
        }
        Attribute::M(attributes) => {
            text.push('{');
            for (at, (name, attribute)) in attributes.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                quote(text, name, dialect)?;
                text.push(':');
                write(text, attribute, dialect)?;
            }
            text.push('}');
        }
        other => return Err(Reason::Type { found: other.kind(), column: ColumnType::Jsonb }),
    }
    Ok(())
}

fn quote(text: &mut String, it: &str, dialect: Dialect) -> Result<(), Reason> {
    if dialect == Dialect::Postgres && it.contains('\0') {
        return Err(Reason::Nul);
    }
    text.push_str(&serde_json::Value::from(it).to_string());
    Ok(())
}

fn read(text: &str, depth: usize) -> Option<Attribute> {
    Some(match text.bytes().next()? {
        b'"' => Attribute::S(serde_json::from_str(text).ok()?),
        b'n' => serde_json::from_str::<()>(text).ok().map(|()| Attribute::Null)?,
        b't' | b'f' => Attribute::Bool(serde_json::from_str(text).ok()?),
        b'[' | b'{' if depth >= DEPTH_MAX => return None,
        b'[' => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            Attribute::L(elements.into_iter().map(|it| read(it.get(), depth + 1)).collect::<Option<_>>()?)
        }
        b'{' => {
            let Entries(entries) = serde_json::from_str(text).ok()?;
            let mut attributes = BTreeMap::new();
            for (name, it) in entries {
                if attributes.insert(name, read(it.get(), depth + 1)?).is_some() {
                    return None;
                }
            }
            Attribute::M(attributes)
        }
        _ => Attribute::N(text.parse().ok()?),
    })
}

/// An object as written: a name may be there twice.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Entries<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = from.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}
