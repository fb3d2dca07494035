//! Rows of a table and entries of its ledger, read side by side in order, as records.

use std::collections::VecDeque;

use super::super::{
    Record, StoreError,
    mapping::{Cell, SqlTable},
    scan::Found,
};
use super::{Entry, not_applied};
use cutover_core::outcome::ErrorClass;

/// What one row of an answer is.
#[derive(Debug)]
pub(in super::super) enum Part {
    /// A record, from a table with its versions in columns.
    Record(Found),
    /// An entry of a ledger. It comes before the row of the same id.
    Entry { tenant: Vec<u8>, key: Vec<u8>, entry: Result<Entry, StoreError> },
    /// A row of a table that has a ledger.
    Row { tenant: Vec<u8>, key: Vec<u8>, cells: Vec<Cell> },
}

/// What both tables say together about an id.
#[derive(Debug)]
pub(in super::super) enum Merged {
    Found(Found),
    /// There is an entry, and neither a record nor a tombstone. A scan continues after it.
    Nothing {
        tenant: Vec<u8>,
        key: Vec<u8>,
    },
}

/// Joins an entry and a row of the same id. Each half of the answer has at most `most` parts, in order; after the
/// last one of either, the other half says nothing any more.
#[derive(Debug)]
pub(in super::super) struct Merge<'a> {
    table: &'a SqlTable,
    most: usize,
    /// Those that no row has come for yet.
    waiting: VecDeque<(Id, Result<Entry, StoreError>)>,
    entries: usize,
    rows: usize,
    last_entry: Option<Id>,
    last_row: Option<Id>,
}

type Id = (Vec<u8>, Vec<u8>);

impl<'a> Merge<'a> {
    pub(in super::super) const fn new(table: &'a SqlTable, most: usize) -> Self {
        let waiting = VecDeque::new();
        Self { table, most, waiting, entries: 0, rows: 0, last_entry: None, last_row: None }
    }

    /// Whether there may be more than what was seen.
    pub(in super::super) const fn is_cut(&self) -> bool {
        self.entries >= self.most || self.rows >= self.most
    }

    /// Gives what is complete with this part, in order, to `take`, which returns false when it has enough. False: it
    /// has, or the parts from here on are not complete.
    pub(in super::super) fn next(
        &mut self,
        part: Part,
        mut take: impl FnMut(Merged) -> bool,
    ) -> Result<bool, StoreError> {
        match part {
            Part::Record(found) => {
                self.rows += 1;
                Ok(take(Merged::Found(found)))
            }
            Part::Entry { tenant, key, entry } => {
                let id = Some((tenant, key));
                if self.last_entry >= id || self.last_row >= id {
                    return Err(out_of_order());
                }
                self.entries += 1;
                self.last_entry.clone_from(&id);
                self.waiting.extend(id.map(|id| (id, entry)));
                Ok(true)
            }
            Part::Row { tenant, key, cells } => {
                let id = (tenant, key);
                if self.last_row.as_ref() >= Some(&id) {
                    return Err(out_of_order());
                }
                while let Some(entry) = self.waiting.pop_front_if(|(of, _)| *of < id) {
                    if !take(alone(entry)) {
                        return Ok(false);
                    }
                }
                let entry = self.waiting.pop_front_if(|(of, _)| *of == id);
                if entry.is_none() && self.entries >= self.most && self.last_entry.as_ref() < Some(&id) {
                    return Ok(false);
                }
                self.rows += 1;
                self.last_row = Some(id.clone());
                let version = entry.map_or(Ok(Entry::default()), |(_, entry)| entry);
                let version = version.map(|entry| entry.reads_as(true).unwrap_or_default());
                let value = |version| Ok(Record { version, value: self.table.value(version, cells)? });
                let found = Found { tenant: id.0, key: id.1, record: version.and_then(value) };
                Ok(take(Merged::Found(found)))
            }
        }
    }

    /// The entries after the last row, unless more rows may follow.
    pub(in super::super) fn rest(&mut self) -> impl Iterator<Item = Merged> {
        let rest = std::mem::take(&mut self.waiting);
        let is_complete = self.rows < self.most;
        rest.into_iter().filter(move |_| is_complete).map(alone)
    }
}

/// An entry without a row.
fn alone(((tenant, key), entry): (Id, Result<Entry, StoreError>)) -> Merged {
    match entry.map(|entry| entry.reads_as(false)) {
        Ok(None) => Merged::Nothing { tenant, key },
        Ok(Some(version)) => {
            Merged::Found(Found { tenant, key, record: Ok(Record { version, value: None }) })
        }
        Err(error) => Merged::Found(Found { tenant, key, record: Err(error) }),
    }
}

fn out_of_order() -> StoreError {
    let what = "the server answered a scan out of order: report this defect".to_owned();
    not_applied(ErrorClass::Server, what)
}
