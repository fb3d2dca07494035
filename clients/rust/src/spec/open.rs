//! From a spec to its stores.

use std::sync::Arc;

use super::{Spec, SpecError, StoreSpec, StoreUrl};
use crate::store::{Store, StoreError};

/// Why a store of a spec could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The spec asks for something that is not there.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// This build has no such store.
    #[error("this build has no {store} store: build it with the cargo feature {feature}")]
    NotBuilt {
        /// Which.
        store: &'static str,
        /// That has it.
        feature: &'static str,
    },
    /// The store can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What to do about a table that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Fail.
    Refuse,
    /// Make it. One that is there stays as it is.
    Create,
}

impl StoreSpec {
    /// Opens the store, after checks that it can hold what will be written. `lookup` gives an
    /// environment variable's value.
    pub async fn open(
        &self,
        missing: Missing,
        lookup: impl Fn(&str) -> Option<String> + Send,
    ) -> Result<Arc<dyn Store>, OpenError> {
        let connect = self.connect_url(lookup)?;
        open(self, &connect, missing).await
    }
}

impl Spec {
    /// Opens the place for records that do not fit: a table of the target, or of the source where
    /// the target has no SQL. It holds whole records.
    pub async fn open_quarantine(
        &self,
        missing: Missing,
        lookup: impl Fn(&str) -> Option<String> + Send,
    ) -> Result<Arc<dyn Store>, OpenError> {
        let beside = if self.target.url.dialect().is_some() { &self.target } else { &self.source };
        let table = self.quarantine_table.clone();
        let quarantine = StoreSpec { table, mapping: None, fields: Default::default(), ..beside.clone() };
        quarantine.open(missing, lookup).await
    }
}

async fn open(
    spec: &StoreSpec,
    connect: &super::Secret,
    missing: Missing,
) -> Result<Arc<dyn Store>, OpenError> {
    let _ = connect;
    match &spec.url {
        #[cfg(feature = "sqlite")]
        StoreUrl::Sqlite { path } => {
            use crate::store::{SqliteOptions, SqliteStore};
            let options = SqliteOptions::default();
            Ok(match missing {
                Missing::Refuse => Arc::new(SqliteStore::open(path, &spec.table, options).await?),
                Missing::Create => Arc::new(SqliteStore::create(path, &spec.table, options).await?),
            })
        }
        #[cfg(not(feature = "sqlite"))]
        StoreUrl::Sqlite { .. } => Err(OpenError::NotBuilt { store: "SQLite", feature: "sqlite" }),
        StoreUrl::Server { .. } => Err(OpenError::NotBuilt { store: "SQL server's", feature: "mysql" }),
        StoreUrl::DynamoDb { .. } => Err(OpenError::NotBuilt { store: "DynamoDB", feature: "dynamodb" }),
    }
}
