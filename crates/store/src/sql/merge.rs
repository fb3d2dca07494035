//! Rows of a table and entries of its ledger, read side by side in order, as records.

use super::super::{
    Record, StoreError, Version,
    mapping::{Cell, SqlTable},
    scan::Found,
};

/// What one row of an answer is.
#[derive(Debug)]
pub(in super::super) enum Part {
    /// A record, from a table with its versions in columns.
    Record(Found),
    /// An entry of a ledger. It comes before the row of the same id.
    Entry { tenant: Vec<u8>, key: Vec<u8>, version: Result<Version, StoreError> },
    /// A row of a table that has a ledger.
    Row { tenant: Vec<u8>, key: Vec<u8>, cells: Vec<Cell> },
}

/// Joins an entry and a row of the same id. Each half of the answer has at most `most` parts; after the last one
/// of either, the other half says nothing any more.
#[derive(Debug)]
pub(in super::super) struct Merge<'a> {
    table: &'a SqlTable,
    most: usize,
    entry: Option<(Vec<u8>, Vec<u8>, Result<Version, StoreError>)>,
    entries: usize,
    rows: usize,
}

impl<'a> Merge<'a> {
    pub(in super::super) const fn new(table: &'a SqlTable, most: usize) -> Self {
        Self { table, most, entry: None, entries: 0, rows: 0 }
    }

    /// Whether there may be more than what was seen.
    pub(in super::super) const fn is_cut(&self) -> bool {
        self.entries >= self.most || self.rows >= self.most
    }

    /// The records that are complete with this part, in order. False: the parts from here on are not complete.
    pub(in super::super) fn next(&mut self, part: Part) -> ([Option<Found>; 2], bool) {
        match part {
            Part::Record(found) => {
                self.rows += 1;
                ([Some(found), None], true)
            }
            Part::Row { tenant, key, cells } => {
                let same = self.entry.take_if(|(of, at, _)| *of == tenant && *at == key);
                let before = self.rest();
                if same.is_none() && self.is_cut() {
                    return ([before, None], false);
                }
                self.rows += 1;
                let version = same.map_or(Ok(Version::ZERO), |(.., version)| version);
                let record = version
                    .and_then(|version| Ok(Record { version, value: self.table.value(version, cells)? }));
                ([before, Some(Found { tenant, key, record })], true)
            }
            Part::Entry { tenant, key, version } => {
                let before = self.rest();
                if self.is_cut() {
                    return ([before, None], false);
                }
                self.entries += 1;
                self.entry = Some((tenant, key, version));
                ([before, None], true)
            }
        }
    }

    /// The last entry, if no row belongs to it: a tombstone, or nothing at version 0.
    pub(in super::super) fn rest(&mut self) -> Option<Found> {
        let (tenant, key, version) = self.entry.take()?;
        let record = version.map(|version| Record { version, value: None });
        let is_one = record.as_ref().map_or(true, |record| record.version > Version::ZERO);
        is_one.then_some(Found { tenant, key, record })
    }
}
