//! Whether every answer that a caller got can be explained.
//!
//! Per record: a read may find the value of a write that was not refused and had begun before the read
//! ended, unless an acknowledged write that began after that one had ended was itself over before the
//! read began. A write whose outcome is unknown may take effect at any later time, or never. At level
//! linearizable one order has to explain all operations besides: see linear.rs.

#[cfg(test)]
mod tests;

use std::{cell::RefCell, collections::BTreeMap};

use crate::{
    expiring,
    linear::{self, Action, Operation, Value, Verdict},
    whole, world,
};

/// How a write was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It will be seen from now on.
    Acknowledged,
    /// It never will be.
    NotApplied,
    /// Nobody knows.
    Indeterminate,
}

/// A write.
#[derive(Clone, Debug)]
pub struct Write {
    /// Which one. `None`: a delete.
    pub value: Value,
    /// What it found there, and nothing may have come in between. `None`: it did not look.
    pub found: Option<Value>,
    /// What it replaced by `put_if`.
    pub expected: Option<Value>,
    /// Who wrote it.
    pub by: String,
    /// When the record expires, and when it looked at what it replaces, in milliseconds.
    expires_ms: Option<u64>,
    looked_ms: u64,
    began: u64,
    ended: u64,
    answer: Answer,
}

#[derive(Clone, Debug)]
struct Read {
    found: Value,
    by: String,
    began: u64,
    ended: u64,
    at_ms: u64,
    is_last: bool,
}

#[derive(Default)]
struct History {
    writes: Vec<Write>,
    reads: Vec<Read>,
}

/// What can't be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `lost`, `resurrected`, `stale`, or which promise else was broken.
    pub kind: &'static str,
    /// Which record; empty: of none.
    pub record: String,
    /// In words.
    pub what: String,
}

/// How much there was to check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Acknowledged writes.
    pub acknowledged: u64,
    /// Writes whose outcome is unknown.
    pub indeterminate: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Records with too many orders to try.
    pub undecided: u64,
}

#[derive(Default)]
struct Oracle {
    is_linearizable: bool,
    clock: u64,
    values: u64,
    histories: BTreeMap<String, History>,
    faults: Vec<Fault>,
}

thread_local! {
    static ORACLE: RefCell<Oracle> = RefCell::default();
}

/// Forgets everything. These records are there at the beginning, with value 0.
pub fn begin(seeded: &[String], is_linearizable: bool) {
    let mut oracle = Oracle { is_linearizable, clock: 1, ..Oracle::default() };
    for record in seeded {
        let history = oracle.histories.entry(record.clone()).or_default();
        let (by, answer) = ("the beginning".to_owned(), Answer::Acknowledged);
        let (found, expected) = (None, None);
        let (began, ended, looked_ms, expires_ms) = (0, 1, 0, None);
        history.writes.push(Write {
            value: Some(0),
            found,
            expected,
            by,
            expires_ms,
            looked_ms,
            began,
            ended,
            answer,
        });
    }
    ORACLE.set(oracle);
    whole::begin();
}

fn tick() -> u64 {
    ORACLE.with_borrow_mut(|oracle| {
        oracle.clock += 1;
        oracle.clock
    })
}

/// The moment at which a read begins.
pub fn now() -> u64 {
    tick()
}

/// A value that nobody wrote yet.
pub fn fresh_value() -> u64 {
    ORACLE.with_borrow_mut(|oracle| {
        oracle.values += 1;
        oracle.values
    })
}

/// A write begins. Gives its number among the record's.
pub fn write_begins(record: &str, value: Value, by: &str) -> usize {
    let began = tick();
    let shown = value.map_or_else(|| "delete".to_owned(), |value| format!("put {value}"));
    world::tell(|| format!("{by}: {record} {shown} begins"));
    ORACLE.with_borrow_mut(|oracle| {
        let history = oracle.histories.entry(record.to_owned()).or_default();
        let (ended, answer) = (u64::MAX, Answer::Indeterminate);
        let (found, expected, by) = (None, None, by.to_owned());
        let (expires_ms, looked_ms) = (None, 0);
        history.writes.push(Write {
            value,
            found,
            expected,
            by,
            expires_ms,
            looked_ms,
            began,
            ended,
            answer,
        });
        history.writes.len() - 1
    })
}

