//! The types of columns, and how they are written in a spec.

use std::{fmt, str::FromStr};

use super::Dialect;

/// A column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// Text of any length.
    Text,
    /// Text of at most this many characters.
    Varchar(u32),
    /// Text of at most this many characters, without blanks at its end: servers remove or add those.
    Char(u32),
    /// A signed 64-bit integer.
    Bigint,
    /// An integer of another size.
    Integer {
        /// 8, 16, 24, 32 or, if it is unsigned, 64.
        bits: u8,
        /// Only MySQL and MariaDB have unsigned columns. Elsewhere it is a column of the next size.
        unsigned: bool,
    },
    /// A decimal number.
    Decimal {
        /// Total number of digits, 1 to 65.
        digits: u32,
        /// Digits after the point, 0 to 30 and at most `digits`.
        scale: u32,
    },
    /// A number that is the shortest decimal of a 32-bit float.
    Real,
    /// A number that is the shortest decimal of a 64-bit float.
    Double,
    /// True or false.
    Boolean,
    /// Bytes of any length.
    Blob,
    /// At most this many bytes.
    Varbinary(u32),
    /// An unsigned integer of this many bits, 1 to 64.
    Bit(u8),
    /// One of the column's labels.
    Enum,
    /// Any attribute, as typed JSON.
    Json,
    /// An attribute without binary and sets, as plain JSON.
    Jsonb,
    /// A list of elements of one type; in PostgreSQL only.
    Array(Element),
    /// A UUID in a column for UUIDs or text.
    Uuid,
    /// A UUID in 16 bytes.
    UuidBytes,
    /// A day.
    Date,
    /// A time of day, with this many digits after the second.
    Time(u8),
    /// A point in time, as the date and time of the column's zone, with this many digits after the second.
    Datetime(u8),
    /// A point in time as the server knows it, with this many digits after the second.
    Timestamptz(u8),
    /// What the server calls `timestamp`: in MySQL [`Self::Timestamptz`], elsewhere [`Self::Datetime`].
    Timestamp(u8),
}

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// Text of any length.
    Text,
    /// A signed integer of 16, 32 or 64 bits.
    Integer(u8),
    /// The shortest decimal of a 32-bit float.
    Real,
    /// The shortest decimal of a 64-bit float.
    Double,
    /// True or false.
    Boolean,
    /// A UUID.
    Uuid,
}

impl Element {
    /// All of them, with the name that the spec and PostgreSQL have for each.
    pub(crate) const ALL: [(Self, &str); 8] = [
        (Self::Text, "text"),
        (Self::Integer(16), "smallint"),
        (Self::Integer(32), "int"),
        (Self::Integer(64), "bigint"),
        (Self::Real, "real"),
        (Self::Double, "double"),
        (Self::Boolean, "boolean"),
        (Self::Uuid, "uuid"),
    ];

    /// Its name in a spec.
    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(element, _)| *element == self).map_or("text", |(_, name)| name)
    }

    /// The type of a column that holds one element.
    pub(super) const fn column(self) -> ColumnType {
        match self {
            Self::Text => ColumnType::Text,
            Self::Integer(64) => ColumnType::Bigint,
            Self::Integer(bits) => ColumnType::Integer { bits, unsigned: false },
            Self::Real => ColumnType::Real,
            Self::Double => ColumnType::Double,
            Self::Boolean => ColumnType::Boolean,
            Self::Uuid => ColumnType::Uuid,
        }
    }

    /// What PostgreSQL calls the array.
    #[cfg(feature = "postgres")]
    pub(crate) const fn array(self) -> &'static str {
        match self {
            Self::Text => "text[]",
            Self::Integer(16) => "smallint[]",
            Self::Integer(32) => "integer[]",
            Self::Integer(_) => "bigint[]",
            Self::Real => "real[]",
            Self::Double => "double precision[]",
            Self::Boolean => "boolean[]",
            Self::Uuid => "uuid[]",
        }
    }
}

