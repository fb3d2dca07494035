//! What is wrong with a table: all of it at once, each fault with what to do.

use super::{
    super::mapping::{Dialect, SqlTable, create_ledger_sql, quoted},
    Keys, LedgerId, StoreError, permanent,
};
use cutover_core::outcome::ErrorClass;

/// The warning that another table's foreign key points to a table whose rows are really deleted.
pub(in super::super) fn referring(child: &str) -> String {
    format!(
        "{child} has a foreign key to this table, and with a ledger deleted records are deleted here: while {child} \
         refers to one, its deletion is refused and goes to the quarantine. Delete the rows in {child} first"
    )
}

/// The fault that a deletion here changes another table, where nothing tells it from a write without the SDK.
pub(in super::super) fn cascading(child: &str, constraint: &str, action: &str) -> String {
    format!(
        "the foreign key {constraint} of {child} to this table has ON DELETE {action}: with a ledger deleted records \
         are deleted here, and {child} would change without a version. Make it ON DELETE NO ACTION and let the \
         application delete those rows itself, or remove versions = \"ledger\" from the spec"
    )
}

/// The warning that rows of this table are deleted or changed by writes to another one.
pub(in super::super) fn referred(constraint: &str, parent: &str, actions: &str) -> String {
    format!(
        "foreign key {constraint} has {actions}: what it does here when {parent} changes has no version, as if another \
         program had done it. Make it NO ACTION, or run verify after such changes"
    )
}

/// The fault of a table with a ledger that still has a column for versions or deletion marks.
pub(in super::super) fn versions_twice(column: &str) -> String {
    format!(
        "it has the column {column}, so its versions and deleted records may be there, which a ledger would not see. \
         Remove versions = \"ledger\" from the spec, or, if no migration has used that column, drop it"
    )
}

/// The fault of a table with a ledger in whose key different texts may be equal.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(in super::super) fn loose_with_ledger(column: &str, definition: &str) -> String {
    format!(
        "column {column} is {definition}, in which different ids may be equal, and a ledger has one entry for each. \
         Give it a collation that compares all texts byte by byte, or remove versions = \"ledger\" from the spec"
    )
}

/// Whether a table whose versions are expected in columns has none in a ledger. `holds`: what is in a table of the
/// ledger's name, as [`check_new`] has it.
pub(in super::super) fn check_no_ledger(ledger: &str, holds: Option<bool>) -> Result<(), StoreError> {
    if holds != Some(true) {
        return Ok(());
    }
    let what = format!(
        "its versions and deleted records are in {ledger}. Add versions = \"ledger\" to the spec, or, once no \
         migration needs them, run: DROP TABLE {ledger}"
    );
    Err(permanent(ErrorClass::Other, "table", what))
}

/// The error that there is no ledger, with the statement that makes one.
pub(in super::super) fn no_ledger(
    dialect: Dialect,
    table: &SqlTable,
    keys: &Keys,
    ledger: &str,
) -> StoreError {
    let sql = create_ledger_sql(dialect, table, keys.definitions());
    let sql = sql.ok().flatten().unwrap_or_default();
    StoreError::no_table(
        ledger,
        &format!(
            "beside {:?}. If it had one, restore both from the same backup: without it every record is at version 0, and \
             deleted ones come back. If it never had one, create it. The last statement gives it an id, a random number that has to stay:\n{sql};\n{};",
            table.name,
            LedgerId::made(dialect, &quoted(dialect, ledger), keys)
        ),
    )
}

/// Before a table and its ledger are created: neither replaces one that was lost. `None`: it does not exist; true: it
/// holds something. Returns whether the ledger is new, and gets an id.
pub(in super::super) fn check_new(
    dialect: Dialect,
    table: &SqlTable,
    keys: &Keys,
    holds: Option<bool>,
    ledger_holds: Option<bool>,
) -> Result<bool, StoreError> {
    let Some(ledger) = table.ledger() else { return Ok(false) };
    match (holds, ledger_holds) {
        (Some(true), None) => Err(no_ledger(dialect, table, keys, &ledger)),
        (None, Some(true)) => {
            let what = format!(
                "there is no table {:?}, but its ledger has entries. Restore the table, or, to start over, run: DROP \
                 TABLE {ledger}",
                table.name
            );
            Err(permanent(ErrorClass::Other, "table", what))
        }
        _ => Ok(holds != Some(true) && ledger_holds != Some(true)),
    }
}

/// Where a table was looked for that is not there, and what to do. `other`: one whose name differs only in case.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(in super::super) fn in_this_database(other: Option<String>) -> String {
    match other {
        Some(other) => format!("in this database, but {other:?}: write it like that, or name another one"),
        None => "in this database: create it, or name another one".to_owned(),
    }
}

/// A table is not created if there is one whose name differs only in case: most likely that one is meant.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(in super::super) fn not_beside(table: &str, other: &str) -> StoreError {
    let what = format!(
        "there is no table {table:?}, but {other:?}, and names that differ only in case are different tables here: \
         write it like that in the spec, or name another one"
    );
    permanent(ErrorClass::Other, "table", what)
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

    pub(in super::super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
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
