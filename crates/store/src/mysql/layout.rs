//! How records are stored in the table: the statements that name its columns, and how rows are read.

use std::fmt::Write;

use sqlx::{MySql, Row, mysql::MySqlRow};

use super::{
    super::{
        Id, Record, Scope, Segment, StoreError, Version, foreign,
        mapping::{Cell, ColumnType, SqlTable},
        scan::{Found, Place as At},
        sql::{KeyKind, Keys, LedgerId, counted_rows},
    },
    Database,
    cells::{asked_as, cell, is_hex},
    children::Children,
    column_of,
    keys::Place,
    literal::{hex, value},
};

/// From this average number of ids per tenant on, one range is better than separate look-ups.
pub(super) const RUN: usize = 8;

/// The answer of a guarded statement that did not write its record. No AUTO_INCREMENT gets there.
pub(super) const NOT_WRITTEN: u64 = i64::MAX as u64;

/// The statements of one table. All names were checked; the ones here are quoted.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) table: SqlTable,
    pub(super) name: String,
    /// Empty: versions are in a column.
    pub(super) ledger: String,
    /// Unknown until the tables have been checked.
    pub(super) ledger_id: Option<LedgerId>,
    /// `tenant, key`, or the one column that is both.
    pub(super) ids: String,
    pub(super) tenant: String,
    pub(super) key: String,
    /// Unknown until the table has been checked.
    pub(super) keys: Keys,
    /// Of tenant and key: the same, in statements.
    pub(super) places: [Place; 2],
    version: String,
    pub(super) content: Vec<String>,
    /// How the content is asked for, and then the rows of child tables.
    pub(super) asked: Vec<String>,
    kinds: Vec<ColumnType>,
    /// Unknown until the tables have been checked.
    pub(super) children: Vec<Children>,
}

impl Layout {
    pub(super) fn new(table: SqlTable) -> Self {
        let q = |name: &str| format!("`{name}`");
        Self {
            name: q(&table.name),
            ledger: table.ledger().as_deref().map(q).unwrap_or_default(),
            ledger_id: None,
            ids: table.ids().into_iter().map(q).collect::<Vec<_>>().join(", "),
            tenant: q(&table.fields.tenant),
            key: q(&table.fields.key),
            keys: Keys::default(),
            places: [&table.fields.tenant, &table.fields.key]
                .map(|name| Place::new(name, KeyKind::default(), false)),
            version: if table.is_bare() { "0".to_owned() } else { q(&table.fields.version) },
            content: table.content().into_iter().map(|(name, _)| q(name)).collect(),
            asked: (table.content().into_iter())
                .map(|(name, kind)| match table.is_bare() && name == table.fields.deleted {
                    true => "0".to_owned(),
                    false => asked_as(&q(name), kind),
                })
                .collect(),
            kinds: table.content().into_iter().map(|(_, kind)| kind).collect(),
            children: Vec::new(),
            table,
        }
    }

    /// The same with the statements of its child tables.
    pub(super) fn with_children(mut self, children: Vec<Children>) -> Self {
        self.asked.extend(children.iter().map(|children| children.asked.clone()));
        Self { children, ..self }
    }

    /// The cells of the content, and the rows of each child table.
    pub(super) fn cells_and_rows(
        &self,
        id: &Id,
        record: &Record,
    ) -> Result<(Vec<Cell>, Vec<Cell>), StoreError> {
        let mut cells = self.table.cells(id, record)?;
        let rows = cells.split_off(self.kinds.len());
        Ok((cells, rows))
    }

    /// The columns of a record.
    pub(super) fn all(&self) -> String {
        format!("{}, {}", self.place_and_version(), self.asked.join(", "))
    }

    /// The columns that every query begins with.
    pub(super) fn place_and_version(&self) -> String {
        let [tenant, key] = &self.places;
        format!("{}, {}, {}", tenant.asked(), key.asked(), self.version)
    }

    // A long list can make the planner read the whole table instead, so the index is forced.
    fn select(&self, columns: &str) -> String {
        format!("SELECT {columns} FROM {} FORCE INDEX (PRIMARY) WHERE ", self.name)
    }

