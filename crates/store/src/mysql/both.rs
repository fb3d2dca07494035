//! The statements about a table and its ledger.

use sqlx::{MySql, Row, mysql::MySqlRow};

use super::{
    super::{
        Id, Record, StoreError, Version,
        mapping::Cell,
        sql::{Entry, Part},
    },
    Database, column_of,
    keys::Place,
    layout::{Layout, NOT_WRITTEN, RUN, place},
    literal::value,
};

impl Layout {
    /// The cells of the table's own columns.
    pub(super) fn cells(&self, id: &Id, record: &Record) -> Result<Vec<Cell>, StoreError> {
        let marks = self.content.len() - self.table.own_content().len();
        Ok(self.cells_and_rows(id, record)?.0.split_off(marks))
    }

    fn own(&self) -> &[String] {
        &self.content[self.content.len() - self.table.own_content().len()..]
    }

    /// `(tenant,key,version,deleted)` of the ledger.
    pub(super) fn entry_values(
        &self,
        text: &mut Vec<u8>,
        id: &Id,
        record: &Record,
    ) -> Result<(), StoreError> {
        self.entry_id(text, id);
        text.pop();
        let deleted = u8::from(record.is_tombstone());
        text.extend_from_slice(format!(",{},{deleted})", column_of(record.version)?).as_bytes());
        Ok(())
    }

    /// `(tenant,key,..)` of the table.
    pub(super) fn row_values(&self, text: &mut Vec<u8>, id: &Id, record: &Record) -> Result<(), StoreError> {
        let cells = self.cells(id, record)?;
        self.id(text, id);
        text.pop();
        for cell in &cells {
            text.push(b',');
            value(text, cell);
        }
        text.push(b')');
        Ok(())
    }

    /// Calls `LAST_INSERT_ID(1)` for entries that are there and do not fulfil the condition. The transaction is then
    /// undone, so the mark, which comes last because the condition sees it, needs no condition.
    pub(super) fn upsert_entries(&self, values: &str, condition: &str) -> String {
        format!(
            "INSERT INTO {} (tenant, `key`, version, deleted) VALUES {values} ON DUPLICATE KEY UPDATE \
             version = IF({condition}, VALUES(version), IF(LAST_INSERT_ID(1), version, version)), \
             deleted = VALUES(deleted)",
            self.ledger
        )
    }

    /// If the record reads as this version. `has_row`: whether the row is there.
    pub(super) fn update_entry(
        &self,
        id: &Id,
        record: &Record,
        expected: Version,
        has_row: &str,
    ) -> Result<String, StoreError> {
        let (version, expected) = (column_of(record.version)?, column_of(expected)?);
        let deleted = u8::from(record.is_tombstone());
        let mut it = Vec::new();
        self.entry_id(&mut it, id);
        let it = String::from_utf8_lossy(&it);
        let ledger = &self.ledger;
        Ok(format!(
            "UPDATE {ledger} SET version = {version}, deleted = {deleted} WHERE (tenant, `key`) = {it} \
             AND version = {expected} AND deleted <> {has_row}"
        ))
    }

    /// Calls `LAST_INSERT_ID(`[`NOT_WRITTEN`]`)` for rows that are there, and leaves them as they are.
    pub(super) fn insert_rows(&self, values: &str) -> String {
        let Self { key, .. } = self;
        format!(
            "{}{values} ON DUPLICATE KEY UPDATE {key} = IF(LAST_INSERT_ID({NOT_WRITTEN}), {key}, {key})",
            self.rows_begin()
        )
    }

    /// Fails if a row is there.
    pub(super) fn only_insert_rows(&self, values: &str) -> String {
        format!("{}{values}", self.rows_begin())
    }

    pub(super) fn upsert_rows(&self, values: &str) -> String {
        let set: Vec<String> = self.own().iter().map(|name| format!("{name} = VALUES({name})")).collect();
        format!("{}{values} ON DUPLICATE KEY UPDATE {}", self.rows_begin(), set.join(", "))
    }

    fn rows_begin(&self) -> String {
        format!("INSERT INTO {} ({}, {}) VALUES ", self.name, self.ids, self.own().join(", "))
    }

    pub(super) fn update_row(&self, id: &Id, record: &Record) -> Result<String, StoreError> {
        let mut set = Vec::new();
        for (column, cell) in self.own().iter().zip(&self.cells(id, record)?) {
            set.extend_from_slice(
                format!("{}{column} = ", if set.is_empty() { "" } else { ", " }).as_bytes(),
            );
            value(&mut set, cell);
        }
        let mut it = Vec::new();
        self.is(&mut it, id);
        let (set, it) = (String::from_utf8_lossy(&set), String::from_utf8_lossy(&it));
        Ok(format!("UPDATE {} SET {set} WHERE {it}", self.name))
    }

    /// The index is forced as in [`Self::find_in`].
    pub(super) fn delete_rows(&self, ids: &str) -> String {
        let (tenant, key) = (&self.tenant, &self.key);
        let of = if self.table.fields.is_own_tenant() {
            format!("t.{key}")
        } else {
            format!("t.{tenant}, t.{key}")
        };
        format!("DELETE t FROM {} AS t FORCE INDEX (PRIMARY) WHERE ({of}) IN ({ids})", self.name)
    }

    pub(super) fn has_row(&self, id: &str) -> String {
        format!("EXISTS (SELECT 1 FROM {} WHERE ({}) = {id})", self.name, self.ids)
    }

