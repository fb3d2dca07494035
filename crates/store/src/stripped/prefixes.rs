//! What a record's id has in front of that of its row, and what places and ranges of records are in the table.

use std::fmt;

use cutover_core::{outcome::ErrorClass, routing};

use crate::{Cursor, Id, IdError, KeyRange, Page, StoreError, Unreadable, scan::unreadable};

/// What the tenants and keys of all records of a table begin with, and its columns leave out. Empty: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StripPrefixes {
    /// Of the tenants.
    pub tenant: String,
    /// Of the keys.
    pub key: String,
}

/// A place of records, in the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Before all rows.
    First,
    /// Here.
    After(Cursor),
    /// Behind all rows.
    Behind,
}

/// The lowest character. No tenant has a control character, so nothing is between a tenant and the tenant with this behind
/// it.
const LOWEST: &[u8] = b"\x01";

impl StripPrefixes {
    /// Whether ids stay as they are.
    pub const fn is_empty(&self) -> bool {
        self.tenant.is_empty() && self.key.is_empty()
    }

    /// What is wrong with a prefix of keys, or of tenants; `None`: an id can begin with it.
    pub(crate) fn fault(prefix: &str, is_of_tenants: bool) -> Option<String> {
        if prefix.is_empty() {
            return Some("it is empty: remove it".to_owned());
        }
        // At least one character follows.
        let id = format!("{prefix}1");
        let fault = match is_of_tenants {
            true => routing::check_tenant(&id).map_err(IdError::from),
            false => Id::new("t", &id).map(drop),
        };
        fault.err().map(|error| format!("no id can begin with it: {error}"))
    }

    /// The id of a record's row. A record whose id has other beginnings can't be in the table.
    pub(crate) fn row_id(&self, id: &Id) -> Result<Id, StoreError> {
        let rest = |field: &str, of: &str, prefix: &str| match of.strip_prefix(prefix) {
            Some(rest) if !rest.is_empty() => Ok(rest.to_owned()),
            rest => {
                let is = if rest.is_some() { "has nothing after" } else { "does not begin with" };
                let what = format!(
                    "{of:?} {is} {prefix:?}, which the spec leaves out of each {field} in this table's column: keep the \
                     record out of this table, or rename it and delete the old one in the store itself, because a deletion by \
                     the SDK leaves a tombstone with the same id"
                );
                let field = field.to_owned();
                Err(StoreError::Permanent { class: ErrorClass::Constraint, field, what })
            }
        };
        Ok(Id { tenant: rest("tenant", &id.tenant, &self.tenant)?, key: rest("key", &id.key, &self.key)? })
    }

    /// An error of the table about a row. If it begins with an id, that is the row's.
    pub(super) fn explained(&self, row: &Id, error: StoreError) -> StoreError {
        let of_row =
            |what: &str| [&row.tenant, &row.key].iter().any(|id| what.starts_with(&format!("{id:?}")));
        match error {
            StoreError::Permanent { class, field, what } if of_row(&what) => {
                let what = format!("{what} (ids as the table has them, without {self})");
                StoreError::Permanent { class, field, what }
            }
            error => error,
        }
    }

    /// A tenant in the table; `None`: none of its rows is this tenant's.
    pub(super) fn row_tenant(&self, tenant: &str) -> Option<String> {
        tenant.strip_prefix(&self.tenant).filter(|rest| !rest.is_empty()).map(str::to_owned)
    }

    /// A range of keys in the table; `None`: no row is in it.
    pub(super) fn row_range(&self, range: &KeyRange) -> Option<KeyRange> {
        range.without_prefix(&self.key).filter(|range| !range.is_empty())
    }

    /// A place of a scan in the table. The other store's places may be anywhere. The ids of records before it are those of the
    /// rows before the place in the table.
    pub(super) fn place(&self, cursor: &Cursor) -> Result<Place, StoreError> {
        let (tenant, key) = cursor.place()?;
        let Some(of) = tenant.strip_prefix(self.tenant.as_bytes()) else {
            let is_before = tenant < self.tenant.as_bytes();
            return Ok(if is_before { Place::First } else { Place::Behind });
        };
        Ok(Place::After(match key.strip_prefix(self.key.as_bytes()) {
            Some(key) => Cursor::after(of, key),
            None if key < self.key.as_bytes() => Cursor::after(of, &[]),
            // Behind all keys of this tenant.
            None => Cursor::after(&[of, LOWEST].concat(), &[]),
        }))
    }

    /// A place of the table as one of records.
    pub(super) fn cursor(&self, place: &Cursor) -> Result<Cursor, StoreError> {
        let (tenant, key) = place.place()?;
        let with = |prefix: &String, of: &[u8]| [prefix.as_bytes(), of].concat();
        Ok(Cursor::after(&with(&self.tenant, tenant), &with(&self.key, key)))
    }

    /// A page of the table as one of records.
    pub(super) fn page(&self, page: Page) -> Result<Page, StoreError> {
        let mut all = Page { next: page.next.map(|next| self.cursor(&next)).transpose()?, ..Page::default() };
        // Nothing keeps nothing in front, so it is not taken for an id: a table can't have the one with the prefix alone.
        let with =
            |prefix: &str, rest: String| if rest.is_empty() { rest } else { format!("{prefix}{rest}") };
        for Unreadable { tenant, key, error } in page.unreadable {
            let (tenant, key) = (with(&self.tenant, tenant), with(&self.key, key));
            all.unreadable.push(Unreadable { tenant, key, error });
        }
        for (Id { tenant, key }, record) in page.records {
            let (tenant, key) = (self.tenant.clone() + &tenant, self.key.clone() + &key);
            match Id::new(&tenant, &key) {
                Ok(id) => all.records.push((id, record)),
                Err(error) => {
                    let field = if tenant.len() > routing::TENANT_MAX_BYTES { "tenant" } else { "key" };
                    let what = format!("with the prefix that the spec leaves out: {error}");
                    all.unreadable.push(Unreadable { tenant, key, error: unreadable(field, what) });
                }
            }
        }
        Ok(all)
    }
}

/// As part of an identity.
impl fmt::Display for StripPrefixes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, key } = self;
        match (tenant.as_str(), key.as_str()) {
            (tenant, "") => write!(f, "{tenant:?} of tenants"),
            ("", key) => write!(f, "{key:?} of keys"),
            (tenant, key) => write!(f, "{tenant:?} of tenants and {key:?} of keys"),
        }
    }
}
