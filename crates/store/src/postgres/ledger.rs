//! Versions and tombstones in a table beside the records', written in one transaction with them. A record is
//! what both say together: docs/adr/0041-a-ledger-beside-the-table.md.

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use super::{
    super::{
        Id, Record, StoreError, Version,
        error::Doubt,
        mapping::{Dialect, SqlTable},
        sql::{Keys, LedgerId, Over, swallowed},
    },
    Given, PostgresStore, Row, Statement, column_of,
    transaction::{WROTE, counted, undo, wrote},
};

/// The statements of one table with a ledger. Those that write take `Layout::rows` and answer how many records were
/// written; those about tombstones take ids and versions only.
#[derive(Debug)]
pub(super) struct Ledger {
    ledger: String,
    /// `None`: nothing is written.
    id: Option<LedgerId>,
    /// The table, joined to ids that are named `g`, and the ledger.
    both: String,
    /// Whether the row is there.
    has_row: String,
    /// The version that a record reads as: the entry's, if that agrees with the row.
    version: String,
    /// After tenant, key and version.
    content: String,
    /// The same for rows of a scan, and as many NULLs for entries.
    of_row: String,
    of_entry: String,
    /// Arguments of reads.
    given_ids: String,
    given_one: String,
    name: String,
    put: SqlStr,
    /// As [`Over::Same`].
    put_same: SqlStr,
    /// For records of version 0, which replace nothing.
    put_first: SqlStr,
    entries: SqlStr,
    entries_same: SqlStr,
    remove: SqlStr,
    /// The required version is the last argument of those that begin with `replace`; without an argument more, the
    /// others require that there is no record.
    insert: SqlStr,
    insert_entry: SqlStr,
    check_none: SqlStr,
    replace: SqlStr,
    replace_entry: SqlStr,
}

/// The arguments of a statement with the names that the statements of a ledger have for them.
pub(super) struct Arguments<'a> {
    /// Lists of tenants and keys.
    pub(super) ids: &'a str,
    /// One of each, as a table `g`.
    pub(super) one: &'a str,
    /// Whole rows as a table `g`, and the names of their cells.
    pub(super) rows: &'a str,
    pub(super) cells: &'a [String],
}

