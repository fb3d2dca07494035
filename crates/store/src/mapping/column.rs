//! A column: where its value is in a document, and which values it holds exactly.

use std::{fmt, str::FromStr};

use super::{Cell, Dialect, Reason};
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

/// A column's type. There is no floating point: it would change numbers. Points in time are stored as in the
/// document: an integer or a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// Text of any length.
    Text,
    /// Text of at most this many characters.
    Varchar(u32),
    /// A signed 64-bit integer.
    Bigint,
    /// A decimal number.
    Decimal {
        /// Total number of digits, 1 to 65.
        digits: u32,
        /// Digits after the point, 0 to 30 and at most `digits`.
        scale: u32,
    },
    /// True or false.
    Boolean,
    /// Bytes of any length.
    Blob,
    /// At most this many bytes.
    Varbinary(u32),
    /// Any attribute, as typed JSON.
    Json,
}

/// A text that is not a [`ColumnType`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ColumnTypeError {
    /// An unknown type.
    #[error(
        "{0:?} is no column type: use text, varchar(N), bigint, decimal(DIGITS,SCALE), boolean, blob, \
         varbinary(N) or json"
    )]
    Unknown(String),
    /// A length or number of digits that not every store supports.
    #[error("{0}: varchar(1..16383), varbinary(1..65535), decimal(1..65,0..30) with scale <= digits")]
    Range(String),
}

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
    pub(super) const fn unit(self) -> &'static str {
        if matches!(self, Self::Varbinary(_)) { "bytes" } else { "characters" }
    }

    pub(super) const fn most(self) -> usize {
        match self {
            Self::Varchar(most) | Self::Varbinary(most) => most as usize,
            _ => usize::MAX,
        }
    }

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

impl FromStr for ColumnType {
    type Err = ColumnTypeError;

    fn from_str(text: &str) -> Result<Self, ColumnTypeError> {
        let unknown = || ColumnTypeError::Unknown(text.to_owned());
        let (name, sizes) = match text.split_once('(') {
            Some((name, sizes)) => (name, sizes.strip_suffix(')').ok_or_else(unknown)?),
            None => (text, ""),
        };
        let numbers: Option<Vec<u32>> = match sizes {
            "" => Some(Vec::new()),
            sizes => sizes.split(',').map(|size| size.trim().parse().ok()).collect(),
        };
        let is_in_range = match (name.trim(), numbers.ok_or_else(unknown)?.as_slice()) {
            ("text", []) => return Ok(Self::Text),
            ("bigint", []) => return Ok(Self::Bigint),
            ("boolean", []) => return Ok(Self::Boolean),
            ("blob", []) => return Ok(Self::Blob),
            ("json", []) => return Ok(Self::Json),
            ("varchar", [most]) => (1..=16_383).contains(most).then_some(Self::Varchar(*most)),
            ("varbinary", [most]) => (1..=65_535).contains(most).then_some(Self::Varbinary(*most)),
            ("decimal", [digits, scale]) => {
                let fine = (1..=65).contains(digits) && *scale <= 30 && scale <= digits;
                fine.then_some(Self::Decimal { digits: *digits, scale: *scale })
            }
            _ => return Err(unknown()),
        };
        is_in_range.ok_or_else(|| ColumnTypeError::Range(text.to_owned()))
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Varchar(most) => write!(f, "varchar({most})"),
            Self::Bigint => f.write_str("bigint"),
            Self::Decimal { digits, scale } => write!(f, "decimal({digits},{scale})"),
            Self::Boolean => f.write_str("boolean"),
            Self::Blob => f.write_str("blob"),
            Self::Varbinary(most) => write!(f, "varbinary({most})"),
            Self::Json => f.write_str("json"),
        }
    }
}
