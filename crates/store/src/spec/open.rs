//! Opens the stores of a spec.

use std::sync::Arc;

use futures::FutureExt as _;

use super::{Spec, SpecError, StoreSpec, StoreUrl, StripPrefixes};
use crate::{
    Described, Store, StoreError,
    by_prefix::{ByPrefix, Type},
    mapping::{
        Column, ColumnPath, ColumnType, Dialect, Fields, KeyType, Mapping, OnMisfit, Versions, check_name,
    },
    stripped::Stripped,
};

/// Why a store of a spec could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The spec refers to something that does not exist.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// This build does not include the store.
    #[error("this build has no {0} store: build it with the cargo feature {0}")]
    NotBuilt(&'static str),
    /// The store can't be used.
    #[error("{}", opening(.0))]
    Store(StoreError),
}

/// Not its source: the message has all of it already.
impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Whoever opens a store writes nothing, so it need not be said that nothing was written.
fn opening(error: &StoreError) -> String {
    match error {
        StoreError::NotApplied { what, .. } => format!("it can't be opened: {what}"),
        _ => error.to_string(),
    }
}

/// What to do about a missing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Fail.
    Refuse,
    /// Create it. An existing table is not changed.
    Create,
}

impl StoreSpec {
    /// Opens the store, after checking that it can hold what will be written. `lookup` returns an environment
    /// variable's value.
    pub async fn open(
        &self,
        missing: Missing,
        lookup: impl Fn(&str) -> Option<String> + Send,
    ) -> Result<Arc<dyn Store>, OpenError> {
        let connect = self.connect_url(lookup)?;
        if !self.types.is_empty() {
            let mut types = Vec::with_capacity(self.types.len());
            for it in &self.types {
                let store = open(&it.store, &connect, missing).boxed().await?;
                types.push(Type { prefix: it.key_prefix.clone(), store, place: it.place });
            }
            return Ok(Arc::new(ByPrefix::new(types)));
        }
        // Drivers nest their futures so deeply that rustc could give up on a program around them.
        open(self, &connect, missing).boxed().await
    }
}

impl Spec {
    /// Opens the quarantine: a table of the target if that is SQL, else of the source. `None`: it does not
    /// exist and is not to be created. A row is a record whose tenant is a migration, with the columns (or
    /// attributes) that docs/spec.md lists.
    pub async fn open_quarantine(
        &self,
        missing: Missing,
        lookup: impl Fn(&str) -> Option<String> + Send,
    ) -> Result<Option<Arc<dyn Store>>, OpenError> {
        let beside = if self.target.url.dialect().is_some() { &self.target } else { &self.source };
        let mapping = beside.url.dialect().map(|dialect| {
            let column = |(name, kind): &(&str, ColumnType)| Column {
                name: (*name).to_owned(),
                path: ColumnPath::dotted(name).expect("it has no point"),
                kind: *kind,
                required: false,
                spelling: Default::default(),
                labels: Vec::new(),
                fill: None,
                prefix: None,
                computed: None,
            };
            let columns = QUARANTINE.iter().map(column).collect();
            Mapping::new(dialect, columns, None, OnMisfit::Quarantine).expect("names that differ")
        });
        let name = |name: &str| name.to_owned();
        let fields = Fields {
            tenant: name("migration"),
            key: name("record"),
            version: name("row_version"),
            deleted: name("released"),
            ..Fields::default()
        };
        let quarantine = StoreSpec {
            table: self.quarantine_table.clone(),
            mapping,
            fields,
            versions: Versions::Columns,
            strip_prefixes: StripPrefixes::default(),
            types: Vec::new(),
            ..beside.clone()
        };
        match quarantine.open(missing, lookup).await {
            Err(OpenError::Store(error)) if error.is_no_table() => Ok(None),
            opened => opened.map(Some),
        }
    }
}

/// The columns of a quarantine row. A released row has no content.
const QUARANTINE: [(&str, ColumnType); 8] = [
    ("tenant", ColumnType::Text),
    ("key", ColumnType::Text),
    ("version", ColumnType::Bigint),
    ("toward", ColumnType::Text),
    ("reason", ColumnType::Text),
    ("value", ColumnType::Json),
    ("pass", ColumnType::Text),
    ("quarantined_at_ms", ColumnType::Bigint),
];

impl StoreUrl {
    /// The attributes of a DynamoDB table's key with their types, the partition key first. None for SQL.
    #[allow(unused_variables, reason = "without DynamoDB there is nothing to ask")]
    pub async fn key_attributes(&self, table: &str) -> Result<Vec<(String, KeyType)>, OpenError> {
        match self {
            #[cfg(feature = "dynamodb")]
            Self::DynamoDb { .. } => {
                let url = self.to_string();
                Ok(crate::DynamoDbStore::keys(&url, table).boxed().await?)
            }
            #[cfg(not(feature = "dynamodb"))]
            Self::DynamoDb { .. } => Err(OpenError::NotBuilt("dynamodb")),
            _ => Ok(Vec::new()),
        }
    }

