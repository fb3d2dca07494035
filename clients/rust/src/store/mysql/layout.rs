//! Where a record lies in the table: the one file that knows which columns hold its value, and the
//! statements that name them.

use std::{fmt::Write, str};

use sqlx::{MySql, Row, mysql::MySqlRow};

use super::{
    super::{Id, KEY_MAX_BYTES, Record, Scope, Segment, StoreError, Version, scan::Found},
    Database, column_of, version_of,
};
use crate::routing::TENANT_MAX_BYTES;

/// A column that has to be there, and which types of `information_schema` do.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) types: &'static [&'static str],
    /// 0 where the type says all.
    pub(super) bytes: usize,
    pub(super) nullable: bool,
}

/// VARBINARY because it is compared byte by byte, and with its trailing blanks: most collations do
/// neither, MariaDB's `utf8mb4_bin` not the second.
pub(super) const COLUMNS: [Column; 4] = [
    Column { name: "tenant", types: &["varbinary"], bytes: TENANT_MAX_BYTES, nullable: false },
    Column { name: "key", types: &["varbinary"], bytes: KEY_MAX_BYTES, nullable: false },
    Column { name: "version", types: &["bigint"], bytes: 0, nullable: false },
    Column { name: "value", types: &["longblob", "mediumblob"], bytes: 0, nullable: true },
];

/// The columns of a record's value: `NULL` in a tombstone.
const VALUE: &str = "`value`";

/// The statements of one table. Its name was checked.
#[derive(Debug)]
pub(super) struct Layout {
    table: String,
}

impl Layout {
    pub(super) fn new(table: &str) -> Self {
        Self { table: table.to_owned() }
    }

