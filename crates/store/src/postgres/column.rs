//! A column of a table, and whether it holds every value of a type exactly.

use sqlx::{Row, postgres::PgRow};

use super::{
    super::{
        mapping::{ColumnType, Dialect, Element, sql_type},
        sql::{KeyColumn, KeyKind},
    },
    server::text,
};

/// Byte by byte, so pages have the same order as in other stores.
const BYTES: &str = " COLLATE \"C\"";

/// A column as `pg_attribute` describes it.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) collation: String,
    /// Different texts may be equal in the collation.
    pub(super) loose: bool,
    pub(super) nullable: bool,
    pub(super) fills_itself: bool,
    /// What generates its value, so that it takes none; empty: nothing.
    pub(super) generated_by: String,
    /// Those of an enum.
    pub(super) labels: Vec<String>,
    /// What the server has for the collation now. Empty: it has none.
    collation_version: String,
    /// Maximum characters.
    most_chars: Option<i32>,
    /// How the database holds its texts.
    encoding: String,
}

impl Column {
    pub(super) fn of(row: &PgRow) -> Self {
        let flag = |at, none| row.try_get(at).unwrap_or(none);
        Self {
            name: text(row, 0),
            kind: text(row, 1),
            collation: text(row, 2),
            nullable: flag(3, true),
            fills_itself: flag(4, false),
            generated_by: text(row, 5),
            labels: row.try_get(6).unwrap_or_default(),
            loose: flag(7, false),
            collation_version: text(row, 8),
            most_chars: row.try_get(9).unwrap_or_default(),
            encoding: text(row, 10),
        }
    }

    /// What it holds as tenant or key; `None`: it can't be one.
    pub(super) fn key(&self) -> Option<KeyColumn> {
        // Anybody may call a type "character_class".
        let is_text = matches!(self.kind.as_str(), "text" | "character varying")
            || ["character varying(", "character("].iter().any(|text| self.kind.starts_with(text));
        let integer = |bits| KeyKind::Integer { bits, unsigned: false };
        let kind = match self.kind.as_str() {
            "smallint" => integer(16),
            "integer" => integer(32),
            "bigint" => integer(64),
            "uuid" => KeyKind::Uuid,
            _ if !is_text || self.kind.ends_with(']') => return None,
            _ if self.loose => KeyKind::Loose,
            // It ignores blanks at the end of what it is compared with, so not any text is a place in it.
            _ if self.collation == BYTES && self.has_order_of_utf8() && !self.cuts_blanks() => KeyKind::Bytes,
            _ => KeyKind::Sorted,
        };
        let collation = self.collation.trim_start_matches(" COLLATE ");
        let version = match self.collation == BYTES && !self.has_order_of_utf8() {
            true => &self.encoding,
            false => &self.collation_version,
        };
        Some(KeyColumn {
            kind,
            definition: format!("{}{}", self.kind, self.collation),
            collation: format!("{collation} {version}").trim_end().to_owned(),
            most_chars: self.most_chars.and_then(|most| usize::try_from(most).ok()),
            cuts_blanks: self.cuts_blanks(),
            ascii: false,
        })
    }

    /// Whether texts that the server compares byte by byte are in the order of their UTF-8. It compares its own bytes:
    /// those of LATIN1 have the same order, and SQL_ASCII keeps the bytes that it is given.
    fn has_order_of_utf8(&self) -> bool {
        matches!(self.encoding.as_str(), "UTF8" | "SQL_ASCII" | "LATIN1")
    }

    /// CHAR, not VARCHAR.
    fn cuts_blanks(&self) -> bool {
        self.kind.starts_with("character(")
    }

    /// Whether different texts may be equal in it as tenant or key.
    pub(super) fn is_loose(&self) -> bool {
        self.loose || self.cuts_blanks()
    }

    pub(super) fn has_labels(&self, kind: ColumnType, labels: &[String]) -> bool {
        kind == ColumnType::Enum && labels.iter().all(|label| self.labels.contains(label))
    }
}