/// A text that is not a [`ColumnType`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ColumnTypeError {
    /// An unknown type.
    #[error(
        "{0:?} is no column type{meant}: use text, varchar(N), char(N), tinyint, smallint, mediumint, int, bigint (also unsigned), \
         bit(N), decimal(DIGITS,SCALE), real, double, boolean, enum, blob, varbinary(N), json, jsonb, uuid, \
         uuid_bytes, date, time(P), datetime(P), timestamp(P) or timestamptz(P); in PostgreSQL also text[] and arrays \
         of the other numbers, boolean and uuid",
        meant = meant(.0)
    )]
    Unknown(String),
    /// A length or number of digits that not every store supports.
    #[error("{0} is out of range: {limits}", limits = limits(.0))]
    Range(String),
}

/// `, did you mean varchar(20)?` for `varchar20`.
fn meant(text: &str) -> String {
    let sized = text.find(|it: char| it.is_ascii_digit()).map(|digits| {
        let (name, size) = text.split_at(digits);
        format!("{}({size})", name.trim())
    });
    let sized = sized.filter(|sized| sized.parse::<ColumnType>().is_ok());
    sized.map_or_else(String::new, |sized| format!(", did you mean {sized}?"))
}

/// What this type's numbers may be.
fn limits(text: &str) -> String {
    let (name, sizes) = text.split_once('(').unwrap_or((text, ""));
    let sizes: Vec<u32> =
        sizes.trim_end_matches(')').split(',').filter_map(|size| size.trim().parse().ok()).collect();
    match (name.trim(), sizes.as_slice()) {
        ("varchar", _) => "give 1 to 16383 characters".to_owned(),
        ("char", _) => "give 1 to 255 characters".to_owned(),
        ("varbinary", _) => "give 1 to 65535 bytes".to_owned(),
        ("bit", _) => "give 1 to 64 bits".to_owned(),
        ("decimal", [digits @ 1..=65, scale]) if scale > digits => {
            format!("the scale {scale} is more than the digits {digits}")
        }
        ("decimal", _) => "give 1 to 65 digits, and 0 to 30 of them after the point".to_owned(),
        _ => "give 0 to 6 digits of a second".to_owned(),
    }
}

impl ColumnType {
    /// The type that a server of this kind means.
    pub(super) const fn of(self, dialect: Dialect) -> Self {
        match (self, dialect) {
            (Self::Timestamp(digits), Dialect::MySql) => Self::Timestamptz(digits),
            (Self::Timestamp(digits), _) => Self::Datetime(digits),
            (other, _) => other,
        }
    }

    /// Whether it holds dates or times.
    pub(crate) const fn is_time(self) -> bool {
        matches!(
            self,
            Self::Date | Self::Time(_) | Self::Datetime(_) | Self::Timestamptz(_) | Self::Timestamp(_)
        )
    }

    pub(super) const fn unit(self) -> &'static str {
        if matches!(self, Self::Varbinary(_)) { "bytes" } else { "characters" }
    }

    pub(super) const fn most(self) -> usize {
        match self {
            Self::Varchar(most) | Self::Char(most) | Self::Varbinary(most) => most as usize,
            _ => usize::MAX,
        }
    }
}

impl FromStr for ColumnType {
    type Err = ColumnTypeError;

