//! A column of a table, and whether it holds every value of a type exactly.

use sqlx::{Row, mysql::MySqlRow};

use super::{
    super::{
        mapping::{Charset, ColumnType, Dialect, Narrow, column_sql, sql_type},
        sql::{KeyColumn, KeyKind},
    },
    server::text,
};

/// A column as `information_schema` describes it.
#[derive(Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// The type without sizes.
    pub(super) kind: String,
    /// In characters for VARCHAR, in bytes for everything else; unlimited if the type has no size.
    pub(super) most: u64,
    pub(super) nullable: bool,
    /// The type with sizes.
    pub(super) full_kind: String,
    /// By a default or AUTO_INCREMENT. ON UPDATE fills only what is there.
    pub(super) fills_itself: bool,
    pub(super) digits: u64,
    pub(super) scale: u64,
    pub(super) character_set: String,
    pub(super) is_generated: bool,
    pub(super) collation: String,
    /// It has a default or a comment.
    pub(super) has_more: bool,
    /// It stores something else for NULL: the next number, or the time.
    pub(super) replaces_null: bool,
}

impl Column {
    pub(super) fn of(row: &MySqlRow) -> Self {
        let number = |at, none| text(row, at).parse().unwrap_or(none);
        Self {
            name: text(row, 0),
            kind: text(row, 1),
            most: number(2, u64::MAX),
            nullable: text(row, 3) == "YES",
            full_kind: text(row, 4),
            fills_itself: row.try_get::<i64, _>(5).is_ok_and(|is| is != 0),
            digits: number(6, 0),
            scale: number(7, 0),
            character_set: text(row, 8),
            is_generated: !text(row, 9).is_empty(),
            collation: text(row, 10),
            has_more: text(row, 11) == "1",
            replaces_null: text(row, 12) == "1",
        }
    }

    /// Whether the column holds every value of this type exactly.
    pub(super) fn holds(&self, kind: ColumnType) -> bool {
        let (is, signed) = (self.kind.as_str(), !self.full_kind.contains("unsigned"));
        let is_text = is.ends_with("text") && self.character_set == "utf8mb4";
        match kind {
            // MySQL's own JSON rounds some numbers: 0.9999999999999999 comes back as 1. MariaDB's is a text.
            ColumnType::Text | ColumnType::Json | ColumnType::Jsonb => is_text && self.most >= LONG_BYTES,
            ColumnType::Varchar(most) | ColumnType::Char(most) => {
                let of_text = is_text && self.most >= u64::from(most) * 4;
                let has_name = is == "varchar" || is == "char" && matches!(kind, ColumnType::Char(_));
                has_name && self.character_set == "utf8mb4" && self.most >= u64::from(most) || of_text
            }
            ColumnType::Bigint => is == "bigint" && signed,
            ColumnType::Integer { bits, unsigned } => {
                let of_column = match is {
                    "tinyint" => 8,
                    "smallint" => 16,
                    "mediumint" => 24,
                    "int" => 32,
                    "bigint" => 64,
                    _ => 0,
                };
                match (signed, unsigned) {
                    (false, false) => false,
                    (true, true) => of_column > bits,
                    _ => of_column >= bits,
                }
            }
            ColumnType::Decimal { digits, scale } => {
                let (scale, whole) = (u64::from(scale), u64::from(digits - scale));
                (is == "decimal" || self.rounds_to_decimals())
                    && signed
                    && self.scale >= scale
                    && self.digits.saturating_sub(self.scale) >= whole
            }
            // FLOAT(M,D) rounds, see [`Self::rounds_to_decimals`].
            ColumnType::Real => signed && matches!(self.full_kind.as_str(), "float" | "double"),
            ColumnType::Double => signed && self.full_kind == "double",
            ColumnType::Boolean => is == "tinyint" || is == "bit" && self.digits == 1,
            ColumnType::Bit(bits) => is == "bit" && self.digits >= bits.into(),
            ColumnType::Enum => is_text && self.most >= MOST_OF_LABEL,
            ColumnType::Array(_) => false,
            ColumnType::Blob => is.ends_with("blob") && self.most >= LONG_BYTES,
            ColumnType::Varbinary(most) => {
                (is == "varbinary" || is.ends_with("blob")) && self.most >= u64::from(most)
            }
            ColumnType::Uuid => {
                is == "uuid" || (is.ends_with("char") || is.ends_with("text")) && self.most >= 36
            }
            ColumnType::UuidBytes => {
                is == "binary" && self.most == 16
                    || (is == "varbinary" || is.ends_with("blob")) && self.most >= 16
            }
            ColumnType::Date => is == "date",
            ColumnType::Time(digits) => is == "time" && self.of_second() >= digits,
            ColumnType::Datetime(digits) => is == "datetime" && self.of_second() >= digits,
            ColumnType::Timestamptz(digits) | ColumnType::Timestamp(digits) => {
                is == "timestamp" && self.of_second() >= digits
            }
        }
    }

