//! One guard over everybody's outcomes: a detector, and the caps that prevent one instance, or one moment,
//! from deciding alone.

use super::{
    Guard, Rule,
    detector::Detector,
    evalue::{BANK, Sample, Test, Weights},
    roster::{Few, Roster},
};

/// Number of slots in a tick; two of them have to agree.
pub(super) const SLOTS: usize = 10;
/// Tolerance, so that parts capped to exactly reach the threshold do reach it.
const ROUNDING: f64 = 1e-6;

/// The parameters of evidence, fixed for a tick.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    /// The threshold.
    pub(super) ln_c: f64,
    /// Over-dispersion, at least 1.
    pub(super) phi: f64,
    /// Number of different instances that have to agree.
    pub(super) quorum: usize,
}

impl Measure {
    fn cap(&self, len: usize, parts: usize) -> f64 {
        (self.ln_c + (len.max(1) as f64).ln()) / parts.max(1) as f64 + ROUNDING
    }
}

/// A guard over everybody's outcomes.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    /// The guard.
    pub(super) guard: Guard,
    /// Its setting.
    pub(super) rule: Rule,
    /// What it tests.
    pub(super) test: Test,
    /// Its evidence.
    pub(super) detector: Detector,
    /// It has tripped, and waits for the next stage.
    pub(super) latched: bool,
    /// Its index, if instances hold its evidence in their seats.
    pub(super) seat: Option<usize>,
    slots: [Sample; SLOTS],
    /// Instances with anything against the target in the open tick.
    suspects: Vec<u32>,
    /// Different instances with anything against the target since the suspected onset.
    behind: Few,
}

impl Pool {
    /// A pool without evidence. With a `seat`, what one instance adds is capped.
    pub(super) fn new(guard: Guard, rule: Rule, test: Test, seat: Option<usize>, now_ms: u64) -> Self {
        Self {
            guard,
            rule,
            test,
            detector: Detector::new(now_ms),
            latched: false,
            seat,
            slots: [Sample::default(); SLOTS],
            suspects: Vec::new(),
            behind: Few::default(),
        }
    }

    /// Adds counts to the open tick. The caller counts into the seat.
    pub(super) fn add(&mut self, sample: &Sample, slot: usize, place: u32) {
        self.detector.add(sample);
        self.slots[slot % SLOTS].add(sample);
        if sample.is_bad() {
            self.behind.add(place);
            if self.seat.is_some() && !self.suspects.contains(&place) {
                self.suspects.push(place);
            }
        }
    }

    /// `ln M`, if it is at `bar` or more after all caps.
    pub(super) fn reached(&self, roster: &Roster, measure: &Measure, bar: f64) -> Option<f64> {
        let len = self.test.len();
        let weights = self.test.weights(self.detector.tick());
        let plain = scores(&weights, self.detector.tick(), measure.phi);
        if !self.detector.may_reach(&plain, len, bar) || self.behind.count() < measure.quorum {
            return None;
        }
        let gains = self.capped(&weights, plain, roster, measure);
        Some(self.detector.ln_m(&gains, len)).filter(|ln_m| *ln_m >= bar)
    }

    /// The current `ln M`.
    pub(super) fn ln_m(&self, roster: &Roster, measure: &Measure) -> f64 {
        let weights = self.test.weights(self.detector.tick());
        let plain = scores(&weights, self.detector.tick(), measure.phi);
        let gains = self.capped(&weights, plain, roster, measure);
        self.detector.ln_m(&gains, self.test.len())
    }

    /// Removes what one instance, or one slot, has in excess. Less evidence is always sound.
    fn capped(
        &self,
        weights: &[Weights; BANK],
        plain: [f64; BANK],
        roster: &Roster,
        measure: &Measure,
    ) -> [f64; BANK] {
        let len = self.test.len();
        let of_instances = self.seat.map_or([0.0; BANK], |seat| {
            let cap = measure.cap(len, measure.quorum);
            roster.excess(seat, &self.suspects, weights, measure.phi, cap)
        });
        let cap = measure.cap(len, 2);
        let mut gains = plain;
        for (at, gain) in gains.iter_mut().enumerate() {
            let above = |slot: &Sample| (weights[at].score(slot) / measure.phi - cap).max(0.0);
            let of_slots: f64 = self.slots.iter().map(above).sum();
            *gain -= of_slots.max(of_instances[at]);
        }
        gains
    }

    /// Ends the open tick; returns its counts.
    pub(super) fn close(&mut self, roster: &mut Roster, measure: &Measure, next_ms: u64) -> Sample {
        let tick = *self.detector.tick();
        if tick.is_empty() {
            return tick;
        }
        let weights = self.test.weights(&tick);
        let plain = scores(&weights, &tick, measure.phi);
        let gains = match tick.is_bad() {
            true => self.capped(&weights, plain, roster, measure),
            false => plain,
        };
        self.detector.close(&gains, next_ms);
        if let Some(seat) = self.seat {
            let cap = measure.cap(self.test.len(), measure.quorum);
            roster.close(seat, &weights, measure.phi, cap, self.detector.held());
        }
        if self.detector.is_calm() {
            self.behind = Few::default();
        }
        self.slots = [Sample::default(); SLOTS];
        self.suspects.clear();
        tick
    }

    /// Clears all evidence.
    pub(super) fn reset(&mut self, now_ms: u64) {
        *self = Self::new(self.guard, self.rule, self.test, self.seat, now_ms);
    }
}

/// `ln e` of each alternative, divided by the over-dispersion.
pub(super) fn scores(weights: &[Weights; BANK], sample: &Sample, phi: f64) -> [f64; BANK] {
    weights.map(|weights| weights.score(sample) / phi)
}
