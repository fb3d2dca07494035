//! Scans: which part of the records to read, from where, and what was found.

use std::string::FromUtf8Error;

use super::{Id, IdError, KeyRange, Listed, Record, StoreError};
use cutover_core::outcome::ErrorClass;

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
    /// The records of one tenant.
    Tenant(String),
    /// Every record up to and including the place where a scan of another store paused. Only for stores that
    /// scan in order of tenant and key, byte by byte: DynamoDB refuses it.
    UpTo(Cursor),
    /// The records of one tenant whose keys are in a range, in the order of the keys' bytes. Each page has about `most` at
    /// most. Only for stores with that [`Store::key_order`](super::Store::key_order).
    Keys {
        /// The tenant.
        tenant: String,
        /// Its keys.
        range: KeyRange,
        /// At least 1.
        most: usize,
    },
}

/// The order in which a store scans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanOrder {
    /// By tenant and key, byte by byte. [`Scope::UpTo`] is possible, and a place means the same in every such store.
    Bytes,
    /// An order of the store's own. A cursor means the same as long as this description, of types and collations, is
    /// the same. Empty: always.
    Own(String),
}

/// Where to continue a scan. Opaque and specific to one store. It may be saved and used by another process,
/// for the same scope and segment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor(pub Vec<u8>);

/// The bytes of a tenant and a key.
pub(super) type Place<'a> = (&'a [u8], &'a [u8]);

/// A part of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Tombstones included; may be empty even if there is more.
    pub records: Vec<(Id, Record)>,
    /// Data that does not form a record.
    pub unreadable: Vec<Unreadable>,
    /// `None`: this was the last page.
    pub next: Option<Cursor>,
}

/// Data that somebody else wrote and that does not form a record: its tenant or key is invalid, its version
/// is not a number, or its content is not a value. It consists of the place only; the data stays where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its tenant, with escapes if it is not a valid tenant.
    pub tenant: String,
    /// Its key, with escapes if it is not a valid key.
    pub key: String,
    /// What is wrong: always [`StoreError::Permanent`]. Contains no content.
    pub error: StoreError,
}

/// What an adapter found at a place.
#[derive(Debug)]
pub(super) struct Found {
    /// The tenant's bytes, whatever they are.
    pub(super) tenant: Vec<u8>,
    /// The key's bytes.
    pub(super) key: Vec<u8>,
    /// The record, or why the rest does not form one.
    pub(super) record: Result<Record, StoreError>,
}

/// A page while it is read, row by row in order.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    page: Page,
    /// Bytes of all rows read.
    pub(super) seen_bytes: usize,
    /// Number of rows read.
    pub(super) seen: usize,
    kept_bytes: usize,
    /// Where the last row was, unless it is the page's last record.
    last: Option<(Vec<u8>, Vec<u8>)>,
}

impl Segment {
    /// Everything, in one part.
    pub const ALL: Self = Self { index: 0, of: 1 };

    /// All parts of a whole.
    pub fn split(of: u32) -> impl Iterator<Item = Self> {
        (0..of).map(move |index| Self { index, of })
    }

    /// Whether a record is in this part. For stores without a parallel scan of their own.
    pub fn contains(&self, id: &Id) -> bool {
        let (tenant, key) = id.place();
        self.has(tenant, key)
    }

    /// The same for a place that need not be a valid id.
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
    /// Continues after this place, for stores that scan in order of tenant and key.
    pub(super) fn after(tenant: &[u8], key: &[u8]) -> Self {
        // No store allows that many bytes.
        let tenant_bytes = u32::try_from(tenant.len()).unwrap_or(u32::MAX);
        Self([&tenant_bytes.to_be_bytes(), tenant, key].concat())
    }

    /// Right after a record.
    pub fn after_record(id: &Id) -> Self {
        let (tenant, key) = id.place();
        Self::after(tenant, key)
    }

    /// What is left of a tenant's keys here.
    pub(super) fn rest_of(cursor: Option<&Self>, range: &KeyRange) -> Result<KeyRange, StoreError> {
        Ok(match cursor {
            Some(cursor) => range.clone().after(cursor.texts()?.1),
            None => range.clone(),
        })
    }

    /// Whether an ordered scan that paused here has passed this record.
    pub fn is_past(&self, id: &Id) -> Result<bool, StoreError> {
        Ok(id.place() <= self.place()?)
    }

    /// From a store that scans in order: a cursor for another store with the same order, even if that holds
    /// only texts. If this place is not a text it is shortened, which moves it back; every use shortens it in
    /// the same way.
    pub fn shared(&self) -> Result<Self, StoreError> {
        fn text(bytes: &[u8]) -> &[u8] {
            let valid = bytes.utf8_chunks().next().map_or(0, |chunk| chunk.valid().len());
            bytes[..valid].split(|byte| *byte == 0).next().unwrap_or_default()
        }
        let (tenant, key) = self.place()?;
        let (of, at) = (text(tenant), text(key));
        Ok(Self::after(of, if of.len() < tenant.len() { &[] } else { at }))
    }

