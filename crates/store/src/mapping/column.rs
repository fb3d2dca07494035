//! A column: where its value is in a document, and which values it holds exactly.

use std::fmt;

use super::{Cell, ColumnType, Dialect, Reason};
use crate::document::{Attribute, DEPTH_MAX, Number};

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    /// Its name in SQL.
    pub name: String,
    /// The attribute that it holds.
    pub path: ColumnPath,
    /// What it can hold.
    pub kind: ColumnType,
    /// A record without the attribute does not fit. The column itself must still allow NULL: a tombstone has
    /// no content.
    pub required: bool,
}

/// A name, followed by further names that lead into maps. At least one, at most [`DEPTH_MAX`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ColumnPath(Vec<String>);

impl ColumnPath {
    /// `None`: no name, too many names, or an empty one.
    pub fn new(names: Vec<String>) -> Option<Self> {
        let fine = (1..=DEPTH_MAX).contains(&names.len()) && names.iter().all(|name| !name.is_empty());
        fine.then_some(Self(names))
    }

    /// `address.city`: names separated by dots.
    pub fn dotted(text: &str) -> Option<Self> {
        Self::new(text.split('.').map(str::to_owned).collect())
    }

    /// Its names, from the outside in.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether one path is the other's, or leads into it.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(one, other)| one == other)
    }
}

impl fmt::Display for ColumnPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

impl ColumnType {
    /// The cell that holds exactly this attribute.
    pub(super) fn cell(self, attribute: &Attribute, dialect: Dialect) -> Result<Cell, Reason> {
        match (self, attribute) {
            (Self::Json, any) => any.encode().map(Cell::json).map_err(Reason::Document),
            (Self::Text | Self::Varchar(_), Attribute::S(text)) => {
                if dialect == Dialect::Postgres && text.contains('\0') {
                    return Err(Reason::Nul);
                }
                self.no_longer(text.chars().count())?;
                Ok(Cell::Text(text.clone()))
            }
            (Self::Blob | Self::Varbinary(_), Attribute::B(bytes)) => {
                self.no_longer(bytes.len())?;
                Ok(Cell::Bytes(bytes.clone()))
            }
            (Self::Boolean, Attribute::Bool(it)) => Ok(Cell::Bool(*it)),
            (Self::Bigint, Attribute::N(number)) => {
                number.as_str().parse().map(Cell::Int).map_err(|_| self.digits(number))
            }
            (Self::Decimal { digits, scale }, Attribute::N(number)) => {
                let (_, whole, fraction) = number.parts();
                let whole = if whole == "0" { 0 } else { whole.len() };
                if whole > (digits - scale) as usize || fraction.len() > scale as usize {
                    return Err(self.digits(number));
                }
                Ok(Cell::Decimal(number.as_str().to_owned()))
            }
            (column, other) => Err(Reason::Type { found: other.kind(), column }),
        }
    }

    /// The attribute that a cell holds; the cell must not be [`Cell::Null`].
    pub(super) fn attribute(self, cell: &Cell) -> Result<Attribute, Reason> {
        let unreadable = || Reason::Cell { found: cell.kind(), column: self };
        let text = || match cell {
            Cell::Text(text) | Cell::Decimal(text) | Cell::Json(text) => Ok(text.as_str()),
            Cell::Bytes(bytes) => str::from_utf8(bytes).map_err(|_| Reason::NotUtf8),
            _ => Err(unreadable()),
        };
        match (self, cell) {
            (Self::Bigint | Self::Decimal { .. }, Cell::Int(it)) => Ok(Attribute::N((*it).into())),
            (Self::Bigint | Self::Decimal { .. }, _) => {
                let number: Number = text()?.parse().map_err(|_| unreadable())?;
                Ok(Attribute::N(number))
            }
            (Self::Boolean, Cell::Bool(it)) => Ok(Attribute::Bool(*it)),
            (Self::Boolean, Cell::Int(it @ (0 | 1))) => Ok(Attribute::Bool(*it == 1)),
            (Self::Blob | Self::Varbinary(_), Cell::Bytes(bytes)) => Ok(Attribute::B(bytes.clone())),
            (Self::Text | Self::Varchar(_), Cell::Text(_) | Cell::Bytes(_)) => {
                Ok(Attribute::S(text()?.to_owned()))
            }
            (Self::Json, _) => Attribute::decode(text()?.as_bytes()).map_err(Reason::Document),
            _ => Err(unreadable()),
        }
    }

    fn no_longer(self, length: usize) -> Result<(), Reason> {
        if length > self.most() { Err(Reason::TooLong { length, column: self }) } else { Ok(()) }
    }

    fn digits(self, number: &Number) -> Reason {
        let (_, whole, fraction) = number.parts();
        Reason::Digits { whole: whole.len(), fraction: fraction.len(), column: self }
    }
}
