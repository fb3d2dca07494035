//! Lost telemetry is counted and shown (invariant 7 of docs/ARCHITECTURE.md): no write of a service to a record store is
//! counted twice, and none that was answered is missing at the end, unless something shows the loss or the process that
//! knew of it is gone.

use std::cell::RefCell;

use crate::{
    oracle, play,
    world::{self, MS},
};

/// Writes to the source and to the target.
pub type Writes = [u64; 2];

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Which services have begun.
    begun: Writes,
    /// Which they have an answer to: they count those.
    answered: Writes,
    /// Nobody is left who could say what was lost.
    excused: bool,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// Forgets everything.
pub fn begin() {
    KNOWN.take();
}

/// Counts that were not stored are gone, and nobody can know how many.
pub fn excuse(why: &str) {
    if !KNOWN.with_borrow(|known| known.excused) {
        world::tell(|| format!("counts may be missing: {why}"));
        KNOWN.with_borrow_mut(|known| known.excused = true);
    }
}

/// The process that runs sends a write.
pub fn write_begins(store: usize) {
    if is_counted() {
        KNOWN.with_borrow_mut(|known| known.begun[store] += 1);
    }
}

/// It has the answer.
pub fn write_answered(store: usize) {
    if is_counted() {
        KNOWN.with_borrow_mut(|known| known.answered[store] += 1);
    }
}

fn is_counted() -> bool {
    world::running().is_some_and(play::is_service)
}

/// The controller has stored counts: these are in its store now.
pub fn stored(counted: Writes) {
    if let Some(what) = KNOWN.with_borrow(|known| known.wrong(counted)) {
        oracle::fault_once("telemetry", format!("{what} ({} ms)", world::now() / MS));
    }
}

/// Whether some that were answered are not counted, and nothing says why.
pub fn is_missing(counted: Writes, shown: u64) -> bool {
    KNOWN.with_borrow(|known| known.missing(counted, shown)).is_some()
}

/// Nothing was written for a while, and every report has arrived. `shown`: so many losses are shown.
pub fn ended(counted: Writes, shown: u64) {
    if let Some(what) = KNOWN.with_borrow(|known| known.missing(counted, shown)) {
        oracle::fault_once("telemetry", what);
    }
}

impl Known {
    fn wrong(&self, counted: Writes) -> Option<String> {
        let is_more = counted.iter().zip(self.begun).any(|(counted, begun)| *counted > begun);
        is_more.then(|| format!("{counted:?} writes are counted, and only {:?} have begun", self.begun))
    }

    fn missing(&self, counted: Writes, shown: u64) -> Option<String> {
        let is_less = counted.iter().zip(self.answered).any(|(counted, answered)| *counted < answered);
        let is_silent = is_less && shown == 0 && !self.excused;
        is_silent.then(|| {
            format!("{:?} writes were answered, {counted:?} are counted, no loss is shown", self.answered)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_is_counted_twice_is_noticed() {
        let known = Known { begun: [5, 2], answered: [4, 2], excused: true };
        assert_eq!(known.wrong([5, 2]), None);
        assert!(known.wrong([6, 0]).is_some() && known.wrong([0, 3]).is_some());
    }

    #[test]
    fn a_count_that_is_lost_without_a_word_is_noticed() {
        let known = Known { begun: [5, 2], answered: [4, 2], excused: false };
        assert_eq!((known.missing([4, 2], 0), known.missing([5, 2], 0)), (None, None));
        assert!(known.missing([3, 2], 0).is_some() && known.missing([4, 0], 0).is_some());
        assert_eq!(known.missing([3, 2], 1), None, "a loss is shown");
        assert_eq!(Known { excused: true, ..known }.missing([0, 0], 0), None, "who knew of it was killed");
    }
}
