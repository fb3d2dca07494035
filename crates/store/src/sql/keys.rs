//! What the columns of tenant and key hold, and which texts are ids in them:
//! docs/adr/0067-a-key-has-one-spelling.md.

use uuid::Uuid;

use super::{
    super::{
        Cursor, Id, ScanOrder, StoreError,
        mapping::{Dialect, KeyHolds},
        scan::{Found, unreadable},
    },
    permanent,
};
use cutover_core::outcome::ErrorClass;

/// What a column of tenant or key holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum KeyKind {
    /// Texts that are compared byte by byte, or bytes.
    #[default]
    Bytes,
    /// Texts of which no two are equal, in an order of the server's.
    Sorted,
    /// Texts of which different ones may be equal: in case, accents, or blanks at the end.
    Loose,
    /// A whole number of so many bits.
    Integer { bits: u8, unsigned: bool },
    /// 16 bytes.
    Uuid,
}

/// A column of tenant or key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct KeyColumn {
    pub(in super::super) kind: KeyKind,
    /// Its type as DDL has it. Empty: the type that Cutover gives such a column.
    pub(in super::super) definition: String,
    /// What orders its texts, with its version, or MariaDB's UUIDs. Empty: it holds neither.
    pub(in super::super) collation: String,
    /// Maximum characters of a text. `None`: as many as an id may have.
    pub(in super::super) most_chars: Option<usize>,
    /// Cuts blanks at the end: CHAR.
    pub(in super::super) cuts_blanks: bool,
    /// Holds ASCII only.
    pub(in super::super) ascii: bool,
}

/// The columns of tenant and key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Keys {
    pub(in super::super) tenant: KeyColumn,
    pub(in super::super) key: KeyColumn,
    /// For people; empty: unknown yet.
    pub(in super::super) names: [String; 2],
    /// The least numbers, the greatest UUIDs and empty texts are the ledger's own id, and no record's.
    pub(in super::super) has_ledger: bool,
}

impl KeyKind {
    /// The value that sorts before all others.
    pub(in super::super) fn least(self) -> String {
        match self {
            Self::Bytes | Self::Sorted | Self::Loose => String::new(),
            Self::Integer { unsigned: true, .. } => "0".to_owned(),
            Self::Integer { bits, .. } => (-(1_i128 << (bits - 1))).to_string(),
            Self::Uuid => Uuid::nil().to_string(),
        }
    }

    /// The half of a ledger's own id. No record has it: a text is empty, and of numbers and UUIDs it is the one that is
    /// least likely to be used.
    fn reserved(self) -> String {
        match self {
            Self::Integer { bits, unsigned: true } => ((1_i128 << bits) - 1).to_string(),
            Self::Uuid => Uuid::max().to_string(),
            _ => self.least(),
        }
    }
}

impl From<KeyKind> for KeyHolds {
    fn from(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Bytes | KeyKind::Sorted => Self::Texts,
            KeyKind::Loose => Self::LooseTexts,
            KeyKind::Integer { .. } => Self::Numbers,
            KeyKind::Uuid => Self::Uuids,
        }
    }
}

impl KeyColumn {
    /// What is wrong with a text as an id here; `None`: nothing.
    fn fault(&self, text: &str) -> Option<String> {
        match self.kind {
            KeyKind::Integer { bits, unsigned } => {
                let (least, most) = match unsigned {
                    true => (0, (1_i128 << bits) - 1),
                    false => (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1),
                };
                match text.parse::<i128>() {
                    Ok(number) if !(least..=most).contains(&number) => {
                        Some(format!("the column takes {least} to {most}"))
                    }
                    Ok(number) if number.to_string() != text => {
                        Some(format!("the column would give it back as {number}, which is another id"))
                    }
                    Ok(_) => None,
                    Err(_) => Some("the column takes whole numbers".to_owned()),
                }
            }
            KeyKind::Uuid => match Uuid::parse_str(text) {
                Ok(uuid) if uuid.to_string() != text => {
                    Some(format!("the column would give it back as {uuid}, which is another id"))
                }
                Ok(_) => None,
                Err(_) => Some("the column takes UUIDs".to_owned()),
            },
            _ if self.cuts_blanks && text.ends_with(' ') => {
                Some("the column cuts blanks at the end, which makes it another id".to_owned())
            }
            _ if self.ascii && !text.is_ascii() => Some("the column takes ASCII only".to_owned()),
            _ => None,
        }
    }

    /// The same for a record that has yet to come: the server refuses a text that is too long.
    fn fault_of_new(&self, text: &str) -> Option<String> {
        let length = text.chars().count();
        let most = self.most_chars.filter(|most| length > *most);
        let too_long = most.map(|most| format!("it has {length} characters and the column takes {most}"));
        self.fault(text).or(too_long)
    }

    /// Whether it holds UUIDs in an order that is not that of their bytes and texts: MariaDB's type.
    const fn is_native(&self) -> bool {
        matches!(self.kind, KeyKind::Uuid) && !self.collation.is_empty()
    }

