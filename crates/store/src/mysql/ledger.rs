//! Versions and tombstones in a table beside the records', written in one transaction with them. A record is
//! what both say together: docs/adr/0041-a-ledger-beside-the-table.md.
//!
//! A transaction is one text. Its checks are expressions that fail, so that the server skips the rest.

use sqlx::{Row, mysql::MySqlRow};

use super::{
    super::{
        Id, Put, Record, StoreError, Version,
        error::Doubt,
        mapping::Dialect,
        scan::Place,
        sql::{Entry, LedgerId, Over, ROUNDS, Wrote, swallowed},
    },
    MySqlStore, ROWS_MAX, STATEMENT_BYTES_MAX, Statement, layout,
};

/// A transaction that somebody left open would be committed by the beginning of the next one.
pub(super) const BEGIN: &str = "ROLLBACK; START TRANSACTION";

/// What follows a body.
const FRAME_BYTES: usize = 64;

/// Fails with error 1690 if a condition did not hold; the message repeats the expression.
const CHECK: &str = "; SELECT EXP(1000 * LAST_INSERT_ID()); ";

/// Fails as well unless the statement before it found one row.
const CHECK_ONE: &str = "; SELECT EXP(1000 * (ROW_COUNT() <> 1 OR LAST_INSERT_ID() <> 0)); ";

/// Whether error 1690 comes from [`CHECK`] or [`CHECK_ONE`].
pub(super) fn is_undone(message: &str) -> bool {
    message.to_ascii_lowercase().contains("last_insert_id")
}

/// What a transaction does with records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Records of version 0, which replace nothing.
    First,
    Newer,
    Tombstones,
}

impl Kind {
    pub(super) fn of(record: &Record) -> Self {
        match (record.is_tombstone(), record.version) {
            (true, _) => Self::Tombstones,
            (false, Version::ZERO) => Self::First,
            (false, _) => Self::Newer,
        }
    }
}

impl MySqlStore {
    /// The id that the ledger has now; an error if it has none.
    pub(super) async fn found_id(&self, name: &str) -> Result<LedgerId, StoreError> {
        let (ledger, id) = (&self.layout.ledger, self.ledger_id().await?);
        LedgerId::found(Dialect::MySql, ledger, &self.layout.keys, name, id)
    }

    /// The id that the ledger has now.
    pub(super) async fn ledger_id(&self) -> Result<Option<i64>, StoreError> {
        let rows = self.rows(LedgerId::asked(Dialect::MySql, &self.layout.ledger, &self.layout.keys)).await?;
        Ok(rows.first().and_then(|row| row.try_get_unchecked(0).ok()))
    }

    /// [`super::super::sql::Guarded::write`] of a table with a ledger.
    pub(super) async fn put_with(&self, records: &[(&Id, &Record)], over: Over) -> Result<Wrote, StoreError> {
        let mut wrote = Wrote { all: true, doubt: None };
        for kind in [Kind::First, Kind::Newer, Kind::Tombstones] {
            let of_kind: Vec<_> =
                records.iter().copied().filter(|(_, record)| Kind::of(record) == kind).collect();
            for part in of_kind.chunks(self.written_max) {
                // Records of version 0 that were there keep their rows.
                let not_written = if kind == Kind::First { "LAST_INSERT_ID()" } else { "0" };
                for body in self.bodies(kind, over, part)? {
                    let sql = format!("{}{body}SELECT {not_written}; COMMIT", self.begin());
                    let (all, doubt) = self.changed(sql).await?;
                    wrote.all &= all;
                    wrote.doubt = wrote.doubt.or(doubt);
                }
            }
        }
        Ok(wrote)
    }

