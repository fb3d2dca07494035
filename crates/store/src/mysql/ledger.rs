//! Versions and tombstones in a table beside the records', written in one transaction with them. A record is
//! what both say together: docs/adr/0041-a-ledger-beside-the-table.md.
//!
//! A transaction is one text, or several with child tables. Its checks are expressions that fail, so that the server skips the
//! rest.

use sqlx::{Row, mysql::MySqlRow};

use super::{
    super::{
        Id, Put, Record, StoreError, Version,
        error::Doubt,
        mapping::Dialect,
        scan::Place,
        sql::{Entry, LedgerId, OWN_LEDGER, Over, ROUNDS, Wrote, own_ledger, swallowed, unless_in_doubt},
    },
    MySqlStore, ROWS_MAX, STATEMENT_BYTES_MAX, Statement, layout,
    layout::{Layout, NOT_WRITTEN},
};

/// A transaction that somebody left open would be committed by the beginning of the next one.
pub(super) const BEGIN: &str = "ROLLBACK; START TRANSACTION";

/// What follows the writes of a table: [`OWN_LEDGER`] is of these alone.
pub(super) const END: &str = "SET @cutover_stamps = NULL";

/// What follows a body.
const FRAME_BYTES: usize = 64;

/// Fails with error 1690 if a condition did not hold; the message repeats the expression.
const CHECK: &str = "SELECT EXP(1000 * LAST_INSERT_ID())";

/// Fails as well unless the statement before it found one row.
pub(super) const CHECK_ONE: &str = "SELECT EXP(1000 * (ROW_COUNT() <> 1 OR LAST_INSERT_ID() <> 0))";

/// Fails as well if one of so many rows was not written, as [`NOT_WRITTEN`] says. An AUTO_INCREMENT would hide one of several,
/// so that is an error, too.
pub(super) fn check_written(rows: usize) -> String {
    if rows == 1 {
        format!("SELECT EXP(1000 * (LAST_INSERT_ID() = {NOT_WRITTEN}))")
    } else {
        CHECK.to_owned()
    }
}

