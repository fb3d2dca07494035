//! Which reports were counted: each one once, across retries, reconnects and restarts of the controller.
//!
//! An instance's highest counted sequence number is stored together with the counts, in one transaction. So a
//! report that is sent again after a crash is recognised if its counts were stored, and counted if they were
//! not. Reports that were acknowledged in between and are not sent again are lost; the gap shows how many.

use std::collections::{BTreeSet, HashMap};

use crate::domain::guard::OUTCOMES;

/// Maximum remembered instances; beyond, the longest silent one is removed. More than can be registered at
/// once, because an evicted one may come back with a report that was counted.
const INSTANCES_MAX: usize = 8_192;

/// Maximum remembered callers without an SDK. Anybody can draw a new name, so they must not displace instances.
pub(super) const REPORTERS_MAX: usize = 1_024;

/// A caller without an SDK that is silent for this long makes room for another one.
const REPORTER_SILENT_MS: u64 = 600_000;

/// More reports can't have been lost: a sequence number beyond was made up.
const LOST_MAX: u64 = 1_000_000;

/// What has to survive a restart about one instance's reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Its id.
    pub instance_id: String,
    /// Drawn by its process. 0: unknown.
    pub incarnation: u64,
    /// The highest sequence number that was counted. 0: none.
    pub sequence: u64,
    /// Its last reported number of dropped cells.
    pub dropped_cells: u64,
}

#[derive(Debug, Default)]
struct Entry {
    heard: Heard,
    at_ms: u64,
    /// From before this process, and silent since.
    is_old: bool,
    /// Not stored yet.
    is_news: bool,
}

/// All instances that have reported.
#[derive(Debug, Default)]
pub(super) struct Roster {
    entries: HashMap<String, Entry>,
    forgotten: BTreeSet<String>,
    /// Reports whose counts the last process lost.
    pub(super) lost_reports: u64,
}

/// What to do with a report.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heed {
    /// This or a later one was already counted; the highest sequence number that was.
    Repeated(u64),
    /// Count it, and this many more dropped cells.
    Count {
        /// Since the previous report.
        dropped_cells: u64,
    },
}

impl Roster {
    /// Restores what the last process stored, including evicted instances, which may come back. Registered
    /// ones are removed last; `now_ms` is Unix time.
    pub(super) fn load(&mut self, kept: Vec<Heard>, registered: &BTreeSet<&str>, now_ms: u64) {
        let mut kept: HashMap<String, Heard> =
            kept.into_iter().map(|heard| (heard.instance_id.clone(), heard)).collect();
        let entry = |heard: Heard, at_ms| Entry { heard, at_ms, is_old: true, is_news: false };
        for id in registered {
            let heard =
                kept.remove(*id).unwrap_or(Heard { instance_id: (*id).to_owned(), ..Heard::default() });
            self.entries.insert((*id).to_owned(), entry(heard, now_ms));
        }
        for (id, heard) in kept {
            if self.entries.len() < INSTANCES_MAX {
                self.entries.insert(id, entry(heard, 0));
            } else {
                self.forgotten.insert(id);
            }
        }
    }

    /// An instance has registered. A new process under its id counts its reports from 1 again.
    pub(super) fn registered(&mut self, id: &str, incarnation: u64, now_ms: u64) {
        self.make_room(id);
        let entry = self.entries.entry(id.to_owned()).or_default();
        entry.at_ms = now_ms;
        if entry.heard.incarnation != incarnation || entry.heard.instance_id.is_empty() {
            entry.heard = Heard { instance_id: id.to_owned(), incarnation, ..Heard::default() };
            entry.is_news = true;
        }
        self.forgotten.remove(id);
    }

    /// The instance said goodbye: its process has ended.
    pub(super) fn forget(&mut self, id: &str) {
        if self.entries.remove(id).is_some() {
            self.forgotten.insert(id.to_owned());
        }
    }

    /// Makes room for a caller without an SDK. False: too many others have reported recently.
    pub(super) fn admit_reporter(&mut self, id: &str, now_ms: u64) -> bool {
        if self.entries.contains_key(id) {
            return true;
        }
        let reporters = self.entries.iter().filter(|(id, _)| id.starts_with(OUTCOMES));
        let (mut count, mut silent): (usize, Option<(u64, &String)>) = (0, None);
        for (id, entry) in reporters {
            count += 1;
            silent = Some(silent.map_or((entry.at_ms, id), |silent| silent.min((entry.at_ms, id))));
        }
        if count >= REPORTERS_MAX {
            let old = silent.filter(|(at_ms, _)| now_ms.saturating_sub(*at_ms) > REPORTER_SILENT_MS);
            let Some(old) = old.map(|(_, id)| id.clone()) else { return false };
            self.forget(&old);
        }
        self.registered(id, 0, now_ms);
        true
    }

    /// A report has arrived.
    pub(super) fn hear(&mut self, id: &str, sequence: u64, dropped_cells: u64, now_ms: u64) -> Heed {
        if !self.entries.contains_key(id) {
            self.registered(id, 0, now_ms);
        }
        let entry = self.entries.entry(id.to_owned()).or_default();
        entry.at_ms = now_ms;
        if sequence <= entry.heard.sequence {
            return Heed::Repeated(entry.heard.sequence);
        }
        if std::mem::take(&mut entry.is_old) {
            let lost = (sequence - entry.heard.sequence - 1).min(LOST_MAX);
            self.lost_reports = self.lost_reports.saturating_add(lost);
        }
        entry.is_news = true;
        entry.heard.sequence = sequence;
        let more = dropped_cells.saturating_sub(entry.heard.dropped_cells);
        entry.heard.dropped_cells = entry.heard.dropped_cells.max(dropped_cells);
        Heed::Count { dropped_cells: more }
    }

