//! The types of columns, and how they are written in a spec.

use std::{fmt, str::FromStr};

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
