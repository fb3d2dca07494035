//! The whole state, from the rows of all tables at one revision.

use std::collections::HashMap;

use imbl::OrdMap;
use serde::de::DeserializeOwned;

use super::row::{Columns, json, number, text};
use crate::{
    domain::{Document, Key, Migration, Tenant, TenantRow},
    store::{
        Error, StoredState,
        entry::{parse, unreadable},
    },
};

/// The counter's columns that the state is made from.
pub(in crate::store) const COUNTER: &str =
    "SELECT revision, history_id, steady_ms, restored, put_back, seal_key FROM counter";
pub(in crate::store) const MIGRATIONS: &str =
    r#"SELECT "key", revision, document FROM migrations ORDER BY "key""#;
pub(in crate::store) const TENANTS: &str = r#"SELECT migration, tenant, "row" FROM tenants"#;
pub(in crate::store) const INSTANCES: &str = "SELECT record FROM instances ORDER BY id";
pub(in crate::store) const PASSES: &str = "SELECT record FROM passes ORDER BY id";
pub(in crate::store) const CURSORS: &str = "SELECT record FROM cursors ORDER BY id";
pub(in crate::store) const HEARD: &str = "SELECT record FROM heard ORDER BY id";

/// What these statements returned in one transaction.
pub(in crate::store) struct Tables<R> {
    pub(in crate::store) counter: R,
    pub(in crate::store) migrations: Vec<R>,
    pub(in crate::store) tenants: Vec<R>,
    pub(in crate::store) instances: Vec<R>,
    pub(in crate::store) passes: Vec<R>,
    pub(in crate::store) cursors: Vec<R>,
    pub(in crate::store) heard: Vec<R>,
}

impl<R: Columns> Tables<R> {
    pub(in crate::store) fn state(&self) -> Result<StoredState, Error> {
        let counter = &self.counter;
        let restored = counter.get_optional("restored").map_err(|error| unreadable("the counter", error))?;
        Ok(StoredState {
            revision: number(counter, "revision")?,
            history_id: text(counter, "history_id")?,
            migrations: self.migrations()?,
            instances: records(&self.instances, "an instance's record")?,
            passes: records(&self.passes, "a pass's record")?,
            cursors: records(&self.cursors, "an endpoint's cursor")?,
            heard: records(&self.heard, "an instance's last report")?,
            steady_ms: number(counter, "steady_ms")?,
            restored: restored.map(str::to_owned),
            put_back: counter.get_flag("put_back").map_err(|error| unreadable("the counter", error))?,
            seal_key: text(counter, "seal_key")?,
        })
    }

    fn migrations(&self) -> Result<Vec<Migration>, Error> {
        let mut tenants: HashMap<Key, OrdMap<Tenant, TenantRow>> = HashMap::new();
        for row in &self.tenants {
            let name: String = text(row, "migration")?;
            let key = parse(&name, "a tenant's migration", Key::parse)?;
            let tenant: String = text(row, "tenant")?;
            let tenant = parse(&tenant, "a tenant", Tenant::parse)?;
            let placed: TenantRow = json(row, "row", || format!("the row of tenant {tenant} of {key}"))?;
            tenants.entry(key).or_default().insert(tenant, placed);
        }
        let mut migrations = Vec::with_capacity(self.migrations.len());
        for row in &self.migrations {
            let key: String = text(row, "key")?;
            let document: Document = json(row, "document", || format!("the document of migration {key}"))?;
            if document.key.as_str() != key {
                return Err(Error::Corrupt(format!(
                    "migration {key} holds the document of {}",
                    document.key
                )));
            }
            let rows = tenants.remove(&document.key).unwrap_or_default();
            migrations.push(Migration::new(number(row, "revision")?, document, rows));
        }
        match tenants.keys().next() {
            Some(key) => {
                Err(Error::Corrupt(format!("it has tenants of migration {key}, but not the migration")))
            }
            None => Ok(migrations),
        }
    }
}

/// Records that are stored as JSON.
pub(in crate::store) fn records<T: DeserializeOwned>(
    rows: &[impl Columns],
    what: &str,
) -> Result<Vec<T>, Error> {
    rows.iter().map(|row| json(row, "record", || what.to_owned())).collect()
}