    /// The bodies of as few transactions as the server's packets allow.
    pub(super) fn bodies(
        &self,
        kind: Kind,
        over: Over,
        records: &[(&Id, &Record)],
    ) -> Result<Vec<String>, StoreError> {
        let limit_bytes = self.packet_bytes.saturating_sub(64);
        let (mut texts, mut entries, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        let frame = self.begin().len() + self.body(kind, over, "", "").len() + FRAME_BYTES;
        for (id, record) in records {
            let (mut entry, mut row) = (Vec::new(), Vec::new());
            self.layout.entry_values(&mut entry, id, record)?;
            match kind {
                Kind::Tombstones => {
                    self.layout.cells(id, record)?;
                    self.layout.id(&mut row, id);
                }
                _ => self.layout.row_values(&mut row, id, record)?,
            }
            let bytes = frame + entry.len() + row.len() + 2;
            if bytes > limit_bytes {
                return Err(self.too_large(bytes));
            }
            let all_bytes = bytes + entries.len() + rows.len();
            if !entries.is_empty() && all_bytes > limit_bytes.min(STATEMENT_BYTES_MAX) {
                texts.push(self.body(kind, over, &text(&entries), &text(&rows)));
                (entries, rows) = (Vec::new(), Vec::new());
            }
            for (all, one) in [(&mut entries, entry), (&mut rows, row)] {
                if !all.is_empty() {
                    all.push(b',');
                }
                all.extend(one);
            }
        }
        if !entries.is_empty() {
            texts.push(self.body(kind, over, &text(&entries), &text(&rows)));
        }
        Ok(texts)
    }

    /// `LAST_INSERT_ID(1)` is called where a condition does not hold; the first one is that this is the ledger that was
    /// opened.
    fn begin(&self) -> String {
        format!("{BEGIN}; {}", self.our_ledger())
    }

    /// The first condition.
    pub(super) fn our_ledger(&self) -> String {
        let is_it =
            self.layout.ledger_id.map(|id| id.is_it(Dialect::MySql, &self.layout.ledger, &self.layout.keys));
        let is_it = is_it.unwrap_or_else(|| "FALSE".to_owned());
        format!("DO LAST_INSERT_ID(NOT ({is_it})); ")
    }

    fn body(&self, kind: Kind, over: Over, entries: &str, rows: &str) -> String {
        let layout = &self.layout;
        // A negative version is the application's own, with an unknown meaning.
        let newer = match (kind, over) {
            (Kind::First, _) => "version = 0",
            (_, Over::Older) => "VALUES(version) > version AND version >= 0",
            (_, Over::Same) => "VALUES(version) >= version AND version >= 0",
        };
        let entries = layout.upsert_entries(entries, newer);
        let rows = match kind {
            Kind::First => layout.insert_rows(rows),
            Kind::Newer => layout.upsert_rows(rows),
            Kind::Tombstones => layout.delete_rows(rows),
        };
        format!("{entries}{CHECK}{rows}; ")
    }

    /// [`super::Store::put_if_unchanged`] of a table with a ledger.
    pub(super) async fn put_if(
        &self,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError> {
        let layout = &self.layout;
        let (mut entry, mut it, mut row) = (Vec::new(), Vec::new(), Vec::new());
        layout.entry_values(&mut entry, id, record)?;
        layout.id(&mut it, id);
        layout.row_values(&mut row, id, record)?;
        let (entry, it, row) = (text(&entry), text(&it), text(&row));
        let has_row = layout.has_row(&it);
        // An entry counts only if it agrees with the row.
        let entries = match expected {
            Some(expected) if expected > Version::ZERO => {
                format!("{}{CHECK_ONE}", layout.update_entry(id, record, expected, &has_row)?)
            }
            Some(_) => format!("{}{CHECK}", layout.upsert_entries(&entry, "version = 0 OR deleted")),
            None => format!("{}{CHECK}", layout.upsert_entries(&entry, "version = 0 OR NOT deleted")),
        };
        // In a statement of its own, which sees what was committed before the entry was locked. An AUTO_INCREMENT column
        // sets LAST_INSERT_ID, so nothing asks for it after an insert.
        let none = format!("SELECT EXP(1000 * (LAST_INSERT_ID() <> 0 OR {has_row})); ");
        let rows = match (record.is_tombstone(), expected) {
            (false, None) => format!("{none}{}; ", layout.only_insert_rows(&row)),
            (false, Some(Version::ZERO)) => format!("{}{CHECK_ONE}", layout.update_row(id, record)?),
            (false, Some(_)) => format!("{}; ", layout.upsert_rows(&row)),
            (true, None) => none,
            (true, Some(Version::ZERO)) => format!("{}{CHECK_ONE}", layout.delete_rows(&it)),
            (true, Some(_)) => format!("{}; ", layout.delete_rows(&it)),
        };
        let sql = format!("{}{entries}{rows}SELECT 0; COMMIT", self.begin());
        let mut doubt: Doubt = None;
        for _ in 0..ROUNDS {
            match self.changed(sql.clone()).await {
                Ok((true, _)) => return Ok(Put::Applied),
                Ok((false, lost)) => doubt = doubt.or(lost),
                Err(error) => return Err(doubt.unwrap_or(error)),
            }
            let current = super::version_after(self, id, &doubt).await?.and_then(|there| there.reads_as);
            if current != expected {
                return Put::unless_this(record.version, current.unwrap_or_default()).or_doubt(doubt);
            }
        }
        Err(doubt.unwrap_or_else(swallowed))
    }

    /// Whether all was written; if not, nothing was, except records of version 0 that were not there.
    async fn changed(&self, sql: String) -> Result<(bool, Doubt), StoreError> {
        match self.calls.change(&[&Statement::begins(sql)]).await {
            Ok((rows, doubt)) => Ok((rows.last().is_some_and(|row| number(row) == Some(0)), doubt)),
            Err(error) if error == swallowed() => Ok((false, None)),
            Err(error) => Err(error),
        }
    }

    /// [`Self::find`] in a table with a ledger: rows and entries, each statement with both.
    pub(super) async fn find_both<T: Send>(
        &self,
        with_content: bool,
        ids: &[&Id],
        decode: impl Fn(Option<Entry>, Option<&MySqlRow>) -> Result<Option<T>, StoreError> + Send + Sync,
    ) -> Result<Vec<Option<T>>, StoreError> {
        let mut all: Vec<Option<T>> = ids.iter().map(|_| None).collect();
        let places: std::collections::HashMap<Place<'_>, usize> =
            ids.iter().enumerate().map(|(at, id)| (id.place(), at)).collect();
        let ids: Vec<&Id> = ids.iter().copied().filter(|id| self.layout.keys.takes(id)).collect();
        // Of the places up to this one everything was answered.
        let mut take = |rows: &[MySqlRow], end: Option<Place<'_>>| {
            let mut found: std::collections::BTreeMap<usize, (Option<Entry>, Option<&MySqlRow>)> =
                Default::default();
            for row in rows {
                let place = layout::place(row)?;
                let is_in = end.is_none_or(|end| place <= end);
                let Some(at) = places.get(&place).filter(|_| is_in) else { continue };
                let (entry, of_row) = found.entry(*at).or_default();
                match self.layout.is_entry(row)? {
                    true => *entry = Some(self.layout.entry(row)?),
                    false => *of_row = Some(row),
                }
            }
            for (at, (entry, row)) in found {
                all[at] = decode(entry, row)?;
            }
            Ok::<_, StoreError>(())
        };
        let between = |ids: &[&Id], most| self.layout.both_between(with_content, ids, most);
        let left = self
            .find_between(&ids, between, |rows, most| {
                let mut end: Option<Place<'_>> = None;
                for entries in [true, false] {
                    let mut half = Vec::new();
                    for row in rows {
                        if self.layout.is_entry(row)? == entries {
                            half.push(layout::place(row)?);
                        }
                    }
                    if let Some(last) = half.last().filter(|_| half.len() == most) {
                        end = Some(end.map_or(*last, |end| end.min(*last)));
                    }
                }
                take(rows, end)?;
                Ok(end)
            })
            .await?;
        // Both halves name every id.
        let most = (self.packet_bytes / 6000).clamp(1, ROWS_MAX);
        for ids in left.chunks(most) {
            take(&self.rows(self.layout.both_in(with_content, ids)).await?, None)?;
        }
        Ok(all)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn number(row: &MySqlRow) -> Option<i64> {
    row.try_get_unchecked(0).ok()
}
