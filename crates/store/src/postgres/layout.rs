//! How records are stored in the table: the statements that name its columns, and how rows are read.

use sqlx::{AssertSqlSafe, Postgres, Row, SqlSafeStr, SqlStr, postgres::PgRow};

use super::{
    super::{
        Id, Record, StoreError, Version, foreign,
        mapping::{Cell, ColumnType, SqlTable},
        scan::Found,
        sql::{Entry, KeyColumn, KeyKind, Keys, LedgerId, Part, There, child_rows},
    },
    Database, Given, Statement,
    cells::{asked_as, cast_of, cell, column, given_as, is_hex},
    children::{Children, Parent},
    column_of,
    keys::{casts_of, id_text},
    ledger::{Arguments, Ledger, qualified, regclass},
};

/// Lag of the furthest replica, in seconds; NULL if there is none, or none that the user may see.
pub(super) const REPLICA_LAG: SqlStr =
    SqlStr::from_static("SELECT extract(epoch FROM max(replay_lag))::float8 FROM pg_stat_replication");

/// The statements of one table. Those that write take [`Layout::rows`].
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) table: SqlTable,
    pub(super) keys: Keys,
    kinds: Vec<ColumnType>,
    children: Vec<Children>,
    pub(super) get: SqlStr,
    pub(super) get_many: SqlStr,
    pub(super) versions: SqlStr,
    /// `None`: versions are in columns, and [`Self::put_many`], [`Self::insert`] and [`Self::update`] write.
    pub(super) ledger: Option<Ledger>,
    pub(super) put_many: SqlStr,
    pub(super) insert: SqlStr,
    /// The required version is the last argument.
    pub(super) update: SqlStr,
    pub(super) scan_all: Scan,
    pub(super) scan_tenant: Scan,
    /// Tenant and key of the last place are the last arguments.
    pub(super) scan_up_to: Scan,
    /// The key that ends the range is the last argument.
    pub(super) scan_keys: Scan,
    /// Tenant and key of what the server takes for the id that is given.
    pub(super) equal: SqlStr,
    pub(super) estimate: SqlStr,
}

/// The statements of a scan. The first page includes the place that it begins at, the lowest of all: a tenant and a
/// key can be empty in a table that somebody else writes.
#[derive(Debug)]
pub(super) struct Scan {
    first: SqlStr,
    next: SqlStr,
}

/// What a scan asks for, given the columns of tenant and key and how a place compares with where it begins.
/// `ORDER BY` and `LIMIT` follow.
pub(super) type Wanted<'a> = dyn Fn(&str, &str, &str) -> String + 'a;

impl Scan {
    pub(super) const fn page(&self, is_first: bool) -> &SqlStr {
        if is_first { &self.first } else { &self.next }
    }
}

