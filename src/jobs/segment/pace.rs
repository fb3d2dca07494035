//! The pace of the work on one segment: its limits, the size of its pages, and why it is slow.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cutover_proto::v1;
use cutover_store::StoreError;
use tokio::time::Instant;

use crate::jobs::{
    Plan, limits,
    pace::{CHUNK_MIN_BYTES, Chunk, READ_MIN_BYTES, Rates},
};

/// A call that takes longer is reported as the reason why the pass is slow.
const SILENT: Duration = Duration::from_secs(3);
/// How long reading a page should take: well below the 2 s after which a request to DynamoDB is abandoned.
const READ: Duration = Duration::from_secs(1);

/// One segment's pace, changed while it runs.
pub(super) struct Pace {
    began: Instant,
    /// Size of writes.
    pub(super) chunk: Chunk,
    /// Size of reads.
    pub(super) reads: Chunk,
    pub(super) rates: Rates,
    /// The store being read or written, and since when.
    pub(super) reading: Option<(&'static str, Instant)>,
    pub(super) writing: Option<(&'static str, Instant)>,
    paused: bool,
    /// The limits of all workers together, for people; empty: none.
    limits: String,
    /// Why it is slow; empty: it is not.
    pub(super) note: String,
}

impl Pace {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            began: Instant::now(),
            chunk: Chunk::new(plan.limits.chunk, plan.limits.chunk_bytes, CHUNK_MIN_BYTES),
            reads: Chunk::new(READ, plan.limits.chunk_bytes, READ_MIN_BYTES),
            rates: Rates::default(),
            reading: None,
            writing: None,
            paused: false,
            limits: String::new(),
            note: String::new(),
        }
    }

    /// Bytes of the next page.
    pub(super) fn page_bytes(&self) -> usize {
        self.rates.cut(self.chunk.bytes().min(self.reads.bytes()))
    }

    /// A call to a store failed, and is retried.
    pub(super) fn failed(&mut self, store: &str, error: &StoreError) {
        if matches!(error, StoreError::Throttled { .. }) {
            self.chunk.shrink();
        }
        self.note = match error {
            StoreError::NotApplied { what, .. } => format!("waiting for the {store}, retrying: {what}"),
            error => format!("the {store}: {error}"),
        };
    }

    /// A scan failed, and is retried: less of it may arrive in time.
    pub(super) fn read_failed(&mut self, store: &str, error: &StoreError) {
        if !matches!(error, StoreError::Throttled { .. }) {
            self.reads.shrink();
        }
        self.failed(store, error);
    }

    /// Why it is slow; empty: it is not.
    pub(super) fn why(&self) -> String {
        let silent = [self.reading, self.writing].into_iter().flatten();
        let silent = silent.map(|(store, since)| (store, since.elapsed())).max_by_key(|(_, silent)| *silent);
        match silent {
            Some((store, silent)) if self.note.is_empty() && silent >= SILENT => {
                format!("waiting for the {store}: no answer for {} s", silent.as_secs())
            }
            _ => self.note.clone(),
        }
    }

    /// Takes this segment's share of the limits.
    pub(super) fn tune(&mut self, sharing: u32, tuning: v1::Tuning) {
        let now = self.began.elapsed();
        let share = f64::from(sharing.max(1));
        self.rates.limit(tuning.records_per_s as f64 / share, tuning.bytes_per_s as f64 / share, now);
        self.paused = tuning.paused;
        self.limits = limits(&tuning);
    }

    /// How long to wait before checking again; zero: proceed. Records the reason.
    pub(super) fn wait(&mut self, pressure: String) -> Duration {
        let now = self.began.elapsed();
        let budget = self.rates.wait(now);
        let look_again = Duration::from_millis(100);
        let (note, wait) = match (self.paused, pressure.is_empty(), budget.is_zero()) {
            (true, _, _) => ("paused by an operator".to_owned(), look_again),
            (_, false, _) => (pressure, look_again),
            (_, _, false) => (format!("at its limit of {}", self.limits), budget.min(look_again)),
            _ => (String::new(), Duration::ZERO),
        };
        self.note = note;
        wait
    }
}

pub(super) fn lock(pace: &Mutex<Pace>) -> MutexGuard<'_, Pace> {
    pace.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use cutover_store::spec::Spec;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_store_that_says_nothing_is_the_reason_that_is_told() {
        let spec: Spec = "migration = \"orders\"\n[source]\nurl = \"sqlite:a.db\"\ntable = \"t\"\n\
                          [target]\nurl = \"sqlite:b.db\"\ntable = \"t\"\n"
            .parse()
            .expect("it is whole");
        let mut pace = Pace::new(&Plan::of(&spec, v1::PassKind::Full, String::new()));
        pace.reading = Some(("source", Instant::now()));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(pace.why(), "", "a page takes a moment");
        pace.writing = Some(("target", Instant::now()));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(pace.why(), "waiting for the source: no answer for 12 s", "the longer one");
        let timed_out = StoreError::NotApplied {
            class: cutover_core::outcome::ErrorClass::Timeout,
            what: "no answer in time".to_owned(),
        };
        let page = pace.page_bytes();
        pace.read_failed("source", &timed_out);
        assert!(pace.why().contains("waiting for the source, retrying: no answer in time"));
        assert_eq!(pace.page_bytes(), page / 2, "less may arrive in time");
    }
}