    /// Whether it is a FLOAT(M,D) or DOUBLE(M,D) that gives every decimal of so many digits back: two floats of its size
    /// are closer to each other than two of them.
    fn rounds_to_decimals(&self) -> bool {
        let bits = match self.kind.as_str() {
            "float" if self.full_kind.contains(',') => 23,
            "double" if self.full_kind.contains(',') => 52,
            _ => return false,
        };
        let (digits, scale) = (self.digits as f64, self.scale as f64);
        let of_whole = ((digits - scale) * 10_f64.log2()).ceil();
        of_whole - 1.0 - f64::from(bits) + scale * 10_f64.log2() < 0.0
    }

    /// What it does not hold of this type, if it holds the rest of it exactly.
    pub(super) fn narrow(&self, kind: ColumnType) -> Option<Narrow> {
        let is_text = matches!(kind, ColumnType::Text | ColumnType::Varchar(_));
        match self.kind.as_str() {
            _ if self.full_kind.contains("zerofill") => None,
            "decimal" | "float" | "double" if self.full_kind.contains(" unsigned") => {
                let full_kind = self.full_kind.replace(" unsigned", "");
                let is_one =
                    matches!(kind, ColumnType::Decimal { .. } | ColumnType::Real | ColumnType::Double);
                (is_one && Self { full_kind, ..self.clone() }.holds(kind)).then_some(Narrow::NotNegative)
            }
            "binary" => match kind {
                ColumnType::Varbinary(most) if u64::from(most) >= self.most => {
                    Some(Narrow::Exactly(usize::try_from(self.most).ok()?))
                }
                _ => None,
            },
            // YEAR(2) keeps two digits.
            "year" if matches!(self.full_kind.as_str(), "year" | "year(4)") => {
                // An unsigned one of 64 bits is sent as a decimal.
                let is_one = matches!(
                    kind,
                    ColumnType::Bigint
                        | ColumnType::Integer { bits: 16..=32, .. }
                        | ColumnType::Integer { bits: 64, unsigned: false }
                );
                is_one.then_some(Narrow::Year)
            }
            "set" if is_text => labels_of(&self.full_kind, "set(").map(Narrow::Set),
            _ if is_text || matches!(kind, ColumnType::Char(_)) => {
                let set = Charset::named(&self.character_set)?;
                // A text's size is in bytes, of which a character of utf8mb4 may have four.
                let most = match self.is_text() {
                    true => self.most,
                    false => self.most.saturating_mul(4) / set.bytes(),
                };
                let wider = Self { character_set: "utf8mb4".to_owned(), most, ..self.clone() };
                wider.holds(kind).then_some(Narrow::Charset(set))
            }
            _ => None,
        }
    }

    /// What it holds as tenant or key, of up to so many bytes; `None`: it can't be one. A collation that is not of bytes
    /// makes texts equal that differ in case, in accents, or in blanks at the end.
    pub(super) fn key(&self, most_bytes: u64) -> Option<KeyColumn> {
        let unsigned = self.full_kind.contains("unsigned");
        let integer = |bits| KeyKind::Integer { bits, unsigned };
        let is_exact = matches!(self.collation.as_str(), "utf8mb4_0900_bin" | "utf8mb4_nopad_bin");
        let ascii = self.character_set == "ascii";
        let kind = match self.kind.as_str() {
            // It would come back with zeros in front.
            _ if self.full_kind.contains("zerofill") => return None,
            "varbinary" if self.most >= most_bytes => KeyKind::Bytes,
            "varchar" if is_exact => KeyKind::Bytes,
            "varchar" | "char" if ascii || self.character_set == "utf8mb4" => KeyKind::Loose,
            "binary" if self.most == 16 => KeyKind::Uuid,
            "uuid" => KeyKind::Uuid,
            "tinyint" => integer(8),
            "smallint" => integer(16),
            "mediumint" => integer(24),
            "int" => integer(32),
            "bigint" => integer(64),
            _ => return None,
        };
        Some(KeyColumn {
            kind,
            definition: self.definition(),
            collation: if self.kind == "uuid" {
                "uuid of MariaDB".to_owned()
            } else {
                self.collation.clone()
            },
            most_chars: self.is_text().then(|| usize::try_from(self.most).unwrap_or(usize::MAX)),
            cuts_blanks: self.kind == "char",
            ascii,
        })
    }