    fn from_str(text: &str) -> Result<Self, ColumnTypeError> {
        let unknown = || ColumnTypeError::Unknown(text.to_owned());
        if let Some(name) = text.strip_suffix("[]") {
            let element = Element::ALL.into_iter().find(|(_, element)| *element == name);
            return element.map(|(element, _)| Self::Array(element)).ok_or_else(unknown);
        }
        let (name, sizes) = match text.split_once('(') {
            Some((name, sizes)) => (name, sizes.strip_suffix(')').ok_or_else(unknown)?),
            None => (text, ""),
        };
        let numbers: Option<Vec<u32>> = match sizes {
            "" => Some(Vec::new()),
            sizes => sizes.split(',').map(|size| size.trim().parse().ok()).collect(),
        };
        let words: Vec<&str> = name.split_whitespace().collect();
        let integer = |bits, unsigned| Ok(Self::Integer { bits, unsigned });
        let fine = match (words.as_slice(), numbers.ok_or_else(unknown)?.as_slice()) {
            (["text"], []) => return Ok(Self::Text),
            (["tinyint", unsigned @ ..], []) => {
                return integer(8, is_unsigned(unsigned).ok_or_else(unknown)?);
            }
            (["smallint", unsigned @ ..], []) => {
                return integer(16, is_unsigned(unsigned).ok_or_else(unknown)?);
            }
            (["mediumint", unsigned @ ..], []) => {
                return integer(24, is_unsigned(unsigned).ok_or_else(unknown)?);
            }
            (["int" | "integer", unsigned @ ..], []) => {
                return integer(32, is_unsigned(unsigned).ok_or_else(unknown)?);
            }
            (["bigint"], []) => return Ok(Self::Bigint),
            (["bigint", "unsigned"], []) => return integer(64, true),
            (["real"], []) => return Ok(Self::Real),
            (["double"], []) => return Ok(Self::Double),
            (["boolean"], []) => return Ok(Self::Boolean),
            (["blob"], []) => return Ok(Self::Blob),
            (["json"], []) => return Ok(Self::Json),
            (["jsonb"], []) => return Ok(Self::Jsonb),
            (["enum"], []) => return Ok(Self::Enum),
            (["bit"], [bits]) => {
                u8::try_from(*bits).ok().filter(|bits| (1..=64).contains(bits)).map(Self::Bit)
            }
            (["uuid"], []) => return Ok(Self::Uuid),
            (["uuid_bytes"], []) => return Ok(Self::UuidBytes),
            (["date"], []) => return Ok(Self::Date),
            (["varchar"], [most]) => (1..=16_383).contains(most).then_some(Self::Varchar(*most)),
            (["char"], [most]) => (1..=255).contains(most).then_some(Self::Char(*most)),
            (["varbinary"], [most]) => (1..=65_535).contains(most).then_some(Self::Varbinary(*most)),
            (["decimal"], [digits, scale]) => {
                let fine = (1..=65).contains(digits) && *scale <= 30 && scale <= digits;
                fine.then_some(Self::Decimal { digits: *digits, scale: *scale })
            }
            (["time"], digits) => of_second(digits).map(Self::Time),
            (["datetime"], digits) => of_second(digits).map(Self::Datetime),
            (["timestamp"], digits) => of_second(digits).map(Self::Timestamp),
            (["timestamptz"], digits) => of_second(digits).map(Self::Timestamptz),
            _ => return Err(unknown()),
        };
        fine.ok_or_else(|| ColumnTypeError::Range(text.to_owned()))
    }
}

fn is_unsigned(words: &[&str]) -> Option<bool> {
    match words {
        [] => Some(false),
        ["unsigned"] => Some(true),
        _ => None,
    }
}

/// Digits after the second; none if no number is given.
fn of_second(digits: &[u32]) -> Option<u8> {
    match digits {
        [] => Some(0),
        [digits] => u8::try_from(*digits).ok().filter(|digits| *digits <= 6),
        _ => None,
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Varchar(most) => write!(f, "varchar({most})"),
            Self::Char(most) => write!(f, "char({most})"),
            Self::Bigint => f.write_str("bigint"),
            Self::Integer { bits, unsigned } => {
                f.write_str(match bits {
                    8 => "tinyint",
                    16 => "smallint",
                    24 => "mediumint",
                    32 => "int",
                    _ => "bigint",
                })?;
                f.write_str(if *unsigned { " unsigned" } else { "" })
            }
            Self::Decimal { digits, scale } => write!(f, "decimal({digits},{scale})"),
            Self::Real => f.write_str("real"),
            Self::Double => f.write_str("double"),
            Self::Boolean => f.write_str("boolean"),
            Self::Blob => f.write_str("blob"),
            Self::Varbinary(most) => write!(f, "varbinary({most})"),
            Self::Bit(bits) => write!(f, "bit({bits})"),
            Self::Enum => f.write_str("enum"),
            Self::Json => f.write_str("json"),
            Self::Jsonb => f.write_str("jsonb"),
            Self::Array(element) => write!(f, "{}[]", element.name()),
            Self::Uuid => f.write_str("uuid"),
            Self::UuidBytes => f.write_str("uuid_bytes"),
            Self::Date => f.write_str("date"),
            Self::Time(digits) => write!(f, "time({digits})"),
            Self::Datetime(digits) => write!(f, "datetime({digits})"),
            Self::Timestamptz(digits) => write!(f, "timestamptz({digits})"),
            Self::Timestamp(digits) => write!(f, "timestamp({digits})"),
        }
    }
}
