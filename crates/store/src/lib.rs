//! The interface that every data store implements.
//!
//! A store holds records by tenant and key. Each has a [`Version`]. A deleted record leaves a *tombstone*: a
//! version without a value. Every write is conditional on the version that is there, so it is safe to copy,
//! to repeat, and to arrive late.
//!
//! | module | what it has |
//! |---|---|
//! | (root) | [`Store`], the stores that are included, and [`Faulty`], which makes a store fail on demand |
//! | [`document`] | documents with typed attributes, and their conversion from and to your types |
//! | [`mapping`] | which attribute goes to which column |
//! | `spec` | the file that names both stores and the mapping, with the feature `spec` |
//! | `suite` | tests for your own adapter, with the feature `suite` |
//!
//! To support another database, implement [`Store`] and pass the suite.
#![cfg_attr(
    not(all(feature = "mysql", feature = "postgres", feature = "sqlite")),
    allow(dead_code, unused_imports, reason = "one of the SQL stores needs only a part of what they share")
)]

mod bulk;
#[cfg(feature = "spec")]
mod by_prefix;
#[cfg(feature = "spec")]
mod described;
pub mod document;
#[cfg(feature = "dynamodb")]
mod dynamodb;
mod error;
mod fault;
mod foreign;
mod identity;
mod into;
mod list;
pub mod mapping;
mod memory;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod put_all;
mod scan;
#[cfg(feature = "spec")]
pub mod spec;
#[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "spec")]
mod stripped;
#[cfg(feature = "suite")]
pub mod suite;
mod triggers;
mod ttl;
mod version;

use std::any::Any;

use async_trait::async_trait;

pub use bulk::{Copied, Estimate, Pressure};
#[cfg(feature = "spec")]
pub use described::{Described, DescribedColumn, Referencing};
#[cfg(feature = "dynamodb")]
pub use dynamodb::{DynamoDbOptions, DynamoDbStore};
pub use error::StoreError;
pub use fault::{Fault, Faulty, Gate, Verb};
pub use identity::Identity;
pub use into::IntoStore;
pub use list::{KeyRange, Listed};
pub use memory::MemoryStore;
#[cfg(feature = "mysql")]
pub use mysql::MySqlStore;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
pub use put_all::PutAll;
pub use scan::{Cursor, Page, ScanOrder, Scope, Segment, Unreadable};
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub use sql::ServerOptions;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteOptions, SqliteStore};
pub use triggers::{CreatedTrigger, Trigger};
pub use ttl::Ttl;
pub use version::{EPOCH_UNIX_MS, Version, now_ms_since_2025};

use cutover_core::routing::{self, TenantError};

/// Maximum connections of a process to one database server, if nobody says another number.
#[cfg(any(feature = "spec", feature = "mysql", feature = "postgres"))]
pub(crate) const CONNECTIONS: u32 = 16;

/// Maximum bytes of a key.
pub const KEY_MAX_BYTES: usize = 1024;

/// Identifies one record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// The tenant, which is routed as a whole.
    pub tenant: String,
    /// The key within the tenant. Equal to the tenant if each record is its own tenant.
    pub key: String,
}

/// What is wrong with an [`Id`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The tenant is invalid.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// The key does not have 1 to [`KEY_MAX_BYTES`] bytes.
    #[error("key has {0} bytes: give 1 to 1024")]
    KeyBytes(usize),
    /// PostgreSQL can't store NUL in text.
    #[error("key has a NUL character: remove it")]
    KeyNul,
}

/// A record as both stores hold it; a copy carries all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// [`Version::ZERO`] if it has none yet.
    pub version: Version,
    /// `None`: deleted, a tombstone.
    pub value: Option<Vec<u8>>,
}

/// The result of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Put {
    /// This call has written the record, or an earlier attempt of its own may have: the record's version is there.
    Applied,
    /// The record's own version was there before this call, which changed nothing. It is the same write, given
    /// again, unless two writers have stamped the same version.
    Present,
    /// The condition does not hold: this version is there instead, 0 for none. Nothing was changed.
    Stale(Version),
}

/// Different ids that a table takes for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EqualIds {
    /// Where the first of them is in the list that was given.
    pub first: usize,
    /// Where the last one is.
    pub last: usize,
    /// How many there are.
    pub count: usize,
}

