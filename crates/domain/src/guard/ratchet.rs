//! The lowest rate of misses that was surely reached. Misses only fall while tenants warm up, so a rise is a
//! fault: records that were in the target are gone.

use super::{bounds, evalue::Absolute};

/// Windows in ticks, and the calls that one needs.
const WINDOWS: [usize; 3] = [10, 60, LONGEST];
const LONGEST: usize = 600;
const CALLS_MIN: u64 = 200;

/// A bound is wrong with a probability of 1e-9.
pub(super) const SURE: f64 = 20.723_265_836_946_41; // ln 1e9

/// Counts of the last 600 ticks.
#[derive(Clone, Debug)]
pub(super) struct Window {
    ring: Vec<(u32, u32)>,
    next: usize,
    sums: [(u64, u64); WINDOWS.len()],
    open: (u64, u64),
}

impl Default for Window {
    fn default() -> Self {
        Self { ring: vec![(0, 0); LONGEST], next: 0, sums: [(0, 0); WINDOWS.len()], open: (0, 0) }
    }
}

impl Window {
    /// Adds a tick of `calls`, `bad` of them bad.
    pub(super) fn push(&mut self, calls: u64, bad: u64) {
        let entry = (u32::try_from(calls).unwrap_or(u32::MAX), u32::try_from(bad).unwrap_or(u32::MAX));
        for (ticks, sum) in WINDOWS.iter().zip(&mut self.sums) {
            let (calls, bad) = self.ring[(self.next + LONGEST - ticks) % LONGEST];
            sum.0 = sum.0 + u64::from(entry.0) - u64::from(calls);
            sum.1 = sum.1 + u64::from(entry.1) - u64::from(bad);
        }
        self.ring[self.next] = entry;
        self.next = (self.next + 1) % LONGEST;
    }

    /// Adds counts to the open tick.
    pub(super) fn add(&mut self, calls: u64, bad: u64) {
        self.open = (self.open.0.saturating_add(calls), self.open.1.saturating_add(bad));
    }

    /// Ends the open tick.
    pub(super) fn end_tick(&mut self) {
        let (calls, bad) = std::mem::take(&mut self.open);
        self.push(calls, bad);
    }

    /// All calls and bad calls of the last 600 ticks.
    pub(super) const fn longest(&self) -> (u64, u64) {
        self.sums[WINDOWS.len() - 1]
    }
}

/// The ratchet of one enrolment step. Tenants that came later have cold keys and their own ratchet.
#[derive(Clone, Debug)]
pub struct Ratchet {
    factor: f64,
    slack: f64,
    window: Window,
    lowest: f64,
    test: Absolute,
}

impl Ratchet {
    /// Nothing is known yet: no rate of misses is too high.
    pub fn new(factor: f64, slack: f64) -> Self {
        Self { factor, slack, window: Window::default(), lowest: 1.0, test: Absolute::rise(1.0) }
    }

    /// Adds a closed tick. Ticks without reads are skipped.
    pub fn close(&mut self, reads: u64, misses: u64) {
        if reads == 0 {
            return;
        }
        self.window.push(reads, misses.min(reads));
        let before = self.lowest;
        for (calls, bad) in self.window.sums {
            let (n, x) = (calls as f64, bad as f64);
            // Only then is the bound below: one logarithm instead of a bisection.
            let is_below = calls >= CALLS_MIN
                && x < n * self.lowest
                && n * bounds::kl(x / n, self.lowest.min(1.0 - 1e-12)) > SURE;
            if is_below {
                self.lowest = self.lowest.min(bounds::upper(x, n, SURE));
            }
        }
        if self.lowest < before {
            self.test = Absolute::rise(self.factor * self.lowest + self.slack);
        }
    }

    /// The test for the next tick.
    pub const fn test(&self) -> &Absolute {
        &self.test
    }

    /// The rate that was surely reached at some time.
    pub const fn lowest(&self) -> f64 {
        self.lowest
    }
}