    /// What orders its values.
    fn order(&self) -> &str {
        match self.kind {
            KeyKind::Bytes => "bytes",
            KeyKind::Sorted | KeyKind::Loose => &self.collation,
            KeyKind::Integer { .. } => "number",
            KeyKind::Uuid if self.is_native() => &self.collation,
            KeyKind::Uuid => "uuid",
        }
    }
}

impl Keys {
    const fn columns(&self) -> [&KeyColumn; 2] {
        [&self.tenant, &self.key]
    }

    fn kinds(&self) -> [KeyKind; 2] {
        self.columns().map(|column| column.kind)
    }

    /// Refuses ids that the columns can't hold as they are spelled. Two spellings of one value would be one row.
    pub(in super::super) fn check<'a>(
        &self,
        mut ids: impl Iterator<Item = &'a Id>,
    ) -> Result<(), StoreError> {
        ids.try_for_each(|id| self.check_one(id, KeyColumn::fault))
    }

    /// Refuses an id that no record of this table can get.
    pub(in super::super) fn check_new(&self, id: &Id) -> Result<(), StoreError> {
        self.check_one(id, KeyColumn::fault_of_new)
    }

    fn check_one(
        &self,
        id: &Id,
        fault: impl Fn(&KeyColumn, &str) -> Option<String>,
    ) -> Result<(), StoreError> {
        for ((text, column), name) in [&id.tenant, &id.key].into_iter().zip(self.columns()).zip(&self.names) {
            if let Some(fault) = fault(column, text) {
                let what = format!("{text:?} is no id for column {name}, {}: {fault}", column.definition);
                return Err(permanent(ErrorClass::Constraint, name, what));
            }
        }
        if self.is_reserved(&id.tenant, &id.key) {
            let what =
                format!("{:?}/{:?} is the ledger's own id: give the record another one", id.tenant, id.key);
            return Err(permanent(ErrorClass::Constraint, &self.names[1], what));
        }
        Ok(())
    }

    /// Whether there can be a record with this id.
    pub(in super::super) fn takes(&self, id: &Id) -> bool {
        self.takes_tenant(&id.tenant)
            && self.key.fault(&id.key).is_none()
            && !self.is_reserved(&id.tenant, &id.key)
    }

    pub(in super::super) fn takes_tenant(&self, tenant: &str) -> bool {
        self.tenant.fault(tenant).is_none()
    }

    /// Where a scan continues. A row that somebody else wrote need not have a valid id, but one of this table.
    pub(in super::super) fn place<'c>(&self, cursor: &'c Cursor) -> Result<(&'c str, &'c str), StoreError> {
        let (tenant, key) = cursor.texts()?;
        let faults = [self.tenant.fault(tenant), self.key.fault(key)];
        match faults.into_iter().flatten().next() {
            Some(fault) => Err(unreadable("cursor", format!("{fault}: cancel the pass and start it anew"))),
            None => Ok((tenant, key)),
        }
    }

    pub(in super::super) fn not_in_byte_order(&self) -> StoreError {
        let what = "this table is not scanned in byte order, so a place of another store means nothing here";
        unreadable("cursor", what.to_owned())
    }

    /// Whether it is the id that [`super::LedgerId`] is kept under.
    pub(in super::super) fn is_reserved(&self, tenant: &str, key: &str) -> bool {
        self.has_ledger && self.reserved() == [tenant, key]
    }

    /// What a row with the ledger's own id is; somebody else wrote it.
    pub(in super::super) fn reserved_row(&self, tenant: Vec<u8>, key: Vec<u8>) -> Found {
        let what = "this is the ledger's own id: give the row another one".to_owned();
        Found { tenant, key, record: Err(unreadable(&self.names[1], what)) }
    }

    fn reserved(&self) -> [String; 2] {
        self.kinds().map(KeyKind::reserved)
    }

    /// The same as SQL.
    pub(in super::super) fn reserved_sql(&self, dialect: Dialect) -> [String; 2] {
        self.columns().map(|column| match (dialect, column.kind) {
            (Dialect::MySql | Dialect::Sqlite, kind @ KeyKind::Integer { .. }) => kind.reserved(),
            (Dialect::MySql, kind @ KeyKind::Uuid) if !column.is_native() => {
                format!("x'{}'", kind.reserved().replace('-', ""))
            }
            (_, kind) => format!("'{}'", kind.reserved()),
        })
    }

    /// The types of the columns of a ledger. Empty: the usual one.
    pub(in super::super) fn definitions(&self) -> [&str; 2] {
        self.columns().map(|column| match column.kind {
            KeyKind::Bytes => "",
            _ => &column.definition,
        })
    }

    /// Whether the server's order of ids is that of their bytes, and any text is a place in it.
    pub(in super::super) fn are_in_byte_order(&self) -> bool {
        self.kinds() == [KeyKind::Bytes; 2]
    }

    /// The order of one tenant's keys.
    pub(in super::super) fn key_order(&self) -> ScanOrder {
        match self.key.kind {
            KeyKind::Bytes => ScanOrder::Bytes,
            KeyKind::Uuid if !self.key.is_native() => ScanOrder::Bytes,
            _ => {
                let column =
                    format!("{} of column {}, {}", self.key.order(), self.names[1], self.key.definition);
                ScanOrder::Own(column)
            }
        }
    }

    pub(in super::super) fn scan_order(&self) -> ScanOrder {
        match self.are_in_byte_order() {
            true => ScanOrder::Bytes,
            false => ScanOrder::Own(self.columns().map(KeyColumn::order).join(", ")),
        }
    }

    /// Refuses columns whose order is not the one that these had when the table was opened.
    pub(in super::super) fn check_order(&self, now: &Self) -> Result<(), StoreError> {
        if self.scan_order() == now.scan_order() {
            return Ok(());
        }
        let of = |keys: &Self| keys.columns().map(KeyColumn::order).join(", ");
        let what = format!(
            "the columns {} and {} are ordered by {} now, and were by {} when the table was opened, so a scan may have \
             left records out: cancel the pass with cutover cancel, then run it again",
            self.names[0],
            self.names[1],
            of(now),
            of(self)
        );
        Err(permanent(ErrorClass::Other, "table", what))
    }

    /// Whether different ids may be equal for the server.
    pub(in super::super) fn are_loose(&self) -> bool {
        self.kinds().contains(&KeyKind::Loose)
    }

    /// The columns, with what they take, that do not tell all ids apart.
    pub(in super::super) fn loose(&self) -> Option<String> {
        let columns = self.columns().into_iter().zip(&self.names);
        let mut loose: Vec<String> = columns
            .filter(|(column, _)| column.kind == KeyKind::Loose)
            .map(|(column, name)| format!("{name} ({})", column.definition))
            .collect();
        loose.dedup();
        (!loose.is_empty()).then(|| loose.join(" and "))
    }

    /// The error for a record whose id the server takes for that of another one.
    pub(in super::super) fn equal(&self, id: &Id, other: &Id) -> StoreError {
        let names = self.loose().unwrap_or_default();
        let what = format!(
            "{:?}/{:?} is equal to {:?}/{:?}, which is there, in the collation of {names}: rename one of the two \
             records, or give the column a collation that tells them apart",
            id.tenant, id.key, other.tenant, other.key
        );
        permanent(ErrorClass::Constraint, &self.names[1], what)
    }
}

