//! How records are stored in the table: the statements that name its columns, their arguments and their
//! answers.

use sqlx::{
    AssertSqlSafe, Row, SqlSafeStr, SqlStr, Sqlite, TypeInfo, ValueRef,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{
    super::{
        Id, Record, StoreError, Version, foreign,
        mapping::{Cell, SqlTable},
        scan::{Found, unreadable},
        sql::Keys,
    },
    cells::{bind, cell},
    children::{Children, asked, rows},
    column_of,
    keys::type_of,
    ledger::Ledger,
    read_error,
    reads::{Reads, scans},
};

/// The statements of one table. Names were checked. They are in backticks, because SQLite takes a name in
/// double quotes for a text if there is no such column.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) table: SqlTable,
    pub(super) keys: Keys,
    pub(super) get: SqlStr,
    /// For a JSON list of tenants and keys; the position in the list comes last.
    pub(super) get_many: SqlStr,
    /// The same, without content.
    pub(super) get_versions: SqlStr,
    pub(super) version: SqlStr,
    pub(super) put: SqlStr,
    pub(super) insert: SqlStr,
    /// The required version is the last argument.
    pub(super) update: SqlStr,
    pub(super) scan_all: Scan,
    pub(super) scan_tenant: Scan,
    /// Tenant and key of the last place are the last arguments.
    pub(super) scan_up_to: Scan,
    /// The key that ends the range is the last argument.
    pub(super) scan_keys: Scan,
    pub(super) count: SqlStr,
    /// `None`: versions are in columns, and [`Self::put`], [`Self::insert`] and [`Self::update`] write.
    pub(super) ledger: Option<Ledger>,
    pub(super) children: Vec<Children>,
}

/// The statements of a scan. The first page has no lower bound: no place is below all that a table can hold, such
/// as an empty key, or a number where a text should be.
#[derive(Debug)]
pub(super) struct Scan {
    first: SqlStr,
    next: SqlStr,
}

impl Scan {
    pub(super) fn page(&self, is_first: bool) -> SqlStr {
        if is_first { self.first.clone() } else { self.next.clone() }
    }
}

impl Layout {
    pub(super) fn new(table: SqlTable, keys: Keys) -> Self {
        let q = |name: &str| format!("`{name}`");
        let list = |names: &[String]| names.join(", ");
        let sql = |text: String| AssertSqlSafe(text).into_sql_str();
        let (name, version) = (q(&table.name), q(&table.fields.version));
        // If each record is its own tenant, the column appears twice.
        let (tenant, key) = (q(&table.fields.tenant), q(&table.fields.key));
        let ids: Vec<String> = table.ids().into_iter().map(q).collect();
        let content: Vec<String> = table.content().into_iter().map(|(name, _)| q(name)).collect();
        let columns = |of: &str| list(&[content.clone(), asked(&table, of)].concat());
        // A table without versions has 0 in their place, and no row is deleted.
        let zero = "0".to_owned();
        let all = match table.is_bare() {
            true => format!("{tenant}, {key}, {}", list(&[&[zero.clone(), zero], &content[1..]].concat())),
            false => format!("{tenant}, {key}, {version}, {}", columns(&name)),
        };
        let of_record = [&tenant, &key, &version].into_iter().chain(&content);
        let of_record = of_record.map(|name| format!("record.{name}"));
        let of_record: Vec<String> = of_record.chain(asked(&table, "record")).collect();
        // CROSS JOIN keeps this order: the list, and for each entry a look-up in the primary key.
        let of_list = |columns: &[String]| {
            format!(
                "SELECT {}, asked.key FROM json_each(?1) AS asked CROSS JOIN {name} AS record \
                 ON record.{tenant} = asked.value ->> 0 AND record.{key} = asked.value ->> 1",
                list(columns)
            )
        };
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
        let reads = match table.ledger() {
            Some(ledger) => Ledger::reads(&table, &ledger),
            None => Reads {
                get: format!("SELECT {all} FROM {name} WHERE {is_it}"),
                get_many: of_list(&of_record),
                get_versions: of_list(&of_record[..3]),
                version: format!("SELECT {tenant}, {key}, {version} FROM {name} WHERE {is_it}"),
                scans: scans(|wanted| {
                    let wanted = wanted(&tenant, &key);
                    format!("SELECT {all} FROM {name} WHERE {wanted} ORDER BY {}", list(&ids))
                }),
                count: format!("SELECT count(*) FROM {name}"),
            },
        };
        let [scan_all, scan_up_to, scan_tenant, scan_keys] =
            reads.scans.map(|[first, next]| Scan { first: sql(first), next: sql(next) });
        Self {
            get: sql(reads.get),
            get_many: sql(reads.get_many),
            get_versions: sql(reads.get_versions),
            version: sql(reads.version),
            put: sql(format!(
                "{insert} {conflict} UPDATE SET {version} = excluded.{version}, {} \
                 WHERE excluded.{version} > {version} AND {version} >= 0 AND typeof({version}) = 'integer'",
                list(&excluded.collect::<Vec<_>>())
            )),
            update: sql(format!(
                "UPDATE {name} SET {version} = ?3, {} WHERE {is_it} AND {version} = ?{}",
                list(&set.collect::<Vec<_>>()),
                content.len() + 4
            )),
            scan_all,
            scan_up_to,
            scan_tenant,
            scan_keys,
            count: sql(reads.count),
            insert: sql(format!("{insert} {conflict} NOTHING")),
            ledger: table.ledger().map(|ledger| Ledger::new(&table, &ledger, &keys)),
            children: table.children().iter().map(Children::new).collect(),
            table,
            keys,
        }
    }