impl Ledger {
    /// `asked`: the content as it is read from a table `t`.
    pub(super) fn new(
        table: &SqlTable,
        [schema, ledger]: [&str; 2],
        keys: &Keys,
        id: Option<LedgerId>,
        asked: &[String],
        arguments: &Arguments<'_>,
    ) -> Self {
        let Arguments { ids: ids_given, one, rows, cells } = arguments;
        let q = |name: &str| format!("\"{name}\"");
        let sql = |text: String| AssertSqlSafe(text).into_sql_str();
        let (name, ledger) = (qualified(schema, &table.name), qualified(schema, ledger));
        let (tenant, key) = (q(&table.fields.tenant), q(&table.fields.key));
        let ids = table.ids().into_iter().map(q).collect::<Vec<_>>().join(", ");
        let own: Vec<String> = table.own_content().into_iter().map(|(name, _)| q(name)).collect();
        // With a mapping, the deletion mark is a cell and no column.
        let marks = cells.len() - own.len();
        let columns = asked[marks..].join(", ");
        let nulls = vec!["NULL"; asked.len()].join(", ");
        let mark = |value: String| if marks == 1 { format!("{value}, ") } else { String::new() };

        let is_it = |of: &str| format!("t.{tenant} = {of}.tenant AND t.{key} = {of}.key");
        let given_ids = if table.fields.is_own_tenant() { "g.key" } else { "g.tenant, g.key" };
        // Nothing is written to another ledger than the one that was opened.
        let is_ours = id.map_or("false".to_owned(), |id| id.is_it(Dialect::Postgres, &ledger, keys));
        let set: Vec<String> = own.iter().map(|name| format!("{name} = excluded.{name}")).collect();
        let upsert = format!("UPDATE SET {}", set.join(", "));
        let write = |on: &str, condition: &str, conflict: &str| {
            format!(
                "WITH g AS MATERIALIZED (SELECT * FROM {rows}), e AS (INSERT INTO {ledger} AS l (tenant, key, version, deleted) \
                 SELECT g.tenant, g.key, g.version, false FROM g WHERE {is_ours} AND {condition} ON CONFLICT (tenant, key) DO UPDATE \
                 SET version = excluded.version, deleted = false WHERE {on} RETURNING l.tenant, l.key), \
                 r AS (INSERT INTO {name} AS t ({ids}, {}) SELECT {given_ids}, {} FROM g JOIN e USING (tenant, key) \
                 ON CONFLICT ({ids}) DO {conflict} RETURNING 1) SELECT (SELECT count(*) FROM r){}",
                own.join(", "),
                cells[marks..].join(", "),
                if table.children().is_empty() { String::new() } else { wrote("r") },
            )
        };
        let unless = |condition: &str| format!(", CASE WHEN {condition} THEN {} END", undo());
        let all_rows = unless("(SELECT count(*) FROM e) <> (SELECT count(*) FROM r)");
        let given = format!("unnest({ids_given}, $3::bigint[]) AS g (tenant, key, version)");
        let entry = |condition: &str, on: &str| {
            format!(
                "INSERT INTO {ledger} AS l (tenant, key, version, deleted) SELECT g.tenant, g.key, g.version, true \
                 FROM {given} WHERE {is_ours} AND {condition} ON CONFLICT (tenant, key) DO UPDATE SET version = excluded.version, \
                 deleted = true WHERE {on}"
            )
        };
        // The entries that this transaction wrote.
        let ours = format!(
            "WITH ours AS MATERIALIZED ({}), there AS (SELECT count(*) AS n FROM {name} AS t JOIN ours ON {})",
            Self::deleted(&ledger, ids_given),
            is_it("ours")
        );
        // A trigger of the application may have changed a record in between, so that another one stamped its entry.
        let restamped = format!("(SELECT count(*) FROM ours)::text <> current_setting('{WROTE}')");
        // A negative version is the application's own, with an unknown meaning.
        let newer = "excluded.version > l.version AND l.version >= 0";
        let same = "excluded.version >= l.version AND l.version >= 0";
        let entry_now = |of: &str, is: &str| {
            format!(
                "(SELECT now.version FROM {ledger} AS now WHERE now.tenant = {of}.tenant AND now.key = {of}.key{is})"
            )
        };
        // What the record reads as when the statement begins, and that its entry is still the same when it is locked.
        let reads_as = format!(
            "CASE WHEN EXISTS (SELECT FROM {name} AS t WHERE {}) THEN coalesce({}, 0) ELSE {} END",
            is_it("g"),
            entry_now("g", " AND NOT now.deleted"),
            entry_now("g", " AND now.deleted")
        );
        let unchanged = format!("l.version = {}", entry_now("l", ""));
        let none = format!("({reads_as}) IS NULL");
        let is = |given: &str| format!("({reads_as}) = {given}");
        let required = format!("${}::bigint", cells.len() + 4);
        Self {
            both: format!(
                "LEFT JOIN {name} AS t ON {} LEFT JOIN {ledger} AS l ON l.tenant = g.tenant AND l.key = g.key \
                 WHERE (t.{tenant} IS NOT NULL OR l.version <> 0)",
                is_it("g")
            ),
            version: format!("CASE WHEN l.deleted = (t.{tenant} IS NULL) THEN l.version ELSE 0 END"),
            has_row: format!("t.{tenant} IS NOT NULL"),
            content: format!("{}{columns}", mark(format!("t.{tenant} IS NULL"))),
            of_row: format!(
                "t.{tenant}, t.{key}, NULL::bigint, {}{columns}, NULL::boolean",
                mark("false".to_owned())
            ),
            of_entry: format!("l.tenant, l.key, l.version, {nulls}, l.deleted"),
            given_ids: (*ids_given).to_owned(),
            given_one: (*one).to_owned(),
            put: sql(format!("{}{all_rows}", write(newer, "true", &upsert))),
            put_same: sql(format!("{}{all_rows}", write(same, "true", &upsert))),
            put_first: sql(write("l.version = 0", "true", "NOTHING")),
            entries: sql(counted(&entry("true", newer))),
            entries_same: sql(counted(&entry("true", same))),
            remove: sql(format!(
                "{ours}, gone AS (DELETE FROM {name} AS t USING ours WHERE {} RETURNING 1) \
                 SELECT (SELECT count(*) FROM ours){}",
                is_it("ours"),
                unless(&format!("(SELECT n FROM there) <> (SELECT count(*) FROM gone) OR {restamped}"))
            )),
            insert: sql(format!("{}{all_rows}", write(&unchanged, &none, "NOTHING"))),
            insert_entry: sql(counted(&entry(&none, &unchanged))),
            check_none: sql(format!(
                "{ours} SELECT (SELECT count(*) FROM ours){}",
                unless(&format!("(SELECT n FROM there) > 0 OR {restamped}"))
            )),
            replace: sql(format!("{}{all_rows}", write(&unchanged, &is(&required), &upsert))),
            replace_entry: sql(counted(&entry(&is("$4::bigint"), &unchanged))),
            ledger,
            id,
            name,
        }
    }

