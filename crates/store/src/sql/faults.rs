//! What is wrong with a table: all of it at once, each fault with what to do.

use super::{StoreError, permanent};
use cutover_core::outcome::ErrorClass;

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
