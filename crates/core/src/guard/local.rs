//! The guard of one process over its own calls: `error_absolute` of docs/guards.md with a quorum of one.

use super::{
    detector::Detector,
    evalue::{Absolute, BANK, Sample},
};
use crate::routing::{PPM, Policy};

/// Interval between counts; two slots have to agree.
pub const SLOT_MS: u64 = 100;
const SLOTS_OF_A_TICK: u64 = 10;
const TICKS_A_DAY: f64 = 86_400.0;
/// For one process and one migration, cut off all day.
const FALSE_TRIPS_A_DAY: f64 = 1e-6;
/// Reads and writes share it.
const PARTS: f64 = 2.0;
/// Over-dispersion. The controller's guards against a rate divide by 3 at most.
const PHI: f64 = 3.0;
/// Tolerance, so that parts capped to exactly reach the threshold do reach it.
const ROUNDING: f64 = 1e-6;

/// Ended calls to one store, and the failed ones among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// All ended calls.
    pub ended: u64,
    /// At most `ended`.
    pub failed: u64,
}

/// Calls that ended within [`SLOT_MS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Reads of the target.
    pub target_reads: Calls,
    /// Writes to the target.
    pub target_writes: Calls,
    /// Reads of the source.
    pub source_reads: Calls,
    /// Writes to the source.
    pub source_writes: Calls,
}

/// The target surely fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    /// True: its writes fail; false: its reads.
    pub writes: bool,
    /// Calls since the suspected onset.
    pub since: Calls,
}

/// What the counts so far imply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nothing is certain.
    Nothing,
    /// The source seems to fail too: there is nowhere to go back to.
    Hold(Failing),
    /// Time to go back.
    GoBack(Failing),
}

/// Evidence from one migration's calls, since the controller was last heard.
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
    /// Gains of the open tick.
    gains: [f64; BANK],
}

impl Local {
    /// A guard without evidence. The policy sets the tolerated error rates.
    pub fn new(policy: Policy) -> Self {
        let limits = [policy.local_guard_read_ppm, policy.local_guard_write_ppm];
        let arms = limits.map(|ppm| Arm::new(f64::from(ppm) / f64::from(PPM)));
        Self { target: arms, source: arms, slots: 0 }
    }

    /// Adds the next slot. Empty slots count as time.
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

    /// `ln M` including this slot, which can't decide alone.
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

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_SLOTS: u64 = 864_000;

    fn calls(ended: u64, failed: u64) -> Calls {
        Calls { ended, failed }
    }

    /// Number of slots until the first finding, up to `most`.
    fn found(most: u64, mut slot: impl FnMut() -> Slot) -> Option<(u64, Finding)> {
        let mut local = Local::new(Policy::default());
        (1..=most).map(|at| (at, local.observe(&slot()))).find(|(_, finding)| *finding != Finding::Nothing)
    }

    /// How many of ten calls fail, each with this probability. Seeded: SplitMix64.
    fn failing(state: &mut u64, ppm: u64) -> u64 {
        let mut fails = || {
            *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            u64::from((mixed ^ (mixed >> 31)) % 1_000_000 < ppm)
        };
        (0..10).map(|_| fails()).sum()
    }

    #[test]
    fn a_dead_target_is_certain_after_some_thirty_failures_and_not_within_one_slot() {
        let reads = || Slot { target_reads: calls(5, 5), ..Slot::default() };
        let (slots, finding) = found(100, reads).expect("found");
        let since = calls(5 * slots, 5 * slots);
        assert_eq!(finding, Finding::GoBack(Failing { writes: false, since }));
        assert!((5..=8).contains(&slots), "{slots}");
        let writes = || Slot { target_writes: calls(5, 5), source_writes: calls(5, 0), ..Slot::default() };
        let (slots, finding) = found(100, writes).expect("found");
        assert!(matches!(finding, Finding::GoBack(Failing { writes: true, .. })) && slots <= 6, "{slots}");

        let mut first = true;
        let one_blip = || {
            let failed = if std::mem::take(&mut first) { 10_000 } else { 0 };
            Slot { target_reads: calls(failed.max(5), failed), ..Slot::default() }
        };
        assert_eq!(found(10_000, one_blip), None);
    }

    #[test]
    fn a_healthy_day_has_no_finding_and_neither_has_an_idle_one() {
        let mut state = 1;
        let healthy = || Slot {
            target_reads: calls(10, failing(&mut state, 2_000)),
            target_writes: calls(10, failing(&mut state, 2_000)),
            source_writes: calls(10, failing(&mut state, 2_000)),
            ..Slot::default()
        };
        assert_eq!(found(DAY_SLOTS, healthy), None);
        assert_eq!(found(DAY_SLOTS, Slot::default), None);
    }

    #[test]
    fn a_fifth_of_the_calls_is_seen_after_a_day_of_health_within_seconds() {
        let (mut state, mut local) = (2, Local::new(Policy::default()));
        let mut slot = |ppm| {
            let slot = Slot { target_reads: calls(10, failing(&mut state, ppm)), ..Slot::default() };
            local.observe(&slot)
        };
        assert!((0..DAY_SLOTS / 24).all(|_| slot(1_000) == Finding::Nothing));
        let slots = (1..600).find(|_| slot(300_000) != Finding::Nothing).expect("found");
        assert!(slots < 100, "{slots} slots");
    }

    #[test]
    fn the_policy_says_what_is_borne() {
        let tenth = Slot { target_reads: calls(10, 1), target_writes: calls(10, 1), ..Slot::default() };
        let seconds = |local_guard_read_ppm, local_guard_write_ppm| {
            let policy = Policy { local_guard_read_ppm, local_guard_write_ppm, ..Policy::default() };
            let mut local = Local::new(policy);
            (1..6_000).find_map(|slot| match local.observe(&tenth) {
                Finding::GoBack(failing) => Some((failing.writes, slot / 10)),
                _ => None,
            })
        };
        assert_eq!(seconds(200_000, 200_000), None, "in ten minutes");
        let (writes, slow) = seconds(200_000, 20_000).expect("too many writes fail");
        assert!(writes);
        let (writes, fast) = seconds(1_000, 200_000).expect("too many reads fail");
        assert!(!writes && fast < slow, "{fast} s, {slow} s");
    }

    #[test]
    fn with_a_source_that_fails_too_there_is_nowhere_to_go() {
        let both = || Slot { target_reads: calls(5, 5), source_writes: calls(5, 5), ..Slot::default() };
        let (_, finding) = found(100, both).expect("found");
        assert!(matches!(finding, Finding::Hold(_)), "{finding:?}");
    }
}