/// Whether a column that PostgreSQL describes like this holds every value of the type exactly.
pub(super) fn holds(is: &str, kind: ColumnType) -> bool {
    let (name, rest) = is.split_once('(').unwrap_or((is, ""));
    let (sizes, after) = rest.split_once(')').unwrap_or(("", ""));
    let sizes: Vec<u32> = sizes.split(',').filter_map(|size| size.parse().ok()).collect();
    let name = format!("{name}{after}");
    match (kind, name.as_str(), sizes.as_slice()) {
        (
            ColumnType::Text
            | ColumnType::Varchar(_)
            | ColumnType::Json
            | ColumnType::Char(_)
            | ColumnType::Enum
            | ColumnType::Jsonb
            | ColumnType::Uuid,
            "text" | "character varying",
            [],
        )
        | (ColumnType::Jsonb, "jsonb" | "json", [])
        | (ColumnType::Boolean, "boolean", [])
        | (ColumnType::Blob | ColumnType::Varbinary(_) | ColumnType::UuidBytes, "bytea", [])
        | (ColumnType::Real, "real" | "double precision", [])
        | (ColumnType::Double, "double precision", [])
        | (ColumnType::Uuid, "uuid", [])
        | (ColumnType::Date, "date", [])
        | (ColumnType::Time(_), "time without time zone", [])
        | (ColumnType::Datetime(_), "timestamp without time zone", [])
        | (ColumnType::Timestamptz(_), "timestamp with time zone", [])
        | (ColumnType::Integer { .. } | ColumnType::Decimal { .. }, "numeric", []) => true,
        (ColumnType::Bit(bits), "bit", [size]) => *size == u32::from(bits),
        (ColumnType::Array(Element::Text), "character varying[]", []) => true,
        (ColumnType::Array(element), name, []) => name == element.array(),
        (ColumnType::Varchar(most) | ColumnType::Char(most), "character varying", [size])
        | (ColumnType::Char(most), "character", [size]) => *size >= most,
        (ColumnType::Uuid, "character varying" | "character", [size]) => *size >= 36,
        (ColumnType::Time(digits), "time without time zone", [of_column])
        | (ColumnType::Datetime(digits), "timestamp without time zone", [of_column])
        | (ColumnType::Timestamptz(digits), "timestamp with time zone", [of_column]) => {
            *of_column >= digits.into()
        }
        (ColumnType::Bigint, "bigint", []) => true,
        (ColumnType::Integer { bits, unsigned }, name, []) => {
            let of_column = match name {
                "smallint" => 16,
                "integer" => 32,
                "bigint" => 64,
                _ => 0,
            };
            of_column >= bits + u8::from(unsigned)
        }
        (ColumnType::Integer { bits: 64, .. }, "numeric", [all, 0]) => *all >= 20,
        (ColumnType::Decimal { digits, scale }, "numeric", [all, after]) => {
            *after >= scale && all.saturating_sub(*after) >= digits - scale
        }
        _ => false,
    }
}

/// The type that a column needs, as ALTER TABLE has it.
pub(super) fn needed(kind: ColumnType) -> String {
    sql_type(Dialect::Postgres, kind).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collation_c_is_the_order_of_utf8_only_in_some_encodings() {
        let key = |collation: &str, encoding: &str| {
            let column = Column {
                name: "key".to_owned(),
                kind: "text".to_owned(),
                collation: collation.to_owned(),
                loose: false,
                nullable: false,
                fills_itself: false,
                generated_by: String::new(),
                labels: Vec::new(),
                collation_version: String::new(),
                most_chars: None,
                encoding: encoding.to_owned(),
            };
            let key = column.key().expect("a text");
            (key.kind, key.collation)
        };
        for encoding in ["UTF8", "LATIN1", "SQL_ASCII"] {
            assert_eq!(key(BYTES, encoding), (KeyKind::Bytes, "\"C\"".to_owned()));
        }
        // The euro sign is 80 in WIN1252, before all letters with accents.
        for encoding in ["WIN1252", "KOI8R", "LATIN2", "EUC_JP", ""] {
            let order = format!("\"C\" {encoding}").trim_end().to_owned();
            assert_eq!(key(BYTES, encoding), (KeyKind::Sorted, order));
        }
        assert_eq!(key(" COLLATE \"de-x-icu\"", "UTF8").0, KeyKind::Sorted);
    }
}
