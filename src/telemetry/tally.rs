//! The counts of one migration.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use cutover_client::report::Histogram;
use cutover_proto::v1;

use super::reading::{Calls, Reading};

const SECOND: Duration = Duration::from_secs(1);
/// What rates are of.
const WINDOW: Duration = Duration::from_secs(10);
/// A histogram that has counted as many counts no more: it cannot overflow, nor a sum of ten.
const LATENCIES_MAX: u64 = 1 << 60;

/// Every store and operation kind, in the order of their slots.
const SLOTS: [(v1::StoreRole, v1::Operation); 4] = [
    (v1::StoreRole::Source, v1::Operation::Read),
    (v1::StoreRole::Source, v1::Operation::Write),
    (v1::StoreRole::Target, v1::Operation::Read),
    (v1::StoreRole::Target, v1::Operation::Write),
];

/// Where this store's calls of this kind are counted. `None`: one of them is unspecified.
pub(super) fn slot(store: v1::StoreRole, operation: v1::Operation) -> Option<usize> {
    SLOTS.iter().position(|slot| *slot == (store, operation))
}

macro_rules! totals {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Events since the process started.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[$doc])* pub $name: u64,)*
            /// Cells that instances had to drop, of whatever migration: which is not known.
            pub dropped_cells: u64,
        }

        impl Totals {
            /// All events by their names; `dropped_cells` are none.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }

            fn add(&mut self, more: &Self) {
                $(self.$name = self.$name.saturating_add(more.$name);)*
            }
        }

        impl From<&v1::Cell> for Totals {
            fn from(cell: &v1::Cell) -> Self {
                Self { $($name: cell.$name,)* dropped_cells: 0 }
            }
        }
    };
}

totals! {
    /// Reads that the target answered.
    hit,
    /// Reads that only the source could answer.
    miss,
    /// Reads that neither could answer.
    not_found,
    /// Copied to the target by an operation.
    migrated,
    /// Copied by a batch job.
    backfill,
    /// Older in the target, made equal.
    repaired,
    /// Different, and still so when read again.
    mismatch,
    /// Reads of which both answers were compared.
    compared,
    /// Writes that both stores took.
    both_ok,
    /// Writes that only the source took.
    only_target_failed,
    /// Writes that only the target took.
    only_source_failed,
    /// Writes that neither took.
    both_failed,
    /// Operations of which the caller cannot know whether they took effect.
    indeterminate,
    /// Operations that took no effect.
    not_applied,
    /// Operations that were held or fenced.
    unavailable,
}

/// How often, and how fast, one store was called of late.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoreRate {
    /// Which store.
    pub store: v1::StoreRole,
    /// Which kind of call.
    pub operation: v1::Operation,
    /// Calls a second.
    pub calls_per_s: f64,
    /// Failed calls a second.
    pub errors_per_s: f64,
    /// Half of the calls took no longer, in microseconds. 0: no calls.
    pub p50_us: u64,
    /// 99 of 100 calls took no longer, in microseconds. 0: no calls.
    pub p99_us: u64,
}

/// Calls of one kind to one store since the process started.
#[derive(Clone, Debug)]
pub struct StoreView {
    /// Which store.
    pub store: v1::StoreRole,
    /// Which kind of call.
    pub operation: v1::Operation,
    /// All calls.
    pub calls: u64,
    /// Failed ones.
    pub errors: u64,
    /// How long they took.
    pub latency: Histogram,
    /// Half of the calls of the last ten seconds took no longer. 0: there were none.
    pub p50_us: u64,
}

/// The counts of one migration at one time.
#[derive(Clone, Debug)]
pub struct MigrationView {
    /// Its key.
    pub key: String,
    /// Its events.
    pub totals: Totals,
    /// Rollbacks since the process started, of all or of a tenant.
    pub rollbacks: u64,
    /// Its calls; stores never called are absent.
    pub stores: Vec<StoreView>,
}

