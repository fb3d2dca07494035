//! What is wrong with a table: all of it at once, each fault with what to do.

use super::{StoreError, permanent};
use cutover_core::outcome::ErrorClass;

/// The warning that another table's foreign key points to a table whose rows are really deleted.
pub(in super::super) fn referring(child: &str) -> String {
    format!(
        "{child} has a foreign key to this table, and with a ledger deleted records are deleted here: with ON DELETE \
         CASCADE their rows in {child} go with them, and without it the deletion is refused and the record goes to \
         the quarantine"
    )
}

/// The faults of a table and of its ledger, in one error.
pub(in super::super) fn of_both(
    table: Result<(), StoreError>,
    ledger: Result<(), StoreError>,
) -> Result<(), StoreError> {
    match (table, ledger) {
        (
            Err(StoreError::Permanent { class, field, what }),
            Err(StoreError::Permanent { what: of_ledger, .. }),
        ) => Err(StoreError::Permanent { class, field, what: format!("{what}\n{of_ledger}") }),
        (table, ledger) => table.and(ledger),
    }
}

/// Faults of a table, in the order in which they were found.
#[derive(Debug, Default)]
pub(in super::super) struct Faults(Vec<String>);

impl Faults {
    pub(in super::super) fn add(&mut self, what: impl Into<String>) {
        self.0.push(what.into());
    }

    /// An error with one fault per line, if there are any.
    pub(in super::super) fn end(self, table: &str) -> Result<(), StoreError> {
        let what = match self.0.as_slice() {
            [] => return Ok(()),
            [one] => format!("{table} can't be used: {one}"),
            more => format!("{table} can't be used:\n- {}", more.join("\n- ")),
        };
        Err(permanent(ErrorClass::Other, "table", what))
    }
}
