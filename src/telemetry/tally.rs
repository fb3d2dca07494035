//! The counts of one migration.

use std::collections::{BTreeMap, VecDeque};

use cutover_core::histogram::Histogram;
use cutover_proto::v1;

use super::reading::{Calls, Reading, SLOTS};
use crate::domain::{self, Counts, Key, Latency, Rollout, Scale, Totals, WindowId};

/// Period of rates.
const RATES_S: u64 = 10;
/// Maximum seconds that are kept separately; more arise only while the store does not accept them. Then the
/// last one takes the rest.
const SECONDS_MAX: usize = 64;
/// Maximum revisions that are kept separately until they are stored. Counts of further ones go to revision 0,
/// so they do not count for steps that began later.
const REVISIONS_MAX: usize = 64;
/// A histogram with this many counts takes no more, so neither it nor a sum of ten can overflow.
const LATENCIES_MAX: u64 = 1 << 60;

/// What the controller knows of the migration of a report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// The revision that created it. What was decided under an older one belongs to an earlier migration.
    pub created_revision: u64,
    /// Its revision.
    pub revision: u64,
    /// Where tenants stand.
    pub rollout: Rollout,
}

/// How often and how fast one store was recently called.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoreRate {
    /// The store.
    pub store: v1::StoreRole,
    /// The kind of call.
    pub operation: v1::Operation,
    /// Calls per second.
    pub calls_per_s: f64,
    /// Failed calls per second.
    pub errors_per_s: f64,
    /// Median in microseconds. 0: no calls.
    pub p50_us: u64,
    /// 99th percentile in microseconds. 0: no calls.
    pub p99_us: u64,
}

/// Calls of one kind to one store since the process started.
#[derive(Clone, Debug)]
pub struct StoreView {
    /// The store.
    pub store: v1::StoreRole,
    /// The kind of call.
    pub operation: v1::Operation,
    /// All calls.
    pub calls: u64,
    /// Failed calls.
    pub errors: u64,
    /// Latencies.
    pub latency: Histogram,
    /// Median of the last ten seconds. 0: no calls.
    pub p50_us: u64,
}

/// The counts of one migration at one time.
#[derive(Clone, Debug)]
pub struct MigrationView {
    /// Its key.
    pub key: String,
    /// Its events.
    pub totals: Totals,
    /// Rollbacks since the process started, of everybody or of a tenant.
    pub rollbacks: u64,
    /// Its calls; stores never called are absent.
    pub stores: Vec<StoreView>,
}

/// All counts at one time.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// By key, ascending.
    pub migrations: Vec<MigrationView>,
    /// Cells that instances dropped.
    pub dropped_cells: u64,
    /// Malformed cells.
    pub rejected_cells: u64,
    /// Cells of migrations that do not exist.
    pub unknown_cells: u64,
    /// Reports that were acknowledged but whose counts were lost when the last process died.
    pub lost_reports: u64,
    /// Reports that were not counted, by reason.
    pub refused_reports: Vec<(&'static str, u64)>,
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

/// Counts that arrived in one second.
#[derive(Debug)]
struct Second {
    at_s: u64,
    /// They are already in the windows.
    is_taken: bool,
    known: Known,
    events: Totals,
    calls: [Option<Box<Sum>>; SLOTS.len()],
}

/// Everything counted of one migration.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) totals: Totals,
    pub(super) rollbacks: u64,
    all: [Option<Box<Sum>>; SLOTS.len()],
    recent: VecDeque<Second>,
    /// By the revision of the decision: what is not in the windows yet.
    revisions: BTreeMap<u64, Counts>,
}

impl Tally {
    pub(super) fn add(&mut self, reading: &Reading, known: &Known, now_ms: u64) {
        self.totals.add(&reading.events);
        let revision = self.revision(reading.revision);
        (revision.revision, revision.rollout) = (known.revision, known.rollout);
        revision.events.add(&reading.events);
        for calls in &reading.calls {
            if let Some(of) = revision.calls.get_mut(calls.slot) {
                of.calls = of.calls.saturating_add(calls.calls);
                of.errors = of.errors.saturating_add(calls.errors);
            }
        }
        let second = self.second(now_ms / 1_000, known);
        second.events.add(&reading.events);
        add_calls(&mut second.calls, &reading.calls);
        add_calls(&mut self.all, &reading.calls);
    }

    fn revision(&mut self, revision: u64) -> &mut Counts {
        let has_room = self.revisions.len() < REVISIONS_MAX || self.revisions.contains_key(&revision);
        self.revisions.entry(if has_room { revision } else { 0 }).or_default()
    }

