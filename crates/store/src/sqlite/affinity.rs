//! What columns make of values, by their declared types.

use super::super::mapping::ColumnType;

/// How SQLite converts a value before storing it, by the column's declared type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Affinity {
    Integer,
    Text,
    /// Stores values unchanged.
    Blob,
    Real,
    Numeric,
}

impl Affinity {
    /// <https://sqlite.org/datatype3.html#determination_of_column_affinity>
    fn of(declared: &str) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |parts: &[&str]| parts.iter().any(|part| declared.contains(part));
        match () {
            () if has(&["INT"]) => Self::Integer,
            () if has(&["CHAR", "CLOB", "TEXT"]) => Self::Text,
            () if declared.is_empty() || has(&["BLOB"]) => Self::Blob,
            () if has(&["REAL", "FLOA", "DOUB"]) => Self::Real,
            () => Self::Numeric,
        }
    }

    fn keeps(self, kind: ColumnType) -> bool {
        match kind {
            ColumnType::Integer { bits: 64, .. } | ColumnType::Bit(64) => {
                matches!(self, Self::Text | Self::Blob)
            }
            ColumnType::Bigint | ColumnType::Integer { .. } | ColumnType::Bit(_) | ColumnType::Boolean => {
                matches!(self, Self::Integer | Self::Numeric | Self::Blob)
            }
            // A float without a fraction becomes an integer there, and is the same number.
            ColumnType::Real | ColumnType::Double => self != Self::Text,
            ColumnType::Blob | ColumnType::Varbinary(_) | ColumnType::UuidBytes => self == Self::Blob,
            // No number looks like one.
            _ if kind.is_time() => matches!(self, Self::Text | Self::Blob | Self::Numeric),
            _ => matches!(self, Self::Text | Self::Blob),
        }
    }
}

/// Whether a column that is declared so keeps every value of this type as it is.
pub(super) fn keeps(declared: &str, kind: ColumnType) -> bool {
    Affinity::of(declared).keeps(kind)
}

/// Whether a column that is declared so makes integers of texts that spell them.
pub(super) fn is_integer(declared: &str) -> bool {
    Affinity::of(declared) == Affinity::Integer
}