    pub(super) fn create(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS `{}` (
                tenant VARBINARY({TENANT_MAX_BYTES}) NOT NULL,
                `key` VARBINARY({KEY_MAX_BYTES}) NOT NULL,
                version BIGINT NOT NULL DEFAULT 0,
                {VALUE} LONGBLOB,
                PRIMARY KEY (tenant, `key`)
            ) ENGINE = InnoDB ROW_FORMAT = DYNAMIC",
            self.table
        )
    }

    /// To be followed by [`pair`]s.
    pub(super) fn select_in(&self) -> String {
        self.find_in(&format!("tenant, `key`, version, {VALUE}"))
    }

    /// To be followed by [`pair`]s.
    pub(super) fn versions_in(&self) -> String {
        self.find_in("tenant, `key`, version")
    }

    // A long list can make the planner read the whole table instead, so the index is forced.
    fn find_in(&self, columns: &str) -> String {
        format!("SELECT {columns} FROM `{}` FORCE INDEX (PRIMARY) WHERE (tenant, `key`) IN (", self.table)
    }

    /// To be followed by [`Self::values`].
    pub(super) fn insert(&self) -> String {
        format!("INSERT INTO `{}` (tenant, `key`, version, {VALUE}) VALUES ", self.table)
    }

    pub(super) fn values(&self, text: &mut Vec<u8>, id: &Id, record: &Record) -> Result<(), StoreError> {
        text.push(b'(');
        literal(text, id.tenant.as_bytes());
        text.push(b',');
        literal(text, id.key.as_bytes());
        text.extend_from_slice(format!(",{},", column_of(record.version)?).as_bytes());
        match &record.value {
            Some(value) => literal(text, value),
            None => text.extend_from_slice(b"NULL"),
        }
        text.push(b')');
        Ok(())
    }

    /// The guard. `version` comes last, because assignments are made from left to right and see
    /// those before. `VALUES()` is deprecated in MySQL, but MariaDB has no row alias and MySQL keeps
    /// both. `LAST_INSERT_ID(1)` is evaluated where the guard holds, and so comes with the answer:
    /// sqlx has the server count rows that it found, so an insert and a row that was left alone
    /// would look alike. A table with AUTO_INCREMENT sets it too; then we look once more than needed.
    pub(super) fn if_newer(&self) -> String {
        format!(
            " ON DUPLICATE KEY UPDATE {VALUE} = IF(VALUES(version) > version, VALUES({VALUE}), {VALUE}), \
             version = IF(VALUES(version) > version, VALUES(version), IF(LAST_INSERT_ID(1), version, version))"
        )
    }

    /// Leaves alone what is there. Unlike INSERT IGNORE it ignores nothing else.
    pub(super) fn unless_there(&self) -> &'static str {
        " ON DUPLICATE KEY UPDATE version = IF(LAST_INSERT_ID(1), version, version)"
    }

    /// To be followed by [`Self::is`].
    pub(super) fn update(&self, record: &Record) -> Result<String, StoreError> {
        let mut value = Vec::new();
        match &record.value {
            Some(bytes) => literal(&mut value, bytes),
            None => value.extend_from_slice(b"NULL"),
        }
        let value = String::from_utf8_lossy(&value);
        let version = column_of(record.version)?;
        Ok(format!("UPDATE `{}` SET version = {version}, {VALUE} = {value} WHERE ", self.table))
    }

    pub(super) fn is(&self, text: &mut Vec<u8>, id: &Id) {
        text.extend_from_slice(b"(tenant, `key`) = ");
        pair(text, id);
    }

    pub(super) fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        after: Option<(&[u8], &[u8])>,
        rows: usize,
    ) -> String {
        let mut sql = format!(
            "SELECT tenant, `key`, version, {VALUE} FROM `{}` FORCE INDEX (PRIMARY) WHERE TRUE",
            self.table
        );
        let hex = |bytes: &[u8]| {
            let mut text = Vec::new();
            literal(&mut text, bytes);
            String::from_utf8_lossy(&text).into_owned()
        };
        let mut and = |condition: std::fmt::Arguments<'_>| {
            sql.write_fmt(format_args!(" AND ({condition})")).expect("a String takes all");
        };
        // Two ranges of the index; a comparison of pairs would not be taken for one.
        match (scope, after) {
            (Scope::All, None) => {}
            (Scope::All, Some((tenant, key))) => {
                let (tenant, key) = (hex(tenant), hex(key));
                and(format_args!("tenant > {tenant} OR tenant = {tenant} AND `key` > {key}"));
            }
            (Scope::Tenant(tenant), after) => {
                and(format_args!("tenant = {}", hex(tenant.as_bytes())));
                if let Some((_, key)) = after {
                    and(format_args!("`key` > {}", hex(key)));
                }
            }
        }
        if segment.of > 1 {
            // As in `Segment::contains`.
            let Segment { index, of } = segment;
            and(format_args!("(CRC32(CONCAT(tenant, x'00', `key`)) * {of}) >> 32 = {index}"));
        }
        sql.write_fmt(format_args!(" ORDER BY tenant, `key` LIMIT {rows}")).expect("a String takes all");
        sql
    }

    pub(super) fn estimate(&self) -> String {
        format!(
            "SELECT CAST(table_rows AS SIGNED), CAST(data_length AS SIGNED) FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_name = '{}'",
            self.table
        )
    }

    /// Of a row of [`Self::select_in`] or [`Self::scan`].
    pub(super) fn found(&self, row: &MySqlRow) -> Result<Found, StoreError> {
        let (tenant, key, version) = place_and_version(row)?;
        let value = row.try_get(3).map_err(|error| MySql::error(error, false))?;
        Ok(Found { tenant, key, record: Ok(Record { version, value }) })
    }
}

/// `(tenant,key)`
pub(super) fn pair(text: &mut Vec<u8>, id: &Id) {
    text.push(b'(');
    literal(text, id.tenant.as_bytes());
    text.push(b',');
    literal(text, id.key.as_bytes());
    text.push(b')');
}

/// Bytes as a hexadecimal literal, in which nothing can be mistaken for SQL.
pub(super) fn literal(text: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    text.reserve(bytes.len() * 2 + 3);
    text.extend_from_slice(b"x'");
    for byte in bytes {
        text.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    text.push(b'\'');
}

/// Of a row that begins with tenant, key and version.
pub(super) fn place_and_version(row: &MySqlRow) -> Result<(Vec<u8>, Vec<u8>, Version), StoreError> {
    let read = || Ok((row.try_get(0)?, row.try_get(1)?, version_of(row.try_get(2)?)));
    read().map_err(|error| MySql::error(error, false))
}
