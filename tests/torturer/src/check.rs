//! The proof, from the workers' logs: every read must be explained by a write that had not been replaced
//! before the read began, by an acknowledged write that began after it had ended.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::log::{Answer, Line};

/// Value of the records that existed before anybody wrote.
pub const SEEDED: u64 = 0;

/// The result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Reads that were checked.
    pub reads: u64,
    /// Acknowledged writes that the final reads do not show.
    pub lost: u64,
    /// Reads of a record that an acknowledged delete had removed.
    pub resurrected: u64,
    /// Reads during the run that miss an acknowledged write.
    pub back_in_time: u64,
}

#[derive(Clone, Copy, Debug)]
struct Write {
    value: Option<u64>,
    began: u64,
    /// [`u64::MAX`]: it may still take effect.
    ended: u64,
    answer: Answer,
}

#[derive(Clone, Copy, Debug)]
struct Read {
    found: Option<u64>,
    began: u64,
    ended: u64,
}

#[derive(Debug, Default)]
struct History {
    writes: Vec<Write>,
    reads: Vec<Read>,
}

/// Checks the logs of all processes, each given as its lives. Reads that began at `end` or later are the
/// final ones. `seeded` says which records existed at the beginning.
pub fn check(lives: &[Vec<Line>], seeded: impl Fn(&str) -> bool, end: u64) -> Verdict {
    let mut verdict = Verdict::default();
    for (record, history) in histories(lives) {
        let mut writes = history.writes;
        let value = seeded(&record).then_some(SEEDED);
        writes.push(Write { value, began: 0, ended: 0, answer: Answer::Acknowledged });
        verdict.acknowledged +=
            writes.iter().filter(|write| write.answer == Answer::Acknowledged).count() as u64 - 1;
        for read in &history.reads {
            verdict.reads += 1;
            let Some(newer) = replaced_by(&writes, read) else { continue };
            match (newer.value, read.found, read.began >= end) {
                (None, Some(_), _) => verdict.resurrected += 1,
                (_, _, true) => verdict.lost += 1,
                (_, _, false) => verdict.back_in_time += 1,
            }
        }
    }
    verdict
}

/// `None` if the read can be explained; else the acknowledged write that contradicts it.
fn replaced_by<'a>(writes: &'a [Write], read: &Read) -> Option<&'a Write> {
    let before = |write: &&Write| write.answer == Answer::Acknowledged && write.ended < read.began;
    let explains = |write: &&Write| {
        write.value == read.found && write.began <= read.ended && write.answer != Answer::NotApplied
    };
    let newest_before = writes.iter().filter(before).max_by_key(|write| write.began);
    let stands = |write: &Write| {
        // An acknowledged write that began after this one had ended, and ended before the read began.
        !writes.iter().filter(before).any(|newer| write.ended < newer.began)
    };
    if writes.iter().filter(explains).any(stands) { None } else { newest_before }
}

fn histories(lives: &[Vec<Line>]) -> BTreeMap<String, History> {
    let mut histories: BTreeMap<String, History> = BTreeMap::new();
    for lines in lives {
        let mut open: HashMap<u64, (String, usize)> = HashMap::new();
        for line in lines {
            match line {
                Line::Begin { op, record, value, at } => {
                    let history = histories.entry(record.clone()).or_default();
                    open.insert(*op, (record.clone(), history.writes.len()));
                    let answer = Answer::Indeterminate;
                    history.writes.push(Write { value: *value, began: *at, ended: u64::MAX, answer });
                }
                Line::End { op, answer, at } => {
                    let Some((record, index)) = open.remove(op) else { continue };
                    let write = &mut histories.entry(record).or_default().writes[index];
                    write.answer = *answer;
                    if *answer != Answer::Indeterminate {
                        write.ended = *at;
                    }
                }
                Line::Read { record, found, began, ended } => {
                    let read = Read { found: *found, began: *began, ended: *ended };
                    histories.entry(record.clone()).or_default().reads.push(read);
                }
            }
        }
    }
    histories
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(op: u64, value: Option<u64>, began: u64, answer: Option<(Answer, u64)>) -> Vec<Line> {
        let record = "r".to_owned();
        let mut lines = vec![Line::Begin { op, record, value, at: began }];
        lines.extend(answer.map(|(answer, at)| Line::End { op, answer, at }));
        lines
    }

    fn read(found: Option<u64>, began: u64) -> Vec<Line> {
        vec![Line::Read { record: "r".to_owned(), found, began, ended: began + 1 }]
    }

    fn checked(lines: &[Vec<Line>]) -> (u64, u64, u64) {
        let verdict = check(&[lines.concat()], |_| true, 1000);
        (verdict.lost, verdict.resurrected, verdict.back_in_time)
    }

    const ACK: Answer = Answer::Acknowledged;

    #[test]
    fn a_read_behind_an_acknowledged_write_is_found_and_the_last_one_is_a_loss() {
        let one = write(1, Some(1), 10, Some((ACK, 20)));
        assert_eq!(checked(&[one.clone(), read(Some(1), 30), read(Some(1), 1000)]), (0, 0, 0));
        assert_eq!(checked(&[one.clone(), read(Some(0), 30)]), (0, 0, 1));
        assert_eq!(checked(&[one.clone(), read(Some(0), 15)]), (0, 0, 0), "they overlap");
        assert_eq!(checked(&[one.clone(), read(Some(0), 1000)]), (1, 0, 0));
        assert_eq!(checked(&[one.clone(), read(None, 1000)]), (1, 0, 0));
        assert_eq!(checked(&[one, read(Some(77), 30)]), (0, 0, 1), "nobody wrote that");
    }

    #[test]
    fn the_dead_must_stay_dead() {
        let delete = write(2, None, 30, Some((ACK, 40)));
        let lines = [write(1, Some(1), 10, Some((ACK, 20))), delete];
        assert_eq!(checked(&[lines.concat(), read(None, 50)]), (0, 0, 0));
        assert_eq!(checked(&[lines.concat(), read(Some(1), 50)]), (0, 1, 0));
        assert_eq!(checked(&[lines.concat(), read(Some(1), 1000)]), (0, 1, 0));
    }

    #[test]
    fn what_was_not_answered_may_take_effect_at_any_time_and_what_was_refused_never() {
        let acknowledged = write(1, Some(1), 10, Some((ACK, 20)));
        let killed = write(2, Some(2), 5, None);
        assert_eq!(checked(&[acknowledged.clone(), killed, read(Some(2), 1000)]), (0, 0, 0));
        let refused = write(2, Some(2), 12, Some((Answer::NotApplied, 14)));
        assert_eq!(checked(&[acknowledged, refused, read(Some(2), 1000)]), (1, 0, 0));
    }

    #[test]
    fn of_writes_at_the_same_time_either_may_win() {
        let one = write(1, Some(1), 10, Some((ACK, 30)));
        let other = write(2, Some(2), 20, Some((ACK, 40)));
        let both = [one, other].concat();
        assert_eq!(checked(&[both.clone(), read(Some(1), 1000)]), (0, 0, 0));
        assert_eq!(checked(&[both, read(Some(2), 1000)]), (0, 0, 0));
    }
}