    /// The ids of entries that this transaction wrote, as a query. Takes ids and versions.
    pub(super) fn deleted(ledger: &str, ids_given: &str) -> String {
        format!(
            "SELECT g.tenant, g.key FROM unnest({ids_given}, $3::bigint[]) AS g (tenant, key, version) \
             JOIN {ledger} AS l ON l.tenant = g.tenant AND l.key = g.key AND l.version = g.version \
             WHERE l.xmin = pg_current_xact_id()::xid"
        )
    }

    /// The statements that write records, and entries of tombstones, and those that then remove the rows of tombstones.
    pub(super) const fn writes(&self, over: Over) -> (&SqlStr, &SqlStr, &SqlStr) {
        match over {
            Over::Older => (&self.put, &self.entries, &self.remove),
            Over::Same => (&self.put_same, &self.entries_same, &self.remove),
        }
    }

    /// The ledger's name in a statement.
    pub(super) fn as_sql(&self) -> &str {
        &self.ledger
    }

    /// Refuses another ledger than the one that was opened. `name`: for people.
    pub(super) fn check(&self, name: &str, found: Option<i64>) -> Result<(), StoreError> {
        self.id.map_or(Ok(()), |id| id.check(name, found))
    }

    /// [`super::Layout`]'s statements `get`, `get_many` and `versions`.
    pub(super) fn reads(&self) -> [String; 3] {
        let Self { both, version, has_row, content, given_ids, given_one, .. } = self;
        let read = |given: &str| {
            format!(
                "SELECT g.tenant, g.key, {version}, {content} FROM {given} {both} AND ({has_row} OR l.deleted)"
            )
        };
        let many = format!("unnest({given_ids}) AS g (tenant, key)");
        [
            read(given_one),
            read(&many),
            format!(
                "SELECT g.tenant, g.key, coalesce(l.version, 0), {has_row}, l.deleted FROM {many} {both}"
            ),
        ]
    }

    /// A page of a scan: as many entries as rows, in order, an entry before its row. One statement, so that both
    /// tables are read in one snapshot.
    pub(super) fn page(&self, of_table: &str, of_entries: &str) -> String {
        let Self { ledger, of_row, of_entry, name, .. } = self;
        format!(
            "(SELECT {of_row} FROM {name} AS t {of_table}) UNION ALL (SELECT {of_entry} FROM {ledger} AS l \
             WHERE {of_entries} ORDER BY l.tenant, l.key LIMIT $3) ORDER BY 1, 2, 3"
        )
    }
}

/// A schema's name in a statement. It was not checked.
pub(super) fn quoted(schema: &str) -> String {
    format!("\"{}\"", schema.replace('"', "\"\""))
}

/// A table's name as every statement has it, so that nothing depends on the search path.
pub(super) fn qualified(schema: &str, name: &str) -> String {
    format!("{}.\"{name}\"", quoted(schema))
}

/// The table's oid, as SQL; NULL if there is none.
pub(super) fn regclass(schema: &str, table: &str) -> String {
    format!("to_regclass('{}')", qualified(schema, table).replace('\'', "''"))
}

pub(super) fn tombstones(records: &[(&Id, &Record)]) -> Result<Given, StoreError> {
    let versions: Result<Vec<i64>, _> = records.iter().map(|(_, record)| column_of(record.version)).collect();
    Given::default().ids(records.iter().map(|(id, _)| *id))?.and(versions?)
}

