//! Scans: which part of the records, from where on, and what is found there.

use std::string::FromUtf8Error;

use super::{Id, IdError, Record, StoreError};
use crate::report::ErrorClass;

/// One of `of` equal parts of all records, by a hash of tenant and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Segment {
    /// `0..of`.
    pub index: u32,
    /// At least 1.
    pub of: u32,
}

/// What a scan covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every record.
    All,
    /// One tenant's.
    Tenant(String),
    /// Every record up to a place, and with it, where a scan of another store paused. Only where scans
    /// go in order of tenant and key, byte by byte: DynamoDB refuses it.
    UpTo(Cursor),
}

/// Where a scan goes on. Opaque, of one store's own making; it may be kept and used by another
/// process, for the same scope and segment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor(pub Vec<u8>);

/// The bytes of a tenant and a key.
pub(super) type Place<'a> = (&'a [u8], &'a [u8]);

/// A part of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Tombstones included; possibly none, although there is more.
    pub records: Vec<(Id, Record)>,
    /// What is there too, but is no record.
    pub unreadable: Vec<Unreadable>,
    /// `None`: that was all.
    pub next: Option<Cursor>,
}

/// What somebody else wrote and no record can be made of: its tenant or key is none, its version no
/// number, its content no value. It has no more of it than its place; it stays where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Whose it would be; with escapes where it is no tenant.
    pub tenant: String,
    /// Which one; with escapes where it is no key.
    pub key: String,
    /// What is wrong: always [`StoreError::Permanent`]. Names no content.
    pub error: StoreError,
}

/// What lies at a place in a store, as an adapter found it.
#[derive(Debug)]
pub(super) struct Found {
    /// Its bytes, whatever they are.
    pub(super) tenant: Vec<u8>,
    /// Likewise.
    pub(super) key: Vec<u8>,
    /// What was made of the rest.
    pub(super) record: Result<Record, StoreError>,
}

/// A page while it is read, row by row in order.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    page: Page,
    /// Of all rows that were looked at.
    pub(super) seen_bytes: usize,
    kept_bytes: usize,
    /// Where the last row was, unless it is the page's last record.
    last: Option<(Vec<u8>, Vec<u8>)>,
}

impl Segment {
    /// Everything, in one part.
    pub const ALL: Self = Self { index: 0, of: 1 };

    /// The parts of a whole.
    pub fn split(of: u32) -> impl Iterator<Item = Self> {
        (0..of).map(move |index| Self { index, of })
    }

    /// Is it in this part? For stores that have no parallel scan of their own.
    pub fn contains(&self, id: &Id) -> bool {
        let (tenant, key) = id.place();
        self.has(tenant, key)
    }

    /// The same of what need be no id.
    pub(super) fn has(&self, tenant: &[u8], key: &[u8]) -> bool {
        if self.of <= 1 {
            return true;
        }
        let mut hash = crc32fast::Hasher::new();
        hash.update(tenant);
        hash.update(&[0]);
        hash.update(key);
        (u64::from(hash.finalize()) * u64::from(self.of)) >> 32 == u64::from(self.index)
    }
}

impl Cursor {
    /// "After this place", for stores that scan in order of tenant and key.
    pub(super) fn after(tenant: &[u8], key: &[u8]) -> Self {
        // Neither has so many bytes in any store.
        let tenant_bytes = u32::try_from(tenant.len()).unwrap_or(u32::MAX);
        Self([&tenant_bytes.to_be_bytes(), tenant, key].concat())
    }

    /// Right after a record.
    pub fn after_record(id: &Id) -> Self {
        let (tenant, key) = id.place();
        Self::after(tenant, key)
    }

    /// Has a scan in order that paused here met this record, if it is there?
    pub fn is_past(&self, id: &Id) -> Result<bool, StoreError> {
        Ok(id.place() <= self.place()?)
    }

    /// Of a store in order: a place for another one in the same order, even if that holds only texts.
    /// Where this one is no text it is cut, which moves it back; wherever it is used it is cut alike.
    pub fn shared(&self) -> Result<Self, StoreError> {
        fn text(bytes: &[u8]) -> &[u8] {
            let valid = bytes.utf8_chunks().next().map_or(0, |chunk| chunk.valid().len());
            bytes[..valid].split(|byte| *byte == 0).next().unwrap_or_default()
        }
        let (tenant, key) = self.place()?;
        let (of, at) = (text(tenant), text(key));
        Ok(Self::after(of, if of.len() < tenant.len() { &[] } else { at }))
    }

