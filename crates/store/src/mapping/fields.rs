//! The names, in a store, of the parts of a record that are not content.

use std::collections::BTreeSet;

use super::KeyType;

/// Maximum bytes of a name: PostgreSQL's limit, which is below MySQL's.
const NAME_MAX_BYTES: usize = 63;

/// The names of a record's own columns or attributes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fields {
    /// The tenant.
    pub tenant: String,
    /// The key. If it is the same name as `tenant`, each record is its own tenant.
    pub key: String,
    /// The type of `tenant` in a DynamoDB item. In SQL both are text.
    pub tenant_type: KeyType,
    /// The type of `key` in a DynamoDB item. The same as `tenant_type` if both are one attribute.
    pub key_type: KeyType,
    /// The version, a 63-bit integer. Only the SDK may write it: no application uses the default name.
    pub version: String,
    /// Marks a tombstone. Only the SDK may write it. Not used in a SQL table without mapping: there a NULL
    /// value means deleted.
    pub deleted: String,
    /// The whole record as bytes, in a SQL table without mapping.
    pub value: String,
}

/// Why a text is not a valid name of a table or column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It could not be used in a statement without quoting.
    #[error("{0:?} is no name for a table or column: use up to 63 of [A-Za-z0-9_], no digit first")]
    Invalid(String),
    /// DynamoDB's limit for the names of keys, applied to all names here.
    #[error("{0:?} is no name for an attribute: use 1 to 255 bytes")]
    Item(String),
    /// Two parts of a record in one column.
    #[error("{0:?} names two different things: rename one")]
    Clash(String),
    /// Tenant and key in one attribute, with different types.
    #[error("{0:?} is both tenant and key: give it one type")]
    KeyTypes(String),
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            tenant: "tenant".to_owned(),
            key: "key".to_owned(),
            tenant_type: KeyType::S,
            key_type: KeyType::S,
            version: "cutover_version".to_owned(),
            deleted: "cutover_deleted".to_owned(),
            value: "value".to_owned(),
        }
    }
}

impl Fields {
    /// The fields' columns in a table, in order; `key` only if it has its own.
    pub fn of_table(&self, mapped: bool) -> Vec<&str> {
        let mut names = vec![self.tenant.as_str()];
        if !self.is_own_tenant() {
            names.push(&self.key);
        }
        names.extend([self.version.as_str(), if mapped { &self.deleted } else { &self.value }]);
        names
    }

    /// Whether each record is its own tenant.
    pub fn is_own_tenant(&self) -> bool {
        self.tenant == self.key
    }

    /// Checks that these names are valid in SQL, and different from each other and from `columns`, ignoring
    /// case as SQL does.
    pub fn check_table<'a>(
        &'a self,
        mapped: bool,
        columns: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), NameError> {
        self.table_mistakes(mapped, columns).into_iter().next().map_or(Ok(()), Err)
    }

    /// What [`Self::check_table`] finds, all of it.
    pub(crate) fn table_mistakes<'a>(
        &'a self,
        mapped: bool,
        columns: impl IntoIterator<Item = &'a str>,
    ) -> Vec<NameError> {
        let (mut seen, mut mistakes) = (BTreeSet::new(), Vec::new());
        for name in self.of_table(mapped).into_iter().chain(columns) {
            if let Err(error) = check_name(name) {
                mistakes.push(error);
            } else if !seen.insert(name.to_ascii_lowercase()) {
                mistakes.push(NameError::Clash(name.to_owned()));
            }
        }
        mistakes
    }
}

/// Names are used in statements as they are, in quotes.
pub(crate) fn check_name(name: &str) -> Result<(), NameError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let starts_well = name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    if starts_well && name.len() <= NAME_MAX_BYTES && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(NameError::Invalid(name.to_owned()))
}
