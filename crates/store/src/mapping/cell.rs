//! One value of a row, between an adapter and a mapping.

use std::fmt;

/// The value of a column. Adapters bind and read it by the column's type.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Cell {
    /// SQL's NULL, of any type.
    Null,
    /// For `text`, `varchar` and `char`, UUIDs, dates and times.
    Text(String),
    /// For integers of up to 64 signed bits.
    Int(i64),
    /// For other numbers: a text that spells exactly this one.
    Decimal(String),
    /// For `boolean`.
    Bool(bool),
    /// For `blob` and `varbinary`.
    Bytes(Vec<u8>),
    /// For `json` and the overflow: typed JSON.
    Json(String),
    /// For a list with a table of its own: its rows, each with its place and then its element's cells.
    Rows(Vec<Vec<Self>>),
}

impl Cell {
    /// A cell with encoded typed JSON.
    pub(super) fn json(encoded: Vec<u8>) -> Self {
        Self::Json(String::from_utf8(encoded).expect("it was encoded from texts and ASCII"))
    }

    /// A cell from bytes that a database calls text. If they are not valid text they stay bytes, and the
    /// column reports that.
    #[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
    pub(crate) fn text(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|error| Self::Bytes(error.into_bytes()), Self::Text)
    }

    /// Its type in words, for messages.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Text(_) => "text",
            Self::Int(_) => "a whole number",
            Self::Decimal(_) => "a decimal number",
            Self::Bool(_) => "a boolean",
            Self::Bytes(_) => "bytes",
            Self::Json(_) => "JSON",
            Self::Rows(_) => "rows",
        }
    }
}

/// Without the value, which may be secret.
impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}