    /// What [`Self::after`] was given.
    pub(super) fn place(&self) -> Result<Place<'_>, StoreError> {
        let split = || {
            let (tenant_bytes, rest) = self.0.split_first_chunk::<4>()?;
            rest.split_at_checked(usize::try_from(u32::from_be_bytes(*tenant_bytes)).ok()?)
        };
        split().ok_or_else(not_ours)
    }

    /// The same, in a store whose tenants and keys are always texts.
    pub(super) fn texts(&self) -> Result<(&str, &str), StoreError> {
        let (tenant, key) = self.place()?;
        match (str::from_utf8(tenant), str::from_utf8(key)) {
            (Ok(tenant), Ok(key)) => Ok((tenant, key)),
            _ => Err(not_ours()),
        }
    }
}

fn not_ours() -> StoreError {
    unreadable("cursor", "it is not one of this store: cancel the pass and start it anew".to_owned())
}

impl Found {
    /// The record with its id, for those who asked for just that.
    pub(super) fn read(self) -> Result<(Id, Record), StoreError> {
        let id = id(self.tenant, self.key).map_err(|(error, ..)| error)?;
        Ok((id, self.record?))
    }
}

impl Gathered {
    /// Has it so many bytes, and anything at all?
    pub(super) fn is_full(&self, limit_bytes: usize) -> bool {
        self.kept_bytes >= limit_bytes && !(self.page.records.is_empty() && self.page.unreadable.is_empty())
    }

    /// Adds a row.
    pub(super) fn take(&mut self, found: Found) {
        let bytes = found.tenant.len() + found.key.len() + found.record.as_ref().map_or(0, Record::bytes);
        self.seen_bytes += bytes;
        self.kept_bytes += bytes;
        let (unreadable, last) = match (id(found.tenant, found.key), found.record) {
            (Ok(id), Ok(record)) => {
                self.page.records.push((id, record));
                self.last = None;
                return;
            }
            (Ok(Id { tenant, key }), Err(error)) => {
                let last = (tenant.clone().into_bytes(), key.clone().into_bytes());
                (Unreadable { tenant, key, error }, last)
            }
            (Err((error, tenant, key)), _) => {
                (Unreadable { tenant: shown(&tenant), key: shown(&key), error }, (tenant, key))
            }
        };
        self.page.unreadable.push(unreadable);
        self.last = Some(last);
    }

    /// Goes past a row of another segment.
    pub(super) fn pass(&mut self, found: Found) {
        self.seen_bytes +=
            found.tenant.len() + found.key.len() + found.record.as_ref().map_or(0, Record::bytes);
        self.last = Some((found.tenant, found.key));
    }

    /// Where the last row was; `None`: there was none.
    pub(super) fn last(&self) -> Option<Place<'_>> {
        let record = || self.page.records.last().map(|(id, _)| id.place());
        self.last.as_ref().map(|(tenant, key)| (tenant.as_slice(), key.as_slice())).or_else(record)
    }

    /// The page. `more`: it goes on after the last row.
    pub(super) fn end(self, more: bool) -> Page {
        let next = self.last().filter(|_| more).map(|(tenant, key)| Cursor::after(tenant, key));
        Page { next, ..self.page }
    }
}

/// Back come the bytes of what is none.
pub(super) fn id(tenant: Vec<u8>, key: Vec<u8>) -> Result<Id, (StoreError, Vec<u8>, Vec<u8>)> {
    let wrong = |field, what: &str| unreadable(field, format!("{what}; correct or remove the record"));
    match (String::from_utf8(tenant), String::from_utf8(key)) {
        (Ok(tenant), Ok(key)) => match Id::check(&tenant, &key) {
            Ok(()) => Ok(Id { tenant, key }),
            Err(error) => {
                let field = if matches!(error, IdError::Tenant(_)) { "tenant" } else { "key" };
                Err((wrong(field, &error.to_string()), tenant.into_bytes(), key.into_bytes()))
            }
        },
        (tenant, key) => {
            let error = wrong(if tenant.is_err() { "tenant" } else { "key" }, "it is not UTF-8");
            let bytes = |text: Result<String, FromUtf8Error>| {
                text.map_or_else(FromUtf8Error::into_bytes, String::into_bytes)
            };
            Err((error, bytes(tenant), bytes(key)))
        }
    }
}

/// With escapes for all that could be mistaken.
fn shown(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => text.escape_debug().to_string(),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

/// The record's fault, so it is not the store that fails.
pub(super) fn unreadable(field: &str, what: String) -> StoreError {
    StoreError::Permanent { class: ErrorClass::Serialization, field: field.to_owned(), what }
}

#[cfg(test)]
mod tests;