impl Layout {
    /// The table's names were checked. `keys`, `ledger_id`, and `enums`, table, column and type of columns that are one:
    /// unknown until they were asked for.
    pub(super) fn new(
        table: SqlTable,
        schema: &str,
        keys: Keys,
        ledger_id: Option<LedgerId>,
        enums: &[(String, String, String)],
    ) -> Self {
        let q = |name: &str| format!("\"{name}\"");
        let sql = |text: String| AssertSqlSafe(text).into_sql_str();
        let list = |parts: &[String]| parts.join(", ");
        let (name, version) = (qualified(schema, &table.name), q(&table.fields.version));
        // If each record is its own tenant, the column appears twice.
        let (tenant, key) = (q(&table.fields.tenant), q(&table.fields.key));
        let ids = list(&table.ids().into_iter().map(q).collect::<Vec<_>>());
        let (names, kinds): (Vec<&str>, Vec<ColumnType>) = table.content().into_iter().unzip();
        let casts = names.iter().zip(&kinds).enumerate().map(|(at, (name, kind))| {
            let of_enum = enums.iter().find(|(of, column, _)| *of == table.name && column == name);
            let of_enum = of_enum.map(|(.., kind)| kind.clone());
            of_enum
                .or_else(|| cast_of(*kind))
                .map_or(format!("c{at}"), |kind| format!("c{at}::{kind} AS c{at}"))
        });
        let casts: Vec<String> = casts.collect();
        let content: Vec<String> = names.into_iter().map(q).collect();
        let asked = content.iter().zip(&kinds);
        let mut asked: Vec<_> = asked.map(|(name, kind)| format!("t.{name}{}", asked_as(*kind))).collect();
        let mut of_version = format!("t.{version}");
        if table.is_bare() {
            (asked[0], of_version) = ("false".to_owned(), "0::bigint".to_owned());
        }
        let [[tenant_as, tenants_as], [key_as, keys_as]] = [casts_of(&keys.tenant), casts_of(&keys.key)];
        let ids_from =
            |first: usize| format!("${first}::text[]{tenants_as}, ${}::text[]{keys_as}", first + 1);
        let ids_given = ids_from(1);
        let deleted = table.ledger().map(|ledger| Ledger::deleted(&qualified(schema, &ledger), &ids_given));
        let parent =
            Parent { schema, table: &table, ids_given: &ids_from, deleted: deleted.as_deref(), enums };
        let children: Vec<_> = table.children().iter().map(|child| Children::new(child, &parent)).collect();
        asked.extend(children.iter().map(|child| child.asked.clone()));
        let select = format!("SELECT t.{tenant}, t.{key}, {of_version}, {} FROM {name} AS t", list(&asked));
        let one_given = format!("(SELECT $1::text{tenant_as} AS tenant, $2::text{key_as} AS key) AS g");
        // Equal for the server, and really.
        let exactly = |of: &str| {
            let is = |name: &str, given: &str, column: &KeyColumn| match column.kind {
                KeyKind::Loose => {
                    format!(" AND t.{name}::text COLLATE \"C\" = {of}.{given}::text COLLATE \"C\"")
                }
                _ => String::new(),
            };
            is(&tenant, "tenant", &keys.tenant) + &is(&key, "key", &keys.key)
        };
        let of_given = format!("t.{tenant} = g.tenant AND t.{key} = g.key{}", exactly("g"));
        let wanted = format!("JOIN unnest({ids_given}) AS g (tenant, key) ON {of_given}");
        let arrays = kinds.iter().enumerate().map(|(at, kind)| format!(", ${}::{}", at + 4, given_as(*kind)));
        let cells: Vec<String> = (0..kinds.len()).map(|at| format!("c{at}")).collect();
        let mut rows = format!(
            "unnest({ids_given}, $3::bigint[]{}) AS g (tenant, key, version, {})",
            arrays.collect::<String>(),
            list(&cells)
        );
        if casts != cells {
            rows = format!("(SELECT tenant, key, version, {} FROM {rows}) AS g", list(&casts));
        }
        let given_ids = if table.fields.is_own_tenant() { "g.key" } else { "g.tenant, g.key" };
        let insert = format!(
            "INSERT INTO {name} AS t ({ids}, {version}, {}) SELECT {given_ids}, g.version, {} FROM {rows} \
             ON CONFLICT ({ids}) DO",
            list(&content),
            list(&cells)
        );
        let excluded = content.iter().map(|name| format!("{name} = excluded.{name}"));
        let set = content.iter().zip(&cells).map(|(name, cell)| format!("{name} = g.{cell}"));
        let is_it = format!("t.{tenant} = $1{tenant_as} AND t.{key} = $2{key_as}");
        let own_ids = [(&tenant, &keys.tenant), (&key, &keys.key)];
        let is_same: String = own_ids
            .iter()
            .filter(|(_, column)| column.kind == KeyKind::Loose)
            .map(|(name, _)| {
                format!(" AND excluded.{name}::text COLLATE \"C\" = t.{name}::text COLLATE \"C\"")
            })
            .collect();
        let exactly_one: String = own_ids
            .iter()
            .zip(1..)
            .filter(|((_, column), _)| column.kind == KeyKind::Loose)
            .map(|((name, _), at)| format!(" AND t.{name}::text COLLATE \"C\" = ${at}"))
            .collect();
        let ledger = table.ledger();
        let given = Arguments { ids: &ids_given, one: &one_given, rows: &rows, cells: &cells };
        let ledger =
            ledger.map(|ledger| Ledger::new(&table, [schema, &ledger], &keys, ledger_id, &asked, &given));
        let own_tenant = table.fields.is_own_tenant();
        let (of_t, at_t) = (format!("t.{tenant}"), format!("t.{key}"));
        let of_table = |wanted: &Wanted<'_>, than: &str| {
            let order = if own_tenant { at_t.clone() } else { format!("{of_t}, {at_t}") };
            format!("WHERE {} ORDER BY {order} LIMIT $3", wanted(&of_t, &at_t, than))
        };
        let scan = |wanted: &Wanted<'_>| {
            let page = |than: &str| {
                let of_table = of_table(wanted, than);
                sql(match &ledger {
                    None => format!("{select} {of_table}"),
                    Some(ledger) => ledger.page(&of_table, &wanted("l.tenant", "l.key", than)),
                })
            };
            Scan { first: page(">="), next: page(">") }
        };
        let of_tenant = |of: &str, at: &str, than: &str| {
            let exactly = match keys.tenant.kind {
                KeyKind::Loose => format!(" AND {of}::text COLLATE \"C\" = $1"),
                _ => String::new(),
            };
            format!("{of} = $1{tenant_as}{exactly} AND {at} {than} $2{key_as}")
        };
        let [get, get_many, versions] = match &ledger {
            None => [
                format!("{select} WHERE {is_it}{exactly_one}"),
                format!("{select} {wanted}"),
                format!("SELECT t.{tenant}, t.{key}, t.{version} FROM {name} AS t {wanted}"),
            ],
            Some(ledger) => ledger.reads(),
        };
        Self {
            get: sql(get),
            get_many: sql(get_many),
            versions: sql(versions),
            put_many: sql(format!(
                "{insert} UPDATE SET {version} = excluded.{version}, {} \
                 WHERE excluded.{version} > t.{version} AND t.{version} >= 0{is_same}",
                list(&excluded.collect::<Vec<_>>())
            )),
            insert: sql(format!("{insert} NOTHING")),
            update: sql(format!(
                "UPDATE {name} AS t SET {version} = g.version, {} FROM {rows} \
                 WHERE {of_given} AND t.{version} = ${}",
                list(&set.collect::<Vec<_>>()),
                kinds.len() + 4
            )),
            scan_all: scan(&|of, at, than| format!("({of}, {at}) {than} ($1{tenant_as}, $2{key_as})")),
            scan_up_to: scan(&|of, at, than| {
                format!(
                    "({of}, {at}) {than} ($1{tenant_as}, $2{key_as}) \
                     AND ({of}, {at}) <= ($4{tenant_as}, $5{key_as})"
                )
            }),
            scan_tenant: scan(&of_tenant),
            scan_keys: scan(&|of, at, than| format!("{} AND {at} < $4{key_as}", of_tenant(of, at, than))),
            equal: sql(format!("SELECT t.{tenant}, t.{key} FROM {name} AS t WHERE {is_it} LIMIT 1")),
            estimate: sql(format!(
                "SELECT nullif(reltuples, -1)::bigint, pg_table_size(oid) FROM pg_class \
                 WHERE oid = {}",
                regclass(schema, &table.name)
            )),
            ledger,
            kinds,
            children,
            keys,
            table,
        }
    }

    /// Records as one array per column, and the statements that then write their rows in child tables.
    pub(super) fn rows(
        &self,
        records: &[(&Id, &Record)],
    ) -> Result<(Given, Vec<Statement<Postgres>>), StoreError> {
        let versions: Result<Vec<i64>, _> =
            records.iter().map(|(_, record)| column_of(record.version)).collect();
        let cells: Result<Vec<Vec<Cell>>, _> =
            records.iter().map(|(id, record)| self.table.cells(id, record)).collect();
        let (versions, mut cells) = (versions?, cells?);
        // In an order in which a list may refer to another one.
        let clear = self.children.iter().rev().map(|child| child.clear(records));
        let mut of_children = clear.collect::<Result<Vec<_>, _>>()?;
        for (at, (child, statements)) in self.table.children().iter().zip(&self.children).enumerate() {
            let rows =
                cells.iter_mut().map(|row| std::mem::replace(&mut row[self.kinds.len() + at], Cell::Null));
            of_children.extend(statements.insert(child, records, rows)?);
        }
        let given = Given::default().ids(records.iter().map(|(id, _)| *id))?.and(versions)?;
        let mut columns = self.kinds.iter().enumerate();
        let given = columns
            .try_fold(given, |given, (at, kind)| column(given, *kind, cells.iter().map(|row| &row[at])))?;
        Ok((given, of_children))
    }

    pub(super) const fn has_children(&self) -> bool {
        !self.children.is_empty()
    }

    /// The statements that remove the rows in child tables of tombstones whose records are about to be deleted.
    pub(super) fn clear_deleted(
        &self,
        records: &[(&Id, &Record)],
    ) -> Result<Vec<Statement<Postgres>>, StoreError> {
        let each = self.children.iter().rev().map(|child| child.clear_deleted(records));
        each.filter_map(Result::transpose).collect()
    }

    /// From a row of [`Self::versions`].
    pub(super) fn there(&self, row: &PgRow) -> Result<(Id, Option<There>), StoreError> {
        let (id, version) = (self.id(row)?, self.version(row)?);
        if self.ledger.is_none() {
            return Ok((id, Some(There::in_columns(version))));
        }
        let read = || Ok((row.try_get(3)?, row.try_get::<Option<bool>, _>(4)?));
        let (has_row, deleted) = read().map_err(|error| Postgres::error(error, false))?;
        Ok((id, There::of(deleted.map(|deleted| Entry { version, deleted }), has_row)))
    }

    /// From a row that begins with tenant and key, which need not form a valid id.
    pub(super) fn id(&self, row: &PgRow) -> Result<Id, StoreError> {
        Ok(Id { tenant: id_text(row, 0, &self.keys.tenant)?, key: id_text(row, 1, &self.keys.key)? })
    }

    fn version(&self, row: &PgRow) -> Result<Version, StoreError> {
        let found = row.try_get(2).map_err(|error| Postgres::error(error, false))?;
        foreign::version(&self.table.fields.version, found)
    }

    /// From a row of a scan.
    pub(super) fn part(&self, row: &PgRow) -> Result<Part, StoreError> {
        if self.ledger.is_none() {
            return Ok(Part::Record(self.found(row)?));
        }
        let Id { tenant, key } = self.id(row)?;
        let is_reserved = self.keys.is_reserved(&tenant, &key);
        let (tenant, key) = (tenant.into_bytes(), key.into_bytes());
        let version: Option<i64> = row.try_get(2).map_err(|error| Postgres::error(error, false))?;
        Ok(match version {
            None if is_reserved && !(tenant.is_empty() && key.is_empty()) => {
                Part::Record(self.keys.reserved_row(tenant, key))
            }
            None => Part::Row { tenant, key, cells: self.cells(row) },
            Some(_) => {
                let deleted = row
                    .try_get(3 + self.kinds.len() + self.children.len())
                    .map_err(|error| Postgres::error(error, false))?;
                let entry = self.version(row).map(|version| Entry { version, deleted });
                Part::Entry { tenant, key, entry }
            }
        })
    }

    fn cells(&self, row: &PgRow) -> Result<Vec<Cell>, StoreError> {
        let cells = self.kinds.iter().enumerate().map(|(at, kind)| cell(row, at + 3, *kind));
        let cells: Result<Vec<Cell>, sqlx::Error> = cells.collect();
        let mut cells = cells.map_err(|error| Postgres::error(error, false))?;
        for (child, at) in self.table.children().iter().zip(3 + self.kinds.len()..) {
            let json = row.try_get(at).map_err(|error| Postgres::error(error, false))?;
            cells.push(child_rows(child, json, is_hex)?);
        }
        Ok(cells)
    }

    /// From a row with all columns.
    pub(super) fn found(&self, row: &PgRow) -> Result<Found, StoreError> {
        let Id { tenant, key } = self.id(row)?;
        let value = |version| Ok(Record { version, value: self.table.value(version, self.cells(row)?)? });
        let record = self.version(row).and_then(value);
        Ok(Found { tenant: tenant.into_bytes(), key: key.into_bytes(), record })
    }
}
