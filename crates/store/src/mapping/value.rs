//! Which attributes a column holds exactly, and how.

use uuid::Uuid;

use super::{Cell, Column, ColumnType, Dialect, Element, Reason, array, plain};
use crate::document::{Attribute, Number};

impl Column {
    /// The cell that holds this attribute. False: the column holds the value, but not how it is written here.
    pub(super) fn cell(&self, attribute: &Attribute, dialect: Dialect) -> Result<(Cell, bool), Reason> {
        let Some(prefix) = &self.prefix else { return self.bare_cell(attribute, dialect) };
        let column = self.kind;
        let Attribute::S(text) = attribute else {
            return Err(Reason::Type { found: attribute.kind(), column });
        };
        let bare = text.strip_prefix(prefix.as_str()).ok_or(Reason::Prefix { column })?;
        let bare = match column {
            ColumnType::Bigint | ColumnType::Integer { .. } => {
                Attribute::N(bare.parse().map_err(|_| Reason::Prefix { column })?)
            }
            _ => Attribute::S(bare.to_owned()),
        };
        let (cell, _) = self.bare_cell(&bare, dialect)?;
        let is_exact = self.attribute(&cell).as_ref() == Ok(attribute);
        Ok((cell, is_exact))
    }

    /// The attribute that a cell holds; the cell must not be [`Cell::Null`].
    pub(super) fn attribute(&self, cell: &Cell) -> Result<Attribute, Reason> {
        Ok(match (&self.prefix, self.bare_attribute(cell)?) {
            (Some(prefix), Attribute::S(text)) => Attribute::S(format!("{prefix}{text}")),
            (Some(prefix), Attribute::N(number)) => Attribute::S(format!("{prefix}{number}")),
            (_, attribute) => attribute,
        })
    }

    fn bare_cell(&self, attribute: &Attribute, dialect: Dialect) -> Result<(Cell, bool), Reason> {
        let (column, wrong) =
            (self.kind, |other: &Attribute| Reason::Type { found: other.kind(), column: self.kind });
        let cell = match (column, attribute) {
            (ColumnType::Uuid | ColumnType::UuidBytes, Attribute::S(text)) => {
                let uuid = Uuid::parse_str(text).map_err(|_| Reason::Unspelled { column })?;
                match column {
                    ColumnType::Uuid => Cell::Text(uuid.to_string()),
                    _ => Cell::Bytes(uuid.into_bytes().to_vec()),
                }
            }
            (ColumnType::Uuid | ColumnType::UuidBytes, other) => return Err(wrong(other)),
            (ColumnType::Enum, Attribute::S(label)) => {
                let is_one = self.labels.contains(label);
                return if is_one { Ok((Cell::Text(label.clone()), true)) } else { Err(Reason::Label) };
            }
            (ColumnType::Array(element), Attribute::L(elements)) => {
                let of_element = Self { kind: element.column(), ..self.clone() };
                let cell = |it: &Attribute| of_element.cell(it, dialect).map(|(cell, _)| cell);
                Cell::Text(array::encode(elements, cell)?)
            }
            (ColumnType::Enum | ColumnType::Array(_), other) => return Err(wrong(other)),
            _ if column.is_time() => Cell::Text(self.spelling.cell(column, attribute, dialect)?),
            _ => return column.cell(attribute, dialect).map(|cell| (cell, true)),
        };
        let is_exact = self.bare_attribute(&cell).as_ref() == Ok(attribute);
        Ok((cell, is_exact))
    }

    fn bare_attribute(&self, cell: &Cell) -> Result<Attribute, Reason> {
        let column = self.kind;
        let unreadable = || Reason::Cell { found: cell.kind(), column };
        let uuid = |uuid: Option<Uuid>| {
            let uuid = uuid.ok_or_else(unreadable)?;
            Ok(Attribute::S(uuid.to_string()))
        };
        match column {
            ColumnType::Uuid => uuid(Uuid::parse_str(text(column, cell)?).ok()),
            ColumnType::UuidBytes => match cell {
                Cell::Bytes(bytes) => uuid(Uuid::from_slice(bytes).ok()),
                _ => Err(unreadable()),
            },
            ColumnType::Array(element) => {
                let of_element = Self { kind: element.column(), ..self.clone() };
                let elements = array::decode(text(column, cell)?).ok_or_else(unreadable)?;
                let elements = elements.into_iter().map(|it| match (it, element) {
                    (None, _) => Ok(Attribute::Null),
                    (Some(it), Element::Boolean) if it == "t" || it == "f" => Ok(Attribute::Bool(it == "t")),
                    (Some(it), _) => of_element.attribute(&Cell::Text(it)),
                });
                elements.collect::<Result<_, _>>().map(Attribute::L)
            }
            // MySQL has an empty text where it could not store a label.
            ColumnType::Enum => {
                let label = text(column, cell)?;
                let is_one = !label.is_empty() || self.labels.iter().any(String::is_empty);
                if is_one { Ok(Attribute::S(label.to_owned())) } else { Err(unreadable()) }
            }
            _ if column.is_time() => {
                self.spelling.attribute(column, text(column, cell)?).ok_or_else(unreadable)
            }
            _ => column.attribute(cell),
        }
    }
}

/// What a cell spells.
fn text(column: ColumnType, cell: &Cell) -> Result<&str, Reason> {
    match cell {
        Cell::Text(text) | Cell::Decimal(text) | Cell::Json(text) => Ok(text),
        Cell::Bytes(bytes) => str::from_utf8(bytes).map_err(|_| Reason::NotUtf8),
        _ => Err(Reason::Cell { found: cell.kind(), column }),
    }
}