    /// The place passed to [`Self::after`].
    pub(super) fn place(&self) -> Result<Place<'_>, StoreError> {
        let split = || {
            let (tenant_bytes, rest) = self.0.split_first_chunk::<4>()?;
            rest.split_at_checked(usize::try_from(u32::from_be_bytes(*tenant_bytes)).ok()?)
        };
        split().ok_or_else(not_ours)
    }

    /// The same, for a store whose tenants and keys are always texts.
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
    /// The record with its id, for a read of just that record.
    #[cfg(any(test, feature = "postgres"))]
    pub(super) fn read(self) -> Result<(Id, Record), StoreError> {
        let id = id(self.tenant, self.key).map_err(|(error, ..)| error)?;
        Ok((id, self.record?))
    }
}

impl Gathered {
    /// Whether it has this many bytes, and anything at all.
    pub(super) fn is_full(&self, limit_bytes: usize) -> bool {
        self.kept_bytes >= limit_bytes && !(self.page.records.is_empty() && self.page.unreadable.is_empty())
    }

    /// Adds a row.
    pub(super) fn take(&mut self, found: Found) {
        let bytes = found.tenant.len() + found.key.len() + found.record.as_ref().map_or(0, Record::bytes);
        self.seen_bytes += bytes;
        self.seen += 1;
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

    /// Skips a row of another segment.
    pub(super) fn pass(&mut self, found: Found) {
        self.seen_bytes += found.record.as_ref().map_or(0, Record::bytes);
        self.pass_place(found.tenant, found.key);
    }

    /// Skips a place that has no record.
    pub(super) fn pass_place(&mut self, tenant: Vec<u8>, key: Vec<u8>) {
        self.seen += 1;
        self.seen_bytes += tenant.len() + key.len();
        self.last = Some((tenant, key));
    }

    /// Where the last row was; `None`: there was none.
    pub(super) fn last(&self) -> Option<Place<'_>> {
        let record = || self.page.records.last().map(|(id, _)| id.place());
        self.last.as_ref().map(|(tenant, key)| (tenant.as_slice(), key.as_slice())).or_else(record)
    }

    /// The page. `more`: it continues after the last row. Without one it would continue where it began, or seem to
    /// be the last page.
    pub(super) fn end(self, more: bool) -> Result<Page, StoreError> {
        let next = match self.last() {
            _ if !more => None,
            Some((tenant, key)) => Some(Cursor::after(tenant, key)),
            None => return Err(unreadable("scan", "a page ended nowhere: report this defect".to_owned())),
        };
        Ok(Page { next, ..self.page })
    }
}

impl Listed {
    /// A list's page from that of a scan, with at most so many records. Data that does not form a record fails it: a list
    /// that leaves it out would say that there is none. So does a page of something else: stores of other people may not know
    /// [`Scope::Keys`].
    pub(super) fn of(page: Page, tenant: &str, range: &KeyRange, most: usize) -> Result<Self, StoreError> {
        if let Some(found) = page.unreadable.into_iter().next() {
            return Err(found.error.of_record(&found.tenant, &found.key));
        }
        let is_asked = |id: &Id| id.tenant == tenant && range.contains(&id.key);
        if let Some((id, _)) = page.records.iter().find(|(id, _)| !is_asked(id)) {
            let what = "the store returned a record that is not in the scope: does it support Scope::Keys?";
            return Err(unreadable("scan", what.to_owned()).of_record(&id.tenant, &id.key));
        }
        if !page.records.is_sorted_by(|(one, _), (other, _)| one.key < other.key) {
            let what = "the keys came out of order: has the column's collation changed? Restart the service";
            return Err(unreadable("key", what.to_owned()));
        }
        let mut listed = Self { records: page.records, next: None };
        if let Some(next) = &page.next {
            let key = next.texts()?.1;
            let (from, includes_from) = range.start();
            if key < from || (key == from && !includes_from) {
                let what = format!(
                    "a page ended at key {key:?}, and the range begins at {from:?}: does the store support Scope::Keys?"
                );
                return Err(unreadable("scan", what));
            }
            listed.next = Some(key.to_owned());
        }
        if listed.records.len() > most {
            listed.records.truncate(most);
            listed.next = listed.records.last().map(|(id, _)| id.key.clone());
        }
        Ok(listed)
    }
}

/// An id from bytes; the error returns the bytes that are not valid.
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

/// With escapes for everything ambiguous.
fn shown(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => text.escape_debug().to_string(),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

/// An error of the record, not of the store.
pub(super) fn unreadable(field: &str, what: String) -> StoreError {
    StoreError::Permanent { class: ErrorClass::Serialization, field: field.to_owned(), what }
}

#[cfg(test)]
mod tests;