    /// Tenant and key of the ledger.
    pub(super) fn of_ledger(&self) -> [Place; 2] {
        let [tenant, key] = &self.places;
        [tenant.in_ledger("tenant"), key.in_ledger("key")]
    }

    fn entry_id(&self, text: &mut Vec<u8>, id: &Id) {
        let [tenant, key] = self.of_ledger();
        let it = format!("({},{})", tenant.value(id.tenant.as_bytes()), key.value(id.key.as_bytes()));
        text.extend_from_slice(it.as_bytes());
    }

    /// Entries first, then rows, whose third and last columns are NULL. If only the server knows their order, each entry
    /// comes right before its row.
    fn both(&self, with_content: bool, of_entries: &str, of_rows: &str) -> String {
        let Self { name, ledger, asked, .. } = self;
        let [tenant, key] = &self.places;
        let (of_tenant, of_key) = (tenant.in_ledger("tenant").asked(), key.in_ledger("key").asked());
        let (tenant, key) = (tenant.asked(), key.asked());
        let (mut none, mut all) = (String::new(), String::new());
        if with_content {
            none = ", NULL".repeat(asked.len());
            let marks = self.content.len() - self.own().len();
            all = ", FALSE".repeat(marks)
                + &asked[marks..].iter().map(|name| format!(", {name}")).collect::<String>();
        }
        format!(
            "(SELECT {of_tenant}, {of_key}, version{none}, deleted FROM {ledger} FORCE INDEX (PRIMARY) WHERE {of_entries}) \
             UNION ALL (SELECT {tenant}, {key}, NULL{all}, NULL FROM {name} FORCE INDEX (PRIMARY) WHERE {of_rows})"
        )
    }

    /// A page of a scan: up to so many entries and so many rows, each in order. One statement, so that both are
    /// read in one snapshot.
    pub(super) fn both_page(&self, of_entries: &str, of_rows: &str, rows: usize) -> String {
        let both = self.both(
            true,
            &format!("{of_entries} ORDER BY tenant, `key` LIMIT {rows}"),
            &format!("{of_rows} ORDER BY {} LIMIT {rows}", self.ids),
        );
        match self.keys.are_in_byte_order() {
            true => both,
            // NULL comes last.
            false => format!("{both} ORDER BY 1, 2, 3 DESC"),
        }
    }

    pub(super) fn both_in(&self, with_content: bool, ids: &[&Id]) -> String {
        let (mut of_entries, mut of_rows) = (Vec::new(), Vec::new());
        for id in ids {
            for text in [&mut of_entries, &mut of_rows] {
                if !text.is_empty() {
                    text.push(b',');
                }
            }
            self.entry_id(&mut of_entries, id);
            self.id(&mut of_rows, id);
        }
        self.both(
            with_content,
            &format!("(tenant, `key`) IN ({})", String::from_utf8_lossy(&of_entries)),
            &format!("({}) IN ({})", self.ids, String::from_utf8_lossy(&of_rows)),
        )
    }

    /// As [`Self::between`], with up to `most` entries and as many rows.
    pub(super) fn both_between(&self, with_content: bool, ids: &[&Id], most: usize) -> Option<String> {
        let of_tenants: Vec<_> = ids.chunk_by(|one, other| one.tenant == other.tenant).collect();
        if !self.keys.are_in_byte_order() || ids.len() < of_tenants.len().max(1) * RUN {
            return None;
        }
        let ranges = |[tenant, key]: &[Place; 2]| {
            let ranges = of_tenants.iter().filter_map(|of| {
                let (first, last) = (of.first()?, of.last()?);
                let of = tenant.value(first.tenant.as_bytes());
                let [first, last] = [first, last].map(|id| key.value(id.key.as_bytes()));
                Some(format!("{} = {of} AND {} BETWEEN {first} AND {last}", tenant.name, key.name))
            });
            ranges.collect::<Vec<_>>().join(" OR ")
        };
        Some(self.both(
            with_content,
            &format!("{} ORDER BY tenant, `key` LIMIT {most}", ranges(&self.of_ledger())),
            &format!("{} ORDER BY {} LIMIT {most}", ranges(&self.places), self.ids),
        ))
    }

    /// From a row of both tables.
    pub(super) fn is_entry(&self, row: &MySqlRow) -> Result<bool, StoreError> {
        let version: Option<i64> = row.try_get_unchecked(2).map_err(|error| MySql::error(error, false))?;
        Ok(version.is_some())
    }

    /// From a row of both tables that is an entry.
    pub(super) fn entry(&self, row: &MySqlRow) -> Result<Entry, StoreError> {
        let deleted = row.try_get_unchecked::<i64, _>(row.len() - 1);
        let deleted = deleted.map_err(|error| MySql::error(error, false))? != 0;
        Ok(Entry { version: self.version(row)?, deleted })
    }

    /// From a row of a scan.
    pub(super) fn part(&self, row: &MySqlRow) -> Result<Part, StoreError> {
        if self.ledger.is_empty() {
            return Ok(Part::Record(self.found(row)?));
        }
        let (tenant, key) = place(row)?;
        let (tenant, key) = (tenant.to_vec(), key.to_vec());
        let texts = (str::from_utf8(&tenant).unwrap_or_default(), str::from_utf8(&key).unwrap_or_default());
        let is_reserved = texts != ("", "") && self.keys.is_reserved(texts.0, texts.1);
        Ok(match self.is_entry(row)? {
            true => Part::Entry { tenant, key, entry: self.entry(row) },
            false if is_reserved => Part::Record(self.keys.reserved_row(tenant, key)),
            false => Part::Row { tenant, key, cells: self.cells_of(row) },
        })
    }
}
