//! The counts of one migration under one revision.

use std::{sync::Arc, time::Duration};

use cutover_core::{
    histogram::Histogram,
    outcome::{ERROR_CLASSES, EVENTS, ErrorClass, Event, Operation, Outcome, StoreRole},
};
use cutover_proto::v1;

/// Both stores, each with reads and writes.
pub(super) const LANES: usize = 4;

/// The index of calls of one kind to one store.
pub(super) const fn lane(store: StoreRole, operation: Operation) -> usize {
    store as usize * 2 + operation as usize
}

/// What a cell is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) migration: Arc<str>,
    pub(super) revision: u64,
    /// `None`: all tenants that are not counted separately.
    pub(super) tenant: Option<Arc<str>>,
}

/// Everything counted under one revision. Without histograms if there are too many cells.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    events: [u64; EVENTS],
    calls: [Calls; LANES],
    latencies: Option<Box<[Histogram; LANES]>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    calls: u64,
    errors: [u64; ERROR_CLASSES],
    answered: u64,
    not_found: u64,
}

/// Calls in flight now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) oldest_us: u64,
    /// How long each has been running.
    pub(super) ages: Histogram,
}

impl Counts {
    pub(super) fn with_latencies() -> Self {
        Self { latencies: Some(Box::default()), ..Self::default() }
    }

    pub(super) const fn has_latencies(&self) -> bool {
        self.latencies.is_some()
    }

    pub(super) fn add(&mut self, outcome: &Outcome) {
        match *outcome {
            Outcome::Call { store, operation, latency, error, found } => {
                self.call(lane(store, operation), latency, error, found);
            }
            Outcome::Event(event) => self.count(event, 1),
        }
    }

    fn call(&mut self, lane: usize, latency: Duration, error: Option<ErrorClass>, found: Option<bool>) {
        let calls = &mut self.calls[lane];
        calls.calls += 1;
        calls.answered += u64::from(found.is_some());
        calls.not_found += u64::from(found == Some(false));
        if let Some(error) = error {
            calls.errors[error as usize] += 1;
        }
        if let Some(latencies) = &mut self.latencies {
            latencies[lane].record(latency);
        }
    }

    pub(super) fn count(&mut self, event: Event, times: u64) {
        self.events[event as usize] += times;
    }

    pub(super) const fn of(&self, event: Event) -> u64 {
        self.events[event as usize]
    }

    pub(super) fn is_zero(&self) -> bool {
        self.events == [0; EVENTS] && self.calls.iter().all(|calls| calls.calls == 0)
    }

    /// Resets to zero and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.events = Default::default();
        self.calls = Default::default();
        if let Some(latencies) = &mut self.latencies {
            **latencies = Default::default();
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (count, more) in self.events.iter_mut().zip(&other.events) {
            *count += more;
        }
        for (calls, more) in self.calls.iter_mut().zip(&other.calls) {
            calls.calls += more.calls;
            calls.answered += more.answered;
            calls.not_found += more.not_found;
            for (count, more) in calls.errors.iter_mut().zip(&more.errors) {
                *count += more;
            }
        }
        match (&mut self.latencies, &other.latencies) {
            (Some(latencies), Some(more)) => {
                for (histogram, more) in latencies.iter_mut().zip(more.iter()) {
                    histogram.merge(more);
                }
            }
            (None, Some(more)) => self.latencies = Some(more.clone()),
            (_, None) => {}
        }
    }

    /// The wire message. Lanes without calls are omitted.
    pub(super) fn to_wire(&self, key: &Key, running: &[Running; LANES]) -> v1::Cell {
        let stores = [(v1::StoreRole::Source, 0), (v1::StoreRole::Target, 2)].into_iter();
        let lanes = stores.flat_map(|(store, at)| {
            [(store, v1::Operation::Read, at), (store, v1::Operation::Write, at + 1)]
        });
        let used = lanes.filter(|(.., lane)| self.calls[*lane].calls > 0 || running[*lane].ages.total() > 0);
        let stores = used.map(|(store, operation, lane)| v1::StoreCalls {
            store: store.into(),
            operation: operation.into(),
            calls: self.calls[lane].calls,
            errors: self.calls[lane].errors(),
            latency_us: self.latencies.as_ref().map(|latencies| (&latencies[lane]).into()),
            in_flight: running[lane].ages.total(),
            oldest_in_flight_us: running[lane].oldest_us,
            answered: self.calls[lane].answered,
            not_found: self.calls[lane].not_found,
            in_flight_us: Some(&running[lane].ages).filter(|ages| ages.total() > 0).map(Into::into),
        });
        v1::Cell {
            migration: key.migration.to_string(),
            revision: key.revision,
            tenant: key.tenant.as_deref().unwrap_or_default().to_owned(),
            stores: stores.collect(),
            hit: self.of(Event::Hit),
            miss: self.of(Event::Miss),
            not_found: self.of(Event::NotFound),
            migrated: self.of(Event::Migrated),
            backfill: self.of(Event::Backfill),
            repaired: self.of(Event::Repaired),
            mismatch: self.of(Event::Mismatch),
            compared: self.of(Event::Compared),
            both_ok: self.of(Event::BothOk),
            only_target_failed: self.of(Event::OnlyTargetFailed),
            only_source_failed: self.of(Event::OnlySourceFailed),
            both_failed: self.of(Event::BothFailed),
            indeterminate: self.of(Event::Indeterminate),
            not_applied: self.of(Event::NotApplied),
            unavailable: self.of(Event::Unavailable),
            lacking: self.of(Event::Lacking),
            read_pairs: self.read_pairs(),
        }
    }

    fn read_pairs(&self) -> Option<v1::ReadPairs> {
        let both_ok = self.of(Event::ReadBothOk);
        let (only_target_failed, only_source_failed, both_failed) = (
            self.of(Event::ReadOnlyTargetFailed),
            self.of(Event::ReadOnlySourceFailed),
            self.of(Event::ReadBothFailed),
        );
        let calls = both_ok + only_target_failed + only_source_failed + both_failed;
        (calls > 0).then_some(v1::ReadPairs { calls, only_target_failed, only_source_failed, both_failed })
    }
}

impl Calls {
    fn errors(&self) -> Option<v1::ErrorCounts> {
        let [timeout, connection, server, constraint, serialization, other] = self.errors;
        let errors = v1::ErrorCounts { timeout, connection, server, constraint, serialization, other };
        (self.errors != [0; ERROR_CLASSES]).then_some(errors)
    }
}
