//! A SQL table as its server describes it, for a draft of a spec.

use std::{fmt, sync::Arc};

use super::mapping::{ColumnType, KeyHolds};

/// A SQL table's columns and keys.
#[derive(Clone, Debug, Default)]
pub struct Described {
    /// In their order.
    pub columns: Vec<DescribedColumn>,
    /// The columns of the primary key, in its order; empty: it has none.
    pub primary: Vec<String>,
    /// The foreign keys from this table and to it, one text each, for people.
    pub foreign: Vec<String>,
    /// The foreign keys of other tables to this one.
    pub referencing: Vec<Referencing>,
    /// Whether there is a ledger beside it.
    pub has_ledger: bool,
    /// Whether it has rows; false also if that can't be asked.
    pub has_rows: bool,
}

/// A foreign key of another table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referencing {
    /// The table that has it.
    pub table: String,
    /// Its columns there.
    pub columns: Vec<String>,
    /// What each refers to.
    pub to: Vec<String>,
}

/// A column of [`Described`].
#[derive(Clone)]
pub struct DescribedColumn {
    /// Its name.
    pub name: String,
    /// Its type, with its collation if that matters, for people.
    pub shown: String,
    /// The types of a spec that it may have, the most likely one first; empty: none.
    pub kinds: Vec<ColumnType>,
    /// The labels of an enum.
    pub labels: Vec<String>,
    /// Whether it allows NULL.
    pub nullable: bool,
    /// Whether the server gives it a value if a row names none.
    pub fills_itself: bool,
    /// Whether it takes no value.
    pub generated: bool,
    /// What it holds as tenant or key; `None`: it can't be one.
    pub key: Option<KeyHolds>,
    pub(super) holds: Holds,
}

pub(super) type Holds = Arc<dyn Fn(ColumnType, &[String]) -> bool + Send + Sync>;

impl Described {
    /// The column of this name, ignoring case as SQL does.
    pub fn column(&self, name: &str) -> Option<&DescribedColumn> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }
}

impl DescribedColumn {
    /// Whether it holds every value of this type exactly.
    pub fn holds(&self, kind: ColumnType, labels: &[String]) -> bool {
        (self.holds)(kind, labels)
    }

    #[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
    pub(super) fn new(
        name: &str,
        shown: String,
        kinds: Vec<ColumnType>,
        holds: impl Fn(ColumnType, &[String]) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            shown,
            kinds,
            labels: Vec::new(),
            nullable: true,
            fills_itself: false,
            generated: false,
            key: None,
            holds: Arc::new(holds),
        }
    }
}

impl fmt::Debug for DescribedColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.shown)
    }
}
