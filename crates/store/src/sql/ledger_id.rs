//! Which ledger it is. One that was lost and made anew has another id, or none:
//! docs/adr/0058-a-ledger-has-an-id.md.

use super::{super::mapping::Dialect, Keys, StoreError, permanent};
use cutover_core::outcome::ErrorClass;

/// An entry reads as nothing without its row, and its version must be one that the SDK could have written. All of these
/// are from the first half of 2025.
const BITS: u32 = 56;

/// The id of a ledger: the version of its entry with an id that no record has, an empty tenant and an empty key. Columns
/// that hold no text have [`Keys::reserved`] ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct LedgerId(i64);

impl LedgerId {
    fn draw() -> Self {
        Self(rand::random_range(1..1 << BITS))
    }

    /// The question for it, in any dialect. `ledger`: as the statement names it.
    pub(in super::super) fn asked(dialect: Dialect, ledger: &str, keys: &Keys) -> String {
        let [tenant, of_key] = keys.reserved_sql(dialect);
        format!("SELECT version FROM {ledger} WHERE tenant = {tenant} AND {} = {of_key}", key(dialect))
    }

    /// The answer to it. `name`: for people.
    pub(in super::super) fn found(
        dialect: Dialect,
        ledger: &str,
        keys: &Keys,
        name: &str,
        version: Option<i64>,
    ) -> Result<Self, StoreError> {
        version.map(Self).ok_or_else(|| {
            let what = format!(
                "{name} has no id, so it was emptied, or made anew by hand. Every record would be at version 0, and \
                 deleted ones come back: restore the table and its ledger from one backup. If the table never had \
                 another ledger, run:\n{};",
                Self::made(dialect, ledger, keys)
            );
            permanent(ErrorClass::Other, "ledger", what)
        })
    }

    /// The statement that gives a new ledger its id. `ledger`: as [`Self::asked`].
    pub(in super::super) fn made(dialect: Dialect, ledger: &str, keys: &Keys) -> String {
        let Self(id) = Self::draw();
        let [tenant, of_key] = keys.reserved_sql(dialect);
        let (key, no) = (key(dialect), if dialect == Dialect::Sqlite { "0" } else { "FALSE" });
        format!(
            "INSERT INTO {ledger} (tenant, {key}, version, deleted) VALUES ({tenant}, {of_key}, {id}, {no})"
        )
    }

    /// The same, unless somebody else has just done so.
    pub(in super::super) fn made_once(dialect: Dialect, ledger: &str, keys: &Keys) -> String {
        let otherwise = match dialect {
            Dialect::MySql => "ON DUPLICATE KEY UPDATE version = version",
            Dialect::Sqlite | Dialect::Postgres => "ON CONFLICT DO NOTHING",
        };
        format!("{} {otherwise}", Self::made(dialect, ledger, keys))
    }

    /// Whether the ledger has this id, as SQL.
    pub(in super::super) fn is_it(self, dialect: Dialect, ledger: &str, keys: &Keys) -> String {
        format!("coalesce(({}), 0) = {}", Self::asked(dialect, ledger, keys), self.0)
    }

    /// Refuses any other ledger. `name`: for people.
    pub(in super::super) fn check(self, name: &str, found: Option<i64>) -> Result<(), StoreError> {
        if found == Some(self.0) {
            return Ok(());
        }
        let found = found.map_or("no id".to_owned(), |found| format!("the id {found:x}"));
        let what = format!(
            "{name} has {found}, and had the id {self} when it was opened: it was emptied, or lost and made anew. \
             Nothing was written. Restore the table and its ledger from one backup"
        );
        Err(permanent(ErrorClass::Other, "ledger", what))
    }
}

fn key(dialect: Dialect) -> &'static str {
    if dialect == Dialect::MySql { "`key`" } else { "key" }
}

impl std::fmt::Display for LedgerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}", self.0)
    }
}