    /// What is new since the last time, to be stored, and ids to be removed.
    pub(super) fn take(&mut self) -> (Vec<Heard>, BTreeSet<String>) {
        let news = |entry: &mut Entry| std::mem::take(&mut entry.is_news).then(|| entry.heard.clone());
        (self.entries.values_mut().filter_map(news).collect(), std::mem::take(&mut self.forgotten))
    }

    fn make_room(&mut self, id: &str) {
        if self.entries.len() < INSTANCES_MAX || self.entries.contains_key(id) {
            return;
        }
        let silent = self.entries.iter().min_by_key(|(_, entry)| entry.at_ms).map(|(id, _)| id.clone());
        silent.iter().for_each(|id| self.forget(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Heed = Heed::Count { dropped_cells: 0 };

    fn restarted(before: &mut Roster, registered: &[&str]) -> Roster {
        let mut after = Roster::default();
        after.load(before.take().0, &registered.iter().copied().collect(), 0);
        after
    }

    #[test]
    fn a_report_sent_again_after_a_restart_is_known_and_a_gap_is_what_was_lost() {
        let mut first = Roster::default();
        first.registered("a", 9, 0);
        (1..=5).for_each(|sequence| assert_eq!(first.hear("a", sequence, 0, 0), NONE));
        let mut second = restarted(&mut first, &["a", "b"]);
        second.registered("a", 9, 0);
        assert_eq!(second.hear("a", 5, 0, 0), Heed::Repeated(5), "it was kept");
        assert_eq!((second.hear("a", 9, 0, 0), second.lost_reports), (NONE, 3), "6, 7 and 8 were not");
        assert_eq!((second.hear("a", 20, 0, 0), second.lost_reports), (NONE, 3), "its own business now");
        // Registered, and never stored before the crash.
        second.registered("b", 4, 0);
        assert_eq!((second.hear("b", 3, 0, 0), second.lost_reports), (NONE, 5));
        // New since then.
        second.registered("c", 5, 0);
        assert_eq!((second.hear("c", 7, 0, 0), second.lost_reports), (NONE, 5));
    }

    #[test]
    fn a_new_process_under_an_old_id_counts_from_1_on_whenever_it_came() {
        let mut first = Roster::default();
        first.registered("a", 9, 0);
        first.hear("a", 50, 7, 0);
        let mut second = restarted(&mut first, &["a"]);
        second.registered("a", 10, 0);
        assert_eq!(second.hear("a", 1, 2, 0), Heed::Count { dropped_cells: 2 });
        second.registered("a", 10, 0);
        assert_eq!((second.hear("a", 1, 2, 0), second.lost_reports), (Heed::Repeated(1), 0));
    }

    #[test]
    fn who_was_evicted_before_a_restart_is_known_when_it_comes_back() {
        let mut first = Roster::default();
        first.registered("a", 9, 5);
        (1..=5).for_each(|sequence| assert_eq!(first.hear("a", sequence, 0, 5), NONE));
        let mut second = restarted(&mut first, &["b"]);
        assert_eq!(second.take(), (vec![], BTreeSet::new()), "it is kept on");
        second.registered("a", 9, 10);
        assert_eq!(second.hear("a", 5, 0, 10), Heed::Repeated(5), "it was counted, and never answered");
        assert_eq!((second.hear("a", 6, 0, 10), second.lost_reports), (NONE, 0));
        second.registered("b", 1, 10);
        // Those that do not come back make room first.
        let mut third = Roster::default();
        let kept =
            (0..INSTANCES_MAX + 10).map(|at| Heard { instance_id: format!("i{at}"), ..Heard::default() });
        third.load(kept.collect(), &BTreeSet::from(["i0"]), 7);
        let forgotten = third.take().1;
        assert!(forgotten.len() == 10 && !forgotten.contains("i0"), "{forgotten:?}");
        third.registered("new", 1, 8);
        assert!(third.entries.contains_key("i0") && third.entries.len() == INSTANCES_MAX);
    }

    #[test]
    fn who_is_gone_is_kept_no_longer_and_memory_is_bounded() {
        let mut roster = Roster::default();
        roster.hear("a", 1, 0, 1);
        roster.forget("a");
        assert_eq!(roster.take(), (vec![], BTreeSet::from(["a".to_owned()])), "it said goodbye");
        for at in 0..INSTANCES_MAX + 10 {
            roster.hear(&format!("i{at}"), 1, 0, at as u64);
        }
        let (news, forgotten) = roster.take();
        assert_eq!((news.len(), forgotten.len()), (INSTANCES_MAX, 10));
        assert!(forgotten.contains("i9") && !forgotten.contains("i10"));
        assert_eq!(roster.take(), (vec![], BTreeSet::new()), "nothing new");
    }

    #[test]
    fn callers_without_an_sdk_displace_nobody_but_silent_ones_of_their_kind() {
        let mut roster = Roster::default();
        roster.registered("a", 9, 0);
        let name = |at: usize| format!("{OUTCOMES}{at:04}");
        assert!((0..REPORTERS_MAX).all(|at| roster.admit_reporter(&name(at), 1)));
        assert!(!roster.admit_reporter(&name(REPORTERS_MAX), 1 + REPORTER_SILENT_MS), "one too many");
        assert!(roster.admit_reporter(&name(5), 2), "a known one");
        roster.hear(&name(0), 1, 0, 2);
        assert!(roster.admit_reporter(&name(REPORTERS_MAX), 2 + REPORTER_SILENT_MS));
        let names =
            |roster: &Roster| roster.entries.contains_key("a") && roster.entries.contains_key(&name(0));
        assert!(names(&roster) && !roster.entries.contains_key(&name(1)), "the longest silent one");
        assert_eq!(roster.entries.len(), REPORTERS_MAX + 1);
    }
}