impl ColumnType {
    fn cell(self, attribute: &Attribute, dialect: Dialect) -> Result<Cell, Reason> {
        match (self, attribute) {
            (Self::Json, any) => any.encode().map(Cell::json).map_err(Reason::Document),
            (Self::Jsonb, any) => plain::encode(any, dialect).map(Cell::Json),
            (Self::Text | Self::Varchar(_) | Self::Char(_), Attribute::S(text)) => {
                if dialect == Dialect::Postgres && text.contains('\0') {
                    return Err(Reason::Nul);
                }
                if matches!(self, Self::Char(_)) && text.ends_with(' ') {
                    return Err(Reason::Blank { column: self });
                }
                self.no_longer(text.chars().count())?;
                Ok(Cell::Text(text.clone()))
            }
            (Self::Blob | Self::Varbinary(_), Attribute::B(bytes)) => {
                self.no_longer(bytes.len())?;
                Ok(Cell::Bytes(bytes.clone()))
            }
            (Self::Boolean, Attribute::Bool(it)) => Ok(Cell::Bool(*it)),
            (Self::Bigint | Self::Integer { .. } | Self::Bit(_), Attribute::N(number)) => {
                self.integer(number)
            }
            (Self::Real | Self::Double, Attribute::N(number)) => self.float(number),
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

    fn attribute(self, cell: &Cell) -> Result<Attribute, Reason> {
        let unreadable = || Reason::Cell { found: cell.kind(), column: self };
        match (self, cell) {
            // PostgreSQL's 64 bits are a signed number.
            (Self::Bit(64), Cell::Int(it @ i64::MIN..=-1)) => {
                Ok(Attribute::N(it.cast_unsigned().to_string().parse().map_err(|_| unreadable())?))
            }
            (Self::Bigint | Self::Integer { .. } | Self::Bit(_) | Self::Decimal { .. }, Cell::Int(it)) => {
                Ok(Attribute::N((*it).into()))
            }
            (Self::Bigint | Self::Integer { .. } | Self::Bit(_) | Self::Decimal { .. }, _) => {
                let number: Number = text(self, cell)?.parse().map_err(|_| unreadable())?;
                Ok(Attribute::N(number))
            }
            (Self::Real | Self::Double, Cell::Int(it)) => Ok(Attribute::N((*it).into())),
            (Self::Real | Self::Double, _) => {
                let float = text(self, cell)?.parse().map_err(|_| unreadable())?;
                self.shortest(float).map(Attribute::N).ok_or_else(unreadable)
            }
            (Self::Boolean, Cell::Bool(it)) => Ok(Attribute::Bool(*it)),
            (Self::Boolean, Cell::Int(it @ (0 | 1))) => Ok(Attribute::Bool(*it == 1)),
            (Self::Blob | Self::Varbinary(_), Cell::Bytes(bytes)) => Ok(Attribute::B(bytes.clone())),
            (Self::Text | Self::Varchar(_), Cell::Text(_) | Cell::Bytes(_)) => {
                Ok(Attribute::S(text(self, cell)?.to_owned()))
            }
            // PostgreSQL adds blanks, MySQL removes them.
            (Self::Char(_), Cell::Text(_) | Cell::Bytes(_)) => {
                Ok(Attribute::S(text(self, cell)?.trim_end_matches(' ').to_owned()))
            }
            (Self::Json, _) => Attribute::decode(text(self, cell)?.as_bytes()).map_err(Reason::Document),
            (Self::Jsonb, _) => plain::decode(text(self, cell)?).ok_or_else(unreadable),
            _ => Err(unreadable()),
        }
    }

    fn integer(self, number: &Number) -> Result<Cell, Reason> {
        let wrong = || self.digits(number);
        let whole: i128 = number.as_str().parse().map_err(|_| wrong())?;
        let (bits, unsigned) = match self {
            Self::Integer { bits, unsigned } => (u32::from(bits), unsigned),
            Self::Bit(bits) => (u32::from(bits), true),
            _ => (64, false),
        };
        let range = match unsigned {
            true => 0..1_i128 << bits,
            false => -(1 << (bits - 1))..1 << (bits - 1),
        };
        if !range.contains(&whole) {
            return Err(wrong());
        }
        // A column that takes all of 64 unsigned bits is a decimal one in most servers.
        match i64::try_from(whole) {
            Ok(whole) if (bits, unsigned) != (64, true) => Ok(Cell::Int(whole)),
            _ => Ok(Cell::Decimal(number.as_str().to_owned())),
        }
    }

    /// The float that a column holds, spelled so that every server reads exactly that.
    fn float(self, number: &Number) -> Result<Cell, Reason> {
        let wrong = || self.digits(number);
        let float = match self {
            Self::Real => f64::from(number.as_str().parse::<f32>().map_err(|_| wrong())?),
            _ => number.as_str().parse().map_err(|_| wrong())?,
        };
        if self.shortest(float).as_ref() != Some(number) {
            return Err(wrong());
        }
        Ok(Cell::Decimal(format!("{float:e}")))
    }

    /// The shortest decimal that is read as this float.
    fn shortest(self, float: f64) -> Option<Number> {
        let single = float as f32;
        match self == Self::Real && f64::from(single).to_bits() == float.to_bits() {
            true => single.to_string().parse().ok(),
            false => float.to_string().parse().ok(),
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