/// Whether error 1690 comes from one of these.
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
                    let (all, doubt) = self.changed(&self.transaction(body, not_written)).await?;
                    wrote.all &= all;
                    wrote.doubt = wrote.doubt.or(doubt);
                }
            }
        }
        Ok(wrote)
    }

    /// The statements of as few transactions as the server's packets allow.
    pub(super) fn bodies(
        &self,
        kind: Kind,
        over: Over,
        records: &[(&Id, &Record)],
    ) -> Result<Vec<Vec<String>>, StoreError> {
        let limit_bytes = self.packet_bytes.saturating_sub(64);
        let (mut bodies, mut entries, mut rows, mut from) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let frame = self.transaction(self.body(kind, over, ("", ""), &[])?, "");
        let frame = frame.concat().len() + FRAME_BYTES;
        for (at, (id, record)) in records.iter().enumerate() {
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
                bodies.push(self.body(kind, over, (&text(&entries), &text(&rows)), &records[from..at])?);
                (entries, rows, from) = (Vec::new(), Vec::new(), at);
            }
            for (all, one) in [(&mut entries, entry), (&mut rows, row)] {
                if !all.is_empty() {
                    all.push(b',');
                }
                all.extend(one);
            }
        }
        if !entries.is_empty() {
            bodies.push(self.body(kind, over, (&text(&entries), &text(&rows)), &records[from..])?);
        }
        Ok(bodies)
    }

    /// A transaction as texts: a single one, or, with child tables, as many as the server's packets take and then the COMMIT.
    /// Its last row is `answer`.
    pub(super) fn transaction(&self, body: Vec<String>, answer: &str) -> Vec<String> {
        let begin = [BEGIN.to_owned(), self.first_condition()];
        let all = begin.into_iter().chain(body).chain([END.to_owned(), format!("SELECT {answer}")]);
        if self.layout.children.is_empty() {
            return vec![format!("{}; COMMIT", all.collect::<Vec<_>>().join("; "))];
        }
        let mut texts = self.texts(all);
        texts.push("COMMIT".to_owned());
        texts
    }

    /// `LAST_INSERT_ID(1)` is called where a condition does not hold; the first one is that this is the ledger that was
    /// opened, if there is one.
    pub(super) fn first_condition(&self) -> String {
        let Layout { ledger, ledger_id, keys, .. } = &self.layout;
        let is_it = match ledger_id {
            Some(id) => id.is_it(Dialect::MySql, ledger, keys),
            None if ledger.is_empty() => "TRUE".to_owned(),
            None => "FALSE".to_owned(),
        };
        // By this, triggers know the SDK. A user's trigger that writes another table is not the SDK there.
        let own = match self.layout.table.ledger() {
            Some(ledger) => own_ledger(&ledger),
            None => "NULL".to_owned(),
        };
        format!("SET {OWN_LEDGER} = {own}; DO LAST_INSERT_ID(NOT ({is_it}))")
    }

    /// The statements that write these entries and rows of records.
    fn body(
        &self,
        kind: Kind,
        over: Over,
        (entries, rows): (&str, &str),
        records: &[(&Id, &Record)],
    ) -> Result<Vec<String>, StoreError> {
        let layout = &self.layout;
        // A negative version is the application's own, with an unknown meaning.
        let newer = match (kind, over) {
            (Kind::First, _) => "version = 0",
            (_, Over::Older) => "VALUES(version) > version AND version >= 0",
            (_, Over::Same) => "VALUES(version) >= version AND version >= 0",
        };
        let mut body = vec![layout.upsert_entries(entries, newer), CHECK.to_owned()];
        match kind {
            Kind::First => body.push(layout.insert_rows(rows)),
            Kind::Newer => body.push(layout.upsert_rows(rows)),
            Kind::Tombstones => {
                body.extend(self.clear_rows(records));
                body.push(layout.delete_rows(rows));
                return Ok(body);
            }
        }
        if kind == Kind::First && !layout.children.is_empty() {
            body.push(check_written(records.len()));
        }
        body.extend(self.replace_rows(records)?);
        Ok(body)
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
        let (entries, check) = match expected {
            Some(expected) if expected > Version::ZERO => {
                (layout.update_entry(id, record, expected, &has_row)?, CHECK_ONE)
            }
            Some(_) => (layout.upsert_entries(&entry, "version = 0 OR deleted"), CHECK),
            None => (layout.upsert_entries(&entry, "version = 0 OR NOT deleted"), CHECK),
        };
        let (given, mut body) = ([(id, record)], vec![entries, check.to_owned()]);
        if record.is_tombstone() {
            body.extend(self.clear_rows(&given));
        }
        // In a statement of its own, which sees what was committed before the entry was locked. An AUTO_INCREMENT column
        // sets LAST_INSERT_ID, so nothing asks for it after an insert.
        let none = format!("SELECT EXP(1000 * (LAST_INSERT_ID() <> 0 OR {has_row}))");
        body.extend(match (record.is_tombstone(), expected) {
            (false, None) => vec![none, layout.only_insert_rows(&row)],
            (false, Some(Version::ZERO)) => vec![layout.update_row(id, record)?, CHECK_ONE.to_owned()],
            (false, Some(_)) => vec![layout.upsert_rows(&row)],
            (true, None) => vec![none],
            (true, Some(Version::ZERO)) => vec![layout.delete_rows(&it), CHECK_ONE.to_owned()],
            (true, Some(_)) => vec![layout.delete_rows(&it)],
        });
        if !record.is_tombstone() {
            body.extend(self.replace_rows(&given)?);
        }
        let texts = self.transaction(body, "0");
        let mut doubt: Doubt = None;
        for _ in 0..ROUNDS {
            match self.changed(&texts).await {
                Ok((true, _)) => return Ok(Put::Applied),
                Ok((false, lost)) => doubt = doubt.or(lost),
                Err(error) => return Err(unless_in_doubt(doubt, &[self], error).await),
            }
            let current = super::version_after(self, id, &doubt).await?.and_then(|there| there.reads_as);
            if current != expected {
                return Put::unless_this(record.version, current.unwrap_or_default()).or_doubt(doubt);
            }
        }
        Err(doubt.unwrap_or_else(swallowed))
    }

    /// Whether all was written; if not, nothing was, except records of version 0 that were not there.
    pub(super) async fn changed(&self, texts: &[String]) -> Result<(bool, Doubt), StoreError> {
        let each = texts.iter().cloned().enumerate();
        let statements: Vec<_> = each
            .map(|(at, text)| if at == 0 { Statement::begins(text) } else { Statement::text(text) })
            .collect();
        match self.calls.change(&statements.iter().collect::<Vec<_>>()).await {
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
