//! Versions and tombstones in a table beside the records', written in one transaction with them. A record is
//! what both say together: docs/adr/0041-a-ledger-beside-the-table.md.

use sqlx::{AssertSqlSafe, Row, SqlSafeStr, SqlStr, SqliteConnection};

use super::{
    super::{
        mapping::{Dialect, SqlTable},
        sql::{Entry, Keys, LedgerId, There, swallowed},
    },
    Id, Record, SqliteStore, StoreError, Version,
    children::asked,
    column_of,
    error::{read_error, write_error},
    reads::{Reads, scans},
};

/// The statements that write.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Tenant, key, version, mark.
    entry: SqlStr,
    /// The same if there is an entry: a record of version 0 needs none.
    reset: SqlStr,
    /// The arguments of the layout's own statements.
    row: SqlStr,
    /// Tenant, key.
    remove: SqlStr,
    /// Tenant, key: whether the table has the row.
    row_of: SqlStr,
    /// Tenant, key: the entry's version and mark, whether the table has the row, and the ledger's id.
    there: SqlStr,
    /// The ledger's name, for people.
    name: String,
    /// Unknown until the tables have been checked.
    pub(super) id: Option<LedgerId>,
}

/// When a record is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    Newer,
    /// The version that is there.
    Is(Option<Version>),
}

impl Ledger {
    /// The statements that write.
    pub(super) fn writes(&self) -> [&SqlStr; 3] {
        [&self.entry, &self.row, &self.remove]
    }

    pub(super) fn new(table: &SqlTable, ledger: &str, keys: &Keys) -> Self {
        let q = |name: &str| format!("`{name}`");
        let sql = |text: String| AssertSqlSafe(text).into_sql_str();
        let (name, of_ledger) = (q(&table.name), ledger.to_owned());
        let ledger = q(ledger);
        let (tenant, key) = (q(&table.fields.tenant), q(&table.fields.key));
        let ids: Vec<String> = table.ids().into_iter().map(q).collect();
        let ids = ids.join(", ");
        let given_ids = if table.fields.is_own_tenant() { "?1" } else { "?1, ?2" };
        let own: Vec<String> = table.own_content().into_iter().map(|(name, _)| q(name)).collect();
        // The version and, if there is one, the deletion mark are among the arguments but not in the table.
        let first = 4 + table.content().len() - own.len();
        let given: Vec<String> = (0..own.len()).map(|at| format!("?{}", first + at)).collect();
        let set: Vec<String> = own.iter().map(|name| format!("{name} = excluded.{name}")).collect();
        Self {
            entry: sql(format!(
                "INSERT INTO {ledger} (tenant, key, version, deleted) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (tenant, key) DO UPDATE SET version = excluded.version, deleted = excluded.deleted"
            )),
            reset: sql(format!(
                "UPDATE {ledger} SET version = ?3, deleted = ?4 WHERE tenant = ?1 AND key = ?2"
            )),
            row: sql(format!(
                "INSERT INTO {name} ({ids}, {}) VALUES ({given_ids}, {}) ON CONFLICT ({ids}) DO UPDATE SET {}",
                own.join(", "),
                given.join(", "),
                set.join(", ")
            )),
            remove: sql(format!("DELETE FROM {name} WHERE {tenant} = ?1 AND {key} = ?2")),
            there: sql(format!(
                "SELECT ?1, ?2, coalesce(l.version, 0), coalesce(l.deleted, 0), t.{tenant} IS NOT NULL, ({}) FROM (SELECT 1) \
                 LEFT JOIN {name} AS t ON t.{tenant} = ?1 AND t.{key} = ?2 \
                 LEFT JOIN {ledger} AS l ON l.tenant = ?1 AND l.key = ?2",
                LedgerId::asked(Dialect::Sqlite, &ledger, keys)
            )),
            row_of: sql(format!("SELECT 1 FROM {name} WHERE {tenant} = ?1 AND {key} = ?2")),
            name: of_ledger,
            id: None,
        }
    }

