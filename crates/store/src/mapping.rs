//! Maps attributes of a document to columns of a SQL table and back, exactly.
//!
//! A column takes the attribute at its path if the value fits the column's type without loss. Everything that
//! no column takes goes to the *overflow* column, as typed JSON. A SQL NULL means that the column took
//! nothing; an attribute that is present and null goes to the overflow. So [`Mapping::from_row`] of
//! [`Mapping::to_row`] yields the same document. A list can have a table of its own: [`Child`].

mod array;
mod cell;
mod children;
mod column;
mod column_type;
mod ddl;
mod fields;
mod item;
mod key_type;
mod misfit;
mod narrow;
mod path;
mod plain;
mod row;
mod table;
mod template;
mod time;
mod value;

use std::collections::{BTreeMap, BTreeSet};

pub use cell::Cell;
pub use children::Child;
pub use column::{Column, Fill};
pub use column_type::{ColumnType, Element};
#[cfg(feature = "spec")]
pub use ddl::create_typed_sql;
#[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
pub(super) use ddl::{column_sql, create_child_sql, create_ledger_sql, foreign_key_sql, quoted, sql_type};
pub use ddl::{create_sql, create_table_sql};
#[cfg(feature = "spec")]
pub(crate) use fields::check_name;
pub use fields::{Fields, NameError};
pub use key_type::{KeyHolds, KeyType};
pub use misfit::{Misfit, Reason};
#[cfg(feature = "mysql")]
pub(crate) use narrow::Charset;
pub(crate) use narrow::Narrow;
pub use path::{ColumnPath, Step};
#[cfg(feature = "spec")]
pub(crate) use table::NO_LEDGER;
#[cfg(feature = "sqlite")]
pub(super) use table::foreign_cell;
pub use table::{SqlTable, Versions};
pub use template::Template;
pub use time::{Format, Spelling};

use super::document::{Attribute, Document};

/// The SQL dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// MySQL and MariaDB.
    MySql,
    /// PostgreSQL.
    Postgres,
}

/// What happens to a value that does not fit its column exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnMisfit {
    /// The record is refused, with the reason.
    #[default]
    Quarantine,
    /// The value goes to the overflow column; its own column is NULL.
    Overflow,
}

/// Maps documents to the columns of one table and back. Checked when it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    dialect: Dialect,
    columns: Vec<Column>,
    overflow: Option<String>,
    on_misfit: OnMisfit,
    children: Vec<Child>,
    /// By the name of a column.
    narrow: BTreeMap<String, Narrow>,
}

/// Why columns do not form a mapping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// Nothing would be stored.
    #[error("a mapping needs a column or an overflow column: add one, or leave the mapping out")]
    Empty,
    /// The column's name is invalid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A duplicate column name, ignoring case as SQL does.
    #[error("column {0:?} is there twice: rename one")]
    Twice(String),
    /// Two paths are equal, or one leads into the other.
    #[error("columns {0:?} and {1:?} take the same attribute or a part of it: remove one")]
    Overlap(String, String),
    /// Values that do not fit have nowhere to go.
    #[error("on_misfit = \"overflow\" needs an overflow column: name one with overflow = \"...\"")]
    NoOverflow,
    /// A format that the column's dates or times can't have, labels that it needs or can't have, a default that does not
    /// fit, or a type that this server does not have.
    #[error("column {0}: {1}")]
    Format(String, String),
    /// A list can't have this table.
    #[error("child table {0}: {1}")]
    Child(String, String),
}

