//! Which table a store is, whoever connects to it and by whatever address.

use std::fmt;

#[cfg(any(feature = "spec", feature = "sqlite", feature = "mysql", feature = "postgres"))]
use sha2::{Digest, Sha256};

/// Maximum bytes of each part of an identity without its ledger; the controller takes up to 1,024.
#[cfg(any(feature = "spec", feature = "sqlite", feature = "mysql", feature = "postgres"))]
const IDENTITY_MAX_BYTES: usize = 900;

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

    /// Of a table with a child table.
    #[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
    pub(crate) fn with_child(mut self, child: Self) -> Self {
        self.tables.extend(child.tables);
        Self {
            id: short(&format!("{} child {}", self.id, child.id)),
            place: short(&format!("{} and {}", self.place, child.place)),
            ..self
        }
    }

    /// Of a table whose rows leave out a part of their records' ids.
    #[cfg(feature = "spec")]
    pub(crate) fn without(self, prefixes: &str) -> Self {
        Self {
            id: short(&format!("{} without {prefixes}", self.id)),
            place: short(&format!("{} without {prefixes}", self.place)),
            ..self
        }
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

/// At most as long as an identity may be, and different for different texts.
#[cfg(any(feature = "spec", feature = "sqlite", feature = "mysql", feature = "postgres"))]
pub(crate) fn short(text: &str) -> String {
    if text.len() <= IDENTITY_MAX_BYTES {
        return text.to_owned();
    }
    let hash = Sha256::digest(text);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} .. {hash}", &text[..text.floor_char_boundary(IDENTITY_MAX_BYTES - 68)])
}

#[cfg(all(test, any(feature = "sqlite", feature = "postgres")))]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_child_tables_fits_the_controller() {
        let table = |n: u32| {
            let name = format!("database of a long name.table {n} ").repeat(6);
            Identity::of_table(format!("id {name}"), format!("place {name}"))
        };
        let with = |last: u32| {
            let children = (1..12).chain([last]);
            let all = children.fold(table(0), |identity, child| identity.with_child(table(child)));
            all.with_ledger(&"l".repeat(63), &i64::MAX.to_string())
        };
        let (one, other) = (with(12), with(13));
        assert!(one.id.len() <= 1024 && one.place.len() <= 1024, "{one:?}");
        assert!(one.id != other.id && one.shares_table(&other) && one.shares_table(&table(12)));
    }
}