    /// To be followed by [`Self::id`]s.
    pub(super) fn find_in(&self, columns: &str) -> String {
        format!("{}({}) IN (", self.select(columns), self.ids)
    }

    /// From the first to the last key that each tenant has among the ids, which are in order; at most `rows`
    /// rows, in the same order. `None`: it would be no less work than [`Self::find_in`].
    pub(super) fn between(&self, columns: &str, ids: &[&Id], rows: usize) -> Option<String> {
        let of_tenants: Vec<_> = ids.chunk_by(|one, other| one.tenant == other.tenant).collect();
        if !self.keys.are_in_byte_order() || ids.len() < of_tenants.len().max(1) * RUN {
            return None;
        }
        let (ids, [tenant, key]) = (&self.ids, &self.places);
        let ranges = of_tenants.into_iter().filter_map(|of| {
            let (first, last) = (of.first()?, of.last()?);
            let of = tenant.value(first.tenant.as_bytes());
            let [first, last] = [first, last].map(|id| key.value(id.key.as_bytes()));
            Some(format!("{} = {of} AND {} BETWEEN {first} AND {last}", tenant.name, key.name))
        });
        let ranges = ranges.collect::<Vec<_>>().join(" OR ");
        Some(format!("{}{ranges} ORDER BY {ids} LIMIT {rows}", self.select(columns)))
    }

    /// To be followed by [`Self::values`].
    pub(super) fn insert(&self) -> String {
        let Self { name, ids, version, content, .. } = self;
        format!("INSERT INTO {name} ({ids}, {version}, {}) VALUES ", content.join(", "))
    }

    pub(super) fn values(&self, text: &mut Vec<u8>, id: &Id, record: &Record) -> Result<(), StoreError> {
        let (cells, _) = self.cells_and_rows(id, record)?;
        self.id(text, id);
        // Without its parenthesis.
        text.pop();
        text.extend_from_slice(format!(",{}", column_of(record.version)?).as_bytes());
        for cell in &cells {
            text.push(b',');
            value(text, cell);
        }
        text.push(b')');
        Ok(())
    }

    /// The guard. `version` comes last, because assignments are evaluated from left to right and see the
    /// earlier ones. `VALUES()` is deprecated in MySQL, but MariaDB has no row alias and MySQL keeps both.
    /// `LAST_INSERT_ID(`[`NOT_WRITTEN`]`)` is evaluated where the guard holds, so the answer includes it. (sqlx
    /// makes the server count rows found, so an insert and an unchanged row would look alike.) An insert into a
    /// table with AUTO_INCREMENT sets it too, to the new number. Of a batch we then look once more than needed.
    pub(super) fn if_newer(&self) -> String {
        let version = &self.version;
        // A negative version is the application's own, with an unknown meaning.
        let same: String = self.places.iter().map(Place::and_exactly_given).collect();
        let newer = format!("VALUES({version}) > {version} AND {version} >= 0{same}");
        let mut sql = " ON DUPLICATE KEY UPDATE ".to_owned();
        for column in &self.content {
            sql += &format!("{column} = IF({newer}, VALUES({column}), {column}), ");
        }
        sql + &format!(
            "{version} = IF({newer}, VALUES({version}), \
             IF(LAST_INSERT_ID({NOT_WRITTEN}), {version}, {version}))"
        )
    }

    /// Leaves an existing row unchanged. Unlike INSERT IGNORE it ignores nothing else.
    pub(super) fn unless_there(&self) -> String {
        let version = &self.version;
        format!(
            " ON DUPLICATE KEY UPDATE {version} = IF(LAST_INSERT_ID({NOT_WRITTEN}), {version}, {version})"
        )
    }

    /// To be followed by [`Self::is`].
    pub(super) fn update(&self, id: &Id, record: &Record) -> Result<String, StoreError> {
        let mut set = format!("{} = {}", self.version, column_of(record.version)?).into_bytes();
        for (column, cell) in self.content.iter().zip(&self.table.cells(id, record)?) {
            set.extend_from_slice(format!(", {column} = ").as_bytes());
            value(&mut set, cell);
        }
        Ok(format!("UPDATE {} SET {} WHERE ", self.name, String::from_utf8_lossy(&set)))
    }

