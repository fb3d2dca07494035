//! Which attribute of a document lies in which column of a SQL table, and back, exactly.
//!
//! A column takes the attribute at its path if the value fits the column's type without any loss.
//! What no column takes lies in the *overflow* column, as typed JSON. A SQL NULL says that the
//! column took nothing: an attribute that is there and null goes to the overflow. So
//! [`Mapping::from_row`] of what [`Mapping::to_row`] made is the same document.

mod cell;
mod column;
mod ddl;
mod fields;
mod item;
mod key_type;
mod misfit;
mod row;
mod table;

use std::collections::BTreeSet;

pub use cell::Cell;
pub use column::{Column, ColumnPath, ColumnType};
pub use ddl::create_table_sql;
#[cfg(feature = "spec")]
pub(crate) use fields::check_name;
pub use fields::{Fields, NameError};
pub use key_type::KeyType;
pub use misfit::{Misfit, Reason};
pub use table::SqlTable;
#[cfg(feature = "sqlite")]
pub(super) use table::foreign_cell;

use super::document::Document;

/// Whose SQL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// MySQL and MariaDB.
    MySql,
    /// PostgreSQL.
    Postgres,
}

/// What becomes of a value that does not fit its column exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnMisfit {
    /// The record is refused, with the reason.
    #[default]
    Quarantine,
    /// The value goes to the overflow column and its own column is NULL.
    Overflow,
}

/// A document's way into the columns of one table and back. Checked when it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    dialect: Dialect,
    columns: Vec<Column>,
    overflow: Option<String>,
    on_misfit: OnMisfit,
}

/// Why columns make no mapping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// Nothing would be stored.
    #[error("a mapping needs a column or an overflow column: add one, or leave the mapping out")]
    Empty,
    /// See there.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Names are compared without regard to case: so does SQL.
    #[error("column {0:?} is there twice: rename one")]
    Twice(String),
    /// One path is the other's, or leads into it.
    #[error("columns {0:?} and {1:?} take the same attribute or a part of it: remove one")]
    Overlap(String, String),
    /// Values that do not fit have nowhere to go.
    #[error("on_misfit = \"overflow\" needs an overflow column: name one with overflow = \"...\"")]
    NoOverflow,
}

impl Mapping {
    /// Checks the columns against each other.
    pub fn new(
        dialect: Dialect,
        columns: Vec<Column>,
        overflow: Option<String>,
        on_misfit: OnMisfit,
    ) -> Result<Self, MappingError> {
        if columns.is_empty() && overflow.is_none() {
            return Err(MappingError::Empty);
        }
        if overflow.is_none() && on_misfit == OnMisfit::Overflow {
            return Err(MappingError::NoOverflow);
        }
        let mapping = Self { dialect, columns, overflow, on_misfit };
        let mut names = BTreeSet::new();
        for name in mapping.names() {
            fields::check_name(name)?;
            if !names.insert(name.to_ascii_lowercase()) {
                return Err(MappingError::Twice(name.to_owned()));
            }
        }
        for (index, one) in mapping.columns.iter().enumerate() {
            for other in &mapping.columns[index + 1..] {
                if one.path.overlaps(&other.path) {
                    return Err(MappingError::Overlap(one.name.clone(), other.name.clone()));
                }
            }
        }
        Ok(mapping)
    }

    /// Whose SQL its table speaks.
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// In the order of a row, without the overflow.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The overflow column's name; the last of a row if there is one.
    pub fn overflow(&self) -> Option<&str> {
        self.overflow.as_deref()
    }

    /// What becomes of a value that does not fit.
    pub const fn on_misfit(&self) -> OnMisfit {
        self.on_misfit
    }

    /// Every column's name, in the order of a row.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str()).chain(self.overflow())
    }

    /// Every column's type, in the order of a row.
    pub fn types(&self) -> impl Iterator<Item = ColumnType> {
        let overflow = self.overflow.as_ref().map(|_| ColumnType::Json);
        self.columns.iter().map(|column| column.kind).chain(overflow)
    }

    /// A cell for each of [`Self::names`].
    pub fn to_row(&self, document: &Document) -> Result<Vec<Cell>, Misfit> {
        row::to_row(self, document)
    }

    /// The document of a row, whoever wrote it: cells for each of [`Self::names`]. Text is taken for
    /// any type that it spells, and 0 and 1 for booleans, so that what a driver can't tell apart is
    /// no error.
    pub fn from_row(&self, row: &[Cell]) -> Result<Document, Misfit> {
        row::from_row(self, row)
    }

    /// What does not fit, by its index; and that what does fit comes back as it was.
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