/// When the record of a write expires, in milliseconds.
pub fn write_expires(record: &str, number: usize, at_ms: Option<u64>) {
    ORACLE.with_borrow_mut(|oracle| {
        let write = oracle.histories.get_mut(record).and_then(|history| history.writes.get_mut(number));
        write.into_iter().for_each(|write| write.expires_ms = at_ms);
    });
}

/// A write looks at what it replaces.
pub fn write_finds(record: &str, number: usize, found: Value) {
    ORACLE.with_borrow_mut(|oracle| {
        let write = oracle.histories.get_mut(record).and_then(|history| history.writes.get_mut(number));
        let looked_ms = world::now() / world::MS;
        write.into_iter().for_each(|write| (write.found, write.looked_ms) = (Some(found), looked_ms));
    });
}

/// A `put_if` was applied.
pub fn write_expected(record: &str, number: usize, expected: Value) {
    ORACLE.with_borrow_mut(|oracle| {
        let write = oracle.histories.get_mut(record).and_then(|history| history.writes.get_mut(number));
        write.into_iter().for_each(|write| write.expected = Some(expected));
    });
}

/// What a write has found does not count.
pub fn write_found_nothing(record: &str, number: usize) {
    ORACLE.with_borrow_mut(|oracle| {
        let write = oracle.histories.get_mut(record).and_then(|history| history.writes.get_mut(number));
        write.into_iter().for_each(|write| write.found = None);
    });
}

/// A write was answered.
pub fn write_ended(record: &str, number: usize, answer: Answer, why: &str) {
    let ended = tick();
    let write = ORACLE.with_borrow_mut(|oracle| {
        let write = oracle.histories.get_mut(record).and_then(|history| history.writes.get_mut(number));
        write.map(|write| {
            write.answer = answer;
            write.ended = if answer == Answer::Indeterminate { u64::MAX } else { ended };
            write.clone()
        })
    });
    let Some(write) = write else { return };
    let shown = write.value.map_or_else(|| "delete".to_owned(), |value| format!("put {value}"));
    world::tell(|| format!("{}: {record} {shown} ended: {answer:?} {why}", write.by));
}

/// A read was answered.
pub fn read(record: &str, found: Value, began: u64, by: &str, is_last: bool) {
    let ended = tick();
    let shown = found.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
    world::tell(|| format!("{by}: {record} read {shown}"));
    let at_ms = world::now() / world::MS;
    let read = Read { found, by: by.to_owned(), began, ended, at_ms, is_last };
    ORACLE.with_borrow_mut(|oracle| oracle.histories.entry(record.to_owned()).or_default().reads.push(read));
}

/// Something else is not as it must be.
pub fn fault(kind: &'static str, what: String) {
    fault_of(kind, String::new(), what);
}

/// The same, if nothing of this kind is known yet.
pub fn fault_once(kind: &'static str, what: String) {
    if !ORACLE.with_borrow(|oracle| oracle.faults.iter().any(|fault| fault.kind == kind)) {
        fault(kind, what);
    }
}

/// Something about a record, or a tenant, is not as it must be.
pub fn fault_of(kind: &'static str, record: String, what: String) {
    world::tell(|| format!("FAULT {kind}: {record} {what}"));
    ORACLE.with_borrow_mut(|oracle| oracle.faults.push(Fault { kind, record, what }));
}

/// Every record that anybody read or wrote.
pub fn records() -> Vec<String> {
    ORACLE.with_borrow(|oracle| oracle.histories.keys().cloned().collect())
}

/// Everything that can't be explained.
pub fn verdict() -> (Vec<Fault>, Counts) {
    ORACLE.with_borrow(|oracle| {
        let mut faults = oracle.faults.clone();
        let mut counts = Counts::default();
        for (record, history) in &oracle.histories {
            for write in &history.writes {
                match write.answer {
                    Answer::Acknowledged => counts.acknowledged += 1,
                    Answer::Indeterminate => counts.indeterminate += 1,
                    Answer::NotApplied => {}
                }
            }
            counts.reads += history.reads.len() as u64;
            let reads = history.reads.iter().cloned().chain(history.writes.iter().filter_map(Write::as_read));
            let before = faults.len();
            faults.extend(reads.filter_map(|read| unexplained(record, &history.writes, &read)));
            faults.extend(lost_update(record, &history.writes));
            if oracle.is_linearizable && faults.len() == before {
                match history.check_order() {
                    Verdict::Linearizable => {}
                    Verdict::Undecided => counts.undecided += 1,
                    Verdict::Stuck(at) => faults.push(history.disorder(record, at)),
                }
            }
        }
        (faults, counts)
    })
}

