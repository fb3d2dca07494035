//! A migration during a change.

use imbl::OrdMap;

use super::rollback::Latched;
use crate::{Document, Migration, Tenant, TenantRow};

/// A migration during a change.
pub(super) struct Draft {
    pub(super) migration: Migration,
    pub(super) document: Document,
    pub(super) rows: OrdMap<Tenant, Option<TenantRow>>,
    pub(super) summary: Vec<String>,
    /// The rollback that this is.
    pub(super) latched: Option<Latched>,
}

impl Draft {
    pub(super) fn of(migration: &Migration) -> Self {
        Self {
            migration: migration.clone(),
            document: (*migration.document).clone(),
            rows: OrdMap::new(),
            summary: Vec::new(),
            latched: None,
        }
    }

    pub(super) fn say(&mut self, line: impl Into<String>) {
        self.summary.push(line.into());
    }

    /// A tenant's row in the draft; a new one from its placement if it has none.
    pub(super) fn row(&self, tenant: &Tenant) -> TenantRow {
        let row = match self.rows.get(tenant) {
            Some(row) => *row,
            None => self.migration.tenants.get(tenant).copied(),
        };
        row.unwrap_or_else(|| TenantRow {
            pin: None,
            ceiling: None,
            placement: self.migration.placement(tenant),
            overridden: 0,
        })
    }

    pub(super) fn set_row(&mut self, tenant: &Tenant, row: TenantRow) {
        let before = self.row(tenant);
        let count = |counter: &mut u64, was: bool, is: bool| match (was, is) {
            (false, true) => *counter += 1,
            (true, false) => *counter -= 1,
            _ => {}
        };
        count(&mut self.document.pins, before.pin.is_some(), row.pin.is_some());
        count(&mut self.document.rolled_back, before.ceiling.is_some(), row.ceiling.is_some());
        self.rows.insert(tenant.clone(), Some(row));
    }

    /// The draft as a migration.
    pub(super) fn drafted(&self) -> Migration {
        let rows: Vec<_> = self.rows.iter().map(|(tenant, row)| (tenant.clone(), *row)).collect();
        let mut drafted = self.migration.clone();
        drafted.replay(drafted.revision, self.document.clone(), &rows);
        drafted
    }
}