/// The text of a UUID's bytes.
pub(in super::super) fn uuid_text(bytes: &[u8]) -> Option<String> {
    Uuid::from_slice(bytes).ok().map(|uuid| uuid.to_string())
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use super::*;

    fn column(kind: KeyKind) -> KeyColumn {
        KeyColumn { kind, ..KeyColumn::default() }
    }

    #[test]
    fn a_value_has_one_spelling() {
        let number = column(KeyKind::Integer { bits: 16, unsigned: false });
        for fine in ["0", "7", "-7", "32767", "-32768"] {
            assert_eq!(number.fault(fine), None, "{fine}");
        }
        for (wrong, why) in [
            ("007", "back as 7"),
            ("+7", "back as 7"),
            ("-0", "back as 0"),
            ("32768", "-32768 to 32767"),
            ("7 ", "whole numbers"),
            ("7.0", "whole numbers"),
            ("", "whole numbers"),
            ("٧", "whole numbers"),
        ] {
            assert!(number.fault(wrong).is_some_and(|fault| fault.contains(why)), "{wrong}");
        }
        let large = column(KeyKind::Integer { bits: 64, unsigned: true });
        assert_eq!(large.fault("18446744073709551615"), None);
        assert!(large.fault("-1").is_some() && large.fault("18446744073709551616").is_some());
        let uuid = column(KeyKind::Uuid);
        assert_eq!(uuid.fault("00000000-0000-4000-8000-0000000000a0"), None);
        for wrong in [
            "00000000-0000-4000-8000-0000000000A0",
            "000000000000400080000000000000a0",
            "{00000000-0000-4000-8000-0000000000a0}",
            "urn:uuid:00000000-0000-4000-8000-0000000000a0",
            "a0",
        ] {
            assert!(uuid.fault(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn a_ledger_s_own_id_is_no_record_s() {
        let kind = KeyKind::Integer { bits: 64, unsigned: false };
        let keys = Keys { tenant: column(kind), key: column(kind), has_ledger: true, ..Keys::default() };
        let id = |tenant: i64, key: i64| Id::new(&tenant.to_string(), &key.to_string()).expect("valid");
        assert!(!keys.takes(&id(i64::MIN, i64::MIN)) && keys.takes(&id(i64::MIN, 0)));
        assert!(keys.check([&id(i64::MIN, i64::MIN)].into_iter()).is_err());
        assert!(Keys { has_ledger: false, ..keys }.takes(&id(i64::MIN, i64::MIN)));
    }
}
