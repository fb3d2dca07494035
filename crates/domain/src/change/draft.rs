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
    /// What whoever asks should know besides: why a request changes nothing, or what it leaves as it is.
    notes: Vec<String>,
}

impl Draft {
    pub(super) fn of(migration: &Migration) -> Self {
        Self {
            migration: migration.clone(),
            document: (*migration.document).clone(),
            rows: OrdMap::new(),
            summary: Vec::new(),
            latched: None,
            notes: Vec::new(),
        }
    }

    pub(super) fn say(&mut self, line: impl Into<String>) {
        self.summary.push(line.into());
    }

    /// Tells whoever asks; the history does not keep it.
    pub(super) fn remark(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    /// What the answer says besides its changes, one line each.
    pub(super) fn consequences(&mut self, drafted: &Migration, some_stay: bool) -> Vec<String> {
        let mut lines = match self.latched.take() {
            Some(latched) => latched.consequences(drafted, some_stay),
            None => Vec::new(),
        };
        lines.append(&mut self.notes);
        lines.extend(self.plan_taken_back(drafted));
        lines
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
