//! The instances that report: each report counted once, who stopped reporting, and what one instance may add.

use std::collections::{HashMap, VecDeque};

use super::{
    Guard,
    evalue::{BANK, Sample, Weights},
};

/// An instance that is silent for this long is absent: it missed three reports.
const SILENT_MS: u64 = 3_000;
/// Instances that stopped reporting within this time are gone together.
const GONE_WITHIN_MS: u64 = 10_000;
/// A process that crashed has this long to come back, or to be replaced.
const REPLACED_MS: u64 = 30_000;
/// A silent instance is remembered for this long.
const REMEMBERED_MS: u64 = 600_000;
/// If more than this share is gone, it is blindness.
const GONE_MAX: f64 = 0.3;
/// And at least this many: one or two processes that crash tell nothing of the others.
const GONE_MIN: usize = 3;
/// Number of different instances that a trip of a fleet needs.
const QUORUM: usize = 3;

/// What the names of callers without an SDK begin with, and no instance's does.
pub const OUTCOMES: &str = "outcomes/";

/// One instance's part in one guard.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seat {
    /// Its counts of the open tick.
    pub(super) sample: Sample,
    /// Evidence that it holds for each alternative: 0 or more, never above the cap.
    held: [f64; BANK],
}

/// An instance.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    /// The name that it reports.
    pub(super) name: Box<str>,
    /// By the guard's index.
    pub(super) seats: [Seat; Guard::COUNT],
    sequence: u64,
    first_ms: u64,
    last_ms: u64,
    reported_tick: bool,
}

impl Instance {
    fn is_member(&self) -> bool {
        !self.name.starts_with(OUTCOMES)
    }
}

/// Instances that stopped reporting together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone {
    /// How many; without those that were replaced.
    pub(super) gone: usize,
    /// How many still report.
    pub(super) live: usize,
}

/// How long instances have to be silent to count as gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Long enough that no step may be taken meanwhile.
    Now,
    /// So long that a crashed process would be back, or replaced.
    Unreplaced,
}

/// All instances.
#[derive(Clone, Debug, Default)]
pub(super) struct Roster {
    index: HashMap<Box<str>, u32>,
    instances: Vec<Option<Instance>>,
    free: Vec<u32>,
    /// Instances that reported in the open tick.
    touched: Vec<u32>,
    /// Since when reports have been received without a break; nobody counts as silent for longer.
    listening_since_ms: u64,
    /// When instances left in an orderly way, recently.
    left_ms: VecDeque<u64>,
}

/// Why a report was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// This or a later report was already counted.
    Repeated,
    /// There are too many instances.
    Full,
}

impl Roster {
    /// Records a report, and returns its instance's index.
    pub(super) fn take(
        &mut self,
        name: &str,
        sequence: u64,
        now_ms: u64,
        max: usize,
    ) -> Result<u32, NotTaken> {
        let at = match self.index.get(name) {
            Some(at) => *at,
            None => self.admit(name, now_ms, max).ok_or(NotTaken::Full)?,
        };
        let Some(instance) = &mut self.instances[at as usize] else { return Err(NotTaken::Full) };
        if sequence <= instance.sequence {
            return Err(NotTaken::Repeated);
        }
        instance.sequence = sequence;
        instance.last_ms = now_ms;
        if !instance.reported_tick {
            instance.reported_tick = true;
            self.touched.push(at);
        }
        Ok(at)
    }

