//! Where a record lies in the table: the one file that knows which columns hold its value, and the
//! statements that name them.

use sqlx::{AssertSqlSafe, Postgres, Row, SqlSafeStr, SqlStr, postgres::PgRow};

use super::{
    super::{Id, Record, StoreError, Version, scan::Found},
    Database, Given, version_of,
};

/// A column that has to be there, and of which type.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) is: &'static str,
    pub(super) nullable: bool,
}

/// Text with the collation "C", which compares byte by byte and so pages as other stores do.
pub(super) const COLUMNS: [Column; 4] = [
    Column { name: "tenant", is: "text COLLATE \"C\"", nullable: false },
    Column { name: "key", is: "text COLLATE \"C\"", nullable: false },
    Column { name: "version", is: "bigint", nullable: false },
    Column { name: "value", is: "bytea", nullable: true },
];

/// Of the furthest replica, in seconds; NULL where there is none, or none that the user may see.
pub(super) const REPLICA_LAG: SqlStr =
    SqlStr::from_static("SELECT extract(epoch FROM max(replay_lag))::float8 FROM pg_stat_replication");

/// The statements of one table.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) get: SqlStr,
    pub(super) get_many: SqlStr,
    pub(super) versions: SqlStr,
    pub(super) put_many: SqlStr,
    pub(super) insert: SqlStr,
    pub(super) update: SqlStr,
    pub(super) scan_all: SqlStr,
    pub(super) scan_tenant: SqlStr,
    pub(super) estimate: SqlStr,
}

impl Layout {
    /// The table's name was checked.
    pub(super) fn new(table: &str) -> Self {
        let sql = |text: String| AssertSqlSafe(text).into_sql_str();
        let select = format!("SELECT tenant, key, version, value FROM \"{table}\"");
        let given = "unnest($1::text[], $2::text[]) AS given (tenant, key) USING (tenant, key)";
        let insert = format!("INSERT INTO \"{table}\" AS t (tenant, key, version, value)");
        let one = format!("{insert} VALUES ($1, $2, $3, $4)");
        Self {
            get: sql(format!("{select} WHERE tenant = $1 AND key = $2")),
            get_many: sql(format!("{select} JOIN {given}")),
            versions: sql(format!("SELECT tenant, key, version FROM \"{table}\" JOIN {given}")),
            put_many: sql(format!(
                "{insert} SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[]) \
                 ON CONFLICT (tenant, key) DO UPDATE SET version = excluded.version, value = excluded.value \
                 WHERE excluded.version > t.version"
            )),
            insert: sql(format!("{one} ON CONFLICT (tenant, key) DO NOTHING")),
            update: sql(format!(
                "UPDATE \"{table}\" SET version = $3, value = $4 \
                 WHERE tenant = $1 AND key = $2 AND version = $5"
            )),
            scan_all: sql(format!("{select} WHERE (tenant, key) > ($1, $2) ORDER BY tenant, key LIMIT $3")),
            scan_tenant: sql(format!("{select} WHERE tenant = $1 AND key > $2 ORDER BY key LIMIT $3")),
            estimate: sql(format!(
                "SELECT nullif(reltuples, -1)::bigint, pg_table_size(oid) FROM pg_class \
                 WHERE oid = to_regclass('\"{table}\"')"
            )),
        }
    }
}

pub(super) fn create(table: &str) -> String {
    let columns = COLUMNS.map(|Column { name, is, nullable }| {
        format!("{name} {is} {}", if nullable { "" } else { "NOT NULL" })
    });
    // Of two that create it at once one would fail in the catalogue, so it waits. One text is one
    // transaction.
    format!(
        "SELECT pg_advisory_xact_lock(hashtext('cutover.{table}')); \
         CREATE TABLE IF NOT EXISTS \"{table}\" ({}, PRIMARY KEY (tenant, key))",
        columns.join(", ")
    )
}

/// The value's cells, after id and version.
pub(super) fn give(given: Given, record: &Record) -> Result<Given, StoreError> {
    given.and(record.value.as_deref())
}

/// The value's columns, after those of ids and versions.
pub(super) fn give_many(given: Given, records: &[(&Id, &Record)]) -> Result<Given, StoreError> {
    let values: Vec<_> = records.iter().map(|(_, record)| record.value.as_deref()).collect();
    given.and(values)
}

/// Of a row with all columns.
pub(super) fn found(row: PgRow) -> Result<Found, StoreError> {
    let (Id { tenant, key }, version) = id_and_version(&row)?;
    let value = row.try_get(3).map_err(|error| Postgres::error(error, false))?;
    Ok(Found { tenant: tenant.into_bytes(), key: key.into_bytes(), record: Ok(Record { version, value }) })
}

/// Of a row that begins with tenant, key and version. Both are text here, though they need not make an id.
pub(super) fn id_and_version(row: &PgRow) -> Result<(Id, Version), StoreError> {
    let read = || Ok((Id { tenant: row.try_get(0)?, key: row.try_get(1)? }, version_of(row.try_get(2)?)));
    read().map_err(|error| Postgres::error(error, false))
}
