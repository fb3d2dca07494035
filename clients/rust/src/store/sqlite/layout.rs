//! Where a record lies in the table: the statements that name its columns, what they are given and
//! what they answer.

use sqlx::{
    AssertSqlSafe, Decode, Row, SqlSafeStr, SqlStr, Sqlite, TypeInfo, ValueRef,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{
    super::{
        Id, Record, StoreError,
        mapping::{Cell, SqlTable, unreadable},
    },
    column_of, read_error, version_of,
};

/// The statements of one table. Names were checked; they are in backticks, because SQLite takes a
/// name in double quotes for a text when there is no such column.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) table: SqlTable,
    pub(super) get: SqlStr,
    pub(super) version: SqlStr,
    pub(super) put: SqlStr,
    pub(super) insert: SqlStr,
    /// The version that has to be there comes last.
    pub(super) update: SqlStr,
    pub(super) scan_all: SqlStr,
    pub(super) scan_tenant: SqlStr,
    pub(super) count: SqlStr,
}

impl Layout {
    pub(super) fn new(table: SqlTable) -> Self {
        let q = |name: &str| format!("`{name}`");
        let list = |names: &[String]| names.join(", ");
        let sql = |text: String| AssertSqlSafe(text).into_sql_str();
        let (name, version) = (q(&table.name), q(&table.fields.version));
        // One column twice where a record is a tenant of its own.
        let (tenant, key) = (q(&table.fields.tenant), q(&table.fields.key));
        let ids: Vec<String> = table.ids().into_iter().map(q).collect();
        let content: Vec<String> = table.content().into_iter().map(|(name, _)| q(name)).collect();
        let all = format!("{tenant}, {key}, {version}, {}", list(&content));
        let given: Vec<String> = (0..content.len()).map(|at| format!("?{}", at + 4)).collect();
        let given_ids = if ids.len() == 1 { "?1" } else { "?1, ?2" };
        let insert = format!(
            "INSERT INTO {name} ({}, {version}, {}) VALUES ({given_ids}, ?3, {})",
            list(&ids),
            list(&content),
            list(&given)
        );
        let conflict = format!("ON CONFLICT ({}) DO", list(&ids));
        let excluded = content.iter().map(|name| format!("{name} = excluded.{name}"));
        let set = content.iter().zip(&given).map(|(name, given)| format!("{name} = {given}"));
        let is_it = format!("{tenant} = ?1 AND {key} = ?2");
        Self {
            get: sql(format!("SELECT {all} FROM {name} WHERE {is_it}")),
            version: sql(format!("SELECT {version} FROM {name} WHERE {is_it}")),
            put: sql(format!(
                "{insert} {conflict} UPDATE SET {version} = excluded.{version}, {} \
                 WHERE excluded.{version} > {version}",
                list(&excluded.collect::<Vec<_>>())
            )),
            update: sql(format!(
                "UPDATE {name} SET {version} = ?3, {} WHERE {is_it} AND {version} = ?{}",
                list(&set.collect::<Vec<_>>()),
                content.len() + 4
            )),
            scan_all: sql(format!(
                "SELECT {all} FROM {name} WHERE ({tenant}, {key}) > (?1, ?2) ORDER BY {}",
                list(&ids)
            )),
            scan_tenant: sql(format!(
                "SELECT {all} FROM {name} WHERE {tenant} = ?1 AND {key} > ?2 ORDER BY {key}"
            )),
            count: sql(format!("SELECT count(*) FROM {name}")),
            insert: sql(format!("{insert} {conflict} NOTHING")),
            table,
        }
    }

    /// One of the statements that write, with the record in it.
    pub(super) fn write(
        &self,
        sql: &SqlStr,
        id: &Id,
        record: &Record,
    ) -> Result<Query<'static, Sqlite, SqliteArguments>, StoreError> {
        let (tenant, key) = (id.tenant.clone(), id.key.clone());
        let query = sqlx::query(sql.clone()).bind(tenant).bind(key).bind(column_of(record.version)?);
        let cells = self.table.cells(id, record)?.into_iter();
        Ok(cells.fold(query, |query, cell| match cell {
            Cell::Null => query.bind(None::<i64>),
            Cell::Text(text) | Cell::Decimal(text) | Cell::Json(text) => query.bind(text),
            Cell::Int(whole) => query.bind(whole),
            Cell::Bool(is) => query.bind(is),
            Cell::Bytes(bytes) => query.bind(bytes),
        }))
    }

    /// Whose row it is.
    pub(super) fn id(row: &SqliteRow) -> Result<Id, StoreError> {
        let read = || Ok(Id { tenant: row.try_get(0)?, key: row.try_get(1)? });
        read().map_err(read_error)
    }

    /// What it holds.
    pub(super) fn record(&self, row: &SqliteRow) -> Result<Record, StoreError> {
        let version = version_of(row.try_get(2).map_err(read_error)?);
        let content = self.table.content().into_iter().enumerate();
        let cells: Result<Vec<Cell>, _> = content.map(|(at, (name, _))| cell(row, at + 3, name)).collect();
        Ok(Record { version, value: self.table.value(cells?)? })
    }
}

/// By what the row has: SQLite gives a type to each value, and only prefers the column's.
fn cell(row: &SqliteRow, at: usize, name: &str) -> Result<Cell, StoreError> {
    let value = row.try_get_raw(at).map_err(read_error)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let failed = |error| read_error(sqlx::Error::Decode(error));
    let is = value.type_info().name().to_owned();
    match is.as_str() {
        "INTEGER" => <i64 as Decode<Sqlite>>::decode(value).map(Cell::Int).map_err(failed),
        "BLOB" => <Vec<u8> as Decode<Sqlite>>::decode(value).map(Cell::Bytes).map_err(failed),
        "TEXT" => {
            let bytes = <Vec<u8> as Decode<Sqlite>>::decode(value).map_err(failed)?;
            Ok(Cell::text(bytes))
        }
        _ => Err(unreadable(name, "a floating point number")),
    }
}