    pub(super) fn is_text(&self) -> bool {
        self.kind.ends_with("char")
    }

    /// Whether it is an ENUM with all of these labels.
    pub(super) fn has_labels(&self, kind: ColumnType, labels: &[String]) -> bool {
        let own = self.labels();
        let is_varchar = self.kind == "varchar" && self.character_set == "utf8mb4";
        let takes =
            |label: &String| own.contains(label) || is_varchar && label.chars().count() as u64 <= self.most;
        kind == ColumnType::Enum && labels.iter().all(takes)
    }

    /// The labels of an ENUM.
    pub(super) fn labels(&self) -> Vec<String> {
        labels_of(&self.full_kind, "enum(").unwrap_or_default()
    }

    /// Digits after the second: `datetime(3)`.
    pub(super) fn of_second(&self) -> u8 {
        let size = self.full_kind.split_once('(').and_then(|(_, size)| size.strip_suffix(')'));
        size.and_then(|size| size.parse().ok()).unwrap_or(0)
    }

    /// Its type, with what MODIFY would otherwise take from the table's default.
    pub(super) fn definition(&self) -> String {
        match self.collation.as_str() {
            "" => self.full_kind.clone(),
            collation => {
                format!("{} CHARACTER SET {} COLLATE {collation}", self.full_kind, self.character_set)
            }
        }
    }

    /// The statement that gives it another type.
    pub(super) fn modify(&self, table: &str, kind: &str, nullable: bool) -> String {
        let null = if nullable { "NULL" } else { "NOT NULL" };
        let more = if self.has_more { "Add its DEFAULT and COMMENT, which this would drop. " } else { "" };
        format!("{more}Run: ALTER TABLE `{table}` MODIFY `{}` {kind} {null}", self.name)
    }

    pub(super) fn shown(&self) -> String {
        match self.character_set.as_str() {
            "" | "utf8mb4" => self.full_kind.clone(),
            set => format!("{} CHARACTER SET {set}", self.full_kind),
        }
    }
}

/// MEDIUMTEXT and MEDIUMBLOB: larger than DynamoDB's items.
const LONG_BYTES: u64 = (1 << 24) - 1;

/// Bytes of the longest label.
const MOST_OF_LABEL: u64 = 4 * 255;

/// The labels of `enum('a','it''s')`, which begins with `enum(`.
fn labels_of(full_kind: &str, begin: &str) -> Option<Vec<String>> {
    let mut rest = full_kind.strip_prefix(begin)?.strip_suffix(')')?.chars().peekable();
    let mut labels = Vec::new();
    while rest.next()? == '\'' {
        let mut label = String::new();
        loop {
            match rest.next()? {
                '\'' if rest.peek() == Some(&'\'') => label.extend(rest.next()),
                '\'' => break,
                '\\' => label.push(match rest.next()? {
                    'n' => '\n',
                    'r' => '\r',
                    '0' => '\0',
                    other => other,
                }),
                other => label.push(other),
            }
        }
        labels.push(label);
        if rest.next().is_none() {
            return Some(labels);
        }
    }
    None
}

/// The type that a column needs, as ALTER TABLE has it.
pub(super) fn needed(kind: ColumnType, labels: &[String]) -> String {
    match kind {
        ColumnType::Enum => column_sql(Dialect::MySql, kind, labels)
            .replace(" COLLATE utf8mb4_bin", "")
            .replacen("ENUM", "enum", 1),
        ColumnType::Text | ColumnType::Json => "longtext CHARACTER SET utf8mb4".to_owned(),
        ColumnType::Varchar(most) => format!("varchar({most}) CHARACTER SET utf8mb4"),
        ColumnType::Char(most) => format!("char({most}) CHARACTER SET utf8mb4"),
        ColumnType::Uuid => "char(36) CHARACTER SET ascii".to_owned(),
        // Null-ness is added where this is used.
        ColumnType::Timestamptz(digits) => format!("timestamp({digits})"),
        other => sql_type(Dialect::MySql, other).to_ascii_lowercase(),
    }
}
