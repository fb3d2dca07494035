//! Items and records: the only place that knows which part of a record is in which attribute.
//!
//! Some attributes are fields: tenant, key, version and the deletion mark. All others are the content, a
//! document.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    attribute::{to_attribute, to_document, to_value},
    error::permanent,
};
use crate::{
    Id, Record, StoreError, Version,
    document::Document,
    foreign,
    mapping::{Fields, KeyType},
    scan::Found,
};
use cutover_core::outcome::ErrorClass;

/// An item as DynamoDB's client has it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The primary key of a record.
pub(super) fn key_of(fields: &Fields, id: &Id) -> Result<Item, StoreError> {
    place_of(fields, &id.tenant, &id.key)
}

/// The same for a place that need not be a valid id.
pub(super) fn place_of(fields: &Fields, tenant: &str, key: &str) -> Result<Item, StoreError> {
    fields.place(tenant, key).map(to_item)
}

/// The whole item of a record.
pub(super) fn item_of(fields: &Fields, id: &Id, record: &Record) -> Result<Item, StoreError> {
    fields.item(id, record).map(to_item)
}

fn to_item(document: Document) -> Item {
    document.0.into_iter().map(|(name, attribute)| (name, to_value(attribute))).collect()
}

/// What a scan found.
pub(super) fn found(fields: &Fields, item: Item) -> Result<Found, StoreError> {
    let (tenant, key) = place_in(fields, &item)?;
    Ok(Found { tenant: tenant.into_bytes(), key: key.into_bytes(), record: record_of(fields, item) })
}

/// Tenant and key of an item, which need not form a valid id.
pub(super) fn place_in(fields: &Fields, item: &Item) -> Result<(String, String), StoreError> {
    let text = |name: &str, kind: KeyType| {
        let attribute = item.get(name).and_then(|value| to_attribute(value.clone()).ok());
        let text = attribute.and_then(|attribute| kind.text(attribute));
        text.ok_or_else(|| unreadable(name, kind.words(), item.get(name)))
    };
    Ok((text(&fields.tenant, fields.tenant_type)?, text(&fields.key, fields.key_type)?))
}

/// The id of an item that was requested by its id.
pub(super) fn id_of(fields: &Fields, item: &Item) -> Result<Id, StoreError> {
    let (tenant, key) = place_in(fields, item)?;
    Ok(Id { tenant, key })
}

/// The record of an item. Fails for an item whose fields the application uses.
pub(super) fn record_of(fields: &Fields, mut item: Item) -> Result<Record, StoreError> {
    let version = version_of(fields, &item)?;
    let is_tombstone = item.contains_key(&fields.deleted);
    for name in fields.of_item() {
        item.remove(name);
    }
    if is_tombstone {
        foreign::check_tombstone(&fields.deleted, version, !item.is_empty())?;
        return Ok(Record { version, value: None });
    }
    let value = to_document(item).and_then(|document| document.encode()).map_err(|error| {
        let field = if error.path.is_empty() { "record" } else { &error.path };
        let what = format!("{}; somebody else wrote it, correct it there", error.fault);
        permanent(ErrorClass::Serialization, field, what)
    })?;
    Ok(Record { version, value: Some(value) })
}

/// The version of an item; an item without one is below every stamp. Fails for an item whose version or
/// deletion mark the SDK did not write: its mark is always `true`, and never without a version.
pub(super) fn version_of(fields: &Fields, item: &Item) -> Result<Version, StoreError> {
    let name = &fields.version;
    let version = match item.get(name) {
        None => Version::ZERO,
        Some(number @ AttributeValue::N(digits)) => {
            let whole = digits.parse();
            let whole =
                whole.map_err(|_| unreadable(name, "a whole number of at most 63 bits", Some(number)))?;
            foreign::version(name, whole)?
        }
        other => return Err(unreadable(name, "a number", other)),
    };
    match item.get(&fields.deleted) {
        None => {}
        Some(AttributeValue::Bool(true)) => foreign::check_tombstone(&fields.deleted, version, false)?,
        Some(AttributeValue::Bool(false)) => {
            return Err(foreign::not_ours(&fields.deleted, "an item has false there", "deleted"));
        }
        other => return Err(unreadable(&fields.deleted, "true", other)),
    }
    Ok(version)
}

/// The version as an attribute.
pub(super) fn number_of(version: Version) -> AttributeValue {
    AttributeValue::N(version.to_string())
}

fn unreadable(name: &str, wanted: &str, found: Option<&AttributeValue>) -> StoreError {
    let found = match found {
        None => "nothing".to_owned(),
        Some(AttributeValue::N(digits)) => digits.clone(),
        Some(AttributeValue::S(_)) => "a string".to_owned(),
        Some(AttributeValue::B(_)) => "binary".to_owned(),
        Some(AttributeValue::Bool(flag)) => flag.to_string(),
        Some(AttributeValue::Null(_)) => "null".to_owned(),
        Some(_) => "a set, list or map".to_owned(),
    };
    let what =
        format!("an item has {found} where {wanted} is expected: correct it, or name another attribute");
    permanent(ErrorClass::Serialization, name, what)
}