    pub(super) fn is(&self, text: &mut Vec<u8>, id: &Id) {
        text.extend_from_slice(format!("({}) = ", self.ids).as_bytes());
        self.id(text, id);
        let [tenant, key] = &self.places;
        text.extend_from_slice(tenant.and_exactly(id.tenant.as_bytes()).as_bytes());
        text.extend_from_slice(key.and_exactly(id.key.as_bytes()).as_bytes());
    }

    /// To be followed by the version.
    pub(super) fn and_version(&self) -> String {
        format!(" AND {} = ", self.version)
    }

    /// The places of an id, which are one if a column is both.
    pub(super) fn places(&self) -> &[Place] {
        &self.places[..self.table.ids().len()]
    }

    /// The bytes of those of `(tenant,key)` that [`Place::bytes_of`] compares.
    pub(super) fn bytes_of_id(&self, id: &Id) -> String {
        let values = self.places().iter().zip([&id.tenant, &id.key]);
        let bytes =
            values.filter(|(place, _)| place.bytes_of("").is_some()).map(|(_, of)| hex(of.as_bytes()));
        format!("({})", bytes.collect::<Vec<_>>().join(","))
    }

    /// `(tenant,key)`
    pub(super) fn id(&self, text: &mut Vec<u8>, id: &Id) {
        let [tenant, key] = &self.places;
        text.push(b'(');
        text.extend_from_slice(tenant.value(id.tenant.as_bytes()).as_bytes());
        if !self.table.fields.is_own_tenant() {
            text.push(b',');
            text.extend_from_slice(key.value(id.key.as_bytes()).as_bytes());
        }
        text.push(b')');
    }

    /// Tenant and key of what the server takes for this id.
    pub(super) fn equal(&self, id: &Id) -> String {
        let [tenant, key] = &self.places;
        let mut it = Vec::new();
        self.id(&mut it, id);
        let asked = self.select(&format!("{}, {}", tenant.asked(), key.asked()));
        format!("{asked}({}) = {} LIMIT 1", self.ids, String::from_utf8_lossy(&it))
    }

    pub(super) fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        after: Option<At<'_>>,
        rows: usize,
    ) -> Result<String, StoreError> {
        let Self { name, ids, .. } = self;
        let of_rows = self.wanted(&self.places, scope, segment, after)?;
        if !self.ledger.is_empty() {
            let of_entries = self.wanted(&self.of_ledger(), scope, segment, after)?;
            return Ok(self.both_page(&of_entries, &of_rows, rows));
        }
        let all = self.all();
        Ok(format!(
            "SELECT {all} FROM {name} FORCE INDEX (PRIMARY) WHERE {of_rows} ORDER BY {ids} LIMIT {rows}"
        ))
    }

    /// What a scan asks for, given the columns of tenant and key.
    fn wanted(
        &self,
        [tenant, key]: &[Place; 2],
        scope: &Scope,
        segment: Segment,
        after: Option<At<'_>>,
    ) -> Result<String, StoreError> {
        let mut sql = "TRUE".to_owned();
        let mut and = |condition: std::fmt::Arguments<'_>| {
            sql.write_fmt(format_args!(" AND ({condition})")).expect("a String takes all");
        };
        match scope {
            Scope::All => and(format_args!("{}", places(tenant, key, after, None))),
            Scope::UpTo(end) => {
                and(format_args!("{}", places(tenant, key, after, Some(end.place()?))));
            }
            Scope::Tenant(of) | Scope::Keys { tenant: of, .. } => {
                let exactly = tenant.and_exactly(of.as_bytes());
                and(format_args!("{} = {}{exactly}", tenant.name, tenant.value(of.as_bytes())));
                if let Some((_, at)) = after {
                    and(format_args!("{} > {}", key.name, key.value(at)));
                }
            }
        }
        if let Scope::Keys { range, .. } = scope {
            let (from, includes_from) = range.start();
            let than = if includes_from { ">=" } else { ">" };
            and(format_args!("{} {than} {}", key.name, key.value(from.as_bytes())));
            if let Some(end) = range.end() {
                and(format_args!("{} < {}", key.name, key.value(end.as_bytes())));
            }
        }
        // Other keys have other bytes than their texts: rows of other segments are left out when they are here.
        if segment.of > 1 && self.keys.are_in_byte_order() {
            // As in `Segment::contains`.
            let Segment { index, of } = segment;
            let (tenant, key) = (&tenant.name, &key.name);
            and(format_args!("(CRC32(CONCAT({tenant}, x'00', {key})) * {of}) >> 32 = {index}"));
        }
        Ok(sql)
    }

    pub(super) fn estimate(&self) -> String {
        format!(
            "SELECT CAST(table_rows AS SIGNED), CAST(data_length AS SIGNED) FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_name = '{}'",
            self.table.name
        )
    }

    /// From a row with all columns, see [`Self::all`].
    pub(super) fn found(&self, row: &MySqlRow) -> Result<Found, StoreError> {
        let (tenant, key) = place(row)?;
        let (tenant, key) = (tenant.to_vec(), key.to_vec());
        let value = |version| Ok(Record { version, value: self.table.value(version, self.cells_of(row)?)? });
        Ok(Found { tenant, key, record: self.version(row).and_then(value) })
    }

    pub(super) fn cells_of(&self, row: &MySqlRow) -> Result<Vec<Cell>, StoreError> {
        let content = self.kinds.iter().enumerate();
        let cells: Result<Vec<Cell>, sqlx::Error> =
            content.map(|(at, kind)| cell(row, at + 3, *kind)).collect();
        let mut cells = cells.map_err(|error| MySql::error(error, false))?;
        for (child, at) in self.table.children().iter().zip(3 + self.kinds.len()..) {
            let rows = row.try_get_unchecked(at).map_err(|error| MySql::error(error, false))?;
            cells.push(counted_rows(child, rows, is_hex)?);
        }
        Ok(cells)
    }

    /// From a row that begins with tenant, key and version.
    pub(super) fn version(&self, row: &MySqlRow) -> Result<Version, StoreError> {
        let found = row.try_get(2).map_err(|error| MySql::error(error, false))?;
        foreign::version(&self.table.fields.version, found)
    }
}

