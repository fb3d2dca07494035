//! The guard of one process over its own calls: `error_absolute` of docs/guards.md with a quorum of one.

use super::{
    detector::Detector,
    evalue::{Absolute, BANK, Sample},
};

/// Counts are given this often; two slots have to agree.
pub const SLOT_MS: u64 = 100;
const SLOTS_OF_A_TICK: u64 = 10;
const TICKS_A_DAY: f64 = 86_400.0;
/// One process, one migration, while it is cut off all day.
const FALSE_TRIPS_A_DAY: f64 = 1e-6;
/// Reads and writes share it.
const PARTS: f64 = 2.0;
/// How often a target may fail and still be well.
const READS: f64 = 0.05;
const WRITES: f64 = 0.02;
/// Over-dispersion. The controller's guards against a rate divide by 3 at most.
const PHI: f64 = 3.0;
/// So that parts that are capped to just reach the threshold do.
const ROUNDING: f64 = 1e-6;

/// Ended calls to one store, and the failed ones of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// All of them.
    pub ended: u64,
    /// At most `ended`.
    pub failed: u64,
}

/// What ended within [`SLOT_MS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Reads of the target.
    pub target_reads: Calls,
    /// Writes to it.
    pub target_writes: Calls,
    /// Reads of the source.
    pub source_reads: Calls,
    /// Writes to it.
    pub source_writes: Calls,
}

/// The target fails, and surely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    /// These are writes; else reads.
    pub writes: bool,
    /// Calls since the suspected onset.
    pub since: Calls,
}

/// What the counts so far come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nothing is certain.
    Nothing,
    /// The source fails too, or so it seems: there is nowhere to go.
    Hold(Failing),
    /// Time to go back.
    GoBack(Failing),
}

/// Evidence of one migration's calls, since the controller was heard last.
#[derive(Clone, Copy, Debug)]
pub struct Local {
    target: [Arm; 2],
    source: [Arm; 2],
    slots: u64,
}

#[derive(Clone, Copy, Debug)]
struct Arm {
    test: Absolute,
    detector: Detector,
    /// Of the open tick.
    gains: [f64; BANK],
}

impl Default for Local {
    fn default() -> Self {
        let arms = [READS, WRITES].map(Arm::new);
        Self { target: arms, source: arms, slots: 0 }
    }
}

impl Local {
    /// Takes the next slot in. Empty ones count as time.
    pub fn observe(&mut self, slot: &Slot) -> Finding {
        self.slots += 1;
        let ends_tick = self.slots.is_multiple_of(SLOTS_OF_A_TICK);
        let now_ms = self.slots * SLOT_MS;
        let targets = self.target.iter_mut().zip([slot.target_reads, slot.target_writes]);
        let targets: Vec<f64> = targets.map(|(arm, calls)| arm.observe(calls)).collect();
        let sources = self.source.iter_mut().zip([slot.source_reads, slot.source_writes]);
        let source = sources.map(|(arm, calls)| arm.observe(calls)).fold(f64::NEG_INFINITY, f64::max);
        let tripped = targets.iter().position(|ln_m| *ln_m >= ln_c());
        let finding = tripped.map_or(Finding::Nothing, |at| {
            let since = self.target[at].detector.since();
            let since = Calls { ended: since.target, failed: since.target_bad };
            let failing = Failing { writes: at == 1, since };
            if source >= ln_c() / 2.0 { Finding::Hold(failing) } else { Finding::GoBack(failing) }
        });
        if ends_tick {
            self.target.iter_mut().chain(&mut self.source).for_each(|arm| arm.close(now_ms));
        }
        finding
    }
}

impl Arm {
    fn new(p0: f64) -> Self {
        Self { test: Absolute::gross(p0), detector: Detector::new(0), gains: [0.0; BANK] }
    }

    /// `ln M` with this slot, which can't decide alone.
    fn observe(&mut self, calls: Calls) -> f64 {
        let target_bad = calls.failed.min(calls.ended);
        let sample = Sample { target: calls.ended, target_bad, ..Sample::default() };
        self.detector.add(&sample);
        let cap = (ln_c() + (BANK as f64).ln()) / 2.0 + ROUNDING;
        for (gain, weights) in self.gains.iter_mut().zip(self.test.weights()) {
            *gain += (weights.score(&sample) / PHI).min(cap);
        }
        self.detector.ln_m(&self.gains, self.test.len())
    }

    fn close(&mut self, now_ms: u64) {
        self.detector.close(&self.gains, now_ms);
        self.gains = [0.0; BANK];
    }
}

/// The threshold: `P(M >= c within t ticks) <= t/c`.
fn ln_c() -> f64 {
    (TICKS_A_DAY * PARTS / FALSE_TRIPS_A_DAY).ln()
}
