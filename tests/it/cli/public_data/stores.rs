//! The four stores, filled and read without code of this repository.

mod items;
mod rows;

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tempfile::TempDir;

use super::{
    super::draft_sql::{Admin, for_source},
    sets::{At, Set},
};
use crate::support::server::given;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    DynamoDb,
    Sqlite,
    MySql,
    Postgres,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::DynamoDb, Self::Sqlite, Self::MySql, Self::Postgres];
}

/// A table of one of the stores.
pub struct Place {
    kind: Kind,
    /// Without the table, but for DynamoDB.
    pub url: String,
    table: String,
}

impl Place {
    /// `None`: the server is left out.
    pub fn new(kind: Kind, dir: &TempDir, file: &str, table: &str) -> Option<Self> {
        let url = match kind {
            Kind::DynamoDb => {
                given("CUTOVER_TEST_DYNAMODB")?.replacen("dynamodb://", &format!("dynamodb://{table}"), 1)
            }
            Kind::Sqlite => format!("sqlite:{}/{file}.db", dir.path().display()),
            Kind::MySql => given("CUTOVER_TEST_MYSQL")?,
            Kind::Postgres => given("CUTOVER_TEST_POSTGRES")?,
        };
        Some(Self { kind, url, table: table.to_owned() })
    }

    pub fn url_of_table(&self) -> String {
        match self.kind {
            Kind::DynamoDb => self.url.clone(),
            _ => format!("{}?table={}", self.url, self.table),
        }
    }

    /// Makes the table and fills it. Returns the records as they are there now: SQL has no attribute that is null.
    pub async fn fill(&self, set: &Set) -> BTreeMap<At, Map<String, Value>> {
        match self.kind {
            Kind::DynamoDb => items::fill(&self.url, &self.table, set).await,
            _ => rows::fill(&self.admin().await, &self.table, set).await,
        }
    }

    /// Runs what the draft says that the source needs.
    pub async fn prepare(&self, draft: &str) {
        if self.kind != Kind::DynamoDb {
            self.admin().await.sql(for_source(draft)).await;
        }
    }

    /// All records. `spec`: which attributes the columns have.
    pub async fn read(&self, spec: &toml::Value) -> BTreeMap<At, Map<String, Value>> {
        match self.kind {
            Kind::DynamoDb => items::read(&self.url, &self.table, spec).await,
            _ => rows::read(&self.admin().await, &self.table, spec).await,
        }
    }

    async fn admin(&self) -> Admin {
        Admin::connect(&self.url).await
    }
}
