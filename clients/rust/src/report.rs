//! What happened, counted. Placeholder.
#![allow(missing_docs)]

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    Read,
    Write,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreRole {
    Source,
    Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    Timeout,
    Connection,
    Server,
    Constraint,
    Serialization,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    Hit,
    Miss,
    NotFound,
    Migrated,
    Backfill,
    Repaired,
    Mismatch,
    Compared,
    BothOk,
    OnlyTargetFailed,
    OnlySourceFailed,
    BothFailed,
    Indeterminate,
    NotApplied,
    Unavailable,
}

#[derive(Debug, Default)]
pub struct Recorder {
    totals: Mutex<HashMap<(String, Event), u64>>,
}

#[derive(Debug)]
pub struct InFlight;

impl Recorder {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn call(
        &self,
        _migration: &str,
        _revision: u64,
        _store: StoreRole,
        _operation: Operation,
        _latency: Duration,
        _error: Option<ErrorClass>,
    ) {
    }

    pub fn count(&self, migration: &str, _revision: u64, event: Event) {
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        *totals.entry((migration.to_owned(), event)).or_default() += 1;
    }

    pub fn in_flight(&self, _migration: &str, _store: StoreRole, _operation: Operation) -> InFlight {
        InFlight
    }

    pub fn total(&self, migration: &str, event: Event) -> u64 {
        let totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals.get(&(migration.to_owned(), event)).copied().unwrap_or_default()
    }
}
