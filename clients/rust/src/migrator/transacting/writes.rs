//! What a transaction writes.

use serde::Serialize;

use super::super::error::{TRANSACT_MAX, TRANSACT_MAX_BYTES, WriteError, WritesError};
use crate::store::{Id, Record, Version, document::Document};

/// Puts and deletes of different records, for [`super::Migrator::transact`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Writes(Vec<(String, Option<Vec<u8>>)>);

impl Writes {
    /// None yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Puts the whole record, like [`super::Migrator::put`]. Fails if the value can't be a document.
    pub fn put<T: Serialize + ?Sized>(self, key: &str, value: &T) -> Result<Self, WriteError> {
        let value = Document::from_value(value).and_then(|document| document.encode());
        Ok(self.put_bytes(key, value.map_err(WriteError::Value)?))
    }

    /// Puts raw bytes, like [`super::Migrator::put_bytes`].
    pub fn put_bytes(self, key: &str, value: Vec<u8>) -> Self {
        self.and(key, Some(value))
    }

    /// Deletes the record, whether or not it exists, like [`super::Migrator::delete`].
    pub fn delete(self, key: &str) -> Self {
        self.and(key, None)
    }

    fn and(mut self, key: &str, value: Option<Vec<u8>>) -> Self {
        self.0.push((key.to_owned(), value));
        self
    }

    /// The records without a version, in the order of their ids.
    pub(super) fn records(self, tenant: &str) -> Result<Vec<(Id, Record)>, WriteError> {
        let record = |(key, value): (String, Option<Vec<u8>>)| {
            Ok((Id::new(tenant, &key)?, Record { version: Version::ZERO, value }))
        };
        let mut records = self.0.into_iter().map(record).collect::<Result<Vec<_>, WriteError>>()?;
        records.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let bytes: usize = records.iter().map(|(id, record)| id.key.len() + record.bytes()).sum();
        let twice = records.windows(2).find(|two| two[0].0 == two[1].0);
        Err(match (records.len(), twice) {
            (0, _) => WritesError::Empty,
            (_, Some(two)) => WritesError::Twice(two[0].0.key.clone()),
            (count, None) if count > TRANSACT_MAX => WritesError::TooMany(count),
            (_, None) if bytes > TRANSACT_MAX_BYTES => WritesError::TooLarge(bytes),
            (..) => return Ok(records),
        }
        .into())
    }
}
