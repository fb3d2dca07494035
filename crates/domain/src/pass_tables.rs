//! The tables that passes work with.

use serde::{Deserialize, Serialize};

use crate::Ledgers;

/// Identifies the table of one of a migration's stores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableIdentity {
    /// Equal only for the same table.
    pub id: String,
    /// For people.
    pub place: String,
    /// The id of the ledger beside it. Empty: it has none.
    #[serde(default)]
    pub ledger: String,
}

/// The tables of a pass, of a worker, or of all passes of a migration. `None`: the store has no identity, or nobody has
/// said it yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PassTables {
    /// The source table.
    pub source: Option<TableIdentity>,
    /// The target table.
    pub target: Option<TableIdentity>,
}

/// The sides of which an operator asserts that they have another table than in earlier passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NewTables {
    /// The source has.
    pub source: bool,
    /// The target has.
    pub target: bool,
}

/// A table that differs from the one that was known.
pub(crate) struct OtherTable<'a> {
    /// `source` or `target`.
    pub(crate) side: &'static str,
    pub(crate) known: &'a TableIdentity,
    /// `None`: it can't be identified.
    pub(crate) seen: Option<&'a TableIdentity>,
}

impl TableIdentity {
    /// Whether both are one table. Which ledger it has is another question: see [`Ledgers`].
    fn is_same_table(&self, other: &Self) -> bool {
        let table =
            |it: &Self| it.id.strip_suffix(&format!(" ledger {}", it.ledger)).unwrap_or(&it.id).to_owned();
        table(self) == table(other)
    }
}

impl NewTables {
    /// Whether at least one side has.
    pub const fn any(self) -> bool {
        self.source || self.target
    }

    /// Whether these include those of `other`.
    pub const fn include(self, other: Self) -> bool {
        (self.source || !other.source) && (self.target || !other.target)
    }

    pub(crate) fn has(self, side: &str) -> bool {
        if side == "source" { self.source } else { self.target }
    }

    /// For people and for the command line. Empty: none.
    pub(crate) const fn names(self) -> &'static str {
        match (self.source, self.target) {
            (false, false) => "",
            (true, false) => "source",
            (false, true) => "target",
            (true, true) => "source,target",
        }
    }
}

impl PassTables {
    /// The ledgers of these tables.
    pub fn ledgers(&self) -> Ledgers {
        let ledger = |table: &Option<TableIdentity>| table.clone().map(|it| it.ledger).unwrap_or_default();
        Ledgers { source: ledger(&self.source), target: ledger(&self.target) }
    }

    /// Those of `seen` that are not the known ones.
    pub(crate) fn others<'a>(&'a self, seen: &'a Self) -> Vec<OtherTable<'a>> {
        let sides = [("source", &self.source, &seen.source), ("target", &self.target, &seen.target)];
        let other = |(side, known, seen): (_, &'a Option<TableIdentity>, &'a Option<TableIdentity>)| {
            let (known, seen) = (known.as_ref()?, seen.as_ref());
            let is_same = seen.is_some_and(|seen| seen.is_same_table(known));
            (!is_same).then_some(OtherTable { side, known, seen })
        };
        sides.into_iter().filter_map(other).collect()
    }

    /// With the tables of `seen` where none was known, or where it is a new one. A known table stays as it was first
    /// described: machines may know one table by different places.
    pub(crate) fn with(&self, seen: &Self, new: NewTables) -> Self {
        let learned = |known: &Option<TableIdentity>, seen: &Option<TableIdentity>, is_new: bool| {
            known.clone().filter(|_| !is_new).or_else(|| seen.clone())
        };
        Self {
            source: learned(&self.source, &seen.source, new.source),
            target: learned(&self.target, &seen.target, new.target),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(id: &str, ledger: &str) -> Option<TableIdentity> {
        let (id, place, ledger) = (format!("{id} ledger {ledger}"), id.to_owned(), ledger.to_owned());
        Some(TableIdentity { id, place, ledger })
    }

    #[test]
    fn another_ledger_is_not_another_table_and_a_table_without_identity_is_not_the_known_one() {
        let known = PassTables { source: table("a", "1"), target: None };
        let others = |source: Option<TableIdentity>| {
            let seen = PassTables { source, target: table("b", "1") };
            known.others(&seen).iter().map(|other| (other.side, other.seen.is_some())).collect::<Vec<_>>()
        };
        assert_eq!(others(table("a", "1")), []);
        assert_eq!(others(table("a", "2")), [], "the ledgers are compared by themselves");
        assert_eq!(others(table("b", "1")), [("source", true)]);
        assert_eq!(others(None), [("source", false)]);
        let seen = PassTables { source: None, target: table("b", "1") };
        let both = PassTables { source: table("a", "1"), target: table("b", "1") };
        assert_eq!(known.with(&seen, NewTables::default()), both);
        assert_eq!(both.with(&known, NewTables { source: false, target: true }), known);
        let elsewhere = table("a", "2").map(|it| TableIdentity { place: "by another path".to_owned(), ..it });
        let seen = PassTables { source: elsewhere, ..both.clone() };
        assert_eq!(both.with(&seen, NewTables::default()), both, "a table is learned once");
    }
}
