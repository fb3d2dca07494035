//! Histories of other stores: how far each had come when somebody held a state of it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The newest revision of each history that somebody came with, see
/// [`InstanceRecord::history`](crate::store::InstanceRecord::history).
#[derive(Debug)]
pub struct Met(Mutex<HashMap<String, u64>>);

impl<'a> FromIterator<(&'a str, u64)> for Met {
    fn from_iter<I: IntoIterator<Item = (&'a str, u64)>>(newest: I) -> Self {
        Self(Mutex::new(newest.into_iter().map(|(id, newest)| (id.to_owned(), newest)).collect()))
    }
}

impl Met {
    /// Whether somebody came with this revision before, or with a newer one. If nobody did, the history has gone on since:
    /// its store was in use.
    pub fn has(&self, history_id: &str, revision: u64) -> bool {
        self.newest().get(history_id).is_some_and(|newest| revision <= *newest)
    }

    /// The newest revision that somebody came with, this one included.
    pub fn newest_with(&self, history_id: &str, revision: u64) -> u64 {
        self.newest().get(history_id).map_or(revision, |newest| revision.max(*newest))
    }

    /// Somebody has come with this revision, and the store knows.
    pub fn note(&self, history_id: &str, revision: u64) {
        let mut all = self.newest();
        let newest = all.entry(history_id.to_owned()).or_default();
        *newest = revision.max(*newest);
    }

    fn newest(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
