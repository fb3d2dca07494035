//! Which table a store is, whoever connects to it and by whatever address.

use std::fmt;

/// Identifies a table. A replica that takes over with the same data is the same table if the database says
/// so; docs/adr/0028 lists what each database is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Two stores are the same tables, with the same ledgers, exactly if these are equal. Opaque.
    pub id: String,
    /// The ids of its tables, without their ledgers. Stores that have one in common share a table.
    pub tables: Vec<String>,
    /// For people: where the table is, and some of what the id consists of.
    pub place: String,
    /// Which ledger the table has: one that was lost and made anew is another. Part of `id`. Empty: it has none.
    pub ledger: String,
}

impl Identity {
    /// Of a table without a ledger.
    pub fn of_table(id: String, place: String) -> Self {
        Self { tables: vec![id.clone()], id, place, ledger: String::new() }
    }

    /// Whether both have a table in common.
    pub fn shares_table(&self, other: &Self) -> bool {
        self.tables.iter().any(|table| other.tables.contains(table))
    }

    /// Of a table with its versions beside it. `id`: which ledger it is.
    #[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
    pub(crate) fn with_ledger(self, ledger: &str, id: &str) -> Self {
        Self {
            id: format!("{} ledger {id}", self.id),
            place: format!("{} with {ledger} {id}", self.place),
            ledger: id.to_owned(),
            ..self
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}
