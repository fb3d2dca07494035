//! The one small interface behind which every data store stands.
//!
//! A store holds records by tenant and key. Each carries a [`Version`], and a deleted one leaves a
//! *tombstone*: a record with a version and no value. Every write is conditional on the version
//! that is there, which is what makes it safe to copy, to repeat and to arrive late.
//!
//! An adapter implements [`Store`] and passes the suite in `tests/store/suite.rs`.

mod bulk;
pub mod document;
#[cfg(feature = "dynamodb")]
mod dynamodb;
mod error;
mod fault;
mod foreign;
mod identity;
pub mod mapping;
mod memory;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod scan;
#[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod version;

use async_trait::async_trait;

pub use bulk::{Copied, Estimate, Pressure};
#[cfg(feature = "dynamodb")]
pub use dynamodb::{DynamoDbOptions, DynamoDbStore};
pub use error::StoreError;
pub use fault::{Fault, Faulty, Gate, Verb};
pub use identity::Identity;
pub use memory::MemoryStore;
#[cfg(feature = "mysql")]
pub use mysql::MySqlStore;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
pub use scan::{Cursor, Page, Scope, Segment, Unreadable};
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub use sql::ServerOptions;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteOptions, SqliteStore};
pub use version::{EPOCH_UNIX_MS, Version, now_ms_since_2025};

use crate::routing::{self, TenantError};

/// Most bytes of a key.
pub const KEY_MAX_BYTES: usize = 1024;

/// Names one record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Whose it is; what is routed as one.
    pub tenant: String,
    /// Which one, within the tenant. Equal to the tenant where each record is one of its own.
    pub key: String,
}

/// What is wrong with an [`Id`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// See there.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// Not 1 to [`KEY_MAX_BYTES`] bytes.
    #[error("key has {0} bytes: give 1 to 1024")]
    KeyBytes(usize),
    /// PostgreSQL holds no text with NUL.
    #[error("key has a NUL character: remove it")]
    KeyNul,
}

/// A record as both stores hold it; a copy carries all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// [`Version::ZERO`] when it has none yet.
    pub version: Version,
    /// `None`: deleted, a tombstone.
    pub value: Option<Vec<u8>>,
}

/// How a conditional write was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Put {
    /// The record is there, now or already: an equal version is our own.
    Applied,
    /// The condition does not hold: this version is there instead, 0 for none. Nothing was changed.
    Stale(Version),
}

/// A data store. All reads are consistent: they see every write that was answered before.
///
/// Calls may be dropped before they end, and a write may then take effect all the same. Retries of
/// the very same write are welcome inside an adapter: they do no harm. But once a try may have written,
/// the answer is its own version, found there, or [`StoreError::Indeterminate`]: another try's failure
/// does not tell what that one did, and something newer may have replaced it.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The record or its tombstone; `None` when there is neither.
    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError>;

    /// Writes unless a newer version is there: applied when there is none, an older one (a record
    /// without a version counts as 0) or an equal one, which is taken as this very write. At version 0
    /// it may be another one: compare the content.
    async fn put_if_newer(&self, id: &Id, record: &Record) -> Result<Put, StoreError>;

    /// Writes only if the version there is exactly `expected`; `None`: only if there is neither a
    /// record nor a tombstone. The record's own version being there already counts as applied, unless
    /// that is 0: records without a version are equal only in content. This is how one of them replaces
    /// another.
    async fn put_if_unchanged(
        &self,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError>;

    /// [`Self::get`] of many different records; answers in their order.
    async fn get_many(&self, ids: &[Id]) -> Result<Vec<Option<Record>>, StoreError>;

    /// The versions of [`Self::get_many`]. The content is not looked at, so that it need be none.
    async fn get_versions(&self, ids: &[Id]) -> Result<Vec<Option<Version>>, StoreError> {
        let records = self.get_many(ids).await?;
        Ok(records.into_iter().map(|record| record.map(|record| record.version)).collect())
    }

    /// [`Self::put_if_newer`] of many different records, each on its own; answers in their order.
    /// After an error any of them may have been applied: give them all again.
    async fn put_many_if_newer(&self, records: &[(Id, Record)]) -> Result<Vec<Copied>, StoreError>;

    /// The next part of a segment, about `limit_bytes` of it and at least one record if there is
    /// any, each record once and none forgotten that is there throughout the scan. What is written
    /// meanwhile may or may not be seen. It goes past what no record can be made of, and says so;
    /// reading just that fails.
    async fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError>;

    /// Which table it is, asked anew. `None`: the store can't tell, so that a pass can't notice that its
    /// workers have different ones.
    async fn identity(&self) -> Result<Option<Identity>, StoreError> {
        Ok(None)
    }

    /// About how much there is.
    async fn estimate(&self) -> Result<Estimate, StoreError>;

    /// How it bears its load, by a look at it now.
    async fn pressure(&self) -> Result<Pressure, StoreError>;
}

impl Id {
    /// Checks both halves.
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

    /// Where it lies in a scan in order.
    const fn place(&self) -> scan::Place<'_> {
        (self.tenant.as_bytes(), self.key.as_bytes())
    }

    /// Bytes of both.
    pub const fn bytes(&self) -> usize {
        self.tenant.len() + self.key.len()
    }
}

impl Record {
    /// Deleted?
    pub const fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }

    /// Bytes of its value.
    pub fn bytes(&self) -> usize {
        self.value.as_ref().map_or(0, Vec::len)
    }
}

impl Put {
    /// Of a write of `version`, given what a failed condition found.
    const fn unless_ours(version: Version, current: Version) -> Self {
        if version.0 == current.0 { Self::Applied } else { Self::Stale(current) }
    }

    /// Of a write that replaces what it has seen: an equal version 0 may be any other record's.
    const fn unless_this(version: Version, current: Version) -> Self {
        if version.0 == 0 { Self::Stale(current) } else { Self::unless_ours(version, current) }
    }

    /// The answer to a write's last try, unless it leaves open what became of the tries before.
    #[cfg(any(feature = "mysql", feature = "postgres"))]
    fn or_doubt(self, doubt: error::Doubt) -> Result<Self, StoreError> {
        match (self, doubt) {
            (Self::Stale(_), Some(doubt)) => Err(doubt),
            (put, _) => Ok(put),
        }
    }
}