impl PostgresStore {
    /// [`super::super::sql::Guarded::write`]; returns how many were written.
    pub(super) async fn put_with(
        &self,
        ledger: &Ledger,
        records: &[(&Id, &Record)],
        over: Over,
    ) -> Result<(u64, Doubt), StoreError> {
        let (dead, live): (Vec<_>, Vec<_>) =
            records.iter().copied().partition(|(_, record)| record.is_tombstone());
        let (first, newer): (Vec<_>, Vec<_>) =
            live.into_iter().partition(|(_, record)| record.version == Version::ZERO);
        let (mut written, mut doubt) = (0, None);
        let (put, entries, remove) = ledger.writes(over);
        for (sql, records) in [(&ledger.put_first, first), (put, newer)] {
            if !records.is_empty() {
                let (rows, children) = self.layout.rows(&records)?;
                let (some, lost) = self.put_with_children(Statement::prepared(sql, rows.0), children).await?;
                written += some;
                doubt = doubt.or(lost);
            }
        }
        if !dead.is_empty() {
            // For its checks.
            self.layout.rows(&dead)?;
            let given = tombstones(&dead)?.0;
            let entries = Statement::prepared(entries, given.clone());
            let clear = self.layout.clear_deleted(&dead)?;
            let (some, lost) = self.delete(entries, clear, Statement::prepared(remove, given)).await?;
            written += some;
            doubt = doubt.or(lost);
        }
        Ok((written, doubt))
    }

    /// Writes a record if this version is there. 0: it is not, or it did not stay.
    pub(super) async fn put_if(
        &self,
        ledger: &Ledger,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<(u64, Doubt), StoreError> {
        let one = [(id, record)];
        let (all, children) = self.layout.rows(&one)?;
        let clear = self.layout.clear_deleted(&one)?;
        let ids = tombstones(&one)?;
        let version = expected.map(column_of).transpose()?;
        match (record.is_tombstone(), version) {
            (false, None) => {
                self.put_with_children(Statement::prepared(&ledger.insert, all.0), children).await
            }
            (false, Some(version)) => {
                let replace = Statement::prepared(&ledger.replace, all.and(version)?.0);
                self.put_with_children(replace, children).await
            }
            (true, None) => {
                let entry = Statement::prepared(&ledger.insert_entry, ids.0.clone());
                self.delete(entry, clear, Statement::prepared(&ledger.check_none, ids.0)).await
            }
            (true, Some(version)) => {
                let remove = Statement::prepared(&ledger.remove, ids.0.clone());
                let entry = Statement::prepared(&ledger.replace_entry, ids.and(version)?.0);
                self.delete(entry, clear, remove).await
            }
        }
    }

    /// The later statements have a snapshot of their own, which sees rows that were committed while the first one
    /// waited for its locks. `clear`: for child tables, whose foreign keys may refer to the rows.
    async fn delete(
        &self,
        entries: Statement<sqlx::Postgres>,
        clear: Vec<Statement<sqlx::Postgres>>,
        rows: Statement<sqlx::Postgres>,
    ) -> Result<(u64, Doubt), StoreError> {
        let (begin, commit) = (Statement::begins("BEGIN".to_owned()), Statement::text("COMMIT".to_owned()));
        let statements: Vec<_> = [begin, entries].into_iter().chain(clear).chain([rows, commit]).collect();
        self.changed(&statements.iter().collect::<Vec<_>>()).await
    }

    /// Writes records by a statement that answers how many it wrote, and then their rows in child tables.
    pub(super) async fn put_with_children(
        &self,
        put: Statement<sqlx::Postgres>,
        children: Vec<Statement<sqlx::Postgres>>,
    ) -> Result<(u64, Doubt), StoreError> {
        if children.is_empty() {
            return self.changed(&[&put]).await;
        }
        let (begin, commit) = (Statement::begins("BEGIN".to_owned()), Statement::text("COMMIT".to_owned()));
        let statements: Vec<_> = [begin, put].into_iter().chain(children).chain([commit]).collect();
        self.changed(&statements.iter().collect::<Vec<_>>()).await
    }

    async fn changed(&self, statements: &[&Statement<sqlx::Postgres>]) -> Result<(u64, Doubt), StoreError> {
        match self.calls.change(statements).await {
            Ok((rows, doubt)) => {
                let count = rows.first().and_then(|row| row.try_get::<i64, _>(0).ok());
                Ok((count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default(), doubt))
            }
            Err(error) if error == swallowed() => Ok((0, None)),
            Err(error) => Err(error),
        }
    }
}