impl Write {
    /// What it found, if that counts.
    fn as_read(&self) -> Option<Read> {
        let found = self.found.filter(|_| self.answer == Answer::Acknowledged)?;
        let (began, ended) = (self.began, self.ended);
        Some(Read { found, by: self.by.clone(), began, ended, at_ms: self.looked_ms, is_last: false })
    }
}

impl History {
    /// Everything that counts, writes first.
    fn operations(&self) -> (Vec<Operation>, Vec<String>) {
        let writes = self.writes.iter().filter(|write| write.answer != Answer::NotApplied).map(|write| {
            let action = match write.found {
                Some(found) => Action::Change(found, write.value),
                None => Action::Write(write.value),
            };
            let ended = (write.answer == Answer::Acknowledged).then_some(write.ended);
            (Operation { action, began: write.began, ended }, &write.by)
        });
        let reads = self.reads.iter().map(|read| {
            let (action, began, ended) = (Action::Read(read.found), read.began, Some(read.ended));
            (Operation { action, began, ended }, &read.by)
        });
        writes.chain(reads).map(|(operation, by)| (operation, format!("{by} {:?}", operation.action))).unzip()
    }

    fn check_order(&self) -> Verdict {
        linear::check(None, &self.operations().0)
    }

    fn disorder(&self, record: &str, at: usize) -> Fault {
        let shown = self.operations().1.get(at).cloned().unwrap_or_default();
        let what = format!("no order of the operations that overlap explains {shown}");
        Fault { kind: "not linearizable", record: record.to_owned(), what }
    }
}

/// Two acknowledged `put_if` of one value: the second one has not seen the first. Values are written once, so each may
/// be replaced once; "nothing" may be there again after a delete.
fn lost_update(record: &str, writes: &[Write]) -> Option<Fault> {
    let mut replaced = BTreeMap::new();
    let applied = writes.iter().filter(|write| write.answer == Answer::Acknowledged);
    for (write, value) in applied.filter_map(|write| Some((write, write.expected??))) {
        if let Some(first) = replaced.insert(value, &write.by) {
            let what = format!("{first} and {} both replaced value {value}", write.by);
            return Some(Fault { kind: "lost update", record: record.to_owned(), what });
        }
    }
    None
}

fn unexplained(record: &str, writes: &[Write], read: &Read) -> Option<Fault> {
    let before = |write: &&Write| write.answer == Answer::Acknowledged && write.ended < read.began;
    let explains = |write: &&Write| {
        let is_found = match read.found {
            None => write.value.is_none() || expiring::may_be_over(write.expires_ms, read.at_ms),
            found => write.value == found && !expiring::is_over(write.expires_ms, read.at_ms),
        };
        is_found && write.began <= read.ended && write.answer != Answer::NotApplied
    };
    let stands = |write: &Write| !writes.iter().filter(before).any(|newer| write.ended < newer.began);
    // A record that nobody wrote yet is not there.
    let is_untouched = read.found.is_none() && writes.iter().find(before).is_none();
    if is_untouched || writes.iter().filter(explains).any(stands) {
        return None;
    }
    let newest = writes.iter().filter(before).max_by_key(|write| write.began);
    let kind = match newest {
        Some(Write { value: None, .. }) if read.found.is_some() => "resurrected",
        Some(write) if read.found.is_some() && expiring::may_be_over(write.expires_ms, read.at_ms) => {
            "resurrected"
        }
        _ if read.is_last => "lost",
        _ => "stale",
    };
    let value =
        |value: Option<u64>| value.map_or_else(|| "nothing".to_owned(), |value| format!("value {value}"));
    let newest = newest.map_or_else(
        || "which nobody wrote".to_owned(),
        |write| format!("but {} of {} was acknowledged before", value(write.value), write.by),
    );
    let what = format!("{} read {} at {} ms, {newest}", read.by, value(read.found), read.at_ms);
    Some(Fault { kind, record: record.to_owned(), what })
}
