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
    /// A record, from a table with its versions in columns; or a row whose id no record may have.
    Record(Found),
    /// An entry of a ledger. It comes before the row of the same id.
    Entry { tenant: Vec<u8>, key: Vec<u8>, entry: Result<Entry, StoreError> },
    /// A row of a table that has a ledger.
    Row { tenant: Vec<u8>, key: Vec<u8>, cells: Result<Vec<Cell>, StoreError> },
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
///
/// If the order is that of bytes, entries may come long before their rows. If only the server knows the order, both
/// halves come as one, in its order, and an entry right before its row.
#[derive(Debug)]
pub(in super::super) struct Merge<'a> {
    table: &'a SqlTable,
    most: usize,
    in_byte_order: bool,
    /// Those that no row has come for yet.
    waiting: VecDeque<(Id, Result<Entry, StoreError>)>,
    entries: usize,
    rows: usize,
    last_entry: Option<Id>,
    last_row: Option<Id>,
}

type Id = (Vec<u8>, Vec<u8>);

impl<'a> Merge<'a> {
    pub(in super::super) const fn new(table: &'a SqlTable, in_byte_order: bool, most: usize) -> Self {
        let waiting = VecDeque::new();
        Self { table, most, in_byte_order, waiting, entries: 0, rows: 0, last_entry: None, last_row: None }
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
                if self.in_byte_order {
                    if self.last_entry >= id || self.last_row >= id {
                        return Err(out_of_order());
                    }
                } else {
                    if self.last_entry == id || self.last_row == id {
                        return Err(out_of_order());
                    }
                    if let Some(entry) = self.waiting.pop_front()
                        && !take(alone(entry))
                    {
                        return Ok(false);
                    }
                    // Its row may be one of those that were cut off.
                    if self.rows >= self.most {
                        return Ok(false);
                    }
                }
                self.entries += 1;
                self.last_entry.clone_from(&id);
                self.waiting.extend(id.map(|id| (id, entry)));
                Ok(true)
            }
            Part::Row { tenant, key, cells } => {
                let id = (tenant, key);
                let is_late = match self.in_byte_order {
                    true => self.last_row.as_ref() >= Some(&id),
                    false => self.last_row.as_ref() == Some(&id),
                };
                if is_late {
                    return Err(out_of_order());
                }
                let in_byte_order = self.in_byte_order;
                let is_before = |of: &Id| if in_byte_order { *of < id } else { *of != id };
                while let Some(entry) = self.waiting.pop_front_if(|(of, _)| is_before(of)) {
                    if !take(alone(entry)) {
                        return Ok(false);
                    }
                }
                let entry = self.waiting.pop_front_if(|(of, _)| *of == id);
                // Its entry may be one of those that were cut off.
                let is_after_entries = !in_byte_order || self.last_entry.as_ref() < Some(&id);
                if entry.is_none() && self.entries >= self.most && is_after_entries {
                    return Ok(false);
                }
                self.rows += 1;
                self.last_row = Some(id.clone());
                let version = entry.map_or(Ok(Entry::default()), |(_, entry)| entry);
                let version = version.map(|entry| entry.reads_as(true).unwrap_or_default());
                let value = |version| Ok(Record { version, value: self.table.value(version, cells?)? });
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

#[cfg(test)]
mod tests {
    use super::{super::super::mapping::Versions, *};
    use crate::Version;

    fn of(id: &str) -> Id {
        (b"t".to_vec(), id.as_bytes().to_vec())
    }

    fn entry(id: &str, version: u64, deleted: bool) -> Part {
        let (tenant, key) = of(id);
        Part::Entry { tenant, key, entry: Ok(Entry { version: Version(version), deleted }) }
    }

    fn row(id: &str) -> Part {
        let (tenant, key) = of(id);
        Part::Row { tenant, key, cells: Ok(vec![Cell::Bytes(vec![1])]) }
    }

    /// Key and version of what a page has of these parts, and whether there may be more.
    fn page(most: usize, parts: Vec<Part>) -> (Vec<(String, Option<u64>)>, bool) {
        let table = SqlTable { versions: Versions::Ledger, ..SqlTable::from("t") };
        let mut merge = Merge::new(&table, false, most);
        let mut found = Vec::new();
        let mut take = |merged| {
            let (key, version) = match merged {
                Merged::Found(Found { key, record, .. }) => (key, Some(record.expect("a record").version.0)),
                Merged::Nothing { key, .. } => (key, None),
            };
            found.push((String::from_utf8(key).expect("text"), version));
            true
        };
        let mut is_cut = false;
        for part in parts {
            if !merge.next(part, &mut take).expect("in order") {
                is_cut = true;
                break;
            }
        }
        if !is_cut {
            merge.rest().for_each(|merged| {
                take(merged);
            });
        }
        let is_cut = is_cut || merge.is_cut();
        (found, is_cut)
    }

    #[test]
    fn an_order_of_the_server_s_is_followed() {
        let all = || {
            vec![
                entry("9", 1, false),
                row("9"),
                entry("10", 2, true),
                row("100"),
                entry("7", 3, false),
                entry("8", 4, true),
            ]
        };
        let found =
            |of: &[(&str, Option<u64>)]| of.iter().map(|(id, version)| (id.to_string(), *version)).collect();
        let expected: Vec<_> =
            found(&[("9", Some(1)), ("10", Some(2)), ("100", Some(0)), ("7", None), ("8", Some(4))]);
        assert_eq!(page(9, all()), (expected.clone(), false));
        // After the last of either kind, nothing is complete.
        let rows: Vec<_> = all().into_iter().collect();
        assert_eq!(page(2, rows), (expected[..2].to_vec(), true));
        let rows_cut = vec![row("9"), entry("10", 2, true), row("100"), entry("7", 3, false)];
        let (some, is_cut) = page(2, rows_cut);
        assert_eq!((some.len(), is_cut), (3, true), "the entry's row may have been cut off: {some:?}");
        let last_of_both = vec![entry("9", 1, false), entry("10", 2, false), row("10")];
        assert_eq!(page(2, last_of_both).0, found(&[("9", None), ("10", Some(2))]));
    }
}