    /// The attribute by which a table removes records itself. `None`: it removes none, or the user may not ask.
    #[cfg_attr(not(feature = "dynamodb"), allow(unused_variables))]
    pub async fn removes_by(&self, table: &str) -> Result<Option<String>, OpenError> {
        match self {
            #[cfg(feature = "dynamodb")]
            Self::DynamoDb { .. } => {
                let url = self.to_string();
                Ok(crate::DynamoDbStore::table_removes_by(&url, table).boxed().await?)
            }
            #[cfg(not(feature = "dynamodb"))]
            Self::DynamoDb { .. } => Err(OpenError::NotBuilt("dynamodb")),
            _ => Ok(None),
        }
    }
}

impl StoreUrl {
    /// Reads what a SQL table has; `None`: it is not there, or this is DynamoDB. Nothing is checked or written.
    pub async fn describe(&self, table: &str) -> Result<Option<Described>, OpenError> {
        check_name(table).map_err(|error| StoreError::no_table(table, &error.to_string()))?;
        Ok(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { path } => crate::SqliteStore::describe(path, table).boxed().await?,
            #[cfg(feature = "mysql")]
            Self::Server { dialect: Dialect::MySql, .. } => {
                let url = self.connect_url(None);
                crate::MySqlStore::describe(url.expose(), table, crate::ServerOptions::default())
                    .boxed()
                    .await?
            }
            #[cfg(feature = "postgres")]
            Self::Server { dialect: Dialect::Postgres, .. } => {
                let url = self.connect_url(None);
                crate::PostgresStore::describe(url.expose(), table, crate::ServerOptions::default())
                    .boxed()
                    .await?
            }
            Self::DynamoDb { .. } => None,
            #[allow(unreachable_patterns, reason = "with all features every store has an arm above")]
            other => return Err(not_built(other)),
        })
    }
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
fn server_options(spec: &StoreSpec) -> crate::ServerOptions {
    let default = crate::ServerOptions::default();
    crate::ServerOptions { connections: spec.connections.unwrap_or(default.connections), ..default }
}

/// A table with the ids of its records.
async fn open(
    spec: &StoreSpec,
    connect: &super::Secret,
    missing: Missing,
) -> Result<Arc<dyn Store>, OpenError> {
    Ok(Stripped::of(open_table(spec, connect, missing).await?, &spec.strip_prefixes))
}

#[allow(unused_variables, reason = "without the feature of any store there is nothing to open")]
async fn open_table(
    spec: &StoreSpec,
    connect: &super::Secret,
    missing: Missing,
) -> Result<Arc<dyn Store>, OpenError> {
    let (url, table) = (connect.expose(), spec.table.as_str());
    let sql_table = || spec.sql_table().unwrap_or_else(|| table.into());
    match &spec.url {
        #[cfg(feature = "sqlite")]
        StoreUrl::Sqlite { path } => {
            use crate::{SqliteOptions, SqliteStore};
            let options = SqliteOptions::default();
            Ok(match missing {
                Missing::Refuse => Arc::new(SqliteStore::open(path, sql_table(), options).await?),
                Missing::Create => Arc::new(SqliteStore::create(path, sql_table(), options).await?),
            })
        }
        #[cfg(feature = "mysql")]
        StoreUrl::Server { dialect: Dialect::MySql, .. } => {
            use crate::MySqlStore;
            let options = server_options(spec);
            Ok(match missing {
                Missing::Refuse => Arc::new(MySqlStore::open(url, sql_table(), options).await?),
                Missing::Create => Arc::new(MySqlStore::create(url, sql_table(), options).await?),
            })
        }
        #[cfg(feature = "postgres")]
        StoreUrl::Server { dialect: Dialect::Postgres, .. } => {
            use crate::PostgresStore;
            let options = server_options(spec);
            Ok(match missing {
                Missing::Refuse => Arc::new(PostgresStore::open(url, sql_table(), options).await?),
                Missing::Create => Arc::new(PostgresStore::create(url, sql_table(), options).await?),
            })
        }
        #[cfg(feature = "dynamodb")]
        StoreUrl::DynamoDb { .. } => {
            use crate::{DynamoDbOptions, DynamoDbStore};
            let options = DynamoDbOptions { fields: spec.fields.clone(), ..DynamoDbOptions::default() };
            Ok(match missing {
                Missing::Refuse => Arc::new(DynamoDbStore::open(url, table, options).await?),
                Missing::Create => Arc::new(DynamoDbStore::create(url, table, options).await?),
            })
        }
        #[allow(unreachable_patterns, reason = "with all features every store has an arm above")]
        other => Err(not_built(other)),
    }
}

#[allow(dead_code, reason = "with all features every store is built")]
const fn not_built(url: &StoreUrl) -> OpenError {
    OpenError::NotBuilt(match url {
        StoreUrl::Sqlite { .. } => "sqlite",
        StoreUrl::Server { dialect: Dialect::Postgres, .. } => "postgres",
        StoreUrl::Server { .. } => "mysql",
        StoreUrl::DynamoDb { .. } => "dynamodb",
    })
}
