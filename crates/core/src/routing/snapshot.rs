//! All migrations' tables at one revision.

use std::{collections::HashMap, sync::Arc};

use super::{Decision, Error, Table, decide};

/// What an SDK holds: for each migration its table, or why it can't be routed.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    revision: u64,
    tables: HashMap<Arc<str>, Result<Arc<Table>, Arc<str>>, foldhash::fast::RandomState>,
}

impl Snapshot {
    /// A snapshot without migrations, at a revision.
    pub fn empty(revision: u64) -> Self {
        Self { revision, ..Self::default() }
    }

    /// Decides for one tenant of one migration.
    #[inline]
    pub fn decide(&self, migration: &str, tenant: &str) -> Result<Decision, Error> {
        decide(self.table(migration)?, tenant)
    }

    /// One migration's table.
    pub fn table(&self, migration: &str) -> Result<&Arc<Table>, Error> {
        match self.tables.get(migration) {
            Some(Ok(table)) => Ok(table),
            Some(Err(what)) => {
                Err(Error::Unreadable { migration: migration.to_owned(), what: what.as_ref().to_owned() })
            }
            None => Err(Error::UnknownMigration(migration.to_owned())),
        }
    }

    /// Every readable table by its migration's key, in no particular order.
    pub fn tables(&self) -> impl Iterator<Item = (&str, &Arc<Table>)> {
        self.tables.iter().filter_map(|(key, table)| Some((key.as_ref(), table.as_ref().ok()?)))
    }

    /// The controller's revision of this state.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Moves to a later revision.
    pub const fn set_revision(&mut self, revision: u64) {
        self.revision = revision;
    }

    /// Sets one migration's table, or (`Err`) why it can't be routed.
    pub fn insert(&mut self, migration: &str, table: Result<Arc<Table>, String>) {
        self.tables.insert(migration.into(), table.map_err(Into::into));
    }

    /// Removes a migration.
    pub fn remove(&mut self, migration: &str) {
        self.tables.remove(migration);
    }
}