/// Rows after one place and up to another, as ranges of the index: a comparison of pairs would not use it
/// as a range.
fn places(tenant: &Place, key: &Place, after: Option<At<'_>>, up_to: Option<At<'_>>) -> String {
    let of_place = |(of, at): At<'_>| (tenant.value(of), key.value(at));
    let (from, to) = (after.map(of_place), up_to.map(of_place));
    let is_one_column = tenant.name == key.name;
    let (tenant, key) = (&tenant.name, &key.name);
    if is_one_column {
        // The end of a page may be a place of another table, with a key that is not its tenant.
        let from = after
            .zip(from)
            .map(|((of, at), (value, _))| format!("{tenant} {} {value}", if at < of { ">=" } else { ">" }));
        let to = up_to
            .zip(to)
            .map(|((to, end), (value, _))| format!("{tenant} {} {value}", if end < to { "<" } else { "<=" }));
        let both = [from, to].into_iter().flatten().collect::<Vec<_>>().join(" AND ");
        return if both.is_empty() { "TRUE".to_owned() } else { both };
    }
    if after.zip(up_to).is_some_and(|(from, to)| from > to) {
        return "FALSE".to_owned();
    }
    match (from, to) {
        (None, None) => "TRUE".to_owned(),
        (Some((of, at)), None) => format!("{tenant} > {of} OR {tenant} = {of} AND {key} > {at}"),
        (None, Some((to, end))) => format!("{tenant} < {to} OR {tenant} = {to} AND {key} <= {end}"),
        (Some((of, at)), Some((to, end))) if of == to => {
            format!("{tenant} = {of} AND {key} > {at} AND {key} <= {end}")
        }
        (Some((of, at)), Some((to, end))) => format!(
            "{tenant} = {of} AND {key} > {at} OR {tenant} > {of} AND {tenant} < {to} \
             OR {tenant} = {to} AND {key} <= {end}"
        ),
    }
}

/// Tenant and key of a row that begins with tenant, key and version.
pub(super) fn place(row: &MySqlRow) -> Result<At<'_>, StoreError> {
    // All of a text query's answer is text, and a UUID was asked for as one.
    let read = || Ok((row.try_get_unchecked(0)?, row.try_get_unchecked(1)?));
    read().map_err(|error| MySql::error(error, false))
}
