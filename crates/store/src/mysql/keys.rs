//! Tenant and key in statements.

use super::{
    super::sql::{KeyKind, Keys},
    literal::hex,
};

/// The very types of tenant and key, which a foreign key needs. Empty: that of a table that is created.
pub(super) fn same(keys: &Keys) -> [&str; 2] {
    [&keys.tenant, &keys.key].map(|column| column.definition.as_str())
}

/// A column of tenant or key, as statements have it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Its name in quotes.
    pub(super) name: String,
    kind: KeyKind,
    /// It takes and gives texts. UUIDs are such in MariaDB's own type, and otherwise bytes.
    is_text: bool,
}

impl Place {
    pub(super) fn new(name: &str, kind: KeyKind, is_text: bool) -> Self {
        Self { name: format!("`{name}`"), kind, is_text }
    }

    /// A column that holds the same in the ledger. There, texts that are compared byte by byte are bytes.
    pub(super) fn in_ledger(&self, name: &str) -> Self {
        Self { is_text: self.is_text && self.kind != KeyKind::Bytes, ..self.named(name) }
    }

    fn named(&self, name: &str) -> Self {
        Self { name: format!("`{name}`"), ..self.clone() }
    }

    /// How its text is asked for.
    pub(super) fn asked(&self) -> String {
        let Self { name, kind, .. } = self;
        match kind {
            KeyKind::Uuid if !self.is_text => [9, 14, 19, 24]
                .iter()
                .fold(format!("LOWER(HEX({name}))"), |text, at| format!("INSERT({text}, {at}, 0, '-')")),
            _ => name.clone(),
        }
    }

    /// A value as SQL, whose spelling was checked. Compared with bytes, a text would be converted, and its index not be
    /// used.
    pub(super) fn value(&self, of: &[u8]) -> String {
        let digits = |is: fn(&u8) -> bool| of.iter().copied().filter(is).map(char::from).collect::<String>();
        match self.kind {
            KeyKind::Integer { .. } => digits(|byte| byte.is_ascii_digit() || *byte == b'-'),
            KeyKind::Uuid if self.is_text => {
                format!("'{}'", digits(|byte| byte.is_ascii_hexdigit() || *byte == b'-'))
            }
            KeyKind::Uuid => format!("x'{}'", digits(u8::is_ascii_hexdigit)),
            _ if self.is_text => format!("_utf8mb4 {}", hex(of)),
            _ => hex(of),
        }
    }

    /// Whether the server may take other values for one of this column. Somebody may give any text another collation
    /// while the store is open.
    fn may_be_loose(&self) -> bool {
        self.kind == KeyKind::Loose || self.kind == KeyKind::Bytes && self.is_text
    }

    /// A condition that a row has this value, and not one that the server only takes for it; empty: it takes none.
    pub(super) fn and_exactly(&self, of: &[u8]) -> String {
        self.bytes_of(&self.name).map_or_else(String::new, |it| format!(" AND {it} = {}", hex(of)))
    }

    /// The bytes of a text in a column with such values; `None`: the server takes no other values for them.
    pub(super) fn bytes_of(&self, column: &str) -> Option<String> {
        self.may_be_loose().then(|| format!("CAST(CONVERT({column} USING utf8mb4) AS BINARY)"))
    }

    /// The same for the value that an insert gives, as a further operand of AND.
    pub(super) fn and_exactly_given(&self) -> String {
        let Self { name, .. } = self;
        if !self.may_be_loose() {
            return String::new();
        }
        format!(" AND CAST({name} AS BINARY) = CAST(VALUES({name}) AS BINARY)")
    }
}