impl Mapping {
    /// Checks the columns against each other.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub fn new(
        dialect: Dialect,
        columns: Vec<Column>,
        overflow: Option<String>,
        on_misfit: OnMisfit,
    ) -> Result<Self, MappingError> {
        let checked = Self::checked(dialect, columns, overflow, on_misfit);
        checked.map_err(|mut mistakes| mistakes.swap_remove(0).1)
    }

    /// As [`Self::new`], with all mistakes. Each has the index of its column, and the overflow column comes last.
    pub(crate) fn checked(
        dialect: Dialect,
        mut columns: Vec<Column>,
        overflow: Option<String>,
        on_misfit: OnMisfit,
    ) -> Result<Self, Vec<(Option<usize>, MappingError)>> {
        let mut mistakes = Vec::new();
        if overflow.is_none() && on_misfit == OnMisfit::Overflow {
            mistakes.push((None, MappingError::NoOverflow));
        } else if columns.is_empty() && overflow.is_none() {
            mistakes.push((None, MappingError::Empty));
        }
        for (index, column) in columns.iter_mut().enumerate() {
            column.kind = column.kind.of(dialect);
            let format = column.spelling.check(column.kind);
            if let Err(what) = format.and_then(|()| column.check(dialect)) {
                mistakes.push((Some(index), MappingError::Format(column.name.clone(), what)));
            }
        }
        let mapping =
            Self { dialect, columns, overflow, on_misfit, children: Vec::new(), narrow: BTreeMap::new() };
        let mut names = BTreeSet::new();
        for (index, name) in mapping.names().enumerate() {
            if let Err(error) = fields::check_name(name) {
                mistakes.push((Some(index), error.into()));
            } else if !names.insert(name.to_ascii_lowercase()) {
                mistakes.push((Some(index), MappingError::Twice(name.to_owned())));
            }
        }
        for (index, other) in mapping.columns.iter().enumerate() {
            // A column that is there twice is one mistake.
            let is_twice = |one: &Column| one.name.eq_ignore_ascii_case(&other.name);
            let overlaps = |one: &&Column| one.overlaps(other) && !is_twice(one);
            if let Some(one) = mapping.columns[..index].iter().find(overlaps) {
                mistakes.push((Some(index), MappingError::Overlap(one.name.clone(), other.name.clone())));
            }
        }
        if mistakes.is_empty() { Ok(mapping) } else { Err(mistakes) }
    }

    /// For a table whose only content is its deletion mark: a ledger.
    pub(crate) const fn of_nothing(dialect: Dialect) -> Self {
        let on_misfit = OnMisfit::Quarantine;
        Self {
            dialect,
            columns: Vec::new(),
            overflow: None,
            on_misfit,
            children: Vec::new(),
            narrow: BTreeMap::new(),
        }
    }

    /// The SQL dialect of its table.
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The columns in row order, without the overflow.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The overflow column's name; it is the last of a row.
    pub fn overflow(&self) -> Option<&str> {
        self.overflow.as_deref()
    }

    /// What happens to a value that does not fit.
    pub const fn on_misfit(&self) -> OnMisfit {
        self.on_misfit
    }

    /// Every column's name, in row order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str()).chain(self.overflow())
    }

    /// Every column's type, in row order.
    pub fn types(&self) -> impl Iterator<Item = ColumnType> {
        let overflow = self.overflow.as_ref().map(|_| ColumnType::Json);
        self.columns.iter().map(|column| column.kind).chain(overflow)
    }

    /// A column that a table has is narrower than its type.
    #[cfg(feature = "mysql")]
    pub(crate) fn set_narrow(&mut self, column: &str, narrow: Narrow) {
        self.narrow.insert(column.to_owned(), narrow);
    }

    /// [`Column::cell`], unless the table's column would change it.
    fn cell(&self, column: &Column, attribute: &Attribute) -> Result<(Cell, bool), Reason> {
        let (cell, is_exact) = column.cell(attribute, self.dialect)?;
        self.narrow.get(&column.name).map_or(Ok(()), |narrow| narrow.check(&cell))?;
        Ok((cell, is_exact))
    }

    /// The labels of an `enum` column.
    pub(crate) fn labels(&self, column: &str) -> &[String] {
        self.columns.iter().find(|it| it.name == column).map_or(&[], |it| &it.labels)
    }

    /// A cell for each of [`Self::names`], and the rows of each of [`Self::children`].
    pub fn to_row(&self, document: &Document) -> Result<Vec<Cell>, Misfit> {
        row::to_row(self, document)
    }

    /// The document of a row, whoever wrote it, from the cells that [`Self::to_row`] gives. Text is accepted for
    /// any type that it spells, and 0 and 1 for booleans, because some drivers can't distinguish them.
    pub fn from_row(&self, row: &[Cell]) -> Result<Document, Misfit> {
        row::from_row(self, row)
    }

    /// Returns the documents that do not fit, by index, and those that would come back changed.
    pub fn check(&self, documents: &[Document]) -> Vec<(usize, Misfit)> {
        let misfit = |document| {
            let back = self.to_row(document).and_then(|row| self.from_row(&row));
            match back {
                Ok(back) if back == *document => None,
                Ok(_) => Some(Misfit { path: String::new(), column: None, reason: Reason::Changed }),
                Err(misfit) => Some(misfit),
            }
        };
        let indexed = documents.iter().enumerate();
        indexed.filter_map(|(index, document)| Some((index, misfit(document)?))).collect()
    }
}