    /// Reads of both tables. A single record is looked up in each by its id. A scan merges them in order, and
    /// its condition is in both halves, so that SQLite walks both primary keys and sorts nothing.
    pub(super) fn reads(table: &SqlTable, ledger: &str) -> Reads {
        let q = |name: &str| format!("`{name}`");
        let (name, ledger) = (q(&table.name), q(ledger));
        let (tenant, key) = (q(&table.fields.tenant), q(&table.fields.key));
        let own = table.own_content();
        let is_marked = table.content().len() > own.len();
        let mark = |value: &str| if is_marked { format!("{value}, ") } else { String::new() };
        let of_row: Vec<String> = own.iter().map(|(name, _)| format!("t.{}", q(name))).collect();
        let of_row = [of_row, asked(table, "t")].concat();
        let nulls = vec!["NULL"; of_row.len()].join(", ");
        let of_row = of_row.join(", ");
        // An entry counts only if it agrees with the row.
        let version = format!("CASE WHEN l.deleted = (t.{tenant} IS NULL) THEN l.version ELSE 0 END");
        let content = format!("{version}, {}{of_row}", mark(&format!("t.{tenant} IS NULL")));
        let both = |tenant_is: &str, key_is: &str| {
            format!(
                "LEFT JOIN {name} AS t ON t.{tenant} = {tenant_is} AND t.{key} = {key_is} \
                 LEFT JOIN {ledger} AS l ON l.tenant = {tenant_is} AND l.key = {key_is} \
                 WHERE (t.{tenant} IS NOT NULL OR l.version <> 0 AND l.deleted)"
            )
        };
        let of_list = |columns: &str| {
            let (tenant, key) = ("asked.value ->> 0", "asked.value ->> 1");
            format!(
                "SELECT {tenant}, {key}, {columns}, asked.key FROM json_each(?1) AS asked {}",
                both(tenant, key)
            )
        };
        let of_one = |columns: &str| format!("SELECT ?1, ?2, {columns} FROM (SELECT 1) {}", both("?1", "?2"));
        let tombstones = format!(
            "FROM {ledger} AS l WHERE l.version <> 0 AND l.deleted \
             AND NOT EXISTS (SELECT 1 FROM {name} AS t WHERE t.{tenant} = l.tenant AND t.{key} = l.key)"
        );
        Reads {
            get: of_one(&content),
            get_many: of_list(&content),
            get_versions: of_list(&version),
            version: of_one(&version),
            scans: scans(|wanted| {
                let row = wanted(&format!("t.{tenant}"), &format!("t.{key}"));
                let entry = wanted("l.tenant", "l.key");
                format!(
                    "SELECT t.{tenant}, t.{key}, {version}, {}{of_row} FROM {name} AS t \
                     LEFT JOIN {ledger} AS l ON l.tenant = t.{tenant} AND l.key = t.{key} WHERE {row} \
                     UNION ALL SELECT l.tenant, l.key, l.version, {}{nulls} {tombstones} AND {entry} \
                     ORDER BY 1, 2",
                    mark("0"),
                    mark("1")
                )
            }),
            count: format!("SELECT (SELECT count(*) FROM {name}) + (SELECT count(*) {tombstones})"),
        }
    }
}

impl SqliteStore {
    /// Writes a record if the condition holds, in a transaction that has begun with the right to write. After an
    /// error it has to be rolled back. `Some`: the condition does not hold, and this version is there.
    pub(super) async fn put_with(
        &self,
        ledger: &Ledger,
        connection: &mut SqliteConnection,
        id: &Id,
        record: &Record,
        when: When,
    ) -> Result<Option<Option<Version>>, StoreError> {
        // Also checks tombstones.
        let row = self.layout.write(&ledger.row, id, record)?;
        let there = self.there_on(ledger, connection, id).await?;
        let newest = there.map(|there| there.version);
        match (when, there.and_then(|there| there.reads_as)) {
            (When::Newer, _) if there.is_some_and(|there| there.stops(record.version)) => {
                return Ok(Some(newest));
            }
            (When::Is(expected), current) if current != expected => return Ok(Some(current)),
            _ => {}
        }
        let is_done = if record.is_tombstone() {
            // First those whose foreign keys may refer to it.
            self.replace_rows(connection, id, record).await?;
            let remove = sqlx::query(ledger.remove.clone()).bind(&id.tenant).bind(&id.key);
            remove.execute(&mut *connection).await.map_err(write_error)?;
            let left = sqlx::query(ledger.row_of.clone()).bind(&id.tenant).bind(&id.key);
            left.fetch_optional(&mut *connection).await.map_err(write_error)?.is_none()
        } else {
            let done = row.execute(&mut *connection).await.map_err(write_error)?;
            self.replace_rows(connection, id, record).await?;
            done.rows_affected() > 0
        };
        // Last, over what a trigger for programs without the SDK has stamped.
        let needs_entry = record.version.max(newest.unwrap_or_default()) > Version::ZERO;
        let entry = if needs_entry { &ledger.entry } else { &ledger.reset };
        let entry = sqlx::query(entry.clone()).bind(&id.tenant).bind(&id.key);
        let entry = entry.bind(column_of(record.version)?).bind(record.is_tombstone());
        entry.execute(connection).await.map_err(write_error)?;
        if is_done { Ok(None) } else { Err(swallowed()) }
    }

    async fn there_on(
        &self,
        ledger: &Ledger,
        connection: &mut SqliteConnection,
        id: &Id,
    ) -> Result<Option<There>, StoreError> {
        let ask = sqlx::query(ledger.there.clone()).bind(&id.tenant).bind(&id.key);
        let row = ask.fetch_one(connection).await.map_err(read_error)?;
        let version = self.layout.version_in(&row)?;
        let flag = |at: usize| row.try_get_unchecked::<i64, _>(at).map(|flag| flag != 0).map_err(read_error);
        if let Some(id) = ledger.id {
            id.check(&ledger.name, row.try_get_unchecked(5).map_err(read_error)?)?;
        }
        Ok(There::of(Some(Entry { version, deleted: flag(3)? }), flag(4)?))
    }
}