    fn second(&mut self, at_s: u64, known: &Known) -> &mut Second {
        let is_over = |second: &Second| second.is_taken && !is_recent(second.at_s, at_s);
        while self.recent.front().is_some_and(is_over) {
            self.recent.pop_front();
        }
        let is_full = self.recent.len() >= SECONDS_MAX;
        let goes_on = |last: &Second| !last.is_taken && (last.at_s == at_s || is_full);
        if !self.recent.back().is_some_and(goes_on) {
            if is_full {
                // All are stored if the last one is.
                self.recent.pop_front();
            }
            let (known, events, calls) = (*known, Totals::default(), Default::default());
            self.recent.push_back(Second { at_s, is_taken: false, known, events, calls });
        }
        let last = self.recent.len() - 1;
        let second = &mut self.recent[last];
        second.known = *known;
        second
    }

    /// What is not in the windows yet, by second and by revision. From now on it counts as stored.
    pub(super) fn take(&mut self, key: &Key) -> Vec<(WindowId, Counts)> {
        let id = |scale, at| WindowId { key: key.clone(), scale, at };
        let mut taken: Vec<_> = std::mem::take(&mut self.revisions)
            .into_iter()
            .map(|(revision, counts)| (id(Scale::Revision, revision), counts))
            .collect();
        for second in self.recent.iter_mut().filter(|second| !second.is_taken) {
            second.is_taken = true;
            taken.push((id(Scale::Second, second.at_s), second.counts()));
        }
        taken
    }

    fn used(&self) -> impl Iterator<Item = (usize, v1::StoreRole, v1::Operation, &Sum)> {
        let slots = SLOTS.iter().zip(&self.all).enumerate();
        slots
            .filter_map(|(slot, ((store, operation), sum))| Some((slot, *store, *operation, sum.as_deref()?)))
    }

    /// The sum of the last ten seconds.
    fn window(&self, slot: usize, now_ms: u64) -> Sum {
        let mut sum = Sum::default();
        let recent = self.recent.iter().filter(|second| is_recent(second.at_s, now_ms / 1_000));
        for second in recent.filter_map(|second| second.calls[slot].as_deref()) {
            sum.add(second.calls, second.errors, &second.latency);
        }
        sum
    }

    pub(super) fn rates(&self, now_ms: u64) -> Vec<StoreRate> {
        let rate = |(slot, store, operation, _): (_, _, _, &Sum)| {
            let sum = self.window(slot, now_ms);
            StoreRate {
                store,
                operation,
                calls_per_s: sum.calls as f64 / RATES_S as f64,
                errors_per_s: sum.errors as f64 / RATES_S as f64,
                p50_us: sum.latency.p50_us().unwrap_or(0),
                p99_us: sum.latency.p99_us().unwrap_or(0),
            }
        };
        self.used().map(rate).collect()
    }

    pub(super) fn view(&self, key: &str, now_ms: u64) -> MigrationView {
        let store = |(slot, store, operation, sum): (_, _, _, &Sum)| StoreView {
            store,
            operation,
            calls: sum.calls,
            errors: sum.errors,
            latency: sum.latency.clone(),
            p50_us: self.window(slot, now_ms).latency.p50_us().unwrap_or(0),
        };
        MigrationView {
            key: key.to_owned(),
            totals: self.totals,
            rollbacks: self.rollbacks,
            stores: self.used().map(store).collect(),
        }
    }
}

impl Second {
    fn counts(&self) -> Counts {
        let calls = |sum: &Option<Box<Sum>>| {
            let sum = sum.as_deref()?;
            let latency = Latency::of(sum.latency.counts());
            Some(domain::Calls { calls: sum.calls, errors: sum.errors, latency })
        };
        Counts {
            revision: self.known.revision,
            rollout: self.known.rollout,
            events: self.events,
            calls: std::array::from_fn(|slot| calls(&self.calls[slot]).unwrap_or_default()),
        }
    }
}

fn add_calls(sums: &mut [Option<Box<Sum>>; SLOTS.len()], more: &[Calls]) {
    for Calls { slot, calls, errors, latency } in more {
        if let Some(sum) = sums.get_mut(*slot) {
            sum.get_or_insert_default().add(*calls, *errors, latency);
        }
    }
}

/// Within the ten seconds until `now_s`. Not seconds in the future, which a clock that was set back leaves
/// behind.
fn is_recent(at_s: u64, now_s: u64) -> bool {
    at_s <= now_s && now_s - at_s < RATES_S
}