/// All counts at one time.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// By key, ascending.
    pub migrations: Vec<MigrationView>,
    /// Cells that instances had to drop.
    pub dropped_cells: u64,
    /// Cells that came malformed.
    pub rejected_cells: u64,
    /// Cells of migrations that there are not.
    pub unknown_cells: u64,
}

/// Calls and their latencies.
#[derive(Debug, Default)]
struct Sum {
    calls: u64,
    errors: u64,
    latency: Histogram,
}

impl Sum {
    fn add(&mut self, calls: u64, errors: u64, latency: &Histogram) {
        self.calls = self.calls.saturating_add(calls);
        self.errors = self.errors.saturating_add(errors);
        if self.latency.total() < LATENCIES_MAX {
            self.latency.merge(latency);
        }
    }
}

/// Calls of one kind to one store: all, and by the second of their arrival.
#[derive(Debug, Default)]
struct Series {
    all: Sum,
    recent: VecDeque<(Instant, Sum)>,
}

impl Series {
    fn add(&mut self, calls: &Calls, now: Instant) {
        let Calls { calls, errors, latency, .. } = calls;
        self.all.add(*calls, *errors, latency);
        self.recent.retain(|(begun, _)| now.saturating_duration_since(*begun) < WINDOW);
        match self.recent.back_mut() {
            Some((begun, sum)) if now.saturating_duration_since(*begun) < SECOND => {
                sum.add(*calls, *errors, latency);
            }
            _ => {
                let mut sum = Sum::default();
                sum.add(*calls, *errors, latency);
                self.recent.push_back((now, sum));
            }
        }
    }

    /// The sum of the window that ends now.
    fn window(&self, now: Instant) -> Sum {
        let mut sum = Sum::default();
        let recent = self.recent.iter().filter(|(begun, _)| now.saturating_duration_since(*begun) < WINDOW);
        recent.for_each(|(_, second)| sum.add(second.calls, second.errors, &second.latency));
        sum
    }
}

/// Everything counted of one migration.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) totals: Totals,
    pub(super) rollbacks: u64,
    series: [Option<Box<Series>>; SLOTS.len()],
}

impl Tally {
    pub(super) fn add(&mut self, reading: &Reading, now: Instant) {
        self.totals.add(&reading.events);
        for calls in &reading.calls {
            if let Some(series) = self.series.get_mut(calls.slot) {
                series.get_or_insert_default().add(calls, now);
            }
        }
    }

    fn used(&self) -> impl Iterator<Item = (v1::StoreRole, v1::Operation, &Series)> {
        let slots = SLOTS.iter().zip(&self.series);
        slots.filter_map(|((store, operation), series)| Some((*store, *operation, series.as_deref()?)))
    }

    pub(super) fn rates(&self, now: Instant) -> Vec<StoreRate> {
        let rate = |(store, operation, series): (_, _, &Series)| {
            let sum = series.window(now);
            StoreRate {
                store,
                operation,
                calls_per_s: sum.calls as f64 / WINDOW.as_secs_f64(),
                errors_per_s: sum.errors as f64 / WINDOW.as_secs_f64(),
                p50_us: sum.latency.p50_us().unwrap_or(0),
                p99_us: sum.latency.p99_us().unwrap_or(0),
            }
        };
        self.used().map(rate).collect()
    }

    pub(super) fn view(&self, key: &str, now: Instant) -> MigrationView {
        let store = |(store, operation, series): (_, _, &Series)| StoreView {
            store,
            operation,
            calls: series.all.calls,
            errors: series.all.errors,
            latency: series.all.latency.clone(),
            p50_us: series.window(now).latency.p50_us().unwrap_or(0),
        };
        MigrationView {
            key: key.to_owned(),
            totals: self.totals,
            rollbacks: self.rollbacks,
            stores: self.used().map(store).collect(),
        }
    }
}
