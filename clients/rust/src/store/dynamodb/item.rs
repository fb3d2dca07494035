//! Items and records: the one place that knows what of a record is in which attribute.

use std::collections::HashMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use super::{DynamoDbOptions, error::permanent};
use crate::{
    report::ErrorClass,
    store::{Id, Record, StoreError, Version, scan::Found},
};

/// As DynamoDB has it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The primary key of a record.
pub(super) fn key_of(options: &DynamoDbOptions, id: &Id) -> Result<Item, StoreError> {
    if options.tenant_attribute == options.key_attribute && id.tenant != id.key {
        let what = "its table has one key attribute, so tenant and key must be equal".to_owned();
        return Err(permanent(ErrorClass::Constraint, "tenant", what));
    }
    Ok(place_of(options, &id.tenant, &id.key))
}

/// The same of what need be no id.
pub(super) fn place_of(options: &DynamoDbOptions, tenant: &str, key: &str) -> Item {
    HashMap::from([
        (options.tenant_attribute.clone(), AttributeValue::S(tenant.to_owned())),
        (options.key_attribute.clone(), AttributeValue::S(key.to_owned())),
    ])
}

/// The whole item of a record. An empty value is a value; only `deleted` makes a tombstone.
pub(super) fn item_of(options: &DynamoDbOptions, id: &Id, record: &Record) -> Result<Item, StoreError> {
    let mut item = key_of(options, id)?;
    item.insert(options.version_attribute.clone(), number_of(record.version));
    match &record.value {
        Some(value) => {
            item.insert(options.value_attribute.clone(), AttributeValue::B(Blob::new(value.as_slice())))
        }
        None => item.insert(options.deleted_attribute.clone(), AttributeValue::Bool(true)),
    };
    Ok(item)
}

/// What a scan found.
pub(super) fn found(options: &DynamoDbOptions, item: Item) -> Result<Found, StoreError> {
    let (tenant, key) = place_in(options, &item)?;
    let (tenant, key) = (tenant.as_bytes().to_vec(), key.as_bytes().to_vec());
    Ok(Found { tenant, key, record: record_of(options, item) })
}

/// Tenant and key of an item, which need not make an id.
pub(super) fn place_in<'a>(
    options: &DynamoDbOptions,
    item: &'a Item,
) -> Result<(&'a str, &'a str), StoreError> {
    let text = |name: &str| match item.get(name) {
        Some(AttributeValue::S(text)) => Ok(text.as_str()),
        other => Err(unreadable(name, "a string", other)),
    };
    Ok((text(&options.tenant_attribute)?, text(&options.key_attribute)?))
}

/// Whose item it is, of those that were asked for by their ids.
pub(super) fn id_of(options: &DynamoDbOptions, item: &Item) -> Result<Id, StoreError> {
    let (tenant, key) = place_in(options, item)?;
    Ok(Id { tenant: tenant.to_owned(), key: key.to_owned() })
}

/// What it holds.
pub(super) fn record_of(options: &DynamoDbOptions, mut item: Item) -> Result<Record, StoreError> {
    let version = version_of(options, &item)?;
    let value = match item.get(&options.deleted_attribute) {
        Some(AttributeValue::Bool(true)) => None,
        None | Some(AttributeValue::Bool(false)) => match item.remove(&options.value_attribute) {
            Some(AttributeValue::B(value)) => Some(value.into_inner()),
            other => return Err(unreadable(&options.value_attribute, "binary", other.as_ref())),
        },
        other => return Err(unreadable(&options.deleted_attribute, "true or false", other)),
    };
    Ok(Record { version, value })
}

/// Negative versions are not ours; like none at all they are below every stamp.
pub(super) fn version_of(options: &DynamoDbOptions, item: &Item) -> Result<Version, StoreError> {
    let name = &options.version_attribute;
    match item.get(name) {
        None => Ok(Version::ZERO),
        Some(AttributeValue::N(digits)) if digits.starts_with('-') => Ok(Version::ZERO),
        Some(number @ AttributeValue::N(digits)) => {
            let version = digits.parse().ok().map(Version).filter(|version| *version <= Version::MAX);
            version.ok_or_else(|| unreadable(name, "a whole number of at most 63 bits", Some(number)))
        }
        other => Err(unreadable(name, "a number", other)),
    }
}

/// As an attribute.
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