    /// All statements that write.
    pub(super) fn writes(&self) -> Vec<&SqlStr> {
        let of_table = match &self.ledger {
            Some(ledger) => ledger.writes(),
            None => [&self.put, &self.insert, &self.update],
        };
        of_table.into_iter().chain(self.children.iter().flat_map(Children::writes)).collect()
    }

    /// One of the statements that write, with the record in it.
    pub(super) fn write(
        &self,
        sql: &SqlStr,
        id: &Id,
        record: &Record,
    ) -> Result<Query<'static, Sqlite, SqliteArguments>, StoreError> {
        self.keys.check([id].into_iter())?;
        let (tenant, key) = (id.tenant.clone(), id.key.clone());
        let query = sqlx::query(sql.clone()).bind(tenant).bind(key).bind(column_of(record.version)?);
        let cells = self.table.cells(id, record)?.into_iter().zip(self.table.content());
        Ok(cells.fold(query, |query, (cell, (_, kind))| bind(query, (cell, kind))))
    }

    /// From a row with all columns. True: tenant and key are of their columns' types.
    pub(super) fn found(&self, row: &SqliteRow) -> Result<(Found, bool), StoreError> {
        let bytes = |at: usize| row.try_get_unchecked::<Vec<u8>, _>(at).map_err(read_error);
        let (tenant, key) = (bytes(0)?, bytes(1)?);
        let [of_tenant, of_key] = [&self.keys.tenant, &self.keys.key].map(|column| type_of(column).1);
        let are_ids = is(row, 0, of_tenant)? && is(row, 1, of_key)?;
        let texts = str::from_utf8(&tenant).ok().zip(str::from_utf8(&key).ok());
        let may_end = are_ids && texts.is_some();
        if may_end
            && texts
                .is_some_and(|(tenant, key)| (tenant, key) != ("", "") && self.keys.is_reserved(tenant, key))
        {
            return Ok((self.keys.reserved_row(tenant, key), true));
        }
        // Another record may have the same bytes as text.
        let record = match are_ids {
            true => self.record(row),
            false => {
                let what = format!("tenant is no {of_tenant}, or key no {of_key}: correct or remove the row");
                Err(unreadable(&self.table.fields.key, what))
            }
        };
        Ok((Found { tenant, key, record }, may_end))
    }

    /// The record of the same row.
    pub(super) fn record(&self, row: &SqliteRow) -> Result<Record, StoreError> {
        let version = self.version_in(row)?;
        let content = self.table.content();
        let columns = content.iter().enumerate();
        let cells: Result<Vec<Cell>, _> =
            columns.map(|(at, (name, kind))| cell(row, at + 3, name, *kind)).collect();
        let mut cells = cells?;
        for (child, at) in self.table.children().iter().zip(3 + content.len()..) {
            cells.push(rows(child, row.try_get_unchecked(at).map_err(read_error)?)?);
        }
        Ok(Record { version, value: self.table.value(version, cells)? })
    }

    /// From a row that begins with tenant, key and version.
    pub(super) fn version_in(&self, row: &SqliteRow) -> Result<Version, StoreError> {
        if !is(row, 2, "INTEGER")? {
            let what = "it is no INTEGER: correct it in the row".to_owned();
            return Err(unreadable(&self.table.fields.version, what));
        }
        let found = row.try_get_unchecked(2).map_err(read_error)?;
        foreign::version(&self.table.fields.version, found)
    }
}

/// From a row of [`Layout::get_many`] or [`Layout::get_versions`].
pub(super) fn place_in_list(row: &SqliteRow) -> Result<usize, StoreError> {
    let place: i64 = row.try_get_unchecked(row.len() - 1).map_err(read_error)?;
    Ok(usize::try_from(place).unwrap_or(usize::MAX))
}

fn is(row: &SqliteRow, at: usize, kind: &str) -> Result<bool, StoreError> {
    Ok(row.try_get_raw(at).map_err(read_error)?.type_info().name() == kind)
}