/// A data store. All reads are consistent: they see every write that was answered before.
///
/// A call may be dropped before it ends; a write may still take effect then. An adapter may retry the same
/// write, which does no harm. But once an attempt may have written, there are only two answers: the write's
/// own version, found there, or [`StoreError::Indeterminate`]. The failure of another attempt does not tell
/// what that one did, and something newer may have replaced it.
#[async_trait]
pub trait Store: Any + Send + Sync {
    /// Returns the record or its tombstone; `None` if there is neither.
    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError>;

    /// Writes if there is no record, or an older one (a record without a version counts as 0). At version 0 an
    /// equal one may be another write: compare the content.
    async fn put_if_newer(&self, id: &Id, record: &Record) -> Result<Put, StoreError>;

    /// Writes only if the version there is exactly `expected`; `None`: only if there is neither a record nor
    /// a tombstone. A record's own version that is already there is [`Put::Present`], unless it is 0: records
    /// without a version are equal only in content. So this method can replace one of them by another.
    async fn put_if_unchanged(
        &self,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError>;

    /// [`Self::get`] of many different records; results in the same order.
    async fn get_many(&self, ids: &[Id]) -> Result<Vec<Option<Record>>, StoreError>;

    /// The versions of [`Self::get_many`]. The content is not read and may be invalid.
    async fn get_versions(&self, ids: &[Id]) -> Result<Vec<Option<Version>>, StoreError> {
        let records = self.get_many(ids).await?;
        Ok(records.into_iter().map(|record| record.map(|record| record.version)).collect())
    }

    /// [`Self::put_if_newer`] of many different records, each on its own; results in the same order. After an
    /// error any of them may have been applied: pass all of them again.
    async fn put_many_if_newer(&self, records: &[(Id, Record)]) -> Result<Vec<Copied>, StoreError>;

    /// Writes all of these different records of one tenant if each is newer than what is there, as by
    /// [`Self::put_if_newer`], and else none of them. They become visible at one instant. Versions are above 0. Optional:
    /// by default it fails.
    async fn put_all_if_newer(&self, _records: &[(Id, Record)]) -> Result<PutAll, StoreError> {
        Err(put_all::no_transactions("it has no transactions"))
    }

    /// Fails if [`Self::put_all_if_newer`] can't write these records together, whatever the store has. Optional as well.
    fn check_all(&self, _ids: &[Id]) -> Result<(), StoreError> {
        Err(put_all::no_transactions("it has no transactions"))
    }

    /// Returns the next part of a segment: about `limit_bytes`, and at least one record if there is any. A
    /// record that is present throughout the scan appears exactly once. Concurrent writes may or may not be
    /// seen. The scan skips data that does not form a record, and reports it; only reading that data by
    /// itself fails.
    async fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError>;

    /// The records of a tenant whose keys are in a range, in the order of the keys' bytes, tombstones included: at most
    /// `most` of them (at least 1), and about `limit_bytes`. A page may be empty although there is more. Only for stores
    /// whose [`Self::key_order`] is [`ScanOrder::Bytes`]. Fails at data that does not form a record.
    async fn list(
        &self,
        tenant: &str,
        range: &KeyRange,
        most: usize,
        limit_bytes: usize,
    ) -> Result<Listed, StoreError> {
        if range.is_empty() {
            return Ok(Listed::default());
        }
        let scope = Scope::Keys { tenant: tenant.to_owned(), range: range.clone(), most };
        Listed::of(self.scan(&scope, Segment::ALL, None, limit_bytes).await?, tenant, range, most)
    }

    /// Refuses a range that [`Self::list`] can't read completely, whatever the store has.
    fn check_range(&self, _range: &KeyRange) -> Result<(), StoreError> {
        Ok(())
    }

    /// The order of one tenant's keys, in which [`Self::list`] reads them. If it is not that of their bytes,
    /// [`Scope::Keys`] may fail.
    fn key_order(&self) -> ScanOrder {
        self.scan_order()
    }

    /// The order of scans, as it was when the store was opened. [`Self::identity`] fails if it has changed since.
    fn scan_order(&self) -> ScanOrder {
        ScanOrder::Own(String::new())
    }

    /// Fails if no record with this id can be written, because of the types that the columns of tenant and key had when
    /// the store was opened. Nothing is asked or written.
    fn check_id(&self, _id: &Id) -> Result<(), StoreError> {
        Ok(())
    }

    /// Fails if this record can't be written, as far as that is known without asking the store. Nothing is written.
    fn check(&self, id: &Id, _record: &Record) -> Result<(), StoreError> {
        self.check_id(id)
    }

    /// Up to `count` places that are far apart, to begin samples at. `None`: the segments of this store are far apart, and
    /// it reads each without the others.
    async fn spread(&self, _count: usize) -> Result<Option<Vec<Cursor>>, StoreError> {
        Ok(None)
    }

    /// The columns of tenant and key in which different ids may be equal, for people. `None`: there are none.
    fn loose_ids(&self) -> Option<String> {
        None
    }

    /// Those of these ids that the table takes for one another: it can hold one of each group.
    async fn equal_ids(&self, _ids: &[Id]) -> Result<Vec<EqualIds>, StoreError> {
        Ok(Vec::new())
    }

    /// The table's identity, asked anew. `None`: the store has none, so a pass can't notice that its workers
    /// have different tables.
    async fn identity(&self) -> Result<Option<Identity>, StoreError> {
        Ok(None)
    }

    /// The table's columns that the mapping leaves out, each with its type. They are neither read nor written,
    /// so a copy does not have them.
    async fn unmapped(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// What may happen to single records in this table, for people: triggers that run, constraints that may
    /// refuse them.
    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// The attribute by which the store itself removes records, without a tombstone. `None`: it removes none, or the user
    /// may not ask.
    async fn removes_by(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    /// The privileges that the user lacks for writes to this table, for people. Nothing is written to find out.
    async fn missing_privileges(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// The statements that create triggers for programs without the SDK: what such a program writes gets a version in the
    /// ledger. Empty: the table has no ledger.
    fn triggers(&self) -> Vec<Trigger> {
        Vec::new()
    }

    /// Those of [`Store::triggers`] that the database has.
    async fn created_triggers(&self) -> Result<Vec<CreatedTrigger>, StoreError> {
        Ok(Vec::new())
    }

    /// Approximate size.
    async fn estimate(&self) -> Result<Estimate, StoreError>;

    /// The current load of the store.
    async fn pressure(&self) -> Result<Pressure, StoreError>;
}

impl Id {
    /// Checks tenant and key.
    pub fn new(tenant: &str, key: &str) -> Result<Self, IdError> {
        Self::check(tenant, key)?;
        Ok(Self { tenant: tenant.to_owned(), key: key.to_owned() })
    }

    fn check(tenant: &str, key: &str) -> Result<(), IdError> {
        routing::check_tenant(tenant)?;
        if key.is_empty() || key.len() > KEY_MAX_BYTES {
            return Err(IdError::KeyBytes(key.len()));
        }
        if key.as_bytes().contains(&0) {
            return Err(IdError::KeyNul);
        }
        Ok(())
    }

    /// Its position in an ordered scan.
    const fn place(&self) -> scan::Place<'_> {
        (self.tenant.as_bytes(), self.key.as_bytes())
    }

    /// Bytes of tenant and key.
    pub const fn bytes(&self) -> usize {
        self.tenant.len() + self.key.len()
    }
}

impl Record {
    /// Whether the record is deleted.
    pub const fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }

    /// Bytes of its value.
    pub fn bytes(&self) -> usize {
        self.value.as_ref().map_or(0, Vec::len)
    }
}

impl Put {
    /// The result of writing `version`, given the version that a failed condition found.
    const fn unless_ours(version: Version, current: Version) -> Self {
        if version.0 == current.0 { Self::Present } else { Self::Stale(current) }
    }

    /// The result of replacing what was seen: an equal version 0 may be any other record's.
    const fn unless_this(version: Version, current: Version) -> Self {
        if version.0 == 0 { Self::Stale(current) } else { Self::unless_ours(version, current) }
    }

    /// The result of a write's last attempt, unless the earlier attempts leave it open.
    #[cfg(any(feature = "mysql", feature = "postgres"))]
    fn or_doubt(self, doubt: error::Doubt) -> Result<Self, StoreError> {
        match (self, doubt) {
            (Self::Stale(_), Some(doubt)) => Err(doubt),
            (Self::Present, Some(_)) => Ok(Self::Applied),
            (put, _) => Ok(put),
        }
    }
}