    /// Whether it has reported.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    fn admit(&mut self, name: &str, now_ms: u64, max: usize) -> Option<u32> {
        if self.index.len() >= max {
            self.drop_silent(now_ms);
            if self.index.len() >= max {
                return None;
            }
        }
        let instance = Instance {
            name: name.into(),
            seats: [Seat::default(); Guard::COUNT],
            sequence: 0,
            first_ms: now_ms,
            last_ms: now_ms,
            reported_tick: false,
        };
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.instances.push(None);
                u32::try_from(self.instances.len() - 1).ok()?
            }
        };
        self.instances[at as usize] = Some(instance);
        self.index.insert(name.into(), at);
        Some(at)
    }

    fn drop_silent(&mut self, now_ms: u64) {
        let silent: Vec<Box<str>> = self
            .iter()
            .filter(|instance| now_ms.saturating_sub(instance.last_ms) > REMEMBERED_MS)
            .map(|instance| instance.name.clone())
            .collect();
        silent.iter().for_each(|name| self.remove(name));
    }

    /// It said goodbye, was evicted, or a new process has its name.
    pub(super) fn leave(&mut self, name: &str, now_ms: u64) {
        if !self.knows(name) {
            return;
        }
        self.remove(name);
        let is_old = |left_ms: &u64| now_ms.saturating_sub(*left_ms) > REPLACED_MS + GONE_WITHIN_MS;
        while self.left_ms.front().is_some_and(is_old) {
            self.left_ms.pop_front();
        }
        self.left_ms.push_back(now_ms);
    }

    /// Nothing was received for a while, for reasons of the controller's own.
    pub(super) fn listen_anew(&mut self, now_ms: u64) {
        self.listening_since_ms = now_ms;
    }

    fn remove(&mut self, name: &str) {
        let Some(at) = self.index.remove(name) else { return };
        self.instances[at as usize] = None;
        self.touched.retain(|touched| *touched != at);
        self.free.push(at);
    }

    /// The instance with this index.
    pub(super) fn get(&self, at: u32) -> Option<&Instance> {
        self.instances.get(at as usize)?.as_ref()
    }

    /// The instance with this index.
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut Instance> {
        self.instances.get_mut(at as usize)?.as_mut()
    }

    /// All instances.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().flatten()
    }

    /// Number of instances that a trip needs: three, or all that are present.
    pub(super) fn quorum(&self, now_ms: u64) -> usize {
        self.live(now_ms).take(QUORUM).count().max(1)
    }

    /// Whether too many stopped reporting together, without a goodbye, and are neither back nor replaced.
    pub(super) fn gone(&self, silence: Silence, now_ms: u64) -> Option<Gone> {
        let least_ms = match silence {
            Silence::Now => SILENT_MS,
            Silence::Unreplaced => REPLACED_MS,
        };
        let longest_ms = REPLACED_MS + GONE_WITHIN_MS;
        let silent = self.members().filter(|instance| {
            let silent_ms = self.silent_ms(instance, now_ms);
            silent_ms > least_ms && silent_ms <= longest_ms
        });
        let mut lasts: Vec<u64> = silent.map(|instance| instance.last_ms).collect();
        lasts.sort_unstable();
        let together = |first_ms: &u64| {
            let upto = lasts.partition_point(|last_ms| *last_ms <= first_ms + GONE_WITHIN_MS);
            upto - lasts.partition_point(|last_ms| last_ms < first_ms)
        };
        let first_ms = *lasts.iter().max_by_key(|first_ms| together(first_ms))?;
        // Who came meanwhile replaces one of them, or one that left.
        let live = || self.live(now_ms).filter(|instance| instance.is_member());
        let came = live().filter(|instance| instance.first_ms > first_ms).count();
        let left = self.left_ms.iter().filter(|left_ms| **left_ms > first_ms).count();
        let gone = together(&first_ms).saturating_sub(came.saturating_sub(left));
        let live = live().count();
        let is_blind = gone >= GONE_MIN && gone as f64 > GONE_MAX * (gone + live) as f64;
        is_blind.then_some(Gone { gone, live })
    }

    /// How many instances have been silent since when, in milliseconds before now, if none reports any more.
    pub(super) fn all_silent(&self, now_ms: u64) -> Option<(usize, u64)> {
        let silent_ms: Vec<u64> = self.members().map(|instance| self.silent_ms(instance, now_ms)).collect();
        let least_ms = *silent_ms.iter().min()?;
        let remembered = silent_ms.iter().filter(|silent_ms| **silent_ms <= REMEMBERED_MS).count();
        (least_ms > SILENT_MS && remembered > 0).then_some((remembered, least_ms))
    }

    /// Those of which silence means something: callers without an SDK come and go without a goodbye.
    fn members(&self) -> impl Iterator<Item = &Instance> {
        self.iter().filter(|instance| instance.is_member())
    }

    fn live(&self, now_ms: u64) -> impl Iterator<Item = &Instance> {
        self.iter().filter(move |instance| self.silent_ms(instance, now_ms) <= SILENT_MS)
    }

    fn silent_ms(&self, instance: &Instance, now_ms: u64) -> u64 {
        now_ms.saturating_sub(instance.last_ms.max(self.listening_since_ms))
    }

    /// What a guard's suspects hold above the cap of one instance.
    pub(super) fn excess(
        &self,
        guard: usize,
        suspects: &[u32],
        weights: &[Weights; BANK],
        phi: f64,
        cap: f64,
    ) -> [f64; BANK] {
        let mut excess = [0.0; BANK];
        for seat in suspects.iter().filter_map(|at| self.get(*at)).map(|instance| &instance.seats[guard]) {
            for ((excess, weights), held) in excess.iter_mut().zip(weights).zip(seat.held) {
                let room = (cap - held).max(0.0);
                *excess += (weights.score(&seat.sample) / phi - room).max(0.0);
            }
        }
        excess
    }

    /// Ends the tick of one guard: what each instance added counts as its holding from now on. Nobody holds
    /// more than `all`, the evidence that exists. What others' good outcomes have removed can be added again;
    /// otherwise a fleet of three with one long-sick instance would be one short of its quorum.
    pub(super) fn close(
        &mut self,
        guard: usize,
        weights: &[Weights; BANK],
        phi: f64,
        cap: f64,
        all: &[f64; BANK],
    ) {
        for at in &self.touched {
            let Some(instance) = self.instances[*at as usize].as_mut() else { continue };
            let seat = &mut instance.seats[guard];
            if seat.sample.is_bad() || seat.held.iter().any(|held| *held > 0.0) {
                for ((held, weights), all) in seat.held.iter_mut().zip(weights).zip(all) {
                    let room = (cap - *held).max(0.0);
                    *held = (*held + (weights.score(&seat.sample) / phi).min(room)).clamp(0.0, *all);
                }
            }
            seat.sample = Sample::default();
        }
    }

    /// Ends the tick, after that of each guard.
    pub(super) fn end_tick(&mut self) {
        for at in self.touched.drain(..) {
            if let Some(instance) = self.instances[at as usize].as_mut() {
                instance.reported_tick = false;
            }
        }
    }

    /// A new stage, or new evidence: nobody holds any evidence.
    pub(super) fn forgive(&mut self, guard: Option<usize>) {
        for instance in self.instances.iter_mut().flatten() {
            match guard {
                Some(guard) => instance.seats[guard] = Seat::default(),
                None => instance.seats = [Seat::default(); Guard::COUNT],
            }
        }
    }
}

impl Seat {
    /// Evidence of the instance by the strongest alternative, including the open tick.
    pub(super) fn evidence(&self, weights: &[Weights; BANK], phi: f64) -> f64 {
        let each = self.held.iter().zip(weights);
        each.map(|(held, weights)| held + weights.score(&self.sample) / phi).fold(0.0, f64::max)
    }
}

/// A few different instances: enough to know whether there are three.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Few {
    places: [u32; QUORUM],
    len: u8,
}

impl Few {
    /// Adds one; a fourth is not remembered.
    pub(super) fn add(&mut self, place: u32) {
        if usize::from(self.len) < QUORUM && !self.places().contains(&place) {
            self.places[usize::from(self.len)] = place;
            self.len += 1;
        }
    }

    /// The remembered ones.
    pub(super) fn places(&self) -> &[u32] {
        &self.places[..usize::from(self.len)]
    }

    /// Number of different instances, up to three.
    pub(super) const fn count(&self) -> usize {
        self.len as usize
    }
}
